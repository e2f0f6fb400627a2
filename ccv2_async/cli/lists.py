"""`ccv2 lists`: the contact lists of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App

from ccv2_async.cli.exits import Exit
from ccv2_async.cli.listings import show_rows
from ccv2_async.cli.service import OPTIONS, Flag, Run, command
from ccv2_async.cli.tables import counted
from ccv2_async.models import ContactListStatus, unstructure

if TYPE_CHECKING:
    from ccv2_async.cli.output import Output
    from ccv2_async.models import ContactList

lists: App = App(
    name="lists",
    usage="Usage: ccv2 lists [COMMAND] [OPTIONS]",
    help="List, create, rename, and delete contact lists.",
    group_parameters=OPTIONS,
)


@lists.default
@command(lists=True)
async def list_lists(run: Run) -> Exit:
    """List the contact lists with their IDs and sizes."""
    columns = {"id": "id", "name": "name", "state": "status"}
    columns |= {"contacts": "contact_count", "changed": "modified_date"}
    return await show_rows(
        run.output,
        lambda bad: run.client.lists.all(on_bad_row=bad),
        "list",
        columns,
        more="created_date",
    )


@lists.command
@command(carry_on=True, names={"name": "NAME"})
async def create(run: Run, name: str, /, *, hidden: Flag = False) -> Exit:
    """Create a contact list, and print its ID.

    Args:
        run: The run of the command.
        name: At most 255 characters. No other list may have it.
        hidden: Create it with the status HIDDEN.
    """
    status = ContactListStatus.HIDDEN if hidden else ContactListStatus.ACTIVE
    return _tell(await run.client.lists.create(name, status=status), run.output)


@lists.command
@command(carry_on=True, names={"id": "LIST"})
async def rename(run: Run, list: str, name: str, /) -> Exit:  # noqa: A002  # as help shows it
    """Rename a contact list.

    Args:
        run: The run of the command.
        list: Its ID; see 'ccv2 lists'.
        name: At most 255 characters. No other list may have it.
    """
    return _tell(await run.client.lists.update(list, name=name), run.output)


@lists.command
@command(carry_on=True, names={"id": "LIST"})
async def delete(run: Run, list: str, /, *, yes: Flag = False) -> Exit:  # noqa: A002  # as help shows it
    """Delete a contact list.

    Args:
        run: The run of the command.
        list: Its ID; see 'ccv2 lists'.
        yes: Do not ask for confirmation.
    """
    found = await run.client.lists.get(list)
    holds = f" with {counted(found.contact_count, 'contact')}" if found.contact_count else ""
    if not await run.output.confirm(f"Delete the list {found.name} ({found.id}){holds}?", yes=yes):
        return Exit.SOME_FAILED
    await run.client.lists.delete(found.id)
    fields = {"id": found.id, "name": found.name, "deleted": True}
    return run.output.report(fields, f"Deleted the list {found.name} ({found.id}).")


def _tell(found: ContactList, output: Output) -> Exit:
    if output.as_json:
        output.record(unstructure(found))
    else:
        output.line(found.id)
    return Exit.OK
