"""The bodies of the account: what a request may hold and what an answer holds."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model

ACCOUNT_ADDRESS = Model(
    "AccountAddress",
    {
        "line1": Field("string"),
        "line2": Field("string"),
        "line3": Field("string"),
        "city": Field("string"),
        "state_code": Field("string"),
        "state": Field("string"),
        "postal_code": Field("string"),
        "country_code": Field("string"),
    },
)

ACCOUNT_INFO = Model(
    "AccountInfo",
    {
        "website": Field("string"),
        "organization_name": Field("string"),
        "time_zone": Field("string"),
        "first_name": Field("string"),
        "last_name": Field("string"),
        "email": Field("string"),
        "phone": Field("string"),
        "company_logo": Field("string"),
        "country_code": Field("string"),
        "state_code": Field("string"),
        "organization_addresses": Field("array", items=Field("object", model=ACCOUNT_ADDRESS)),
    },
)

VERIFIED_EMAIL_ADDRESS = Model(
    "VerifiedEmailAddress",
    {
        "email_address": Field("string", required=True),
        "status": Field("string", read_only=True),
    },
)

VERIFIED_EMAIL_ADDRESS_WRITE = Model(
    "VerifiedEmailAddressWrite",
    {
        "email_address": Field("string", required=True),
    },
)
