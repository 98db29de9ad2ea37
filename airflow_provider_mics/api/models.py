"""The platform's resources as frozen values.

Ids are text, also where the platform sends numbers. Times are aware datetimes in UTC, and epoch milliseconds in JSON.
Durations are timedeltas, and milliseconds in JSON. Unknown fields are kept, so that a resource can be written back
whole. A field that is missing is None; one that cannot be understood is None or plain text.

Sources: https://developer.mediarithmics.io/data-ingestion/bulk-processing/integration-batch, and the models of the
vendor's web client (``Plugins.ts``, ``jobs.ts``), https://github.com/mnguyen-mics/mcu-nx.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from airflow_provider_mics.api.field_types import (
    ENDED_BADLY,
    LONGEST_TEXT,
    NOT_STARTED,
    OVER,
    ContainerSize,
    CronStatus,
    Duration,
    ExecutionStatus,
    ExecutionType,
    Flag,
    Id,
    Moment,
    OptionalId,
    Text,
    WholeNumber,
    is_rounded,
    lenient,
    text,
)
from airflow_provider_mics.api.text import one_line

SizeFields = Literal["documented", "console"]
Size = Annotated[ContainerSize | str | None, lenient(ContainerSize)]
SIZE_NAMES = ("cpu_size", "ram_size", "disk_size")


def spell_sizes(body: Mapping[str, Any], size_fields: SizeFields) -> dict[str, Any]:
    """Return a body with the container sizes under the given names only.

    :param size_fields: ``documented``, as on the vendor's page (``cpu_size``, EXTRA_LARGE), or ``console``, as in the
        vendor's web client (``execution_container_cpu_size``, XL)
    """
    spelled = {
        key: value
        for key, value in body.items()
        if key.removeprefix("execution_container_") not in SIZE_NAMES
    }
    for name in SIZE_NAMES:
        in_console = f"execution_container_{name}"
        given = [body[key] for key in (name, in_console) if key in body]
        if given:
            value = next((each for each in given if each is not None), None)
            size = "EXTRA_LARGE" if value == "XL" else value
            if size_fields == "console":
                spelled[in_console] = "XL" if size == "EXTRA_LARGE" else size
            else:
                spelled[name] = size
    return spelled


class Resource(BaseModel):
    """A resource of the platform, frozen."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True, protected_namespaces=())

    def to_json(self) -> dict[str, Any]:
        """Return the fields that were read or set as JSON, unknown fields included; times in epoch milliseconds."""
        return self.model_dump(mode="json", exclude_unset=True)


class Plugin(Resource):
    """A script that customers run. ``current_version_id`` is the platform's id of the newest version, or None."""

    id: Id
    organisation_id: OptionalId = None
    plugin_type: Text = None
    group_id: Text = None
    artifact_id: Text = None
    current_version_id: OptionalId = None


class PluginVersion(Resource):
    """A version of a plugin. ``id`` is the platform's id, ``version_id`` the number for people (``1.0.0``)."""

    id: Id
    plugin_id: OptionalId = None
    organisation_id: OptionalId = None
    version_id: Text = None
    archived: Flag = False


class PluginProperty(Resource):
    """A parameter of a version or of an instance. ``property_type`` decides on the shape of ``value``.

    Source: https://developer.mediarithmics.io/advanced-usages/plugins/deployment
    """

    technical_name: str
    property_type: Text = None
    origin: Text = None
    writable: Flag = False
    deletable: Flag = False
    value: Any = None


class Instance(Resource):
    """An integration batch instance: a version of a plugin, with parameters and perhaps a cron.

    ``version_id`` is the platform's id of the version, ``version_value`` its number. ``creation_ts`` and
    ``last_modified_ts`` are in UTC.
    """

    id: Id
    organisation_id: OptionalId = None
    name: Text = None
    group_id: Text = None
    artifact_id: Text = None
    version_id: OptionalId = None
    version_value: Text = None
    cron: Text = None
    cron_status: Annotated[CronStatus | str | None, lenient(CronStatus)] = None
    archived: Flag = False
    cpu_size: Size = None
    ram_size: Size = None
    disk_size: Size = None
    creation_ts: Moment = None
    created_by: OptionalId = None
    last_modified_ts: Moment = None
    last_modified_by: OptionalId = None

    @model_validator(mode="before")
    @classmethod
    def _read_sizes_in_either_spelling(cls, fields: Any) -> Any:
        return spell_sizes(fields, "documented") if isinstance(fields, Mapping) else fields

    @property
    def is_active(self) -> bool:
        """Whether the platform fires the cron of this instance."""
        return bool(self.cron) and self.cron_status == CronStatus.ACTIVE and not self.archived


