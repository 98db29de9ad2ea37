"""The hook: the API of mediarithmics behind an Airflow connection."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_mics import api
from airflow_provider_mics.api.calls import Call, Log, Now, Sleep, Step, Steps, drive, flow
from airflow_provider_mics.api.executions import NO_SUCH_ROUTE
from airflow_provider_mics.api.instances import INSTANCES
from airflow_provider_mics.api.paging import LARGE_PAGE_SIZE, ListProgress, list_page, read_list
from airflow_provider_mics.api.validation import seconds_of
from airflow_provider_mics.core.planning.listing import within
from airflow_provider_mics.runtime.compat import BaseHook, get_async_connection
from airflow_provider_mics.runtime.connection import CONN_TYPE, ConnectionSettings, unreadable_connection
from airflow_provider_mics.runtime.templates import rendered_id

if TYPE_CHECKING:
    import httpx

    from airflow_provider_mics.api.calls import Job
    from airflow_provider_mics.runtime.compat import Connection


T = TypeVar("T")
REREAD_SECONDS = 300.0
"""How often a flow that waits reads the connection again."""
SHOWN_ORGANISATIONS = 3
"""How many of the token's organisations the Test button names where none is set."""
TEST_TIMEOUT = 10.0
"""Seconds for each answer. The Test button runs inside Airflow's web server, which must not hang."""
COUNTING_TIMEOUT = timedelta(seconds=3)
"""How long the Test button counts instances before it says how many there are at least."""


