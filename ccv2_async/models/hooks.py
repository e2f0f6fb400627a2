"""The hooks that read and write models, made from the annotations of their fields.

`convert` registers them with cattrs. A hook differs from the one that cattrs would generate in four
ways: it keeps unknown fields in `extra`, reads null as absent, leaves None out on writing, and
reports the place of a misread value without a second pass.

A reader keeps a value in its usual form. The others are read tolerantly: an ID that came as a
number, a count that came as text, a status in another case, a date that means "not set". A value
that cannot be read raises `Misread`, which collects its place as it propagates.
"""

from __future__ import annotations

import logging
import math
import re
import types
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.errors import InvalidField

if TYPE_CHECKING:
    from cattrs.preconf.orjson import OrjsonConverter

logger: logging.Logger = logging.getLogger("ccv2_async.models")

Reader = Callable[[Any, Any], Any]
Writer = Callable[[Any], Any]

DEPTH_LIMIT = 64
"""The maximum depth of nesting: far more than any resource has, far less than the stack."""

MOST_BAD_ROWS = 1000
"""The maximum number of unreadable rows in one response: each takes 100 times its size."""

WHOLE = object()
"""What the reader of an object that was asked for gets, and of a row, but not of a part of one.

Such an object, unless it is empty, has at least one field of its model, and none that is an error.
Every field may be absent, so nothing else tells it from an error of a gateway.
"""

_ERROR_NAME = re.compile(
    r"errors?([_-]?(key|code|message))?|message|fault|exception", re.IGNORECASE
)

ID_NAME = re.compile(r"(?:.*_)?ids?")
"""The names of fields that hold IDs, which the service accepts only as text."""

_LISTS_OF_IDS = frozenset({"lists", "contact_lists"})

_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,18}\s*")
_DECIMAL = re.compile(r"\s*[+-]?[0-9]{1,18}(\.[0-9]{1,18})?\s*")
_NOT_SET = {(1970, 1, 1), (1969, 12, 31)}

# The date fields that a warning was logged for, as (class name, field).
_warned: set[tuple[str, str]] = set()


class Misread(Exception):  # noqa: N818  # never leaves the package: `convert` makes a DecodeError of it
    """A value does not fit its model. `path` grows from the inside out."""

    def __init__(self, expected: str, value: object) -> None:
        super().__init__(expected)
        self.path: list[str | int] = []
        self.expected = expected
        self.value = value

    def under(self, step: str | int) -> Misread:
        """Add the step of the next outer level, and return the exception."""
        self.path.append(step)
        return self

    @property
    def where(self) -> str:
        """The place, such as `results[3].size`."""
        path = [step for step in reversed(self.path) if step != ""]
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
        return "".join(steps).removeprefix(".")


class _Unusable(Exception):  # noqa: N818  # never leaves this module
    """The field is None, and `extra` keeps the value. `warn` means that this should be logged."""

    def __init__(self, *, warn: bool = False) -> None:
        super().__init__()
        self.warn = warn


@cache
def converter(*, request: bool = False) -> OrjsonConverter:
    """Return the cattrs converter. The hooks of a class are made on first use.

    Args:
        request: Whether it writes the bodies of requests; see `make_writer`.
    """
    from cattrs.preconf.orjson import make_converter  # noqa: PLC0415  # imported when first needed

    made = make_converter(detailed_validation=False)
    for kind, read in ((str, text), (int, whole), (float, decimal), (bool, flag)):
        made.register_structure_hook(kind, read)
    made.register_structure_hook(StrEnum, lambda value, kind: enum_reader(kind)(value, kind))
    made.register_structure_hook_factory(attrs.has, make_reader)
    made.register_unstructure_hook(datetime, utc_text)
    made.register_unstructure_hook(StrEnum, str)
    made.register_unstructure_hook_factory(
        attrs.has, lambda model: make_writer(model, request=request)
    )
    return made


# ------------------------------------------------------------------------------------- values


def text(value: object, _: object = None) -> str:
    """Return text. An ID that was sent as a number is the same ID."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    # A whole number beyond 64 bits arrives as a float. Its digits are lost, so it is not an ID.
    raise Misread("text", value)


def whole(value: object, _: object = None) -> int:
    """Return a whole number, even if it came as text or as 12.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise Misread("a whole number", value)


def _whole_if_possible(value: object, _: object) -> int:
    try:
        return whole(value)
    except Misread:
        raise _Unusable from None


