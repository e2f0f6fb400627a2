"""The four operations of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.areas.rows import READ
from ccv2_async.sandbox.fields import Field
from ccv2_async.sandbox.operations import Answer, JsonBody, Operation, Shape
from ccv2_async.sandbox.problems import Refusal, absent_field
from ccv2_async.sandbox.schemas import account as schemas
from ccv2_async.sandbox.state.contacts import address_problem, is_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccv2_async.sandbox.operations import Call


def info_get(call: Call) -> Answer:
    """Return the account."""
    return Answer(200, call.world.account.info)


def info_update(call: Call) -> Answer:
    """Update the account. Addresses replace the stored ones."""
    for address in call.body.get("organization_addresses", []):
        if not address.get("line1"):
            raise absent_field("line1")
    call.world.account.info.update(call.body)
    return Answer(200, call.world.account.info)


def _show(addresses: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"email_address": email, "status": status} for email, status in addresses.items()]


def verified_list(call: Call) -> Answer:
    """List the addresses of the account."""
    wanted = call.query["status"]
    rows = _show(call.world.account.addresses)
    return Answer(200, [row for row in rows if wanted in ("ALL", row["status"])])


def verified_create(call: Call) -> Answer:
    """Add an address. An unconfirmed one gets another mail."""
    email = call.body[0]["email_address"]
    if not is_address(email):
        raise address_problem(email)
    addresses = call.world.account.addresses
    known = {stored.casefold(): stored for stored in addresses}
    stored = known.get(email.casefold())
    if stored is None:
        addresses[email] = "UNCONFIRMED"
        return Answer(201, _show({email: "UNCONFIRMED"}))
    if addresses[stored] == "CONFIRMED":
        raise Refusal(409, f"{email} is confirmed already.")
    return Answer(200, _show({stored: "UNCONFIRMED"}))


_INFO = Shape("one", schemas.ACCOUNT_INFO)
_ADDRESSES = Shape("array", schemas.VERIFIED_EMAIL_ADDRESS)
_STATUS = (Field("string", allowed=("ALL", "CONFIRMED", "UNCONFIRMED")), "ALL")

OPERATIONS = (
    Operation("account_info_get", "GET", "/account/info", info_get, READ, _INFO),
    Operation(
        "account_info_update",
        "PUT",
        "/account/info",
        info_update,
        (200, 400, 401, 406, 415, 500),
        _INFO,
        body=JsonBody.of(schemas.ACCOUNT_INFO),
    ),
    Operation(
        "verified_emails_list",
        "GET",
        "/account/verifiedemailaddresses",
        verified_list,
        (200, 400, 401, 406, 500),
        _ADDRESSES,
        query={"status": _STATUS},
    ),
    Operation(
        "verified_email_create",
        "POST",
        "/account/verifiedemailaddresses",
        verified_create,
        (200, 201, 400, 401, 405, 406, 409, 500),
        _ADDRESSES,
        body=JsonBody.array(
            Field("object", required=True, model=schemas.VERIFIED_EMAIL_ADDRESS_WRITE), exactly=1
        ),
    ),
)
