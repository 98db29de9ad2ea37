"""Processes that end when their owner ends, with all that they started themselves."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import psutil

END_SECONDS = 15


def free_port(preferred: int = 0) -> int:
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
    """Starts Python programs, each with a log file. Ends them, and their descendants, on leaving the ``with``."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(
        self, name: str, arguments: Sequence[str], environ: Mapping[str, str], **streams: Any
    ) -> subprocess.Popen[bytes]:
        """Start ``python arguments``. Its output goes to its log file, unless ``streams`` say otherwise."""
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log_file(name).open("ab") as log:
            files = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT} | streams
            # In a session of its own, so that Ctrl-C reaches the owner only, which ends them in order.
            process = subprocess.Popen(
                [sys.executable, *arguments], env=dict(environ), start_new_session=True, **files
            )
        self._started[name] = process
        return process

    def log_file(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def log(self, name: str) -> str:
        """All that the program has written so far."""
        return self.log_file(name).read_text(errors="replace")

    def ended(self) -> str | None:
        """The name of a process that ended by itself, with the last lines of its log. None while all go on."""
        for name, process in self._started.items():
            if process.poll() is not None:
                lines = self.log(name).splitlines()[-15:]
                return f"{name} ended with exit code {process.returncode}:\n  " + "\n  ".join(lines)
        return None

    def stop(self, name: str, seconds: float = END_SECONDS) -> None:
        """Send SIGTERM, as a deployment does, and SIGKILL to what is left after some seconds."""
        _end([self._started.pop(name)], seconds)

    def kill(self, name: str) -> None:
        """Send SIGKILL to the program and to all that it started."""
        process = self._started.pop(name)
        _kill(_family(process.pid))
        process.wait(END_SECONDS)

    def end(self, seconds: float = END_SECONDS) -> None:
        """Stop all of them at once."""
        started = list(self._started.values())
        self._started.clear()
        _end(started, seconds)


def _end(processes: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    families = [each for process in processes for each in _family(process.pid)]
    for process in processes:
        process.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(families, timeout=seconds)
    _kill(member for each in left for member in _family(each.pid))
    for process in processes:
        process.wait(END_SECONDS)


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
