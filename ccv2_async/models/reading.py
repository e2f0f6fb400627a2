"""Read single values that are not in their usual form.

The hooks of models keep a value in its usual form, and call these functions for the others: an id
that came as a number, a count that came as text, a status in another case, a date that means "not
set". An unreadable value raises `Misread`, which collects its place on the way out.
"""

from __future__ import annotations

import logging
import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from enum import StrEnum

logger: logging.Logger = logging.getLogger("ccv2_async.models")

DEPTH_LIMIT = 64
"""The most levels of nesting: far more than any resource has, far fewer than the stack."""

MOST_BAD_ROWS = 1000
"""Rows of one answer that are set aside: each costs a hundred times what it takes on the wire."""

_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,18}\s*")
_DECIMAL = re.compile(r"\s*[+-]?[0-9]{1,18}(\.[0-9]{1,18})?\s*")
_NOT_SET = {(1970, 1, 1), (1969, 12, 31)}

# The date fields that a warning was logged for, as (class name, field).
_warned: set[tuple[str, str]] = set()


class Misread(Exception):  # noqa: N818  # never leaves the package: convert.py makes a DecodeError of it
    """A value does not fit its model. `path` grows from the inside out."""

    def __init__(self, step: str | int | None, expected: str, value: object) -> None:
        super().__init__(expected)
        self.path: list[str | int] = [] if step is None else [step]
        self.expected = expected
        self.value = value

    def under(self, step: str | int) -> Misread:
        """Add the step of the next outer level, and return the exception."""
        self.path.append(step)
        return self

    @property
    def where(self) -> str:
        """The place, such as `results[3].size`."""
        text = ""
        for step in reversed(self.path):
            if isinstance(step, int):
                text += f"[{step}]"
            else:
                text += f".{step}" if text else step
        return text


def missing(key: str) -> NoReturn:
    """Raise `Misread` for a required field that is missing."""
    raise Misread(key, "there", None)


def text(value: object, key: str | None) -> str:
    """Return text. An id that came as a number is the same id."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    # A whole number beyond 64 bits arrives as a float. Its digits are lost, so it is not an id.
    raise Misread(key, "text", value)


def whole(value: object, key: str | None) -> int:
    """Return a whole number, even if it came as text or as 12.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise Misread(key, "a whole number", value)


def whole_if_possible(value: object, key: str, extra: dict[str, Any]) -> int | None:
    """Return a count, or None if it cannot be read; then `extra` keeps the value."""
    try:
        return whole(value, key)
    except Misread:
        bounded(value, key)
        extra[key] = value
        return None


def decimal(value: object, key: str | None) -> float:
    """Return a number, even if it came as text or without a fraction."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise Misread(key, "a number", value)


def flag(value: object, key: str | None) -> bool:
    """Return True or False."""
    if isinstance(value, bool):
        return value
    raise Misread(key, "true or false", value)


def spellings(members: type[StrEnum]) -> dict[str, StrEnum]:
    """Return the members by their usual spellings: original, lower case and upper case."""
    table: dict[str, StrEnum] = {}
    for member in members:
        table |= {member.value.casefold(): member, member.value.upper(): member}
    return table | {member.value: member for member in members}


def open_enum(value: object, table: Mapping[str, StrEnum], key: str | None) -> str:
    """Return the member for a word in any case. An unknown word stays plain text."""
    word = text(value, key)
    return table.get(word.casefold(), word)


def moment(value: object) -> datetime | None:
    """Return a date with a time zone, or None if the value is not a date."""
    try:
        read = datetime.fromisoformat(value)  # type: ignore[arg-type]  # a wrong type is caught
    except (TypeError, ValueError):
        return None
    if read.tzinfo is None:
        read = read.replace(tzinfo=UTC)
    # One year of room at each end, so that a change of offset cannot overflow.
    return read if 1 < read.year < 9999 else None


def unusual_date(value: object, key: str, owner: str, extra: dict[str, Any]) -> datetime | None:
    """Return an unusual date, or None if it means "not set" or cannot be read.

    The epoch in its two spellings and the empty text mean "not set". For a date that is None,
    `extra` keeps the text. An unreadable date logs a warning, once for each field and without the
    text.
    """
    read = moment(value)
    if read is not None and (read.year, read.month, read.day) not in _NOT_SET:
        return read
    bounded(value, key)
    extra[key] = value
    if read is None and value != "" and (owner, key) not in _warned:
        _warned.add((owner, key))
        logger.warning(
            "%s.%s has a date that cannot be read. It is None, and `extra` keeps the text. "
            "This is logged once for each field.",
            owner,
            key,
        )
    return None


def bounded(value: object, key: str | None) -> None:
    """Raise `Misread` if comparing or writing the value would exhaust the stack."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEPTH_LIMIT):
        if not level:
            return
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    raise Misread(key, f"nested at most {DEPTH_LIMIT} levels deep", value)


def rows(value: object, read: Callable[[Any, Any], Any], key: str | None) -> list[Any]:
    """Return every element of an array. Null is an empty array; nulls inside are left out."""
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise Misread(key, "an array", value)
    index = 0
    out = []
    try:
        for index, row in enumerate(value):  # noqa: B007  # the place of an unreadable one
            if row is not None:
                out.append(read(row, None))
    except Misread as problem:
        problem.under(index)
        raise problem.under(key) if key is not None else problem from None
    return out


def rows_apart(
    value: object,
    read: Callable[[Any, Any], Any],
    bad: Callable[[int, Any, Exception], Any],
    key: str | None,
) -> list[Any]:
    """Return every element of an array, with the result of `bad` for unreadable ones.

    Null is an empty array. A null inside an array is unreadable.

    Raises:
        Misread: It is no array, or more than `MOST_BAD_ROWS` of its elements cannot be read.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise Misread(key, "an array", value)
    out: list[Any] = []
    numbered = enumerate(value)
    index, row, bad_rows = 0, None, 0
    while True:
        try:
            for index, row in numbered:  # noqa: B007  # the place of an unreadable one
                out.append(read(row, None))
        except (Misread, RecursionError, OverflowError, ValueError) as problem:
            bad_rows += 1
            if bad_rows > MOST_BAD_ROWS:
                break
            # Its traceback would keep the frames of a thousand rows alive.
            out.append(bad(index, row, problem.with_traceback(None)))
        else:
            return out
    raise Misread(key, f"an array with at most {MOST_BAD_ROWS:,} rows that cannot be read", value)
