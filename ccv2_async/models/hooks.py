"""Generated functions that read one model from a dict and write it back.

cattrs asks for a hook once a class; the hook made here is straight-line code: one look-up and
one check of the common form a field, everything else in `reading`. It differs from the hook that
cattrs would generate in what the service asks for: unknown fields are kept in `extra`, None is
left out on writing, and a misread value knows its place without a second run.
"""

from __future__ import annotations

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

if TYPE_CHECKING:
    from cattrs import Converter

Reader = Callable[[Any, Any], Any]
Writer = Callable[[Any], Any]

_MISSING = {str: "text", int: "whole", float: "decimal", bool: "flag"}


@attrs.frozen
class Shape:
    """What the annotation of a field says.

    Attributes:
        kind: The class behind the annotation: str, int, datetime, an enumeration, a model, or
            object for JSON that passes through.
        many: Whether the field holds any number of them.
        optional: Whether it may be absent.
        text_too: Whether an element may be plain text instead (`ActivityError | str`).
    """

    kind: type[Any]
    many: bool = False
    optional: bool = False
    text_too: bool = False


def shape(annotation: Any) -> Shape:
    """The shape that an annotation describes."""
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
    """The shape of every field of a model, `extra` left out."""
    hints = typing.get_type_hints(model)
    return {a.name: shape(hints[a.name]) for a in _fields(model) if a.name != "extra"}


def _fields(model: type[Any]) -> tuple[attrs.Attribute[Any], ...]:
    return attrs.fields(model)  # type: ignore[no-any-return]  # attrs types it per class


class _Source:
    """A function under construction for one model: its lines and the names they use."""

    def __init__(self, model: type[Any], converter: Converter, **names: Any) -> None:
        self.model = model
        self.converter = converter
        self.lines: list[str] = []
        self.names: dict[str, Any] = names

    def add(self, text: str, indent: int = 1) -> None:
        self.lines.extend("    " * indent + line for line in text.splitlines())

    def function(self, head: str, name: str) -> Any:
        source = "\n".join([head, *self.lines])
        exec(compile(source, f"<{name}>", "exec"), self.names)  # noqa: S102  # built from our own classes only
        return self.names[name]


def _twin(model: type[Any]) -> type[Any] | None:
    """A bare class laid out like the frozen one, so that its slots can be set at full speed.

    An instance becomes the real class by one assignment. None where the interpreter refuses that.
    """
    twin = type(model.__name__, (), {"__slots__": model.__slots__})
    try:
        twin().__class__ = model
    except TypeError:
        return None
    return twin


def make_reader(model: type[Any], converter: Converter) -> Reader:
    """The hook that reads `model` from a dict."""
    fields = [a for a in _fields(model) if a.name != "extra"]
    keeps_extra = len(fields) < len(_fields(model))
    source = _Source(
        model,
        converter,
        cls=model,
        known=frozenset(a.name for a in fields),
        fromisoformat=datetime.fromisoformat,
        **{name: getattr(reading, name) for name in reading.READERS},
    )
    source.add("if data.__class__ is not dict:\n    raise Misread(None, 'an object', data)")
    source.add("get = data.get\nextra = {}")
    source.add("if not known.issuperset(data):")
    source.add("    extra = {key: data[key] for key in data if key not in known}")
    source.add("    bounded(extra, None)")
    described = shapes(model)
    for a in fields:
        _read_field(source, a, described[a.name])
    _build(source, model, [a.name for a in fields], keeps_extra)
    read: Reader = source.function("def read(data, _):", "read")
    source.names["read_" + model.__name__] = read
    return read


def _build(source: _Source, model: type[Any], names: list[str], keeps_extra: bool) -> None:
    names = [*names, "extra"] if keeps_extra else names
    twin = _twin(model)
    if twin is None:
        given = ", ".join(f"{n}=" + (n if n == "extra" else f"v_{n}") for n in names)
        source.add(f"return cls({given})")
        return
    source.names |= {"new": object.__new__, "twin": twin}
    source.add("self = new(twin)")
    for name in names:
        source.add(f"self.{name} = " + (name if name == "extra" else f"v_{name}"))
    source.add("self.__class__ = cls\nreturn self")


def _read_field(source: _Source, a: attrs.Attribute[Any], s: Shape) -> None:
    key, v = a.name, f"v_{a.name}"
    source.add(f"{v} = get({key!r})")
    for alias in a.metadata.get("aliases", ()):
        source.add(f"if {alias!r} in extra:")
        source.add(f"if {v} is None:\n    {v} = extra[{alias!r}]", 2)
        # Both names came: keep both as they are.
        source.add(f"else:\n    extra.setdefault({key!r}, {v})", 2)
    if isinstance(a.default, str | bool | tuple) and a.default != ():
        source.names[f"default_{key}"] = a.default
        source.add(f"if {v} is None:\n    {v} = default_{key}")
    if s.many:
        _read_many(source, key, s)
        return
    if s.kind in _MISSING and not a.metadata.get("lenient"):
        absent = f" and {v} is not None" if s.optional else ""
        source.add(f"if {v}.__class__ is not {s.kind.__name__}{absent}:")
        if not s.optional:
            source.add(f"    if {v} is None:\n        missing({key!r})")
        source.add(f"    {v} = {_MISSING[s.kind]}({v}, {key!r})")
        return
    source.add(f"if {v} is not None:")
    _read_present(source, a, s)
    if not s.optional:
        source.add(f"if {v} is None:\n    missing({key!r})")


