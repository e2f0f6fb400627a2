"""Whether a webhook call really comes from the service: its signature, checked."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from ccv2_async.errors import InvalidField
from ccv2_async.models.validation import is_text

SIGNATURE_HEADER = "x-ctct-hmac-sha256"
"""The header that carries the signature."""

_HEX_LENGTH = hashlib.sha256().digest_size * 2


def verify_webhook(body: bytes, signature: str | bytes | None, client_secret: str) -> bool:
    """Whether the signature is the service's for exactly this body; False too when it is missing.

    The signature is an HMAC-SHA256 of the body with the application's secret. The documentation
    does not say how its 32 bytes are written, so base64 and hexadecimal are both read. The
    comparison takes the same time wherever the two differ.

    Args:
        body: The request body as it came, before anything parses it.
        signature: The value of the header `x-ctct-hmac-sha256`, as text or as the bytes that ASGI
            gives; None or empty when it is missing.
        client_secret: The application's secret.

    Raises:
        InvalidField: The secret is empty, which would make every signature forgeable, or no text;
            or the body is not bytes, or the signature neither text nor bytes. Safe to try again:
            no.

    Source: the official SDKs' webhook support.
    """
    if client_secret == "":
        raise InvalidField("client_secret", "", "text, and not empty: anybody could sign then")
    if not is_text(client_secret):
        rule = "text, without half of a surrogate pair"
        raise InvalidField("client_secret", type(client_secret), rule)
    if not isinstance(body, bytes | bytearray | memoryview):
        raise InvalidField("body", type(body), "the bytes of the request as they came")
    if signature is not None and not isinstance(signature, str | bytes):
        raise InvalidField("signature", type(signature), "the value of the header, or None")
    expected = hmac.digest(client_secret.encode(), body, hashlib.sha256)
    return hmac.compare_digest(expected, _digest_of(signature or ""))


def _digest_of(signature: str | bytes) -> bytes:
    """The bytes a signature stands for; b"" when it stands for none."""
    text = signature if isinstance(signature, str) else signature.decode("latin-1")
    text = text.strip()
    try:
        if len(text) == _HEX_LENGTH:
            return bytes.fromhex(text)
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""
