"""The demonstration's organisation: Acme Retail, with batches of every kind and the history that fits their crons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mics.sandbox.crons import next_tick_ms
from airflow_provider_mics.sandbox.instances import Instance
from airflow_provider_mics.sandbox.scheduler import Scheduler
from airflow_provider_mics.sandbox.state import FIRST_USER_ID, LocalPlatform

ORGANISATION_ID = "1185"
GROUP_ID = "com.acme.integration_batch"
USER_ID = str(FIRST_USER_ID)
DAY_MS = 86_400_000
AGE_MS = 400 * DAY_MS
SFTP_REFUSED = "SFTP login refused for user acme-crm on sftp.partner.example: the key has expired"


@dataclass(frozen=True)
class DemoPlugin:
    id: int
    artifact_id: str
    name: str
    versions: dict[int, str]


@dataclass(frozen=True)
class DemoInstance:
    """``past_ticks`` is how many executions its history holds; ``untouched_days`` since its last change."""

    id: int
    artifact_id: str
    name: str
    cron: str | None = None
    cron_status: str | None = None
    archived: bool = False
    sizes: tuple[str, str, str] = ("LOW", "LOW", "LOW")
    properties: dict[str, Any] = field(default_factory=dict)
    past_ticks: int = 0
    untouched_days: int = 40


PLUGINS = [
    DemoPlugin(3101, "crm-import", "CRM import", {5231: "1.0.0", 5232: "1.1.0", 5233: "1.2.0"}),
    DemoPlugin(3102, "loyalty-export", "Loyalty export", {5234: "1.0.0"}),
    DemoPlugin(3103, "catalogue-cleanup", "Catalogue clean-up", {5235: "1.0.0", 5236: "2.0.0-rc1"}),
]

INSTANCES = [
    DemoInstance(
        4101, "crm-import", "Store sales feed", "*/2 * * * *", "ACTIVE", past_ticks=12,
        properties={"sandbox.duration_s": 12, "source_path": "/in/store-sales"},
    ),
    DemoInstance(
        4102, "crm-import", "Web orders feed", "*/3 * * * *", "ACTIVE", past_ticks=8,
        properties={"sandbox.duration_s": 8, "source_path": "/in/web-orders"},
    ),
    DemoInstance(
        4103, "crm-import", "CRM import nightly", "15 3 * * *", "ACTIVE", past_ticks=10,
        sizes=("MEDIUM", "LARGE", "LOW"), properties={"sandbox.duration_s": 240},
    ),
    DemoInstance(
        4104, "loyalty-export", "Loyalty export to partners", "30 5 * * 1,6", "ACTIVE", past_ticks=6,
        properties={"sandbox.duration_s": 90, "sandbox.result": '{"exported": 184203}'},
    ),
    DemoInstance(
        4105, "catalogue-cleanup", "Catalogue clean-up", "0 2 1 * *", "ACTIVE", past_ticks=3,
        sizes=("LARGE", "EXTRA_LARGE", "LARGE"), properties={"sandbox.duration_s": 600},
        untouched_days=200,
    ),
    DemoInstance(
        4106, "loyalty-export", "Newsletter preferences", "0 */4 * * *", "PAUSED", past_ticks=6,
        properties={"sandbox.duration_s": 20}, untouched_days=9,
    ),
    DemoInstance(4107, "crm-import", "CRM history backfill", properties={"sandbox.duration_s": 30}),
    DemoInstance(
        4108, "catalogue-cleanup", "Full catalogue rebuild",
        sizes=("EXTRA_LARGE", "EXTRA_LARGE", "EXTRA_LARGE"),
        properties={"sandbox.duration_s": 900, "sandbox.num_tasks": 60},
    ),
    DemoInstance(
        4109, "crm-import", "Partner SFTP import", "*/5 * * * *", "ACTIVE", past_ticks=4,
        properties={
            "sandbox.duration_s": 4, "sandbox.outcome": "fail", "sandbox.error_message": SFTP_REFUSED,
        },
    ),
    DemoInstance(
        4110, "crm-import", "CRM import 2023", "0 1 * * *", "ACTIVE", archived=True, untouched_days=300,
    ),
]  # fmt: skip


def seed_demo(platform: LocalPlatform) -> bool:
    """Create the demonstration's organisation; False, and nothing changed, where it is there already."""
    if platform.plugins.find(GROUP_ID, PLUGINS[0].artifact_id) is not None:
        return False
    with platform.database.transaction():
        for plugin in PLUGINS:
            _create_plugin(platform, plugin)
        history = [row for instance in INSTANCES for row in _create_instance(platform, instance)]
        platform.executions.create_many(
            sorted(history, key=lambda row: (row["expected_ms"], row["instance_id"]))
        )
    return True


