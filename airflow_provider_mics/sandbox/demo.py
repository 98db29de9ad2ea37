"""The organisation of the demo: Acme Retail, with batches of every kind, and a history that matches their crons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mics.sandbox.executions import Execution
from airflow_provider_mics.sandbox.instances import SIZE_NAMES, Instance
from airflow_provider_mics.sandbox.plugins import Plugin, Version
from airflow_provider_mics.sandbox.scheduler import Scheduler, next_tick_ms
from airflow_provider_mics.sandbox.state import FIRST_USER_ID, PlatformState

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
    """``past_ticks`` is the number of executions in its history, ``untouched_days`` the days since its last change."""

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
        4108, "catalogue-cleanup", "Full catalogue rebuild <b>with</b> prices & stock",
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


def seed_demo(platform: PlatformState) -> None:
    """Create the organisation of the demo, unless it exists already."""
    if platform.plugins.find(GROUP_ID, PLUGINS[0].artifact_id) is not None:
        return
    with platform.database.transaction():
        for plugin in PLUGINS:
            _create_plugin(platform, plugin)
        history = [execution for each in INSTANCES for execution in _create_instance(platform, each)]
        history.sort(key=lambda execution: (execution.expected_ms, execution.instance_id))
        platform.executions.insert_many(history)


def _create_plugin(platform: PlatformState, plugin: DemoPlugin) -> None:
    platform.plugins.create(
        Plugin(
            id=plugin.id,
            organisation_id=ORGANISATION_ID,
            plugin_type="INTEGRATION_BATCH",
            group_id=GROUP_ID,
            artifact_id=plugin.artifact_id,
        )
    )
    properties = [
        _property("provider", "PLUGIN_STATIC", "Acme Retail"),
        _property("name", "PLUGIN_STATIC", plugin.name),
        _property("source_path", "PLUGIN", ""),
    ]
    for version_id, number in plugin.versions.items():
        status = "DRAFT" if "-" in number else "ACTIVE"
        version = Version(
            id=version_id, plugin_id=plugin.id, number=number, properties=properties, status=status
        )
        platform.plugins.create_version(version)


def _create_instance(platform: PlatformState, demo: DemoInstance) -> list[Execution]:
    """Create an instance, and return its history."""
    plugin = platform.plugins.find(GROUP_ID, demo.artifact_id)
    if plugin is None or plugin.current_version_id is None:
        raise LookupError(demo.artifact_id)
    now_ms = platform.now_ms
    instance = Instance(
        id=demo.id,
        organisation_id=ORGANISATION_ID,
        plugin_id=plugin.id,
        version_id=plugin.current_version_id,
        name=demo.name,
        cron=demo.cron,
        cron_status=demo.cron_status,
        archived=demo.archived,
        sizes=dict(zip(SIZE_NAMES, demo.sizes, strict=True)),
        creation_ts=now_ms - AGE_MS,
        created_by=USER_ID,
        last_modified_ts=now_ms - demo.untouched_days * DAY_MS,
        last_modified_by=USER_ID,
    )
    platform.instances.insert(instance)
    for name, value in ({"source_path": ""} | demo.properties).items():
        origin = "INSTANCE" if name.startswith("sandbox.") else "PLUGIN"
        platform.instances.put_property(demo.id, _property(name, origin, value))
    Scheduler(platform).set_next_tick(instance)
    return _history(platform, demo, instance)


def _history(platform: PlatformState, demo: DemoInstance, instance: Instance) -> list[Execution]:
    """Return the executions of the last ticks before now, or before the instance was paused."""
    until_ms = instance.last_modified_ts if demo.cron_status == "PAUSED" else platform.now_ms
    properties = platform.instances.property_values(demo.id)
    duration_ms = int(properties.get("sandbox.duration_s", 5) * 1000)
    return [
        Execution(
            instance_id=demo.id,
            organisation_id=ORGANISATION_ID,
            execution_type="CRON",
            expected_ms=tick_ms,
            created_ms=tick_ms + 41,
            created_real_ms=tick_ms,
            created_by="history",
            start_ms=tick_ms + 41,
            # Real runs of one batch differ a little in duration.
            duration_ms=duration_ms + tick_ms // 60_000 % 17 * duration_ms // 100,
            succeeds=properties.get("sandbox.outcome") != "fail",
            num_tasks=int(properties.get("sandbox.num_tasks", 10)),
            error_message=str(properties.get("sandbox.error_message", "")),
        )
        for tick_ms in _last_ticks(platform, demo, until_ms)
    ]


def _last_ticks(platform: PlatformState, demo: DemoInstance, until_ms: int) -> list[int]:
    """Return the last ticks before a time, both in epoch milliseconds."""
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
