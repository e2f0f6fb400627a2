"""`ccv2 files` and `ccv2 folders`: what is in the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.text import Text
from rich.tree import Tree

from ccv2_async.cli.exits import Exit
from ccv2_async.cli.jobs import counted
from ccv2_async.cli.output import Output, clean
from ccv2_async.cli.running import run
from ccv2_async.cli.service import Service, open_client
from ccv2_async.cli.tables import in_bytes, linked, moment, table
from ccv2_async.errors import InvalidField
from ccv2_async.models import (
    FileSortOrder,  # noqa: TC001  # cyclopts reads it at run time
    FileTypeQuery,  # noqa: TC001  # cyclopts reads it at run time
    unstructure,
)

if TYPE_CHECKING:
    from rich.table import Table

    from ccv2_async.models import LibraryFile, LibraryFolder

__all__ = ["files", "folders"]

_PAGE = 1000


def files(
    *,
    type: FileTypeQuery | None = None,  # noqa: A002  # the service's own word
    folder: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    sort: FileSortOrder | None = None,
    limit: int | None = None,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """List the files of the library, newest first unless sorted otherwise.

    Args:
        type: Images or documents only.
        folder: Id of the folder whose files are listed; all files unless given.
        sort: The order; with -desc the largest, newest or last come first.
        limit: The most files that are listed; all unless given.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json)
    if limit is not None and limit < 1:
        raise InvalidField("--limit", limit, "a number of files, 1 or more")

    async def listed() -> Exit:
        page = min(limit or _PAGE, _PAGE)
        async with open_client(service) as client:
            library = client.library
            listing = (
                library.files(type=type, sort_by=sort, limit=page)
                if folder is None
                else library.files_in_folder(folder, type=type, sort_by=sort, limit=page)
            )
            rows = table("id", "name", "size", "state", "created", "url")
            count = 0
            async for file in listing:
                if output.as_json:
                    output.record(unstructure(file))
                else:
                    _add(rows, file)
                count += 1
                if count == limit:
                    break
        if not output.as_json:
            if count:
                output.show(rows)
            output.say(f"{counted(count, 'file')}.")
        return Exit.OK

    return run(listed, output)


def _add(rows: Table, file: LibraryFile) -> None:
    rows.add_row(
        clean(file.id),
        Text(clean(file.name)),
        in_bytes(file.size),
        clean(str(file.status or "")),
        moment(file.created_date),
        linked(file.url),
    )


def folders(
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Show the folders of the library as a tree, with their ids and how many files they hold."""
    output = Output(as_json=service.json)

    async def listed() -> Exit:
        async with open_client(service) as client:
            tops = [folder async for folder in client.library.folders(limit=_PAGE)]
        if output.as_json:
            for folder in tops:
                output.record(unstructure(folder))
            return Exit.OK
        tree = Tree(Text("library", style="bold"), guide_style="dim")
        for folder in sorted(tops, key=_by_name):
            _grow(tree, folder)
        output.show(tree)
        return Exit.OK

    return run(listed, output)


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
