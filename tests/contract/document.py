"""Write `docs/operations.md` from the contract: `python -m tests.contract.document`."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.contract.operations import COUNTS, MADE_OF_OTHERS, OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.contract.operation import Operation

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"

STARS = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}

INTRODUCTION = """\
# Every operation, and the method that makes it

This table lists all {count} operations of the API, by the group of the client that has them. It is
generated from the contract in `tests/contract`, which both the client and the sandbox are tested
against. To update it, run `python -m tests.contract.document`.

- Arguments with `=` are optional.
- Iterate a method that returns a `Listing`: `async for row in client.contacts.all(): ...`. It
  fetches the pages for you; it also has `.pages()`, `.first()`, and `.collect(limit=)`. Await all
  other methods.
- `replace` methods send a whole resource, and the service erases the fields that are missing.
  `update` methods read the resource first, and change only the given fields.
- In addition to the codes below, any call may get 403 (quota, inactive key, or a missing
  privilege), 429, or 503.
- Some pages of the service's documentation list no codes. Their codes here come from sibling pages
  or the official SDKs.
"""


NOTES = {
    "events": """\
The service has announced that it withdrew these endpoints. Every POST and PUT since 2024-04-01, and
every GET since 2024-06-01, gets 400 `http.status.gone`, which raises
{py:exc}`~ccv2_async.errors.EndpointRetired`. `ccv2 sandbox --retire events` simulates that."""
}
"""The text above the table of a group."""


def group_class(group: str) -> type[Any]:
    """Return the class behind `client.<group>`."""
    found: type[Any] = getattr(import_module(f"ccv2_async.resources.{group}"), group.capitalize())
    return found


def page() -> str:
    """Return the whole document."""
    parts = [INTRODUCTION.format(count=len(OPERATIONS))]
    for group, count in COUNTS.items():
        rows = [row for row in OPERATIONS if row.area == group]
        parts.append(f"## `client.{group}`: {count} operations\n")
        if group in NOTES:
            parts.append(f"{NOTES[group]}\n")
        parts.append("\n".join(table(rows)))
        others = sorted(name for name in MADE_OF_OTHERS if name.startswith(f"{group}."))
        if others:
            parts.append("Methods that combine these:\n")
            parts.append("\n".join(f"- {call_of(name)}: {first_line(name)}" for name in others))
    return "\n".join(f"{part}\n" if not part.endswith("\n") else part for part in parts)


def table(rows: Iterable[Operation]) -> Iterator[str]:
    """Return the rows of one group as a table."""
    yield "| method | returns | request | responses |"
    yield "| --- | --- | --- | --- |"
    for row in rows:
        gives = method_of(row.calls).__annotations__["return"].replace(" | ", " or ")
        body = f", {row.body} body" if row.body != "none" else ""
        codes = ", ".join(str(code) for code in row.codes)
        yield (
            f"| {call_of(row.calls)}<br>{first_line(row.calls)} | `{gives}` "
            f"| `{row.method} {row.path}`{body} | {codes} |"
        )


def method_of(name: str) -> Any:
    """Return the function behind `group.method`."""
    group, _, method = name.partition(".")
    return inspect.unwrap(getattr(group_class(group), method))


def call_of(name: str) -> str:
    """Return the method's call in short form."""
    parameters = list(inspect.signature(method_of(name)).parameters.values())[1:]
    shown = (
        STARS.get(p.kind.name, "") + p.name + ("=" if p.default is not p.empty else "")
        for p in parameters
    )
    return f"`{name.partition('.')[2]}({', '.join(shown)})`"


def first_line(name: str) -> str:
    """Return the result, as the method's docstring describes it."""
    return (inspect.getdoc(method_of(name)) or "").partition("\n")[0]


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
