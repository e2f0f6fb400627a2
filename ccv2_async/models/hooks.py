"""The functions that read one model from a dict and write it back.

cattrs asks for such a hook once for each class. A hook made here goes through a table with one
function for each field; `reading` handles every value that does not have its usual form. It
differs from the hook that cattrs would generate in four ways: it keeps unknown fields in `extra`,
reads null as absent, leaves None out on writing, and reports the place of a misread value without
a second run.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async import errors
from ccv2_async.models import reading
from ccv2_async.models.reading import Misread

if TYPE_CHECKING:
    from cattrs import Converter

Reader = Callable[[Any, Any], Any]
Writer = Callable[[Any], Any]

ID_NAME = re.compile(r"(?:.*_)?ids?")
"""The names of fields that hold ids, which the service takes as text only."""

_LISTS_OF_IDS = frozenset({"lists", "contact_lists"})

_FieldReader = Callable[[Any, dict[str, Any]], Any]
"""Reads a value that is not None; what cannot be kept in the field goes into the dict."""

_CONVERSIONS: dict[type, Callable[[Any, str], Any]] = {
    str: reading.text,
    int: reading.whole,
    float: reading.decimal,
    bool: reading.flag,
}


@attrs.frozen
class Shape:
    """What the annotation of a field says.

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
    if typing.get_origin(annotation) is tuple:
        return attrs.evolve(shape(typing.get_args(annotation)[0]), many=True)
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        parts = list(typing.get_args(annotation))
        optional = type(None) in parts
        kinds = [part for part in parts if part is not type(None)]
        others = [part for part in kinds if part is not str]
        if not others:
            return Shape(str, optional=optional)
        inner = shape(others[0])
        is_model = attrs.has(inner.kind)
        return attrs.evolve(inner, optional=optional, text_too=is_model and len(kinds) > 1)
    if annotation is Any or typing.get_origin(annotation) is not None:
        return Shape(object, optional=True)
    return Shape(annotation)


def shapes(model: type[Any]) -> dict[str, Shape]:
    """Return the shape of every field of a model except `extra`."""
    hints = typing.get_type_hints(model)
    return {a.name: shape(hints[a.name]) for a in _fields(model) if a.name != "extra"}


def _fields(model: type[Any]) -> tuple[attrs.Attribute[Any], ...]:
    return attrs.fields(model)  # type: ignore[no-any-return]  # attrs types it per class


def make_reader(model: type[Any], converter: Converter) -> Reader:
    """Return the hook that reads `model` from a dict."""
    fields = [a for a in _fields(model) if a.name != "extra"]
    keeps_extra = len(fields) < len(_fields(model))
    known = frozenset(a.name for a in fields)
    aliases = [(a.name, alias) for a in fields for alias in a.metadata.get("aliases", ())]
    described = shapes(model)

    def read(data: Any, _: Any) -> Any:
        if data.__class__ is not dict:
            raise Misread(None, "an object", data)
        extra: dict[str, Any] = {}
        if not known.issuperset(data):
            extra = {key: data[key] for key in data if key not in known}
            reading.bounded(extra, None)
            if aliases:
                data = _with_aliases(data, extra, aliases)
        get = data.get
        values = []
        for key, usual, absent, required, read_field in table:
            value = get(key)
            if value.__class__ is not usual:
                value = absent if value is None else read_field(value, extra)
                if value is None and required:
                    reading.missing(key)
            values.append(value)
        return model(*values, extra=extra) if keeps_extra else model(*values)

    # A model may hold itself, so its reader comes before the readers of its fields.
    def reader_of(kind: type[Any]) -> Reader:
        return read if kind is model else converter.get_structure_hook(kind)

    table = [
        (
            a.name,
            _usual_class(described[a.name]),
            _absent(a, described[a.name]),
            not (described[a.name].optional or described[a.name].many),
            _field_reader(a, described[a.name], model, reader_of),
        )
        for a in fields
    ]
    return read


def _with_aliases(
    data: dict[str, Any], extra: dict[str, Any], aliases: list[tuple[str, str]]
) -> dict[str, Any]:
    """Return `data` with values that came under another name; `extra` remembers that name."""
    for key, alias in aliases:
        if alias in extra:
            if data.get(key) is None:
                data = data | {key: extra[alias]}
            else:
                # Both names came: keep both as they are.
                extra.setdefault(key, data[key])
    return data