def decimal(value: object, _: object = None) -> float:
    """Return a number, even if it came as text or without a fraction."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise Misread("a number", value)


def flag(value: object, _: object = None) -> bool:
    """Return True or False."""
    if isinstance(value, bool):
        return value
    raise Misread("true or false", value)


def _date(value: Any, _: object) -> datetime:
    """Return a date with a time zone. The epoch and the empty string mean "not set"."""
    try:
        read = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _Unusable(warn=value != "") from None
    if 1971 < read.year < 9999 and read.tzinfo:
        return read
    # A margin of one year at each end, so that a change of offset cannot overflow.
    if not 1 < read.year < 9999:
        raise _Unusable(warn=True)
    if (read.year, read.month, read.day) in _NOT_SET:
        raise _Unusable
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _raw(value: Any, _: object) -> Any:
    bounded(value)
    return value


_FIELD_READERS: dict[type[Any], Reader] = {datetime: _date, object: _raw}


def spellings(members: type[StrEnum]) -> dict[str, StrEnum]:
    """Return the members by their usual spellings: original, lower case and upper case."""
    table: dict[str, StrEnum] = {}
    for member in members:
        table |= {member.value.casefold(): member, member.value.upper(): member}
    return table | {member.value: member for member in members}


@cache
def enum_reader(members: type[StrEnum]) -> Reader:
    """Return the hook that reads a word in any case. An unknown word stays a plain string."""
    table = spellings(members)

    def read(value: Any, _: Any) -> str:
        try:
            return table[value]
        except (KeyError, TypeError):
            word = text(value)
            return table.get(word.casefold(), word)

    return read


def bounded(value: object) -> None:
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
    raise Misread(f"JSON with at most {DEPTH_LIMIT} levels of nesting", value)


def rows(value: object, read: Reader) -> list[Any]:
    """Return every element of an array. Null means an empty array; nulls inside are left out."""
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise Misread("an array", value)
    index = 0
    out = []
    try:
        for index, row in enumerate(value):  # noqa: B007  # the place of an unreadable one
            if row is not None:
                out.append(read(row, None))
    except Misread as problem:
        raise problem.under(index) from None
    return out


def rows_apart(value: object, read: Reader, bad: Callable[[int, Any, Exception], Any]) -> list[Any]:
    """Return every element of an array, with the result of `bad` for unreadable ones.

    Null is an empty array. A null inside an array is unreadable.

    Raises:
        Misread: It is not an array, or more than `MOST_BAD_ROWS` of its elements cannot be read.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise Misread("an array", value)
    out: list[Any] = []
    numbered = enumerate(value)
    index, row, bad_rows = 0, None, 0
    while True:
        try:
            for index, row in numbered:  # noqa: B007  # the place of an unreadable one
                out.append(read(row, WHOLE))
        except (Misread, RecursionError, OverflowError, ValueError) as problem:
            bad_rows += 1
            if bad_rows > MOST_BAD_ROWS:
                break
            # Its traceback would keep the frames of a thousand rows alive.
            out.append(bad(index, row, problem.with_traceback(None)))
        else:
            return out
    raise Misread(f"an array with at most {MOST_BAD_ROWS:,} unreadable rows", value)


# ------------------------------------------------------------------------------------- fields


@attrs.frozen
class Shape:
    """The type that the annotation of a field describes.

    Attributes:
        kind: The class of a value: str, int, datetime, an enumeration, a model, or object for
            any JSON.
        many: Whether the field holds any number of them.
        optional: Whether it may be absent.
        text_too: Whether an element may be plain text instead (`ActivityError | str`).
    """

    kind: type[Any]
    many: bool = False
    optional: bool = False
    text_too: bool = False


