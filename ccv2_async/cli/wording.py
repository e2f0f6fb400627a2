"""What went wrong, in the words of whoever typed a command. Pure.

The library's own sentences name arguments of Python; here they name options and variables of the
environment.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cyclopts import CoercionError, MissingArgumentError, UnusedCliTokensError

from ccv2_async.errors import InvalidField

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cyclopts import CycloptsError

    from ccv2_async.errors import ConstantContactError

__all__ = ["reworded", "told", "where_help_is", "wrong_usage"]

_OPTIONS: Mapping[str, str] = {
    "base_url": "CCV2_BASE_URL",
    "column_names": "--columns",
    "description": "--description",
    "folder_id": "--folder",
    "lists": "--list",
    "name": "NAME",
    "parent_id": "--parent",
    "to": "--to",
}
"""What the arguments of the library are called on the command line, whatever the command."""

_PHRASES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(library), command)
    for library, command in (
        (
            r"^No access token: give access_token= or set CCV2_ACCESS_TOKEN\.",
            "No access token: run 'ccv2 login', or set CCV2_ACCESS_TOKEN (or try --sandbox).",
        ),
        (r"\bgive (?:api_key|access_token)= or set (CCV2_\w+)\.", r"set \1 (or try --sandbox)."),
        (r", given as proxy= or by the environment,", " that the environment names"),
        (r"; name the file accordingly, or say its file_type\b", "; name the file accordingly"),
        (r"\bor base_url is not where the API lives\b", "or CCV2_BASE_URL is not the API's"),
        (r"\bcheck (the network and )?base_url\b", r"check \1CCV2_BASE_URL"),
        (r"^base_url is http\b", "CCV2_BASE_URL is http"),
        (r"\bamong activities\.all\(\)", "in 'ccv2 activities'"),
    )
)

_KINDS: Mapping[object, str] = {int: "a whole number", float: "a number"}


def told(error: ConstantContactError, names: Mapping[str, str] | None = None) -> str:
    """The sentence of an error.

    Args:
        error: What the library raised.
        names: What arguments of the library are called on this command, where they are called
            otherwise than on all.
    """
    if isinstance(error, InvalidField):
        name = {**_OPTIONS, **(names or {})}.get(error.field, error.field)
        start = f"{error.field} is "
        if error.message.startswith(start + error.value):
            rest = error.message.removeprefix(start + error.value)
            return reworded(f"{name} is {_plain(error.value)}{rest}")
    return reworded(error.message)


def _plain(value: str) -> str:
    """Return a value as it was typed, where Python shows several as a list or a tuple."""
    several = value.startswith(("(", "["))
    return re.sub(r"""[\[\]()'"]""", "", value).rstrip(", ") if several else value


def reworded(sentence: str) -> str:
    """A sentence of the library with the command's words in it."""
    for library, command in _PHRASES:
        sentence = library.sub(command, sentence)
    return sentence


def wrong_usage(error: CycloptsError) -> str:
    """What is wrong with a command line, on one line."""
    if isinstance(error, UnusedCliTokensError):
        return f"More arguments than this command takes: {' '.join(error.unused_tokens or ())}"
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        if error.keyword is not None:
            return f"{error.keyword} needs a value."
        return f"'{_command(error)}' needs {error.argument.name}."
    if isinstance(error, CoercionError) and error.target_type in _KINDS and error.token:
        name = error.token.keyword or "value"
        return f'Invalid value "{error.token.value}" for {name}: not {_KINDS[error.target_type]}.'
    return " ".join(str(error).split())


def where_help_is(error: CycloptsError) -> str:
    """Where the right usage is shown."""
    return f"See '{_command(error)} --help'."


def _command(error: CycloptsError) -> str:
    return " ".join(["ccv2", *(error.command_chain or ())])
