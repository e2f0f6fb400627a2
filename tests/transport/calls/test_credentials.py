from __future__ import annotations

import base64
import gc
import html
import json
import logging
import pickle
import tracemalloc
import weakref
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, quote_plus

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async.errors import MissingCredentials
from ccv2_async.secret import HIDDEN
from ccv2_async.transport.calls import credentials as module
from ccv2_async.transport.calls.credentials import Credentials, Redacting

if TYPE_CHECKING:
    from collections.abc import Callable

secrets = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=6)
ENCODERS: list[Callable[[str], str]] = [
    str,
    repr,
    lambda text: repr(repr(text)),
    lambda text: repr(text.encode()),
    json.dumps,
    lambda text: json.dumps(json.dumps(text)),
    quote,
    quote_plus,
    lambda text: quote(text, safe=""),
    lambda text: quote(text, safe="/=+~"),
    lambda text: quote(quote(text, safe=""), safe=""),
    html.escape,
    lambda text: "".join(c if c.isalnum() else f"%{ord(c):02x}" for c in text),
    lambda text: "".join(c if c.isalnum() else f"\\u{ord(c):04x}" for c in text),
    lambda text: "".join(c if c.isalnum() else f"&#{ord(c)};" for c in text),
    lambda text: "".join(f"%{ord(c):02X}" for c in text),
    lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    lambda text: "".join(f"&#x{ord(c):x};" for c in text),
    lambda text: "".join(f"&#{ord(c)};" for c in text),
    lambda text: "".join(c if i % 2 else f"%{ord(c):02x}" for i, c in enumerate(text)),
    lambda text: "".join(f"&#{ord(c)};" if i % 2 else c for i, c in enumerate(text)),
]


@given(secrets, secrets, st.text(), st.text(), st.sampled_from(ENCODERS))
def test_a_secret_is_removed_from_any_text_in_any_encoding(
    key: str, token: str, before: str, after: str, encode: Callable[[str], str]
) -> None:
    credentials = Credentials(key, token)
    for secret in (key, token):
        cleaned = credentials.redact(f"{before}{encode(secret)}{after}")
        assert HIDDEN in cleaned
        assert secret not in cleaned.replace(HIDDEN, "")


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("around", [("", ""), ("00", "ff"), ("0x", " and more"), ("%3d", "%3d")])
def test_a_secret_is_taken_out_of_hexadecimal(around: tuple[str, str], upper: bool) -> None:
    credentials = Credentials("the-key", "t0ken~of\\the/account==")
    before, after = around
    for secret in (b"the-key", b"t0ken~of\\the/account=="):
        echo = secret.hex().upper() if upper else secret.hex()
        assert credentials.redact(before + echo + after) == before + HIDDEN + after
        content = f'{{"x": "{before}{echo}{after}"}}'.encode()
        assert json.loads(credentials.redact_content(content)) == {"x": before + HIDDEN + after}


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"xyz", b"Bearer "])
def test_a_secret_is_removed_from_base64(encode: Callable[[bytes], bytes], before: bytes) -> None:
    credentials = Credentials("the-key", "t0ken~of\\the/account==")
    for secret in (b"the-key", b"t0ken~of\\the/account=="):
        cleaned = credentials.redact(encode(before + secret + b" and more").decode())
        assert HIDDEN in cleaned
        assert len(cleaned.replace(HIDDEN, "")) <= len(encode(before + b" and more")) + 4


def test_other_text_is_unchanged() -> None:
    credentials = Credentials("the-key", "the-token")
    for text in ("", "the key and the token", "thekey", "THE-KEY"):
        assert credentials.redact(text) == text
    assert credentials.redact("the-key=the-token") == f"{HIDDEN}={HIDDEN}"


def test_a_secret_that_contains_another_is_removed_completely() -> None:
    assert Credentials("secret", "secret-and-more").redact("secret-and-more") == HIDDEN


@given(secrets, st.sampled_from([b"/v2/x", b"/v2/x?a=1", b"/v2/x?a=%26&b="]))
def test_the_key_is_added_to_the_query_unchanged(key: str, target: bytes) -> None:
    signed = Credentials(key, "token").sign(target).decode("ascii")
    query = signed.partition("?")[2]
    assert parse_qsl(query, keep_blank_values=True)[-1] == ("api_key", key)
    assert signed.startswith(target.decode())


