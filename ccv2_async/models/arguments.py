"""Validate the arguments of a call, and convert them to what the service accepts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs

from ccv2_async.errors import InvalidField
from ccv2_async.models.hooks import utc_text
from ccv2_async.models.validation import (
    FLAG,
    MOMENT,
    TEXT,
    a_model,
    check,
    check_kinds,
    is_flag,
    is_number,
    is_text,
    is_whole,
    rules_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MAX_IDS = 100
"""The most ids in one path. More could make the path too long for a gateway."""

LONGEST_ID = 200
_NOT_IN_IDS = frozenset(" /\\")


def _is_moment(value: object) -> bool:
    return isinstance(value, datetime)


# For each query parameter: the argument's name, the check, and what it accepts in words. Other
# parameters have been checked before.
_PARAMETERS: Mapping[str, tuple[str, Callable[[object], bool], str]] = {
    "email": ("email", is_text, TEXT),
    "modified_since": ("modified_since", _is_moment, MOMENT),
    "created_since": ("created_since", _is_moment, MOMENT),
    "include_list_id": ("include_list_id", is_flag, FLAG),
    "include_contact_id": ("include_contact_id", is_flag, FLAG),
    "updateSummary": ("update_summary", is_flag, FLAG),
    "blanks_enabled": ("blanks_enabled", is_flag, FLAG),
}


def checked_model(value: object, model: type[T], field: str) -> T:
    """Return the model if it is an instance with values of the right types.

    Its limits are checked when it is sent.

    Raises:
        InvalidField: It is not an instance of the model, or a value has the wrong type. Nothing was
            sent.
    """
    if not isinstance(value, model):
        raise InvalidField(field, value, f"{a_model(model)}, not {type(value).__name__}")
    check_kinds(attrs.asdict(cast("Any", value), recurse=False), model)
    return value


def checked_text(value: object, field: str) -> str:
    """Return the text.

    Raises:
        InvalidField: It is not text, or holds half of a surrogate pair. Nothing was sent.
    """
    if not is_text(value):
        raise InvalidField(field, value, TEXT)
    return value


def checked_flag(value: object, field: str) -> bool:
    """Return True or False.

    Raises:
        InvalidField: It is not a bool. Nothing was sent.
    """
    if not is_flag(value):
        raise InvalidField(field, value, FLAG)
    return value


def checked_seconds(value: object, field: str) -> float | None:
    """Return a time limit in seconds, or None for no limit.

    Raises:
        InvalidField: It is not a number above zero. Nothing was sent.
    """
    if value is None or value == float("inf"):
        return None
    if not is_number(value) or value <= 0:
        raise InvalidField(field, value, "it must be seconds, a number above 0, or None")
    return value


def checked_function(value: T | None, field: str) -> T | None:
    """Return the function, or None.

    Raises:
        InvalidField: It is not callable. Nothing was sent.
    """
    if value is not None and not callable(value):
        raise InvalidField(field, value, "it must be a function, or None")
    return value


def checked_texts(values: object, field: str) -> tuple[str, ...]:
    """Return several texts as a tuple.

    Raises:
        InvalidField: It is not an iterable of texts. Nothing was sent.
    """
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise InvalidField(field, values, "it must be a list of texts")
    return tuple(checked_text(value, f"{field}[{n}]") for n, value in enumerate(values))


def checked_limit(value: object, most: int | None) -> int | None:
    """Return the number of rows in a page, or None for the service's default.

    Raises:
        InvalidField: It is not a whole number, or the service does not accept it. Nothing was sent.
    """
    if value is None:
        return None
    if not is_whole(value) or not 1 <= value <= (most or value):
        rule = f"from 1 to {most}" if most else "1 or more"
        raise InvalidField("limit", value, f"the number of rows in a page, {rule}")
    return value


def checked_id(id_: object, field: str = "id") -> str:
    """Return the id as text. Numbers are accepted, because some answers give ids as numbers.

    Raises:
        InvalidField: It is not text or a number, is empty, has only dots, or holds a control
            character, a blank, or a slash, which some gateways decode before they read the path.
    """
    text = str(id_) if is_text(id_) or is_whole(id_) else ""
    if (
        not 1 <= len(text) <= LONGEST_ID
        or set(text) <= {"."}
        or not text.isprintable()
        or not _NOT_IN_IDS.isdisjoint(text)
    ):
        raise InvalidField(field, id_, "an id as the service returned it")
    return text


def checked_ids(ids: object, field: str = "ids") -> tuple[str, ...]:
    """Return one or more ids. A single id needs no list.

    Raises:
        InvalidField: There is none, one is not an id, or one text holds several.
    """
    if isinstance(ids, str) or is_whole(ids):
        ids = (ids,)
    if isinstance(ids, bytes | Mapping) or not isinstance(ids, Iterable):
        raise InvalidField(field, ids, "a list of ids")
    checked = tuple(checked_id(id_, field) for id_ in ids)
    if not checked:
        raise InvalidField(field, checked, "at least one id")
    if any("," in id_ for id_ in checked):
        raise InvalidField(field, ",".join(checked), "a list of ids without commas")
    return checked


def joined_ids(ids: Iterable[str], field: str = "ids") -> str:
    """Return several ids joined by commas.

    Raises:
        InvalidField: There is none, there are more than a hundred, or one is not an id.
    """
    checked = checked_ids(ids, field)
    if len(checked) > MAX_IDS:
        raise InvalidField(field, len(checked), f"from 1 to {MAX_IDS} ids in one call")
    return ",".join(checked)


def query_of(values: Mapping[str, object] | None) -> tuple[tuple[str, str], ...]:
    """Return query parameters as text. None and False are left out.

    Raises:
        InvalidField: A parameter does not accept the value. Nothing was sent.
    """
    pairs = []
    for name, value in (values or {}).items():
        if value is None:
            continue
        if name in _PARAMETERS:
            field, fits, rule = _PARAMETERS[name]
            if not fits(value):
                raise InvalidField(field, value, rule)
            if value is False:
                continue
        pairs.append((name, text_of(value, name)))
    return tuple(pairs)


def text_of(value: Any, field: str = "date") -> str:
    """Return a value as the service expects it in a query.

    Raises:
        InvalidField: It is a date without a time zone, or out of range. The error names `field`.
    """
    if isinstance(value, datetime):
        return utc_text(value, field)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def one_of(field: str, value: object, allowed: Iterable[str]) -> str | None:
    """Return the value in the service's spelling, whatever its case. None stays None.

    Args:
        field: The argument's name, for the message.
        value: The argument.
        allowed: An enumeration, or the words.

    Raises:
        InvalidField: The service does not accept the value.
    """
    if value is None:
        return None
    words = [str(word) for word in allowed]
    if isinstance(value, str):
        for word in words:
            if word.casefold() == value.casefold():
                return word
    raise InvalidField(field, value, f"one of {', '.join(words)}")


def checked_changes(changes: Mapping[str, Any], writable: type[Any]) -> dict[str, Any]:
    """Return the validated changes of an `update` method.

    They are validated before the resource is read, so that a mistake costs no call.

    Args:
        changes: New values by name. None erases one.
        writable: The model of what can be written.

    Raises:
        InvalidField: There is nothing to change, a field cannot be changed, or the service would
            refuse a value. Nothing was sent.
    """
    fields = {field.name: field for field in attrs.fields(writable) if field.name != "extra"}
    names = list(fields)
    if not changes:
        raise InvalidField("changes", None, f"at least one of {', '.join(names)}")
    for name, value in changes.items():
        if name not in names:
            raise InvalidField(name, value, f"it cannot be changed; {', '.join(names)} can")
    given = {}
    for name, value in changes.items():
        convert = fields[name].converter
        given[name] = convert(value) if convert and value is not None else value
    check_kinds(given, writable)
    check(given, {name: limit for name, limit in rules_of(writable).items() if name in given})
    return given
