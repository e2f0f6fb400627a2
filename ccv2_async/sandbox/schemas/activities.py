"""The bodies of bulk activities."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model, fields

ACTIVITY_CREATED = Model(
    "ActivityCreated",
    {
        "id": Field("id", required=True),
        "type": Field("string"),
        **fields("integer", "error_count contact_count"),
    },
)

ACTIVITY_ERROR = Model(
    "ActivityError",
    {"message": Field("string"), "line_number": Field("integer"), "email_address": Field("string")},
)

ACTIVITY = Model(
    "Activity",
    {
        "id": Field("id", required=True),
        **fields("string", "type status"),
        **fields("datetime", "created_date start_date finish_date"),
        **fields("integer", "contact_count error_count"),
        **fields("array", "errors warnings"),
        "file_name": Field("string"),
    },
)

IMPORT_ADDRESS = Model(
    "ImportAddress",
    {
        "address_type": Field("string", allowed=("PERSONAL", "BUSINESS")),
        **fields("string", "line1 line2 line3 city state"),
        "state_code": Field("string", max_length=50),
        **fields("string", "country_code postal_code sub_postal_code"),
    },
)

IMPORT_CUSTOM_FIELD = Model("ImportCustomField", {**fields("string", "name value", required=True)})

IMPORT_DATA = Model(
    "ImportData",
    {
        "email_addresses": Field("array", required=True, items=Field("string")),
        **fields("string", "first_name middle_name last_name birthday_month birthday_day"),
        **fields("string", "anniversary job_title company_name work_phone home_phone"),
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
    "Removal", {"email_addresses": Field("array", required=True, items=Field("string"))}
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
    "ClearListsRequest", {"lists": Field("array", required=True, minimum=1, items=Field("id"))}
)

EXPORT_CONTACTS_REQUEST = Model(
    "ExportContactsRequest",
    {
        "file_type": Field("string", required=True, allowed=("CSV",)),
        "sort_by": Field("string", required=True, allowed=("EMAIL_ADDRESS", "DATE_DESC")),
        **fields("boolean", "export_date_added export_added_by", required=True),
        "lists": Field("array", required=True, minimum=1, maximum=1, items=Field("id")),
        "column_names": Field("array", required=True, minimum=1, items=Field("string")),
    },
)
