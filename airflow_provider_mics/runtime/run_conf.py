"""The configuration with which a person or a program triggered a DAG run."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.api.text import one_line

if TYPE_CHECKING:
    from airflow_provider_mics.runtime.compat import Context

LONGEST_KEY = 100


def check_run_conf(context: Context) -> None:
    """Check that each key of the run's configuration is one of the DAG's params: a misspelled one has no effect.

    :raises MicsError: one is not
    """
    dag, dag_run = context["dag"], context["dag_run"]
    conf: Any = dag_run.conf
    known = sorted(dag.params)
    for key in sorted(map(str, conf or {})):
        if key not in known:
            meant = get_close_matches(key, known, n=1)
            hint = f"did you mean {meant[0]!r}?" if meant else f"it can have {', '.join(known) or 'none'}"
            raise MicsError(
                f"the configuration of this run has the key {one_line(key, LONGEST_KEY)!r}, which means nothing: {hint}"
            )
