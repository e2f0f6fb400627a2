"""Contact lists, contacts, and the sign-up form.

Source: the contact list and the contacts pages of the v2 reference.
"""

from __future__ import annotations

from collections.abc import Iterable  # noqa: TC003  # read at run time by the converter
from datetime import datetime  # noqa: TC003  # read at run time by the converter
from enum import StrEnum
from typing import Any, ClassVar, cast

import attrs

from ccv2_async.models.base import Model, PostalAddress, TupleOf, named_last, names, to_tuple
from ccv2_async.models.validation import limited, rule

__all__ = ["ActionBy", "Address", "AddressType", "ConfirmStatus", "Contact", "ContactList"]
__all__ += ["ContactListRef", "ContactListStatus", "ContactListWrite", "ContactStatus"]
__all__ += ["ContactWrite", "CustomField", "EmailAddress", "Note", "SignupForm", "SignupFormWrite"]


class ContactListStatus(StrEnum):
    """The state of a contact list."""

    ACTIVE = "ACTIVE"
    HIDDEN = "HIDDEN"
    REMOVED = "REMOVED"


_STATUS = rule(required=True, allowed=ContactListStatus)


@attrs.frozen(weakref_slot=False)
class ContactList(Model):
    """A contact list.

    Source: contact-list-api, contactlist-resource.

    Attributes:
        id: The list's ID.
        list_id: Its UUID for migrations; only on request.
        name: At most 255 characters.
        status: ACTIVE or HIDDEN.
        contact_count: Contacts on it.
        created_date: The date it was created.
        modified_date: The date it was last changed.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names(
        "id list_id contact_count created_date modified_date"
    )

    id: str
    list_id: str | None = None
    name: str | None = limited(required=True, max_length=255)
    status: ContactListStatus | str | None = limited(metadata=_STATUS)
    contact_count: int | None = None
    created_date: datetime | None = None
    modified_date: datetime | None = None


@attrs.frozen(weakref_slot=False)
class ContactListWrite(Model):
    """The request to create or replace a list.

    Source: contact-list-api, contactlist-collection, POST.

    Attributes:
        name: At most 255 characters.
        status: Its state.
        extra: Other fields to send.
    """

    name: str = attrs.field(metadata=rule(required=True, max_length=255))
    status: ContactListStatus | str = limited(ContactListStatus.ACTIVE, metadata=_STATUS)


@attrs.frozen(weakref_slot=False)
class ContactListRef(Model):
    """A list that a contact is on.

    Attributes:
        id: The list's ID.
        status: The state of the list.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names("status")

    id: str = attrs.field(metadata=rule(required=True))
    status: ContactListStatus | str | None = None


def is_list_id(value: object) -> bool:
    """Return whether a value is the ID of a list: a string or a number."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def list_refs(values: Iterable[ContactListRef | str]) -> tuple[ContactListRef, ...]:
    """Return references to contact lists. An ID becomes a reference."""
    found: Any = to_tuple(values)
    if isinstance(found, tuple):
        found = tuple(ContactListRef(entry) if is_list_id(entry) else entry for entry in found)
    return cast("tuple[ContactListRef, ...]", found)


class ContactStatus(StrEnum):
    """The state of a contact or of one of its addresses."""

    ACTIVE = "ACTIVE"
    UNCONFIRMED = "UNCONFIRMED"
    OPTOUT = "OPTOUT"
    REMOVED = "REMOVED"
    NON_SUBSCRIBER = "NON_SUBSCRIBER"
    VISITOR = "VISITOR"


class ConfirmStatus(StrEnum):
    """The confirmation status of an address."""

    CONFIRMED = "CONFIRMED"
    NO_CONFIRMATION_REQUIRED = "NO_CONFIRMATION_REQUIRED"
    UNCONFIRMED = "UNCONFIRMED"


class ActionBy(StrEnum):
    """The person who acts: the account's owner, or the contact."""

    ACTION_BY_OWNER = "ACTION_BY_OWNER"
    ACTION_BY_VISITOR = "ACTION_BY_VISITOR"


