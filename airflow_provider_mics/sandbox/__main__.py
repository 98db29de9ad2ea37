"""The command line of the sandbox: ``python -m airflow_provider_mics.sandbox``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_mics.sandbox.database import UnusableFileError
from airflow_provider_mics.sandbox.demo import seed_demo
from airflow_provider_mics.sandbox.executions import SCRIPT_PROPERTIES
from airflow_provider_mics.sandbox.faults import FaultParameters, FaultPlan, FaultRule, fault_rules
from airflow_provider_mics.sandbox.quirks import InvalidQuirkError, describe_quirks, quirk_of_option
from airflow_provider_mics.sandbox.scheduler import Scheduler
from airflow_provider_mics.sandbox.state import PlatformState

# Modules that need fastapi or uvicorn are imported inside functions: `main` must be able to report what is missing.

DEFAULT_TOKENS = {"sandbox-token": ["1185"]}


class BadOptionError(Exception):
    """An unusable option. Its text is one line for the user."""


def main() -> int:
    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        print(
            f'the sandbox needs {" and ".join(missing)}: pip install "airflow-provider-mics[sandbox]"',
            file=sys.stderr,
        )
        return 2
    run(sys.argv[1:])
    return 0


def run(arguments: Sequence[str]) -> None:
    """Serve until a signal arrives. Prints one line with the address when the server is ready."""
    from airflow_provider_mics.sandbox.fault_injection import Downtime
    from airflow_provider_mics.sandbox.server import PortTakenError, application, listening_socket, serve

    options = command_line().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mics-sandbox-") as folder:
        try:
            listening = listening_socket(options.host, options.port)
            plan = _fault_plan(options)
            platform = _platform(options, Path(folder))
        except (PortTakenError, InvalidQuirkError, UnusableFileError, BadOptionError) as error:
            raise SystemExit(f"error: {error}") from None
        greeting = _greeting(options.host, listening.getsockname()[1], platform)
        downtime = Downtime()
        app = application(platform, plan, downtime)
        serve(app, listening, downtime, on_ready=lambda: print(greeting, flush=True))


def command_line() -> argparse.ArgumentParser:
    """Return the parser of the options, from which the documentation is generated too."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_mics.sandbox",
        description="A local mediarithmics with integration batches, for development and tests without an account.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_server_options(parser)
    _add_platform_options(parser)
    return parser


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, default=8480, help="port to listen on, 0 for a free one (default: 8480)"
    )
    parser.add_argument("--db", type=Path, help="SQLite file for all data (default: a temporary file)")
    parser.add_argument(
        "--seed-demo",
        action="store_true",
        help="create the organisation Acme Retail (1185) with example batches and their history",
    )


def _add_platform_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timezone", type=_timezone, help="time zone of crons (default: the one in --db, or UTC)"
    )
    parser.add_argument(
        "--speed", type=_speed, help="platform seconds per real second (default: the one in --db, or 1)"
    )
    parser.add_argument(
        "--token",
        action="append",
        type=_token,
        metavar="TOKEN=ORG[,ORG]",
        help="a valid token and its organisations (default: sandbox-token=1185); repeatable",
    )
    parser.add_argument(
        "--quirk",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="set a quirk, see below; repeatable",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="JSON",
        help="a fault rule or a list of them, see below; repeatable",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="random seed for the probability of faults (default: 0)"
    )


def _epilog() -> str:
    text = "\n\n".join("\n  ".join([f"{title}:", *lines]) for title, lines in topics().items())
    return text.replace("``", "")


def topics() -> dict[str, list[str]]:
    """Return what else can be set, by topic: lines of the form ``name: description``."""
    from airflow_provider_mics.sandbox.fault_injection import describe_kinds

    return {
        "properties of an instance that control its executions": _lines(SCRIPT_PROPERTIES),
        "quirks (NAME=DEFAULT: description)": describe_quirks(),
        "fields of a fault rule": _lines(
            {name: field.description for name, field in FaultRule.model_fields.items()}
        ),
        "kinds of fault": _lines(describe_kinds()),
        "parameters of a fault": _lines(
            {name: field.description for name, field in FaultParameters.model_fields.items()}
        ),
        "admin routes, all with JSON": _admin_routes(),
    }


def _lines(descriptions: dict[str, Any]) -> list[str]:
    return [f"{name}: {description}" for name, description in descriptions.items()]


def _admin_routes() -> list[str]:
    """Return a line for each admin route, from the first line of its docstring."""
    from fastapi.routing import APIRoute

    from airflow_provider_mics.sandbox.admin_routes import router

    return [
        f"{method} {route.path}: {(route.endpoint.__doc__ or '').splitlines()[0]}"
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods)
    ]


def _fault_plan(options: argparse.Namespace) -> FaultPlan:
    rules = []
    for option in options.fault:
        try:
            rules += fault_rules(json.loads(option))
        except ValueError as error:
            raise BadOptionError(f"--fault {option}: {error}") from None
    plan = FaultPlan()
    plan.replace_rules(rules, options.seed)
    return plan


def _platform(options: argparse.Namespace, folder: Path) -> PlatformState:
    platform = PlatformState(options.db or folder / "sandbox.sqlite")
    if options.token or not platform.tokens:
        platform.set_tokens(dict(options.token or DEFAULT_TOKENS.items()))
    changes: dict[str, Any] = {}
    for option in options.quirk:
        changes |= quirk_of_option(option)
    if changes:
        platform.change_quirks(changes)
    if options.speed is not None:
        platform.set_speed(options.speed)
    if options.timezone is not None and options.timezone != platform.timezone.key:
        platform.set_timezone(options.timezone)
        Scheduler(platform).set_all_next_ticks()
    if options.seed_demo:
        seed_demo(platform)
    return platform


def _greeting(host: str, port: int, platform: PlatformState) -> str:
    token, organisations = next(iter(platform.tokens.items()))
    address = f"[{host}]" if ":" in host else host
    return (
        f"mediarithmics sandbox on http://{address}:{port} (organisation {organisations[0]}, token {token})"
    )


def _timezone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ValueError, KeyError, OSError):
        raise argparse.ArgumentTypeError(f"unknown time zone {name!r}") from None


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0
    if not 0 < speed <= 1e6:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 1,000,000, not {text!r}")
    return speed


def _token(text: str) -> tuple[str, list[str]]:
    token, _, organisations = text.rpartition("=")
    names = [name.strip() for name in organisations.split(",") if name.strip()]
    if not token.strip() or not names:
        raise argparse.ArgumentTypeError("must be TOKEN=ORG[,ORG]")
    return token.strip(), names


if __name__ == "__main__":
    sys.exit(main())
