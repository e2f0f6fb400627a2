"""Contacts: find, add, change, remove from lists, and opt out."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict
from weakref import WeakValueDictionary

import attrs

from ccv2_async.errors import Conflict, InvalidField, NotFound, OptedOut, OutcomeUnknown
from ccv2_async.models.contacts import (
    ActionBy,
    Contact,
    ContactStatus,
    ContactWrite,
    EmailAddress,
    SignupForm,
    SignupFormWrite,
)
from ccv2_async.models.validation import check, checked_changes, checked_model, checked_text, one_of
from ccv2_async.resources.base import Endpoint, Resource, path_to, served_path
from ccv2_async.tasks import running_loop

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from typing import Unpack

    from ccv2_async.models.contacts import Address, ContactListRef, CustomField, Note
    from ccv2_async.resources.listing import Listing, OnBadRow


UPSERT_ATTEMPTS = 8
"""The number of attempts of `upsert` while others change the same contact."""

UPSERT_PAUSE = 0.5

SUBSCRIBED = frozenset({ContactStatus.ACTIVE, ContactStatus.UNCONFIRMED})
"""The statuses in which `upsert` can leave a contact unchanged."""


class ContactDetails(TypedDict, total=False):
    """The fields of a contact besides its addresses and lists; see `ContactWrite`."""

    prefix_name: str | None
    first_name: str | None
    last_name: str | None
    job_title: str | None
    department_name: str | None
    company_name: str | None
    home_phone: str | None
    work_phone: str | None
    cell_phone: str | None
    fax: str | None
    addresses: Iterable[Address]
    custom_fields: Iterable[CustomField]
    notes: Iterable[Note]
    source_details: str | None


class ContactChanges(ContactDetails, total=False):
    """The fields of a contact that can be changed; see `ContactWrite`."""

    email_addresses: Iterable[EmailAddress]
    lists: Iterable[ContactListRef | str]


CONTACTS = Endpoint(Contact, ContactWrite, "/contacts", "contact", "contact")


class Contacts(Resource):
    """`client.contacts`: the contacts of the account."""

    def all(
        self,
        *,
        email: str | None = None,
        status: ContactStatus | str | None = None,
        modified_since: datetime | None = None,
        include_contact_id: bool = False,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[Contact]:
        """List the contacts of the account, or those that match.

        Args:
            email: The exact address, in upper or lower case;
                `await client.contacts.all(email=...).first()` is the contact that has it, or None.
                If the service returns only contacts with other addresses, `DecodeError` is raised.
            status: One of `ContactStatus`, or "ALL".
            modified_since: Only contacts that have changed since this time. Needs a time zone.
            include_contact_id: Whether each has a `contact_id`, its UUID for migrations.
            limit: Rows per page, from 1 to 500. The default is 50.
            on_bad_row: "skip" to continue after rows that cannot be read; see `Listing`.

        Source: "Contacts collection", GET, of the service's documentation.
        """
        return self._list(
            Contact,
            "/contacts",
            what="contacts",
            limit=limit,
            query={
                "email": email,
                "status": one_of("status", status, ("ALL", *ContactStatus)),
                "modified_since": modified_since,
                "include_contact_id": include_contact_id,
            },
            on_bad_row=on_bad_row,
            only=None if email is None else partial(_has, email=email),
        )

    async def get(self, contact_id: str) -> Contact:
        """Return one contact.

        Raises:
            NotFound: There is no contact with that ID.

        Source: "Contacts resource", GET, of the service's documentation.
        """
        return await self._one(CONTACTS, contact_id)

    async def create(
        self, contact: ContactWrite, *, action_by: ActionBy | str | None = None
    ) -> Contact:
        """Create a contact on at least one list.

        Args:
            contact: The contact, with exactly one email address.
            action_by: ACTION_BY_VISITOR if the contact signed up in person. It determines the
                opt-in source and the welcome email. By default the owner acts.

        Raises:
            Conflict: There is already an active contact with that address.
            OutcomeUnknown: No response arrived, or one with another contact; it may exist. Safe to
                try again: yes, because the service refuses a second one with `Conflict`.

        Source: "Contacts collection", POST, of the service's documentation.
        """
        _check_addresses(checked_model(contact, ContactWrite, "contact").addresses or ())
        query = {"action_by": one_of("action_by", action_by, ActionBy)}
        what = "creation of a contact"
        made = await self._create(Contact, "/contacts", contact, what=what, query=query)
        email = contact.email_addresses[0].email_address
        # The service may write an address with other than ASCII characters in another form.
        if made.email_addresses and email.isascii() and not _has(made, email):
            reason = "the service returned a contact with another address"
            advice = "It may have been created; look for its address before you send it again."
            raise OutcomeUnknown.from_parts(what, reason, advice, sends=1)
        return made

    async def update(
        self,
        contact_id: str,
        *,
        action_by: ActionBy | str | None = None,
        **changes: Unpack[ContactChanges],
    ) -> Contact:
        """Change fields of a contact, and return the result.

        A field that is not given keeps its value, and None erases it. This makes two calls: it
        reads the contact and sends it back with the changes. If you have read it yourself,
        `replace` makes one call.

        Args:
            contact_id: The contact.
            action_by: The actor; see `create`.
            changes: The new values, by the field names of `ContactWrite`.

        Source: "Contacts resource", PUT, of the service's documentation.
        """
        _check_addresses(checked_changes(changes, ContactWrite).get("addresses") or ())
        query = {"action_by": one_of("action_by", action_by, ActionBy)}
        return await self._update(CONTACTS, changes, contact_id, query=query)

    async def upsert(
        self,
        email: str,
        *,
        lists: Iterable[ContactListRef | str],
        action_by: ActionBy | str | None = None,
        **changes: Unpack[ContactDetails],
    ) -> Contact:
        """Add a contact to lists, or update it if its address is known; return the contact.

        The contact keeps the lists it is on and the fields that are not given. The effect depends
        on its status:

        - There is no such contact: it is created.
        - ACTIVE: it is updated; if nothing changes, nothing is written.
        - UNCONFIRMED: it is updated, and stays UNCONFIRMED until the contact follows the link in
          the email.
        - REMOVED, which is on no list: it is added to the lists again.
        - OPTOUT: only the contact can opt back in. With `action_by="ACTION_BY_VISITOR"`, which
          says that the contact signed up in person, it is added to the lists. Otherwise `OptedOut`
          is raised.

        Calls in one process for the same address wait for each other. The service cannot lock a
        contact, and a write replaces all of its lists. So the lists are read again after each
        write, and written again if another process has replaced them in the meantime. A change that
        another process makes between the reading and the writing can still be lost.

        Args:
            email: The address.
            lists: The lists to add it to, at least one: IDs or references.
            action_by: The actor; see `create`.
            changes: Values to set, by the field names of `ContactWrite`; None erases one.

        Raises:
            InvalidField: The service would refuse a value. Nothing was sent.
            OptedOut: The contact has opted out, and `action_by` is the owner. Nothing was changed.
            ConstantContactError: As for `create` and `update`. Safe to try again: yes.

        Source: "Contacts collection", GET and POST, and "Contacts resource", PUT, of the service's
        documentation.
        """
        if not checked_text(email, "email").strip():
            raise InvalidField("email", email, "it must be an address")
        given = checked_changes({**changes, "lists": lists}, ContactWrite)
        if "email_addresses" in given:
            raise InvalidField("email_addresses", "...", "the address is the first argument")
        wanted = ContactWrite(
            (EmailAddress(email),),
            **{name: value for name, value in given.items() if value is not None},
        )
        _check_addresses(wanted.addresses)
        check(wanted)
        actor = one_of("action_by", action_by, ActionBy)
        # All clients in this event loop share it.
        key = id(running_loop()), self._session.base_url, email.casefold()
        lock = _LOCKS.setdefault(key, asyncio.Lock())
        async with self._session.holding(lock, f"upsert of {email}"):
            return await self._upsert(wanted, given, actor)

    async def _upsert(
        self, wanted: ContactWrite, changes: dict[str, Any], action_by: str | None
    ) -> Contact:
        email, lost = wanted.email_addresses[0].email_address, 0
        for attempt in range(1, UPSERT_ATTEMPTS + 1):
            found = await self.all(email=email).first()
            try:
                if found is None:
                    return await self.create(wanted, action_by=action_by)
                written = await self._merge(found, wanted, changes, action_by)
            except (Conflict, NotFound, OutcomeUnknown) as error:
                # Another process has created or changed it in the meantime, or the response was
                # lost.
                if isinstance(error, OutcomeUnknown):
                    error.sends = lost = lost + error.sends
                pause, left = UPSERT_PAUSE * (attempt - 1), self._session.time_left
                if attempt == UPSERT_ATTEMPTS or (left is not None and left <= pause):
                    if attempt > 1:
                        error.extend(f"This is about the last of {attempt} attempts.")
                    raise
                await self._session.sleep(pause, f"upsert of {email}")
                continue
            if written is not None:
                return written
        raise OutcomeUnknown(
            f"upsert of {email}: other processes replaced the contact's lists {UPSERT_ATTEMPTS} "
            "times after they were written. Some lists may be missing; call again when no other "
            "process changes the contact."
        )

    async def _merge(
        self, found: Contact, wanted: ContactWrite, changes: dict[str, Any], action_by: str | None
    ) -> Contact | None:
        """Write the changes, and return the contact, or None if its lists were replaced since."""
        if _has_opted_out(found) and action_by != ActionBy.ACTION_BY_VISITOR:
            raise _opted_out(found, "Nothing was changed.")
        there = _list_ids(found)
        added = tuple(ref for ref in wanted.lists if str(ref.id) not in there)
        merged = {**changes, "lists": (*found.lists, *added)}
        after = attrs.evolve(found, **merged)
        if after == found and found.status in SUBSCRIBED:
            return found
        what = f"update of contact {found.id}"
        path, query = served_path(what, "/contacts/{}", found.id), {"action_by": action_by}
        written = await self._replace(Contact, path, after, what=what, query=query, checked=True)
        if _has_opted_out(written):
            raise _opted_out(written, "The lists were updated, but the contact stays opted out.")
        if not added:
            return written
        seen = await self.get(found.id)
        return seen if _list_ids(wanted) <= _list_ids(seen) else None

    async def replace(
        self, contact: Contact, *, action_by: ActionBy | str | None = None
    ) -> Contact:
        """Replace a contact, and return what the service stored.

        Fields that are None are erased, except for read-only fields.

        Args:
            contact: The whole contact, as it was read and then changed.
            action_by: The actor; see `create`.

        Source: "Contacts resource", PUT, of the service's documentation.
        """
        _check_addresses(checked_model(contact, Contact, "contact", written=True).addresses or ())
        query = {"action_by": one_of("action_by", action_by, ActionBy)}
        return await self._replace_one(CONTACTS, contact, query=query)

    async def opt_out(self, contact_id: str) -> None:
        """Unsubscribe a contact: its status becomes OPTOUT. The service never deletes one.

        Raises:
            NotFound: There is no contact with that ID.

        Source: "Contacts resource", DELETE, of the service's documentation.
        """
        path = path_to("/contacts/{}", contact_id)
        await self._delete(path, what=f"opting out contact {contact_id}")

    async def remove_from_lists(self, contact_id: str) -> None:
        """Remove a contact from every list.

        Raises:
            NotFound: There is no contact with that ID.

        Source: The official SDKs; its page of the documentation was not available.
        """
        path = path_to("/contacts/{}/lists", contact_id)
        await self._delete(path, what=f"removal of contact {contact_id} from all lists")

    async def remove_from_list(self, contact_id: str, list_id: str) -> None:
        """Remove a contact from one list.

        Raises:
            NotFound: There is no such contact or no such list.

        Source: The official SDKs; its page of the documentation was not available.
        """
        path = path_to("/contacts/{}/lists/{}", contact_id, list_id)
        await self._delete(path, what=f"removal of contact {contact_id} from list {list_id}")

    async def create_signup_form(self, form: SignupFormWrite) -> SignupForm:
        """Create a sign-up form, and return it with the URL where people sign up.

        Raises:
            OutcomeUnknown: No response arrived; it may exist. Safe to try again: only if a second
                form does no harm.

        Source: The official SDKs; the service's documentation does not describe it.
        """
        checked, what = checked_model(form, SignupFormWrite, "form"), "creation of a sign-up form"
        return await self._create(SignupForm, "/signupform", checked, what=what)


# The locks of addresses that `upsert` is writing. They live as long as a call holds or awaits them.
# A lock belongs to its event loop, so the loop is part of the key.
_LOCKS: WeakValueDictionary[tuple[int, str, str], asyncio.Lock] = WeakValueDictionary()


def _has(contact: Contact, email: str) -> bool:
    """Return whether one of the contact's addresses is this one, in upper or lower case."""
    own = [address.email_address.casefold() for address in contact.email_addresses]
    return email.strip().casefold() in own


def _list_ids(contact: Contact | ContactWrite) -> set[str]:
    return {str(ref.id) for ref in contact.lists}


def _has_opted_out(contact: Contact) -> bool:
    statuses = (contact.status, *(address.status for address in contact.email_addresses))
    return ContactStatus.OPTOUT in statuses


def _opted_out(contact: Contact, done: str) -> OptedOut:
    return OptedOut(
        f"upsert of contact {contact.id}: the contact has opted out, and only the contact can opt "
        f"back in. {done} If the contact has signed up again, call again with "
        'action_by="ACTION_BY_VISITOR".',
        contact_id=contact.id,
    )


def _check_addresses(addresses: Iterable[Address]) -> None:
    """Validate that no address type occurs twice: the service takes one of each.

    Raises:
        InvalidField: Two addresses have the same type. Nothing was sent.
    """
    seen: set[str] = set()
    for index, address in enumerate(addresses):
        kind = str(checked_text(address.address_type, f"addresses[{index}].address_type")).upper()
        if kind in seen:
            field = f"addresses[{index}].address_type"
            raise InvalidField(field, kind, "pass at most one PERSONAL and one BUSINESS address")
        seen.add(kind)
