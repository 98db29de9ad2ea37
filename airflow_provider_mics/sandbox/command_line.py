"""The command line of the sandbox."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi.routing import APIRoute

from airflow_provider_mics.sandbox import admin_routes, fault_injection, quirks
from airflow_provider_mics.sandbox.database import UnusableFileError
from airflow_provider_mics.sandbox.demo import seed_demo
from airflow_provider_mics.sandbox.executions import SCRIPT_PROPERTIES
from airflow_provider_mics.sandbox.fault_injection import Downtime
from airflow_provider_mics.sandbox.faults import FaultParameters, FaultPlan, FaultRule, fault_rules
from airflow_provider_mics.sandbox.quirks import UnknownQuirkError, quirk_of_option
from airflow_provider_mics.sandbox.scheduler import Scheduler
from airflow_provider_mics.sandbox.server import PortTakenError, application, listening_socket, serve
from airflow_provider_mics.sandbox.state import PlatformState

DEFAULT_TOKENS = {"sandbox-token": ["1185"]}


class BadOptionError(Exception):
    """An invalid option. Its text is one line for the user."""


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_mics.sandbox",
        description="A local mediarithmics with integration batches, for developing and testing without an account.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8480, help="0 takes a free one (default: 8480)")
    parser.add_argument(
        "--db", type=Path, help="SQLite file that keeps everything (default: a temporary one)"
    )
    parser.add_argument(
        "--seed-demo",
        action="store_true",
        help="begin with the organisation Acme Retail (1185) and its batches",
    )
    parser.add_argument(
        "--timezone", type=_timezone, help="time zone of crons (default: UTC, or the one of --db)"
    )
    parser.add_argument("--speed", type=_speed, help="platform seconds in each real second (default: 1)")
    parser.add_argument(
        "--token",
        action="append",
        type=_token,
        metavar="TOKEN=ORG[,ORG]",
        help="a token and the organisations it reaches (default: sandbox-token=1185); repeatable",
    )
    parser.add_argument(
        "--quirk", action="append", default=[], metavar="NAME[=VALUE]", help="see below; repeatable"
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="JSON",
        help="a rule, or a list of them; see below; repeatable",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the faults (default: 0)")
    return parser


def run(arguments: Sequence[str], say: Callable[[str], None]) -> None:
    """Serve until a signal stops the process. ``say`` prints a line."""
    options = parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mics-sandbox-") as folder:
        try:
            listening = listening_socket(options.host, options.port)
            plan = _plan(options)
            platform = _platform(options, Path(folder))
        except (PortTakenError, UnknownQuirkError, UnusableFileError, BadOptionError) as problem:
            raise SystemExit(f"error: {problem}") from None
        greeting = _greeting(options.host, listening.getsockname()[1], platform)
        downtime = Downtime()
        serve(application(platform, plan, downtime), listening, downtime, when_ready=lambda: say(greeting))


def _epilog() -> str:
    rule = [
        f"{name}: {field.description}" for name, field in FaultRule.model_fields.items() if field.description
    ]
    parameters = [f"{name}: {field.description}" for name, field in FaultParameters.model_fields.items()]
    sections = {
        "properties of an instance that control its executions": [
            f"{name}: {meaning}" for name, meaning in SCRIPT_PROPERTIES.items()
        ],
        "quirks (NAME=DEFAULT: meaning)": quirks.described(),
        'a fault: {"kind": ..., and any of these}': rule,
        "kinds of fault": [
            f"{kind}: {meaning}" for kind, meaning in fault_injection.describe_kinds().items()
        ],
        "parameters of a fault": parameters,
        "while it runs, in JSON": _routes(),
    }
    return "\n\n".join("\n  ".join([f"{title}:", *lines]) for title, lines in sections.items())


def _routes() -> list[str]:
    """Return the admin routes, each with what it does."""
    return [
        f"{method} {route.path}: {(route.endpoint.__doc__ or '').splitlines()[0]}"
        for route in admin_routes.router.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods)
    ]


def _plan(options: argparse.Namespace) -> FaultPlan:
    rules = []
    for option in options.fault:
        try:
            rules += fault_rules(json.loads(option))
        except ValueError as problem:
            raise BadOptionError(f"--fault {option}: {problem}") from None
    plan = FaultPlan()
    plan.replace_rules(rules, options.seed)
    return plan


def _greeting(host: str, port: int, platform: PlatformState) -> str:
    token, organisations = next(iter(platform.tokens.items()))
    address = f"[{host}]" if ":" in host else host
    return (
        f"mediarithmics sandbox on http://{address}:{port} (organisation {organisations[0]}, token {token})"
    )


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


def _timezone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ValueError, KeyError, OSError):
        raise argparse.ArgumentTypeError(f"there is no time zone {name!r}") from None


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
