from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest
from httpx_aiohttp import AiohttpTransport
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async import ConstantContact, errors
from ccv2_async.transport.calls.download import target_of
from tests.support.probes import chained, nothing_left
from tests.support.servers import serving, unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ccv2_async.transport.calls.session import Session
    from tests.support.servers import Request, Wire

BASE = "https://api.example.com/v2"
SECRETS = ("sandbox-key", "sandbox-token")


@pytest.mark.parametrize(
    ("link", "path", "query"),
    [
        ("/v2/exports/x.csv", "/v2/exports/x.csv", ()),
        ("exports/x.csv", "/v2/exports/x.csv", ()),
        ("https://api.example.com/exports/x.csv", "/exports/x.csv", ()),
        ("https://API.example.com:443/x", "/x", ()),
        ("//api.example.com/x", "/x", ()),
        ("/x?a=1&b=%20%2B&c", "/x", (("a", "1"), ("b", " +"), ("c", ""))),
        ("/x?api_key=other&a=1&ACCESS_TOKEN=t#part", "/x", (("a", "1"),)),
        ("/über/x.csv", "/%C3%BCber/x.csv", ()),
        ("/a/../../../x", "/x", ()),
    ],
)
def test_a_link_to_the_configured_origin_is_signed(
    link: str, path: str, query: tuple[tuple[str, str], ...]
) -> None:
    target = target_of(link, BASE)
    assert target.own
    assert (target.path, target.query) == (path, query)


@pytest.mark.parametrize(
    "link",
    [
        "https://files.example.com/x.csv",
        "//files.example.com/x.csv",
        "https://api.example.com.evil.example/x",
        "https://api.example.com:8443/x",
        "https://xn--api-example-com/x",
        "https://[::1]/x",
    ],
)
def test_a_link_to_another_origin_is_not_signed(link: str) -> None:
    target = target_of(link + "?signature=abc%2F&api_key=sandbox-key", BASE)
    assert not target.own
    assert target.url.query == b"signature=abc%2F"


@pytest.mark.parametrize(
    "link",
    [
        "",
        "x" * 5000,
        "/" + "\N{GRINNING FACE}" * 1100,  # 4,401 bytes, each of which takes three as it is sent
        "https://xn--a/x",
        "https://user@api.example.com/x",
        "https://api.example.com@files.example.com/x",
        "http://api.example.com/x",
        "http://files.example.com/x",
        "ftp://files.example.com/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://files.example.com:99999999/x",
        "https:\\\\files.example.com\\x",
        "/x\r\nHost: files.example.com",
        "\x00",
    ],
)
def test_an_unusable_link_is_refused(link: str) -> None:
    with pytest.raises(ValueError, match="it "):
        target_of(link, BASE)


@given(st.text() | st.text().map("https://api.example.com".__add__))
def test_no_spelling_of_a_link_sends_credentials_elsewhere(link: str) -> None:
    try:
        target = target_of(link, BASE)
    except ValueError:
        return
    origin = (target.url.scheme, target.url.host, target.url.port)
    assert target.own == (origin == ("https", "api.example.com", None))


async def _read(session: Session, link: str) -> bytes:
    async with session.download(link, "file of export 7") as pieces:
        return b"".join([piece async for piece in pieces])


async def _file(wire: Wire, _request: Request) -> None:
    await wire.answer(body=b"a,b\r\n" * 1000, json=False)


async def test_credentials_are_sent_only_to_the_configured_origin(
    open_session: Callable[..., Any],
) -> None:
    seen: dict[str, Request] = {}

    def noting(name: str) -> Callable[[Wire, Request], Any]:
        async def answer(wire: Wire, request: Request) -> None:
            seen[name] = request
            await _file(wire, request)

        return answer

    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(serving(noting("here")))
        there = await stack.enter_async_context(serving(noting("there")))
        session = await open_session(here)
        calls = session.budget.used_today
        own = await _read(session, "/exports/x.csv?part=1")
        assert session.budget.used_today == calls + 1
        other = await _read(session, f"{there.origin}/x.csv?sig=abc&api_key=sandbox-key")
        assert session.budget.used_today == calls + 1
        await session.aclose()
    assert own == other == b"a,b\r\n" * 1000
    assert seen["here"].target == "/exports/x.csv?part=1&api_key=sandbox-key"
    assert seen["here"].headers["authorization"] == "Bearer sandbox-token"
    assert seen["there"].target == "/x.csv?sig=abc"
    assert seen["there"].headers["host"] == f"127.0.0.1:{there.port}"
    assert not any(secret in str(seen["there"]) for secret in SECRETS)


