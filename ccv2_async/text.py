"""Make text of unknown origin safe to show in messages, in logs, and on a terminal."""

from __future__ import annotations

import unicodedata

_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
"""Invisible, but part of how emoji and several scripts are written."""


def one_line(text: str) -> str:
    """Return `text` on one line, with everything that could control a terminal as an escape.

    Escapes replace line ends, control characters, escape sequences, marks that change the
    direction of writing, invisible characters, and lone surrogates. A joiner stays between two
    characters outside ASCII: emoji and several scripts need it.
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _ESCAPED and not _joins(text, at)
        else char
        for at, char in enumerate(text)
    )


def described(error: BaseException) -> str:
    """Return an exception's class, and its message if it has one."""
    kind = type(error).__name__
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # a class of others, whose `__str__` fails
        text = ""
    return f"{kind}: {text}" if text else kind


def _joins(text: str, at: int) -> bool:
    if text[at] not in _JOINERS:
        return False
    around = (text[at - 1 : at], text[at + 1 : at + 2])
    return all(not char.isascii() and char not in _JOINERS for char in around if char) and all(
        around
    )
