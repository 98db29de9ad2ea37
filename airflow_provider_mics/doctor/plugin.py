"""Whether the Airflow of this process has loaded the package's plugin."""

from __future__ import annotations

from airflow_provider_mics.doctor.checks.rows import Result, Row

CHECK = "plugin"
ADVICE = (
    "Look at `airflow plugins` and `airflow providers list` there. Install the package where DAG processors, "
    "schedulers and API servers run, and restart them."
)


def plugin_row() -> Row:
    """Return whether Airflow can store and read back the timetable of generated DAGs. Needs Airflow."""
    from airflow import __version__

    from airflow_provider_mics.timetables import is_registered

    if is_registered():
        means = "It stores generated DAGs and reads them back. Each Airflow process must have it."
        return Row(CHECK, Result.OK, f"Airflow {__version__} has loaded it", means)
    means = (
        "Here, generated DAGs have Airflow's own timetable, and those that another process has stored with the "
        "timetable of this package cannot be read."
    )
    return Row(CHECK, Result.TO_DO, f"Airflow {__version__} has not loaded it", means, ADVICE)
