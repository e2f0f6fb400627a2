from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async import errors
from ccv2_async.webhooks import SIGNATURE_HEADER, verify_webhook

SECRET = "1f2e3d"


def digest(body: bytes, secret: str = SECRET) -> bytes:
    return hmac.new(secret.encode(), body, hashlib.sha256).digest()


@given(st.binary())
def test_a_valid_signature_is_accepted_in_every_spelling(body: bytes) -> None:
    signature = digest(body)
    assert verify_webhook(body, base64.b64encode(signature).decode(), SECRET)
    assert verify_webhook(body, signature.hex(), SECRET)
    assert verify_webhook(body, signature.hex().upper(), SECRET)
    assert verify_webhook(body, f" {base64.encodebytes(signature).decode()}", SECRET)
    assert verify_webhook(body, base64.b64encode(signature), SECRET)
    assert verify_webhook(body, signature.hex().encode(), SECRET)


@given(st.binary(), st.binary())
def test_a_signature_of_another_body_or_secret_is_rejected(body: bytes, other: bytes) -> None:
    assert verify_webhook(body, digest(other).hex(), SECRET) == (body == other)
    assert not verify_webhook(body, digest(body, "other").hex(), SECRET)


@given(
    st.text()
    | st.text("0123456789abcdef", min_size=64, max_size=64)
    | st.text(st.characters(categories=["Cs"]), min_size=1)
    | st.binary()
    | st.binary(min_size=64, max_size=64)
)
def test_a_malformed_signature_is_rejected_without_an_error(signature: str | bytes) -> None:
    assert not verify_webhook(b"body", signature, SECRET)


def test_signatures_match_those_of_openssl() -> None:
    # printf '{}' | openssl dgst -sha256 -hmac 1f2e3d
    assert verify_webhook(
        b"{}", "3de9eb32297f6d8ea72da8b5e8d5c78128e9af736fea1a29499f14fd2f04a58b", SECRET
    )


@pytest.mark.parametrize("signature", ["", "x"])
@pytest.mark.parametrize("secret", ["", None, b"1f2e3d"])
def test_an_empty_or_invalid_secret_is_refused(secret: Any, signature: str) -> None:
    with pytest.raises(errors.InvalidField, match="client_secret is ") as refused:
        verify_webhook(b"{}", signature, secret)
    assert SECRET not in str(refused.value)


def test_a_secret_that_cannot_be_encoded_is_refused_without_being_shown() -> None:
    with pytest.raises(errors.InvalidField, match=r"client_secret is .*surrogate") as refused:
        verify_webhook(b"{}", "x", f"{SECRET}\udcff")
    assert SECRET not in f"{refused.value} {vars(refused.value)}"


@pytest.mark.parametrize("signature", [5, 0, [], ["3de9"], {"value": "3de9"}])
def test_a_signature_that_no_header_can_contain_is_refused(signature: Any) -> None:
    with pytest.raises(errors.InvalidField, match=r"signature is .*the header's value"):
        verify_webhook(b"{}", signature, SECRET)


def test_a_missing_signature_is_rejected() -> None:
    assert not verify_webhook(b"{}", b"", SECRET)
    assert not verify_webhook(b"{}", None, SECRET)


def test_a_body_that_was_read_as_text_is_refused() -> None:
    text: Any = "{}"
    with pytest.raises(errors.InvalidField, match=r"body is .*the raw bytes of the request"):
        verify_webhook(text, "x", SECRET)


def test_the_signature_header_has_the_name_the_service_uses() -> None:
    assert SIGNATURE_HEADER == "x-ctct-hmac-sha256"


def test_a_body_in_pieces_of_a_buffer_is_verified() -> None:
    body = memoryview(b"a-b-c-")[::2]
    signature = hmac.digest(b"s3cret", b"abc", "sha256").hex()
    assert verify_webhook(body, signature, "s3cret")  # type: ignore[arg-type]  # bytes-like
