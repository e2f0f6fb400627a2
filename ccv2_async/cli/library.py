"""`ccv2 files` and `ccv2 folders`: the files and the folders of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.text import Text
from rich.tree import Tree

from ccv2_async.cli.exits import Exit
from ccv2_async.cli.listings import Unreadable, check_limit, show_rows
from ccv2_async.cli.output import clean
from ccv2_async.cli.service import OPTIONS, Flag, Id, Service
from ccv2_async.cli.tables import counted
from ccv2_async.models import (
    FileSortOrder,
    FileTypeQuery,
    unstructure,
)

if TYPE_CHECKING:
    from ccv2_async import ConstantContact, Listing
    from ccv2_async.cli.output import Output
    from ccv2_async.models import LibraryFile, LibraryFolder

__all__ = ["files", "folders"]

files: App = App(
    name="files",
    usage="Usage: ccv2 files [COMMAND] [OPTIONS]",
    help="List, move, and delete files of the library.",
    group_parameters=OPTIONS,
)
folders: App = App(
    name="folders",
    usage="Usage: ccv2 folders [COMMAND] [OPTIONS]",
    help="Show, create, rename, and delete folders of the library.",
    group_parameters=OPTIONS,
)

_PAGE = 1000
_AT_ONCE = 100
_COLUMNS = {"id": "id", "name": "name", "size": "size"} | {
    "state": "status",
    "created": "created_date",
    "url": "url",
}
_OptionalId = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


@files.default
def list_files(
    *,
    type: FileTypeQuery | None = None,  # noqa: A002  # the service's own word
    folder: _OptionalId = None,
    sort: FileSortOrder | None = None,
    limit: int | None = None,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """List the files of the library, or change them (see the commands below).

    The newest come first by default.

    Args:
        type: Only images or only documents.
        folder: ID of the folder whose files are listed; all files by default.
        sort: The order. With -desc, the largest, newest, or last come first.
        limit: The largest number of files to list; all by default.
        service: Options of every command that talks to the service.
    """
    check_limit(limit, "files")

    async def listed(client: ConstantContact, output: Output) -> Exit:
        page = min(limit or _PAGE, _PAGE)
        library, bad = client.library, Unreadable(output)
        listing = (
            library.files(type=type, sort_by=sort, limit=page, on_bad_row=bad)
            if folder is None
            else library.files_in_folder(
                folder, type=type, sort_by=sort, limit=page, on_bad_row=bad
            )
        )
        return await _show_files(listing, output, bad, limit=limit)

    return service.run(listed, names={"id": "--folder"})


@files.command
def move(
    ids: list[str],
    /,
    *,
    to: Id,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Move files to a folder. If one of the IDs is unknown, no file is moved.

    Args:
        ids: IDs of the files; see 'ccv2 files'.
        to: ID of the folder.
        service: Options of every command that talks to the service.
    """

    async def moved(client: ConstantContact, output: Output) -> Exit:
        results = await client.library.move_files(to, ids)
        if output.as_json:
            for result in results:
                output.record({"id": result.id, "folder": to})
        output.say(f"{counted(len(results), 'file')} moved to folder {to}.")
        return Exit.OK

    return service.run(moved, carry_on=True, names={"id": "--to", "ids": "IDS"})


