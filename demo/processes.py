"""Processes that end when the demo ends, with all they started themselves."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

SECONDS_TO_END = 15


def free_port(preferred: int) -> int:
    """``preferred`` where nothing listens there, else any free port of the loopback."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


class Processes:
    """Starts commands, each with a log file; ends them, and their descendants, on leaving the ``with``."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        # In a session of its own, so that Ctrl-C reaches the demo only and it ends them in order.
        with self.log(name).open("wb") as log:
            self._started[name] = subprocess.Popen(
                [sys.executable, *command],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def ended(self) -> str | None:
        """The name of a process that ended by itself, with the last lines of its log; None while all go on."""
        for name, process in self._started.items():
            if process.poll() is not None:
                lines = self.log(name).read_text(errors="replace").splitlines()[-15:]
                return f"{name} ended with exit code {process.returncode}:\n  " + "\n  ".join(lines)
        return None

    def end(self) -> None:
        """End everything: asked first, and by force what does not listen."""
        family = [each for process in self._started.values() for each in _family(process.pid)]
        for each in family:
            _signal(each, signal.SIGTERM)
        _, stubborn = psutil.wait_procs(family, timeout=SECONDS_TO_END)
        for each in stubborn:
            for member in _family(each.pid):
                _signal(member, signal.SIGKILL)
        psutil.wait_procs(stubborn, timeout=SECONDS_TO_END)
        self._started.clear()


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def environment(**settings: str) -> dict[str, str]:
    """This environment without Airflow's settings of its own, and with these; bytecode may be written."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW") and name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
    }
    # Airflow starts its parts by the name of its command.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    loopback = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    return kept | {"PATH": path} | loopback | settings
