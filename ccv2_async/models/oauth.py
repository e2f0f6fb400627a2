"""OAuth: a token, information about it, and an error."""

from __future__ import annotations

import attrs

from ccv2_async.models.base import Model

__all__ = [
    "AccessToken",
    "OAuthError",
    "TokenInfo",
]


@attrs.frozen(weakref_slot=False)
class AccessToken(Model):
    """A token that lets the application act for an account. It is kept out of `repr`.

    Source: OAuth2 server flow.

    Attributes:
        access_token: The secret to send as bearer.
        token_type: `Bearer`.
        expires_in: Seconds until it expires, about ten years.
        extra: What the service sent beyond the fields above.
    """

    access_token: str = attrs.field(repr=False)
    token_type: str
    expires_in: int


@attrs.frozen(weakref_slot=False)
class TokenInfo(Model):
    """Information about a token.

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


@attrs.frozen(weakref_slot=False)
class OAuthError(Model):
    """Why access was not granted.

    Source: OAuth2 server flow.

    Attributes:
        error: A word such as `access_denied`.
        error_description: The same in words.
        extra: What the service sent beyond the fields above.
    """

    error: str
    error_description: str | None = None
