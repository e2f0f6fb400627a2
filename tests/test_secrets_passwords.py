"""The passwords of proxies and of Redis never appear in logs, errors, or tracebacks."""

from __future__ import annotations

import base64
import html
import json
import logging
import os
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import trustme

from ccv2_async import ConstantContact, errors
from ccv2_async.transport.quota.shared import SharedBudget
from ccv2_async.workers import Workers, WorkerSettings
from tests.support.exposure import inspected, texts_of
from tests.support.servers import HOST, RawServer, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.servers import Request, Wire

PASSWORD = "pr0xy/pass:word+of=us"  # not a real one
IN_URL = "pr0xy%2Fpass%3Aword+of=us"
BASIC = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
ECHO = f"user:{PASSWORD} user:{IN_URL} {BASIC}"


def assert_hidden(*texts: str) -> None:
    for text in texts:
        for secret in (PASSWORD, IN_URL, BASIC, BASIC[8:-4]):
            assert secret not in text, text[:2000]


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The context of a server that clients trust."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return context


async def failing(base_url: str, proxy: str) -> errors.ConstantContactError:
    async with ConstantContact(
        api_key="the-key", access_token="the-token", base_url=base_url, proxy=proxy
    ) as cc:
        assert_hidden(inspected(cc))
        with pytest.raises(errors.ConstantContactError) as caught:
            await cc.lists.create("x")
    return caught.value


