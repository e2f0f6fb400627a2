"""Bulk activities: jobs on many contacts, their status, and the requests that start them.

Source: the bulk activities pages of the v2 reference.
"""

from __future__ import annotations

import re
from datetime import datetime  # noqa: TC003  # read at run time by the converter
from enum import StrEnum

import attrs

from ccv2_async.models.base import Model, Outcome, PostalAddress, TupleOf
from ccv2_async.models.contacts import AddressType
from ccv2_async.models.validation import limited, rule

__all__ = ["ACTIVITY_OUTCOMES", "Activity", "ActivityError", "ActivityStatus", "ActivityType"]
__all__ += ["AddContactsRequest", "ClearListsRequest", "ExportContactsRequest", "ExportSortBy"]
__all__ += ["ImportAddress", "ImportCustomField", "ImportData", "RemoveContactsRequest"]
__all__ += ["activity_outcome"]


class ActivityStatus(StrEnum):
    """The state of a bulk activity. An unknown one stays a string: treat it as pending."""

    UNCONFIRMED = "UNCONFIRMED"
    PENDING = "PENDING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"


ACTIVITY_OUTCOMES: dict[ActivityStatus, Outcome] = {
    **dict.fromkeys(ActivityStatus, Outcome.PENDING),
    ActivityStatus.COMPLETE: Outcome.SUCCESS,
    ActivityStatus.ERROR: Outcome.FAILURE,
    ActivityStatus.CANCELLED: Outcome.FAILURE,
}
"""The outcome for each status."""
_OUTCOMES_BY_WORD = {status.casefold(): outcome for status, outcome in ACTIVITY_OUTCOMES.items()}


def activity_outcome(status: str | None) -> Outcome:
    """Return the outcome for a status. Case is ignored. An unknown status is pending."""
    return _OUTCOMES_BY_WORD.get((status or "").casefold(), Outcome.PENDING)


class ActivityType(StrEnum):
    """The kind of a bulk activity."""

    ADD_CONTACTS = "ADD_CONTACTS"
    REMOVE_CONTACTS_FROM_LISTS = "REMOVE_CONTACTS_FROM_LISTS"
    CLEAR_CONTACTS_FROM_LISTS = "CLEAR_CONTACTS_FROM_LISTS"
    EXPORT_CONTACTS = "EXPORT_CONTACTS"


@attrs.frozen(weakref_slot=False)
class ActivityError(Model):
    """An error or a warning about one row.

    Attributes:
        message: A description of the error.
        line_number: The line of the file; 0 when unknown.
        email_address: The address of the row; may be "".
        extra: Fields that the service sent beyond those above.
    """

    message: str | None = None
    line_number: int | None = None
    email_address: str | None = None

    def __str__(self) -> str:
        """Return the row's line, its address, and what was wrong, as far as they are known."""
        line = f"line {self.line_number}" if self.line_number else ""
        return ": ".join(filter(None, (line, self.email_address, self.message)))


def row_error(error: ActivityError | str) -> ActivityError:
    """Return an error in either form as an object; the line is 0 if the text does not name one."""
    if isinstance(error, ActivityError):
        return error
    if not (found := _LINE.match(error)):
        return ActivityError(message=error, line_number=0)
    return ActivityError(message=error[found.end() :], line_number=int(found[1]))


_LINE = re.compile(r"\s*line\s+(\d{1,9})\b\s*:?\s*", re.IGNORECASE)


@attrs.frozen(weakref_slot=False)
class Activity(Model):
    """A bulk activity. The response that starts one has no status, and its counts are not valid.

    Source: bulk-activities-status-report-api.

    Attributes:
        id: The activity's ID.
        type: The kind of activity.
        status: Its state; an unknown one is plain text.
        created_date: The date it was requested.
        start_date: The date it began; None before.
        finish_date: The date it ended; None before.
        contact_count: The number of contacts, valid when the activity has ended. If it is not a
            number it is None, and `extra` keeps the value.
        error_count: The number of failed rows, valid when the activity has ended.
        errors: The failed rows, as objects or as text ("Line 2: ..."). May be empty although rows
            failed.
        warnings: Rows that were accepted with a warning, in the same two forms.
        file_name: The URL of the CSV of a finished export, or the name of an imported file. May be
            "".
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here.
    """

    id: str
    type: ActivityType | str | None = None
    status: ActivityStatus | str | None = None
    created_date: datetime | None = None
    start_date: datetime | None = None
    finish_date: datetime | None = None
    contact_count: int | None = attrs.field(
        default=None, metadata={"aliases": ("contacts_count",), "lenient": True}
    )
    error_count: int | None = attrs.field(default=None, metadata={"lenient": True})
    errors: tuple[ActivityError | str, ...] = attrs.field(
        default=(), converter=TupleOf[ActivityError | str]
    )
    warnings: tuple[ActivityError | str, ...] = attrs.field(
        default=(), converter=TupleOf[ActivityError | str]
    )
    file_name: str | None = None

    @property
    def outcome(self) -> Outcome:
        """Whether the activity is pending, done, or failed."""
        return activity_outcome(self.status)

    @property
    def failed_rows(self) -> int:
        """The number of failed rows; the service may return it without the rows, or vice versa."""
        return max(self.error_count or 0, len(self.errors))


class ExportSortBy(StrEnum):
    """The order of the rows of an export."""

    EMAIL_ADDRESS = "EMAIL_ADDRESS"
    DATE_DESC = "DATE_DESC"


