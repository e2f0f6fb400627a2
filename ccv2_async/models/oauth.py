"""The grant of access: the token and what the service says about it."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  # read at run time by the converter
from typing import Any

import attrs

__all__ = [
    "AccessToken",
    "OAuthError",
    "TokenInfo",
]


@attrs.frozen(weakref_slot=False)
class AccessToken:
    """A token that lets the application act for an account. It is kept out of `repr`.

    Source: OAuth2 server flow.

    Attributes:
        access_token: The secret to send as bearer.
        token_type: `Bearer`.
        expires_in: Seconds until it ends, about ten years.
        extra: What the service sent beyond the fields above.
    """

    access_token: str = attrs.field(repr=False)
    token_type: str
    expires_in: int
    extra: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False, kw_only=True)


@attrs.frozen(weakref_slot=False)
class TokenInfo:
    """What the service says about a token.

    Source: OAuth2 token information.

    Attributes:
        client_id: The API key that it was given to; kept out of `repr`.
        user_name: The account.
        expires_in: Seconds left.
        extra: What the service sent beyond the fields above.
    """

    client_id: str | None = attrs.field(default=None, repr=False)
    user_name: str | None = None
    expires_in: int | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False, kw_only=True)


@attrs.frozen(weakref_slot=False)
class OAuthError:
    """Why access was not granted.

    Source: OAuth2 server flow.

    Attributes:
        error: A word such as `access_denied`.
        error_description: The same in words.
        extra: What the service sent beyond the fields above.
    """

    error: str
    error_description: str | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False, kw_only=True)
