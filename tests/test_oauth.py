from __future__ import annotations

import asyncio
import json
import logging
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import httpx2
import pytest
from httpx_aiohttp import AiohttpTransport

from ccv2_async import errors
from ccv2_async.oauth import BASE_URL, OAuthFlow, new_state
from tests.support.exposure import texts_of
from tests.support.probes import chained, nothing_left
from tests.support.servers import serving, unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.servers import RawServer, Request, Wire

SECRET, CODE, TOKEN = "client-secret/1", "code+42", "token-7"
REDIRECT = "https://app.example.com/back?from=ctct"


def flow_at(where: RawServer | str, **options: Any) -> OAuthFlow:
    base = where if isinstance(where, str) else where.origin
    return OAuthFlow("the-key", SECRET, REDIRECT, base_url=base, **options)


def answering(
    status: str, body: object, seen: list[Request] | None = None
) -> Callable[[Wire, Request], Any]:
    async def answer(wire: Wire, request: Request) -> None:
        if seen is not None:
            seen.append(request)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        await wire.answer(status, content, "Location: https://elsewhere.example.com/")

    return answer


def redirected(**fields: str) -> dict[str, str]:
    return {"code": CODE, "state": "kept", "username": "owner", **fields}


@pytest.mark.parametrize("field", ["client_id", "client_secret"])
@pytest.mark.parametrize("value", ["", None, 5, b"client-secret/1", {"s": "client-secret/1"}])
def test_a_flow_without_key_or_secret_is_refused(field: str, value: Any) -> None:
    given: Any = {"client_id": "the-key", "client_secret": SECRET, "redirect_uri": REDIRECT}

    with pytest.raises(errors.MissingCredentials, match=r"client_id.*client_secret") as refused:
        OAuthFlow(**{**given, field: value})

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("redirect_uri", None),
        ("redirect_uri", ""),
        ("base_url", 5),
        ("base_url", "oauth2.example.com"),
        ("http_client", "a client"),
        ("http_client", httpx.AsyncClient),
        ("http_client", httpx.Client),
    ],
)
def test_a_flow_with_an_invalid_url_is_refused(field: str, value: Any) -> None:
    given: Any = {"client_id": "the-key", "client_secret": SECRET, "redirect_uri": REDIRECT}

    with pytest.raises(errors.InvalidField, match=f"{field} is .*Nothing was sent"):
        OAuthFlow(**{**given, field: value})


async def test_an_invalid_state_or_token_is_refused_before_sending() -> None:
    flow = OAuthFlow("the-key", SECRET, REDIRECT, base_url="http://127.0.0.1:9")
    nothing: Any
    for nothing in ("", None, 7):
        with pytest.raises(errors.InvalidField, match="state is "):
            flow.authorize_url(state=nothing)
        with pytest.raises(errors.InvalidField, match="state is "):
            await flow.exchange_code(redirected(), state=nothing)
        with pytest.raises(errors.MissingCredentials, match="access_token is missing"):
            await flow.token_info(nothing)


def test_the_authorization_url_has_all_parameters() -> None:
    flow = OAuthFlow("the-key", SECRET, REDIRECT)

    url = flow.authorize_url(state="a state&more")

    assert url.startswith(f"{BASE_URL}/oauth/siteowner/authorize?")
    assert BASE_URL == "https://oauth2.constantcontact.com/oauth2"
    assert parse_qs(urlsplit(url).query) == {
        "response_type": ["code"],
        "client_id": ["the-key"],
        "redirect_uri": [REDIRECT],
        "state": ["a state&more"],
    }


def test_the_authorization_url_can_offer_a_new_account() -> None:
    flow = OAuthFlow("the-key", SECRET, REDIRECT)
    query = urlsplit(flow.authorize_url(state="x", sign_up=True, new_user=True)).query
    assert parse_qs(query)["oauthSignup"] == parse_qs(query)["newUser"] == ["true"]


