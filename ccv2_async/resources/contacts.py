"""Contacts: find, add, change, take off lists, and opt out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccv2_async.errors import InvalidField
from ccv2_async.models import (
    ActionBy,
    Contact,
    ContactStatus,
    ContactWrite,
    SignupForm,
    SignupFormWrite,
)
from ccv2_async.resources.arguments import (
    checked_changes,
    checked_model,
    checked_text,
    one_of,
)
from ccv2_async.resources.base import Resource, path_to

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from typing import Unpack

    from ccv2_async.models import Address
    from ccv2_async.resources.changes import ContactChanges
    from ccv2_async.resources.listing import Listing


class Contacts(Resource):
    """`client.contacts`: the people that the account writes to."""

    def all(
        self,
        *,
        email: str | None = None,
        status: ContactStatus | str | None = None,
        modified_since: datetime | None = None,
        include_contact_id: bool = False,
        limit: int | None = None,
    ) -> Listing[Contact]:
        """The contacts of the account, or those that are asked for.

        Args:
            email: The exact address; `await client.contacts.all(email=...).first()` is the
                contact that has it, or None.
            status: One of `ContactStatus`, or "ALL".
            modified_since: Only contacts that were changed since; with a time zone.
            include_contact_id: Whether each comes with `contact_id`, its UUID for migrations.
            limit: Rows in a page, from 1 to 500; the service gives 50 unless asked.

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
        )

    async def get(self, contact_id: str) -> Contact:
        """One contact.

        Raises:
            NotFound: There is no contact with that id.

        Source: "Contacts resource", GET, of the service's documentation.
        """
        return await self._get(
            Contact, path_to("/contacts/{}", contact_id), what=f"contact {contact_id}"
        )

    async def create(
        self, contact: ContactWrite, *, action_by: ActionBy | str | None = None
    ) -> Contact:
        """A new contact, on one list at least.

        Args:
            contact: Who it is; exactly one e-mail address.
            action_by: ACTION_BY_VISITOR when the contact signed up itself, which decides its
                opt-in source and the welcome mail; the owner acts unless given.

        Raises:
            Conflict: There is an active contact with that address already.
            OutcomeUnknown: No answer came; it may exist. Safe to try again: yes in this case, as
                a second one is refused with `Conflict`.

        Source: "Contacts collection", POST, of the service's documentation.
        """
        _check_addresses(checked_model(contact, ContactWrite, "contact").addresses or ())
        return await self._create(
            Contact,
            "/contacts",
            contact,
            what="creation of a contact",
            query={"action_by": one_of("action_by", action_by, ActionBy)},
        )

    async def update(
        self,
        contact_id: str,
        *,
        action_by: ActionBy | str | None = None,
        **changes: Unpack[ContactChanges],
    ) -> Contact:
        """The changed contact; what is not given stays as it is, None erases.

        The service replaces the whole contact, so it is read first and sent back with the
        changes: two calls. `replace` is the one call, for a contact that you have read yourself.

        Args:
            contact_id: The contact.
            action_by: Who acts; see `create`.
            changes: The new values, by the names of `ContactWrite`.

        Source: "Contacts resource", PUT, of the service's documentation.
        """
        _check_addresses(checked_changes(changes, ContactWrite).get("addresses") or ())
        return await self._update(
            Contact,
            path_to("/contacts/{}", contact_id),
            changes,
            ContactWrite,
            what=f"contact {contact_id}",
            query={"action_by": one_of("action_by", action_by, ActionBy)},
        )

    async def replace(
        self, contact: Contact, *, action_by: ActionBy | str | None = None
    ) -> Contact:
        """The contact as the service keeps it after taking the whole that is given.

        What it leaves out is erased, except for read-only fields.

        Args:
            contact: The whole contact, as it was read and then changed.
            action_by: Who acts; see `create`.

        Source: "Contacts resource", PUT, of the service's documentation.
        """
        _check_addresses(checked_model(contact, Contact, "contact").addresses or ())
        return await self._replace(
            Contact,
            path_to("/contacts/{}", contact.id),
            contact,
            what=f"update of contact {contact.id}",
            query={"action_by": one_of("action_by", action_by, ActionBy)},
        )

    async def opt_out(self, contact_id: str) -> None:
        """Unsubscribe a contact: its status becomes OPTOUT. The service never deletes one.

        Raises:
            NotFound: There is no contact with that id.

        Source: "Contacts resource", DELETE, of the service's documentation.
        """
        await self._delete(
            path_to("/contacts/{}", contact_id),
            what=f"opt-out of contact {contact_id}",
        )

    async def remove_from_lists(self, contact_id: str) -> None:
        """Take a contact off every list.

        Raises:
            NotFound: There is no contact with that id.

        Source: The official SDKs; the page of the documentation was not seen.
        """
        await self._delete(
            path_to("/contacts/{}/lists", contact_id),
            what=f"removal of contact {contact_id} from all lists",
        )

    async def remove_from_list(self, contact_id: str, list_id: str) -> None:
        """Take a contact off one list.

        Raises:
            NotFound: There is no such contact or no such list.

        Source: The official SDKs; the page of the documentation was not seen.
        """
        await self._delete(
            path_to("/contacts/{}/lists/{}", contact_id, list_id),
            what=f"removal of contact {contact_id} from list {list_id}",
        )

    async def create_signup_form(self, form: SignupFormWrite) -> SignupForm:
        """A new sign-up form, with the URL where people sign up.

        Raises:
            OutcomeUnknown: No answer came; it may exist. Safe to try again: only if a second
                form does no harm.

        Source: The official SDKs; the service's documentation does not describe it.
        """
        return await self._create(
            SignupForm,
            "/signupform",
            checked_model(form, SignupFormWrite, "form"),
            what="creation of a sign-up form",
        )


def _check_addresses(addresses: Iterable[Address]) -> None:
    """Refuse a second address of a type; the service takes one PERSONAL and one BUSINESS.

    Raises:
        InvalidField: There are two of a type. Nothing was sent.
    """
    seen: set[str] = set()
    for index, address in enumerate(addresses):
        kind = str(checked_text(address.address_type, f"addresses[{index}].address_type")).upper()
        if kind in seen:
            field = f"addresses[{index}].address_type"
            raise InvalidField(field, kind, "one PERSONAL and one BUSINESS address at most")
        seen.add(kind)