class ExecutionParameters(Resource):
    """The type and the expected start (UTC) with which an execution was created."""

    execution_type: Annotated[ExecutionType | str | None, lenient(ExecutionType)] = None
    expected_start_date: Moment = None
    moment_is_rounded: bool = Field(default=False, exclude=True, repr=False)
    """Whether the platform sent ``expected_start_date`` without milliseconds, so that it may stand for another."""

    @model_validator(mode="before")
    @classmethod
    def _note_rounding(cls, fields: Any) -> Any:
        if not isinstance(fields, Mapping):
            return fields
        others = {name: value for name, value in fields.items() if name != "moment_is_rounded"}
        if is_rounded(fields.get("expected_start_date")):
            others["moment_is_rounded"] = True
        return others


def _parameters(value: Any) -> Any:
    return value if isinstance(value, (Mapping, ExecutionParameters)) else {}


class Execution(Resource):
    """One run of an instance. Each field but ``id`` and ``status`` can be missing.

    ``creation_date`` and ``start_date`` are in UTC. ``start_date`` is None before the start, ``duration`` before the
    end.
    """

    id: Id
    status: Annotated[ExecutionStatus | str, lenient(ExecutionStatus)]
    parameters: Annotated[ExecutionParameters, BeforeValidator(_parameters)] = ExecutionParameters()
    organisation_id: OptionalId = None
    external_model_id: OptionalId = None
    creation_date: Moment = None
    start_date: Moment = None
    duration: Duration = None
    num_tasks: WholeNumber = None
    completed_tasks: WholeNumber = None
    erroneous_tasks: WholeNumber = None
    error: Any = None
    result: Any = None

    @property
    def instance_id(self) -> str | None:
        """The platform's id of its instance, or None; not documented, but the meaning in other kinds of job."""
        return self.external_model_id

    @property
    def execution_type(self) -> ExecutionType | str | None:
        """What created it, as `ExecutionType` if this version knows the value."""
        return self.parameters.execution_type

    @property
    def expected_start_date(self) -> datetime | None:
        """The time (UTC) at which it is or was due: the cron's tick, or the time given when it was created."""
        return self.parameters.expected_start_date

    @property
    def end_date(self) -> datetime | None:
        """The time (UTC) at which it ended: start and duration, since the platform gives no end."""
        if self.start_date is None or self.duration is None:
            return None
        try:
            return self.start_date + self.duration
        except OverflowError:
            return None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not. An unknown status is not over."""
        return self.status in OVER

    @property
    def is_pending(self) -> bool:
        """Whether it has not started."""
        return self.status in NOT_STARTED

    @property
    def succeeded(self) -> bool:
        """Whether it is SUCCEEDED."""
        return self.status == ExecutionStatus.SUCCEEDED

    @property
    def canceled(self) -> bool:
        """Whether it is CANCELED."""
        return self.status == ExecutionStatus.CANCELED

    @property
    def failed(self) -> bool:
        """Whether it ended with a failure; a canceled execution did not."""
        return self.status in ENDED_BADLY

    @property
    def status_is_known(self) -> bool:
        """Whether this version knows the status."""
        return isinstance(self.status, ExecutionStatus)

    @property
    def error_message(self) -> str | None:
        """The platform's error message, on one line, cut to 2,000 characters, or None."""
        error = self.error.get("message", self.error) if isinstance(self.error, Mapping) else self.error
        message = text(error)
        return one_line(message, LONGEST_TEXT) or None if message else None


class ConnectedUser(Resource):
    """The user that a token belongs to."""

    id: OptionalId = None
    email: Text = None
    first_name: Text = None
    last_name: Text = None

    @property
    def is_somebody(self) -> bool:
        """Whether the platform says who it is."""
        return bool(self.id or self.email or self.first_name or self.last_name)

    @property
    def display_name(self) -> str:
        """The e-mail address, else the name, else the id."""
        name = " ".join(part for part in (self.first_name, self.last_name) if part)
        return self.email or name or f"user {self.id or 'unknown'}"

    @property
    def organisations(self) -> dict[str, str]:
        """The names of the user's organisations by id, or empty; as ``workspaces`` in the vendor's web client."""
        workspaces = (self.model_extra or {}).get("workspaces")
        return {
            str(each["organisation_id"]): str(each.get("organisation_name") or "")
            for each in (workspaces if isinstance(workspaces, list) else [])
            if isinstance(each, Mapping) and each.get("organisation_id") is not None
        }
