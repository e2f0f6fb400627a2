"""Validate the values of a request before it is sent.

Two things are checked: the type of each value, which the annotation of its field says, and the
limits of the service. A limit stands where its field is defined, as attrs metadata made by `rule`.
`check` reads both. Answers of the service are never checked.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeGuard, cast

import attrs

from ccv2_async.errors import InvalidField
from ccv2_async.models.hooks import DEPTH_LIMIT, ID_NAME, shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from ccv2_async.models.hooks import Shape

__all__ = [
    "Rule",
    "check",
]

P = ParamSpec("P")
Rules = Mapping[str, "Rule"]
Problem = tuple[str, object, str]
"""The place below the field, the value there, and what it must be."""

TEXT = "it must be text"
WHOLE = "it must be a whole number of 64 bits at most"
NUMBER = "it must be a number"
FLAG = "it must be True or False"
MOMENT = "it must be a datetime with a time zone"

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
        broken = limit.broken_by(given.get(name))
        if broken:
            raise InvalidField(prefix + name, given.get(name), broken)
    for need in getattr(values, "__needs__", ()):
        demand = need.broken_by(given)
        if demand:
            raise InvalidField(prefix + demand[0], given.get(demand[0]), demand[1])
    for place, inner in _models_inside(given, prefix):
        check(inner, prefix=f"{place}.")


def _models_inside(given: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield each model inside the values, with its place."""
    for name, value in given.items():
        entries: Iterable[tuple[int | None, Any]] = (
            enumerate(value) if isinstance(value, tuple | list) else [(None, value)]
        )
        for index, entry in entries:
            if attrs.has(type(entry)):
                yield f"{prefix}{name}" if index is None else f"{prefix}{name}[{index}]", entry


# ------------------------------------------------------------------------------------- limits


def _words(allowed: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if allowed is None else tuple(str(word) for word in allowed)


@attrs.frozen(kw_only=True)
class Rule:
    """The limits of one field. What is None is not limited.

    Attributes:
        required: Whether the service refuses a request without the field.
        min_length: The least number of characters, or of entries in a collection.
        max_length: The largest number of characters, or of entries in a collection.
        least: The smallest number.
        most: The largest number.
        allowed: The accepted words, or an enumeration of them. Case is ignored. In a collection
            they apply to each entry.
        pattern: A regular expression for the whole text.
        pattern_means: The pattern in words, such as "letters, digits and _ are accepted".
        holds: Words of which a collection needs one unless it is empty. Case is ignored.
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
        unit = "characters" if isinstance(value, str) else "entries"
        if isinstance(value, Sequence | Mapping):
            if self.max_length is not None and len(value) > self.max_length:
                return f"at most {self.max_length} {unit} are accepted, it has {len(value)}"
            if self.min_length is not None and len(value) < self.min_length:
                return f"at least {self.min_length} {unit} are needed, it has {len(value)}"
            if self.holds and value and not _has_known(self.holds, list(value)):
                return "one of its entries must be " + " or ".join(self.holds)
        if isinstance(value, int | float):
            return self._number_broken_by(value)
        return self._words_broken_by(value)

    def _number_broken_by(self, value: float) -> str | None:
        if self.least is not None and not value >= self.least:
            return f"the least that is accepted is {self.least:g}"
        if self.most is not None and not value <= self.most:
            return f"the most that is accepted is {self.most:g}"
        return None

    def _words_broken_by(self, value: object) -> str | None:
        entries = value if isinstance(value, tuple | list) else ()
        words = (value,) if isinstance(value, str) else entries
        if self.allowed and not all(_has_known(self.allowed, (word,)) for word in words):
            return "accepted are " + ", ".join(self.allowed)
        if self.pattern and isinstance(value, str) and not re.fullmatch(self.pattern, value):
            return self.pattern_means
        return None


def _as_metadata(make: Callable[P, Rule]) -> Callable[P, dict[str, Any]]:
    def rule(*args: P.args, **limits: P.kwargs) -> dict[str, Any]:
        """Return the limits of a field as attrs metadata; see `Rule` for the arguments."""
        return {"rule": make(*args, **limits)}

    return rule


rule: Callable[..., dict[str, Any]] = _as_metadata(Rule)


@attrs.frozen
class Need:
    """What the value of one field requires of other fields of the same model.

    Attributes:
        field: The field with the value.
        value: The value that sets the requirement. In a collection, one entry is enough.
        needs: The fields that are required then.
        any_of: Whether one of them is enough.
        excludes: A field that must not have the same value.
        single: A collection that must have exactly one entry then.
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
        because = f"{self.field} {'has' if among else 'is'} {shown}"
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

    Of a model inside, only the class is checked. None passes, because requiring a value is the
    business of a rule.

    Args:
        given: Values by field name. Names that the model does not have pass.
        model: The model class.
        prefix: Text before the field's name in the error, such as `import_data[3].`.

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
            place, wrong, expected = problem
            raise InvalidField(f"{prefix}{name}{place}", wrong, expected)


def is_text(value: object) -> TypeGuard[str]:
    """Return whether it is text that can be sent. Half of a surrogate pair cannot."""
    return isinstance(value, str) and (value.isascii() or _SURROGATE.search(value) is None)


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether it is a whole number that JSON carries safely. A bool is not a number."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**64


def is_number(value: object) -> TypeGuard[float]:
    """Return whether it is a finite number. A bool is not a number."""
    return (isinstance(value, float) and math.isfinite(value)) or is_whole(value)


def is_flag(value: object) -> TypeGuard[bool]:
    """Return whether it is True or False. 1 and 0 are not."""
    return isinstance(value, bool)


def is_plain_function(value: object) -> bool:
    """Return whether it is callable and not async."""
    return callable(value) and not any(
        inspect.iscoroutinefunction(called) for called in (value, type(value).__call__)
    )


def a_model(model: type[Any]) -> str:
    """Return in words what an argument that takes a model must be."""
    return f"it must be {'an' if model.__name__[:1] in 'AEIO' else 'a'} {model.__name__}"


@cache
def _kinds_of(model: Any) -> dict[str, Callable[[Any], Problem | None]]:
    """Return a function for each field that returns what is wrong with a value, or None."""
    kinds = {name: _kind(name, shape) for name, shape in shapes(model).items()}
    if any(a.name == "extra" for a in attrs.fields(model)):
        kinds["extra"] = _check_extra
    return kinds


def _kind(name: str, shape: Shape) -> Callable[[Any], Problem | None]:
    fits, expected = _fitting(name, shape)

    def one(value: Any) -> Problem | None:
        return None if fits(value) else ("", value, expected)

    def many(value: Any) -> Problem | None:
        if not isinstance(value, tuple | list):
            return "", value, f"it must be a list or tuple; of each entry: {expected}"
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


def _check_extra(value: Any) -> Problem | None:
    if not isinstance(value, Mapping) or not all(is_text(key) for key in value):
        return "", value, "it must be a dict of further fields by name"
    for key, entry in value.items():
        if not _is_json(entry):
            return f"[{key!r}]", entry, "it must be what JSON can hold"
    return None


def _is_json(value: Any, level: int = 0) -> bool:
    """Return whether JSON can hold it, models and dates included."""
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
