"""The mediarithmics connection of Airflow, and the API behind it by name."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_mics import api
from airflow_provider_mics.api.calls import Steps, flow
from airflow_provider_mics.api.validation import seconds_of
from airflow_provider_mics.runtime.connection import CONN_TYPE, ConnectionSettings
from airflow_provider_mics.runtime.templates import rendered_id

if TYPE_CHECKING:
    import httpx

    from airflow_provider_mics.api.calls import Job


T = TypeVar("T")

TEST_TIMEOUT = 10.0

"""Seconds. The Test button runs inside Airflow's web server, which must not hang."""


class MicsHook(BaseHook):
    """Talks to mediarithmics with the token of an Airflow connection of type ``mediarithmics``.

    Everything of the API can be run: ``hook.run(api.list_plugins())``, ``await hook.arun(...)`` in a trigger. What a
    DAG author reaches for inside a task is there by name.

    :param mics_conn_id: the connection
    :param organisation_id: instead of the one in the connection's extra
    """

    conn_name_attr = "mics_conn_id"
    default_conn_name = "mics_default"
    conn_type = CONN_TYPE
    hook_name = "mediarithmics"

    def __init__(
        self,
        mics_conn_id: str = default_conn_name,
        organisation_id: str | int | None = None,
    ) -> None:
        super().__init__()
        self.mics_conn_id = mics_conn_id
        self._organisation_id = rendered_id(organisation_id)
        self._client: api.MicsClient | None = None

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """The connection form of Airflow before 3.2; later ones read the same from the provider's metadata."""
        from airflow_provider_mics.provider_info import field_behaviour

        return field_behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The extra fields of the connection form before Airflow 3.2."""
        from airflow_provider_mics.provider_info import form_widgets

        return form_widgets()

    @cached_property
    def settings(self) -> ConnectionSettings:
        """What the connection says, checked.

        :raises MicsError: something in it cannot be used
        """
        try:
            connection = self.get_connection(self.mics_conn_id)
        except AirflowNotFoundException:
            raise _no_connection(self.mics_conn_id) from None
        return ConnectionSettings.of(connection)

    @property
    def organisation_id(self) -> str | None:
        """The organisation that calls are about when they name none."""
        return self._organisation_id or self.settings.organisation_id

    @property
    def timezone(self) -> str:
        """The time zone in which the platform reads crons (IANA name)."""
        return self.settings.timezone

    @property
    def console_url(self) -> str:
        """Where the platform's web pages for people are."""
        return self.settings.console_url

    def get_conn(self) -> api.MicsClient:
        """The blocking client, made at the first call; it logs into this hook's log."""
        if self._client is None:
            self._client = self.settings.make_client(api.MicsClient, self._organisation_id, self.log)
        return self._client

    def run(self, job: Job[T]) -> T:
        """Run a call or a flow of `airflow_provider_mics.api` and return its value.

        :raises MicsError: whatever went wrong, on one line
        """
        return self.get_conn().run(job)

    def run_within(self, seconds: float, job: Job[T]) -> T:
        """As `run`, with a client of its own that waits ``seconds`` for an answer at most and asks once only."""
        limits = {"timeout": seconds, "max_retries": 0}
        with self.settings.make_client(api.MicsClient, self._organisation_id, self.log, **limits) as client:
            return client.run(job)

    async def make_async_client(self, *, max_retries: int = 4) -> api.AsyncMicsClient:
        """An async client for the running event loop; the caller closes it. Reads the connection anew."""
        try:
            connection = await get_async_connection(self.mics_conn_id)
        except AirflowNotFoundException:
            raise _no_connection(self.mics_conn_id) from None
        settings = ConnectionSettings.of(connection)
        client = settings.make_client(
            api.AsyncMicsClient, self._organisation_id, self.log, max_retries=max_retries
        )
        keep_requests_out(client.base_url)
        return client

    async def arun(self, job: Job[T]) -> T:
        """As `run`, in an event loop, with a client of its own."""
        async with await self.make_async_client() as client:
            return await client.run(job)

    def test_connection(self) -> tuple[bool, str]:
        """For the Test button: whose token it is and which organisation it is for, or exactly what is wrong."""
        try:
            return True, self.run_within(TEST_TIMEOUT, _whose_token(self.organisation_id))
        except Exception as error:  # noqa: BLE001 - the Test button shows what it is
            # Airflow tests a connection under a made-up name, which says nothing to a person.
            return False, str(error).removeprefix(f"connection {self.mics_conn_id}: ")

    def list_instances(self, **filters: Any) -> list[api.Instance]:
        """The organisation's instances; filters as `api.list_instances` has them."""
        return self.run(api.list_instances(**filters))

    def get_instance(self, instance_id: str) -> api.Instance:
        return self.run(api.get_instance(instance_id))

    def create_instance(self, group_id: str, artifact_id: str, name: str, **fields: Any) -> api.Instance:
        """Create an instance; fields as `api.create_instance` has them."""
        return self.run(api.create_instance(group_id, artifact_id, name, **fields))

    def update_instance(self, instance_id: str, **changes: Any) -> api.Instance:
        """Change some fields of an instance and leave the others as they are."""
        return self.run(api.update_instance(instance_id, **changes))

    def pause_instance(self, instance_id: str) -> api.Instance:
        return self.run(api.pause_instance(instance_id))

    def resume_instance(self, instance_id: str) -> api.Instance:
        return self.run(api.resume_instance(instance_id))

    def delete_instance(self, instance_id: str) -> None:
        self.run(api.delete_instance(instance_id))

    def list_executions(self, instance_id: str, **options: Any) -> list[api.Execution]:
        return self.run(api.list_executions(instance_id, **options))

    def get_execution(self, instance_id: str, execution_id: str) -> api.Execution:
        return self.run(api.get_execution(instance_id, execution_id))

    def create_execution(
        self,
        instance_id: str,
        execution_type: str = "MANUAL",
        *,
        expected_start_date: datetime | int | None = None,
        organisation_id: str | None = None,
    ) -> api.Execution:
        """Plan an execution, for now when no moment is given.

        A second call plans a second one; `MicsCreateExecutionOperator` is what runs a batch exactly once.
        """
        moment = datetime.now(UTC) if expected_start_date is None else expected_start_date
        return self.run(
            api.create_execution(
                instance_id, execution_type, expected_start_date=moment, organisation_id=organisation_id
            )
        )

    def wait_for_execution(
        self,
        instance_id: str,
        execution_id: str,
        *,
        poll_interval: float | timedelta = 30.0,
        timeout: float | timedelta | None = None,
    ) -> api.Execution:
        """Wait until an execution is over, and return it, however it ended; times in seconds, or as a timedelta.

        :raises MicsTimeoutError: it was not over within ``timeout``
        :raises ValueError: ``poll_interval`` or ``timeout`` is no length of time
        """
        owner = "wait_for_execution"
        pause = seconds_of(owner, "poll_interval", poll_interval, may_be_zero=True)
        deadline = None
        if timeout is not None:
            within = seconds_of(owner, "timeout", timeout, may_be_zero=True)
            deadline = datetime.now(UTC) + timedelta(seconds=within)
        return self.run(
            api.wait_for_execution(instance_id, execution_id, poll_interval=pause, deadline=deadline)
        )

    def cancel_execution(self, instance_id: str, execution_id: str) -> api.Cancellation:
        """Cancel an execution by whatever the platform offers, without waiting for it to have stopped."""
        return self.run(api.cancel_execution(instance_id, execution_id))


