"""`ccv2 contacts` and `ccv2 lists`. `activities` has the bulk commands of `ccv2 contacts`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ccv2_async.cli.activities import Lists, contacts
from ccv2_async.cli.exits import Exit
from ccv2_async.cli.listings import Limit, Moment, delete_one, joined, print_id, show_one, show_rows
from ccv2_async.cli.service import Flag, Run, command, group
from ccv2_async.errors import ConstantContactError, UsageError
from ccv2_async.models import ContactListStatus, ContactStatus

if TYPE_CHECKING:
    from cyclopts import App

    from ccv2_async import ConstantContact
    from ccv2_async.cli.listings import Columns, Find
    from ccv2_async.models import Contact

lists: App = group("lists", "List, create, rename, and delete contact lists.")

_PAGE = 500
_NAME = joined("first_name", "last_name")


def _lists_of(contact: Contact) -> str:
    return " ".join(ref.id for ref in contact.lists)


_COLUMNS: Columns = {
    "id": "id",
    "email": "email",
    "name": _NAME,
    "state": "status",
    "lists": _lists_of,
    "changed": "modified_date",
}
_MORE = "first_name last_name company_name job_title home_phone work_phone cell_phone created_date"
_CARD: Columns = {
    "id": "id",
    "email": "email",
    "name": joined("prefix_name", "first_name", "middle_name", "last_name"),
    "state": "status",
    "lists": _lists_of,
    "company": "company_name",
    "job title": "job_title",
    "home phone": "home_phone",
    "work phone": "work_phone",
    "cell phone": "cell_phone",
    "fields": lambda contact: ", ".join(
        f"{field.label or field.name}: {field.value}" for field in contact.custom_fields
    ),
    "source": "source",
    "created": "created_date",
    "changed": "modified_date",
}


async def find(client: ConstantContact, contact: str) -> Contact:
    """Return the contact with this ID or address.

    Raises:
        ConstantContactError: There is no such contact. Safe to try again: yes.
    """
    if "@" not in contact:
        return await client.contacts.get(contact)
    if (found := await client.contacts.all(email=contact).first()) is None:
        raise ConstantContactError(f"There is no contact with the address {contact}.")
    return found


@contacts.default
@contacts.command(name="list")
@command(lists=True, names={"id": "--list", "email": "--email"})
async def list_contacts(
    run: Run,
    *,
    list: str | None = None,  # noqa: A002  # as it is typed
    email: str | None = None,
    status: ContactStatus | None = None,
    since: Moment = None,
    limit: Limit = None,
) -> Exit:
    """List the contacts of the account, or of one list.

    Args:
        run: The run of the command.
        list: ID of the list; see 'ccv2 lists'.
        email: Only the contact with this address.
        status: Only contacts with this status.
        since: Only contacts that have changed since this date.
        limit: The maximum number of contacts to list; all by default.
    """
    client = run.client
    if list is None:
        listing: Find = partial(
            client.contacts.all, email=email, status=status, modified_since=since
        )
    elif email or status:
        raise UsageError("--list cannot be combined with --email or --status.")
    else:
        listing = partial(client.lists.contacts, list, modified_since=since)
    return await show_rows(
        run.output, listing, "contact", _COLUMNS, more=_MORE, limit=limit, page=_PAGE
    )


@contacts.command
@command(lists=True, names={"id": "CONTACT", "email": "CONTACT"})
async def show(run: Run, contact: str, /) -> Exit:
    """Show a contact.

    Args:
        run: The run of the command.
        contact: Its ID or its address.
    """
    return show_one(run.output, await find(run.client, contact), _CARD)


@contacts.command
@command(carry_on=True, names={"email": "EMAIL", "email_address": "EMAIL", "id": "--list"})
async def add(
    run: Run,
    email: str,
    /,
    *,
    lists: Lists,
    first_name: str | None = None,
    last_name: str | None = None,
    company: str | None = None,
    job_title: str | None = None,
) -> Exit:
    """Add a contact to lists, and print its ID. An existing contact is updated.

    Fields that are not given do not change. A contact that has opted out is not added.

    Args:
        run: The run of the command.
        email: Its address.
        lists: IDs of the lists; see 'ccv2 lists'.
        first_name: First name.
        last_name: Last name.
        company: Company.
        job_title: Job title.
    """
    given = {
        "first_name": first_name,
        "last_name": last_name,
        "company_name": company,
        "job_title": job_title,
    }
    details = {name: value for name, value in given.items() if value is not None}
    stored = await run.client.contacts.upsert(email, lists=lists, **details)  # type: ignore[arg-type]
    return print_id(run.output, stored)


@lists.default
@lists.command(name="list")
@command(lists=True)
async def list_lists(run: Run) -> Exit:
    """List the contact lists with their IDs and sizes."""
    columns = {"id": "id", "name": "name", "state": "status"}
    columns |= {"contacts": "contact_count", "changed": "modified_date"}
    return await show_rows(run.output, run.client.lists.all, "list", columns, more="created_date")


@lists.command
@command(carry_on=True, names={"name": "NAME"})
async def create(run: Run, name: str, /, *, hidden: Flag = False) -> Exit:
    """Create a contact list, and print its ID.

    Args:
        run: The run of the command.
        name: At most 255 characters. It must be unique.
        hidden: Create it with the status HIDDEN.
    """
    status = ContactListStatus.HIDDEN if hidden else ContactListStatus.ACTIVE
    return print_id(run.output, await run.client.lists.create(name, status=status))


@lists.command
@command(carry_on=True, names={"id": "LIST"})
async def rename(run: Run, list: str, name: str, /) -> Exit:  # noqa: A002  # as help shows it
    """Rename a contact list.

    Args:
        run: The run of the command.
        list: Its ID; see 'ccv2 lists'.
        name: At most 255 characters. It must be unique.
    """
    return print_id(run.output, await run.client.lists.update(list, name=name))


@lists.command
@command(carry_on=True, names={"id": "LIST"})
async def delete(run: Run, list: str, /, *, yes: Flag = False) -> Exit:  # noqa: A002  # as help shows it
    """Delete a contact list.

    Args:
        run: The run of the command.
        list: Its ID; see 'ccv2 lists'.
        yes: Do not ask for confirmation.
    """
    lists = run.client.lists
    found = await lists.get(list)
    return await delete_one(
        run.output, "list", found, found.contact_count, "contact", delete=lists.delete, yes=yes
    )
