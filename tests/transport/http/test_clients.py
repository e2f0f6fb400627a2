"""Custom HTTP clients, proxies, TLS, and which connections are reused."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import httpx2
import pytest
import trustme
from httpx_aiohttp import AiohttpTransport

from ccv2_async import ConstantContact, FileToUpload, errors
from ccv2_async.observe import CallRetried
from ccv2_async.sandbox import Sandbox
from ccv2_async.transport.http.clients import shows_visible_url
from ccv2_async.transport.http.engine import DirectEngine, ProxyEngine
from tests.support.clocks import settle
from tests.support.probes import nothing_left, until
from tests.support.servers import Proxy, RawServer, serving, unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.servers import Request, Wire

SECRETS = ("sandbox-key", "sandbox-token")


@pytest.fixture
async def proxy() -> Any:
    async with Proxy() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_sandbox(authority: trustme.CA) -> Any:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Sandbox(mode="at_once", tls=context) as sandbox:
        yield sandbox


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def use(cc: ConstantContact) -> None:
    """Make an upload of two blocks, a listing, and a refused call."""
    content = os.urandom(1_500_000)
    file = await cc.library.upload(content, name="menu.pdf")
    assert file.size == len(content)
    assert [row.id async for row in cc.library.files()] == [file.id]
    with pytest.raises(errors.NotFound):
        await cc.library.get_file("404404")


async def test_a_client_reaches_the_service(connect: Callable[..., Any], sandbox: Sandbox) -> None:
    await use(await connect(sandbox))


async def test_a_client_reaches_the_service_over_tls(
    connect: Callable[..., Any], tls_sandbox: Sandbox, trusting: ssl.SSLContext
) -> None:
    await use(await connect(tls_sandbox, verify=trusting))


async def test_an_untrusted_certificate_is_a_connection_error(
    connect: Callable[..., Any], tls_sandbox: Sandbox
) -> None:
    cc = await connect(tls_sandbox)
    with pytest.raises(errors.ConnectFailed, match=r"(?i)certificate"):
        await cc.library.info()
    await use(await connect(tls_sandbox, verify=False))


# --- requests on the wire


@pytest.fixture
async def seen(connect: Callable[..., Any]) -> list[Request]:
    seen: list[Request] = []

    async def note(wire: Wire, request: Request) -> None:
        seen.append(request)
        deleted = request.method == "DELETE"
        await wire.answer(body=b"" if deleted else b'{"id": "a~b", "name": "x"}')

    async with serving(note) as server:
        cc = await connect(server, api_key="k/e&y+1")
        await cc.library.get_file("a~b c"[:3])
        await cc.library.create_folder("x")
        await cc.library.delete_files("1", "2")
    return seen


async def test_a_request_is_signed_has_a_content_type_and_is_never_chunked(
    seen: list[Request],
) -> None:
    for request in seen:
        assert request.headers["authorization"] == "Bearer sandbox-token"
        assert request.headers["accept"] == "application/json"
        assert request.headers["content-type"] == "application/json"
        assert request.headers["user-agent"].startswith("ccv2_async/")
        assert request.headers["x-ctct-request-source"] == "sdk.python.ccv2_async"
        assert "transfer-encoding" not in request.headers
        assert httpx.URL(request.target).params["api_key"] == "k/e&y+1"
    assert seen[1].body == b'{"name":"x"}'
    assert seen[2].target.startswith("/v2/library/files/1,2?")


async def test_cookies_are_not_kept(connect: Callable[..., Any]) -> None:
    cookies: list[str | None] = []

    async def note(wire: Wire, request: Request) -> None:
        cookies.append(request.headers.get("cookie"))
        await wire.answer("200 OK", b"{}", "Set-Cookie: session=another-account")

    async with serving(note) as server:
        cc = await connect(server)
        await cc.library.info()
        await cc.library.info()
    assert cookies == [None, None]


# --- redirects


@pytest.mark.parametrize("mine", [False, True])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
async def test_a_redirect_is_never_followed(
    connect: Callable[..., Any], sandbox: Sandbox, status: int, mine: bool
) -> None:
    async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as own:
        cc = await connect(sandbox, **({"http_client": own} if mine else {}))
        to = f"{sandbox.base_url}/library/files/1?api_key=sandbox-key"
        sandbox.admin.fault("answer", status=status, headers={"location": to})
        with pytest.raises(errors.UnexpectedRedirect, match="It was not followed") as caught:
            await cc.library.info()
    assert caught.value.status == status
    assert len(sandbox.admin.requests()) == 1


# --- which connections are reused


async def test_connections_are_reused_and_closed_with_the_client(sandbox: Sandbox) -> None:
    client = ConstantContact(**sandbox.client_options())
    async with nothing_left(), client as cc:
        for _ in range(5):
            await cc.library.info()
        await asyncio.gather(*(cc.library.info() for _ in range(8)))
        for _ in range(5):
            await cc.library.info()
    ports = [entry.client for entry in sandbox.admin.requests()]
    assert len(set(ports[:5])) == 1
    assert len(set(ports)) <= 8


async def test_a_connection_is_reused_only_if_its_response_was_read_completely() -> None:
    async def long(wire: Wire, _: Request) -> None:
        await wire.answer(body=b"x" * 100_000)

    async with serving(long) as server, nothing_left():
        engine = DirectEngine(ssl.create_default_context())
        for read in (False, True, True):
            response = await engine.send(httpx.Request("GET", server.origin))
            if read:
                await response.aread()
            await response.aclose()
            await response.aclose()
            assert len(engine._idle) == read
        assert server.connections == 2
        await engine.aclose()
        assert not engine._idle


async def test_surplus_idle_connections_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def short(wire: Wire, _: Request) -> None:
        await wire.answer(body=b"{}")

    monkeypatch.setattr("ccv2_async.transport.http.engine.MAX_IDLE", 1)
    async with serving(short) as server, nothing_left():
        engine = DirectEngine(ssl.create_default_context())
        asked = [httpx.Request("GET", server.origin) for _ in range(3)]
        kept, surplus, late = [await engine.send(one) for one in asked]
        await kept.aread()
        await surplus.aread()
        assert len(engine._idle) == 1
        await until(lambda: server.open == 2)
        await engine.aclose()
        assert not engine._idle
        assert await late.aread() == b"{}"
        assert not engine._idle
        await until(lambda: server.open == 0)


async def test_connections_that_were_idle_too_long_are_closed_by_the_next_call() -> None:
    async def short(wire: Wire, _: Request) -> None:
        await wire.answer(body=b"{}")

    async with serving(short) as server, nothing_left():
        engine = DirectEngine(ssl.create_default_context(), keepalive_expiry=60.0)
        asked = [httpx.Request("GET", server.origin) for _ in range(5)]
        for response in [await engine.send(one) for one in asked]:
            await response.aread()
        for connection in list(engine._idle)[:-1]:
            connection.expires_at = 0.0
        await (await engine.send(asked[0])).aread()
        await until(lambda: server.open == 1)
        assert server.connections == 5
        await engine.aclose()


async def test_the_client_reconnects_after_the_server_closes_between_calls(
    connect: Callable[..., Any],
) -> None:
    async def once(wire: Wire) -> None:
        await wire.request()
        await wire.answer(body=b"{}")

    async with RawServer(once) as server:
        cc = await connect(server)
        for _ in range(3):
            await cc.library.info()
            await until(lambda: not server.open)
        assert server.connections == 3


async def test_closing_a_client_ends_a_running_upload(
    connect: Callable[..., Any],
) -> None:
    reached = asyncio.Event()

    async def silent(wire: Wire) -> None:
        await wire.head()
        reached.set()
        while await wire.reader.read(65536):
            pass

    async with RawServer(silent) as server, nothing_left():
        cc = await connect(server, timeouts=None)
        task = asyncio.create_task(cc.library.begin_upload(b"abc", name="a.png"))
        await reached.wait()
        await cc.aclose()
        task.cancel()
        await asyncio.wait([task])


# --- the user's own client


def assert_no_secret_in(caplog: pytest.LogCaptureFixture) -> None:
    # The server's own log of requests is not the client's.
    records = [r for r in caplog.records if not r.name.startswith("uvicorn")]
    told = "\n".join(record.getMessage() for record in records)
    assert "HTTP Request: POST" in told
    assert all(secret not in told for secret in SECRETS)


class Hooks:
    """The parts of requests and responses that a user's event hooks and loggers see."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    async def request(self, request: httpx.Request) -> None:
        self.urls += [str(request.url), repr(request.url), repr(request)]

    async def response(self, response: httpx.Response) -> None:
        self.urls += [str(response.url), str(response.request.url), repr(response)]


