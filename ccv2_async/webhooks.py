"""Verify the signature of webhook calls."""

from __future__ import annotations

import base64
import hashlib
import hmac

from ccv2_async.errors import InvalidField
from ccv2_async.models.validation import is_text
from ccv2_async.secret import Secret

SIGNATURE_HEADER = "x-ctct-hmac-sha256"
"""The name of the header with the signature."""

_HEX_LENGTH = hashlib.sha256().digest_size * 2


def verify_webhook(
    body: bytes, signature: str | bytes | None, client_secret: str | Secret[str]
) -> bool:
    """Return whether a webhook call has a valid signature from the service.

    The signature is an HMAC-SHA256 of the body with the secret of the API key. The documentation
    does not say how it is encoded, so base64 and hexadecimal are both accepted. The signatures are
    compared in constant time.

    Args:
        body: The raw request body, before it is parsed.
        signature: The value of the header `x-ctct-hmac-sha256`, as a string, or as bytes from ASGI.
            None or empty if it is missing.
        client_secret: The secret of the API key, as a string or a `Secret`.

    Raises:
        InvalidField: The secret is empty or not text, the body is not bytes, or the signature is
            neither text nor bytes. Safe to try again: no.

    Source: the official SDKs' webhook support.
    """
    client_secret = Secret(client_secret)
    if client_secret.reveal() == "":
        raise InvalidField(
            "client_secret", "", "it must not be empty: anyone could sign with an empty secret"
        )
    if not is_text(client_secret.reveal()):
        rule = "it must be text without a lone surrogate"
        raise InvalidField("client_secret", type(client_secret.reveal()), rule)
    if not isinstance(body, bytes | bytearray | memoryview):
        raise InvalidField("body", type(body), "it must be the raw bytes of the request")
    if signature is not None and not isinstance(signature, str | bytes):
        raise InvalidField("signature", type(signature), "it must be the header's value, or None")
    expected = hmac.digest(client_secret.reveal().encode(), bytes(body), hashlib.sha256)
    return hmac.compare_digest(expected, _digest_of(signature or ""))


def _digest_of(signature: str | bytes) -> bytes:
    """Return the bytes of an encoded signature; b"" if it is not valid."""
    text = signature if isinstance(signature, str) else signature.decode("latin-1")
    text = text.strip()
    try:
        if len(text) == _HEX_LENGTH:
            return bytes.fromhex(text)
        return base64.b64decode(text, validate=True)
    except ValueError:  # also from base64
        return b""
