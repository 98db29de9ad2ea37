"""Operators that create, change, delete, pause and resume integration batch instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_mics.api.models import Instance
from airflow_provider_mics.core.provisioning.find_or_create import IF_EXISTS, IfExists
from airflow_provider_mics.core.provisioning.instances import (
    change_instance,
    ensure_instance,
    ensure_instance_deleted,
)
from airflow_provider_mics.core.provisioning.pausing import pause, resume
from airflow_provider_mics.operators.arguments import (
    NOT_GIVEN,
    NotGiven,
    check_choice,
    check_exclusive,
    check_instance_fields,
    given,
    missing_values,
    rendered_fields,
    rendered_properties,
)
from airflow_provider_mics.operators.mics_operator import MicsInstanceOperator, MicsOperator, push_instance
from airflow_provider_mics.runtime.failures import errors_as_task_failures
from airflow_provider_mics.runtime.task_context import task_try_of
from airflow_provider_mics.runtime.templates import rendered
from airflow_provider_mics.runtime.xcom_values import xcom_value

if TYPE_CHECKING:
    from airflow_provider_mics.core.provisioning.properties import Properties
    from airflow_provider_mics.runtime.compat import Context


FIELDS = ("cron", "cron_status", "cpu_size", "ram_size", "disk_size")


class _ScheduleArguments(MicsOperator):
    """The arguments ``cron`` and ``cron_status``, which only make sense together."""

    cron: str | NotGiven | None
    cron_status: str | NotGiven | None

    def _settle_schedule(self) -> None:
        """Leave out one from ``default_args`` where the operator itself says that there is no schedule."""
        for name, other in (("cron", "cron_status"), ("cron_status", "cron")):
            if getattr(self, name) is None and not self._is_shared(name) and self._is_shared(other):
                setattr(self, other, None)


class MicsCreateInstanceOperator(_ScheduleArguments):
    """Create an instance, unless one with the same organisation, group, artifact and name exists.

    A field that is not given gets the platform's default in a new instance, and keeps its value in an existing one.

    XCom: the instance as JSON, and its id as ``output["instance_id"]``; to map over the ids of a mapped task, use
    ``output.map(lambda instance: instance["id"])``.

    :param group_id: the plugin's group (templated)
    :param artifact_id: the plugin's name within the group (templated)
    :param name: the instance's name (templated)
    :param version: the number of the plugin's version, such as ``1.0.0`` (templated); give this or ``version_id``
    :param version_id: the id of the plugin's version (templated); by default a new instance gets the newest version
    :param cron: when the platform runs the instance: five fields, such as ``30 5 * * 1,6``; None: manual runs only
        (templated)
    :param cron_status: ``ACTIVE`` or ``PAUSED``; required with ``cron`` (templated)
    :param cpu_size: ``LOW``, ``MEDIUM``, ``LARGE`` or ``EXTRA_LARGE`` (templated)
    :param ram_size: as ``cpu_size`` (templated)
    :param disk_size: as ``cpu_size`` (templated)
    :param archived: whether the instance is archived (templated); False restores an archived instance
    :param properties: properties of the instance (templated): values by name, or property objects
    :param if_exists: ``update``: change and log what differs in an existing instance; ``skip``: use the existing
        instance as it is; ``fail``: raise if the instance already exists. With ``skip`` and ``fail``, a retry cannot
        tell whether an earlier try of the task created the instance
    :param submission_timeout: how long to retry during an outage within one try of the task, in seconds or as a
        timedelta; 0 does not retry
    :param mics_conn_id: the Airflow connection of type ``mediarithmics`` (templated)
    :param organisation_id: the organisation's id; by default the connection's (templated)
    :raises ValueError: invalid or contradictory arguments, when the DAG is parsed
    """

    template_fields: Sequence[str] = (
        *MicsOperator.template_fields,
        "group_id",
        "artifact_id",
        "name",
        "version",
        "version_id",
        *FIELDS,
        "archived",
        "properties",
    )
    template_fields_renderers = {"properties": "json"}  # noqa: RUF012 - as Airflow declares it

    def __init__(
        self,
        *,
        group_id: str,
        artifact_id: str,
        name: str,
        version: str | None = None,
        version_id: str | None = None,
        cron: str | NotGiven | None = NOT_GIVEN,
        cron_status: str | NotGiven | None = NOT_GIVEN,
        cpu_size: str | NotGiven = NOT_GIVEN,
        ram_size: str | NotGiven = NOT_GIVEN,
        disk_size: str | NotGiven = NOT_GIVEN,
        archived: bool | str | NotGiven = NOT_GIVEN,
        properties: Properties | None = None,
        if_exists: IfExists = "update",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.artifact_id = artifact_id
        self.name = name
        self.version = version
        self.version_id = version_id
        self.cron = cron
        self.cron_status = cron_status
        self.cpu_size = cpu_size
        self.ram_size = ram_size
        self.disk_size = disk_size
        self.archived = archived
        self.properties = properties
        self._meant_none = missing_values(properties)
        self.if_exists = if_exists
        check_choice(self.task_id, "if_exists", if_exists, IF_EXISTS)
        self._drop_overruled("version", "version_id")
        self._settle_schedule()
        check_exclusive(self.task_id, version=self.version, version_id=self.version_id)
        for shared, other in (("cron", "cron_status"), ("cron_status", "cron")):
            if self._is_shared(shared) and not given(other=getattr(self, other)):
                setattr(self, shared, NOT_GIVEN)
        check_instance_fields(self.task_id, self._fields(), creating=True)

    def _fields(self) -> dict[str, Any]:
        return given(**{name: getattr(self, name) for name in (*FIELDS, "archived")})

    def execute(self, context: Context) -> dict[str, Any]:
        def on_exists(instance: Instance) -> None:
            push_instance(context, self.hook, instance.id)

        with errors_as_task_failures():
            instance = self.hook.run(
                ensure_instance(
                    self.group_id,
                    self.artifact_id,
                    self.name,
                    version=rendered(self.version),
                    version_id=rendered(self.version_id),
                    fields=rendered_fields(self._fields()),
                    properties=rendered_properties(self.properties, self._meant_none),
                    organisation_id=self.hook.organisation_id,
                    if_exists=self.if_exists,
                    is_retry=task_try_of(context).is_retry,
                    submission_timeout=self._retry_for,
                    on_exists=on_exists,
                )
            ).resource
        return xcom_value(instance)


class MicsUpdateInstanceOperator(MicsInstanceOperator, _ScheduleArguments):
    """Change an instance and its properties.

    A field that is not given keeps its value. Only values that differ are written, and each change is logged.
    ``cron=None, cron_status=None`` clears the schedule. To pause an instance, use `MicsPauseInstanceOperator`, which
    also cancels the planned executions.

    XCom: the instance as JSON.

    :param instance_id: the instance's id (templated)
    :param name: the new name (templated)
    :param version: the number of the new version, such as ``1.1.0`` (templated); give this or ``version_id``
    :param version_id: the id of the new version (templated)
    :param cron: when the platform runs the instance; give ``cron_status`` too if it has no cron yet (templated)
    :param cron_status: ``ACTIVE`` or ``PAUSED`` (templated)
    :param cpu_size: ``LOW``, ``MEDIUM``, ``LARGE`` or ``EXTRA_LARGE`` (templated)
    :param ram_size: as ``cpu_size`` (templated)
    :param disk_size: as ``cpu_size`` (templated)
    :param archived: whether the instance is archived (templated)
    :param properties: new values by name (templated); a property keeps its type, and is created if it does not exist
    :param submission_timeout: how long to retry during an outage within one try of the task, in seconds or as a
        timedelta; 0 does not retry
    :param mics_conn_id: the Airflow connection of type ``mediarithmics`` (templated)
    :param organisation_id: the organisation's id; by default the connection's (templated)
    :raises ValueError: invalid or contradictory arguments, when the DAG is parsed
    """

    template_fields: Sequence[str] = (
        *MicsInstanceOperator.template_fields,
        "name",
        "version",
        "version_id",
        *FIELDS,
        "archived",
        "properties",
    )
    template_fields_renderers = {"properties": "json"}  # noqa: RUF012 - as Airflow declares it

    def __init__(
        self,
        *,
        name: str | NotGiven = NOT_GIVEN,
        version: str | None = None,
        version_id: str | None = None,
        cron: str | NotGiven | None = NOT_GIVEN,
        cron_status: str | NotGiven | None = NOT_GIVEN,
        cpu_size: str | NotGiven = NOT_GIVEN,
        ram_size: str | NotGiven = NOT_GIVEN,
        disk_size: str | NotGiven = NOT_GIVEN,
        archived: bool | str | NotGiven = NOT_GIVEN,
        properties: Properties | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.version = version
        self.version_id = version_id
        self.cron = cron
        self.cron_status = cron_status
        self.cpu_size = cpu_size
        self.ram_size = ram_size
        self.disk_size = disk_size
        self.archived = archived
        self.properties = properties
        self._meant_none = missing_values(properties)
        self._drop_overruled("version", "version_id")
        self._settle_schedule()
        check_exclusive(self.task_id, version=self.version, version_id=self.version_id)
        check_instance_fields(self.task_id, self._fields(), creating=False)
        if not self._fields() and version is None and version_id is None and properties is None:
            raise ValueError(f"{self.task_id}: say what to change: a field, the version or properties")

    def _fields(self) -> dict[str, Any]:
        return given(**{name: getattr(self, name) for name in ("name", *FIELDS, "archived")})

    def execute(self, context: Context) -> dict[str, Any]:
        with errors_as_task_failures():
            instance_id = self._pushed_instance_id(context)
            changing = change_instance(
                instance_id,
                version=rendered(self.version),
                version_id=rendered(self.version_id),
                fields=rendered_fields(self._fields()),
                properties=rendered_properties(self.properties, self._meant_none),
                organisation_id=self.hook.organisation_id,
            )
            return xcom_value(self._run_with_retries(changing).resource)


class MicsDeleteInstanceOperator(MicsInstanceOperator):
    """Delete an instance.

    XCom: the deleted instance as JSON, or None where it did not exist.

    :param instance_id: the instance's id (templated)
    :param missing_ok: whether to succeed if the instance does not exist
    :param submission_timeout: how long to retry during an outage within one try of the task, in seconds or as a
        timedelta; 0 does not retry
    :param mics_conn_id: the Airflow connection of type ``mediarithmics`` (templated)
    :param organisation_id: the organisation's id; by default the connection's (templated)
    :raises ValueError: invalid arguments, when the DAG is parsed
    """

    def __init__(self, *, missing_ok: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.missing_ok = missing_ok

    def execute(self, context: Context) -> dict[str, Any] | None:
        with errors_as_task_failures():
            instance_id = self._pushed_instance_id(context)
            deleted = self._run_with_retries(ensure_instance_deleted(instance_id, missing_ok=self.missing_ok))
            return None if deleted is None else xcom_value(deleted)


class MicsPauseInstanceOperator(MicsInstanceOperator):
    """Pause the cron of an instance, and cancel its planned executions.

    All pending executions that are expected to start in the future are canceled, even those that were created by hand,
    and even if the platform does not cancel them itself. The task also succeeds if the instance is already paused. It
    fails if the instance has no cron.

    XCom: the instance as JSON.

    :param instance_id: the instance's id (templated)
    :param cancel_running: whether to cancel executions that are running or due as well
    :param submission_timeout: how long to retry during an outage within one try of the task, in seconds or as a
        timedelta; 0 does not retry
    :param mics_conn_id: the Airflow connection of type ``mediarithmics`` (templated)
    :param organisation_id: the organisation's id; by default the connection's (templated)
    :raises ValueError: invalid arguments, when the DAG is parsed
    """

    def __init__(self, *, cancel_running: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cancel_running = cancel_running

    def execute(self, context: Context) -> dict[str, Any]:
        with errors_as_task_failures():
            instance_id = self._pushed_instance_id(context)
            paused = self._run_with_retries(pause(instance_id, cancel_running=self.cancel_running))
            return xcom_value(paused)


class MicsResumeInstanceOperator(MicsInstanceOperator):
    """Resume the cron of an instance from its next tick on; missed ticks are not run.

    An archived instance stays archived, and its cron does not fire until it is restored with
    `MicsUpdateInstanceOperator`.

    XCom: the instance as JSON.

    :param instance_id: the instance's id (templated)
    :param submission_timeout: how long to retry during an outage within one try of the task, in seconds or as a
        timedelta; 0 does not retry
    :param mics_conn_id: the Airflow connection of type ``mediarithmics`` (templated)
    :param organisation_id: the organisation's id; by default the connection's (templated)
    :raises ValueError: invalid arguments, when the DAG is parsed
    """

    def execute(self, context: Context) -> dict[str, Any]:
        with errors_as_task_failures():
            return xcom_value(self._run_with_retries(resume(self._pushed_instance_id(context))))