def shape(annotation: Any) -> Shape:
    """Return the shape that an annotation describes."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple:
        return attrs.evolve(shape(parts[0]), many=True)
    if origin in (types.UnionType, typing.Union):
        kinds = [part for part in parts if part is not type(None)]
        found = shape(next((part for part in kinds if part is not str), str))
        text_too = attrs.has(found.kind) and len(kinds) > 1
        return attrs.evolve(found, optional=type(None) in parts, text_too=text_too)
    if annotation is Any or origin is not None:
        return Shape(object, optional=True)
    return Shape(annotation)


def shapes(model: type[Any]) -> dict[str, Shape]:
    """Return the shape of every field of a model except `extra`."""
    hints = typing.get_type_hints(model)
    return {a.name: shape(hints[a.name]) for a in _fields(model) if a.name != "extra"}


def _fields(model: type[Any]) -> tuple[attrs.Attribute[Any], ...]:
    return attrs.fields(model)  # type: ignore[no-any-return]  # attrs types it per class


# ------------------------------------------------------------------------------------- models


def make_reader(model: type[Any]) -> Reader:
    """Return the hook that reads `model` from a dict."""
    described = shapes(model)
    known = frozenset(described)
    named = any(a.kw_only and a.name != "extra" for a in _fields(model))
    make = _by_slots(model) if named else model
    # Each field that the service also sends under another name, with that name.
    renamed = [(a.name, alias) for a in _fields(model) for alias in _aliases(a)]

    def read(data: Any, whole: Any) -> Any:
        if data.__class__ is not dict:
            raise Misread("an object", data)
        extra: dict[str, Any] = {}
        if not known.issuperset(data):
            data, extra = _with_aliases(data, known, renamed, whole)
        get = data.get
        values = []
        for key, usual, absent, required, read_field in table:
            value = get(key)
            if value.__class__ is not usual and value is not None:
                try:
                    value = read_field(value, None)
                except Misread as problem:
                    raise problem.under(key) from None
                except _Unusable as problem:
                    _keep(value, key, extra, model if problem.warn else None)
                    value = None
            if value is None:
                value = absent
                if required:
                    raise Misread("there", None).under(key)
            values.append(value)
        return make(*values, extra=extra)

    # A model may hold itself, so its reader comes before the readers of its fields.
    table = [
        _row(getattr(attrs.fields(model), name), s, model, read) for name, s in described.items()
    ]
    return read


def _by_slots(model: type[Any]) -> Callable[..., Any]:
    """Return a function that makes a model from the values of its fields, in order, and `extra`.

    Keyword-only fields cannot be passed in order, and passing them by name is slow. So the values,
    which are in their final form, go straight into the slots.
    """
    store_extra, *stores = (
        getattr(model, a.name).__set__
        for a in sorted(_fields(model), key=lambda a: a.name != "extra")
    )

    def make(*values: Any, extra: dict[str, Any]) -> Any:
        made = object.__new__(model)
        for store, value in zip(stores, values, strict=False):
            store(made, value)
        store_extra(made, extra)
        return made

    return make


def _row(
    a: attrs.Attribute[Any], s: Shape, model: type[Any], read_model: Reader
) -> tuple[str, type[Any] | None, Any, bool, Reader]:
    """Return how a field is read.

    These are its name, the class of values that need no reading, the value of an absent field,
    whether it must not be absent, and the reader of other values. A model may contain itself.
    """
    usual = s.kind if s.kind in {str, int, float, bool} and not s.many else None
    absent: Any = () if s.many else None
    if isinstance(a.default, str | bool | tuple):
        absent = a.default
    nested = s.kind is model
    read = read_model if nested else _FIELD_READERS.get(s.kind) or reader_of(s.kind)
    read = _field_reader(a, s, read, nested=nested)
    return a.name, usual, absent, absent is None and not s.optional, read


def reader_of(kind: Any) -> Reader:
    """Return the hook that reads one value of a class."""
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return enum_reader(kind)
    return converter().get_structure_hook(kind)


def _with_aliases(
    data: dict[str, Any], known: frozenset[str], renamed: list[tuple[str, str]], whole: object
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return `data` with the values that came under another name, and the unknown fields.

    The unknown fields remember the other names.

    Raises:
        Misread: It is a whole object, and none of its fields is known, or one names an error.
    """
    extra = {key: data[key] for key in data if key not in known}
    bounded(extra)
    for key, alias in renamed:
        if alias in extra:
            if data.get(key) is None:
                data = data | {key: extra[alias]}
            else:
                # Both names are present: keep both unchanged.
                extra.setdefault(key, data[key])
    if whole is WHOLE and (known.isdisjoint(data) or names_error(extra)):
        raise Misread("an object with a known field and without an error", data)
    return data, extra


def names_error(fields: dict[str, Any]) -> bool:
    """Return whether one of the fields is an error, in any common spelling, and not empty."""
    return any(value and _ERROR_NAME.fullmatch(name) for name, value in fields.items())


def _keep(value: Any, key: str, extra: dict[str, Any], owner: type[Any] | None) -> None:
    """Keep an unusable value in `extra`. If it has an owner, log that once for each field."""
    try:
        bounded(value)
    except Misread as problem:
        raise problem.under(key) from None
    extra[key] = value
    if owner is not None and (owner.__name__, key) not in _warned:
        _warned.add((owner.__name__, key))
        text = "%s.%s has a date that cannot be read. It is None; `extra` has it. Logged once."
        logger.warning(text, owner.__name__, key)


def _field_reader(a: attrs.Attribute[Any], s: Shape, read: Reader, *, nested: bool) -> Reader:
    """Return the function that reads the value of a field, given the reader of one element."""

    def read_text_or(value: Any, _: Any) -> Any:
        return value if isinstance(value, str) else read(value, None)

    def read_first(value: Any, _: Any) -> Any:
        if value.__class__ is list:
            value = value[0] if value else None
        return None if value is None else read(value, None)

    read_element = read_text_or if s.text_too else read

    def read_many(value: Any, _: Any) -> tuple[Any, ...]:
        if nested:
            bounded(value)
        return tuple(rows(value, read_element))

    if s.many:
        return read_many
    if "lenient" in a.metadata:
        return _whole_if_possible
    return read_first if "first" in a.metadata else read_element


