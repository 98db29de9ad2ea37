"""The platform's resources as frozen values; JSON keys of resources appear here only.

Ids are strings, whether the platform sent a string or a number. Times are aware datetimes in UTC, epoch
milliseconds in JSON. Unknown fields are kept, so that a resource that was read can be written back whole. A field
that cannot be understood reads as None or as its plain text: only an id is indispensable.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from airflow_provider_mics.api.field_types import (
    ENDED_BADLY,
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
    id_text,
    lenient,
    text,
)

SizeFields = Literal["documented", "console"]
Size = Annotated[ContainerSize | str | None, lenient(ContainerSize)]
SIZE_NAMES = ("cpu_size", "ram_size", "disk_size")


def spell_sizes(body: Mapping[str, Any], size_fields: SizeFields) -> dict[str, Any]:
    """The body with its container sizes under the chosen names only.

    ``documented`` is the vendor's page (``cpu_size``, EXTRA_LARGE), ``console`` the vendor's own web client
    (``execution_container_cpu_size``, XL).
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
    """A value read from the platform; ``to_json`` gives back what was read, unknown fields included."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True, protected_namespaces=())

    def to_json(self) -> dict[str, Any]:
        """The resource as plain JSON: what was read or set, with times in epoch milliseconds."""
        return self.model_dump(mode="json", exclude_unset=True)


class Plugin(Resource):
    """A declared script; ``current_version_id`` is the platform's id of its newest version, None before the first."""

    id: Id
    organisation_id: OptionalId = None
    plugin_type: Text = None
    group_id: Text = None
    artifact_id: Text = None
    current_version_id: OptionalId = None


class PluginVersion(Resource):
    """A version of a plugin; ``version_id`` is its number for people (``1.0.0``), ``id`` the platform's."""

    id: Id
    plugin_id: OptionalId = None
    organisation_id: OptionalId = None
    version_id: Text = None
    archived: Flag = False


class PluginProperty(Resource):
    """A parameter of a version or of an instance; the shape of ``value`` follows ``property_type``."""

    technical_name: str
    property_type: Text = None
    origin: Text = None
    writable: Flag = False
    deletable: Flag = False
    value: Any = None


class Instance(Resource):
    """An integration batch instance: a version with its parameters, and a cron or none."""

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
        """Whether the platform fires this instance on its cron."""
        return bool(self.cron) and self.cron_status == CronStatus.ACTIVE and not self.archived


class ExecutionParameters(Resource):
    """What was asked for when the execution was created."""

    execution_type: Annotated[ExecutionType | str | None, lenient(ExecutionType)] = None
    expected_start_date: Moment = None


def _parameters(value: Any) -> Any:
    return value if isinstance(value, (Mapping, ExecutionParameters)) else {}


class Execution(Resource):
    """One run of an instance. Any field but ``id`` and ``status`` can be missing."""

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
        """The instance it belongs to, where the platform says so (``external_model_id``)."""
        return self.external_model_id

    @property
    def execution_type(self) -> ExecutionType | str | None:
        return self.parameters.execution_type

    @property
    def expected_start_date(self) -> datetime | None:
        """When it is or was to start: the cron's tick, or the moment a person chose (UTC)."""
        return self.parameters.expected_start_date

    @property
    def end_date(self) -> datetime | None:
        """When it ended (UTC): the platform gives start and duration."""
        if self.start_date is None or self.duration is None:
            return None
        try:
            return self.start_date + self.duration
        except OverflowError:
            return None

    @property
    def is_over(self) -> bool:
        return self.status in OVER

    @property
    def is_pending(self) -> bool:
        return self.status in NOT_STARTED

    @property
    def succeeded(self) -> bool:
        return self.status == ExecutionStatus.SUCCEEDED

    @property
    def canceled(self) -> bool:
        return self.status == ExecutionStatus.CANCELED

    @property
    def failed(self) -> bool:
        """Whether it ended badly by itself; a canceled one did not."""
        return self.status in ENDED_BADLY

    @property
    def status_is_known(self) -> bool:
        return isinstance(self.status, ExecutionStatus)

    @property
    def error_message(self) -> str | None:
        """The platform's own word on why it failed, on one line."""
        error = self.error.get("message", self.error) if isinstance(self.error, Mapping) else self.error
        message = text(error)
        return " ".join(message.split()) if message else None


class ConnectedUser(Resource):
    """Whose token it is."""

    id: OptionalId = None
    email: Text = None
    first_name: Text = None
    last_name: Text = None
    workspaces: Any = None

    @property
    def is_somebody(self) -> bool:
        """Whether anything was said of them at all."""
        return bool(self.id or self.email or self.first_name or self.last_name)

    @property
    def display_name(self) -> str:
        """A name a person recognises: the e-mail address, else the name, else the id."""
        name = " ".join(part for part in (self.first_name, self.last_name) if part)
        return self.email or name or f"user {self.id or 'unknown'}"

    @property
    def organisation_ids(self) -> list[str]:
        """The organisations the token reaches, where the platform says so."""
        workspaces = self.workspaces if isinstance(self.workspaces, list) else []
        ids = (
            text(id_text(space.get("organisation_id"))) for space in workspaces if isinstance(space, Mapping)
        )
        return [each for each in ids if each]
