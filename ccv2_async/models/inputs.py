"""Converters of what a model is made of: any iterable where the model keeps a tuple.

Each is a function of its own, because mypy takes the type of an argument from a named converter.
What a converter does not know stays as it is, for the checks to name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

from ccv2_async.models.lists import ContactListRef

T = TypeVar("T")


def to_tuple(values: Iterable[T]) -> tuple[T, ...]:
    """Return the values as a tuple; a single text and what is not iterable stay as they are."""
    given: object = values
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        return cast("tuple[T, ...]", values)
    return tuple(values)


def texts(values: Iterable[str]) -> tuple[str, ...]:
    """Return texts as a tuple."""
    return to_tuple(values)


def list_refs(values: Iterable[ContactListRef | str]) -> tuple[ContactListRef, ...]:
    """Return references to contact lists; ids are taken too."""
    found: Any = to_tuple(values)
    if isinstance(found, tuple):
        found = tuple(ContactListRef(entry) if is_list_id(entry) else entry for entry in found)
    return cast("tuple[ContactListRef, ...]", found)


def is_list_id(value: object) -> bool:
    """Return whether a value is the id of a list: text, or a number."""
    return isinstance(value, str | int) and not isinstance(value, bool)
