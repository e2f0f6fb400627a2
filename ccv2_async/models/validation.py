"""Validate the values of a request before it is sent.

Two things are checked: the type of each value, according to the annotation of its field, and the
limits of the service. A limit is defined with its field, as attrs metadata made by `rule`. `check`
reads both. The functions named `checked_...` validate one argument of a call, and return it in the
form that the service accepts. Responses of the service are never checked.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from enum import Enum, StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar, cast

import attrs

from ccv2_async.errors import InvalidField
from ccv2_async.models.hooks import DEPTH_LIMIT, ID_NAME, shapes, utc_text
from ccv2_async.text import described

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from ccv2_async.models.hooks import Shape

__all__ = ["Rule", "check"]

T = TypeVar("T")
Rules = Mapping[str, "Rule"]
Problem = tuple[str, object, str]
"""The place below the field, the value there, and what it must be."""

TEXT = "it must be text"
WHOLE = "it must be a whole number of at most 64 bits"
NUMBER = "it must be a number"
FLAG = "it must be True or False"
MOMENT = "it must be a datetime with a time zone"
SINGLE = "it must be text, a number, True, False, or a date"

_SURROGATE = re.compile(r"[\ud800-\udfff]")


def check(values: object, rules: Rules | None = None, *, prefix: str = "") -> None:
    """Validate a model, or the arguments of a call.

    Args:
        values: A model, or a mapping of names to values.
        rules: The limits by name. A model brings its own, and those of the models inside it.
        prefix: Text before the field's name in the error, such as `import_data[3].`.

    Raises:
        InvalidField: The service would refuse a value, or its type is wrong. Nothing was sent.
            Safe to try again: no.
    """
    if isinstance(values, Mapping):
        given, limits = values, rules or {}
    else:
        model: type[Any] = type(values)
        given = {a.name: getattr(values, a.name) for a in attrs.fields(model)}
        limits = rules_of(model) if rules is None else rules
        check_kinds(given, model, prefix)
    for name, limit in limits.items():
        if broken := limit.broken_by(given.get(name)):
            raise InvalidField(prefix + name, given.get(name), broken)
    for need in getattr(values, "__needs__", ()):
        if demand := need.broken_by(given):
            raise InvalidField(prefix + demand[0], given.get(demand[0]), demand[1])
    for place, inner in _models_inside(given, prefix):
        check(inner, prefix=f"{place}.")


def _models_inside(given: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield each model inside the values, with its place."""
    for name, value in given.items():
        many = isinstance(value, tuple | list)
        for index, entry in enumerate(value if many else (value,)):
            if attrs.has(type(entry)):
                yield f"{prefix}{name}[{index}]" if many else f"{prefix}{name}", entry


# ------------------------------------------------------------------------------------- limits


