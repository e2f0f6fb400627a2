from __future__ import annotations

import base64

import attrs
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccv2_async.errors import TokenError
from ccv2_async.polling.token import MAX_LENGTH, TokenData, decode, encode
from ccv2_async.transport.calls.credentials import Credentials

OURS = Credentials("key-1", "token-1")
OTHERS = Credentials("key-1", "token-2")
NOW = 1_700_000_000

ID_LETTERS = "ABCxyz0189_=~.+-"
ids = st.text(ID_LETTERS, min_size=1, max_size=128).filter(lambda text: set(text) != {"."})
stamps = st.integers(0, 4_000_000_000)


def token_of(data: TokenData, credentials: Credentials = OURS) -> str:
    return encode(data, credentials.checksum)


def read(text: str, *, now: float = NOW, credentials: Credentials = OURS) -> TokenData:
    return decode(text, account=credentials.fingerprint, now=now, checksum=credentials.checksum)


statuses = st.none() | st.text(st.characters(codec="utf-8"), max_size=200)
tokens_said = st.builds(
    TokenData,
    kind=st.sampled_from(["upload", "activity"]),
    id=ids,
    account=st.just(OURS.fingerprint),
    submitted=stamps,
    expires=st.integers(NOW, 4_000_000_000),
    not_before=stamps,
    status=st.none() | st.sampled_from(["Active", "Processing", "RUNNING", "UNCONFIRMED"]),
)
A_TOKEN = TokenData(
    kind="upload",
    id="1001",
    account=OURS.fingerprint,
    submitted=NOW - 60,
    expires=NOW + 60,
    not_before=NOW,
    status="Processing",
)


@given(tokens_said)
def test_a_token_round_trips(data: TokenData) -> None:
    assert read(token_of(data)) == data


@given(tokens_said, statuses)
@example(attrs.evolve(A_TOKEN, id="x" * 128, kind="activity"), "\U0001f600" * 200)
@example(attrs.evolve(A_TOKEN, id="x" * 128, kind="activity"), "\x00" * 200)
@example(attrs.evolve(A_TOKEN, id="x" * 128, kind="activity"), "S" * 200)
def test_a_token_is_short_and_printable_for_any_status(data: TokenData, status: str | None) -> None:
    token = token_of(attrs.evolve(data, status=status))

    assert len(token) <= MAX_LENGTH
    assert token.isascii()
    assert token.isprintable()
    known = read(token).status
    assert known is None or (status or "").startswith(known)


def test_a_status_of_ordinary_length_is_always_kept() -> None:
    long = attrs.evolve(A_TOKEN, id="x" * 128, kind="activity", status="S" * 40)

    assert read(token_of(long)).status == "S" * 40


def test_a_status_is_kept_up_to_40_characters_as_json() -> None:
    for status, kept in (("S" * 38 + '"', True), ("S" * 39 + '"', False)):
        known = read(token_of(attrs.evolve(A_TOKEN, status=status))).status
        assert known == (status if kept else None)


@pytest.mark.parametrize("length", range(1, 5))
def test_a_token_has_no_padding(length: int) -> None:
    assert "=" not in token_of(attrs.evolve(A_TOKEN, id="1" * length))


@given(st.data())
def test_any_altered_character_is_refused(data: st.DataObject) -> None:
    token = token_of(A_TOKEN)
    place = data.draw(st.integers(0, len(token) - 1), label="place")
    other = data.draw(
        st.characters(exclude_categories=()).filter(lambda c: c != token[place]), label="character"
    )
    altered = token[:place] + other + token[place + 1 :]
    if altered.strip() == token:
        return

    with pytest.raises(TokenError):
        read(altered)


@given(st.data())
def test_a_truncated_token_is_refused(data: st.DataObject) -> None:
    token = token_of(A_TOKEN)
    start = data.draw(st.integers(0, len(token) - 1))
    end = data.draw(st.integers(start + 1, len(token)))

    with pytest.raises(TokenError):
        read(token[:start] + token[end:])


