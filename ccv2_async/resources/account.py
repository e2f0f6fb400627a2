"""The account: who it belongs to, and the addresses that campaigns may be sent from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccv2_async.errors import DecodeError
from ccv2_async.models.account import AccountInfo, VerifiedEmailAddress, VerifiedEmailStatus
from ccv2_async.models.arguments import checked_model, checked_text, one_of
from ccv2_async.resources.base import Resource, result_of
from ccv2_async.transport.calls.retry import Effect

if TYPE_CHECKING:
    from typing import Unpack

    from ccv2_async.resources.changes import AccountChanges
    from ccv2_async.resources.listing import OnBadRow


class Account(Resource):
    """`client.account`: who the account belongs to, and its confirmed addresses."""

    async def info(self) -> AccountInfo:
        """Who the account belongs to.

        Source: "Account summary information", GET, of the service's documentation.
        """
        return await self._get(AccountInfo, "/account/info", what="account information")

    async def update_info(self, **changes: Unpack[AccountChanges]) -> AccountInfo:
        """The changed information; what is not given stays as it is, None erases.

        It is read first and sent back with the changes: two calls. `replace_info` is the one
        call, for information that you have read yourself.

        Args:
            changes: The new values, by the names of `AccountInfo`. `organization_addresses`
                replaces all that are stored, and each needs `line1`.

        Source: "Account summary information", PUT, of the service's documentation.
        """
        what = "account information"
        return await self._update(AccountInfo, "/account/info", changes, AccountInfo, what=what)

    async def replace_info(self, info: AccountInfo) -> AccountInfo:
        """The information as the service keeps it after taking the whole that is given.

        Source: "Account summary information", PUT, of the service's documentation.
        """
        return await self._replace(
            AccountInfo,
            "/account/info",
            checked_model(info, AccountInfo, "info"),
            what="update of account information",
        )

    async def verified_emails(
        self,
        *,
        status: VerifiedEmailStatus | str | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> list[VerifiedEmailAddress]:
        """The addresses of the account; campaigns may be sent from those that are CONFIRMED.

        Args:
            status: ALL, CONFIRMED or UNCONFIRMED.
            on_bad_row: "skip" to leave out rows that cannot be read, and log how many they are.

        Source: "Verified e-mail addresses", GET, of the service's documentation.
        """
        return await self._get_rows(
            VerifiedEmailAddress,
            "/account/verifiedemailaddresses",
            what="verified e-mail addresses",
            query={"status": one_of("status", status, ("ALL", *VerifiedEmailStatus))},
            on_bad_row=on_bad_row,
        )

    async def add_verified_email(self, email_address: str) -> VerifiedEmailAddress:
        """The address, which is UNCONFIRMED until its owner follows the link in the service's mail.

        For an address that is there but unconfirmed, another such mail goes out. The service
        takes 200 of these calls a day.

        Raises:
            Conflict: The address is confirmed already.
            OutcomeUnknown: No answer came; the mail may have gone out. Safe to try again: yes, at
                the price of a second mail.

        Source: "Verified e-mail addresses", POST, of the service's documentation.
        """
        answer = await self._write(
            "POST",
            "/account/verifiedemailaddresses",
            [VerifiedEmailAddress(checked_text(email_address, "email_address"))],
            effect=Effect.ADDITIVE,
            what=f"verification of {email_address}",
        )
        rows = await result_of(answer, list[VerifiedEmailAddress])
        if not rows:
            raise DecodeError(
                f"{answer.what}: the service answered {answer.status} without the address. It was "
                "carried out; verified_emails() shows it.",
                status=answer.status,
            )
        return rows[0]