def _create_plugin(platform: LocalPlatform, plugin: DemoPlugin) -> None:
    platform.database.insert(
        "plugins",
        {
            "id": plugin.id,
            "organisation_id": ORGANISATION_ID,
            "plugin_type": "INTEGRATION_BATCH",
            "group_id": GROUP_ID,
            "artifact_id": plugin.artifact_id,
        },
    )
    properties = [
        _property("provider", "PLUGIN_STATIC", "Acme Retail"),
        _property("name", "PLUGIN_STATIC", plugin.name),
        _property("source_path", "PLUGIN", ""),
    ]
    for version_id, number in plugin.versions.items():
        status = "DRAFT" if "-" in number else "ACTIVE"
        values = {"id": version_id, "properties": properties, "status": status}
        platform.plugins.create_version(plugin.id, number, values)


def _create_instance(platform: LocalPlatform, demo: DemoInstance) -> list[dict[str, Any]]:
    """Create an instance, and give its history."""
    plugin = platform.plugins.find(GROUP_ID, demo.artifact_id)
    if plugin is None or plugin.current_version_id is None:
        raise LookupError(demo.artifact_id)
    now_ms = platform.now_ms
    cpu_size, ram_size, disk_size = demo.sizes
    platform.instances.create(
        {
            "id": demo.id,
            "organisation_id": ORGANISATION_ID,
            "plugin_id": plugin.id,
            "version_id": plugin.current_version_id,
            "name": demo.name,
            "cron": demo.cron,
            "cron_status": demo.cron_status,
            "archived": demo.archived,
            "cpu_size": cpu_size,
            "ram_size": ram_size,
            "disk_size": disk_size,
            "creation_ts": now_ms - AGE_MS,
            "created_by": USER_ID,
            "last_modified_ts": now_ms - demo.untouched_days * DAY_MS,
            "last_modified_by": USER_ID,
        }
    )
    for name, value in ({"source_path": ""} | demo.properties).items():
        origin = "INSTANCE" if name.startswith("sandbox.") else "PLUGIN"
        platform.instances.put_property(demo.id, _property(name, origin, value))
    instance = platform.instances.get(demo.id)
    if instance is None:
        raise LookupError(demo.name)
    Scheduler(platform).plan(instance)
    return _history(platform, demo, instance)


def _history(platform: LocalPlatform, demo: DemoInstance, instance: Instance) -> list[dict[str, Any]]:
    """The executions of its last ticks: before now, or before it was paused."""
    until_ms = instance.last_modified_ts if demo.cron_status == "PAUSED" else platform.now_ms
    behaves = platform.instances.property_values(demo.id)
    duration_ms = int(behaves.get("sandbox.duration_s", 5) * 1000)
    return [
        {
            "instance_id": demo.id,
            "organisation_id": ORGANISATION_ID,
            "execution_type": "CRON",
            "expected_ms": tick_ms,
            "created_ms": tick_ms + 41,
            "created_real_ms": tick_ms,
            "created_by": "history",
            "starts_ms": tick_ms + 41,
            # No two runs take quite the same time.
            "duration_ms": duration_ms + tick_ms // 60_000 % 17 * duration_ms // 100,
            "succeeds": behaves.get("sandbox.outcome") != "fail",
            "num_tasks": int(behaves.get("sandbox.num_tasks", 10)),
            "error_message": str(behaves.get("sandbox.error_message", "")),
        }
        for tick_ms in _last_ticks(platform, demo, until_ms)
    ]


def _last_ticks(platform: LocalPlatform, demo: DemoInstance, until_ms: int) -> list[int]:
    """Its last ticks before a moment, in epoch milliseconds."""
    if demo.cron is None or demo.past_ticks == 0:
        return []
    look_back_ms = 3_600_000
    while True:
        ticks = []
        tick_ms = next_tick_ms(demo.cron, platform.timezone, until_ms - look_back_ms)
        while tick_ms is not None and tick_ms < until_ms:
            ticks.append(tick_ms)
            tick_ms = next_tick_ms(demo.cron, platform.timezone, tick_ms)
        if len(ticks) >= demo.past_ticks or look_back_ms > AGE_MS:
            return ticks[-demo.past_ticks :]
        look_back_ms *= 8


def _property(name: str, origin: str, value: Any) -> dict[str, Any]:
    is_static = origin == "PLUGIN_STATIC"
    return {
        "technical_name": name,
        "property_type": "STRING" if isinstance(value, str) else "INT",
        "origin": origin,
        "writable": not is_static,
        "deletable": not is_static,
        "value": {"value": value},
    }