@files.command(name="delete")
def delete_files(
    ids: list[str],
    /,
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Move files to the trash. They stay there until it is emptied.

    Args:
        ids: IDs of the files; see 'ccv2 files'.
        service: Options of every command that talks to the service.
    """

    async def deleted(client: ConstantContact, output: Output) -> Exit:
        wanted = list(dict.fromkeys(ids))
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            await client.library.delete_files(*part)
            if output.as_json:
                for id_ in part:
                    output.record({"id": id_, "deleted": True})
            output.say(f"{counted(len(part), 'file')} moved to the trash.")
        return Exit.OK

    return service.run(deleted, carry_on=True, names={"id": "IDS", "ids": "IDS"})


@files.command
def trash(
    *,
    empty: Flag = False,
    yes: Flag = False,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """List the files in the trash, or delete them permanently.

    Args:
        empty: Delete every file in the trash. This cannot be undone.
        yes: Do not ask for confirmation.
        service: Options of every command that talks to the service.
    """

    async def done(client: ConstantContact, output: Output) -> Exit:
        if not empty:
            bad = Unreadable(output)
            listing = client.library.trash(limit=_PAGE, on_bad_row=bad)
            return await _show_files(listing, output, bad)
        if not await output.confirm("Permanently delete every file in the trash?", yes=yes):
            return Exit.SOME_FAILED
        await client.library.empty_trash()
        if output.as_json:
            output.record({"emptied": True})
        else:
            output.say("The trash is empty.")
        return Exit.OK

    return service.run(done, carry_on=empty)


async def _show_files(
    listing: Listing[LibraryFile], output: Output, bad: Unreadable, *, limit: int | None = None
) -> Exit:
    return await show_rows(
        listing,
        output,
        bad,
        ("file", "files"),
        _COLUMNS,
        limit=limit,
    )


@folders.default
def list_folders(
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Show the folders of the library as a tree, or change them (see the commands below).

    Each folder has its ID and the number of its files.

    Args:
        service: Options of every command that talks to the service.
    """

    async def listed(client: ConstantContact, output: Output) -> Exit:
        bad = Unreadable(output)
        tops = await client.library.folders(limit=_PAGE, on_bad_row=bad).collect()
        tree = Tree(Text("library", style="bold"), guide_style="dim")
        for folder in tops if output.as_json else sorted(tops, key=_by_name):
            if output.as_json:
                output.record(unstructure(folder))
            else:
                _grow(tree, folder)
        if not output.as_json:
            output.show(tree)
        return bad.exit

    return service.run(listed)


@folders.command
def create(
    name: str,
    /,
    *,
    parent: _OptionalId = None,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Create a folder, and print its ID.

    Args:
        name: At most 40 characters.
        parent: ID of the folder to create it in; the top level by default. Folders can be three
            levels deep.
        service: Options of every command that talks to the service.
    """

    async def created(client: ConstantContact, output: Output) -> Exit:
        return _tell(await client.library.create_folder(name, parent_id=parent), output)

    return service.run(created, carry_on=True)


@folders.command
def rename(
    folder: Id,
    name: str,
    /,
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Rename a folder.

    Args:
        folder: Its ID.
        name: At most 40 characters.
        service: Options of every command that talks to the service.
    """

    async def renamed(client: ConstantContact, output: Output) -> Exit:
        return _tell(await client.library.update_folder(folder, name=name), output)

    return service.run(renamed, carry_on=True, names={"id": "FOLDER"})


@folders.command(name="delete")
def delete_folder(
    folder: Id,
    /,
    *,
    yes: Flag = False,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Delete a folder.

    Args:
        folder: Its ID.
        yes: Do not ask for confirmation.
        service: Options of every command that talks to the service.
    """

    async def deleted(client: ConstantContact, output: Output) -> Exit:
        found = await client.library.get_folder(folder)
        holds = f" with {counted(found.item_count, 'file')}" if found.item_count else ""
        question = f"Delete the folder {found.name} ({found.id}){holds}?"
        if not await output.confirm(question, yes=yes):
            return Exit.SOME_FAILED
        await client.library.delete_folder(folder)
        if output.as_json:
            output.record({"id": found.id, "name": found.name, "deleted": True})
        else:
            output.say(f"The folder {found.name} ({found.id}) is deleted.")
        return Exit.OK

    return service.run(deleted, carry_on=True, names={"id": "FOLDER"})


def _tell(folder: LibraryFolder, output: Output) -> Exit:
    if output.as_json:
        output.record(unstructure(folder))
    else:
        output.line(folder.id)
    return Exit.OK


def _grow(tree: Tree, folder: LibraryFolder) -> None:
    line = Text(clean(folder.name))
    line.append(f"  {clean(folder.id)}", style="cyan")
    if folder.item_count is not None:
        line.append(f"  {counted(folder.item_count, 'file')}", style="dim")
    branch = tree.add(line)
    for child in sorted(folder.children, key=_by_name):
        _grow(branch, child)


def _by_name(folder: LibraryFolder) -> str:
    return folder.name.casefold()
