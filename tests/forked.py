"""Processes that begin with their imports done: they are forked from one that has imported what they need.

A sandbox starts in a tenth of the time of ``python -m``, and a run of a DAG, for which Airflow builds a whole API, in
less. The parent is multiprocessing's fork server, one for each process of pytest.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parent.parent
CONTEXT = multiprocessing.get_context("forkserver")
SANDBOX = (
    "airflow_provider_mics.sandbox.server",
    "airflow_provider_mics.sandbox.demo",
    "uvicorn.lifespan.on",
)


def start_server(*preload: str, environ: Mapping[str, str] | None = None) -> None:
    """Start the process that others are forked from, unless there is one.

    :param preload: the modules that it imports, besides those of the sandbox
    :param environ: its variables, by default those of this process
    """
    before = dict(os.environ)
    path = os.pathsep.join(filter(None, (str(PROJECT), before.get("PYTHONPATH"))))
    _set_environ({**(environ or before), "PYTHONPATH": path})
    try:
        CONTEXT.set_forkserver_preload([*SANDBOX, *preload])
        forkserver.ensure_running()
    finally:
        _set_environ(before)


@cache
def _start_server_once() -> None:
    """Once only: the variables of this process are others meanwhile, which its threads would see."""
    start_server()


class ForkedProcess:
    """``python -m module arguments``, with its own variables. It ends with this process at the latest."""

    def __init__(self, module: str, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        _start_server_once()
        reader, writer = CONTEXT.Pipe(duplex=False)
        call = (module, list(arguments), dict(environ), str(Path.cwd()), writer)
        self._process = CONTEXT.Process(target=_run, args=call, daemon=True)
        self._process.start()
        writer.close()
        with reader:
            self.output: IO[str] = os.fdopen(os.dup(reader.fileno()), "r")
        """What it prints, on both its standard streams."""
        pid = self._process.pid
        assert pid is not None
        self.pid = pid

    def send_signal(self, number: signal.Signals) -> None:
        if self._process.is_alive():
            os.kill(self.pid, number)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return the exit code, or None if it has not ended within the timeout."""
        self._process.join(timeout_s)
        return self._process.exitcode


def _run(
    module: str, arguments: list[str], environ: Mapping[str, str], folder: str, output: Connection
) -> None:
    _set_environ(environ)
    time.tzset()
    os.chdir(folder)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output.fileno(), stream.fileno())
    output.close()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _set_environ(environ: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