def _no_connection(conn_id: str) -> api.MicsError:
    return api.MicsError(
        f"there is no connection {conn_id!r}: add one of type {CONN_TYPE!r}, with the API token as its password"
    )


@flow
def _whose_token(organisation_id: str | None) -> Steps[str]:
    """Ask what proves both token and organisation; a platform without ``connected_user`` is asked for a list.

    :raises MicsError: there is neither, and so no proof that this is the platform at all
    """
    name = "an unknown user (this platform does not say whose)"
    is_proven = False
    with suppress(api.MicsNotFoundError):
        user = yield from api.get_connected_user()
        name, is_proven = (user.display_name, True) if user.is_somebody else (name, False)
    if organisation_id is None and not is_proven:
        raise api.MicsError(
            "the token could not be checked, as the host does not say whose it is: "
            "set organisation_id in the extra, or check the host"
        )
    if organisation_id is None:
        return f"The token is {name}'s. No organisation is set: give organisation_id in the extra."
    instances = yield from api.list_instances(organisation_id)
    return (
        f"The token is {name}'s and reaches organisation {organisation_id}, "
        f"which has {len(instances)} integration batch instance(s)."
    )


class _OtherRequests(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self.quiet_addresses: tuple[httpx.URL, ...] = ()

    def filter(self, record: logging.LogRecord) -> bool:
        url = record.args[1] if isinstance(record.args, tuple) and len(record.args) > 1 else None
        return record.levelno > logging.INFO or not any(_is_at(url, each) for each in self.quiet_addresses)


def _is_at(url: Any, address: httpx.URL) -> bool:
    """Whether a URL is at an address, however a person spelled that: in capitals, or with the usual port."""
    return (
        isinstance(url, type(address))
        and (url.scheme, url.host, url.port) == (address.scheme, address.host, address.port)
        and url.path.startswith(address.path)
    )


_other_requests = _OtherRequests()


def keep_requests_out(address: str) -> None:
    """Log no request to ``address`` any more, unless it is worth a warning."""
    import httpx

    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        # No request can be made to it, so none is logged.
        return
    if url not in _other_requests.quiet_addresses:
        _other_requests.quiet_addresses += (url,)
        logging.getLogger("httpx").addFilter(_other_requests)
