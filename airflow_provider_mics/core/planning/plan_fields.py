"""Whether the fields of a plan are what they should be: a plan can come from a function of the user's."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from airflow_provider_mics.api.text import one_line

if TYPE_CHECKING:
    from airflow_provider_mics.core.planning.dag_plans import DagPlan

LONGEST_DAG_ID = 250
LONGEST_DISPLAY_NAME = 2000
"""Characters. With one more, PostgreSQL and MySQL store no DAG of the whole file."""
LONGEST_SHOWN = 80
TEXTS = ("instance_id", "timezone")
TEXTS_OR_NONE = ("display_name", "description", "doc_md", "cron", "console_page", "problem")
_DAG_ID = re.compile(rf"[\w.-]{{1,{LONGEST_DAG_ID}}}")


def field_problem(plan: DagPlan) -> str | None:
    """Return what is wrong with a field, as the end of a sentence, or None."""
    if not isinstance(plan.dag_id, str) or not _DAG_ID.fullmatch(plan.dag_id):
        return (
            f"the dag_id {_shown(plan.dag_id)}: it must be a text of letters, digits, dots, dashes and underscores, of "
            f"{LONGEST_DAG_ID} characters at most"
        )
    for name in (*TEXTS, *TEXTS_OR_NONE):
        value = getattr(plan, name)
        if not isinstance(value, str) and not (value is None and name in TEXTS_OR_NONE):
            return f"the {name} {_shown(value)}, which is no text"
    if plan.display_name and len(plan.display_name) > LONGEST_DISPLAY_NAME:
        return f"a display_name of {len(plan.display_name)} characters: at most {LONGEST_DISPLAY_NAME} can be stored"
    tags: object = plan.tags
    if (
        isinstance(tags, str)
        or not isinstance(tags, Collection)
        or not all(isinstance(each, str) for each in tags)
    ):
        return f"the tags {_shown(tags)}, which are no tuple of texts, such as ('mine',)"
    return None


def _shown(value: object) -> str:
    return one_line(repr(value), LONGEST_SHOWN)
