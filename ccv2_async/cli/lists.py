"""`ccv2 lists`: the contact lists of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccv2_async.cli.exits import Exit
from ccv2_async.cli.listings import delete_one, print_id, show_rows
from ccv2_async.cli.service import Flag, Run, command, group
from ccv2_async.models import ContactListStatus

if TYPE_CHECKING:
    from cyclopts import App

lists: App = group("lists", "List, create, rename, and delete contact lists.")


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
