"""The bodies of bulk activities: what a request may hold and what an answer holds."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model

ACTIVITY_CREATED = Model(
    "ActivityCreated",
    {
        "id": Field("id", required=True),
        "type": Field("string"),
        "error_count": Field("integer"),
        "contact_count": Field("integer"),
    },
)

ACTIVITY_ERROR = Model(
    "ActivityError",
    {
        "message": Field("string"),
        "line_number": Field("integer"),
        "email_address": Field("string"),
    },
)

ACTIVITY = Model(
    "Activity",
    {
        "id": Field("id", required=True),
        "type": Field("string"),
        "status": Field("string"),
        "created_date": Field("datetime"),
        "start_date": Field("datetime"),
        "finish_date": Field("datetime"),
        "contact_count": Field("integer"),
        "error_count": Field("integer"),
        "errors": Field("array"),
        "warnings": Field("array"),
        "file_name": Field("string"),
    },
)

IMPORT_ADDRESS = Model(
    "ImportAddress",
    {
        "address_type": Field("string", allowed=("PERSONAL", "BUSINESS")),
        "line1": Field("string"),
        "line2": Field("string"),
        "line3": Field("string"),
        "city": Field("string"),
        "state": Field("string"),
        "state_code": Field("string", max_length=50),
        "country_code": Field("string"),
        "postal_code": Field("string"),
        "sub_postal_code": Field("string"),
    },
)

IMPORT_CUSTOM_FIELD = Model(
    "ImportCustomField",
    {
        "name": Field("string", required=True),
        "value": Field("string", required=True),
    },
)

IMPORT_DATA = Model(
    "ImportData",
    {
        "email_addresses": Field("array", required=True, items=Field("string")),
        "first_name": Field("string"),
        "middle_name": Field("string"),
        "last_name": Field("string"),
        "birthday_month": Field("string"),
        "birthday_day": Field("string"),
        "anniversary": Field("string"),
        "job_title": Field("string"),
        "company_name": Field("string"),
        "work_phone": Field("string"),
        "home_phone": Field("string"),
        "addresses": Field("array", items=Field("object", model=IMPORT_ADDRESS)),
        "custom_fields": Field("array", items=Field("object", model=IMPORT_CUSTOM_FIELD)),
    },
)

ADD_CONTACTS_REQUEST = Model(
    "AddContactsRequest",
    {
        "import_data": Field(
            "array", required=True, minimum=1, items=Field("object", model=IMPORT_DATA)
        ),
        "lists": Field("array", required=True, minimum=1, items=Field("id")),
        "column_names": Field("array", required=True, items=Field("string")),
    },
)

REMOVAL = Model(
    "Removal",
    {
        "email_addresses": Field("array", required=True, items=Field("string")),
    },
)

REMOVE_CONTACTS_REQUEST = Model(
    "RemoveContactsRequest",
    {
        "import_data": Field(
            "array", required=True, minimum=1, items=Field("object", model=REMOVAL)
        ),
        "lists": Field("array", required=True, minimum=1, items=Field("id")),
    },
)

CLEAR_LISTS_REQUEST = Model(
    "ClearListsRequest",
    {
        "lists": Field("array", required=True, minimum=1, items=Field("id")),
    },
)

EXPORT_CONTACTS_REQUEST = Model(
    "ExportContactsRequest",
    {
        "file_type": Field("string", required=True, allowed=("CSV",)),
        "sort_by": Field("string", required=True, allowed=("EMAIL_ADDRESS", "DATE_DESC")),
        "export_date_added": Field("boolean", required=True),
        "export_added_by": Field("boolean", required=True),
        "lists": Field("array", required=True, minimum=1, maximum=1, items=Field("id")),
        "column_names": Field("array", required=True, minimum=1, items=Field("string")),
    },
)