def _read_present(source: _Source, a: attrs.Attribute[Any], s: Shape) -> None:
    """The lines for a value that is there and is no plain scalar."""
    key, v = a.name, f"v_{a.name}"
    if s.kind is datetime:
        source.add(
            f"try:\n    t = fromisoformat({v})\n    usual = 1971 < t.year < 9999 and t.tzinfo\n"
            f"except (TypeError, ValueError):\n    usual = None\n"
            f"{v} = t if usual else unusual_date({v}, {key!r}, {source.model.__name__!r}, extra)",
            2,
        )
    elif s.kind is object:
        source.add(f"bounded({v}, {key!r})", 2)
    elif issubclass(s.kind, StrEnum):
        source.names[f"table_{key}"] = reading.spellings(s.kind)
        source.add(
            f"try:\n    {v} = table_{key}[{v}]\n"
            f"except (KeyError, TypeError):\n    {v} = open_enum({v}, table_{key}, {key!r})",
            2,
        )
    elif attrs.has(s.kind):
        if a.metadata.get("first"):
            source.add(f"if {v}.__class__ is list:\n    {v} = {v}[0] if {v} else None", 2)
            source.add(f"if {v} is not None:", 2)
        read = _reader_name(source, s)
        source.add(
            f"try:\n    {v} = {read}({v}, None)\n"
            f"except Misread as problem:\n    raise problem.under({key!r})",
            3 if a.metadata.get("first") else 2,
        )
    else:
        source.add(f"if {v}.__class__ is not int:", 2)
        source.add(f"{v} = whole_if_possible({v}, {key!r}, extra)", 3)


def _read_many(source: _Source, key: str, s: Shape) -> None:
    read = _reader_name(source, s)
    if s.kind is source.model:
        source.add(f"bounded(v_{key}, {key!r})")
    source.add(f"v_{key} = tuple(rows(v_{key}, {read}, {key!r}))")


def _reader_name(source: _Source, s: Shape) -> str:
    """The name under which the reader of one element is known to the function."""
    name = f"read_{s.kind.__name__}"
    if s.kind is object:
        source.names[name] = _raw
    elif issubclass(s.kind, StrEnum):
        source.names[name] = enum_reader(s.kind)
    elif s.kind is not source.model:  # a model inside itself is read by the function being made
        source.names[name] = source.converter.get_structure_hook(s.kind)
    if s.text_too:
        source.names[f"{name}_or_text"] = _text_or(source.names, name)
        return f"{name}_or_text"
    return name


@cache
def enum_reader(members: type[StrEnum]) -> Reader:
    """The function that reads one word of an enumeration, known or not."""
    table = reading.spellings(members)
    return lambda value, _: reading.open_enum(value, table, None)


def _raw(value: Any, _: Any) -> Any:
    reading.bounded(value, None)
    return value


def _text_or(names: dict[str, Any], name: str) -> Reader:
    def read(value: Any, _: Any) -> Any:
        return value if isinstance(value, str) else names[name](value, None)

    return read


def make_writer(model: type[Any], converter: Converter) -> Writer:
    """The hook that writes `model` to a dict: None left out, what `extra` kept put back."""
    source = _Source(model, converter, utc_text=utc_text)
    fields = [a for a in _fields(model) if a.name != "extra"]
    keeps_extra = len(fields) < len(_fields(model))
    source.add("out = dict(self.extra)" if keeps_extra else "out = {}")
    omit_empty = getattr(model, "__omit_empty__", False)
    described = shapes(model)
    for a in fields:
        s = described[a.name]
        key = repr(a.name)
        for alias in a.metadata.get("aliases", ()):
            key = f"{alias!r} if {alias!r} in out and {a.name!r} not in out else {key}"
        element = _written(source, s, "e" if s.many else "v", a.name)
        source.add(f"v = self.{a.name}")
        source.add("if v:" if s.many and omit_empty else "if v is not None:")
        source.add(f"    out[{key}] = " + (f"[{element} for e in v]" if s.many else element))
    source.add("return out")
    write: Writer = source.function("def write(self):", "write")
    source.names["write_" + model.__name__] = write
    return write


def _written(source: _Source, s: Shape, v: str, key: str) -> str:
    """The expression that writes one value."""
    if s.kind is datetime:
        return f"utc_text({v}, {key!r})"
    if attrs.has(s.kind):
        name = f"write_{s.kind.__name__}"
        if s.kind is not source.model:
            source.names[name] = source.converter.get_unstructure_hook(s.kind)
        return f"({v} if {v}.__class__ is str else {name}({v}))" if s.text_too else f"{name}({v})"
    if s.kind is not object and issubclass(s.kind, StrEnum):
        # A word of the user's in another case goes out as the service spells it.
        words = {word: str(member) for word, member in reading.spellings(s.kind).items()}
        source.names[f"words_{s.kind.__name__}"] = words
        get = f"words_{s.kind.__name__}.get"
        return f"{get}({v}) or {get}(str({v}).casefold(), str({v}))"
    return v


def utc_text(value: datetime, key: str = "date") -> str:
    """The date as the service writes it: UTC, milliseconds and Z.

    Raises:
        InvalidField: If the date has no time zone, or none in UTC. Safe to try again: no.
    """
    if value.tzinfo is None:
        raise errors.InvalidField(key, value, "a date needs a time zone, such as tzinfo=UTC")
    try:
        there = value.astimezone(UTC)
    except OverflowError:
        raise errors.InvalidField(key, value, "a date from year 1 to 9999 in UTC") from None
    return there.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