class AddressType(StrEnum):
    """The kind of a postal address."""

    PERSONAL = "PERSONAL"
    BUSINESS = "BUSINESS"


@attrs.frozen(weakref_slot=False)
class EmailAddress(Model):
    """An email address of a contact.

    Attributes:
        email_address: The address, at most 80 characters.
        id: Its ID.
        status: Its state.
        confirm_status: Whether it has been confirmed.
        opt_in_source: The person who put it on a list. The service takes the values of `ActionBy`;
            any other that it returned, such as ACTION_BY_SYSTEM, is not sent back.
        opt_in_date: The date it was put on a list.
        opt_out_date: The date it was taken off; None for never.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names(
        "id status confirm_status opt_in_date opt_out_date"
    )

    email_address: str = attrs.field(metadata=rule(required=True, max_length=80))
    id: str | None = None
    status: ContactStatus | str | None = None
    confirm_status: ConfirmStatus | str | None = None
    opt_in_source: ActionBy | str | None = attrs.field(
        default=None, metadata={"writable": ActionBy}
    )
    opt_in_date: datetime | None = None
    opt_out_date: datetime | None = None


@attrs.frozen(weakref_slot=False, kw_only=True)
class Address(PostalAddress):
    """A postal address of a contact.

    Attributes:
        id: Its ID.
        address_type: PERSONAL or BUSINESS, one of each at most.
        line1: First line.
        line2: Second line.
        line3: Third line.
        city: City.
        state: State outside the US and Canada.
        state_code: Two letters, US and Canada only.
        country_code: ISO 3166-1, two letters.
        postal_code: Postal code.
        sub_postal_code: The extension of the postal code.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names("id")

    id: str | None = None
    address_type: AddressType | str | None = limited(allowed=AddressType)
    sub_postal_code: str | None = None


@attrs.frozen(weakref_slot=False)
class CustomField(Model):
    """A custom field of a contact.

    Attributes:
        name: `CustomField1` to `CustomField15`; bulk imports spell it differently.
        value: Its value.
        label: The account's name for it.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names("label")

    name: str = attrs.field(metadata=rule(required=True))
    value: str = attrs.field(metadata=rule(required=True))
    label: str | None = None


@attrs.frozen(weakref_slot=False)
class Note(Model):
    """A note on a contact.

    Attributes:
        note: Its text.
        id: Its ID.
        created_date: The date it was written.
        modified_date: The date it was last changed.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names("id created_date modified_date")

    note: str | None = None
    id: str | None = None
    created_date: datetime | None = None
    modified_date: datetime | None = None


_EMAIL_ADDRESSES = rule(required=True, min_length=1, max_length=1)
_LISTS = rule(required=True, min_length=1)


@attrs.frozen(weakref_slot=False, kw_only=True)
class _ContactFields(Model):
    """The optional fields that `Contact` and `ContactWrite` share."""

    prefix_name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    job_title: str | None = None
    department_name: str | None = None
    company_name: str | None = limited(max_length=50)
    home_phone: str | None = limited(max_length=50)
    work_phone: str | None = limited(max_length=50)
    cell_phone: str | None = limited(max_length=50)
    fax: str | None = limited(max_length=50)
    addresses: tuple[Address, ...] = attrs.field(
        default=(), metadata=rule(max_length=2), converter=TupleOf[Address]
    )
    custom_fields: tuple[CustomField, ...] = attrs.field(
        default=(), metadata=rule(max_length=15), converter=TupleOf[CustomField]
    )
    notes: tuple[Note, ...] = attrs.field(default=(), converter=TupleOf[Note])
    source_details: str | None = None