@attrs.frozen(weakref_slot=False, kw_only=True)
class ImportAddress(PostalAddress):
    """A postal address of a contact to import.

    Attributes:
        address_type: PERSONAL or BUSINESS.
        line1: First line.
        line2: Second line.
        line3: Third line.
        city: City.
        state: State outside the US and Canada.
        state_code: State or province, at most 50 characters.
        country_code: ISO 3166-1, two letters.
        postal_code: Postal code.
        sub_postal_code: The extension of the postal code.
        extra: Other fields to send.
    """

    address_type: AddressType | str | None = limited(allowed=AddressType)
    state_code: str | None = limited(max_length=50)
    sub_postal_code: str | None = None


@attrs.frozen(weakref_slot=False)
class ImportCustomField(Model):
    """A custom field of a contact to import.

    Attributes:
        name: `custom_field_1` to `custom_field_15`.
        value: Its value.
        extra: Other fields to send.
    """

    name: str = attrs.field(metadata=rule(required=True))
    value: str = attrs.field(metadata=rule(required=True))


@attrs.frozen(weakref_slot=False)
class ImportData(Model):
    """A contact to import; for a removal, only the address.

    Attributes:
        email_addresses: Exactly one address.
        first_name: First name.
        middle_name: Middle name; the service calls the column deprecated.
        last_name: Last name.
        birthday_month: 1 to 12.
        birthday_day: 1 to 31.
        anniversary: A date such as 03/12/2005.
        job_title: Job title.
        company_name: Company.
        work_phone: Telephone at work.
        home_phone: Telephone at home.
        addresses: Postal addresses.
        custom_fields: At most 15.
        extra: Other fields to send.
    """

    __omit_empty__ = True

    email_addresses: tuple[str, ...] = attrs.field(
        metadata=rule(required=True, min_length=1, max_length=1), converter=TupleOf[str]
    )
    first_name: str | None = None
    middle_name: str | None = None
    last_name: str | None = None
    birthday_month: str | None = None
    birthday_day: str | None = None
    anniversary: str | None = None
    job_title: str | None = None
    company_name: str | None = None
    work_phone: str | None = None
    home_phone: str | None = None
    addresses: tuple[ImportAddress, ...] = attrs.field(default=(), converter=TupleOf[ImportAddress])
    custom_fields: tuple[ImportCustomField, ...] = attrs.field(
        default=(), metadata=rule(max_length=15), converter=TupleOf[ImportCustomField]
    )


@attrs.frozen(weakref_slot=False)
class AddContactsRequest(Model):
    """The request to add or update many contacts.

    Source: add-contacts-api.

    Attributes:
        import_data: The contacts.
        lists: IDs of the lists to add them to.
        column_names: The columns to use, including EMAIL; others are ignored. If there are none,
            only addresses are imported.
        extra: Other fields to send.
    """

    import_data: tuple[ImportData, ...] = attrs.field(
        metadata=rule(required=True), converter=TupleOf[ImportData]
    )
    lists: tuple[str, ...] = attrs.field(metadata=rule(required=True), converter=TupleOf[str])
    column_names: tuple[str, ...] = attrs.field(
        default=(), metadata=rule(holds=("EMAIL", "EMAIL ADDRESS")), converter=TupleOf[str]
    )


@attrs.frozen(weakref_slot=False)
class RemoveContactsRequest(Model):
    """The request to remove many contacts from lists.

    Source: remove-contacts-api.

    Attributes:
        import_data: The contacts, by address alone; at most 20,000.
        lists: IDs of the lists to remove them from.
        extra: Other fields to send.
    """

    import_data: tuple[ImportData, ...] = attrs.field(
        metadata=rule(required=True, max_length=20_000), converter=TupleOf[ImportData]
    )
    lists: tuple[str, ...] = attrs.field(metadata=rule(required=True), converter=TupleOf[str])


@attrs.frozen(weakref_slot=False)
class ClearListsRequest(Model):
    """The request to empty lists.

    Source: clear-lists-api.

    Attributes:
        lists: IDs of the lists.
        extra: Other fields to send.
    """

    lists: tuple[str, ...] = attrs.field(metadata=rule(required=True), converter=TupleOf[str])


@attrs.frozen(weakref_slot=False)
class ExportContactsRequest(Model):
    """The request to export the contacts of a list.

    Source: export-contacts-api.

    Attributes:
        lists: One list ID, or `active`, `opted-out` or `removed`.
        column_names: The columns of the file, including the address.
        file_type: `CSV`.
        sort_by: The order of the rows.
        export_date_added: Whether there is a column with the date of each contact.
        export_added_by: Whether there is a column that says who added each contact.
        extra: Other fields to send.
    """

    lists: tuple[str, ...] = attrs.field(
        metadata=rule(required=True, min_length=1, max_length=1), converter=TupleOf[str]
    )
    column_names: tuple[str, ...] = attrs.field(
        default=("Email Address",),
        metadata=rule(required=True, holds=("Email Address", "Email")),
        converter=TupleOf[str],
    )
    file_type: str = limited("CSV", required=True, allowed=("CSV",))
    sort_by: ExportSortBy | str = limited(
        ExportSortBy.EMAIL_ADDRESS, required=True, allowed=ExportSortBy
    )
    export_date_added: bool = limited(True, required=True)
    export_added_by: bool = limited(True, required=True)
