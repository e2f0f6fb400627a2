"""The operations of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.fields import define
from ccv2_async.sandbox.operations import READ, Operations
from ccv2_async.sandbox.responses import APIResponse, Refusal
from ccv2_async.sandbox.state.contacts import check_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccv2_async.sandbox.operations import Call

OPERATIONS = Operations()
define(
    """
    AccountAddress: line1!>=1 line2 line3 city state_code state postal_code country_code
    AccountInfo: website organization_name time_zone first_name last_name email phone company_logo
        country_code state_code organization_addresses:AccountAddress[]
    VerifiedEmailAddress: email_address!:email status-
    VerifiedEmailAddressWrite < VerifiedEmailAddress:
    """
)
_ADDRESSES = "VerifiedEmailAddress[]"


@OPERATIONS.add("GET", "/account/info", "AccountInfo", codes=READ)
def account_info_get(call: Call) -> dict[str, Any]:
    """Return the account."""
    return call.world.account.info


@OPERATIONS.add(
    "PUT", "/account/info", "AccountInfo", codes=(200, 400, 401, 406, 415, 500), body="AccountInfo"
)
def account_info_update(call: Call) -> dict[str, Any]:
    """Update the account. Addresses replace the stored ones."""
    call.world.account.info.update(call.body)
    return call.world.account.info


def _show(addresses: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"email_address": email, "status": status} for email, status in addresses.items()]


@OPERATIONS.add(
    "GET",
    "/account/verifiedemailaddresses",
    _ADDRESSES,
    codes=(200, 400, 401, 406, 500),
    query="status:ALL|CONFIRMED|UNCONFIRMED=ALL",
)
def verified_emails_list(call: Call) -> list[dict[str, Any]]:
    """List the addresses of the account."""
    wanted = call.query["status"]
    return [row for row in _show(call.world.account.addresses) if wanted in ("ALL", row["status"])]


@OPERATIONS.add(
    "POST",
    "/account/verifiedemailaddresses",
    _ADDRESSES,
    codes=(201, 200, 400, 401, 405, 406, 409, 500),
    body="VerifiedEmailAddressWrite[]>=1<=1",
)
def verified_email_create(call: Call) -> APIResponse:
    """Add an address. An unconfirmed one gets another email.

    An address that is already confirmed is a conflict; case does not matter.
    """
    email = call.body[0]["email_address"]
    check_address(email)
    addresses = call.world.account.addresses
    known = {stored.casefold(): stored for stored in addresses}
    if (stored := known.get(email.casefold())) is None:
        addresses[email] = "UNCONFIRMED"
        return APIResponse(201, _show({email: "UNCONFIRMED"}))
    if addresses[stored] == "CONFIRMED":
        raise Refusal(409, f"{email} is already confirmed.")
    return APIResponse(200, _show({stored: "UNCONFIRMED"}))