def make_writer(model: type[Any], *, request: bool) -> Writer:
    """Return the hook that writes `model` to a dict.

    It leaves None out, and writes the fields that `extra` keeps.

    Args:
        model: The model class.
        request: Whether the dict is the body of a request: read-only fields are left out, and IDs
            are text, which is what the service accepts.
    """
    described = shapes(model)
    keeps_extra = len(described) < len(_fields(model))
    omit_empty = getattr(model, "__omit_empty__", False)
    dropped = read_only_fields(model) if request else frozenset()
    unsent = {
        alias for a in _fields(model) for alias in (a.name, *_aliases(a)) if a.name in dropped
    }

    def write(instance: Any) -> dict[str, Any]:
        out = {**instance.extra} if keeps_extra and instance.extra is not None else {}
        if request and out:
            kept = {name: value for name, value in out.items() if name not in unsent}
            out = with_text_ids(kept, "")
        for key, aliases, skips_empty, write_field in table:
            value = getattr(instance, key)
            if value is None or (skips_empty and not value):
                continue
            name = next((a for a in aliases if a in out and key not in out), key)
            written = write_field(value) if write_field is not None else value
            if written is not None:
                out[name] = written
        return out

    # A model may hold itself, so its writer comes before the writers of its fields.
    def writer_of(kind: type[Any]) -> Writer:
        return write if kind is model else converter(request=request).get_unstructure_hook(kind)

    table = [
        (
            a.name,
            _aliases(a),
            omit_empty and described[a.name].many,
            _field_writer(a, described[a.name], writer_of, request=request),
        )
        for a in _fields(model)
        if a.name in described and a.name not in dropped
    ]
    return write


def _aliases(a: attrs.Attribute[Any]) -> tuple[str, ...]:
    """Return the other names that the service uses for a field."""
    names: tuple[str, ...] = a.metadata.get("aliases", ())
    return names


def read_only_fields(model: type[Any]) -> frozenset[str]:
    """Return the names of the fields that the service sets and a request leaves out."""
    names: frozenset[str] = getattr(model, "__read_only__", frozenset())
    return names


def is_id(name: str) -> bool:
    """Return whether a field of that name holds IDs."""
    return name in _LISTS_OF_IDS or ID_NAME.fullmatch(name) is not None


def with_text_ids(value: Any, name: str) -> Any:
    """Return the JSON value under `name` with each ID that is a number as text."""
    if isinstance(value, dict):
        return {key: with_text_ids(entry, str(key)) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [with_text_ids(entry, name) for entry in value]
    if attrs.has(type(value)):
        return converter(request=True).unstructure(value)
    if isinstance(value, int) and not isinstance(value, bool) and is_id(name):
        return str(value)
    return value


def _field_writer(
    a: attrs.Attribute[Any], s: Shape, writer_of: Callable[[type[Any]], Writer], *, request: bool
) -> Writer | None:
    """Return the function that writes one value; None for a value that is written unchanged."""
    if request and s.kind in (str, object) and is_id(a.name):
        return lambda value: with_text_ids(value, a.name)
    write = _element_writer(a.name, s, writer_of)
    if s.many:
        return list if write is None else lambda values: [write(value) for value in values]
    if request and "writable" in a.metadata:
        words, spelled = frozenset(map(str, a.metadata["writable"])), write or str
        return lambda value: word if (word := spelled(value)) in words else None
    return write


def _element_writer(key: str, s: Shape, writer_of: Callable[[type[Any]], Writer]) -> Writer | None:
    if s.kind is datetime:
        return lambda value: utc_text(value, key)
    if attrs.has(s.kind):
        write = writer_of(s.kind)
        if not s.text_too:
            return write
        return lambda value: value if value.__class__ is str else write(value)
    if s.kind is not object and issubclass(s.kind, StrEnum):
        # A word in another case is sent in the service's spelling.
        words = {word: str(member) for word, member in spellings(s.kind).items()}
        return lambda value: words.get(value) or words.get(str(value).casefold(), str(value))
    return None


def utc_text(value: datetime, key: str = "date") -> str:
    """Return a date in the service's format: in UTC, with milliseconds and Z.

    Raises:
        InvalidField: The date has no time zone, or is out of range. Safe to try again: no.
    """
    if value.tzinfo is None:
        rule = "a date needs a time zone, such as tzinfo=UTC"
        raise InvalidField(key, value.isoformat(), rule)
    try:
        there = value.astimezone(UTC)
    except OverflowError:
        rule = "it must be between the years 1 and 9999 in UTC"
        raise InvalidField(key, value.isoformat(), rule) from None
    return there.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