def test_states_are_long_and_unique() -> None:
    states = {new_state() for _ in range(100)}
    assert len(states) == 100
    assert min(map(len, states)) >= 32


def test_an_authorization_url_needs_a_state() -> None:
    with pytest.raises(errors.InvalidField, match="state"):
        OAuthFlow("the-key", SECRET, REDIRECT).authorize_url(state="")


def test_reprs_do_not_show_the_secret() -> None:
    flow = OAuthFlow("the-key", SECRET, REDIRECT)
    assert SECRET not in repr(flow)
    assert "the-key" not in repr(flow)
    assert SECRET not in flow.authorize_url(state="x")


@pytest.mark.parametrize("expires_in", ["315359999", 315359999])
async def test_a_code_is_exchanged_for_a_token(expires_in: object) -> None:
    seen: list[Request] = []
    answer = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": expires_in}
    async with serving(answering("200 OK", answer, seen)) as server:
        token = await flow_at(server).exchange_code(redirected(), state="kept")
    assert (token.access_token, token.token_type, token.expires_in) == (TOKEN, "Bearer", 315359999)
    assert TOKEN not in repr(token)
    (request,) = seen
    assert request.line == "POST /oauth/token HTTP/1.1"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["authorization_code"],
        "client_id": ["the-key"],
        "client_secret": [SECRET],
        "code": [CODE],
        "redirect_uri": [REDIRECT],
    }


async def test_token_info_is_returned() -> None:
    seen: list[Request] = []
    answer = {"client_id": "the-key", "user_name": "owner", "expires_in": "42"}
    async with serving(answering("200 OK", answer, seen)) as server:
        info = await flow_at(server).token_info(TOKEN)
    assert (info.client_id, info.user_name, info.expires_in) == ("the-key", "owner", 42)
    assert seen[0].line == "POST /tokeninfo.htm HTTP/1.1"
    assert parse_qs(seen[0].body.decode()) == {"access_token": [TOKEN]}


@pytest.mark.parametrize(
    "body",
    [
        {"error": "invalid_token"},
        {"message": "Forbidden"},
        {"login": "/sso"},
        {"type": "about:blank", "title": "Forbidden", "status": 403},
        {"expires_in": 60, "error": "invalid_token"},
        [{"error_key": "http.status.bad_request"}],
    ],
)
async def test_an_error_in_json_is_no_token_info(body: Any) -> None:
    async with serving(answering("200 OK", body)) as server:
        with pytest.raises(errors.DecodeError, match="but not the expected JSON") as caught:
            await flow_at(server).token_info(TOKEN)
    assert caught.value.safe_to_retry


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_a_custom_http_client_is_used_and_stays_open(library: Any) -> None:
    answer = answering("200 OK", {"client_id": "the-key"})
    async with serving(answer) as server, library.AsyncClient() as mine:
        await flow_at(server, http_client=mine).token_info(TOKEN)
        assert not mine.is_closed


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
async def test_a_custom_http_client_may_read_the_response_in_a_hook(
    library: Any, status: str
) -> None:
    async def read(response: Any) -> None:
        await response.aread()

    given = {"access_token": TOKEN, "expires_in": 9, "token_type": "Bearer"}
    given |= {"error": "invalid_grant"}
    hooks = {"response": [read]}
    async with (
        serving(answering(status, given)) as server,
        library.AsyncClient(event_hooks=hooks) as mine,
    ):
        exchange = flow_at(server, http_client=mine).exchange_code(redirected(), state="kept")
        if status == "200 OK":
            assert (await exchange).access_token == TOKEN
        else:
            with pytest.raises(errors.GrantRefused, match="invalid_grant"):
                await exchange


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_a_custom_http_client_that_cannot_connect_sends_nothing(library: Any) -> None:
    async with library.AsyncClient() as mine:
        flow = flow_at(f"http://127.0.0.1:{await unused_port()}", http_client=mine)
        with pytest.raises(errors.ConnectFailed, match="Nothing was sent"):
            await flow.token_info(TOKEN)


