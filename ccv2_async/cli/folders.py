"""`ccv2 folders`: the folders of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.text import Text
from rich.tree import Tree

from ccv2_async.cli.confirm import confirmed
from ccv2_async.cli.exits import Exit
from ccv2_async.cli.jobs import counted
from ccv2_async.cli.output import Output, clean
from ccv2_async.cli.running import run
from ccv2_async.cli.service import Service, open_client
from ccv2_async.models import unstructure

if TYPE_CHECKING:
    from ccv2_async.models import LibraryFolder

__all__ = ["folders"]

folders: App = App(
    name="folders",
    usage="Usage: ccv2 folders [COMMAND] [OPTIONS]",
    help="Show, create, rename and delete folders of the library.",
)

_PAGE = 1000
_Id = Annotated[str, Parameter(allow_leading_hyphen=True)]
_OptionalId = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


@folders.default
def list_folders(
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Show the folders of the library as a tree, or change them (see the commands below).

    Each comes with its id and how many files it holds.

    Args:
        service: Options of every command that talks to the service.
    """
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


@folders.command
def create(
    name: str,
    /,
    *,
    parent: _OptionalId = None,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Create a folder, and print its id.

    Args:
        name: At most 40 characters.
        parent: Id of the folder it goes into; at the top unless given. Three levels at most.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json, carry_on=True)

    async def created() -> Exit:
        async with open_client(service) as client:
            folder = await client.library.create_folder(name, parent_id=parent)
        _tell(folder, output)
        return Exit.OK

    return run(created, output)


@folders.command
def rename(
    folder: _Id,
    name: str,
    /,
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Give a folder another name.

    Args:
        folder: Its id.
        name: At most 40 characters.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json, carry_on=True)

    async def renamed() -> Exit:
        async with open_client(service) as client:
            _tell(await client.library.update_folder(folder, name=name), output)
        return Exit.OK

    return run(renamed, output, names={"id": "FOLDER"})


@folders.command
def delete(
    folder: _Id,
    /,
    *,
    yes: Annotated[bool, Parameter(negative=())] = False,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Delete a folder.

    Args:
        folder: Its id.
        yes: Do not ask.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json, carry_on=True)

    async def deleted() -> Exit:
        async with open_client(service) as client:
            found = await client.library.get_folder(folder)
            holds = f" with {counted(found.item_count, 'file')}" if found.item_count else ""
            question = f"Delete the folder {found.name} ({found.id}){holds}?"
            if not await confirmed(question, output, yes=yes):
                return Exit.SOME_FAILED
            await client.library.delete_folder(folder)
        if output.as_json:
            output.record({"id": found.id, "name": found.name, "deleted": True})
        else:
            output.say(f"The folder {found.name} ({found.id}) is deleted.")
        return Exit.OK

    return run(deleted, output, names={"id": "FOLDER"})


def _tell(folder: LibraryFolder, output: Output) -> None:
    if output.as_json:
        output.record(unstructure(folder))
    else:
        output.line(folder.id)


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
