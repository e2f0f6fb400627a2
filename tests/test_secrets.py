"""The key and the token never appear in logs, errors, reprs, or echoed answers."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import logging
import traceback
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
from httpx_aiohttp import AiohttpTransport

from ccv2_async import ConstantContact, errors
from ccv2_async.models import Activity, LibraryFile
from ccv2_async.sandbox import Sandbox
from ccv2_async.transport.calls.call import Call, Timeouts
from ccv2_async.transport.calls.retry import Effect
from tests.support.clocks import SkippingClock
from tests.support.exposure import copies_of, inspected, shown, texts_of
from tests.support.probes import until
from tests.support.servers import RawServer, serving, unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from ccv2_async.transport.calls.call import Response
    from tests.support.servers import Request, Wire

KEY = 'k3y/"of"+the&app%'
TOKEN = "t0ken~of\\the/account=="
FRESH = "fr3sh-t0ken/of+it"


def forms(secret: str) -> set[str]:
    """How a secret can stand in a text."""
    encoded = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    lower = {"".join(map(str, _lower(text))) for text in encoded}
    return {secret, *encoded, *lower, json.dumps(secret)[1:-1], repr(secret)[1:-1]}


def _lower(text: str) -> Iterator[str]:
    escaped = 0
    for char in text:
        escaped = 2 if char == "%" else escaped
        yield char.lower() if escaped else char
        escaped -= bool(escaped and char != "%")


SECRETS = [form for secret in (KEY, TOKEN, FRESH) for form in forms(secret)]


def assert_clean(text: str, what: str) -> None:
    for secret in SECRETS:
        assert secret not in text, f"{secret} in {what}"


class Watch:
    """The log records, the errors, and the progress that a test has seen."""

    def __init__(self) -> None:
        self.records: list[logging.LogRecord] = []
        self.raised: list[BaseException] = []
        self.progress: list[Any] = []
        self.events: list[Any] = []

    async def failing(self, work: Awaitable[Any], *kinds: type[BaseException]) -> BaseException:
        """Await something that has to fail, and keep its error."""
        with pytest.raises(kinds or errors.ConstantContactError) as caught:
            await work
        self.raised.append(caught.value)
        return caught.value

    def check(self) -> None:
        formatter = logging.Formatter("%(name)s %(message)s")
        for record in self.records:
            text = f"{formatter.format(record)} {record.args}"
            extra = {k: v for k, v in vars(record).items() if k.startswith("ccv2_")}
            assert_clean(f"{text} {extra}", f"a log record of {record.name}")
        for error in self.raised:
            for text in texts_of(error):
                assert_clean(text, f"{type(error).__name__}: {text[:2000]}")
        for event in (*self.progress, *self.events):
            for text in (*shown(event), *copies_of(event)):
                assert_clean(text, "an event")


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Every logger there is turned to DEBUG, the root's included."""
    watch = Watch()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not record.name.startswith("uvicorn"):  # the server's log of requests is its own
                watch.records.append(record)

    handler = Keep(logging.DEBUG)
    names = [*logging.root.manager.loggerDict]
    loggers = [logging.root, *(logging.getLogger(name) for name in names)]
    before = [(logger, logger.level) for logger in loggers]
    logging.root.addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        yield watch
    finally:
        logging.root.removeHandler(handler)
        for logger, level in before:
            logger.setLevel(level)
    watch.check()
    assert watch.records, "something was logged"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(mode="at_once", api_key=KEY, access_token=TOKEN) as sandbox:
        yield sandbox


@pytest.fixture(params=["ours", "own httpx", "own aiohttp", "own httpx2"])
async def options(request: pytest.FixtureRequest, watch: Watch) -> AsyncIterator[dict[str, Any]]:
    """Our own connections, and a user's client of each kind."""
    given: dict[str, Any] = {"clock": SkippingClock(), "per_second": None, "per_day": None}
    given["on_event"] = watch.events.append
    if request.param == "ours":
        yield given
        return
    if request.param == "own httpx2":
        library = pytest.importorskip("httpx2")
        async with library.AsyncClient(trust_env=False) as own:
            yield given | {"http_client": own}
        return
    transport = AiohttpTransport() if request.param == "own aiohttp" else None
    async with httpx.AsyncClient(transport=transport, trust_env=False) as own:
        yield given | {"http_client": own}


