"""Text about an instance for people: the same as long as the instance is, and safe to show."""

from __future__ import annotations

import re

from airflow_provider_mics.api.models import Instance

_MARKS = re.compile(r"([\\`*_\[\]<>|~])")
LONGEST_VALUE = 250


def one_line(text: str, longest: int) -> str:
    """A text on one line, without what cannot be printed or stored, cut to ``longest`` characters."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def page_of(instance: Instance, timezone: str, console_page: str | None) -> str:
    """The documentation of an instance's DAG, in Markdown. No times: they would make a new DAG version each time."""
    plugin = f"{instance.group_id or '?'} : {instance.artifact_id or '?'}"
    rows = {
        "Instance": instance.id,
        "Plugin": plugin,
        "Version": instance.version_value or instance.version_id,
        "Cron": f"{instance.cron} ({timezone})" if instance.cron else "none: it runs by hand",
        "Status": str(instance.cron_status) if instance.cron_status else None,
        "CPU, RAM, disk": _sizes(instance),
    }
    table = [f"| {name} | {_escaped(value)} |" for name, value in rows.items() if value]
    lines = [f"### {_escaped(instance.name or f'Integration batch {instance.id}')}", ""]
    lines += ["| mediarithmics | |", "|---|---|", *table]
    lines += ["", f"[Open on mediarithmics]({console_page})"] if console_page else []
    return "\n".join(lines) + "\n"


def _sizes(instance: Instance) -> str | None:
    sizes = (instance.cpu_size, instance.ram_size, instance.disk_size)
    return ", ".join(str(size or "?") for size in sizes) if any(sizes) else None


def _escaped(text: str) -> str:
    return _MARKS.sub(r"\\\1", one_line(text, LONGEST_VALUE))
