"""What callers may give: arguments checked, and put as the service takes them, before any call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs

from ccv2_async.errors import InvalidField
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
"""Ids that are joined into one path at most, so that no gateway finds the path too long."""

LONGEST_ID = 200
_NOT_IN_IDS = frozenset(" /\\")


def _is_moment(value: object) -> bool:
    return isinstance(value, datetime)


# By the service's name for it: the argument's name, what it may be, and that in words. What is not
# here has been checked before, or is a word of ours.
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
    """The model, once it is known to be one, with values of the right kinds; a dict is none.

    Its rules are checked when it is sent.

    Raises:
        InvalidField: It is something else, or a value of it is. Nothing was sent.
    """
    if not isinstance(value, model):
        raise InvalidField(field, value, f"{a_model(model)}, not {type(value).__name__}")
    check_kinds(attrs.asdict(cast("Any", value), recurse=False), model)
    return value


def checked_text(value: object, field: str) -> str:
    """The text.

    Raises:
        InvalidField: It is something else, or holds half of a surrogate pair. Nothing was sent.
    """
    if not is_text(value):
        raise InvalidField(field, value, TEXT)
    return value


def checked_flag(value: object, field: str) -> bool:
    """True or False.

    Raises:
        InvalidField: It is neither. Nothing was sent.
    """
    if not is_flag(value):
        raise InvalidField(field, value, FLAG)
    return value


def checked_seconds(value: object, field: str) -> float | None:
    """A time that something may take; None for no limit.

    Raises:
        InvalidField: It is no number above zero. Nothing was sent.
    """
    if value is None or value == float("inf"):
        return None
    if not is_number(value) or value <= 0:
        raise InvalidField(field, value, "it must be seconds, a number above 0, or None")
    return value


def checked_function(value: T | None, field: str) -> T | None:
    """The function, or None.

    Raises:
        InvalidField: It is something else. Nothing was sent.
    """
    if value is not None and not callable(value):
        raise InvalidField(field, value, "it must be a function, or None")
    return value


def checked_texts(values: object, field: str) -> tuple[str, ...]:
    """Several texts.

    Raises:
        InvalidField: It is something else, one text among that. Nothing was sent.
    """
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise InvalidField(field, values, "it must be a list of texts")
    return tuple(checked_text(value, f"{field}[{n}]") for n, value in enumerate(values))


def checked_limit(value: object, most: int | None) -> int | None:
    """Rows in a page; None for the service's own number.

    Raises:
        InvalidField: It is no whole number, or beyond what the service takes. Nothing was sent.
    """
    if value is None:
        return None
    if not is_whole(value) or not 1 <= value <= (most or value):
        rule = f"from 1 to {most}" if most else "1 or more"
        raise InvalidField("limit", value, f"rows in a page, {rule}")
    return value


def checked_id(id_: object, field: str = "id") -> str:
    """The id as text; numbers are taken too, as some of the service's answers give them.

    Raises:
        InvalidField: It is neither, or is empty, or of dots only, or holds a control character, a
            blank, or a slash, which some gateways decode before they look at the path.
    """
    text = str(id_) if is_text(id_) or is_whole(id_) else ""
    if (
        not 1 <= len(text) <= LONGEST_ID
        or set(text) <= {"."}
        or not text.isprintable()
        or not _NOT_IN_IDS.isdisjoint(text)
    ):
        raise InvalidField(field, id_, "an id as the service gave it")
    return text


def checked_ids(ids: object, field: str = "ids") -> tuple[str, ...]:
    """Ids, one at least; a single one, text or number, may be given as it is.

    Raises:
        InvalidField: There is none, or one that is no id, or several in one text.
    """
    if isinstance(ids, str) or is_whole(ids):
        ids = (ids,)
    if isinstance(ids, bytes | Mapping) or not isinstance(ids, Iterable):
        raise InvalidField(field, ids, "ids, one by one in a list")
    checked = tuple(checked_id(id_, field) for id_ in ids)
    if not checked:
        raise InvalidField(field, checked, "at least one id")
    if any("," in id_ for id_ in checked):
        raise InvalidField(field, ",".join(checked), "ids without commas, one by one")
    return checked


def joined_ids(ids: Iterable[str], field: str = "ids") -> str:
    """Ids as the service takes several of them: joined by commas.

    Raises:
        InvalidField: None, more than a hundred, or one that is not an id.
    """
    checked = checked_ids(ids, field)
    if len(checked) > MAX_IDS:
        raise InvalidField(field, len(checked), f"from 1 to {MAX_IDS} ids in one call")
    return ",".join(checked)


def query_of(values: Mapping[str, object] | None) -> tuple[tuple[str, str], ...]:
    """Query parameters as text; what is None is left out, and so are flags that are not set.

    Raises:
        InvalidField: A value that the parameter does not take. Nothing was sent.
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
    """One value as the service writes it in queries: dates in UTC with milliseconds and Z.

    Raises:
        InvalidField: It is a date without a time zone; names `field`.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidField(field, value.isoformat(), "a datetime with a time zone")
        try:
            moment = value.astimezone(UTC)
        except OverflowError:
            raise InvalidField(field, value.isoformat(), "a date of this age") from None
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def one_of(field: str, value: object, allowed: Iterable[str]) -> str | None:
    """The value in the service's spelling, whatever its case; None stays None.

    Args:
        field: The argument's name, for the message.
        value: What the caller gave.
        allowed: An enumeration, or the words themselves.

    Raises:
        InvalidField: It is not one that the service accepts.
    """
    if value is None:
        return None
    words = [str(word) for word in allowed]
    if isinstance(value, str):
        for word in words:
            if word.casefold() == value.casefold():
                return word
    raise InvalidField(field, value, f"one of {', '.join(words)}")


def _as_it_is(value: Any) -> Any:
    return value


def checked_changes(changes: Mapping[str, Any], writable: type[Any]) -> dict[str, Any]:
    """The changes of an `update_x`, once they are known to be such as the service takes.

    They are checked before the resource is read, so that a mistake costs no call.

    Args:
        changes: New values by name; None erases one.
        writable: The model that says what can be written.

    Raises:
        InvalidField: Nothing to change, a name that cannot be changed, or a value that the
            service would refuse. Nothing was sent.
    """
    fields = {field.name: field for field in attrs.fields(writable) if field.name != "extra"}
    names = list(fields)
    if not changes:
        raise InvalidField("changes", None, f"at least one of {', '.join(names)}")
    for name, value in changes.items():
        if name not in names:
            raise InvalidField(name, value, f"it cannot be changed; {', '.join(names)} can")
    converters = {name: field.converter for name, field in fields.items()}
    given = {
        name: value if value is None else (converters[name] or _as_it_is)(value)
        for name, value in changes.items()
    }
    check_kinds(given, writable)
    check(given, {name: limit for name, limit in rules_of(writable).items() if name in given})
    return given