def client(where: Any, options: dict[str, Any], **more: Any) -> ConstantContact:
    return ConstantContact(
        api_key=KEY, access_token=TOKEN, base_url=where.base_url, **options | more
    )


async def test_secrets_are_hidden_in_successful_calls(
    watch: Watch, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    asyncio.get_running_loop().set_debug(True)
    async with client(sandbox, options) as cc:
        poller = await cc.library.begin_upload(
            b"x" * 1_300_000, name="a.pdf", on_progress=watch.progress.append
        )
        assert_clean(poller.token(), "a resume token")
        file = await poller
        resumed = cc.resume(poller.token())
        updates = [update async for update in resumed]
        listing = cc.library.files()
        rows = await listing.collect()
        every = [cc, poller, resumed, file, updates, listing, rows, cc.budget, cc.library]
        for thing in (*every, cc._credentials, cc._open_parts.session, poller.location):
            for text in (*shown(thing, 1), inspected(thing)):
                assert_clean(text, repr(thing))
        for thing in (file, updates, rows, poller.location, cc._credentials):
            for text in copies_of(thing):
                assert_clean(text, f"a copy of {thing!r}")
    assert_clean(repr(cc), "a closed client")
    assert watch.progress
    assert watch.events


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 413, 429, 500, 503])
async def test_secrets_are_hidden_when_the_service_echoes_them(
    watch: Watch, sandbox: Sandbox, options: dict[str, Any], status: int
) -> None:
    sandbox.admin.fault("echo", status=status, times=None)

    def fail() -> str:
        raise RuntimeError("no fresh token for " + KEY)

    async with client(sandbox, options, refresh_token=fail) as cc:
        await watch.failing(cc.library.info())
        await watch.failing(cc.library.begin_upload(b"abc", name="a.pdf"))
        await watch.failing(cc.library.create_folder("x"))
        await watch.failing(cc.library.files().collect())


ECHO = f"{KEY} {TOKEN} {quote(KEY, safe='')} {quote(TOKEN, safe='').lower()}"
ODD_ANSWERS: dict[str, tuple[str, bytes, tuple[str, ...]]] = {
    "html": ("200 OK", f"<p>{ECHO}".encode(), (f"Content-Type: text/html; {ECHO}",)),
    "prose": ("418 Teapot", ECHO.encode(), ("Content-Type: text/plain",)),
    "cut": ("200 OK", b"x" * 70 + ECHO.encode(), ("Content-Type: text/plain",)),
    "wrong shape": ("200 OK", json.dumps([ECHO]).encode(), (f"X-Echo: {ECHO}",)),
    "wrong field": ("200 OK", json.dumps({"id": [ECHO], ECHO: ECHO}).encode(), ()),
    "no json": ("200 OK", b"{" + ECHO.encode(), ("Content-Type: application/json",)),
    "encoding": ("200 OK", b"x", (f"Content-Encoding: {ECHO}",)),
    "oauth": ("400 No", json.dumps({"error": KEY, "error_description": TOKEN}).encode(), ()),
    "deep": ("400 No", json.dumps([{"error_key": {"x": [ECHO]}}]).encode(), ()),
    "location": ("202 OK", b"", (f"Location: /v2/library/files/?api_key={quote(KEY)}",)),
    "redirect": ("302 Away", b"", (f"Location: https://x.example/?k={ECHO}",)),
    "reason": (f"500 {ECHO}", b"", ()),
}


@pytest.mark.parametrize("kind", ODD_ANSWERS)
async def test_secrets_are_hidden_when_a_malformed_response_has_them(
    watch: Watch, options: dict[str, Any], kind: str
) -> None:
    status, body, headers = ODD_ANSWERS[kind]

    async def answer(wire: Wire, _: Request) -> None:
        await wire.answer(status, body, *headers, json=False)

    async with serving(answer) as server, client(server, options) as cc:
        await watch.failing(cc.library.get_file("1"))
        await watch.failing(cc.library.begin_upload(b"abc", name="a.pdf"))
        await watch.failing(cc.library.files().collect())


