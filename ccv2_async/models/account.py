"""The account, its confirmed addresses, and the tokens that give access to it.

Source: the account pages and the OAuth 2 pages of the v2 reference.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

import attrs

from ccv2_async.models.base import Model, PostalAddress, TupleOf, names
from ccv2_async.models.validation import limited, rule

__all__ = ["AccessToken", "AccountAddress", "AccountInfo", "OAuthError", "TokenInfo"]
__all__ += ["VerifiedEmailAddress", "VerifiedEmailStatus"]


class VerifiedEmailStatus(StrEnum):
    """The status of an address of the account."""

    CONFIRMED = "CONFIRMED"
    UNCONFIRMED = "UNCONFIRMED"


@attrs.frozen(weakref_slot=False, kw_only=True)
class AccountAddress(PostalAddress):
    """The postal address of an account.

    Attributes:
        line1: First line; required.
        line2: Second line.
        line3: Third line.
        city: City.
        state_code: Two letters, US and Canada only.
        state: State outside the US and Canada.
        postal_code: Postal code.
        country_code: ISO 3166-1, two letters.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    line1: str | None = limited(required=True)


@attrs.frozen(weakref_slot=False)
class AccountInfo(Model):
    """The account and its owner.

    Source: summary-information-api.

    Attributes:
        website: Its website.
        organization_name: The organization.
        time_zone: A name such as US/Eastern.
        first_name: First name of the owner.
        last_name: Last name of the owner.
        email: The owner's address.
        phone: Telephone.
        company_logo: The URL of the logo.
        country_code: ISO 3166-1, two letters.
        state_code: Two letters, US and Canada only.
        organization_addresses: Postal addresses. They replace the stored ones, unless none are
            given.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    __omit_empty__ = True

    website: str | None = None
    organization_name: str | None = None
    time_zone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    company_logo: str | None = None
    country_code: str | None = None
    state_code: str | None = None
    organization_addresses: tuple[AccountAddress, ...] = attrs.field(
        default=(), converter=TupleOf[AccountAddress]
    )


@attrs.frozen(weakref_slot=False)
class VerifiedEmailAddress(Model):
    """An address of the account. Campaigns can be sent from it when it is confirmed.

    Source: verify-email-addresses.

    Attributes:
        email_address: The address.
        status: Whether it has been confirmed.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names("status")

    email_address: str = attrs.field(metadata=rule(required=True))
    status: VerifiedEmailStatus | str | None = None


@attrs.frozen(weakref_slot=False)
class AccessToken(Model):
    """A token that lets the application act for an account. It is kept out of `repr`.

    Source: OAuth2 server flow.

    Attributes:
        access_token: The secret to send as the bearer token.
        token_type: `Bearer`.
        expires_in: Seconds until it expires, about ten years.
        extra: Fields that the service sent beyond those above.
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
        extra: Fields that the service sent beyond those above.
    """

    client_id: str | None = attrs.field(default=None, repr=False)
    user_name: str | None = None
    expires_in: int | None = None


@attrs.frozen(weakref_slot=False)
class OAuthError(Model):
    """The reason why access was not granted.

    Source: OAuth2 server flow.

    Attributes:
        error: A word such as `access_denied`.
        error_description: A description of the error.
        extra: Fields that the service sent beyond those above.
    """

    error: str
    error_description: str | None = None