@pytest.mark.parametrize(
    "wrong", ["", " ", "with blank", "line\n", "tab\t", "nul\0", "\u00fcmlaut", "\ud800"]
)
@pytest.mark.parametrize("which", ["API key", "access token"])
def test_a_credential_that_no_header_can_contain_is_refused_without_being_shown(
    wrong: str, which: str
) -> None:
    pair = (wrong, "token") if which == "API key" else ("key", wrong)
    with pytest.raises(MissingCredentials, match=which) as caught:
        Credentials(*pair)
    if wrong.strip():
        assert wrong not in str(caught.value)


def test_a_refreshed_token_is_used_and_all_tokens_stay_hidden() -> None:
    credentials = Credentials("the-key", "the-token")
    before = (credentials.fingerprint, credentials.checksum(b"x"))
    credentials.renew("fresh-token")
    assert credentials.authorization() == b"Bearer fresh-token"
    assert credentials.generation == 1
    assert (credentials.fingerprint, credentials.checksum(b"x")) == before
    assert credentials.redact("the-token fresh-token") == f"{HIDDEN} {HIDDEN}"
    with pytest.raises(MissingCredentials):
        credentials.renew("")
    assert credentials.generation == 1


def test_endless_renewals_do_not_make_every_search_longer() -> None:
    # Every token was kept: after 100 renewals, the first search took 1.2 s.
    credentials = Credentials("the-key", "the-token")
    for number in range(100):
        credentials.renew("the-same-token")
        credentials.renew(f"fresh-token-{number}")
        assert len(credentials._secrets) <= 4
        assert credentials.redact("the-key the-same-token") == f"{HIDDEN} {HIDDEN}"
    assert credentials.redact("fresh-token-98 fresh-token-99") == f"{HIDDEN} {HIDDEN}"


def test_accounts_are_distinguished_without_revealing_secrets() -> None:
    pairs = [("key", "token"), ("key", "other"), ("other", "token"), ("keyt", "oken")]
    prints = {Credentials(*pair).fingerprint for pair in pairs}
    assert len(prints) == 4
    assert Credentials("key", "token").fingerprint in prints
    assert repr(Credentials("abc", "def")).count(HIDDEN) == 2


