"""`ccv2 files`: the files of the library."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.text import Text

from ccv2_async.cli.confirm import confirmed
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

    from ccv2_async.models import LibraryFile
    from ccv2_async.resources.listing import Listing

__all__ = ["files"]

files: App = App(
    name="files",
    usage="Usage: ccv2 files [COMMAND] [OPTIONS]",
    help="List, move and delete files of the library.",
)

_PAGE = 1000
_AT_ONCE = 100


@files.default
def list_files(
    *,
    type: FileTypeQuery | None = None,  # noqa: A002  # the service's own word
    folder: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    sort: FileSortOrder | None = None,
    limit: int | None = None,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """List the files of the library, or change them (see the commands below).

    The newest come first unless sorted otherwise.

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
            await _show(listing, output, limit=limit)
        return Exit.OK

    return run(listed, output, names={"id": "--folder"})


@files.command
def move(
    ids: list[str],
    /,
    *,
    to: Annotated[str, Parameter(allow_leading_hyphen=True)],
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Move files to a folder. If one of the ids is not known, none is moved.

    Args:
        ids: Their ids; see 'ccv2 files'.
        to: Id of the folder.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json, carry_on=True)

    async def moved() -> Exit:
        async with open_client(service) as client:
            results = await client.library.move_files(to, ids)
        if output.as_json:
            for result in results:
                output.record({"id": result.id, "folder": to})
        output.say(f"{counted(len(results), 'file')} moved to folder {to}.")
        return Exit.OK

    return run(moved, output, names={"id": "--to", "ids": "IDS"})


@files.command
def delete(
    ids: list[str],
    /,
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Move files to the trash, where they stay until it is emptied.

    Args:
        ids: Their ids; see 'ccv2 files'.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json, carry_on=True)

    async def deleted() -> Exit:
        wanted = list(dict.fromkeys(ids))
        async with open_client(service) as client:
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                await client.library.delete_files(*part)
                if output.as_json:
                    for id_ in part:
                        output.record({"id": id_, "deleted": True})
                output.say(f"{counted(len(part), 'file')} moved to the trash.")
        return Exit.OK

    return run(deleted, output, names={"id": "IDS", "ids": "IDS"})


@files.command
def trash(
    *,
    empty: Annotated[bool, Parameter(negative=())] = False,
    yes: Annotated[bool, Parameter(negative=())] = False,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """List the files in the trash, or delete them for good.

    Args:
        empty: Delete every file in the trash; this cannot be undone.
        yes: Do not ask.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json, carry_on=empty)

    async def done() -> Exit:
        async with open_client(service) as client:
            if not empty:
                await _show(client.library.trash(limit=_PAGE), output, limit=None)
                return Exit.OK
            question = "Delete every file in the trash for good?"
            if not await confirmed(question, output, yes=yes):
                return Exit.SOME_FAILED
            await client.library.empty_trash()
        if output.as_json:
            output.record({"emptied": True})
        else:
            output.say("The trash is empty.")
        return Exit.OK

    return run(done, output)


async def _show(listing: Listing[LibraryFile], output: Output, *, limit: int | None) -> None:
    rows = table("id", "name", "size", "state", "created", "url")
    count = 0
    async with aclosing(aiter(listing)) as found:
        async for file in found:
            if output.as_json:
                output.record(unstructure(file))
            else:
                _add(rows, file)
            count += 1
            if count == limit:
                break
    if count and not output.as_json:
        output.show(rows)
    output.say(f"{counted(count, 'file')}.")


def _add(rows: Table, file: LibraryFile) -> None:
    rows.add_row(
        clean(file.id),
        Text(clean(file.name)),
        in_bytes(file.size),
        clean(str(file.status or "")),
        moment(file.created_date),
        linked(file.url),
    )