def _usual_class(s: Shape) -> type[Any] | None:
    """Return the class whose instances need no reading, such as str."""
    return s.kind if s.kind in _CONVERSIONS and not s.many else None


def _absent(a: attrs.Attribute[Any], s: Shape) -> Any:
    """Return the value of a field that is absent or null."""
    if isinstance(a.default, str | bool | tuple):
        return a.default
    return () if s.many else None


def _field_reader(
    a: attrs.Attribute[Any], s: Shape, model: type[Any], reader_of: Callable[[type[Any]], Reader]
) -> _FieldReader:
    """Return the function that reads a value which is neither None nor of the usual class."""
    key = a.name
    if s.many:
        return _many_reader(key, _element_reader(s, reader_of), nested=s.kind is model)
    if s.kind in _CONVERSIONS:
        return _scalar_reader(key, s.kind, lenient=a.metadata.get("lenient", False))
    if s.kind is datetime:
        return _date_reader(key, model.__name__)
    if s.kind is object:
        return _raw_reader(key)
    if issubclass(s.kind, StrEnum):
        return _word_reader(key, s.kind)
    return _model_reader(key, _element_reader(s, reader_of), first=a.metadata.get("first", False))


def _scalar_reader(key: str, kind: type[Any], *, lenient: bool) -> _FieldReader:
    if lenient:
        return lambda value, extra: reading.whole_if_possible(value, key, extra)
    convert = _CONVERSIONS[kind]
    return lambda value, _: convert(value, key)


def _date_reader(key: str, owner: str) -> _FieldReader:
    fromisoformat = datetime.fromisoformat

    def read(value: Any, extra: dict[str, Any]) -> datetime | None:
        try:
            date = fromisoformat(value)
        except (TypeError, ValueError):
            date = None
        if date is not None and 1971 < date.year < 9999 and date.tzinfo:
            return date
        return reading.unusual_date(value, key, owner, extra)

    return read


def _raw_reader(key: str) -> _FieldReader:
    def read(value: Any, _: dict[str, Any]) -> Any:
        reading.bounded(value, key)
        return value

    return read


def _word_reader(key: str, members: type[StrEnum]) -> _FieldReader:
    table = reading.spellings(members)

    def read(value: Any, _: dict[str, Any]) -> str:
        try:
            return table[value]
        except (KeyError, TypeError):
            return reading.open_enum(value, table, key)

    return read


def _many_reader(key: str, read_element: Reader, *, nested: bool) -> _FieldReader:
    def read(value: Any, _: dict[str, Any]) -> tuple[Any, ...]:
        if nested:
            reading.bounded(value, key)
        return tuple(reading.rows(value, read_element, key))

    return read


def _model_reader(key: str, read_model: Reader, *, first: bool) -> _FieldReader:
    def read(value: Any, _: dict[str, Any]) -> Any:
        if first and value.__class__ is list:
            value = value[0] if value else None
            if value is None:
                return None
        try:
            return read_model(value, None)
        except Misread as problem:
            raise problem.under(key) from None

    return read


def _element_reader(s: Shape, reader_of: Callable[[type[Any]], Reader]) -> Reader:
    """Return the reader of one element of a field."""
    if s.kind is object:
        return _raw
    if issubclass(s.kind, StrEnum):
        return enum_reader(s.kind)
    read = reader_of(s.kind)
    return _text_or(read) if s.text_too else read


@cache
def enum_reader(members: type[StrEnum]) -> Reader:
    """Return the function that reads one word of an enumeration, known or not."""
    table = reading.spellings(members)
    return lambda value, _: reading.open_enum(value, table, None)


def _raw(value: Any, _: Any) -> Any:
    reading.bounded(value, None)
    return value


def _text_or(read: Reader) -> Reader:
    return lambda value, _: value if isinstance(value, str) else read(value, None)


