"""Create, change and delete integration batch instances."""

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
    given,
    refuse_both,
    refuse_contradictions,
    refuse_unknown,
    rendered_fields,
)
from airflow_provider_mics.operators.mics_operator import (
    MicsInstanceOperator,
    MicsResourceOperator,
    show_instance,
)
from airflow_provider_mics.runtime.failures import readable_failures
from airflow_provider_mics.runtime.task_context import task_try_of
from airflow_provider_mics.runtime.templates import rendered

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_mics.core.provisioning.properties import Properties


FIELDS = ("cron", "cron_status", "cpu_size", "ram_size", "disk_size")


class MicsCreateInstanceOperator(MicsResourceOperator):
    """Create an instance, unless it is there already: organisation, group, artifact and name make it the same one.

    Its value in XCom is the instance as JSON; ``output["instance_id"]`` is its id, and of a mapped one, to map over,
    ``output.map(lambda instance: instance["id"])``. What is not given is the platform's default where the instance is
    created, and stays as it is where it exists.

    :param group_id: the plugin's group (templated)
    :param artifact_id: the plugin's name in the group (templated)
    :param name: the instance's name (templated)
    :param version: the plugin's version by its number for people, ``1.0.0`` (templated); or
    :param version_id: by the platform's id of it (templated); by default the newest where the instance is created
    :param cron: when the platform runs it: five fields, such as ``30 5 * * 1,6``; None for manual runs only (templated)
    :param cron_status: ``ACTIVE`` or ``PAUSED``; goes with ``cron`` (templated)
    :param cpu_size: ``LOW``, ``MEDIUM``, ``LARGE`` or ``EXTRA_LARGE`` (templated)
    :param ram_size: the same (templated)
    :param disk_size: the same (templated)
    :param archived: whether it is hidden (templated); False takes back one that a person archived
    :param properties: the parameters of its runs (templated): values by name, or whole property objects
    :param if_exists: ``update`` changes what differs in an existing instance, and logs it; ``skip`` takes it as it is;
        ``fail`` wants to be the one who creates it. With ``skip`` and ``fail`` a retry cannot tell an instance that
        an earlier try of the task created from another one
    """

    template_fields: Sequence[str] = (
        *MicsResourceOperator.template_fields,
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
        self.if_exists = if_exists
        refuse_unknown(self.task_id, "if_exists", if_exists, IF_EXISTS)
        refuse_both(self.task_id, version=version, version_id=version_id)
        refuse_contradictions(self.task_id, self._fields(), creating=True)

    def _fields(self) -> dict[str, Any]:
        return given(**{name: getattr(self, name) for name in (*FIELDS, "archived")})

    def execute(self, context: Context) -> dict[str, Any]:
        def on_exists(instance: Instance) -> None:
            show_instance(context, self.hook, instance.id)

        with readable_failures():
            instance = self.hook.run(
                ensure_instance(
                    self.group_id,
                    self.artifact_id,
                    self.name,
                    version=rendered(self.version),
                    version_id=rendered(self.version_id),
                    fields=rendered_fields(self._fields()),
                    properties=self.properties,
                    organisation_id=self.hook.organisation_id,
                    if_exists=self.if_exists,
                    is_retry=task_try_of(context).is_retry,
                    submission_timeout=self._patience,
                    on_exists=on_exists,
                )
            ).resource
        return instance.to_json()


class MicsUpdateInstanceOperator(MicsInstanceOperator):
    """Change an instance and its properties; what is not given stays as it is, what is so already is not written.

    ``cron=None, cron_status=None`` clears the schedule. To pause one, use `MicsPauseInstanceOperator`, which cancels
    what is coming too. Its value in XCom is the instance as JSON; the log shows each change.

    :param instance_id: the instance (templated)
    :param name: its new name (templated)
    :param version: another version by its number for people, ``1.1.0`` (templated); or
    :param version_id: by the platform's id of it (templated)
    :param cron: when the platform runs it; with a ``cron_status`` where it has none yet (templated)
    :param cron_status: ``ACTIVE`` or ``PAUSED`` (templated)
    :param cpu_size: ``LOW``, ``MEDIUM``, ``LARGE`` or ``EXTRA_LARGE`` (templated)
    :param ram_size: the same (templated)
    :param disk_size: the same (templated)
    :param archived: whether it is hidden (templated)
    :param properties: new values of its properties (templated): each keeps its type; one that it does not have yet
        becomes its own
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
        refuse_both(self.task_id, version=version, version_id=version_id)
        refuse_contradictions(self.task_id, self._fields(), creating=False)
        if not self._fields() and version is None and version_id is None and properties is None:
            raise ValueError(f"{self.task_id}: say what to change: a field, the version or properties")

    def _fields(self) -> dict[str, Any]:
        return given(**{name: getattr(self, name) for name in ("name", *FIELDS, "archived")})

    def execute(self, context: Context) -> dict[str, Any]:
        with readable_failures():
            instance_id = self._shown_instance_id(context)
            changing = change_instance(
                instance_id,
                version=rendered(self.version),
                version_id=rendered(self.version_id),
                fields=rendered_fields(self._fields()),
                properties=self.properties,
                organisation_id=self.hook.organisation_id,
            )
            return self._run_patiently(changing).resource.to_json()


class MicsDeleteInstanceOperator(MicsInstanceOperator):
    """Delete an instance; one that is gone already is fine.

    Its value in XCom is the instance as it was, as JSON, or None where it was gone.

    :param instance_id: the instance (templated)
    :param missing_ok: whether it may be gone already
    """

    def __init__(self, *, missing_ok: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.missing_ok = missing_ok

    def execute(self, context: Context) -> dict[str, Any] | None:
        with readable_failures():
            instance_id = self._shown_instance_id(context)
            deleted = self._run_patiently(ensure_instance_deleted(instance_id, missing_ok=self.missing_ok))
            return None if deleted is None else deleted.to_json()


class MicsPauseInstanceOperator(MicsInstanceOperator):
    """Pause an instance: its cron fires no more, and all its coming executions are canceled.

    Coming is what is pending and expected to start in the future, whoever planned it; that none is left is made sure,
    whether the platform cancels them itself or not. One that is paused already is fine. An instance without a cron
    cannot be paused. Its value in XCom is the instance as JSON.

    :param instance_id: the instance (templated)
    :param cancel_running: whether what runs, or is due now, is canceled too
    """

    def __init__(self, *, cancel_running: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cancel_running = cancel_running

    def execute(self, context: Context) -> dict[str, Any]:
        with readable_failures():
            instance_id = self._shown_instance_id(context)
            return self._run_patiently(pause(instance_id, cancel_running=self.cancel_running)).to_json()


class MicsResumeInstanceOperator(MicsInstanceOperator):
    """Let the cron of an instance fire again, from its next tick on: what was missed is not made up.

    An archived one stays archived, and does not fire until it is taken back (`MicsUpdateInstanceOperator`). Its value
    in XCom is the instance as JSON.

    :param instance_id: the instance (templated)
    """

    def execute(self, context: Context) -> dict[str, Any]:
        with readable_failures():
            return self._run_patiently(resume(self._shown_instance_id(context))).to_json()
