"""The command line of the doctor: ``python -m airflow_provider_mics.doctor``."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import TextIOWrapper

from airflow_provider_mics.api.errors import MicsError
from airflow_provider_mics.doctor.examination import DEFAULT_TIME_LIMIT, Examination
from airflow_provider_mics.doctor.report import ExitStatus
from airflow_provider_mics.doctor.settings import (
    PREFIX,
    VARIABLES,
    settings_of_connection,
    settings_of_variables,
)

WIDTH_WITHOUT_TERMINAL = 140
DESCRIPTION = """\
Asks a mediarithmics platform what it is like, and says which settings fit it: whose token it is, clock, latency and
rate limits; the time zone that the history of all instances supports; crons and names that need attention; and how
this platform does what its documentation leaves open. Nothing is changed there without --allow-writes. Of a large
account only a part is read, and each line says how much. The token is never printed.
"""
EPILOG = """\
environment variables, without --conn-id:
{variables}

exit status:
  0  nothing to do
  1  something to do: see the lines "to do"
  2  not everything could be asked: no settings, a refused token, no organisation, no answer, an interruption; or a
     wrong option

examples:
  python -m airflow_provider_mics.doctor --conn-id mics_default
  MICS_TOKEN=... MICS_ORGANISATION_ID=1185 python -m airflow_provider_mics.doctor --json
  python -m airflow_provider_mics.doctor --conn-id mics_default --allow-writes --instance 4107
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    _write_any_character()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    options = command_line().parse_args(arguments)
    if options.allow_writes != (options.instance is not None):
        command_line().error("--allow-writes and --instance ID go together")
    try:
        # Airflow may log to the standard output, which is for the report only.
        with redirect_stdout(sys.stderr):
            if options.conn_id is None:
                settings = settings_of_variables(os.environ)
            else:
                settings = settings_of_connection(options.conn_id)
            report = Examination(
                settings,
                options.conn_id,
                snapshot=options.snapshot,
                write_to=options.instance,
                time_limit=options.time_limit,
            ).run()
    except MicsError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitStatus.NOT_ASKED
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return ExitStatus.NOT_ASKED
    width = shutil.get_terminal_size((WIDTH_WITHOUT_TERMINAL, 0)).columns
    _print(report.to_json() if options.json else report.to_table(width))
    return report.exit_status


def _write_any_character() -> None:
    """Let both streams write names of any language, whatever their encoding: as an escape where it lacks one."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _print(text: str) -> None:
    """Print the report. Whoever reads it may have read enough, as ``head`` does."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python flushes once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def command_line() -> argparse.ArgumentParser:
    variables = "\n".join(f"  {PREFIX + name:<22}{meaning}" for name, meaning in VARIABLES.items())
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_mics.doctor",
        description=DESCRIPTION,
        epilog=EPILOG.format(variables=variables),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--conn-id",
        metavar="ID",
        help="a connection of Airflow, such as mics_default, from wherever Airflow keeps it",
    )
    parser.add_argument(
        "--snapshot",
        metavar="PLACE",
        help="path or URL of the factory's snapshot (default: the one that a factory with this connection uses)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--allow-writes",
        action="store_true",
        help="also create, find and cancel one execution of --instance; it is due in a day, so it does not start",
    )
    parser.add_argument("--instance", metavar="ID", help="the instance for --allow-writes")
    parser.add_argument(
        "--time-limit",
        type=_seconds,
        default=DEFAULT_TIME_LIMIT.total_seconds(),
        metavar="SECONDS",
        help="ask nothing more after this time (default: %(default)g)",
    )
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 1e6:
        raise ValueError(text)
    return seconds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
