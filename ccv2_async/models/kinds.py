"""What kind of value each field of a model takes, checked before it is sent.

An annotation is all that a type checker needs; whoever runs none finds out here, with the place
and the value, and not from inside the encoder or from the service.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import attrs

from ccv2_async import errors
from ccv2_async.models.hooks import ID_NAME, shapes
from ccv2_async.models.reading import DEPTH_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from ccv2_async.models.hooks import Shape

Problem = tuple[str, object, str]
"""Where it is, below the field; what is there; and what should be."""

_SURROGATE = re.compile(r"[\ud800-\udfff]")

TEXT = "it must be text"
WHOLE = "it must be a whole number of 64 bits at most"
NUMBER = "it must be a number"
FLAG = "it must be True or False"
MOMENT = "it must be a datetime with a time zone"


def check_kinds(given: Mapping[str, Any], model: type[Any], prefix: str = "") -> None:
    """Nothing, when each value is of the kind that its field in the model takes.

    Models inside are looked at for their class alone. None passes: what is required is a rule's
    business.

    Args:
        given: Values by the names of fields; those that the model does not have pass.
        model: The model class.
        prefix: Put before the field's name in the error, such as `import_data[3].`.

    Raises:
        InvalidField: Names the field, the value and what it must be. Nothing was sent. Safe to
            try again: no.
    """
    kinds = _kinds_of(cast("Hashable", model))
    for name, value in given.items():
        if value is None or name not in kinds:
            continue
        problem = kinds[name](value)
        if problem is not None:
            place, wrong, rule = problem
            raise errors.InvalidField(f"{prefix}{name}{place}", wrong, rule)


def is_text(value: object) -> TypeGuard[str]:
    """Whether it is text that can be sent: half of a surrogate pair cannot."""
    return isinstance(value, str) and (value.isascii() or _SURROGATE.search(value) is None)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is a whole number that JSON carries safely; True is none."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**64


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number that has a value; True and NaN are none."""
    return (isinstance(value, float) and math.isfinite(value)) or is_whole(value)


def is_flag(value: object) -> TypeGuard[bool]:
    """Whether it is True or False; 1 and 0 are none."""
    return isinstance(value, bool)


def is_plain_function(value: object) -> bool:
    """Whether it can be called with nothing to await: neither it nor its `__call__` is async."""
    return callable(value) and not any(
        inspect.iscoroutinefunction(called) for called in (value, type(value).__call__)
    )


def a_model(model: type[Any]) -> str:
    """What an argument that takes a model must be, in words."""
    return f"it must be {_article(model.__name__)} {model.__name__}"


@cache
def _kinds_of(model: Any) -> dict[str, Callable[[Any], Problem | None]]:
    """For each field a function that says what is wrong with a value that is not None."""
    kinds = {name: _kind(name, shape) for name, shape in shapes(model).items()}
    if any(a.name == "extra" for a in attrs.fields(model)):
        kinds["extra"] = _further
    return kinds


def _kind(name: str, shape: Shape) -> Callable[[Any], Problem | None]:
    fits, rule = _fitting(name, shape)

    def one(value: Any) -> Problem | None:
        return None if fits(value) else ("", value, rule)

    def many(value: Any) -> Problem | None:
        if not isinstance(value, tuple | list):
            return "", value, f"it must be a list or tuple; of each entry: {rule}"
        for index, entry in enumerate(value):
            if entry is None or not fits(entry):
                return f"[{index}]", entry, rule
        return None

    return many if shape.many else one


def _fitting(name: str, shape: Shape) -> tuple[Callable[[Any], bool], str]:
    """The function that tells whether a value fits, and what fits in words."""
    kind = shape.kind
    if kind is str and ID_NAME.fullmatch(name):
        return (lambda value: is_text(value) or is_whole(value)), TEXT
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind is object:
        return _is_json, "it must be what JSON can hold"
    if issubclass(kind, StrEnum):
        return is_text, TEXT
    if shape.text_too:
        return (lambda value: isinstance(value, kind) or is_text(value)), f"{a_model(kind)} or text"
    return (lambda value: isinstance(value, kind)), a_model(kind)


_PLAIN: dict[Any, tuple[Callable[[Any], bool], str]] = {
    str: (is_text, TEXT),
    int: (is_whole, WHOLE),
    float: (is_number, NUMBER),
    bool: (is_flag, FLAG),
    datetime: ((lambda value: isinstance(value, datetime)), MOMENT),
}


def _further(value: Any) -> Problem | None:
    if not isinstance(value, Mapping) or not all(is_text(key) for key in value):
        return "", value, "it must be a dict of further fields by name"
    for key, entry in value.items():
        if not _is_json(entry):
            return f"[{key!r}]", entry, "it must be what JSON can hold"
    return None


def _is_json(value: Any, level: int = 0) -> bool:
    """Whether JSON can hold it, models and dates included."""
    if value is None or isinstance(value, bool | datetime) or is_text(value) or is_number(value):
        return True
    if level > DEPTH_LIMIT:
        return False
    if isinstance(value, Mapping):
        return all(is_text(key) for key in value) and _are_json(value.values(), level)
    if isinstance(value, tuple | list):
        return _are_json(value, level)
    return attrs.has(type(value))


def _are_json(values: Any, level: int) -> bool:
    return all(_is_json(entry, level + 1) for entry in values)


def _article(name: str) -> str:
    return "an" if name[:1] in "AEIO" else "a"
