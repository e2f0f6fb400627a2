"""The account and its addresses, its contact lists, and the contacts that belong to them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.sandbox.fields import ADDRESS_LENGTH
from ccv2_async.sandbox.responses import Refusal, bad_field, highest, lookup

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_LISTS = 1000
_ADDRESS = re.compile(r"[^@\s,;:<>()\[\]\"\\]+@[^@\s.,;:<>()\[\]\"\\]+(\.[^@\s.,;:<>()\[\]\"\\]+)+")
OWNER = "owner@example.com"


def is_address(text: str) -> bool:
    """Return whether a string can be an email address."""
    return len(text) <= ADDRESS_LENGTH and _ADDRESS.fullmatch(text) is not None


def check_address(text: str) -> None:
    """Raise a 400 for a string that cannot be an email address."""
    if not is_address(text):
        raise Refusal(400, f"{text[:100]} is not an email address.", "json.email.invalid")


@attrs.define
class ContactList:
    """A contact list; `members` are the IDs of its contacts, in the order in which they came."""

    id: str
    name: str
    status: str = "ACTIVE"
    created: float = 0.0
    modified: float = 0.0
    members: dict[str, None] = attrs.field(factory=dict)


@attrs.define
class Contact:
    """A contact. `fields` are those that a client sets, apart from address and lists."""

    id: str
    email: str
    status: str = "ACTIVE"
    source: str = "API"
    opt_in_source: str = "ACTION_BY_OWNER"
    opt_in: float = 0.0
    created: float = 0.0
    modified: float = 0.0
    opt_out: float = 0.0
    lists: dict[str, float] = attrs.field(factory=dict)
    fields: dict[str, Any] = attrs.field(factory=dict)


@attrs.define
class Contacts:
    """All lists and contacts of the account; each contact's address occurs once.

    Attributes:
        lists: Lists by ID.
        contacts: Contacts by ID.
    """

    lists: dict[str, ContactList] = attrs.field(
        factory=lambda: {"1": ContactList("1", "General Interest")}
    )
    contacts: dict[str, Contact] = attrs.field(factory=dict)
    _ids: dict[str, str] = attrs.field(factory=dict)
    _next_list: int = 2
    _next_contact: int = 1

    def contact_list(self, list_id: str) -> ContactList:
        """Return the list, or raise a 404."""
        return lookup(self.lists, list_id, "List")

    def contact(self, contact_id: str) -> Contact:
        """Return the contact, or raise a 404."""
        return lookup(self.contacts, contact_id, "Contact")

    def by_email(self, email: str) -> Contact | None:
        """Return the contact with this address, in any case."""
        contact_id = self._ids.get(email.casefold())
        return None if contact_id is None else self.contacts[contact_id]

    def members(self, list_id: str) -> Iterable[Contact]:
        """Return the contacts of a list, or raise a 404."""
        return [self.contacts[contact_id] for contact_id in self.contact_list(list_id).members]

    def create_list(self, name: str, status: str, now: float) -> ContactList:
        """Create a list, or raise a 400 or 409."""
        self._check_name(name)
        if len(self.lists) >= MAX_LISTS:
            raise Refusal(400, f"An account has at most {MAX_LISTS} lists.")
        made = ContactList(str(self._next_list), name, status, now, now)
        self._next_list += 1
        self.lists[made.id] = made
        return made

    def change_list(self, list_id: str, name: str, status: str, now: float) -> ContactList:
        """Change the name and status of a list, or raise a 400, 404 or 409."""
        changed = self.contact_list(list_id)
        self._check_name(name, besides=list_id)
        changed.name, changed.status, changed.modified = name, status, now
        return changed

    def delete_list(self, list_id: str, now: float) -> None:
        """Delete a list. Its contacts stay; those on no other list become REMOVED."""
        self.clear(list_id, now)
        del self.lists[list_id]

    def clear(self, list_id: str, now: float) -> int:
        """Remove all contacts from a list and return how many there were."""
        members = list(self.contact_list(list_id).members)
        for contact_id in members:
            self.leave(self.contacts[contact_id], [list_id], now)
        return len(members)

    def check_lists(self, list_ids: Iterable[str]) -> list[str]:
        """Return the IDs of existing lists, each once, or raise a 400."""
        if not (checked := list(dict.fromkeys(list_ids))):
            raise bad_field("lists", "at least one list is expected.")
        for list_id in checked:
            if list_id not in self.lists:
                raise bad_field("lists", f"there is no list {list_id}.")
        return checked

    def add(self, email: str, source: str, opt_in_source: str, now: float) -> Contact:
        """Return a new contact with this address, or the stored one after its opt-out."""
        if (contact := self.by_email(email)) is None:
            contact_id = str(self._next_contact)
            self._next_contact += 1
            contact = Contact(
                contact_id, email, "ACTIVE", source, opt_in_source, now, created=now, modified=now
            )
            self.contacts[contact_id] = contact
            self._ids[email.casefold()] = contact_id
        elif contact.status not in ("ACTIVE", "UNCONFIRMED"):
            contact.status, contact.opt_in, contact.opt_out = "ACTIVE", now, 0.0
            contact.opt_in_source = opt_in_source
        contact.modified = now
        return contact

    def readdress(self, contact: Contact, email: str) -> None:
        """Change a contact's address, or raise a 400."""
        if (holder := self.by_email(email)) is not None and holder is not contact:
            raise Refusal(400, f"Another contact has the address {email}.", "json.email.invalid")
        del self._ids[contact.email.casefold()]
        contact.email = email
        self._ids[email.casefold()] = contact.id

    def join(self, contact: Contact, list_ids: Iterable[str], now: float) -> None:
        """Add a contact to the lists that it is not on yet."""
        for list_id in list_ids:
            if list_id not in contact.lists:
                contact.lists[list_id] = now
                self.lists[list_id].members[contact.id] = None

    def leave(self, contact: Contact, list_ids: Iterable[str], now: float) -> None:
        """Remove a contact from lists. On no list, it becomes REMOVED."""
        for list_id in list(list_ids):
            if contact.lists.pop(list_id, None) is not None:
                self.lists[list_id].members.pop(contact.id, None)
                contact.modified = now
        if not contact.lists and contact.status == "ACTIVE":
            contact.status = "REMOVED"

    def opt_out(self, contact: Contact, now: float) -> None:
        """Unsubscribe a contact from everything."""
        if contact.status != "OPTOUT":
            contact.status, contact.opt_out = "OPTOUT", now
            self.leave(contact, contact.lists, now)
            contact.modified = now

    def restored(self) -> None:
        """Complete the data read from a file, or raise a `ValueError` if it contradicts itself."""
        for row in self.lists.values():
            for contact_id in row.members:
                if row.id not in getattr(self.contacts.get(contact_id), "lists", ()):
                    raise ValueError(f"contacts: contact {contact_id} is not on list {row.id}")
        for contact in self.contacts.values():
            if self._ids.setdefault(contact.email.casefold(), contact.id) != contact.id:
                raise ValueError(f"contacts: two contacts have the address {contact.email}")
            if not is_address(contact.email):
                raise ValueError(f"contacts: {contact.email} is not an email address")
            for list_id in contact.lists:
                if list_id not in self.lists:
                    raise ValueError(
                        f"contacts: contact {contact.id} is on list {list_id}, which does not exist"
                    )
                self.lists[list_id].members.setdefault(contact.id)
        self._next_list = max(self._next_list, 1 + highest(self.lists))
        self._next_contact = max(self._next_contact, 1 + highest(self.contacts))

    def _check_name(self, name: str, besides: str | None = None) -> None:
        for other in self.lists.values():
            if other.id != besides and other.name.casefold() == name.casefold():
                raise Refusal(409, f"A list named {name} already exists.")


def _info() -> dict[str, Any]:
    return {
        "website": "https://www.example.com",
        "organization_name": "Sandbox Bakery",
        "time_zone": "US/Eastern",
        "first_name": "Mary Jane",
        "last_name": "Doe",
        "email": OWNER,
        "phone": "5555555555",
        "company_logo": "https://www.example.com/logo.jpg",
        "country_code": "US",
        "state_code": "MA",
        "organization_addresses": [
            {
                "city": "Anytown",
                "line1": "123 Maple Street",
                "postal_code": "11111",
                "country_code": "US",
                "state_code": "MA",
            }
        ],
    }


@attrs.define
class Account:
    """The account.

    Attributes:
        info: Its account information.
        addresses: Its email addresses, CONFIRMED or UNCONFIRMED.
    """

    info: dict[str, Any] = attrs.field(factory=_info)
    addresses: dict[str, str] = attrs.field(factory=lambda: {OWNER: "CONFIRMED"})

    def confirmed(self, email: str) -> bool:
        """Return whether an address can send mail."""
        known = {stored.casefold(): status for stored, status in self.addresses.items()}
        return known.get(email.casefold()) == "CONFIRMED"
