"""Exit codes and messages for errors. Pure.

====  ===========  ========================================================================
code  name         when
====  ===========  ========================================================================
0     OK           everything went well
1     SOME_FAILED  something failed: a file was refused, a job failed, or an error occurred
2     USAGE        the command line or the setup is wrong; nothing was done
3     AMBIGUOUS    a call got no response: check the account before repeating it
4     QUOTA        the key's quota is used up: try the same command later
130   INTERRUPTED  ended by Ctrl-C (SIGINT)
141   CLOSED       the reader of the output exited, as in `ccv2 files | head`
143   TERMINATED   ended by SIGTERM
====  ===========  ========================================================================

When several things go wrong in one run, the code stands for the one that needs the most care: 3
before 4 (repeating could double something), 4 before 1 (repeating later helps).
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from ccv2_async import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Exit(IntEnum):
    """The exit codes of every command."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    AMBIGUOUS = 3
    QUOTA = 4
    INTERRUPTED = 130
    CLOSED = 141
    TERMINATED = 143


_OF_ERROR: tuple[tuple[type[Exception], Exit], ...] = (
    (errors.OutcomeUnknown, Exit.AMBIGUOUS),
    (errors.QuotaExceeded, Exit.QUOTA),
    (errors.UsageError, Exit.USAGE),
)
_BY_WEIGHT = (Exit.AMBIGUOUS, Exit.QUOTA, Exit.SOME_FAILED)

_OPTIONS = {
    "base_url": "CCV2_BASE_URL",
    "column_names": "--columns",
    "delimiter": "--delimiter",
    "description": "--description",
    "encoding": "--encoding",
    "folder_id": "--folder",
    "lists": "--list",
    "name": "NAME",
    "parent_id": "--parent",
    "per_second": "--rate",
    "to": "--to",
}
"""The options of the command line for the library's arguments."""


def exit_of(error: Exception) -> Exit:
    """Return the code for an error that ended the whole command."""
    return next((code for kind, code in _OF_ERROR if isinstance(error, kind)), Exit.SOME_FAILED)


def exit_of_item(error: Exception) -> Exit:
    """Return the code for an error of one file or job that did not stop the others."""
    code = exit_of(error)
    return Exit.SOME_FAILED if code is Exit.USAGE else code


def heaviest(codes: Iterable[Exit]) -> Exit:
    """Return the code for a run in which all of these occurred; OK if there are none."""
    return next(filter(frozenset(codes).__contains__, _BY_WEIGHT), Exit.OK)


def message_of(error: errors.ConstantContactError, names: Mapping[str, str] | None = None) -> str:
    """Return an error's message, with options and variables in place of Python's arguments.

    Args:
        error: The error that the library raised.
        names: The names of arguments that differ from those of other commands.
    """
    match error:
        case errors.InvalidField():
            name = {**_OPTIONS, **(names or {})}.get(error.field, error.field)
            value = ", ".join(error.values) or error.value
            return f"{name} is {value}: {error.rule}. Nothing was sent."
        case errors.OptedOut(contact_id=contact):
            return (
                f"Contact {contact} has opted out, and only the contact can opt back in. The "
                "contact stays opted out."
            )
        case errors.MissingCredentials(subject="access token"):
            how = f"run 'ccv2 login', or set {error.variable}"
        case errors.MissingCredentials(subject=str(subject)) if subject:
            how = f"set {error.variable}"
        case _:
            return error.message
    return f"No {error.subject}: {how} (or try --sandbox). Nothing was sent."