@attrs.frozen(weakref_slot=False, field_transformer=named_last)
class Contact(_ContactFields):
    """A contact. Writing one back replaces everything: what is None is erased.

    Source: contacts-api, contacts-resource.

    Attributes:
        id: The contact's ID.
        contact_id: Its UUID for migrations; only on request.
        status: Its state.
        confirmed: Whether it has been confirmed.
        prefix_name: Salutation.
        first_name: First name.
        middle_name: Middle name; deprecated by the service.
        last_name: Last name.
        job_title: Job title.
        department_name: Department.
        company_name: At most 50 characters.
        home_phone: At most 50 characters.
        work_phone: At most 50 characters.
        cell_phone: At most 50 characters.
        fax: At most 50 characters.
        addresses: One PERSONAL and one BUSINESS at most.
        email_addresses: Exactly one.
        lists: The lists it is on.
        custom_fields: At most 15.
        notes: Notes on it.
        source: The program that added it.
        source_details: Details of the program that added it.
        created_date: The date it was created.
        modified_date: The date it was last changed.
        insert_date: The date it was added.
        last_update_date: The date it was last updated.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names(
        "id contact_id status confirmed source created_date modified_date insert_date "
        "last_update_date"
    )

    id: str
    contact_id: str | None = None
    status: ContactStatus | str | None = None
    confirmed: bool | None = None
    middle_name: str | None = None
    email_addresses: tuple[EmailAddress, ...] = attrs.field(
        default=(), metadata=_EMAIL_ADDRESSES, converter=TupleOf[EmailAddress]
    )
    lists: tuple[ContactListRef, ...] = attrs.field(
        default=(), metadata=_LISTS, converter=list_refs
    )
    source: str | None = None
    created_date: datetime | None = None
    modified_date: datetime | None = None
    insert_date: datetime | None = None
    last_update_date: datetime | None = None

    @property
    def email(self) -> str | None:
        """Its email address; None if the service sent none."""
        return self.email_addresses[0].email_address if self.email_addresses else None


@attrs.frozen(weakref_slot=False, field_transformer=named_last)
class ContactWrite(_ContactFields):
    """The request to create or replace a contact.

    Source: contacts-api, contacts-collection, POST.

    Attributes:
        email_addresses: Exactly one.
        lists: The lists to put it on, at least one.
        prefix_name: Salutation.
        first_name: First name.
        last_name: Last name.
        job_title: Job title.
        department_name: Department.
        company_name: At most 50 characters.
        home_phone: At most 50 characters.
        work_phone: At most 50 characters.
        cell_phone: At most 50 characters.
        fax: At most 50 characters.
        addresses: One PERSONAL and one BUSINESS at most.
        custom_fields: At most 15.
        notes: Notes on it.
        source_details: Details of the program that added it.
        extra: Other fields to send.
    """

    __omit_empty__ = True

    email_addresses: tuple[EmailAddress, ...] = attrs.field(
        metadata=_EMAIL_ADDRESSES, converter=TupleOf[EmailAddress]
    )
    lists: tuple[ContactListRef, ...] = attrs.field(metadata=_LISTS, converter=list_refs)


@attrs.frozen(weakref_slot=False)
class SignupFormWrite(Model):
    """The request to create a sign-up form.

    Attributes:
        contact_lists: The lists it puts people on.
        list_name: The name of a list.
        source: The program that asks for it.
        extra: Other fields to send.
    """

    contact_lists: tuple[Any, ...] = attrs.field(
        metadata=rule(required=True), converter=TupleOf[Any]
    )
    list_name: str | None = None
    source: str | None = None


@attrs.frozen(weakref_slot=False)
class SignupForm(Model):
    """A sign-up form.

    Attributes:
        contact_lists: The lists it puts people on.
        list_name: The name of a list.
        source: The program that asked for it.
        signup_form_url: The URL of the form.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    contact_lists: tuple[Any, ...] = attrs.field(default=(), converter=TupleOf[Any])
    list_name: str | None = None
    source: str | None = None
    signup_form_url: str | None = None