async def test_a_custom_http_client_adds_nothing_to_requests_elsewhere(
    open_session: Callable[..., Any],
) -> None:
    seen: list[Request] = []

    async def answer(wire: Wire, request: Request) -> None:
        seen.append(request)
        await _file(wire, request)

    headers = {"Authorization": "Bearer sandbox-token"}
    async with (
        serving(answer) as there,
        httpx.AsyncClient(headers=headers, auth=("user", "sandbox-key")) as mine,
    ):
        session = await open_session(http_client=mine, base_url="http://127.0.0.1:1/v2")
        await _read(session, f"{there.origin}/x.csv")
    assert not any(secret in str(seen) for secret in SECRETS)
    assert "authorization" not in seen[0].headers


@pytest.mark.parametrize("kind", ["httpx", "aiohttp", "httpx2"])
async def test_a_custom_http_client_does_not_log_the_signature_of_a_link(
    open_session: Callable[..., Any], caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level(logging.DEBUG)
    library: Any = httpx2 if kind == "httpx2" else httpx
    transport = AiohttpTransport() if kind == "aiohttp" else None
    async with serving(_file) as there, library.AsyncClient(transport=transport) as mine:
        session = await open_session(http_client=mine, base_url="http://127.0.0.1:1/v2")
        await _read(session, f"{there.origin}/x.csv?part=1&sig=s%2Figned~7")
    assert f"GET {there.origin}/x.csv " in caplog.text
    assert "igned~7" not in caplog.text


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("401 Unauthorized", errors.Forbidden),
        ("403 Forbidden", errors.Forbidden),
        ("404 Not Found", errors.NotFound),
        ("429 Too Many Requests", errors.QuotaExceeded),
        ("503 Service Unavailable", errors.ServerError),
        ("408 Request Timeout", errors.ServerError),
        ("302 Found", errors.UnexpectedRedirect),
    ],
)
async def test_a_refusal_by_another_host_does_not_affect_api_calls(
    open_session: Callable[..., Any], status: str, kind: type[errors.ConstantContactError]
) -> None:
    refreshed: list[str] = []

    async def answer(wire: Wire, _request: Request) -> None:
        body = b'[{"error_key": "mashery.not.authorized.over.ratelimit"}]'
        await wire.answer(status, body, "Location: https://files.example.com/")

    def refresh() -> str:
        refreshed.append("asked")
        return "fresh"

    async with serving(answer) as there:
        session = await open_session(base_url="http://127.0.0.1:1/v2", refresh_token=refresh)
        with pytest.raises(kind, match=r"127\.0\.0\.1 returned") as caught:
            await _read(session, f"{there.origin}/x.csv")
        assert session.budget.remaining_today is None
        await session.aclose()
    assert refreshed == []
    assert "file of export 7" in str(caught.value)


async def test_errors_from_another_host_do_not_show_the_link(
    open_session: Callable[..., Any],
) -> None:
    async def cut(wire: Wire, _request: Request) -> None:
        await wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        wire.reset()

    async def silent(wire: Wire, _request: Request) -> None:
        wire.reset()

    session = await open_session(base_url="http://127.0.0.1:1/v2")
    for script in (cut, silent):
        async with serving(script) as there:
            # One of the engines mistakes a lost connection for one that was never made.
            with pytest.raises(errors.TransportError, match="file of export 7") as caught:
                await _read(session, f"{there.origin}/x.csv?sig=private")
            assert caught.value.safe_to_retry
            assert not any("private" in str(one) for one in chained(caught.value))
    with pytest.raises(errors.ConnectFailed):
        await _read(session, f"http://127.0.0.1:{await unused_port()}/x.csv")