def make_writer(model: type[Any], converter: Converter, *, request: bool = False) -> Writer:
    """Return the hook that writes `model` to a dict.

    It leaves None out, and writes the fields that `extra` keeps.

    Args:
        model: The model class.
        converter: Gives the hooks of the models inside.
        request: Whether the dict is the body of a request: read-only fields are left out, and ids
            are text, which is what the service accepts.
    """
    fields = [a for a in _fields(model) if a.name != "extra"]
    keeps_extra = len(fields) < len(_fields(model))
    omit_empty = getattr(model, "__omit_empty__", False)
    described = shapes(model)
    unsent: set[str] = set()
    if request:
        dropped = [a for a in fields if a.name in read_only_fields(model)]
        fields = [a for a in fields if a not in dropped]
        unsent = {n for a in dropped for n in (a.name, *a.metadata.get("aliases", ()))}

    def write(instance: Any) -> dict[str, Any]:
        out = dict(instance.extra or {}) if keeps_extra else {}
        if request and out:
            kept = {name: value for name, value in out.items() if name not in unsent}
            out = with_text_ids(kept, "", converter)
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
        return write if kind is model else converter.get_unstructure_hook(kind)

    table = [
        (
            a.name,
            a.metadata.get("aliases", ()),
            omit_empty and described[a.name].many,
            (_request_field_writer(a, described[a.name], writer_of, converter) if request else None)
            or _field_writer(a.name, described[a.name], writer_of),
        )
        for a in fields
    ]
    return write


def _request_field_writer(
    a: attrs.Attribute[Any],
    s: Shape,
    writer_of: Callable[[type[Any]], Writer],
    converter: Converter,
) -> Writer | None:
    """Return the function for a field that a request writes in its own way; None for others."""
    if s.kind in (str, object) and is_id(a.name):
        return lambda value: with_text_ids(value, a.name, converter)
    if "writable" in a.metadata:
        words = frozenset(map(str, a.metadata["writable"]))
        write = _field_writer(a.name, s, writer_of) or str
        return lambda value: written if (written := write(value)) in words else None
    return None


def read_only_fields(model: type[Any]) -> frozenset[str]:
    """Return the names of the fields that the service sets and a request leaves out."""
    names: frozenset[str] = getattr(model, "__read_only__", frozenset())
    return names


def is_id(name: str) -> bool:
    """Return whether a field of that name holds ids."""
    return name in _LISTS_OF_IDS or ID_NAME.fullmatch(name) is not None


def with_text_ids(value: Any, name: str, converter: Converter) -> Any:
    """Return what JSON holds under `name` with each number that is an id as text."""
    if isinstance(value, dict):
        return {key: with_text_ids(entry, str(key), converter) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [with_text_ids(entry, name, converter) for entry in value]
    if attrs.has(type(value)):
        return converter.unstructure(value)
    if isinstance(value, int) and not isinstance(value, bool) and is_id(name):
        return str(value)
    return value


def _field_writer(key: str, s: Shape, writer_of: Callable[[type[Any]], Writer]) -> Writer | None:
    """Return the function that writes one value; None for a value that is written as it is."""
    write = _element_writer(key, s, writer_of)
    if not s.many:
        return write
    if write is None:
        return list
    return lambda values: [write(value) for value in values]


def _element_writer(key: str, s: Shape, writer_of: Callable[[type[Any]], Writer]) -> Writer | None:
    if s.kind is datetime:
        return lambda value: utc_text(value, key)
    if attrs.has(s.kind):
        write = writer_of(s.kind)
        return (
            (lambda value: value if value.__class__ is str else write(value))
            if s.text_too
            else write
        )
    if s.kind is not object and issubclass(s.kind, StrEnum):
        # A word in another case is sent as the service spells it.
        words = {word: str(member) for word, member in reading.spellings(s.kind).items()}
        return lambda value: words.get(value) or words.get(str(value).casefold(), str(value))
    return None


def utc_text(value: datetime, key: str = "date") -> str:
    """Return a date as the service writes it: in UTC, with milliseconds and Z.

    Raises:
        InvalidField: The date has no time zone, or is out of range. Safe to try again: no.
    """
    if value.tzinfo is None:
        rule = "a date needs a time zone, such as tzinfo=UTC"
        raise errors.InvalidField(key, value.isoformat(), rule)
    try:
        there = value.astimezone(UTC)
    except OverflowError:
        rule = "date out of range: years 1 to 9999 in UTC"
        raise errors.InvalidField(key, value.isoformat(), rule) from None
    return there.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
