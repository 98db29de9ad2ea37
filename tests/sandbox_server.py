"""A sandbox in its own process, for tests that start, control, kill and restart it."""

from __future__ import annotations

import os
import queue
import re
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import requests

from tests.forked import ForkedProcess

GREETING = re.compile(r"mediarithmics sandbox on (http://\S+) \(organisation (\S+), token (\S+)\)")
START_TIMEOUT_S = 60.0


def keep_loopback_off_proxies() -> None:
    """Exclude loopback addresses from proxies, for this process and its children."""
    hosts = {
        host for name in ("NO_PROXY", "no_proxy") for host in os.environ.get(name, "").split(",") if host
    }
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(sorted(hosts | {"127.0.0.1", "localhost"}))


class SandboxServer:
    """A local mediarithmics on a free port of loopback.

    Options are those of the command line, with underscores: ``SandboxServer(speed=60, seed_demo=True)``; ``arguments``
    are more of them, as they are written there. ``quirks`` and ``faults`` are in force from the start. ``token`` is the
    first of ``tokens``. It is a context manager; by hand call `start` and `stop`.
    """

    def __init__(
        self,
        *,
        db: Path | None = None,
        tokens: Mapping[str, Sequence[str]] | None = None,
        quirks: dict[str, Any] | None = None,
        faults: Sequence[dict[str, Any]] = (),
        arguments: Sequence[str] = (),
        **options: Any,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mics-test-")
        self.db = db or Path(self._folder.name) / "sandbox.sqlite"
        self.tokens = dict(tokens or {"sandbox-test-token": ["1185"]})
        self.token = next(iter(self.tokens))
        self.organisation_id = next(iter(self.tokens[self.token]))
        self.port = int(options.pop("port", 0))
        self._start_quirks = quirks or {}
        self._faults: dict[str, Any] = {"rules": list(faults)}
        self._options, self._more_arguments = options, list(arguments)
        self._process: ForkedProcess | None = None
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The URL without ``/v1``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> Self:
        """Start it, on its former port if it had one, and wait until it answers."""
        keep_loopback_off_proxies()
        arguments = ["--port", str(self.port), "--db", str(self.db), *self._arguments()]
        self._process = ForkedProcess("airflow_provider_mics.sandbox", arguments, os.environ)
        self._lines = _Lines(self._process.output)
        greeting = self._lines.wait_for(GREETING, START_TIMEOUT_S)
        if greeting is None:
            self._end(signal.SIGKILL)
            raise RuntimeError(f"the sandbox did not start: {self.output()}")
        self.port = int(greeting[1].rpartition(":")[2])
        if self._start_quirks:
            self.quirks(**self._start_quirks)
        if self._faults["rules"]:
            self._admin("PUT", "faults", self._faults)
        return self

    def stop(self) -> None:
        """End it with SIGTERM, and delete its database if that is a temporary one."""
        self.terminate()
        self._session.close()
        self._folder.cleanup()

    def terminate(self) -> int | None:
        """Send SIGTERM, wait, and return the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL, so that it cannot save anything."""
        self._end(signal.SIGKILL)

    def restart(self) -> Self:
        """Kill it and start it on the same port and database, with the same quirks and faults."""
        self.kill()
        self._start_quirks = {}
        return self.start()

    def output(self) -> str:
        """Return everything that it has printed."""
        return self._lines.text()

    def quirks(self, **changes: Any) -> dict[str, Any]:
        """Change some quirks (with ``reset=True`` the others become defaults), and return all."""
        answer: dict[str, Any] = self._admin("PUT", "quirks", changes)
        return answer

    def faults(self, rules: Sequence[dict[str, Any]] = (), seed: int = 0) -> None:
        """Replace the fault rules. The counts continue until `clear_faults`."""
        self._faults = {"rules": list(rules), "seed": seed}
        self._admin("PUT", "faults", self._faults)

    def clear_faults(self) -> None:
        """Remove all fault rules and counts."""
        self._faults = {"rules": []}
        self._admin("DELETE", "faults")

    def injected(self) -> dict[str, int]:
        """Return the number of injected faults by kind."""
        counts: dict[str, int] = self._admin("GET", "faults")["injected"]
        return counts

    def executions(
        self, instance_id: str | None = None, created_by: str | None = None
    ) -> list[dict[str, Any]]:
        """Return all executions, also deleted ones, oldest first. ``created_by`` is ``api`` or ``scheduler``."""
        query: dict[str, Any] = {"instance_id": instance_id, "created_by": created_by}
        found: list[dict[str, Any]] = self._admin("GET", "executions", query=query)
        return found

    def end_execution(self, execution_id: str, status: str | None) -> dict[str, Any]:
        """End an execution now with any status, or undo that with None."""
        ended: dict[str, Any] = self._admin("PUT", f"executions/{execution_id}", {"status": status})
        return ended

    def counters(self) -> dict[str, int]:
        """Return the number of requests by method and route: ``"GET /v1/integration_batch_instances/{id}"``."""
        counts: dict[str, int] = self._admin("GET", "counters")
        return counts

    def reset_counters(self) -> None:
        self._admin("DELETE", "counters")

    def seen_requests(self) -> list[dict[str, Any]]:
        """Return the latest requests: method, path, query, body, user_agent, status."""
        seen: list[dict[str, Any]] = self._admin("GET", "requests")
        return seen

    def clock(self) -> dict[str, Any]:
        """Return ``now_ms``, ``speed`` and ``timezone``."""
        clock: dict[str, Any] = self._admin("GET", "clock")
        return clock

    def now_ms(self) -> int:
        """Return the platform's time in epoch milliseconds."""
        return int(self.clock()["now_ms"])

    def jump_clock(self, seconds: float) -> None:
        """Set the platform's clock forward, or back if negative."""
        self._admin("PUT", "clock", {"jump_s": seconds})

    def set_clock(self, now_ms: int) -> None:
        """Set the platform's clock to a time in epoch milliseconds."""
        self._admin("PUT", "clock", {"now_ms": now_ms})

    def set_speed(self, speed: float) -> None:
        """Set the number of platform seconds per real second."""
        self._admin("PUT", "clock", {"speed": speed})

    def set_tokens(self, tokens: Mapping[str, Sequence[str]]) -> None:
        """Replace the valid tokens, each with its organisations. All others are revoked."""
        self._admin("PUT", "tokens", {token: list(names) for token, names in tokens.items()})

    def tick(self) -> int:
        """Run the platform's scheduler now, and return the number of executions that it created."""
        return int(self._admin("POST", "tick")["created"])

    def bulk(self, **what: Any) -> dict[str, Any]:
        """Create many instances or executions at once (``POST /_sandbox/bulk``)."""
        created: dict[str, Any] = self._admin("POST", "bulk", what)
        return created

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Send a request with the first token, and return the ``data`` of the answer. Raises HTTPError."""
        answer = self.send(method, path, body, **query)
        if not answer.ok:
            raise requests.HTTPError(f"{answer.status_code}: {answer.text}", response=answer)
        return (
            answer.json().get("data") if answer.content and "json" in answer.headers["content-type"] else None
        )

    def send(self, method: str, path: str, body: Any = None, **query: Any) -> requests.Response:
        """Send a request with the first token, and return the answer. ``path`` is without ``/v1/``."""
        headers = {"Authorization": self.token}
        return self._session.request(
            method, f"{self.url}/v1/{path}", params=query, json=body, headers=headers, timeout=30
        )

    def create_instance(
        self,
        name: str = "nightly import",
        *,
        cron: str | None = None,
        cron_status: str | None = None,
        artifact_id: str = "test-batch",
        organisation_id: str | None = None,
        properties: dict[str, Any] | None = None,
        **fields: Any,
    ) -> str:
        """Create an instance, and its plugin if that does not exist. Returns the id of the instance.

        ``properties`` are its ``sandbox.*`` ones, without the prefix: ``{"duration_s": 0, "outcome": "fail"}``.
        """
        group_id, organisation = "com.test.batches", organisation_id or self.organisation_id
        self._ensure_plugin(group_id, artifact_id, organisation)
        body: dict[str, Any]
        if cron and not cron_status:
            cron_status = "ACTIVE"
        body = {
            "organisation_id": organisation,
            "group_id": group_id,
            "artifact_id": artifact_id,
            "name": name,
        }
        body |= {"cron": cron, "cron_status": cron_status, **fields}
        instance_id = str(self.call("POST", "integration_batch_instances", body)["id"])
        for short_name, value in (properties or {}).items():
            self.set_property(instance_id, f"sandbox.{short_name}", value)
        return instance_id

    def set_property(self, instance_id: str, name: str, value: Any) -> None:
        """Set a property of an instance. A new one is a STRING."""
        path = f"integration_batch_instances/{instance_id}/properties/technical_name={name}"
        self.call("PUT", path, {"technical_name": name, "value": {"value": value}})

    def create_execution(
        self, instance_id: str, expected_start_date: int | None = None, execution_type: str = "MANUAL"
    ) -> dict[str, Any]:
        """Create an execution with a start in epoch milliseconds (default: now)."""
        moment = self.now_ms() if expected_start_date is None else expected_start_date
        parameters = {"execution_type": execution_type, "expected_start_date": moment}
        path = f"integration_batch_instances/{instance_id}/executions"
        created: dict[str, Any] = self.call("POST", path, {"status": "PENDING", "parameters": parameters})
        return created

    def wait_until(self, holds: Callable[[], Any], timeout_s: float = 20) -> Any:
        """Wait until a function returns a true value, and return that value."""
        deadline = time.monotonic() + timeout_s
        while not (value := holds()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout_s} s: {self.output()}")
            time.sleep(0.02)
        return value

    def _ensure_plugin(self, group_id: str, artifact_id: str, organisation_id: str) -> None:
        names = {"group_id": group_id, "artifact_id": artifact_id}
        if self.call("GET", "plugins", **names):
            return
        body = {**names, "organisation_id": organisation_id, "plugin_type": "INTEGRATION_BATCH"}
        plugin = self.call("POST", "plugins", body)
        mandatory = [
            {
                "technical_name": name,
                "value": {"value": "test"},
                "property_type": "STRING",
                "origin": "PLUGIN_STATIC",
                "writable": False,
                "deletable": False,
            }
            for name in ("provider", "name")
        ]
        version = {"version_id": "1.0.0", "plugin_properties": mandatory}
        self.call("POST", f"plugins/{plugin['id']}/versions", version)

    def _arguments(self) -> list[str]:
        arguments = []
        for token, organisations in self.tokens.items():
            arguments += ["--token", f"{token}={','.join(organisations)}"]
        for name, value in self._options.items():
            option = f"--{name.replace('_', '-')}"
            values = value if isinstance(value, list) else [value]
            arguments += [
                part for each in values for part in ([option] if each is True else [option, str(each)])
            ]
        return arguments + self._more_arguments

    def _admin(self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> Any:
        answer = self._session.request(
            method, f"{self.url}/_sandbox/{path}", json=body, params=query, timeout=60
        )
        if not answer.ok:
            raise ValueError(f"{method} /_sandbox/{path}: {answer.text}")
        return answer.json()

    def _running(self) -> ForkedProcess:
        if self._process is None:
            raise RuntimeError("the sandbox is not running")
        return self._process

    def _end(self, how: signal.Signals) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(how)
        code = process.wait(10)
        if code is None:
            process.send_signal(signal.SIGKILL)
            code = process.wait()
        return code


class _Lines:
    """The output of a process, read in a thread so that the process never blocks on a full pipe."""

    def __init__(self, stream: IO[str]) -> None:
        self._all: list[str] = []
        self._new: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=[stream], daemon=True).start()

    def wait_for(self, pattern: re.Pattern[str], timeout_s: float) -> re.Match[str] | None:
        """Return the first match in a line, or None if there is none before the timeout or the end."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self._new.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            if line is None:
                return None
            if match := pattern.search(line):
                return match

    def text(self) -> str:
        return "".join(self._all)

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._all.append(line)
                self._new.put(line)
        self._new.put(None)
