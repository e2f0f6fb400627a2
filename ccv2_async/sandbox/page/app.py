"""The page's application: its views, its forms, the stream of changes, and their guards.

Every response forbids foreign scripts, foreign frames, and other hosts. Data that a client of the
sandbox has sent is shown as text. Pictures are served only as pictures, and a campaign's HTML is
shown in a frame that runs no scripts. Nothing changes by GET, and a POST has to come from the page
itself: a browser always sends its `Origin`, which the guard of the sandbox checks.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import attrs
from starlette.applications import Starlette
from starlette.datastructures import URL, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from ccv2_async.sandbox.admin import Admin
from ccv2_async.sandbox.page.actions import ACTIONS, Actions
from ccv2_async.sandbox.page.showing import clock_text, size_text
from ccv2_async.sandbox.page.views import FILE_ENDS, JOB_ENDS, Views
from ccv2_async.sandbox.responses import Refusal, missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ccv2_async.sandbox.operations import Operation
    from ccv2_async.sandbox.world import World

    _Handler = Callable[[Request], Awaitable[Response]]
    _View = Callable[[Views, Mapping[str, str]], dict[str, Any]]

_HERE = Path(__file__).parent
_TICK = 0.3
_BEATS = 50
_MOST_FILES = 50
_NOTES = 100
_NOTHING_RUNS = "default-src 'none'; sandbox"
_PREVIEW = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    # The origin of a form is only sent if the referrer is.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PICTURES = {b"\x89PNG": "image/png", b"GIF8": "image/gif", b"\xff\xd8\xff": "image/jpeg"}
_VIEWS: dict[str, _View] = {
    "/": Views.files,
    "/requests": Views.requests,
    "/requests/{key}": Views.requests,
    "/jobs": Views.jobs,
    "/contacts": Views.contacts,
    "/campaigns": Views.campaigns,
    "/campaigns/{id}": Views.campaigns,
    "/controls": Views.controls,
}


class _Guarded:
    """ASGI middleware: the headers of every response, and the origin of every form.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["method"] not in ("GET", "HEAD") and b"origin" not in dict(scope["headers"]):
            problem = Refusal(403, "Origin is missing: only the sandbox's page may send its forms.")
            await problem.answer()(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)


@attrs.frozen
class _Page:
    views: Views
    actions: Actions
    templates: Jinja2Templates
    notes: dict[str, tuple[str, bool]] = attrs.field(factory=dict)

    def show(self, request: Request, template: str, **shown: Any) -> Response:
        frame = {**self.views.frame(), "origin": _origin(request)}
        note, bad = self.notes.get(request.query_params.get("note", ""), ("", False))
        frame |= {"note": note, "note_is_bad": bad}
        return self.templates.TemplateResponse(request, template, {**frame, **shown})

    def keep(self, note: str, bad: bool) -> str:
        """Keep the outcome of a form for the page that follows it, and return its name."""
        while len(self.notes) >= _NOTES:
            del self.notes[next(iter(self.notes))]
        name = token_hex(8)
        self.notes[name] = note, bad
        return name

    def shows(self, view: _View) -> _Handler:
        """Return the handler of a view, which fills the template of the same name with its data."""

        async def handler(request: Request) -> Response:
            asked = {**request.query_params, **request.path_params, "origin": _origin(request)}
            shown = {"q": asked.get("q", ""), **view(self.views, asked)}
            return self.show(request, f"{view.__name__}.html", **shown)

        return handler

    async def preview(self, request: Request) -> Response:
        campaign = self.views.world.campaigns.campaign(request.path_params["id"])
        content = str(campaign.fields.get("email_content", ""))
        headers = {"Content-Security-Policy": f"{_PREVIEW}; frame-ancestors 'self'"}
        return Response(content, media_type="text/html", headers=headers)

    async def picture(self, request: Request) -> Response:
        data = self.views.world.library.content(request.path_params["id"]) or b""
        kind = next((kind for start, kind in _PICTURES.items() if data.startswith(start)), None)
        if kind is None:
            raise missing("The picture")
        headers = {"Content-Security-Policy": _NOTHING_RUNS, "Cache-Control": "max-age=3600"}
        return Response(data, media_type=kind, headers=headers)

    async def act(self, request: Request) -> Response:
        name, bad = request.path_params["name"], False
        try:
            async with request.form(max_files=_MOST_FILES) as form:
                note = ACTIONS[name](self.actions, form)
        except (ValueError, KeyError, Refusal, HTTPException) as problem:
            is_missing = isinstance(problem, KeyError)
            note, bad = f"{problem.args[0]} is missing." if is_missing else str(problem), True
        if request.headers.get("accept") == "application/json":
            return JSONResponse({"note": note, "bad": bad}, 400 if bad else 200)
        back = URL(request.headers.get("referer", "/"))
        back = URL(path=f"/{back.path.lstrip('/')}", query=back.query)
        return RedirectResponse(back.include_query_params(note=self.keep(note, bad)), 303)

    async def events(self, _request: Request) -> Response:
        return StreamingResponse(self._changes(), media_type="text/event-stream")

    async def _changes(self) -> AsyncIterator[str]:
        """Yield an event whenever the page changes, and a comment from time to time."""
        last, quiet = None, 0
        while True:
            if (version := self.views.version()) != last:
                yield f"data: {version}\n\n"
                last, quiet = version, 0
            elif quiet >= _BEATS:
                yield ":\n\n"  # a closed page is noticed only by writing to it
                quiet = 0
            quiet += 1
            await asyncio.sleep(_TICK)

    async def problem(self, request: Request, problem: Exception) -> Response:
        status = getattr(problem, "status", getattr(problem, "status_code", 500))
        message = problem.message if isinstance(problem, Refusal) else "There is nothing here."
        page = self.show(request, "problem.html", message=message)
        page.status_code = status
        return page


def make_page(world: World, operations: Sequence[Operation]) -> ASGIApp:
    """Return the application of the page."""
    templates = Jinja2Templates(directory=_HERE / "templates")
    templates.env.trim_blocks = templates.env.lstrip_blocks = True
    templates.env.globals |= {
        "size_of": size_text,
        "clock_text": clock_text,
        "FILE_ENDS": FILE_ENDS,
        "JOB_ENDS": JOB_ENDS,
    }
    actions = Actions(world, Admin(world, lambda action: action()))
    page = _Page(Views(world, operations), actions, templates)
    app = Starlette(
        routes=[
            *(Route(path, page.shows(view)) for path, view in _VIEWS.items()),
            Route("/campaigns/{id}/preview", page.preview),
            Route("/page/events", page.events),
            Route("/page/pictures/{id}", page.picture),
            Route("/page/do/{name}", page.act, methods=["POST"]),
            Mount("/page/static", StaticFiles(directory=_HERE / "static")),
        ],
        exception_handlers={HTTPException: page.problem, Refusal: page.problem},
    )
    app.router.redirect_slashes = False
    return _Guarded(app)


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"
