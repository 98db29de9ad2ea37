"""The layer between the network and the platform in which requests meet their faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_mics.sandbox.clock import real_ms
from airflow_provider_mics.sandbox.exchanges import Exchange
from airflow_provider_mics.sandbox.executions import Staleness
from airflow_provider_mics.sandbox.fault_injection import KINDS
from airflow_provider_mics.sandbox.faults import FaultPlan
from airflow_provider_mics.sandbox.outages import Outages
from airflow_provider_mics.sandbox.request_context import STALENESS
from airflow_provider_mics.sandbox.traffic import ADMIN_PREFIX, TRANSPORT

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class FaultLayer:
    """ASGI: injects the faults of a plan into requests to the platform. Admin requests never meet one."""

    def __init__(self, app: ASGIApp, plan: FaultPlan, outages: Outages) -> None:
        self._app = app
        self._plan = plan
        self._outages = outages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(ADMIN_PREFIX):
            await self._app(scope, receive, send)
            return
        strikes = self._plan.strikes(scope["method"], scope["path"])
        if strikes.stale_list is not None:
            told = strikes.stale_list.parameters
            scope[STALENESS] = Staleness(told.seconds, told.spread, int(real_ms()))
        if strikes.fault is None:
            await self._app(scope, receive, send)
            return
        exchange = Exchange(self._app, scope, receive, send, scope[TRANSPORT], self._outages.begin)
        await exchange.read_request()
        await KINDS[strikes.fault.kind](exchange, strikes.fault.parameters)
