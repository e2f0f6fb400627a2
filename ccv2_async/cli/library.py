"""`ccv2 files` and `ccv2 folders`: the files and the folders of the library."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.text import Text
from rich.tree import Tree

from ccv2_async import one_line as clean
from ccv2_async.cli.exits import Exit
from ccv2_async.cli.listings import Limit, Unreadable, delete_one, print_id, show_rows
from ccv2_async.cli.service import Flag, Id, Run, command, group
from ccv2_async.cli.tables import counted
from ccv2_async.models import FileSortOrder, FileTypeQuery, unstructure

if TYPE_CHECKING:
    from collections.abc import Callable

    from cyclopts import App

    from ccv2_async import Listing
    from ccv2_async.models import LibraryFile, LibraryFolder

files: App = group("files", "List, download, move, and delete files of the library.")
folders: App = group("folders", "Show, create, rename, and delete folders of the library.")

PAGE = 1000
_AT_ONCE = 100
_COLUMNS = {"id": "id", "name": "name", "size": "size"} | {
    "state": "status",
    "created": "created_date",
    "url": "url",
}
_MORE = "folder_id folder file_type width height description modified_date"
OptionalId = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


@files.default
@files.command(name="list")
@command(lists=True, names={"id": "--folder"})
async def list_files(
    run: Run,
    *,
    type: FileTypeQuery | None = None,  # noqa: A002  # the service's own word
    folder: OptionalId = None,
    sort: FileSortOrder | None = None,
    limit: Limit = None,
) -> Exit:
    """List the files of the library.

    The newest come first by default.

    Args:
        run: The run of the command.
        type: Only images, or only documents.
        folder: ID of the folder whose files are listed; all files by default.
        sort: The order. With -desc, the largest, newest, or last come first.
        limit: The maximum number of files to list; all by default.
    """
    listing = partial(files_of(run, folder), type=type, sort_by=sort)
    return await show_rows(
        run.output, listing, "file", _COLUMNS, more=_MORE, limit=limit, page=PAGE
    )


def files_of(run: Run, folder: str | None) -> Callable[..., Listing[LibraryFile]]:
    """Return the listing of a folder's files, or of all files."""
    library = run.client.library
    return library.files if folder is None else partial(library.files_in_folder, folder)


@files.command
@command(carry_on=True, names={"id": "--to", "ids": "IDS"})
async def move(run: Run, ids: list[str], /, *, to: Id) -> Exit:
    """Move files to a folder. If one of the IDs is unknown, no file is moved.

    Args:
        run: The run of the command.
        ids: IDs of the files; see 'ccv2 files'.
        to: ID of the folder.
    """
    results = await run.client.library.move_files(to, ids)
    for result in results if run.output.as_json else ():
        run.output.record({"id": result.id, "folder": to})
    run.output.say(f"{counted(len(results), 'file')} moved to folder {to}.")
    return Exit.OK


@files.command(name="delete")
@command(carry_on=True, names={"id": "IDS", "ids": "IDS"})
async def delete_files(run: Run, ids: list[str], /) -> Exit:
    """Move files to the trash. They stay there until it is emptied.

    Args:
        run: The run of the command.
        ids: IDs of the files; see 'ccv2 files'.
    """
    wanted = list(dict.fromkeys(ids))
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        await run.client.library.delete_files(*part)
        for id_ in part if run.output.as_json else ():
            run.output.record({"id": id_, "deleted": True})
        run.output.say(f"{counted(len(part), 'file')} moved to the trash.")
    return Exit.OK


@files.command
@command(lists=True)
async def trash(run: Run, *, empty: Flag = False, yes: Flag = False) -> Exit:
    """List the files in the trash, or delete them permanently.

    Args:
        run: The run of the command.
        empty: Delete every file in the trash. This cannot be undone.
        yes: Do not ask for confirmation.
    """
    library, output = run.client.library, run.output
    if not empty:
        return await show_rows(output, library.trash, "file", _COLUMNS, more=_MORE, page=PAGE)
    output.carry_on = True
    if not await output.confirm("Permanently delete every file in the trash?", yes=yes):
        return Exit.SOME_FAILED
    await library.empty_trash()
    return output.report({"emptied": True}, "The trash is empty.")


@folders.default
@folders.command(name="list")
@command()
async def list_folders(run: Run) -> Exit:
    """Show the folders of the library as a tree.

    Each folder is shown with its ID and its number of files.
    """
    bad = Unreadable(run.output)
    tops = await run.client.library.folders(limit=PAGE, on_bad_row=bad).collect()
    tree = Tree(Text("library", style="bold"), guide_style="dim")
    for folder in tops if run.output.as_json else sorted(tops, key=_by_name):
        if run.output.as_json:
            run.output.record(unstructure(folder))
        else:
            _grow(tree, folder)
    if not run.output.as_json:
        run.output.show(tree)
    return bad.exit


@folders.command
@command(carry_on=True)
async def create(run: Run, name: str, /, *, parent: OptionalId = None) -> Exit:
    """Create a folder, and print its ID.

    Args:
        run: The run of the command.
        name: At most 40 characters.
        parent: ID of the folder to create it in; the top level by default. Folders can be three
            levels deep.
    """
    return print_id(run.output, await run.client.library.create_folder(name, parent_id=parent))


@folders.command
@command(carry_on=True, names={"id": "FOLDER"})
async def rename(run: Run, folder: Id, name: str, /) -> Exit:
    """Rename a folder.

    Args:
        run: The run of the command.
        folder: Its ID.
        name: At most 40 characters.
    """
    return print_id(run.output, await run.client.library.update_folder(folder, name=name))


@folders.command(name="delete")
@command(carry_on=True, names={"id": "FOLDER"})
async def delete_folder(run: Run, folder: Id, /, *, yes: Flag = False) -> Exit:
    """Delete a folder.

    Args:
        run: The run of the command.
        folder: Its ID.
        yes: Do not ask for confirmation.
    """
    library = run.client.library
    found = await library.get_folder(folder)
    return await delete_one(
        run.output, "folder", found, found.item_count, "file", delete=library.delete_folder, yes=yes
    )


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