async def test_secrets_are_hidden_when_the_connection_fails(
    watch: Watch, options: dict[str, Any]
) -> None:
    nowhere = SimpleNamespace(base_url=f"http://127.0.0.1:{await unused_port()}/v2")
    async with client(nowhere, options) as cc:
        await watch.failing(cc.library.info(), errors.TransportError)
        await watch.failing(cc.library.begin_upload(b"abc", name="a.pdf"), errors.TransportError)

    async def hang_up(wire: Wire) -> None:
        request = await wire.request()
        await wire.write(f"{request.target} {request.headers['authorization']}\r\n\r\n".encode())
        wire.reset()

    async with RawServer(hang_up) as server, client(server, options) as cc:
        await watch.failing(cc.library.info(), errors.TransportError)
        await watch.failing(cc.library.begin_upload(b"abc", name="a.pdf"))


async def test_secrets_are_hidden_on_timeout_and_cancellation(
    watch: Watch, options: dict[str, Any]
) -> None:
    async def silent(wire: Wire) -> None:
        await wire.request()
        await wire.reader.read()

    async with RawServer(silent) as server:
        async with client(server, options, timeouts=Timeouts(read=0.02)) as cc:
            await watch.failing(cc.library.info(), errors.TransportError)
        async with client(server, options) as cc:
            task = asyncio.create_task(cc.library.begin_upload(b"abc", name="a.pdf"))
            before = server.connections
            await until(lambda: server.connections > before)
            task.cancel()
            await watch.failing(task, asyncio.CancelledError)


async def test_when_the_stacks_are_dumped_while_calls_wait(
    watch: Watch, options: dict[str, Any], tmp_path: Path
) -> None:
    async def silent(wire: Wire) -> None:
        await wire.request()
        await wire.reader.read()

    async with RawServer(silent) as server, client(server, options) as cc:
        task = asyncio.create_task(cc.library.begin_upload(b"abc", name="a.pdf"))
        await until(lambda: server.connections)
        with (tmp_path / "dump").open("w+") as file:
            faulthandler.dump_traceback(file)
            task.print_stack(file=file)
            traceback.print_stack(file=file)
            file.seek(0)
            assert_clean(file.read(), "a dump of the stacks")
        for frame in frames_of(task) if "http_client" not in options else ():
            variables = {name: repr(value) for name, value in frame.f_locals.items()}
            assert_clean(str(variables), f"the waiting frame {frame.f_code.co_name}")
        task.cancel()
        await watch.failing(task, asyncio.CancelledError)


def frames_of(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    """The frames of ours that a task waits in, from the outermost to those of the client's HTTP."""
    waiting: Any = task.get_coro()
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "ag_frame", None)
        if frame is not None and "ccv2_async" in frame.f_code.co_filename:
            yield frame
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "ag_await", None)