async def test_a_custom_http_client_is_used_unchanged_and_not_closed(
    connect: Callable[..., Any], sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hooks = Hooks()
    async with httpx.AsyncClient(
        trust_env=False,
        auth=("user", "word"),
        params={"mine": "1"},
        headers={"x-mine": "1"},
        event_hooks={"request": [hooks.request], "response": [hooks.response]},
    ) as own:
        cc = await connect(sandbox, http_client=own)
        await use(cc)
        await cc.aclose()
        assert not own.is_closed
    assert len(hooks.urls) > 20
    assert all(secret not in url for url in hooks.urls for secret in SECRETS)
    assert_no_secret_in(caplog)


async def test_a_custom_transport_may_read_the_url_of_the_request(
    connect: Callable[..., Any], sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with httpx.AsyncClient(transport=AiohttpTransport()) as own:
        await use(await connect(sandbox, http_client=own))
    assert_no_secret_in(caplog)


async def test_a_custom_http_client_may_answer_without_a_network(
    connect: Callable[..., Any],
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params["api_key"] == "sandbox-key"
        return httpx.Response(200, json={"image_root": request.url.path})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as own:
        cc = await connect(http_client=own, base_url="https://service.example/v2")
        assert (await cc.library.info()).image_root == "/v2/library/info"


async def test_custom_event_hooks_may_read_the_response(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    async def hook(response: httpx.Response) -> None:
        await response.aread()

    async with httpx.AsyncClient(event_hooks={"response": [hook]}, trust_env=False) as own:
        sandbox.admin.fault("gzip", times=None)
        await use(await connect(sandbox, http_client=own))


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_a_closed_client_of_the_user_is_a_usage_error_and_nothing_is_retried(
    connect: Callable[..., Any], sandbox: Sandbox, library: Any
) -> None:
    own = library.AsyncClient(trust_env=False)
    seen: list[Any] = []
    cc = await connect(sandbox, http_client=own, per_day=100, on_event=seen.append)
    await cc.library.info()
    await own.aclose()
    left, before = cc.remaining_today, len(seen)
    for call in (cc.library.info(), cc.library.begin_upload(b"abc", name="a.pdf")):
        with pytest.raises(errors.UsageError, match=r"http_client is closed.*Nothing was sent"):
            await call
    results = [result async for result in cc.upload_many([FileToUpload(b"abc", name="b.pdf")])]
    assert [type(result.error) for result in results] == [errors.UsageError]
    assert cc.remaining_today == left
    assert not [event for event in seen[before:] if isinstance(event, CallRetried)]
    assert len(sandbox.admin.requests()) == 1


@pytest.mark.parametrize("more", [{"proxy": "http://127.0.0.1:1"}, {"verify": False}])
async def test_options_that_a_custom_http_client_decides_are_refused(more: Any) -> None:
    async with httpx.AsyncClient() as own:
        with pytest.raises(errors.UsageError, match="http_client has its own proxy"):
            ConstantContact(api_key="k", access_token="t", http_client=own, **more)


async def test_transports_that_read_the_request_url_are_recognized() -> None:
    async with httpx.AsyncClient(trust_env=False) as plain:
        assert not shows_visible_url(plain)
    async with httpx.AsyncClient(mounts={"http://": AiohttpTransport()}) as mounted:
        assert shows_visible_url(mounted)


# --- proxies


async def test_a_given_proxy_is_used(
    connect: Callable[..., Any], sandbox: Sandbox, proxy: Proxy
) -> None:
    await use(await connect(sandbox, proxy=proxy.origin))
    assert any(line.startswith(f"POST {sandbox.base_url}/library/files?") for line in proxy.seen)


async def test_tls_is_tunneled_through_a_proxy(
    connect: Callable[..., Any],
    tls_sandbox: Sandbox,
    trusting: ssl.SSLContext,
    proxy: Proxy,
) -> None:
    await use(await connect(tls_sandbox, proxy=proxy.origin, verify=trusting))
    assert {line.split(" ")[0] for line in proxy.seen} == {"CONNECT"}


async def test_the_certificate_of_a_proxy_is_checked_as_those_of_servers(
    connect: Callable[..., Any],
    sandbox: Sandbox,
    authority: trustme.CA,
    trusting: ssl.SSLContext,
) -> None:
    proxy = Proxy()
    proxy.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(proxy.tls)
    async with proxy:
        where = f"https://127.0.0.1:{proxy.port}"
        await use(await connect(sandbox, proxy=where, verify=trusting))
        seen = len(proxy.seen)
        assert seen > 1
        cc = await connect(sandbox, proxy=where)
        with pytest.raises(errors.ConnectFailed, match="CERTIFICATE_VERIFY_FAILED"):
            await cc.library.info()
        assert len(proxy.seen) == seen


@pytest.mark.parametrize(
    ("variable", "no_proxy", "used"),
    [
        ("HTTP_PROXY", "", True),
        ("http_proxy", "elsewhere.example", True),
        ("all_proxy", "", True),
        ("https_proxy", "", False),
        ("http_proxy", "127.0.0.1", False),
        ("http_proxy", "*", False),
        ("http_proxy", "a.example, 127.0.0.1", False),
    ],
)
@pytest.mark.parametrize("with_scheme", [True, False])
async def test_proxies_from_the_environment_are_used_as_in_httpx(  # noqa: PLR0917  # fixtures
    connect: Callable[..., Any],
    sandbox: Sandbox,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    no_proxy: str,
    used: bool,
    with_scheme: bool,
) -> None:
    where = proxy.origin if with_scheme else proxy.origin.removeprefix("http://")
    if variable == "HTTP_PROXY" and "REQUEST_METHOD" in os.environ:
        pytest.skip("a CGI script is never given HTTP_PROXY")
    monkeypatch.setenv(variable, where)
    monkeypatch.setenv("no_proxy", no_proxy)
    await (await connect(sandbox, trust_env=True)).library.info()
    assert bool(proxy.seen) is used
    async with httpx.AsyncClient() as peer:
        proxy.seen.clear()
        await peer.get(sandbox.base_url)
        assert bool(proxy.seen) is used, "as httpx itself does"


async def test_proxies_from_the_environment_can_be_ignored(
    connect: Callable[..., Any],
    sandbox: Sandbox,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", proxy.origin)
    await (await connect(sandbox, trust_env=False)).library.info()
    assert proxy.seen == []


async def test_a_proxy_tunnel_is_reused(
    connect: Callable[..., Any], tls_sandbox: Sandbox, trusting: ssl.SSLContext, proxy: Proxy
) -> None:
    cc = await connect(tls_sandbox, proxy=proxy.origin, verify=trusting)
    for _ in range(3):
        await cc.library.info()
    assert proxy.connections == 1


async def test_a_proxy_connection_is_reused(connect: Callable[..., Any]) -> None:
    lines: list[str] = []

    async def answer(wire: Wire, request: Request) -> None:
        lines.append(request.line)
        await wire.answer(body=b"{}")

    async with serving(answer) as server:
        cc = await connect(proxy=server.origin, base_url="http://service.example:81/v2")
        for _ in range(3):
            await cc.library.info()
        assert server.connections == 1
    target = "http://service.example:81/v2/library/info?api_key=sandbox-key"
    assert set(lines) == {f"GET {target} HTTP/1.1"}


@pytest.mark.parametrize("secure", [False, True])
async def test_proxy_credentials_are_sent_only_to_the_proxy(
    connect: Callable[..., Any],
    tls_sandbox: Sandbox,
    trusting: ssl.SSLContext,
    secure: bool,
) -> None:
    seen: list[Request] = []

    async def note(wire: Wire) -> None:
        seen.append(await wire.request())
        await wire.answer("407 Proxy Authentication Required", b"")

    async with RawServer(note) as server:
        proxy = server.origin.replace("http://", "http://us%40er:w0rd@")
        base_url = tls_sandbox.base_url if secure else "http://service.example/v2"
        cc = await connect(proxy=proxy, base_url=base_url, verify=trusting)
        with pytest.raises(errors.ConstantContactError) as caught:
            await cc.library.info()
    assert "w0rd" not in str(caught.value)
    assert seen[0].headers["proxy-authorization"] == "Basic dXNAZXI6dzByZA=="
    assert ("authorization" in seen[0].headers) is not secure
    if secure:
        assert seen[0].line == f"CONNECT {tls_sandbox.base_url[8:-3]} HTTP/1.1"
        assert not [name for name in seen[0].headers if name not in ("host", "proxy-authorization")]


@pytest.mark.parametrize("secure", [False, True])
async def test_an_early_refusal_is_noticed_through_a_proxy(
    connect: Callable[..., Any], authority: trustme.CA, trusting: ssl.SSLContext, secure: bool
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n[]")
            await reader.read(1000)
        writer.close()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        await asyncio.Event().wait()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(refuse, "127.0.0.1", 0, ssl=context if secure else None)
    port = server.sockets[0].getsockname()[1]
    async with server, Proxy() as proxy:
        base_url = f"http{'s' if secure else ''}://127.0.0.1:{port}/v2"
        cc = await connect(proxy=proxy.origin, base_url=base_url, verify=trusting)
        with pytest.raises(errors.BadRequest):
            await cc.library.begin_upload(endless, name="a.png", length=10_000_000)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nunasked",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    ],
)
async def test_a_refused_tunnel_is_a_connection_error(
    connect: Callable[..., Any], tls_sandbox: Sandbox, answer: bytes
) -> None:
    async def say(wire: Wire) -> None:
        await wire.head()
        await wire.write(answer)

    async with RawServer(say) as server, nothing_left():
        cc = await connect(tls_sandbox, proxy=server.origin)
        with pytest.raises(errors.ConnectFailed, match="Nothing was sent"):
            await cc.library.create_folder("once")
        await cc.aclose()


async def test_a_proxy_that_never_completes_its_response_is_refused(
    connect: Callable[..., Any], tls_sandbox: Sandbox
) -> None:
    written = 0

    async def go_on(wire: Wire) -> None:
        nonlocal written
        await wire.head()
        while written < 64 * 1024 * 1024:
            await wire.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)
            written += 27_000

    async with RawServer(go_on) as server, nothing_left():
        cc = await connect(tls_sandbox, proxy=server.origin)
        with pytest.raises(errors.ConnectFailed, match="Nothing was sent"):
            await cc.library.create_folder("once")
        assert written < 32 * 1024 * 1024
        await cc.aclose()


async def test_proxies_that_only_httpx_supports_get_a_connection_per_request(
    sandbox: Sandbox, proxy: Proxy
) -> None:
    engine = ProxyEngine(ssl.create_default_context(), httpx.Proxy(proxy.origin))
    async with nothing_left():
        for _ in range(3):
            response = await engine.send(httpx.Request("GET", sandbox.base_url))
            await response.aread()
            assert response.request.headers["connection"] == "close"
        await until(lambda: not proxy.open)
        unread = await engine.send(httpx.Request("GET", sandbox.base_url))
        await unread.aclose()
        await until(lambda: not proxy.open)
        await engine.aclose()
    assert proxy.connections == 4


async def test_a_cancelled_handshake_with_a_proxy_leaves_no_connection_open(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    async def never_answer(wire: Wire) -> None:
        await wire.reader.read()  # until the client closes the connection

    gc.disable()  # it would eventually close what the client forgot
    try:
        async with RawServer(never_answer) as server:
            cc = await connect(sandbox, proxy=f"https://127.0.0.1:{server.port}")
            call = asyncio.create_task(cc.library.info())
            await until(lambda: server.open)
            await asyncio.sleep(0.05)  # the handshake begins
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await until(lambda: not server.open)
    finally:
        gc.enable()


async def test_a_missing_or_refusing_proxy_is_a_connection_error(
    connect: Callable[..., Any], sandbox: Sandbox, tls_sandbox: Sandbox
) -> None:
    nowhere = f"http://127.0.0.1:{await unused_port()}"
    cc = await connect(sandbox, proxy=nowhere)
    with pytest.raises(errors.ConnectFailed):
        await cc.library.info()

    async def refuse(wire: Wire) -> None:
        await wire.head()
        await wire.answer("407 Proxy Authentication Required", b"")

    async with RawServer(refuse) as server:
        cc = await connect(tls_sandbox, proxy=server.origin)
        with pytest.raises(errors.ConnectFailed):
            await cc.library.create_folder("once")


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_a_proxy_that_does_not_open_the_tunnel_is_a_connection_error(hangs_up: bool) -> None:
    async def stall(wire: Wire) -> None:
        await wire.head()
        if not hangs_up:
            await wire.reader.read()

    async with RawServer(stall) as server, nothing_left():
        engine = ProxyEngine(ssl.create_default_context(), httpx.Proxy(server.origin))
        options = {"timeout": {"connect": 0.1}}
        request = httpx.Request("GET", "https://service.example", extensions=options)
        async with asyncio.timeout(5):
            with pytest.raises(httpx.ProxyError):
                await engine.send(request)


@pytest.mark.parametrize("url", ["http://service.example", "https://service.example"])
async def test_an_engine_of_httpx_tells_until_when_nothing_was_sent(url: str) -> None:
    async def hang(wire: Wire) -> None:
        await wire.head()
        arrived.set()
        await wire.reader.read()

    arrived, unsent = asyncio.Event(), set[str]()
    async with RawServer(hang) as server, nothing_left():
        engine = ProxyEngine(ssl.create_default_context(), httpx.Proxy(server.origin))
        request = httpx.Request("POST", url, extensions={"unsent": unsent})
        sending = asyncio.create_task(engine.send(request))
        await arrived.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert bool(unsent) == (url.startswith("https"))  # only the proxy got a request for a tunnel


async def test_a_slow_response_through_a_proxy_may_take_longer_than_connecting(
    proxy: Proxy,
) -> None:
    async def slow(wire: Wire, _: Request) -> None:
        await asyncio.sleep(0.2)
        await wire.answer()

    async with serving(slow) as server:
        engine = ProxyEngine(ssl.create_default_context(), httpx.Proxy(proxy.origin))
        options = {"timeout": {"connect": 0.1}}
        response = await engine.send(httpx.Request("GET", server.origin, extensions=options))
        assert await response.aread() == b"[]"
        await response.aclose()


# --- unrequested data after a response


def id_of(number: int) -> bytes:
    body = b'{"id": "%d", "name": "x"}' % number
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.fixture
async def smuggler() -> AsyncIterator[RawServer]:
    """A server that sends another response, with the ID 666, after each correct one."""
    numbers = iter(range(1001, 2000))

    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.write(id_of(next(numbers)) + id_of(666))

    async with RawServer(script) as server:
        yield server


@pytest.mark.parametrize(
    "way",
    ["ours", "proxy", "environment", "httpx", "httpx http2", "httpx proxy", "httpx2", "aiohttp"],
)
async def test_data_after_a_response_is_never_mistaken_for_the_next_response(
    connect: Callable[..., Any],
    smuggler: RawServer,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    options: dict[str, Any] = {}
    async with contextlib.AsyncExitStack() as stack:
        if way == "proxy":
            options = {"proxy": smuggler.origin}  # the proxy itself is the smuggler
        elif way == "environment":
            monkeypatch.setenv("http_proxy", smuggler.origin)
            monkeypatch.setenv("no_proxy", "")
        elif way != "ours":
            kind, _, more = way.partition(" ")
            given: dict[str, Any] = {"trust_env": False}
            if more == "proxy":
                given["proxy"] = smuggler.origin
            if kind == "aiohttp":
                kind, given["transport"] = "httpx", AiohttpTransport()
            own = pytest.importorskip(kind).AsyncClient(**given)
            options = {"http_client": await stack.enter_async_context(own)}
        cc = await connect(smuggler, **options)
        for number in range(1001, 1006):
            # Not `get_file`, which compares the IDs and would ask again.
            response = await cc.request("GET", "/library/files/1")
            assert response.data["id"] == str(number)
    assert smuggler.connections == 5


@pytest.mark.parametrize("way", ["ours", "httpx", "httpx2", "aiohttp with force_close"])
async def test_data_that_follows_a_response_later_is_never_mistaken_for_the_next_response(
    connect: Callable[..., Any], way: str
) -> None:
    numbers = iter(range(1001, 2000))
    taken, followed = asyncio.Event(), asyncio.Event()

    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.write(id_of(next(numbers)))
            await taken.wait()
            taken.clear()
            followed.set()
            await wire.write(id_of(666))

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))

    async with contextlib.AsyncExitStack() as stack:
        server, options = await stack.enter_async_context(RawServer(script)), {}
        if way != "ours":
            kind: Any = httpx2 if way == "httpx2" else httpx
            transport = AiohttpTransport(client=session) if "aiohttp" in way else None
            own = kind.AsyncClient(trust_env=False, transport=transport)
            options = {"http_client": await stack.enter_async_context(own)}
        cc = await connect(server, **options)
        for number in range(1001, 1006):
            # Not `get_file`, which compares the IDs and would ask again.
            response = await cc.request("GET", "/library/files/1")
            assert response.data["id"] == str(number)
            taken.set()
            await followed.wait()
            followed.clear()
            await settle()
    assert server.connections == 5


async def test_http2_is_not_asked_to_close_its_connection(
    connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP/2 forbids the header, and its streams keep responses apart."""
    events: list[tuple[str, Any]] = []

    async def send(self: httpx.AsyncClient, request: httpx.Request, **_: Any) -> httpx.Response:
        events.extend([("headers", dict(request.headers)), ("trace", request.extensions["trace"])])
        return httpx.Response(200, json={"image_root": "x"}, request=request)

    monkeypatch.setattr(httpx.AsyncClient, "send", send)
    async with httpx.AsyncClient(trust_env=False) as own:
        cc = await connect(http_client=own, base_url="https://service.example/v2")
        await cc.library.info()
    assert "connection" not in dict(events)["headers"]
    theirs = httpx.Request("GET", "https://service.example")
    await dict(events)["trace"]("http2.send_request_headers.started", {"request": theirs})
    assert "connection" not in theirs.headers
