"""The bodies of contacts: what a request may hold and what an answer holds."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model
from ccv2_async.sandbox.schemas.lists import CONTACT_LIST_REF

EMAIL_ADDRESS = Model(
    "EmailAddress",
    {
        "id": Field("id", read_only=True),
        "email_address": Field("string", required=True),
        "status": Field("string", read_only=True),
        "confirm_status": Field("string", read_only=True),
        "opt_in_source": Field("string"),
        "opt_in_date": Field("datetime", read_only=True),
        "opt_out_date": Field("datetime", read_only=True),
    },
)

ADDRESS = Model(
    "Address",
    {
        "id": Field("id", read_only=True),
        "address_type": Field("string"),
        "line1": Field("string"),
        "line2": Field("string"),
        "line3": Field("string"),
        "city": Field("string"),
        "state": Field("string"),
        "state_code": Field("string"),
        "country_code": Field("string"),
        "postal_code": Field("string"),
        "sub_postal_code": Field("string"),
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
        "created_date": Field("datetime", read_only=True),
        "modified_date": Field("datetime", read_only=True),
    },
)

CONTACT = Model(
    "Contact",
    {
        "id": Field("id", required=True, read_only=True),
        "contact_id": Field("id", read_only=True),
        "status": Field("string", read_only=True),
        "confirmed": Field("boolean", read_only=True),
        "prefix_name": Field("string"),
        "first_name": Field("string"),
        "middle_name": Field("string"),
        "last_name": Field("string"),
        "job_title": Field("string"),
        "department_name": Field("string"),
        "company_name": Field("string"),
        "home_phone": Field("string"),
        "work_phone": Field("string"),
        "cell_phone": Field("string"),
        "fax": Field("string"),
        "addresses": Field("array", items=Field("object", model=ADDRESS)),
        "email_addresses": Field(
            "array", required=True, items=Field("object", model=EMAIL_ADDRESS)
        ),
        "lists": Field("array", items=Field("object", model=CONTACT_LIST_REF)),
        "custom_fields": Field("array", items=Field("object", model=CUSTOM_FIELD)),
        "notes": Field("array", items=Field("object", model=NOTE)),
        "source": Field("string", read_only=True),
        "source_details": Field("string"),
        "created_date": Field("datetime", read_only=True),
        "modified_date": Field("datetime", read_only=True),
        "insert_date": Field("datetime", read_only=True),
        "last_update_date": Field("datetime", read_only=True),
    },
)

CONTACT_WRITE = Model(
    "ContactWrite",
    {
        "prefix_name": Field("string"),
        "first_name": Field("string"),
        "last_name": Field("string"),
        "job_title": Field("string"),
        "department_name": Field("string"),
        "company_name": Field("string", max_length=50),
        "home_phone": Field("string", max_length=50),
        "work_phone": Field("string", max_length=50),
        "cell_phone": Field("string", max_length=50),
        "fax": Field("string", max_length=50),
        "addresses": Field("array", items=Field("object", model=ADDRESS)),
        "email_addresses": Field(
            "array",
            required=True,
            minimum=1,
            maximum=1,
            items=Field("object", model=EMAIL_ADDRESS),
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
        "list_name": Field("string"),
        "source": Field("string"),
    },
)

SIGNUP_FORM = Model(
    "SignupForm",
    {
        "contact_lists": Field("array", required=True),
        "list_name": Field("string"),
        "source": Field("string"),
        "signup_form_url": Field("string"),
    },
)
