"""The routes of the page, mounted by Airflow's API server. None is open: each needs a user of Airflow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

from airflow.configuration import conf
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from airflow_provider_mics.page.actions import ACTIONS, perform
from airflow_provider_mics.page.batches import Batch
from airflow_provider_mics.page.browsers import Browser, browser_of, form_of, list_query, view_of
from airflow_provider_mics.page.forms import UnusableFormError, order_of
from airflow_provider_mics.page.responses import Responses
from airflow_provider_mics.page.site import AirflowNotReadError, Site, States

STATIC = Path(__file__).parent / "static"
STATIC_FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "icon-dark.svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'self'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ByUser = Annotated[Browser, Depends(browser_of)]
SentForm = Annotated[dict[str, str], Depends(form_of)]
Next = Callable[[Request], Awaitable[Response]]


def make_app() -> FastAPI:
    """Return the application. It has no routes for its documentation, which would be open."""
    routes = Routes(Site(), Responses(conf.get_mandatory_value("api", "secret_key")))
    app = FastAPI(
        title="mediarithmics integration batches",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(browser_of)],
    )
    app.middleware("http")(_add_headers)
    app.exception_handler(StarletteHTTPException)(routes.refusal)
    app.exception_handler(AirflowNotReadError)(routes.not_read)
    of_dag, of_instance = "/dags/{dag_id}", "/instances/{conn_id}/{instance_id}"
    app.get("/")(routes.list_batches)
    app.get("/static/{name}")(routes.static_file)
    app.get(of_dag)(routes.dag_page)
    app.get(of_instance)(routes.instance_page)
    app.get(f"{of_dag}/{{action}}")(routes.confirm_for_dag)
    app.get(f"{of_instance}/{{action}}")(routes.confirm_for_instance)
    app.post(f"{of_dag}/{{action}}")(routes.act_on_dag)
    app.post(f"{of_instance}/{{action}}")(routes.act_on_instance)
    return app


async def _add_headers(request: Request, call_next: Next) -> Response:
    response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


class Routes:
    """What each route answers. An instance with a DAG is addressed by the DAG, another one by its connection."""

    def __init__(self, site: Site, responses: Responses) -> None:
        self._site = site
        self._responses = responses

    async def refusal(self, request: Request, error: Exception) -> HTMLResponse:
        assert isinstance(error, StarletteHTTPException)  # noqa: S101 - as it is registered
        return self._responses.refusal(view_of(request, ""), error)

    async def not_read(self, request: Request, _: Exception) -> HTMLResponse:
        text = "Airflow's DAGs have not been read yet. Reload in a moment."
        return self._responses.refusal(view_of(request, ""), HTTPException(503, text))

    def static_file(self, name: str) -> Response:
        if name not in STATIC_FILES:
            raise HTTPException(404, "There is no such file.")
        headers = {"Cache-Control": "private, max-age=3600"}
        return FileResponse(STATIC / name, media_type=STATIC_FILES[name], headers=headers)

    def list_batches(self, request: Request, browser: ByUser) -> Response:
        return self._responses.batch_list(request, browser, *self._site.look(browser.viewer))

    def dag_page(self, request: Request, browser: ByUser, dag_id: str) -> Response:
        return self._batch_page(request, browser, *self._of_dag(browser, dag_id))

    def instance_page(self, request: Request, browser: ByUser, conn_id: str, instance_id: str) -> Response:
        return self._batch_page(request, browser, *self._of_instance(browser, conn_id, instance_id))

    def confirm_for_dag(self, request: Request, browser: ByUser, dag_id: str, action: str) -> Response:
        return self._confirm(request, browser, *self._of_dag(browser, dag_id), action)

    def confirm_for_instance(
        self, request: Request, browser: ByUser, conn_id: str, instance_id: str, action: str
    ) -> Response:
        return self._confirm(request, browser, *self._of_instance(browser, conn_id, instance_id), action)

    def act_on_dag(self, browser: ByUser, form: SentForm, dag_id: str, action: str) -> Response:
        return self._act(browser, form, self._of_dag(browser, dag_id)[0], action)

    def act_on_instance(
        self, browser: ByUser, form: SentForm, conn_id: str, instance_id: str, action: str
    ) -> Response:
        return self._act(browser, form, self._of_instance(browser, conn_id, instance_id)[0], action)

    def _of_dag(self, browser: Browser, dag_id: str) -> tuple[Batch, States]:
        batches, states = self._site.look(browser.viewer)
        for each in batches:
            if each.dag is not None and each.dag.dag_id == dag_id:
                return each, states
        raise HTTPException(404, f"The DAG {dag_id} runs no integration batch that you may see.")

    def _of_instance(self, browser: Browser, conn_id: str, instance_id: str) -> tuple[Batch, States]:
        batches, states = self._site.look(browser.viewer)
        for each in batches:
            if each.dag is None and (each.source.conn_id, each.instance_id) == (conn_id, instance_id):
                return each, states
        raise HTTPException(404, f"There is no batch {instance_id} without a DAG that you may see.")

    def _batch_page(self, request: Request, browser: Browser, batch: Batch, states: States) -> Response:
        details, state = self._site.details(batch), states.get(batch.source)
        executions = details.executions or (state.executions.get(batch.instance_id, ()) if state else ())
        links = self._site.links_of(browser.viewer, [each.id for each in executions])
        return self._responses.batch_page(request, browser, batch, state, details, executions, links)

    def _confirm(
        self, request: Request, browser: Browser, batch: Batch, states: States, name: str
    ) -> Response:
        _check_action(browser, batch, name)
        return self._responses.confirmation(request, browser, batch, states.get(batch.source), name)

    def _act(self, browser: Browser, form: dict[str, str], batch: Batch, name: str) -> Response:
        if not self._responses.signer.is_csrf_token(form.get("csrf_token", ""), browser.session):
            raise HTTPException(403, "The form is not of your session. Nothing was done: open it again.")
        _check_action(browser, batch, name)
        try:
            order = order_of(name, form, batch, browser.viewer, browser.view.now)
        except UnusableFormError as unusable:
            raise HTTPException(400, str(unusable)) from None
        answer = perform(name, order)
        self._site.expire(batch)
        response = RedirectResponse(f"{browser.view.root}{_next_page(form.get('back', ''), batch)}", 303)
        self._responses.set_answer(response, browser, batch, ACTIONS[name].label, answer)
        return response


def _check_action(browser: Browser, batch: Batch, name: str) -> None:
    """Raise unless an action exists, is allowed for the user, and fits the batch."""
    action = ACTIONS.get(name)
    if action is None:
        raise HTTPException(404, "There is no such action.")
    if not action.is_allowed(browser.viewer, batch):
        what = "its connection" if batch.dag is None else f"the DAG {batch.dag.dag_id}"
        raise HTTPException(
            403, f"You may see this batch, but not do that: you may not edit {what} in Airflow."
        )
    why_not = action.why_not(batch)
    if why_not is not None:
        raise HTTPException(409, f"{action.label} does not fit this batch now. {why_not}")


def _next_page(back: str, batch: Batch) -> str:
    """Return where to go after an action: to the row in the list that led to the form, or to the batch's page."""
    return f"/{list_query(back)}#{batch.path}" if back.startswith("?") else f"/{batch.path}"
