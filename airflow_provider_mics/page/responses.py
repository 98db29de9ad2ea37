"""The pages as responses: what is in them, and the answer to an action that a redirect carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastapi.responses import HTMLResponse, Response

from airflow_provider_mics.api.models import Execution
from airflow_provider_mics.page.actions import ACTIONS, Answer
from airflow_provider_mics.page.batches import Batch, marks_of
from airflow_provider_mics.page.browsers import FORM_KEY_COOKIE, Browser, list_query_before, new_request_id
from airflow_provider_mics.page.csrf import LONGEST_ANSWER, Signer
from airflow_provider_mics.page.details import Details
from airflow_provider_mics.page.forms import asked_at_value, sentences_of, start_value
from airflow_provider_mics.page.marks import RunLink
from airflow_provider_mics.page.platform_reading import PlatformState
from airflow_provider_mics.page.queries import Query
from airflow_provider_mics.page.rendering import (
    Pages,
    View,
    console_page_of,
    list_values,
    next_ticks,
    notices_of,
    read_text,
)
from airflow_provider_mics.page.secrets_in_values import shown_properties
from airflow_provider_mics.page.site import States

if TYPE_CHECKING:
    from fastapi import Request
    from starlette.exceptions import HTTPException

ANSWER_COOKIE = "mics_answer"
ANSWER_SECONDS = 60
TITLES = {401: "Sign in", 403: "Not allowed", 404: "Not found", 503: "Not read yet"}


class Responses:
    """Makes responses.

    :param secret: known to all API servers, and to nobody else
    """

    def __init__(self, secret: str) -> None:
        self.signer = Signer(secret)
        self._pages = Pages()

    def refusal(self, view: View, error: HTTPException) -> HTMLResponse:
        text = "Sign in to Airflow, then open this page again." if error.status_code == 401 else error.detail
        title = TITLES.get(error.status_code, f"Error {error.status_code}")
        content = self._pages.render("message.html", view, title=title, text=text)
        return HTMLResponse(content, error.status_code, headers=error.headers)

    def batch_list(
        self, request: Request, browser: Browser, batches: list[Batch], states: States
    ) -> Response:
        query = Query.of(request.query_params)
        chosen = query.select(batches)
        said = self._answer_in(request, browser)
        is_in_row = said is not None and any(each.path == said["path"] for each in chosen)
        values: dict[str, Any] = list_values(batches, chosen, query) | {
            "all_notices": notices_of(states, browser.view),
            "read": read_text(states.values(), browser.view),
            "row_of": lambda batch: self._pages.row(
                browser.view, batch, may_act=browser.viewer.may_act_on(batch)
            ),
            "said": said,
            "said_in_row": said["path"] if said is not None and is_in_row else None,
        }
        return self._page(browser, "list.html", said, values)

    def batch_page(
        self,
        request: Request,
        browser: Browser,
        batch: Batch,
        state: PlatformState | None,
        details: Details,
        executions: Sequence[Execution],
        links: Mapping[str, Sequence[RunLink]],
    ) -> Response:
        view, viewer = browser.view, browser.viewer
        notices = notices_of({batch.source: state}, view)
        if details.failure is not None and not any(kind == "error" for kind, _ in notices):
            notices.append(("error", f"Its executions and properties are not up to date: {details.failure}"))
        user_id = None if state is None else state.user_id
        actions = [
            (name, action.label)
            for name, action in ACTIONS.items()
            if name != "cancel" and action.fits(batch) and action.is_allowed(viewer, batch)
        ]
        said = self._answer_in(request, browser)
        values = {
            "batch": batch,
            "is_tab": request.query_params.get("tab") == "1",
            "all_notices": notices,
            "read": read_text([state], view),
            "said": said,
            "actions": actions,
            "may_cancel": ACTIONS["cancel"].fits(batch) and viewer.may_cancel(batch),
            "console_page": console_page_of(batch, state),
            "ticks": next_ticks(batch, view.now),
            "properties": shown_properties(details.properties),
            "executions": marks_of(executions, batch.dag, links, user_id, view.now),
        }
        return self._page(browser, "batch.html", said, values)

    def confirmation(
        self, request: Request, browser: Browser, batch: Batch, state: PlatformState | None, name: str
    ) -> Response:
        execution_id = request.query_params.get("execution_id") if name == "cancel" else None
        values = {
            "batch": batch,
            "name": name,
            "label": ACTIONS[name].label,
            "all_notices": notices_of({batch.source: state}, browser.view),
            "sentences": sentences_of(name, batch, execution_id),
            "csrf_token": self.signer.csrf_token(browser.session),
            "request_id": new_request_id(),
            "asked_at": asked_at_value(browser.view.now),
            "execution_id": execution_id,
            "start": start_value(browser.view.now, browser.view.zone_name),
            "back": list_query_before(request, browser.view.root),
        }
        response = self._page(browser, "confirm.html", None, values)
        if not browser.has_form_key:
            response.set_cookie(
                FORM_KEY_COOKIE,
                browser.form_key,
                path=browser.view.root,
                secure=request.url.scheme == "https",
                httponly=True,
                samesite="strict",
            )
        return response

    def set_answer(
        self, response: Response, browser: Browser, batch: Batch, label: str, answer: Answer
    ) -> None:
        """Have the browser bring the answer along when it follows the redirect."""
        value = {
            "path": batch.path,
            "is_done": answer.is_done,
            "text": f"{label}, {batch.name[:100]}: {answer.text}"[: LONGEST_ANSWER // 3],
            "run_url": None if answer.run is None else browser.view.run_url_of(answer.run),
        }
        sealed = self.signer.seal(value, browser.session)
        response.set_cookie(
            ANSWER_COOKIE,
            sealed,
            max_age=ANSWER_SECONDS,
            path=browser.view.root,
            httponly=True,
            samesite="lax",
        )

    def _page(self, browser: Browser, template: str, said: object, values: Mapping[str, Any]) -> HTMLResponse:
        """Return a page; the browser forgets an answer that it is shown."""
        response = HTMLResponse(self._pages.render(template, browser.view, **values))
        if said is not None:
            response.delete_cookie(ANSWER_COOKIE, path=browser.view.root)
        return response

    def _answer_in(self, request: Request, browser: Browser) -> dict[str, Any] | None:
        sealed = request.cookies.get(ANSWER_COOKIE, "")
        answer: dict[str, Any] | None = self.signer.unseal(sealed, browser.session)
        return answer