ANSWERS = {
    "reason": f"HTTP/1.1 407 {ECHO}\r\nX-Echo: {BASIC}\r\nContent-Length: 0\r\n\r\n",
    "other status": f"HTTP/1.1 502 {ECHO}\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": f"HTTP/9.9 {ECHO}\r\n\r\n",
    "bad header": f"HTTP/1.1 200 OK\r\n{ECHO}\x00\r\n\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_echoes_its_password_does_not_reveal_it(
    scheme: str, answer: str, certified: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async def say(wire: Wire) -> None:
        await wire.head()
        await wire.write(ANSWERS[answer].encode("latin-1"))

    caplog.set_level(logging.DEBUG)
    async with RawServer(say, certified if scheme == "https" else None) as server:
        proxy = f"{scheme}://user:{IN_URL}@{HOST}:{server.port}"
        error = await failing("https://service.example/v2", proxy)
    assert_hidden(*texts_of(error), caplog.text)
    if answer == "reason":
        assert "user name and password" in str(error)
    if answer == "other status":
        assert "502" in str(error)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_echoes_its_password_in_a_response_does_not_reveal_it(
    scheme: str, certified: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async def echo(wire: Wire, request: Request) -> None:
        assert request.headers["proxy-authorization"] == f"Basic {BASIC}"
        body = f'[{{"error_key": "x", "error_message": "{ECHO}"}}]'
        await wire.answer("407 No", body.encode(), f"X-Echo: {ECHO}")

    caplog.set_level(logging.DEBUG)
    server = serving(echo)
    server.tls = certified if scheme == "https" else None
    async with server:
        proxy = f"{scheme}://user:{IN_URL}@{HOST}:{server.port}"
        error = await failing("http://service.example/v2", proxy)
    assert "[hidden]" in str(error)
    assert_hidden(*texts_of(error), caplog.text)


async def test_a_password_with_letters_beyond_ascii_is_hidden_in_every_encoding() -> None:
    password = "pass-й-wörd"  # not a real one
    plain = f"user:{password}"
    forms = {quote(plain), html.escape(plain).replace("й", "&#1081;"), ascii(plain), plain}
    forms |= {json.dumps(plain), str(plain.encode()), plain.encode().hex(), quote(quote(plain))}
    forms.add(base64.b64encode(plain.encode()).decode())
    # Many proxies read all bytes as Latin-1.
    misread = plain.encode().decode("latin-1")
    forms |= {misread, quote(misread), json.dumps(misread), html.escape(misread)}

    async def echo(wire: Wire, _request: Request) -> None:
        said = json.dumps([{"error_key": f"{form};", "error_message": ""} for form in forms])
        await wire.answer("407 No", said.encode())

    async with serving(echo) as server:
        proxy = f"http://user:{quote(password)}@{HOST}:{server.port}"
        error = await failing("http://service.example/v2", proxy)
    assert isinstance(error, errors.APIError)
    for key, _ in error.errors:
        assert key.strip("'\"b;") == "[hidden]"


async def test_a_password_is_hidden_in_latin_1_and_with_characters_of_two_code_units() -> None:
    password = "p\U0001f600ss-wörd"  # not a real one
    plain = f"user:{password}"
    latin = plain.replace("\U0001f600", "")
    for shown, echoed in [
        (password, ascii(plain).encode()),
        (password, json.dumps(plain).encode().replace(b"\\u", b"\\\\u")),
        (latin[5:], latin.encode("latin-1")),
        (latin[5:], quote(latin.encode("latin-1")).encode()),
    ]:

        async def echo(wire: Wire, _request: Request, said: bytes = echoed) -> None:
            await wire.answer("407 No", said)

        async with serving(echo) as server:
            proxy = f"http://user:{quote(shown)}@{HOST}:{server.port}"
            error = await failing("http://service.example/v2", proxy)
        assert "(" in str(error)
        assert "rd" not in str(error).partition("(")[2].partition(").")[0], echoed


def failing_with(make: Callable[..., object], *args: object, **options: object) -> None:
    with pytest.raises(errors.UsageError) as caught:
        make(*args, **options)
    assert_hidden(*texts_of(caught.value))


@pytest.mark.parametrize(
    "url", ["socks4://{}@x", "ftp://{}@x", "http://{}@x:y", "http://{}@x:65536"]
)
@pytest.mark.parametrize("from_env", [False, True])
async def test_a_proxy_that_cannot_be_used_does_not_reveal_its_password(
    url: str, from_env: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url.format(f"user:{IN_URL}")
    monkeypatch.setenv("HTTPS_PROXY", url)
    cc = ConstantContact(api_key="k", access_token="t", proxy=None if from_env else url)
    with pytest.raises(errors.UsageError, match="proxy cannot be used") as caught:
        await cc.open()
    assert_hidden(*texts_of(caught.value))


@pytest.mark.parametrize(
    "wrong",
    [
        {"proxy": PASSWORD, "per_second": -1},
        {"proxy": PASSWORD, "api_key": ""},
        {"budget": f"redis://:{PASSWORD}@x"},
        {"http_client": f"http://:{PASSWORD}@x"},
    ],
)
def test_an_invalid_option_does_not_reveal_a_password(wrong: dict[str, Any]) -> None:
    failing_with(ConstantContact, **{"api_key": "k", "access_token": "t"} | wrong)


WRONG_URLS = [
    f"redis://:{IN_URL}@h:99999999/0",
    f"rediss://:{IN_URL}@h:x/0",
    f"redis://:{IN_URL}@[::1/0",
    f"http://:{IN_URL}@h",
    f"redis://:{IN_URL}@h/0?timeout=x",
]


@pytest.mark.parametrize("url", WRONG_URLS)
def test_a_url_of_redis_that_cannot_be_used_does_not_reveal_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_with(SharedBudget, url, api_key="k")
    failing_with(Workers, WorkerSettings(api_key="k", access_token="t", redis_url=url))
    monkeypatch.setenv("CCV2_REDIS_URL", url)
    failing_with(Workers)


@pytest.mark.parametrize("wrong", [{"margin": -1}, {"expected": 0}, {"per_second": -1}])
def test_an_invalid_limit_does_not_reveal_the_password_of_redis(wrong: dict[str, Any]) -> None:
    failing_with(SharedBudget, f"redis://:{IN_URL}@x", **{"api_key": "k"} | wrong)


SETTINGS = {"redis_url": f"redis://:{IN_URL}@x", "api_key": PASSWORD, "access_token": BASIC}


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"roots": []}])
def test_an_invalid_setting_of_workers_does_not_reveal_others(wrong: dict[str, Any]) -> None:
    failing_with(WorkerSettings, **SETTINGS | wrong)
    failing_with(WorkerSettings.from_env, {}, **SETTINGS | wrong)


@pytest.mark.parametrize("name", ["CCV2_WORKER_CONCURRENCY", "CCV2_RATE", "CCV2_LEASE_SECONDS"])
@pytest.mark.parametrize("value", ["many", "-1"])
def test_an_invalid_variable_of_workers_does_not_reveal_others(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCV2_API_KEY", PASSWORD)
    monkeypatch.setenv("CCV2_ACCESS_TOKEN", BASIC)
    monkeypatch.setenv("CCV2_REDIS_URL", f"redis://:{IN_URL}@x")
    monkeypatch.setenv(name, value)
    failing_with(WorkerSettings.from_env)
    failing_with(WorkerSettings.from_env, dict(os.environ))


async def test_a_password_that_is_a_common_word_changes_no_response() -> None:
    async def answer(wire: Wire, _: Request) -> None:
        await wire.answer("201 Created", b'{"id": "7", "status": "ACTIVE"}', "Location: /status/7")

    async with serving(answer) as server:
        proxy = f"http://user:status@{HOST}:{server.port}"
        async with ConstantContact(
            api_key="the-key", access_token="the-token", base_url="http://x.example/v2", proxy=proxy
        ) as cc:
            response = await cc.request("POST", "/lists", json={})
    assert response.data == {"id": "7", "status": "ACTIVE"}
    assert response.headers["location"] == "/status/7"