def _words(allowed: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if allowed is None else tuple(str(word) for word in allowed)


@attrs.frozen(kw_only=True)
class Rule:
    """The limits of one field. None means no limit.

    Attributes:
        required: Whether the service refuses a request without the field.
        min_length: The minimum number of characters, or of entries in a collection.
        max_length: The maximum number of characters, or of entries in a collection.
        least: The smallest number.
        most: The largest number.
        allowed: The accepted words, or an enumeration of them. Case is ignored. In a collection
            they apply to each entry.
        pattern: A regular expression for the whole string.
        pattern_means: The pattern in words, such as "letters, digits and _ are accepted".
        holds: Words. A collection that is not empty needs at least one of them. Case is ignored.
    """

    required: bool = False
    min_length: int | None = None
    max_length: int | None = None
    least: float | None = None
    most: float | None = None
    allowed: tuple[str, ...] | None = attrs.field(default=None, converter=_words)
    pattern: str | None = None
    pattern_means: str = ""
    holds: tuple[str, ...] | None = None

    def broken_by(self, value: object) -> str | None:
        """Return what the service accepts if `value` breaks the rule, or None.

        Args:
            value: The value to send; None for a field that is left out.
        """
        if value is None or (self.required and _is_empty(value)):
            return "the service requires it" if self.required else None
        if isinstance(value, Sequence | Mapping):
            if self.max_length is not None and len(value) > self.max_length:
                return f"its length is {len(value)}, but the maximum is {self.max_length}"
            if self.min_length is not None and len(value) < self.min_length:
                return f"its length is {len(value)}, but the minimum is {self.min_length}"
            if self.holds and value and not _has_known(self.holds, list(value)):
                return "one of its entries must be " + " or ".join(self.holds)
        if isinstance(value, int | float):
            return self._number_broken_by(value)
        return self._words_broken_by(value)

    def _number_broken_by(self, value: float) -> str | None:
        if self.least is not None and not value >= self.least:
            return f"the minimum is {self.least:g}"
        if self.most is not None and not value <= self.most:
            return f"the maximum is {self.most:g}"
        return None

    def _words_broken_by(self, value: object) -> str | None:
        entries = value if isinstance(value, tuple | list) else ()
        words = (value,) if isinstance(value, str) else entries
        if self.allowed and not all(_has_known(self.allowed, (word,)) for word in words):
            return "the accepted values are " + ", ".join(self.allowed)
        if self.pattern and isinstance(value, str) and not re.fullmatch(self.pattern, value):
            return self.pattern_means
        return None


def rule(**limits: Any) -> dict[str, Any]:
    """Return the limits of a field as attrs metadata; see `Rule` for the arguments."""
    return {"rule": Rule(**limits)}


def limited(default: Any = None, *, metadata: Any = None, **limits: Any) -> Any:
    """Return an attrs field with a default and limits; see `Rule` for the arguments.

    Args:
        default: The value of a field that is left out.
        metadata: The limits as returned by `rule`, instead of `limits`.
        limits: The limits.
    """
    return attrs.field(default=default, metadata=metadata or rule(**limits))


@attrs.frozen
class Need:
    """A requirement that the value of one field sets for other fields of the same model.

    Attributes:
        field: The field with the value.
        value: The value that sets the requirement. In a collection, one entry is enough.
        needs: The fields that are then required.
        any_of: Whether one of them is enough.
        excludes: A field that must not have the same value.
        single: A collection that must then have exactly one entry.
    """

    field: str
    value: object
    needs: tuple[str, ...] = ()
    any_of: bool = False
    excludes: str = ""
    single: str = ""

    def broken_by(self, given: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the field that breaks the requirement and the reason, or None."""
        actual = given.get(self.field)
        among = isinstance(actual, tuple | list) and any(_same(e, self.value) for e in actual)
        if not among and not _same(actual, self.value):
            return None
        shown = str(self.value).lower() if isinstance(self.value, bool) else str(self.value)
        because = f"{self.field} {'contains' if among else 'is'} {shown}"
        if self.excludes and _same(given.get(self.excludes), self.value):
            return self.excludes, f"it cannot be {shown} when {because}"
        if self.single and len(given.get(self.single) or ()) != 1:
            return self.single, f"exactly one entry is accepted when {because}"
        absent = [name for name in self.needs if given.get(name) is None or _is_empty(given[name])]
        if not absent or (self.any_of and len(absent) < len(self.needs)):
            return None
        wanted = " or ".join(self.needs) if self.any_of else absent[0]
        return absent[0], f"the service requires {wanted} when {because}"


def rules_of(model: type[Any]) -> dict[str, Rule]:
    """Return the limits of a model's fields by name. Fields without a limit are left out."""
    return {a.name: a.metadata["rule"] for a in attrs.fields(model) if "rule" in a.metadata}


def _same(one: object, other: object) -> bool:
    """Return whether two values are equal. The case of words is ignored."""
    if isinstance(one, str) and isinstance(other, str):
        return one.casefold() == other.casefold()
    return one == other


def _has_known(words: Sequence[str], values: Sequence[Any]) -> bool:
    known = {word.casefold() for word in words}
    return any(isinstance(value, str) and value.casefold() in known for value in values)


def _is_empty(value: object) -> bool:
    return isinstance(value, tuple | list) and not value


# -------------------------------------------------------------------------------------- types


def check_kinds(given: Mapping[str, Any], model: type[Any], prefix: str = "") -> None:
    """Validate the type of each value against the model's annotations.

    For a nested model, only the class is checked. None passes, because a rule decides whether a
    value is required.

    Args:
        given: Values by field name. Unknown names pass.
        model: The model class.
        prefix: Text before the field's name in the error, such as `import_data[3].`.

    Raises:
        InvalidField: The message names the field, the value and the rule. Nothing was sent. Safe to
            try again: no.
    """
    kinds = _kinds_of(cast("Hashable", model))
    for name, value in given.items():
        if value is None or name not in kinds:
            continue
        if (problem := kinds[name](value)) is not None:
            place, wrong, expected = problem
            raise InvalidField(f"{prefix}{name}{place}", wrong, expected)


def is_text(value: object) -> TypeGuard[str]:
    """Return whether it is text that can be sent. Half of a surrogate pair cannot."""
    return isinstance(value, str) and (value.isascii() or _SURROGATE.search(value) is None)


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether it is a whole number that JSON can hold safely. A bool is not a number."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**64


def is_number(value: object) -> TypeGuard[float]:
    """Return whether it is a finite number. A bool is not a number."""
    return (isinstance(value, float) and math.isfinite(value)) or is_whole(value)


def words(*allowed: str) -> Callable[[object], bool]:
    """Return a function that returns whether a value is one of these words.

    A mere comparison with an array does not tell.
    """
    return lambda value: isinstance(value, str) and value in allowed


def is_flag(value: object) -> TypeGuard[bool]:
    """Return whether it is True or False. 1 and 0 are not."""
    return isinstance(value, bool)


def is_count(value: object) -> bool:
    """Return whether it is a whole number, 1 or more."""
    return is_whole(value) and value >= 1


def is_seconds(value: object) -> bool:
    """Return whether it is a number, 0 or more."""
    return is_number(value) and value >= 0


def is_function(value: object) -> bool:
    """Return whether it is callable, or None."""
    return value is None or callable(value)


def is_plain_function(value: object) -> bool:
    """Return whether it is callable and not async, or None."""
    return value is None or (callable(value) and not _is_async(value))


def _is_async(function: Any) -> bool:
    return any(map(inspect.iscoroutinefunction, (function, type(function).__call__)))


def a_model(model: type[Any]) -> str:
    """Return a description of what an argument that takes a model must be."""
    return f"it must be {'an' if model.__name__[:1] in 'AEIO' else 'a'} {model.__name__}"


@cache
def _kinds_of(model: Any) -> dict[str, Callable[[Any], Problem | None]]:
    """Return a function for each field that returns the problem with a value, or None."""
    kinds = {name: _kind(name, shape) for name, shape in shapes(model).items()}
    return kinds | {"extra": _check_extra}


def _kind(name: str, shape: Shape) -> Callable[[Any], Problem | None]:
    fits, expected = _fitting(name, shape)

    def one(value: Any) -> Problem | None:
        return None if fits(value) else ("", value, expected)

    def many(value: Any) -> Problem | None:
        if not isinstance(value, tuple | list):
            must = expected.removeprefix("it ")
            return "", value, f"it must be a list or tuple; each entry {must}"
        for index, entry in enumerate(value):
            if entry is None or not fits(entry):
                return f"[{index}]", entry, expected
        return None

    return many if shape.many else one


def _fitting(name: str, shape: Shape) -> tuple[Callable[[Any], bool], str]:
    """Return the function that checks one value, and what it accepts in words."""
    kind = shape.kind
    if kind is str and ID_NAME.fullmatch(name):
        return (lambda value: is_text(value) or is_whole(value)), TEXT
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind is object:
        return _is_json, "it must be a value that JSON can represent"
    if issubclass(kind, StrEnum):
        return is_text, TEXT
    if shape.text_too:
        return (lambda value: isinstance(value, kind) or is_text(value)), f"{a_model(kind)} or text"
    return (lambda value: isinstance(value, kind)), a_model(kind)


def _is_single(value: object) -> bool:
    value = value.value if isinstance(value, Enum) else value
    return isinstance(value, bool | date) or is_text(value) or is_number(value)


_PLAIN: dict[Any, tuple[Callable[[Any], bool], str]] = {
    str: (is_text, TEXT),
    int: (is_whole, WHOLE),
    float: (is_number, NUMBER),
    bool: (is_flag, FLAG),
    datetime: ((lambda value: isinstance(value, datetime)), MOMENT),
    # Any other query parameter; only those of a raw call may have other types.
    None: (_is_single, SINGLE),
}


def _check_extra(value: Any) -> Problem | None:
    if not isinstance(value, Mapping) or not all(is_text(key) for key in value):
        return "", value, "it must be a dict of additional fields by name"
    for key, entry in value.items():
        if not _is_json(entry):
            return f"[{key!r}]", entry, "it must be a value that JSON can represent"
    return None


def _is_json(value: Any, level: int = 0) -> bool:
    """Return whether JSON can hold it. Models and dates count too."""
    if value is None or isinstance(value, bool | datetime) or is_text(value) or is_number(value):
        return True
    if level > DEPTH_LIMIT:
        return False
    entries = value
    if isinstance(value, Mapping):
        entries = value.values() if all(is_text(key) for key in value) else (object(),)
    elif not isinstance(value, tuple | list):
        return attrs.has(type(value))
    return all(_is_json(entry, level + 1) for entry in entries)


# ---------------------------------------------------------------------------------- arguments


MAX_IDS = 100
"""The maximum number of IDs in one path. More could make it too long for a gateway."""

LONGEST_ID = 200
_NOT_IN_IDS = frozenset(" /\\")


# The type of each query parameter that has not been checked before.
_PARAMETERS = {
    "email": str,
    **dict.fromkeys(("modified_since", "created_since"), datetime),
    **dict.fromkeys(("include_list_id", "include_contact_id"), bool),
    **dict.fromkeys(("updateSummary", "blanks_enabled"), bool),
}


@contextmanager
def unchanged(field: str, value: object) -> Iterator[None]:
    """Guard a block in which a thread reads an argument, which another task may change meanwhile.

    Raises:
        InvalidField: It was changed, so that it could not be read. Nothing was sent.
    """
    try:
        yield
    except RuntimeError as error:  # a dict cannot be read while it grows or shrinks
        rule = f"it must stay as it is until the call returns ({described(error)})"
        raise InvalidField(field, type(value), rule) from None


def checked_model(value: object, model: type[T], field: str, *, written: bool = False) -> T:
    """Return the model if it is an instance with values of the right types.

    Its limits are checked when it is sent.

    Args:
        value: The argument.
        model: The model.
        field: The argument's name, for the message.
        written: Whether it will be sent. Its unknown fields, which may be many, are checked then.

    Raises:
        InvalidField: It is not an instance of the model, or a value has the wrong type. Nothing was
            sent.
    """
    if not isinstance(value, model):
        raise InvalidField(field, value, f"{a_model(model)}, not {type(value).__name__}")
    names = [a.name for a in attrs.fields(cast("Any", model)) if not written or a.name != "extra"]
    check_kinds({name: getattr(value, name) for name in names}, model)
    return value


def checked_text(value: object, field: str) -> str:
    """Return the text.

    Raises:
        InvalidField: It is not a string, or holds a lone surrogate. Nothing was sent.
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
    if value is None or (isinstance(value, float) and value == math.inf):
        return None
    if not is_number(value) or value <= 0:
        raise InvalidField(field, value, "it must be a number of seconds above 0, or None")
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
    """Return several strings as a tuple.

    Raises:
        InvalidField: It is not an iterable of strings. Nothing was sent.
    """
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise InvalidField(field, values, "it must be a list of strings")
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
        raise InvalidField("limit", value, f"it must be {rule}")
    return value


def checked_id(id_: object, field: str = "id") -> str:
    """Return the ID as a string. Numbers are accepted, because some responses give IDs as numbers.

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
        raise InvalidField(field, id_, "it must be an ID that the service returned")
    return text


def checked_ids(ids: object, field: str = "ids") -> tuple[str, ...]:
    """Return one or more IDs. A single ID needs no list.

    Raises:
        InvalidField: The list is empty, one is not an ID, or one string holds several.
    """
    if isinstance(ids, str) or is_whole(ids):
        ids = (ids,)
    if isinstance(ids, bytes | bytearray | Mapping) or not isinstance(ids, Iterable):
        raise InvalidField(field, ids, "it must be a list of IDs")
    if not (checked := tuple(checked_id(id_, field) for id_ in ids)):
        raise InvalidField(field, checked, "pass at least one ID")
    if any("," in id_ for id_ in checked):
        raise InvalidField(field, ",".join(checked), "an ID cannot contain a comma; pass a list")
    return checked


def joined_ids(ids: Iterable[str], field: str = "ids") -> str:
    """Return several IDs joined by commas.

    Raises:
        InvalidField: The list is empty, has more than a hundred IDs, or one is not an ID.
    """
    checked = checked_ids(ids, field)
    if len(checked) > MAX_IDS:
        raise InvalidField(field, len(checked), f"a call accepts at most {MAX_IDS} IDs")
    return ",".join(checked)


def query_of(values: Mapping[str, object] | None) -> tuple[tuple[str, str], ...]:
    """Return query parameters as text. None and False are left out.

    Raises:
        InvalidField: A parameter does not accept the value. Nothing was sent.
    """
    if not (values is None or (isinstance(values, Mapping) and all(map(is_text, values)))):
        raise InvalidField("query", type(values), "it must be a dict of values by name")
    pairs = []
    for name, value in (values or {}).items():
        if value is None:
            continue
        fits, rule = _PLAIN[_PARAMETERS.get(name)]
        if not fits(value):
            raise InvalidField(name.replace("updateS", "update_s"), value, rule)
        if value is not False or name not in _PARAMETERS:
            pairs.append((name, text_of(value, name)))
    return tuple(pairs)


def text_of(value: Any, field: str = "date") -> str:
    """Return a value as the service expects it in a query.

    Raises:
        InvalidField: It is a date without a time zone, or out of range. The error names `field`.
    """
    value = value.value if isinstance(value, Enum) else value
    if isinstance(value, datetime):
        return utc_text(value, field)
    return str(value).lower() if isinstance(value, bool) else str(value)


def one_of(field: str, value: object, allowed: Iterable[str]) -> str | None:
    """Return the value in the service's spelling. Case is ignored. None stays None.

    Args:
        field: The argument's name, for the message.
        value: The argument.
        allowed: An enumeration, or the words.

    Raises:
        InvalidField: The service does not accept the value.
    """
    words = {str(word).casefold(): str(word) for word in allowed}
    if value is None or (isinstance(value, str) and value.casefold() in words):
        return None if value is None else words[value.casefold()]
    raise InvalidField(field, value, f"it must be one of {', '.join(words.values())}")


def checked_changes(changes: Mapping[str, Any], writable: type[Any]) -> dict[str, Any]:
    """Return the validated changes of an `update` method.

    They are validated before the resource is read, so that a mistake costs no call.

    Args:
        changes: New values by name. None erases one.
        writable: The model of what can be written.

    Raises:
        InvalidField: No change is given, a field cannot be changed, or the service would
            refuse a value. Nothing was sent.
    """
    fields = {field.name: field for field in attrs.fields(writable) if field.name != "extra"}
    names = ", ".join(fields)
    if not changes:
        raise InvalidField("changes", None, f"pass at least one of {names}")
    given = {}
    for name, value in changes.items():
        if name not in fields:
            raise InvalidField(name, value, f"it cannot be changed; {names} can")
        convert = fields[name].converter
        given[name] = convert(value) if convert and value is not None else value
    check_kinds(given, writable)
    check(given, {name: limit for name, limit in rules_of(writable).items() if name in given})
    return given