async def test_secrets_are_hidden_when_jobs_fail(
    watch: Watch, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    async with client(sandbox, options) as cc:
        for name in ("virus.png", "fail.pdf"):
            await watch.failing(cc.library.upload(b"abc", name=name), errors.JobError)
        poller = await cc.library.begin_upload(b"abc", name="b.pdf")
        sandbox.admin.fault("echo", status=403, times=None)
        await watch.failing(poller.wait())


async def test_secrets_are_hidden_when_a_source_fails(
    watch: Watch, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        raise ZeroDivisionError("in the user's own stream")

    async with client(sandbox, options) as cc:
        error = await watch.failing(
            cc.library.begin_upload(lambda: broken(), name="a.pdf", length=5000),  # noqa: PLW0108  # a function
            ZeroDivisionError,
        )
    frames = traceback.extract_tb(error.__traceback__)
    assert frames[-1].name == "broken", "the user sees where"
    assert not [frame for frame in frames if "site-packages" in frame.filename]


class Halt(BaseException):
    """As `KeyboardInterrupt` and `SystemExit`, which end more than a call."""


async def test_secrets_are_hidden_when_a_source_raises_a_base_exception(
    watch: Watch, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        raise Halt

    async with client(sandbox, options) as cc:
        error = await watch.failing(
            cc.library.begin_upload(lambda: broken(), name="a.pdf", length=5000),  # noqa: PLW0108  # a function
            Halt,
        )
    assert traceback.extract_tb(error.__traceback__)[-1].name == "broken", "the user sees where"


async def test_secrets_are_hidden_when_a_transport_raises_a_base_exception(
    watch: Watch, sandbox: Sandbox
) -> None:
    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise Halt

    logging.getLogger("ccv2_async").debug("so that something is logged")
    async with (
        httpx.AsyncClient(transport=Transport()) as own,
        client(sandbox, {"http_client": own}) as cc,
    ):
        await watch.failing(cc.lists.all(), Halt)


async def test_secrets_are_hidden_when_the_token_is_refreshed(
    watch: Watch, options: dict[str, Any]
) -> None:
    async def echo(wire: Wire, request: Request) -> None:
        body = json.dumps([{"error_key": "x", "error_message": request.headers["authorization"]}])
        status = "400 No" if FRESH in request.headers["authorization"] else "401 No"
        await wire.answer(status, body.encode())

    async with serving(echo) as server:
        async with client(server, options, refresh_token=lambda: FRESH) as cc:
            error = await watch.failing(cc.library.info(), errors.BadRequest)
            assert "Bearer [hidden]" in str(error)
        async with client(server, options, refresh_token=lambda: f"{FRESH} \n") as cc:
            await watch.failing(cc.library.info(), errors.AuthenticationFailed)


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_key": f"{KEY} x"},
        {"access_token": f"{TOKEN}\n"},
        {"base_url": "ftp://x"},
        {"max_in_flight": 0},
        {"per_second": -1},
        {"http_client": object(), "proxy": "http://x"},
        {"refresh_token": FRESH},
        {"refresh_token": FRESH.encode()},
    ],
)
@pytest.mark.parametrize("from_env", [False, True])
async def test_secrets_are_hidden_when_an_option_is_invalid(
    watch: Watch, wrong: dict[str, Any], from_env: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    logging.getLogger("ccv2_async").debug("nothing else is logged here")

    async def make() -> None:
        if from_env:
            monkeypatch.setenv("CCV2_API_KEY", KEY)
            monkeypatch.setenv("CCV2_ACCESS_TOKEN", TOKEN)
            ConstantContact.from_env(**wrong)
        ConstantContact(**{"api_key": KEY, "access_token": TOKEN} | wrong)

    await watch.failing(make(), errors.UsageError)


async def test_secrets_are_hidden_when_the_rate_variable_is_invalid(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    logging.getLogger("ccv2_async").debug("nothing else is logged here")
    monkeypatch.setenv("CCV2_API_KEY", KEY)
    monkeypatch.setenv("CCV2_ACCESS_TOKEN", TOKEN)
    monkeypatch.setenv("CCV2_RATE", "fast")

    async def make() -> None:
        ConstantContact.from_env()

    await watch.failing(make(), errors.InvalidField)


async def test_secrets_are_hidden_in_a_stored_response(options: dict[str, Any]) -> None:
    async def echo(wire: Wire, _: Request) -> None:
        await wire.answer("200 OK", ECHO.encode(), f"X-Echo: {ECHO}")

    async with serving(echo) as server, client(server, options) as cc:
        answer: Response = await cc._open_parts.session.send(Call("GET", "/x", Effect.SAFE, "it"))
        assert_clean(str(answer.headers) + answer.content.decode(), "what came")
    assert_clean(repr(answer), "an answer")


def spelled(text: str) -> str:
    """JSON text in which every character is an escape."""
    return "".join(f"\\u{ord(char):04x}" for char in text)


@pytest.mark.parametrize("echo", [KEY, TOKEN])
@pytest.mark.parametrize("write", [lambda text: json.dumps(text)[1:-1], spelled])
async def test_secrets_are_hidden_when_a_successful_response_echoes_them(
    watch: Watch, options: dict[str, Any], echo: str, write: Callable[[str], str]
) -> None:
    told = write(echo)
    rows = f'[{{"file_id": "7", "status": "{told}", "description": "{told}", "name": "{told}"}}]'
    failed = f'[{{"file_id": "8", "status": "Failed", "description": "no {told}"}}]'
    activity = (
        f'{{"id": "a1", "type": "ADD_CONTACTS", "status": "ERROR", "error_count": 1, "{told}": 1,'
        f' "errors": [{{"message": "{told}", "line_number": 1, "email_address": "{told}"}}]}}'
    )
    file = f'{{"id": "{told}", "name": "{told}", "status": "{told}", "size": "{told}"}}'

    async def answer(wire: Wire, request: Request) -> None:
        if request.method == "POST":
            where = "7" if b"a.pdf" in request.body else "8" if b"b.pdf" in request.body else echo
            await wire.answer(
                "202 Accepted", b"", f"Location: /v2/library/files/{quote(where, safe='')}",
                f"Id: {where}", f"X-Echo: {echo}",
            )  # fmt: skip
        elif "uploadstatus/7" in request.target:
            await wire.answer("200 OK", rows.encode())
        elif "uploadstatus" in request.target:
            await wire.answer("200 OK", failed.encode())
        elif "/activities/" in request.target:
            await wire.answer("200 OK", activity.encode())
        else:
            await wire.answer("200 OK", file.encode())

    async with serving(answer) as server, client(server, options) as cc:
        poller = await cc.library.begin_upload(b"abc", name="a.pdf")
        await poller.poll_once()
        failing = await cc.library.begin_upload(b"abc", name="b.pdf")
        await failing.poll_once()
        await watch.failing(failing.wait(), errors.UploadFailed)
        await watch.failing(cc.library.begin_upload(b"abc", name="c.pdf"))
        watch.raised.append(poller.timed_out(900.0))
        await watch.failing(cc.library.get_file("1"))
        job = await cc.activities.get("a1")
        for thing in (poller, failing, job):
            for text in shown(thing, 2):
                assert_clean(text, repr(type(thing)))
        for token in (poller.token(), failing.token()):
            coded = token.split(".")[-1] + token
            assert_clean(coded, "a resume token")


@pytest.mark.parametrize("header", ["X-Other: 1", f"Content-Encoding: {ECHO}"])
async def test_secrets_are_hidden_when_a_refused_file_echoes_them(
    watch: Watch, options: dict[str, Any], header: str
) -> None:
    async def answer(wire: Wire, request: Request) -> None:
        await wire.answer("200 OK", f"{request.target} {TOKEN}".encode(), header, json=False)

    async with serving(answer) as server, client(server, options) as cc:
        file = LibraryFile(id="7", name="a.txt", size=9, url=f"{server.origin}/7.txt")

        async def read() -> None:
            async with cc.library.open(file) as pieces:
                [None async for _ in pieces]

        await watch.failing(read(), errors.DecodeError)


@pytest.mark.parametrize("body", ["<html>{}</html>", "no file {}"])
async def test_secrets_are_hidden_when_a_page_echoes_them_in_place_of_a_file(
    watch: Watch, options: dict[str, Any], tmp_path: Path, body: str
) -> None:
    class Writer:
        async def write(self, data: bytes) -> None:
            return None

    async def answer(wire: Wire, request: Request) -> None:
        page = body.format(f"{request.target} {TOKEN}").encode()
        await wire.answer("200 OK", page, "Content-Type: text/html", json=False)

    async with serving(answer) as server, client(server, options) as cc:
        file = LibraryFile(id="7", name="a.png", size=9999, url=f"{server.origin}/7.png")
        done = {"id": "1", "type": "EXPORT_CONTACTS", "status": "COMPLETE"}
        export = Activity.from_dict({**done, "file_name": f"{server.origin}/7.csv"})

        async def read() -> None:
            async with cc.library.open(file) as pieces:
                [None async for _ in pieces]

        for to in (tmp_path / "a.png", Writer()):
            await watch.failing(cc.library.download(file, to))
        if body.startswith("<"):
            await watch.failing(read())
            await watch.failing(cc.activities.download_export(export, tmp_path / "a.csv"))
