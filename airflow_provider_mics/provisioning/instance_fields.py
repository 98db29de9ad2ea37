"""The fields of an instance that a user may set, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_mics.api.checks import checked_cron, checked_size, checked_word
from airflow_provider_mics.api.crons import cron_problem
from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.models import SIZE_NAMES
from airflow_provider_mics.api.vocabulary import CronStatus
from airflow_provider_mics.provisioning.texts import checked_text, single_spaced

EVERY_MINUTE = ["*"] * 5


def checked_fields(fields: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
    """The given fields in the platform's spelling; those that were not given stay out.

    ``creating``: there is no instance yet whose cron or status could complete what is given.

    :raises MicsError: a cron without a status, a cron that cannot be read, an unknown word, a name that says nothing
    """
    checked = dict(fields)
    if "name" in checked:
        checked["name"] = checked_text("name", checked["name"])
    if "cron" in checked:
        checked["cron"] = single_spaced(checked["cron"])
    for name in SIZE_NAMES:
        if name in checked:
            checked[name] = checked_size(name, checked[name])
    if checked.get("cron_status") is not None:
        checked["cron_status"] = checked_word("cron_status", CronStatus, checked["cron_status"])
    if creating or {"cron", "cron_status"} <= checked.keys():
        checked_cron(checked.get("cron"), checked.get("cron_status"))
    elif {"cron", "cron_status"} & checked.keys():
        _check_one_of_both(checked)
    return checked


def _check_one_of_both(fields: Mapping[str, Any]) -> None:
    """With one of the two left as it is, the other can be changed but not cleared."""
    name = "cron" if "cron" in fields else "cron_status"
    if fields[name] is None:
        raise MicsError(f"{name}=None alone: to clear the schedule, give cron=None and cron_status=None")
    problem = cron_problem(fields["cron"]) if name == "cron" else None
    if problem:
        raise MicsError(f"cron {fields['cron']!r} {problem}")


def cron_warning(cron: str | None) -> str | None:
    """What is odd about a cron that can be read, or None.

    The editor of the platform's own web client uses ``* * * * *`` for "no schedule" and saves it as none.
    """
    if cron is None or cron.split() != EVERY_MINUTE:
        return None
    return (
        f"cron {cron!r} runs the batch every minute, and the platform's own editor takes it for 'no schedule'. "
        "If that is what you mean, give cron=None and cron_status=None."
    )