async def test_certificates_that_cannot_be_loaded_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/missing/certificates.pem")
    for proxy in ("", "https://127.0.0.1:9"):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(errors.UsageError, match="SSL_CERT_FILE"):
            await flow_at("https://127.0.0.1:9").token_info(TOKEN)


@pytest.mark.parametrize("fields", [{"state": "forged"}, {"state": ""}, {"state": "kept "}])
async def test_a_redirect_with_another_state_is_refused_and_nothing_is_sent(
    fields: dict[str, str],
) -> None:
    async with serving(answering("200 OK", {})) as server:
        with pytest.raises(errors.GrantRefused) as caught:
            await flow_at(server).exchange_code(redirected(**fields), state="kept")
        without = {"code": CODE}
        with pytest.raises(errors.GrantRefused):
            await flow_at(server).exchange_code(without, state="kept")
        assert server.connections == 0
    assert (caught.value.error_key, caught.value.status) == ("state_mismatch", None)
    assert not caught.value.safe_to_retry
    assert "kept" not in caught.value.message.replace("that was kept", "")
    assert "forged" not in caught.value.message.replace("may be forged", "")


REDIRECTED_TO = f"{REDIRECT}&code={CODE}&state=kept"


@pytest.mark.parametrize(
    "redirect",
    [REDIRECTED_TO, REDIRECTED_TO.encode(), [("code", CODE), ("state", "kept")], None, urlsplit],
    ids=["URL", "bytes", "pairs", "None", "function"],
)
async def test_a_redirect_that_is_not_a_mapping_is_refused_without_showing_the_code(
    redirect: Any,
) -> None:
    flow = flow_at("http://127.0.0.1:9")
    with pytest.raises(errors.InvalidField, match="redirect is <class") as caught:
        await flow.exchange_code(redirect, state="kept")
    # The first frame is this test's own.
    caught.value.__traceback__ = caught.value.__traceback__.tb_next  # type: ignore[union-attr]  # was raised
    for text in texts_of(caught.value):
        assert CODE not in text


@pytest.mark.parametrize("wrong", [SECRET, SECRET.encode(), [SECRET], f"{SECRET}\ud800"])
async def test_a_secret_in_the_wrong_place_is_not_shown(wrong: Any) -> None:
    def in_place_of_the_redirect_uri() -> None:
        OAuthFlow("the-key", "another", wrong)

    def in_place_of_the_state() -> None:
        flow_at("http://127.0.0.1:9").authorize_url(state=wrong)

    for call in (in_place_of_the_redirect_uri, in_place_of_the_state):
        if call is in_place_of_the_state and wrong == SECRET:
            continue  # any text can be a state
        with pytest.raises(errors.InvalidField) as caught:
            call()
        trace = caught.value.__traceback__
        assert trace is not None
        assert trace.tb_next is not None
        caught.value.__traceback__ = trace.tb_next.tb_next
        for text in texts_of(caught.value):
            assert SECRET not in text


@pytest.mark.parametrize("state", [None, "kept\ud800", "\udcff", 5, b"kept", ["kept"]])
async def test_a_state_that_is_not_text_does_not_match(state: Any) -> None:
    with pytest.raises(errors.GrantRefused) as caught:
        await flow_at("http://127.0.0.1:1").exchange_code(redirected(state=state), state="kept")
    assert caught.value.error_key == "state_mismatch"