class MicsHook(BaseHook):
    """Client of mediarithmics with the token of an Airflow connection of type ``mediarithmics``.

    The most frequent operations are methods. All others run as ``hook.run(api.list_plugins())``, or in a trigger as
    ``await hook.arun(...)``. Every method that sends a request raises `MicsError` or a subclass on failure.

    :param mics_conn_id: id of the Airflow connection
    :param organisation_id: the organisation's id; by default the one in the connection's extra
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
        self._read_at = 0.0

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the labels of the connection form; from Airflow 3.2 on they come from the provider's metadata."""
        from airflow_provider_mics.provider_info import field_behaviour

        return field_behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the extra fields of the connection form; from Airflow 3.2 on they come from the metadata."""
        from airflow_provider_mics.provider_info import form_widgets

        return form_widgets()

    @cached_property
    def settings(self) -> ConnectionSettings:
        """The settings of the connection, checked.

        :raises UnreadableConnectionError: Airflow cannot read the connection, or does not find it
        :raises MicsError: a setting cannot be used
        """
        return ConnectionSettings.of(self._connection())

    def _connection(self) -> Connection:
        try:
            return self.get_connection(self.mics_conn_id)
        except Exception as error:  # noqa: BLE001 - whatever a secrets backend or Airflow's API raises
            raise unreadable_connection(self.mics_conn_id, error) from None

    @property
    def organisation_id(self) -> str | None:
        """The organisation for calls that name none, or None where the connection has none either."""
        return self._organisation_id or self.settings.organisation_id

    @property
    def timezone(self) -> str:
        """The time zone in which the platform reads crons (IANA name)."""
        return self.settings.timezone

    @property
    def console_url(self) -> str:
        """Base URL of the mediarithmics console, where links lead."""
        return self.settings.console_url

    def get_conn(self) -> api.MicsClient:
        """Return the blocking client, which is created on the first call and logs to this hook's log.

        :raises MicsError: the connection does not exist, or a setting cannot be used
        """
        if self._client is None:
            self._client = self.settings.make_client(api.MicsClient, self._organisation_id, self.log)
            self._read_at = time.monotonic()
        return self._client

    def run(self, job: Job[T]) -> T:
        """Run a call or flow of `airflow_provider_mics.api` and return its result.

        The connection is read again every few minutes and when the token is refused, as a flow may wait for hours.

        :param job: such as ``api.list_plugins()``
        :raises MicsError: any failure, as one line
        """
        return drive(job, self._perform)

    @flow
    def read_connection(self) -> Steps[ConnectionSettings]:
        """Return the settings, as a flow: an outage of Airflow's connections can be waited out as any other."""
        return self.settings
        yield

    def _perform(self, step: Step) -> Any:
        match step:
            case Sleep(seconds):
                return time.sleep(seconds)
            case Now():
                return datetime.now(UTC)
            case Log(message, level):
                return self.log.log(level, "%s", message)
        if isinstance(step, Call) and time.monotonic() - self._read_at > REREAD_SECONDS:
            self._has_changed()
        try:
            return self.get_conn().perform(step)
        except api.MicsAuthError as error:
            if error.status_code != HTTPStatus.UNAUTHORIZED or not self._has_changed():
                raise
            return self.get_conn().perform(step)

    def _has_changed(self) -> bool:
        """Read the connection again; return whether it changed. What can be neither read nor used changes nothing."""
        if self._client is None:
            return False
        self._read_at = time.monotonic()
        before = self.__dict__.pop("settings", None)
        try:
            client = self.settings.make_client(api.MicsClient, self._organisation_id, self.log)
        except api.MicsError as error:
            self.log.warning("Could not read the connection again: %s", error)
            self.__dict__["settings"] = before
            return False
        old, self._client = self._client, client
        old.close()
        return not client.has_settings_of(old)

    def run_with_timeout(self, job: Job[T], timeout: float) -> T:
        """As `run`, without retries and with at most ``timeout`` seconds for each request."""
        limits = {"timeout": timeout, "max_retries": 0}
        with self.settings.make_client(api.MicsClient, self._organisation_id, self.log, **limits) as client:
            return client.run(job)

    async def _run_test(self, job: Job[T]) -> T:
        """Run a job with the client of deferred tasks: it may fail where the blocking client works."""
        limits: dict[str, Any] = {"timeout": TEST_TIMEOUT, "max_retries": 0}
        settings = self.settings
        async with settings.make_client(
            api.AsyncMicsClient, self._organisation_id, self.log, **limits
        ) as client:
            mute_request_logs(client.base_url)
            try:
                return await client.run(job)
            except api.MicsError as error:
                raise api.MicsError(f"{error} (in the client of deferred tasks)") from None

    async def make_async_client(self, *, max_retries: int = 4) -> api.AsyncMicsClient:
        """Read the connection again and return an async client for the running event loop; the caller closes it.

        :param max_retries: how often a request is sent again after a failure
        :raises MicsError: the connection does not exist, or a setting cannot be used
        """
        settings = ConnectionSettings.of(await self._async_connection())
        client = settings.make_client(
            api.AsyncMicsClient, self._organisation_id, self.log, max_retries=max_retries
        )
        mute_request_logs(client.base_url)
        return client

    async def _async_connection(self) -> Connection:
        try:
            return await get_async_connection(self.mics_conn_id)
        except Exception as error:  # noqa: BLE001 - whatever a secrets backend or Airflow's API raises
            raise unreadable_connection(self.mics_conn_id, error) from None

    async def arun(self, job: Job[T]) -> T:
        """As `run`, for async code; each call uses a new client.

        :raises MicsError: any failure, as one line
        """
        async with await self.make_async_client() as client:
            return await client.run(job)

    def test_connection(self) -> tuple[bool, str]:
        """Check token and organisation for Airflow's Test button, with both clients.

        :return: whether the connection works, and the token's user and organisation or the error; both name the keys
            of the extra that mean nothing
        """
        unknown_keys = ""
        try:
            unknown_keys = self.settings.describe_unknown_keys()
            job = _describe_token(self.organisation_id)
            description = self.run_with_timeout(job, TEST_TIMEOUT)
            # In a thread of its own, as there may be an event loop in this one.
            with ThreadPoolExecutor(1) as pool:
                test = self._run_test(_reach_organisation(self.organisation_id))
                pool.submit(asyncio.run, test).result()
        except Exception as error:  # noqa: BLE001 - the Test button shows any error
            # Airflow tests a connection under a random id, which means nothing to the user.
            message = str(error).removeprefix(f"connection {self.mics_conn_id}: ")
            return False, f"{message} {unknown_keys}".rstrip()
        return True, f"{description} {unknown_keys}".rstrip()

    def list_instances(self, **filters: Any) -> list[api.Instance]:
        """Return the organisation's instances.

        :param filters: those of `api.list_instances`, such as ``group_id`` and ``artifact_id``
        """
        return self.run(api.list_instances(**filters))

    def get_instance(self, instance_id: str) -> api.Instance:
        """Return an instance.

        :raises MicsNotFoundError: the instance does not exist
        """
        return self.run(api.get_instance(instance_id))

    def create_instance(self, group_id: str, artifact_id: str, name: str, **fields: Any) -> api.Instance:
        """Create an instance, also if one of that name exists: `MicsCreateInstanceOperator` looks for it first.

        :param group_id: the plugin's group
        :param artifact_id: the plugin's name within the group
        :param name: the instance's name
        :param fields: those of `api.create_instance`, such as ``cron`` and ``cron_status``
        """
        return self.run(api.create_instance(group_id, artifact_id, name, **fields))

    def update_instance(self, instance_id: str, **changes: Any) -> api.Instance:
        """Change some fields of an instance; the others keep their values.

        :param changes: those of `api.update_instance`
        """
        return self.run(api.update_instance(instance_id, **changes))

    def pause_instance(self, instance_id: str) -> api.Instance:
        """Pause the cron of an instance. `MicsPauseInstanceOperator` also cancels planned executions."""
        return self.run(api.pause_instance(instance_id))

    def resume_instance(self, instance_id: str) -> api.Instance:
        """Resume the cron of an instance from its next tick on."""
        return self.run(api.resume_instance(instance_id))

    def delete_instance(self, instance_id: str) -> None:
        """Delete an instance."""
        self.run(api.delete_instance(instance_id))

    def list_executions(self, instance_id: str, **options: Any) -> list[api.Execution]:
        """Return the executions of an instance.

        :param options: those of `api.list_executions`
        """
        return self.run(api.list_executions(instance_id, **options))

    def get_execution(self, instance_id: str, execution_id: str) -> api.Execution:
        """Return an execution.

        :raises MicsNotFoundError: the execution does not exist
        """
        return self.run(api.get_execution(instance_id, execution_id))

    def create_execution(
        self,
        instance_id: str,
        execution_type: str = "MANUAL",
        *,
        expected_start_date: datetime | int | None = None,
        organisation_id: str | None = None,
    ) -> api.Execution:
        """Create an execution. Each call creates another one: use `MicsCreateExecutionOperator` for exactly one.

        :param execution_type: ``MANUAL`` or ``CRON``
        :param expected_start_date: when the platform starts it, as an aware datetime or in epoch milliseconds; by
            default now
        :param organisation_id: the organisation's id; by default the hook's
        """
        start_date = datetime.now(UTC) if expected_start_date is None else expected_start_date
        return self.run(
            api.create_execution(
                instance_id, execution_type, expected_start_date=start_date, organisation_id=organisation_id
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
        """Wait for the end of an execution and return it, whether it succeeded or not.

        :param poll_interval: time between two requests, in seconds or as a timedelta
        :param timeout: longest wait, in seconds or as a timedelta; by default no limit
        :raises MicsTimeoutError: the execution did not end within ``timeout``
        :raises ValueError: ``poll_interval`` or ``timeout`` is not a length of time
        """
        owner = "wait_for_execution"
        interval = seconds_of(owner, "poll_interval", poll_interval, may_be_zero=True)
        deadline = None
        if timeout is not None:
            seconds = seconds_of(owner, "timeout", timeout, may_be_zero=True)
            deadline = datetime.now(UTC) + timedelta(seconds=seconds)
        return self.run(
            api.wait_for_execution(instance_id, execution_id, poll_interval=interval, deadline=deadline)
        )

    def cancel_execution(self, instance_id: str, execution_id: str) -> api.Cancellation:
        """Cancel an execution by whichever method the platform accepts, without waiting until it has stopped."""
        return self.run(api.cancel_execution(instance_id, execution_id))


@flow
def _describe_token(organisation_id: str | None) -> Steps[str]:
    """Return whose token it is, which organisation it reaches, and how many instances that has.

    Where the platform does not say whose token it is, only a list of instances shows that it is valid.

    :raises MicsError: there is no organisation, or neither can be asked for: nothing shows that it is mediarithmics
    """
    name, choice = "an unknown user (this platform does not say whose)", ""
    is_proven = False
    try:
        user = yield from api.get_connected_user()
        name, is_proven = (user.display_name, True) if user.is_somebody else (name, False)
        organisations = [f"{key} ({title})" if title else key for key, title in user.organisations.items()]
        choice = f", such as {', '.join(organisations[:SHOWN_ORGANISATIONS])}" if organisations else ""
    except (api.MicsApiError, api.MicsResponseError) as error:
        status_code = getattr(error, "status_code", None)
        # A token may have the right to run batches and none to ask for its user.
        if status_code == HTTPStatus.UNAUTHORIZED or (
            organisation_id is None and status_code not in NO_SUCH_ROUTE
        ):
            raise
    if organisation_id is None and not is_proven:
        raise api.MicsError(
            "the token could not be checked, as the host does not say whose it is: "
            "set organisation_id in the extra, or check the host"
        )
    if organisation_id is None:
        raise api.MicsError(
            f"The token is {name}'s. No organisation is set: give its id as Organisation id, or as organisation_id in "
            f"the extra{choice}."
        )
    number = yield from _count_instances(organisation_id)
    return (
        f"The token is {name}'s and reaches organisation {organisation_id}, "
        f"which has {number} integration batch instance(s)."
    )


def _count_instances(organisation_id: str) -> Steps[str]:
    """Return how many instances are not archived, or how many of them can be read in a moment."""
    listed: ListProgress[api.Instance] = ListProgress()
    reading = read_list(
        INSTANCES,
        api.Instance,
        lambda each: each.id,
        {"organisation_id": organisation_id},
        page_size=LARGE_PAGE_SIZE,
        progress=listed,
    )
    at_least = ""
    try:
        yield from within(reading, COUNTING_TIMEOUT)
    except api.MicsTimeoutError:
        if not listed.items:
            raise
        at_least = "at least "
    return f"{at_least}{sum(not each.archived for each in listed.items.values())}"


@flow
def _reach_organisation(organisation_id: str | None) -> Steps[None]:
    """Ask for one instance.

    :raises MicsError: the token does not reach the organisation
    """
    yield from list_page(INSTANCES, api.Instance, {"organisation_id": organisation_id}, 0, 1)


class _RequestLogFilter(logging.Filter):
    """Drops httpx's INFO line for each request to one of ``muted``: a poller would fill the triggerer's log."""

    def __init__(self) -> None:
        super().__init__()
        self.muted: tuple[httpx.URL, ...] = ()

    def filter(self, record: logging.LogRecord) -> bool:
        url = record.args[1] if isinstance(record.args, tuple) and len(record.args) > 1 else None
        return record.levelno > logging.INFO or not any(_is_below(url, base) for base in self.muted)


def _is_below(url: Any, base: httpx.URL) -> bool:
    """Whether ``url`` is below ``base``; httpx has normalised the case of the host and the default port of both."""
    return (
        isinstance(url, type(base))
        and (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)
        and url.path.startswith(base.path)
    )


_request_log_filter = _RequestLogFilter()


def mute_request_logs(base_url: str) -> None:
    """Stop httpx from logging requests to ``base_url`` at INFO or below, in this process."""
    import httpx

    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        # No request can be made to it, so none is logged.
        return
    if url not in _request_log_filter.muted:
        _request_log_filter.muted += (url,)
        logging.getLogger("httpx").addFilter(_request_log_filter)
