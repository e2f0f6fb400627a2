"""The bodies of contacts."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model, fields
from ccv2_async.sandbox.schemas.lists import CONTACT_LIST_REF

EMAIL_ADDRESS = Model(
    "EmailAddress",
    {
        "id": Field("id", read_only=True),
        "email_address": Field("string", required=True),
        **fields("string", "status confirm_status", read_only=True),
        "opt_in_source": Field("string"),
        **fields("datetime", "opt_in_date opt_out_date", read_only=True),
    },
)

ADDRESS = Model(
    "Address",
    {
        "id": Field("id", read_only=True),
        **fields("string", "address_type line1 line2 line3 city state state_code country_code"),
        **fields("string", "postal_code sub_postal_code"),
    },
)

CUSTOM_FIELD = Model(
    "CustomField",
    {
        "name": Field("string", required=True),
        "label": Field("string", read_only=True),
        "value": Field("string", required=True),
    },
)

NOTE = Model(
    "Note",
    {
        "id": Field("id", read_only=True),
        "note": Field("string"),
        **fields("datetime", "created_date modified_date", read_only=True),
    },
)

CONTACT = Model(
    "Contact",
    {
        "id": Field("id", required=True, read_only=True),
        "contact_id": Field("id", read_only=True),
        "status": Field("string", read_only=True),
        "confirmed": Field("boolean", read_only=True),
        **fields("string", "prefix_name first_name middle_name last_name job_title"),
        **fields("string", "department_name company_name home_phone work_phone cell_phone fax"),
        "addresses": Field("array", items=Field("object", model=ADDRESS)),
        "email_addresses": Field(
            "array", required=True, items=Field("object", model=EMAIL_ADDRESS)
        ),
        "lists": Field("array", items=Field("object", model=CONTACT_LIST_REF)),
        "custom_fields": Field("array", items=Field("object", model=CUSTOM_FIELD)),
        "notes": Field("array", items=Field("object", model=NOTE)),
        "source": Field("string", read_only=True),
        "source_details": Field("string"),
        **fields("datetime", "created_date modified_date insert_date", read_only=True),
        "last_update_date": Field("datetime", read_only=True),
    },
)

CONTACT_WRITE = Model(
    "ContactWrite",
    {
        **fields("string", "prefix_name first_name last_name job_title department_name"),
        "company_name": Field("string", max_length=50),
        "home_phone": Field("string", max_length=50),
        "work_phone": Field("string", max_length=50),
        "cell_phone": Field("string", max_length=50),
        "fax": Field("string", max_length=50),
        "addresses": Field("array", items=Field("object", model=ADDRESS)),
        "email_addresses": Field(
            "array", required=True, minimum=1, maximum=1, items=Field("object", model=EMAIL_ADDRESS)
        ),
        "lists": Field(
            "array", required=True, minimum=1, items=Field("object", model=CONTACT_LIST_REF)
        ),
        "custom_fields": Field("array", maximum=15, items=Field("object", model=CUSTOM_FIELD)),
        "notes": Field("array", items=Field("object", model=NOTE)),
        "source_details": Field("string"),
    },
)

# An id, or an object with one; the SDK that shows the request does not say which.
LIST_OF_FORM = Field("any", model=CONTACT_LIST_REF)

SIGNUP_FORM_WRITE = Model(
    "SignupFormWrite",
    {
        "contact_lists": Field("array", required=True, minimum=1, items=LIST_OF_FORM),
        **fields("string", "list_name source"),
    },
)

SIGNUP_FORM = Model(
    "SignupForm",
    {
        "contact_lists": Field("array", required=True),
        **fields("string", "list_name source signup_form_url"),
    },
)
