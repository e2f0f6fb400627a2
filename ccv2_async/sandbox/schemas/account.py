"""The bodies of the account."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model, fields

ACCOUNT_ADDRESS = Model(
    "AccountAddress",
    {**fields("string", "line1 line2 line3 city state_code state postal_code country_code")},
)

ACCOUNT_INFO = Model(
    "AccountInfo",
    {
        **fields("string", "website organization_name time_zone first_name last_name email phone"),
        **fields("string", "company_logo country_code state_code"),
        "organization_addresses": Field("array", items=Field("object", model=ACCOUNT_ADDRESS)),
    },
)

VERIFIED_EMAIL_ADDRESS = Model(
    "VerifiedEmailAddress",
    {"email_address": Field("string", required=True), "status": Field("string", read_only=True)},
)

VERIFIED_EMAIL_ADDRESS_WRITE = Model(
    "VerifiedEmailAddressWrite", {"email_address": Field("string", required=True)}
)
