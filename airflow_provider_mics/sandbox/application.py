"""The web application: the platform's routes, the admin routes, and how refusals are answered."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from airflow_provider_mics.sandbox import (
    admin_routes,
    bulk_routes,
    execution_routes,
    instance_routes,
    plugin_routes,
    user_routes,
)
from airflow_provider_mics.sandbox.answers import RefusedError, error_content, json_response, refusal
from airflow_provider_mics.sandbox.fault_layer import FaultLayer
from airflow_provider_mics.sandbox.faults import FaultPlan
from airflow_provider_mics.sandbox.outages import Outages
from airflow_provider_mics.sandbox.quirks import Quirks
from airflow_provider_mics.sandbox.scheduler import Scheduler
from airflow_provider_mics.sandbox.state import LocalPlatform
from airflow_provider_mics.sandbox.traffic import ADMIN_PREFIX, CountingLayer, Traffic


def application(platform: LocalPlatform, plan: FaultPlan, outages: Outages) -> CountingLayer:
    """The ASGI application that serves a platform, with its faults; its scheduler runs as long as it does."""
    scheduler = Scheduler(platform)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(scheduler.run())
        task.add_done_callback(_report_crash)
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        platform.database.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.state.platform = platform
    app.state.scheduler = scheduler
    app.state.traffic = Traffic()
    app.state.fault_plan = plan
    for routes in (plugin_routes, execution_routes, instance_routes, user_routes, admin_routes, bulk_routes):
        app.include_router(routes.router)
    app.add_exception_handler(RefusedError, _answer_refusal)
    app.add_exception_handler(HTTPException, _answer_no_route)
    app.add_exception_handler(Exception, _answer_crash)
    return CountingLayer(FaultLayer(app, plan, outages), app.state.traffic)


def _quirks(request: Request) -> Quirks:
    if request.url.path.startswith(ADMIN_PREFIX):
        return Quirks()
    platform: LocalPlatform = request.app.state.platform
    return platform.quirks


async def _answer_refusal(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, RefusedError)  # noqa: S101  it is registered for nothing else
    return refusal(refused.status, refused.message, _quirks(request))


async def _answer_no_route(request: Request, refused: Exception) -> Response:
    status = refused.status_code if isinstance(refused, HTTPException) else 500
    path = request.url.path
    message = {404: f"no route {path}", 405: f"{request.method} is not allowed on {path}"}.get(
        status, str(refused)
    )
    return refusal(status, message, _quirks(request))


async def _answer_crash(_: Request, crash: Exception) -> Response:
    traceback.print_exception(crash, file=sys.stderr)
    return json_response(error_content(500, f"the sandbox itself failed: {crash!r}"), 500)


def _report_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (crash := task.exception()) is not None:
        traceback.print_exception(crash, file=sys.stderr)