@pytest.mark.parametrize("wrong", [None, "code+42\ud800", 5, b"code+42", ["code+42"]])
async def test_redirect_values_that_are_not_text_count_as_missing_and_are_not_shown(
    wrong: Any,
) -> None:
    redirect = redirected(code=wrong, error=wrong, error_description=wrong)
    with pytest.raises(errors.GrantRefused, match="no reason given") as caught:
        await flow_at("http://127.0.0.1:1").exchange_code(redirect, state="kept")
    assert caught.value.error_key == "no_code"
    for one in chained(caught.value):
        told = traceback.TracebackException.from_exception(one, capture_locals=True)
        assert SECRET not in f"{one} {[frame.locals for frame in told.stack[1:]]}"


async def test_an_empty_state_matches_nothing() -> None:
    with pytest.raises(errors.InvalidField, match="state"):
        await flow_at("http://127.0.0.1:1").exchange_code(redirected(state=""), state="")


async def test_a_refusal_by_the_owner_quotes_the_service() -> None:
    redirect = {
        "state": "kept",
        "error": "access_denied",
        "error_description": "The owner said no",
    }
    with pytest.raises(errors.GrantRefused, match="access_denied: The owner said no") as caught:
        await flow_at("http://127.0.0.1:1").exchange_code(redirect, state="kept")
    assert caught.value.error_key == "access_denied"
    with pytest.raises(errors.GrantRefused) as caught:
        await flow_at("http://127.0.0.1:1").exchange_code(
            {"state": "kept", "error_description": "x" * 10_000}, state="kept"
        )
    assert len(caught.value.message) < 500
    assert caught.value.error_key == "no_code"


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "403 Forbidden"])
async def test_an_invalid_code_is_refused_without_showing_a_secret(status: str) -> None:
    body = {
        "error": "invalid_grant",
        "error_description": f"{CODE} {SECRET} client-secret%2F1 code%2B42 are not good",
    }
    async with serving(answering(status, body)) as server:
        with pytest.raises(errors.GrantRefused) as caught:
            await flow_at(server).exchange_code(redirected(), state="kept")
    assert caught.value.error_key == "invalid_grant"
    assert caught.value.status == int(status[:3])
    assert "[hidden] [hidden] [hidden] [hidden] are not good" in caught.value.message
    assert "authorize_url" in caught.value.message


async def test_a_redirect_that_echoes_the_key_or_the_secret_shows_neither() -> None:
    redirect = {
        "state": "kept",
        "error": f"invalid_client {SECRET}",
        "error_description": f"client_id the-key or client-secret%2F1 is not known {'x' * 999}",
    }
    with pytest.raises(errors.GrantRefused, match=r"or \[hidden\] is not known") as caught:
        await flow_at("http://127.0.0.1:1").exchange_code(redirect, state="kept")
    shown = "\n".join(texts_of(caught.value))
    assert not [one for one in ("the-key", "client-secret") if one in shown]
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("status", ["400 Bad Request", "500 Internal Server Error"])
async def test_token_info_that_echoes_the_key_or_the_secret_shows_neither(status: str) -> None:
    body = {"error": "invalid_token", "error_description": f"not of the-key with {SECRET}"}
    async with serving(answering(status, body)) as server:
        with pytest.raises(errors.ConstantContactError, match=r"of \[hidden\] with") as caught:
            await flow_at(server).token_info(TOKEN)
    shown = "\n".join(texts_of(caught.value))
    assert not [one for one in ("the-key", SECRET, TOKEN) if one in shown]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        ("500 Internal Server Error", b"<html>", errors.OutcomeUnknown),
        ("408 Request Timeout", b"<html>", errors.OutcomeUnknown),
        ("404 Not Found", b"<html>", errors.OutcomeUnknown),
        ("401 Unauthorized", b"<html>", errors.OutcomeUnknown),
        ("425 Too Early", b"", errors.OutcomeUnknown),
        ("429 Too Many Requests", b'{"error": "slow_down"}', errors.OutcomeUnknown),
        ("302 Found", b"", errors.UnexpectedRedirect),
        ("200 OK", b"<html>", errors.DecodeError),
        ("200 OK", b"", errors.DecodeError),
        ("200 OK", b"{}", errors.DecodeError),
        ("200 OK", b'{"access_token": "", "token_type": "x", "expires_in": 1}', errors.DecodeError),
        (
            "200 OK",
            b'{"access_token": "a b", "token_type": "x", "expires_in": 1}',
            errors.DecodeError,
        ),
        ("200 OK", b'{"access_token": "a\\u007f", "token_type": "x"}', errors.DecodeError),
        ("200 OK", b'{"access_token": "token-7", "filler": "' + b"x" * 100_000, errors.DecodeError),
    ],
)
async def test_a_response_without_a_token_raises_an_error_of_the_package(
    status: str, body: bytes, kind: type[errors.ConstantContactError]
) -> None:
    async with serving(answering(status, body)) as server:
        with pytest.raises(kind) as caught:
            await flow_at(server).exchange_code(redirected(), state="kept")
    assert not caught.value.safe_to_retry


