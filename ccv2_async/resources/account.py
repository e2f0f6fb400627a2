"""The account: its owner, and the addresses that campaigns can be sent from."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from ccv2_async.errors import DecodeError
from ccv2_async.models.account import AccountInfo, VerifiedEmailAddress, VerifiedEmailStatus
from ccv2_async.models.validation import checked_model, checked_text, one_of
from ccv2_async.resources.base import Endpoint, Resource, result_of
from ccv2_async.transport.calls.retry import Effect

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Unpack

    from ccv2_async.models.account import AccountAddress
    from ccv2_async.resources.listing import OnBadRow


class AccountChanges(TypedDict, total=False):
    """The fields of the account that can be changed; see `AccountInfo`."""

    website: str | None
    organization_name: str | None
    time_zone: str | None
    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None
    company_logo: str | None
    country_code: str | None
    state_code: str | None
    organization_addresses: Iterable[AccountAddress]


INFO = Endpoint(AccountInfo, AccountInfo, "/account/info", "account information")


class Account(Resource):
    """`client.account`: the account's information and its confirmed addresses."""

    async def info(self) -> AccountInfo:
        """Return the information about the account and its owner.

        Source: "Account summary information", GET, of the service's documentation.
        """
        return await self._get(AccountInfo, "/account/info", what="account information")

    async def update_info(self, **changes: Unpack[AccountChanges]) -> AccountInfo:
        """Change fields of the account information, and return the result.

        A field that is not given keeps its value. One that is None is left out of the request; the
        service's documentation does not say whether that erases it, and the sandbox keeps the old
        value. This makes two calls: it reads the information and sends it back with the changes. If
        you have read it yourself, `replace_info` makes one call.

        Args:
            changes: The new values, by the field names of `AccountInfo`. `organization_addresses`
                replaces all stored addresses, and each needs `line1`.

        Source: "Account summary information", PUT, of the service's documentation.
        """
        return await self._update(INFO, changes)

    async def replace_info(self, info: AccountInfo) -> AccountInfo:
        """Replace the account information, and return what the service stored.

        Source: "Account summary information", PUT, of the service's documentation.
        """
        checked = checked_model(info, AccountInfo, "info", written=True)
        return await self._replace(AccountInfo, INFO.path, checked, what=f"update of {INFO.name}")

    async def verified_emails(
        self, *, status: VerifiedEmailStatus | str | None = None, on_bad_row: OnBadRow = "raise"
    ) -> list[VerifiedEmailAddress]:
        """Return the addresses of the account. Campaigns can be sent from CONFIRMED ones.

        Args:
            status: ALL, CONFIRMED or UNCONFIRMED.
            on_bad_row: "skip" to leave out rows that cannot be read, and log how many.

        Source: "Verified e-mail addresses", GET, of the service's documentation.
        """
        path, what = "/account/verifiedemailaddresses", "verified email addresses"
        query = {"status": one_of("status", status, ("ALL", *VerifiedEmailStatus))}
        return await self._get_rows(
            VerifiedEmailAddress, path, what=what, query=query, on_bad_row=on_bad_row
        )

    async def add_verified_email(self, email_address: str) -> VerifiedEmailAddress:
        """Add an address. It is UNCONFIRMED until its owner follows the link in an email.

        If the address exists but is unconfirmed, the service sends another email. It accepts 200
        of these calls a day.

        Raises:
            Conflict: The address is already confirmed.
            OutcomeUnknown: No response arrived; the email may have been sent. Safe to try again:
                yes, but a second email may be sent.

        Source: "Verified e-mail addresses", POST, of the service's documentation.
        """
        new = [VerifiedEmailAddress(checked_text(email_address, "email_address"))]
        path, what = "/account/verifiedemailaddresses", f"verification of {email_address}"
        response = await self._write("POST", path, new, effect=Effect.ADDITIVE, what=what)
        if not (rows := await result_of(response, list[VerifiedEmailAddress])):
            raise DecodeError(
                f"{response.what}: the service returned {response.status} without the address. "
                "The call was carried out; check verified_emails().",
                status=response.status,
            )
        return rows[0]