async def test_an_unrequested_content_encoding_is_refused(
    open_session: Callable[..., Any],
) -> None:
    async def packed(wire: Wire, _request: Request) -> None:
        await wire.answer("200 OK", b"xx", "Content-Encoding: br", json=False)

    async with serving(packed) as there:
        session = await open_session(base_url="http://127.0.0.1:1/v2")
        with pytest.raises(errors.DecodeError, match="encoding"):
            await _read(session, f"{there.origin}/x.csv")
        await session.aclose()


@pytest.mark.parametrize("status", ["202 Accepted", "204 No Content", "206 Partial Content"])
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_response_that_is_not_the_whole_file_is_refused(
    open_session: Callable[..., Any], status: str, elsewhere: bool
) -> None:
    async def partial(wire: Wire, _request: Request) -> None:
        body = b"" if status.startswith("204") else b"a,b"
        await wire.answer(status, body, "Content-Range: bytes 0-2/9", json=False)

    async with serving(partial) as server, serving(_file) as api:
        session = await open_session(api if elsewhere else server)
        with pytest.raises(errors.DecodeError, match=status[:3]):
            await _read(session, f"{server.origin}/x.csv")


async def test_an_unusable_link_from_the_service_is_a_decode_error(
    open_session: Callable[..., Any],
) -> None:
    session = await open_session(base_url="https://127.0.0.1:1/v2")
    with pytest.raises(errors.DecodeError, match="it is not https"):
        await _read(session, "http://127.0.0.1:1/x.csv")


@pytest.mark.parametrize("other_host", [True, False])
async def test_leaving_a_download_early_leaves_nothing_open(
    open_session: Callable[..., Any], other_host: bool
) -> None:
    async def endless(wire: Wire, _request: Request) -> None:
        await wire.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await wire.write(b"5\r\na,b\r\n\r\n")

    async with serving(endless) as server, nothing_left():
        base = "http://127.0.0.1:1/v2" if other_host else server.base_url
        session = await open_session(base_url=base)
        link = f"{server.origin}/x.csv"
        async with session.download(link, "file of export 7") as pieces:
            async for _ in pieces:
                break
        reading = asyncio.create_task(_read(session, link))
        while server.connections < 2:  # noqa: ASYNC110  # the server has no event for it
            await asyncio.sleep(0.001)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await session.aclose()
        while server.open:  # noqa: ASYNC110  # the server has no event for it
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("fails", ["head", "body"])
async def test_errors_of_a_custom_transport_become_errors_of_the_package(fails: str) -> None:
    class Body(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"a"
            raise KeyError("their own")

    class Broken(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if fails == "head":
                raise KeyError("their own")
            return httpx.Response(200, stream=Body())

    async with httpx.AsyncClient(transport=Broken()) as own:
        client = ConstantContact(api_key="the-key", access_token="the-token", http_client=own)
        async with client:
            session = client._open_parts.session
            with pytest.raises(errors.ConnectionLost, match="KeyError"):  # noqa: PT012  # while it is read
                async with session.download("https://files.example/x.csv", "it") as pieces:
                    async for _ in pieces:
                        pass


@pytest.mark.parametrize("failure", [httpx.CloseError("x"), OSError(5, "x"), KeyError("x")])
@pytest.mark.parametrize("link", ["/x.csv", "https://files.example.com/x.csv"])
@pytest.mark.parametrize("refused", [False, True])
async def test_a_custom_transport_that_fails_to_close_a_response_hides_no_error(
    failure: Exception, link: str, refused: bool
) -> None:
    class Body(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"a"

        async def aclose(self) -> None:
            raise failure

    class Failing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(404 if refused else 200, stream=Body())

    async with (
        httpx.AsyncClient(transport=Failing()) as own,
        ConstantContact(api_key="the-key", access_token="the-token", http_client=own) as client,
    ):
        session = client._open_parts.session
        with pytest.raises(errors.NotFound if refused else errors.FileRefused):
            async with session.download(link, "it"):
                raise errors.FileRefused("it", "found before its end")