async def test_a_code_is_not_sent_twice_and_token_info_is_retried() -> None:
    async def reset(wire: Wire, _request: Request) -> None:
        wire.reset()

    async with serving(reset) as server:
        with pytest.raises(errors.OutcomeUnknown, match="code may be spent"):
            await flow_at(server).exchange_code(redirected(), state="kept")
        assert server.connections == 1
        with pytest.raises(errors.ConnectionLost) as caught:
            await flow_at(server).token_info(TOKEN)
    assert caught.value.safe_to_retry
    for status in (503, 408, 401, 403, 404, 425, 429):
        async with serving(answering(f"{status} No", b"<html>")) as server:
            with pytest.raises(errors.ServerError):
                await flow_at(server).token_info(TOKEN)


async def test_a_code_whose_response_a_custom_transport_lost_may_be_spent() -> None:
    async def hang_up(wire: Wire, _request: Request) -> None:
        wire.writer.close()

    # aiohttp's transport raises a connect timeout even then.
    async with serving(hang_up) as server, httpx.AsyncClient(transport=AiohttpTransport()) as mine:
        with pytest.raises(errors.OutcomeUnknown, match="code may be spent"):
            await flow_at(server, http_client=mine).exchange_code(redirected(), state="kept")
        assert server.connections == 1


async def test_the_code_is_still_valid_after_a_failed_connection() -> None:
    flow = flow_at(f"http://127.0.0.1:{await unused_port()}")
    with pytest.raises(errors.ConnectFailed, match="Nothing was sent") as caught:
        await flow.exchange_code(redirected(), state="kept")
    assert caught.value.safe_to_retry


async def test_logs_and_tracebacks_show_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def cut(wire: Wire, _request: Request) -> None:
        await wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + TOKEN.encode())
        wire.reset()

    echo = answering("200 OK", {"access_token": [TOKEN], "echo": [CODE, SECRET]})
    for script in (cut, echo, answering("400 Bad Request", {"error": SECRET})):
        async with serving(script) as server:
            with pytest.raises(errors.ConstantContactError) as caught:
                await flow_at(server).exchange_code(redirected(), state="kept")
        for one in chained(caught.value):
            ours = traceback.TracebackException.from_exception(one, capture_locals=True)
            shown = [frame for frame in ours.stack if "ccv2_async" in frame.filename]
            text = f"{one!s} {one!r} {[frame.locals for frame in shown]}"
            assert not any(secret in text for secret in (SECRET, CODE, TOKEN)), text
    assert not any(secret in caplog.text for secret in (SECRET, CODE, TOKEN, "client-secret"))


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_a_custom_http_client_does_not_log_echoed_secrets(
    caplog: pytest.LogCaptureFixture, library: Any
) -> None:
    caplog.set_level(logging.DEBUG)

    async def echo(wire: Wire, request: Request) -> None:
        content = b'{"access_token": "abc", "token_type": "Bearer", "expires_in": 9}'
        await wire.answer("200 OK", content, f"X-Echo: {request.body.decode()}")

    async with serving(echo) as server, library.AsyncClient() as mine:
        await flow_at(server, http_client=mine).exchange_code(redirected(), state="kept")
    assert "X-Echo" in caplog.text
    assert "client-secret" not in caplog.text
    assert not any(one in caplog.text for one in ("code%2B42", "code+42", "the-key"))