@pytest.mark.parametrize("name", sorted({*module._FOREIGN_LOGGERS} - {*module._LEFT_OUT}))
def test_log_records_of_http_libraries_are_redacted_while_a_client_is_open(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    gc.collect()  # those of other tests
    caplog.set_level(logging.DEBUG, logger=name)
    credentials = Credentials("the-living-key", "the-living-token")
    logger = logging.getLogger(name)
    logger.info("GET %s", "/v2?api_key=the-living-key")
    logger.info("nothing %s", "special")
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["GET /v2?api_key=[hidden]", "nothing special"]
    assert caplog.records[1].args == ("special",)
    del credentials
    gc.collect()
    assert not [
        alive for alive in module._alive.values() if alive.clean("the-living-key") == HIDDEN
    ]


def test_records_of_packed_http2_headers_are_left_out_while_a_client_is_open(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hpack logs the headers of HTTP/2 as they are, and packed bit by bit."""
    monkeypatch.setattr(
        module, "_alive", weakref.WeakValueDictionary()
    )  # other tests may keep a client
    caplog.set_level(logging.DEBUG, logger="hpack.hpack")
    credentials = Credentials("the-living-key", "the-living-token")
    logger = logging.getLogger("hpack.hpack")
    logger.debug("Adding %s=%s to the header table", b":path", b"/v2?api_key=the-living-key")
    logger.debug("Encoded header block to %s", b"\x04\x86bS\x9f\x8ej\xba\x1f")
    del credentials
    gc.collect()
    logger.debug("Encoded header block to %s", b"\x82")
    assert [record.getMessage() for record in caplog.records] == [
        "Encoded header block to b'\\x82'"
    ]


def test_evictions_of_http2_headers_are_left_out_while_a_client_is_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A signed link has no form that could be found in them."""
    caplog.set_level(logging.DEBUG, logger="hpack.table")
    hidden = module.hide_in_logs(module.SignedURL(httpx.URL("https://files.example/7?sig=s1gn")))
    logging.getLogger("hpack.table").debug(
        "Evicting %s: %s from the header table", b":path", b"/7?sig=s1gn"
    )
    assert not caplog.records
    del hidden


@pytest.mark.parametrize("name", ["httpcore.socks", "httpcore2.socks"])
def test_records_with_the_password_of_a_socks_proxy_are_left_out_while_a_client_is_open(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger=name)
    credentials = Credentials("the-living-key", "the-living-token")
    logging.getLogger(name).debug(
        "setup_socks5_connection.started host=%s auth=%s", b"x", (b"a", b"p")
    )
    assert not caplog.records
    del credentials


def test_copying_attributes_does_not_reveal_a_secret() -> None:
    credentials: Any = Credentials("the-key", "the-token")
    assert not hasattr(credentials, "__dict__")


def test_a_very_short_secret_does_not_make_other_log_records_unreadable() -> None:
    alive = Credentials("k", "t")
    record = logging.LogRecord("httpx", logging.INFO, "", 0, "talking to %s", ("the host",), None)

    logging.getLogger("httpx").filter(record)

    assert record.getMessage() == "talking to the host"
    assert alive.redact("tik") == "[hidden]i[hidden]"


FILLERS = ["\\", "25", "0", "-", "\\u00", "&#0", "%", "k", "\\-", "%25"]


@pytest.mark.parametrize(
    "key", ["-key-of-mine", r"\\\key", "%25abcdef", "&#0;xyzab", "-" * 27 + "k", "/" + "k" * 30]
)
def test_redaction_time_is_linear_in_the_text(key: str) -> None:
    credentials = Credentials(key, "+token/of==mine")
    # One text with runs of all of them. Reading a run from each of its letters would take hours.
    text = "".join((filler * 100_000)[:100_000] + key for filler in FILLERS)

    assert credentials.redact(text).endswith(HIDDEN)
    assert credentials.redact(text).count(HIDDEN) >= len(FILLERS)
    assert len(credentials.redact(text, 300)) == 300


def test_text_beyond_a_limit_is_not_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = Credentials("the-key", "the-token")
    searched = []

    def may_be_in(_: Redacting, content: bytes) -> bool:
        searched.append(content)
        return True

    monkeypatch.setattr(Redacting, "may_be_in", may_be_in)
    assert credentials.redact("the-key" + "9" * 1_000_000, 20) == HIDDEN + "9" * 12
    assert credentials.redact("the-key" + "9" * 10_000, 20) == HIDDEN + "9" * 12
    assert max(map(len, searched)) < 1000


@given(
    secrets,
    st.lists(st.one_of(st.text(max_size=9), st.sampled_from(ENCODERS)), max_size=30),
    st.integers(0, 60),
)
def test_a_limited_redaction_is_a_prefix_of_the_full_one(
    key: str, parts: list[str | Callable[[str], str]], limit: int
) -> None:
    credentials = Credentials(key, "another-token")
    text = "".join(part if isinstance(part, str) else part(key) for part in parts)

    assert credentials.redact(text, limit) == credentials.redact(text)[:limit]


def every_letter(text: str) -> str:
    return '"' + "".join(f"\\u{ord(c):04X}" for c in text) + '"'


@pytest.mark.parametrize("encode", [json.dumps, every_letter, lambda text: json.dumps(quote(text))])
def test_redacting_json_leaves_valid_json(encode: Callable[[str], str]) -> None:
    credentials = Credentials('k3y/"of"+mine', "t0ken\\of=mine")
    for secret in ('k3y/"of"+mine', "t0ken\\of=mine"):
        content = f'{{"id": 7, "name": {encode(secret)}, "x": "\\u00e9"}}'.encode()
        assert json.loads(credentials.redact_content(content)) == {
            "id": 7,
            "name": HIDDEN,
            "x": "é",
        }


def test_content_without_secrets_is_unchanged() -> None:
    credentials = Credentials("the-key", "the-token")
    for content in (b'{"a":  "\xc3\xa9 the key"}', b"\xff\xfe", b"", b'"\\u00e9"'):
        assert credentials.redact_content(content) == content


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_secrets_are_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        pickle.dumps(Credentials("some-key", "some-token"), protocol)


def test_content_that_is_too_large_is_not_parsed() -> None:
    credentials = Credentials("some-key", "some-token")
    heavy = b'["\\u0041 some-token",' + b"[]," * 2_000_000 + b"0]"
    tracemalloc.start()
    try:
        cleaned = credentials.redact_content(heavy)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert b"some-token" not in cleaned
    assert peak < 50_000_000


def test_a_very_short_secret_is_not_removed_from_content() -> None:
    assert Credentials("key", "tok").redact_content(b'{"key": "tok"}') == b'{"key": "tok"}'


def test_a_secret_in_a_header_is_removed() -> None:
    credentials = Credentials("the-key", "the-token")
    headers = httpx.Headers(
        {"Location": "/x/the-key", "Id": "the-token", "X": "y", "X-the-key": "1"}
    )
    cleaned = credentials.redact_headers(headers)
    assert dict(cleaned) == {
        "location": f"/x/{HIDDEN}",
        "id": HIDDEN,
        "x": "y",
        f"x-{HIDDEN}": "1",
    }
    assert credentials.redact_headers(httpx.Headers({"X": "y"})) == {"x": "y"}