@given(st.text(st.characters(exclude_categories=())) | st.text(ID_LETTERS).map("ccv2p1.".__add__))
@example("ccv2p1.")
@example("ccv2p1.e30.")
@example("ccv2p1.W10.\ud800")
@example("ccv2p1.\u00e9.x")
def test_a_text_that_is_not_a_token_is_refused_with_an_explanation(text: str) -> None:
    with pytest.raises(TokenError) as caught:
        read(text)

    assert caught.value.message.endswith(".")


@pytest.mark.parametrize("thing", [None, 7, b"ccv2p1.x.y", ["ccv2p1"]])
def test_a_token_must_be_text(thing: object) -> None:
    with pytest.raises(TokenError):
        read(thing)  # type: ignore[arg-type]  # that is the point


def test_whitespace_around_a_token_is_ignored() -> None:
    assert read(f" {token_of(A_TOKEN)}\n") == A_TOKEN


def test_a_token_from_other_credentials_is_reported_as_such() -> None:
    with pytest.raises(TokenError, match="other credentials"):
        read(token_of(A_TOKEN), credentials=OTHERS)


def test_a_forged_token_is_refused() -> None:
    forged = token_of(A_TOKEN, OTHERS)

    with pytest.raises(TokenError, match="altered"):
        read(forged)


@pytest.mark.parametrize("more", ["x", ".x", "\ud800", "é"])
def test_a_token_with_more_at_its_end_was_altered(more: str) -> None:
    with pytest.raises(TokenError, match="altered"):
        read(token_of(A_TOKEN) + more)


@pytest.mark.parametrize("foreign", ["!", "!!!!", "\n", " ", "é"])
def test_a_token_with_foreign_characters_is_damaged(foreign: str) -> None:
    version, payload, checksum = token_of(A_TOKEN).split(".")
    with pytest.raises(TokenError, match="damaged"):
        read(f"{version}.{payload[:20]}{foreign}{payload[20:]}.{checksum}")


def test_an_expired_token_is_reported_as_expired() -> None:
    token = token_of(A_TOKEN)

    assert read(token, now=A_TOKEN.expires)
    with pytest.raises(
        TokenError,
        match=r"upload 1001, made on 2\d{3}-\d\d-\d\d, has expired: .* unless a clock was wrong",
    ):
        read(token, now=A_TOKEN.expires + 1)


def test_a_token_of_another_version_is_reported_as_such() -> None:
    with pytest.raises(TokenError, match="another version"):
        read(token_of(A_TOKEN).replace("ccv2p1", "ccv2p2"))


def test_an_overlong_token_is_refused_without_decoding() -> None:
    with pytest.raises(TokenError, match="at most 400"):
        read("ccv2p1." + "x" * (MAX_LENGTH - 6))
    with pytest.raises(TokenError, match="damaged"):
        read("ccv2p1." + "x" * (MAX_LENGTH - 7))


@pytest.mark.parametrize(
    "change",
    [
        {"k": "export"},
        {"i": 7},
        {"i": "../../contacts"},
        {"i": "1,2"},
        {"s": "yesterday"},
        {"e": True},
        {"n": 1.5},
        {"t": 5},
    ],
    ids=str,
)
def test_a_signed_token_with_an_unknown_layout_is_refused(change: dict[str, object]) -> None:
    document = {
        "k": "upload",
        "i": "7",
        "a": OURS.fingerprint,
        "s": NOW,
        "e": NOW + 9,
        "n": NOW,
        **change,
    }
    payload = base64.urlsafe_b64encode(orjson.dumps(document)).rstrip(b"=")
    token = f"ccv2p1.{payload.decode()}.{OURS.checksum(payload)}"

    with pytest.raises(TokenError, match="form"):
        read(token)


def test_a_token_contains_no_secret_and_no_address() -> None:
    payload = token_of(A_TOKEN).split(".")[1]
    said = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()

    assert "key-1" not in said
    assert "token-1" not in said
    assert "http" not in said
