"""Whose token it is, and whether it reaches the organisation."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_mics.api.calls import Steps, flow
from airflow_provider_mics.api.errors import (
    MicsApiError,
    MicsAuthError,
    MicsError,
    MicsResponseError,
    MicsTimeoutError,
)
from airflow_provider_mics.api.executions import is_missing
from airflow_provider_mics.api.instances import INSTANCES
from airflow_provider_mics.api.models import ConnectedUser, Instance
from airflow_provider_mics.api.paging import list_page
from airflow_provider_mics.api.users import get_connected_user
from airflow_provider_mics.doctor.checks.routes import is_passing
from airflow_provider_mics.doctor.checks.rows import Result, Row, names

WHERE_TOKENS_ARE = "Make one on the platform under My account > API tokens"


@dataclass(frozen=True)
class Access:
    """What one client learned. ``user`` is None where the platform does not say whose token it is.

    ``user_problem`` says why; ``problem`` is the error that keeps the client from the organisation, or None.
    """

    user: ConnectedUser | None = None
    user_problem: MicsError | None = None
    problem: MicsError | None = None


@flow
def ask_access(organisation_id: str | None) -> Steps[Access]:
    """Ask for the user of the token, and for one instance of the organisation.

    A platform may lack the route of the user, or refuse it to API tokens, as operators never ask for it: then the
    organisation shows whether the token is valid.
    """
    user, user_problem = None, None
    try:
        user = yield from get_connected_user()
    except MicsError as error:
        is_answer = isinstance(error, MicsApiError | MicsResponseError)
        is_refusal = isinstance(error, MicsAuthError) and (
            error.status_code == 401 or organisation_id is None
        )
        if is_refusal or not is_answer:
            return Access(problem=error)
        user_problem = error
    if organisation_id is None:
        return Access(user, user_problem, None if user is not None else user_problem)
    try:
        yield from list_page(INSTANCES, Instance, {"organisation_id": organisation_id}, 0, 1)
    except MicsError as error:
        return Access(user, user_problem, error)
    return Access(user, user_problem)


def may_ask_more(organisation_id: str | None, blocking: Access, deferred: Access | None) -> bool:
    """Whether both clients reach the organisation, so that everything else can be asked."""
    return (
        organisation_id is not None
        and blocking.problem is None
        and deferred is not None
        and deferred.problem is None
    )


def access_rows(organisation_id: str | None, blocking: Access, deferred: Access | None) -> list[Row]:
    """Return the rows of token and organisation.

    :param deferred: what the async client learned, or None if it was not asked because the other one failed
    """
    token = _failed_token_row(blocking, deferred)
    if token is not None:
        return [token]
    return [_token_row(blocking), _organisation_row(organisation_id, blocking, deferred)]


def _failed_token_row(blocking: Access, deferred: Access | None) -> Row | None:
    """Return the row of a token of which a client learned nothing, else None."""
    if blocking.user is None and blocking.problem is not None:
        return Row("token", Result.NOT_ASKED, str(blocking.problem), *_advice(blocking.problem))
    if deferred is not None and deferred.user is None and deferred.problem is not None:
        if isinstance(deferred.problem, MicsTimeoutError):
            found = f"in the async client: {deferred.problem}"
            return Row("token", Result.NOT_ASKED, found, *_advice(deferred.problem))
        means = (
            "Operators work, but deferred tasks, sensors and asset watchers use the async client and do not."
        )
        advice = "Compare the proxies, NO_PROXY and CA bundle of the row network with what httpx supports."
        return Row("token", Result.NOT_ASKED, f"in the async client: {deferred.problem}", means, advice)
    return None


def _token_row(blocking: Access) -> Row:
    if blocking.user is None and is_passing(blocking.user_problem):
        means = (
            "An outage or a rate limit hides whose it is. The token is valid, as it reaches the organisation."
        )
        found = f"whose it is could not be asked: {blocking.user_problem}"
        return Row("token", Result.NOT_ASKED, found, means, "Ask again later.")
    if blocking.user is None:
        reason = "the platform does not have the route connected_user"
        if isinstance(blocking.user_problem, MicsAuthError):
            reason = f"the platform does not tell it whose it is: {blocking.user_problem}"
        elif not is_missing(blocking.user_problem):
            reason = f"the platform does not say: {blocking.user_problem}"
        means = "The token is valid, as it reaches the organisation. The Test button cannot name its user."
        return Row("token", Result.NOTE, f"of an unknown user: {reason}", means)
    if not blocking.user.is_somebody:
        means = "The token is valid. The Test button cannot name its user."
        return Row("token", Result.NOTE, "of an unknown user: the platform does not say whose it is", means)
    return Row("token", Result.OK, f"of {blocking.user.display_name}", "Both clients may use the platform.")


def _advice(problem: MicsError) -> tuple[str, str]:
    """Return what a failure to ask at all means, and what to do."""
    if isinstance(problem, MicsTimeoutError):
        return (
            "The time limit was over before the platform had answered.",
            "Check the host, the proxy and NO_PROXY, or give a longer --time-limit.",
        )
    if is_passing(problem) and (problem.from_platform or problem.status_code == 429):
        return (
            "An outage, a gateway or a rate limit: it says nothing about the token.",
            "Check the host and the proxy, and ask again later.",
        )
    if isinstance(problem, MicsApiError) and problem.status_code in (401, 403):
        or_rights = ", or has no right in this organisation" if problem.status_code == 403 else ""
        return (
            f"The platform refuses the token: it is wrong, has expired or was revoked{or_rights}.",
            f"{WHERE_TOKENS_ARE}, and put it into the password of the connection (or MICS_TOKEN).",
        )
    if isinstance(problem, MicsApiError) and problem.from_platform:
        return (
            "The platform answers, but not this question.",
            "Ask the vendor, with the error_id if there is one.",
        )
    if isinstance(problem, MicsApiError | MicsResponseError):
        return (
            "What answers is not the platform, but a gateway, a proxy, a login page or another site.",
            "Check the host, the proxy and NO_PROXY.",
        )
    return (
        "The platform cannot be reached from here.",
        "Check the host, the port, the proxy, NO_PROXY and the CA bundle; then try again.",
    )


def _organisation_row(organisation_id: str | None, blocking: Access, deferred: Access | None) -> Row:
    own = blocking.user.organisations if blocking.user is not None else {}
    shown = names([f"{key} ({name})" if name else key for key, name in own.items()])
    if organisation_id is None:
        means = "Every call needs one: no list of instances, no DAG."
        choice = f": one of {shown}" if own else ""
        return Row("organisation", Result.TO_DO, "none is set", means, f"Set organisation_id{choice}.")
    problem = blocking.problem or (deferred.problem if deferred is not None else None)
    if problem is not None:
        is_refused = isinstance(problem, MicsApiError) and problem.status_code in (400, 403, 404)
        if is_refused:
            means = "The token has no right to read the integration batches of this organisation."
            advice = f"Set organisation_id to one of {shown}." if own else "Check organisation_id."
            return Row("organisation", Result.TO_DO, f"{organisation_id}: {problem}", means, advice)
        return Row("organisation", Result.NOT_ASKED, f"{organisation_id}: {problem}", *_advice(problem))
    name = own.get(organisation_id)
    if name is not None:
        found = f"{organisation_id} ({name})" if name else organisation_id
        return Row(
            "organisation", Result.OK, found, "It is one of the token's own, and both clients read it."
        )
    if own:
        means = "The token may read it, though its user belongs to others."
        advice = f"Check that {organisation_id} is meant, not {shown}."
        return Row("organisation", Result.NOTE, f"{organisation_id}: none of the user's", means, advice)
    means = "Both clients read it. The platform does not say which organisations the user belongs to."
    return Row("organisation", Result.OK, organisation_id, means)