async def test_cancelling_leaves_nothing_open() -> None:
    async def silent(wire: Wire, _request: Request) -> None:
        await wire.reader.read()

    async with serving(silent) as server, nothing_left():
        asking = asyncio.create_task(flow_at(server).token_info(TOKEN))
        while not server.open:  # noqa: ASYNC110  # the server has no event for it
            await asyncio.sleep(0.001)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


ISSUED = "issued-5f0c/2b==token"


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "400 Bad Request", "500 Oops"])
@pytest.mark.parametrize(
    "body",
    [
        b'{"access_token": "' + ISSUED.encode() + b'", "expires_in": 3',
        b"access_token=" + ISSUED.encode() + b"&expires_in=3153600&token_type=bearer",
        b"<html><body>" + ISSUED.encode() + b"</body></html>",
        b'"' + ISSUED.encode() + b'"',
        b'["' + ISSUED.encode() + b'"]',
        b'{"access_token": ["' + ISSUED.encode() + b'"]}',
        b'{"access_token": "ok", "expires_in": "' + ISSUED.encode() + b'"}',
        b'{"access_token": "ok", "' + ISSUED.encode() + b'": ' + b"[" * 100 + b"]" * 100 + b"}",
        ISSUED.encode() * 5000,
    ],
)
@pytest.mark.parametrize("ask", ["exchange_code", "token_info"])
async def test_errors_do_not_show_a_new_token(status: str, body: bytes, ask: str) -> None:
    async with serving(answering(status, body)) as server:
        flow = flow_at(server)
        try:
            if ask == "exchange_code":
                await flow.exchange_code(redirected(), state="kept")
            else:
                await flow.token_info("another-token")
        except errors.ConstantContactError as error:
            for one in chained(error):
                told = traceback.TracebackException.from_exception(one, capture_locals=True)
                frames = [f for f in told.stack if f.filename != __file__]
                shown = f"{one!r} {one} {one.args} {vars(one)} {[f.locals for f in frames]}"
                assert ISSUED not in shown


async def test_errors_of_a_custom_http_client_become_errors_of_the_package() -> None:
    class Broken(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise KeyError("their own")

    async with httpx.AsyncClient(transport=Broken()) as client:
        with pytest.raises(errors.OutcomeUnknown, match="KeyError"):
            await flow_at("http://127.0.0.1:9", http_client=client).exchange_code(
                redirected(), state="kept"
            )


async def test_a_token_is_kept_if_a_custom_http_client_fails_to_close_the_response() -> None:
    class Body(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'{"access_token": "token-7", "token_type": "Bearer", "expires_in": 9}'

        async def aclose(self) -> None:
            raise httpx.CloseError("their own")

    class Failing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=Body())

    async with httpx.AsyncClient(transport=Failing()) as client:
        flow = flow_at("http://127.0.0.1:9", http_client=client)
        assert (await flow.exchange_code(redirected(), state="kept")).access_token == TOKEN


async def test_cancelling_does_not_show_a_new_token() -> None:
    begun = asyncio.Event()

    async def stop_midway(wire: Wire, _request: Request) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"
        await wire.write(head + b'{"access_token": "' + ISSUED.encode() + b'"')
        await asyncio.sleep(0.05)  # it arrives
        begun.set()
        await wire.reader.read()

    async with serving(stop_midway) as server:
        asking = asyncio.create_task(flow_at(server).exchange_code(redirected(), state="kept"))
        await begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await asking
    for text in texts_of(caught.value):
        assert ISSUED not in text
