"""Write `docs/command.md` from the parser of the `ccv2` command: `python -m tests.docs.command`."""

from __future__ import annotations

import inspect
import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccv2_async.cli import app as command_line
from ccv2_async.cli import exits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyclopts import App

PAGE = Path(__file__).parents[2] / "docs" / "command.md"

INTRODUCTION = """\
# The `ccv2` command

This page lists every command with its options. It is generated from the command's parser; to update
it, run `python -m tests.docs.command`. `--help` after any command shows the same text in a
terminal. The command needs the extra `[cli]`; `--sandbox` and `ccv2 sandbox` also need `[sandbox]`.

Results go to stdout and everything else to stderr, so `ccv2 files --json | jq .url` works. Progress
bars are drawn on a terminal; elsewhere, progress is written as lines. `NO_COLOR` turns colors off.

If one of the two streams is closed or cannot be written to, its text goes to the other. With
`--json`, stdout then also gets the error that ends the command, as `{"error": ..}`.

| variable | meaning |
| --- | --- |
| `CCV2_API_KEY` | The application's key. |
| `CCV2_ACCESS_TOKEN` | The account's access token. Without it, the profile `default` is used. |
| `CCV2_PROFILE` | The profile to use; see [](howto/command.md). |
| `CCV2_CLIENT_SECRET` | The secret of the key, for `ccv2 login`. |
| `CCV2_BASE_URL` | The service to use instead of the real one, such as a sandbox. |
| `CCV2_RATE` | Calls per second; 0 means no limit. |
| `CCV2_REMEMBER_CALLS` | `0`: do not count calls for later runs. |
| `CCV2_TRUST_ENV` | `0`: do not use proxies from the environment. |

An access token comes from OAuth 2: `ccv2 login` opens the page where the account owner grants
access, and stores the token in a profile, in a file that only you can read. The token is only used
for the service that issued it. In a program, `OAuthFlow` does the same.

[](howto/command.md) explains profiles, and `ccv2 --install-completion`, which completes commands,
options, and files with the Tab key.
"""

OPTIONS_OF_ALL = """\
## Options of every command that talks to the service

"""


def page() -> str:
    """The whole document."""
    commands = list(commands_of(command_line.app, ()))
    parts = [INTRODUCTION, exit_codes()]
    service = list(rows_of(command_line.app["account"]))
    parts.append(OPTIONS_OF_ALL + table(service))
    parts += [section(chain, app, service) for chain, app in commands]
    return "\n".join(parts)


def commands_of(app: App, chain: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], App]]:
    """Every command, by the words that name it, in alphabetic order."""
    for name in sorted(name for name in app if not name.startswith("-")):
        command = app[name]
        if name == "list" and command.default_command is app.default_command:
            continue  # it is the command of its group
        words = (*chain, name)
        if command.default_command is not None:
            yield words, command
        yield from commands_of(command, words)


def section(chain: tuple[str, ...], app: App, service: list[str]) -> str:
    """Return the section about one command."""
    name = " ".join(("ccv2", *chain))
    text = inspect.getdoc(app.default_command) or ""
    described = in_code(text.partition("\n\nArgs:\n")[0])
    if "list" in app:
        described += f"\n\n`{name} list` does the same."
    rows = list(rows_of(app))
    if set(service) <= set(rows):
        rows = [row for row in rows if row not in service]
    closing = f"\n{table(rows)}" if rows else ""
    return f"## `{name}`\n\n{described}\n{closing}"


def rows_of(app: App) -> Iterator[str]:
    """A line of the table for each argument and option."""
    for argument in app.assemble_argument_collection(parse_docstring=True):
        if not argument.show:
            continue
        yield f"| {names_of(argument)} | {meaning_of(argument)} |"


def names_of(argument: Any) -> str:
    """How it is typed."""
    if argument.field_info.is_positional_only:
        several = "..." if "list[" in str(argument.field_info.annotation) else ""
        return f"`{argument.name}{several}`"
    flag = argument.hint is bool
    return ", ".join(
        f"`{name}`" if flag else f"`{name}` …" for name in argument.names if name.startswith("--")
    )


def meaning_of(argument: Any) -> str:
    """Return its help, its choices, and its default."""
    words = [" ".join((argument.parameter.help or "").split())]
    choices = argument.get_choices()
    if choices:
        words.append("One of " + ", ".join(f"`{choice}`" for choice in choices) + ".")
    default = argument.field_info.default
    if isinstance(default, Enum):
        default = default.name.lower().replace("_", "-")
    if argument.required:
        words.append("Required.")
    elif default not in (None, False, "") and isinstance(default, str | int | float):
        words.append(f"The default is `{default}`.")
    return in_code(" ".join(words)).replace("|", "\\|")


def in_code(text: str) -> str:
    """Return a text with commands, options, and variables in code font."""
    text = re.sub(r"'(ccv2[^']*)'", r"`\1`", text)
    return re.sub(r"(?<![\w`-])(--[a-z][a-z-]*|CCV2_[A-Z_]+)(?!`)", r"`\1`", text)


def table(rows: list[str]) -> str:
    """Return a table of arguments."""
    return "\n".join(["| argument | meaning |", "| --- | --- |", *rows]) + "\n"


def exit_codes() -> str:
    """Return the table of `ccv2_async.cli.exits`."""
    lines = ["## Exit codes", "", "| code | when |", "| --- | --- |"]
    found = re.findall(r"^(\d+) +([A-Z_]+) +(.+)$", exits.__doc__ or "", re.MULTILINE)
    lines += [f"| {code} | {when.replace('|', chr(92) + '|')} |" for code, _, when in found]
    assert len(found) == len(exits.Exit)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
