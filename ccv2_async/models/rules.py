"""What the service accepts in a request, attached to the fields and checked before sending.

A limit stands where its field is defined, as attrs metadata made by `rule`; `check` reads the
table that results. Answers are never checked against it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async import errors
from ccv2_async.models.kinds import check_kinds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from enum import StrEnum

Rules = Mapping[str, "Rule"]


@attrs.frozen
class Rule:
    """The limits of one field. What is None is not limited.

    Attributes:
        required: Whether the service refuses a request without it.
        min_length: Characters at least; for collections entries at least.
        max_length: Characters at most; for collections entries at most.
        least: The smallest number.
        most: The largest number.
        allowed: The words that are accepted, also as entries of a collection; ignoring case.
        pattern: What the whole text must match, and `pattern_means` in words.
        pattern_means: The pattern for people.
        holds: Words of which a collection that is not empty must hold one, ignoring case.
    """

    required: bool = False
    min_length: int | None = None
    max_length: int | None = None
    least: float | None = None
    most: float | None = None
    allowed: tuple[str, ...] | None = None
    pattern: str | None = None
    pattern_means: str = ""
    holds: tuple[str, ...] | None = None

    def broken_by(self, value: object) -> str | None:
        """What the service accepts, when that is not `value`; None when all is well.

        Args:
            value: The value to be sent; None for one that is left out.
        """
        if value is None or (self.required and _empty(value)):
            return "the service requires it" if self.required else None
        unit = "characters" if isinstance(value, str) else "entries"
        if isinstance(value, Sequence | Mapping):
            if self.max_length is not None and len(value) > self.max_length:
                return f"at most {self.max_length} {unit} are accepted, it has {len(value)}"
            if self.min_length is not None and len(value) < self.min_length:
                return f"at least {self.min_length} {unit} are needed, it has {len(value)}"
            if self.holds and value and not _known(self.holds, list(value)):
                return "one of its entries must be " + " or ".join(self.holds)
        return self._number_broken_by(value) or self._word_broken_by(value)

    def _number_broken_by(self, value: object) -> str | None:
        if not isinstance(value, int | float):
            return None
        if self.least is not None and not value >= self.least:
            return f"the least that is accepted is {self.least:g}"
        if self.most is not None and not value <= self.most:
            return f"the most that is accepted is {self.most:g}"
        return None

    def _word_broken_by(self, value: object) -> str | None:
        words = (
            [value] if isinstance(value, str) else value if isinstance(value, tuple | list) else ()
        )
        if self.allowed is not None and not all(_known(self.allowed, (word,)) for word in words):
            return "accepted are " + ", ".join(self.allowed)
        if not isinstance(value, str):
            return None
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            return self.pattern_means
        return None


def rule(
    *,
    required: bool = False,
    min_length: int | None = None,
    max_length: int | None = None,
    least: float | None = None,
    most: float | None = None,
    allowed: type[StrEnum] | Sequence[str] | None = None,
    pattern: str | None = None,
    pattern_means: str = "",
    holds: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """Metadata for an attrs field: the limits that the service sets.

    Args:
        required: Whether the service refuses a request without it.
        min_length: Characters, or entries of a collection, at least.
        max_length: Characters, or entries of a collection, at most.
        least: The smallest number.
        most: The largest number.
        allowed: The words that are accepted, or the enumeration that holds them.
        pattern: A regular expression for the whole text.
        pattern_means: The pattern for people: "letters, digits and _ are accepted".
        holds: Words of which a collection that is not empty must hold one.
    """
    words = None if allowed is None else tuple(str(word) for word in allowed)
    return {
        "rule": Rule(
            required, min_length, max_length, least, most, words, pattern, pattern_means, holds
        )
    }


@attrs.frozen
class Need:
    """What a field's value asks of other fields of the same model.

    Attributes:
        field: The field that is looked at.
        value: The value that makes the demand; for collections an entry.
        needs: Fields that must then be given.
        any_of: Whether one of them is enough.
        excludes: A field that must not have the same value at once.
        single: A collection that must then have exactly one entry.
    """

    field: str
    value: object
    needs: tuple[str, ...] = ()
    any_of: bool = False
    excludes: str = ""
    single: str = ""

    def broken_by(self, given: Mapping[str, Any]) -> tuple[str, str] | None:
        """The field that breaks it and the rule in words; None when all is well."""
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
        absent = [name for name in self.needs if given.get(name) is None or _empty(given[name])]
        if not absent or (self.any_of and len(absent) < len(self.needs)):
            return None
        wanted = " or ".join(self.needs) if self.any_of else absent[0]
        return absent[0], f"the service requires {wanted} when {because}"


def rules_of(model: type[Any]) -> dict[str, Rule]:
    """The limits of a model's fields, by field name; fields without one are left out."""
    return {a.name: a.metadata["rule"] for a in attrs.fields(model) if "rule" in a.metadata}


def check(values: object, rules: Rules | None = None, *, prefix: str = "") -> None:
    """Nothing, when the service would accept the values and a model's are of the right kinds.

    Args:
        values: A model, or a mapping of names to values (for arguments of a call).
        rules: The limits by name; a model brings its own, nested models included.
        prefix: Put before the field's name in the error, such as `import_data[3].`.

    Raises:
        InvalidField: Names the field, the value and the rule. Nothing was sent. Safe to try
            again: no.
    """
    if isinstance(values, Mapping):
        given, limits = values, rules or {}
    else:
        model: type[Any] = type(values)
        given = {a.name: getattr(values, a.name) for a in attrs.fields(model)}
        limits = rules_of(model) if rules is None else rules
        check_kinds(given, model, prefix)
    _check_fields(given, limits, prefix)
    for need in getattr(values, "__needs__", ()):
        demand = need.broken_by(given)
        if demand:
            raise errors.InvalidField(prefix + demand[0], given.get(demand[0]), demand[1])
    for place, inner in _inner(given, prefix):
        check(inner, prefix=f"{place}.")


def _check_fields(given: Mapping[str, Any], limits: Rules, prefix: str) -> None:
    for name, limit in limits.items():
        broken = limit.broken_by(given.get(name))
        if broken:
            raise errors.InvalidField(prefix + name, given.get(name), broken)


def _inner(given: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """The models inside, each with its place."""
    for name, value in given.items():
        entries: Iterable[tuple[int | None, Any]] = (
            enumerate(value) if isinstance(value, tuple | list) else [(None, value)]
        )
        for index, entry in entries:
            if attrs.has(type(entry)):
                yield f"{prefix}{name}" if index is None else f"{prefix}{name}[{index}]", entry


def _same(one: object, other: object) -> bool:
    """Whether two values are equal; words ignoring case."""
    if isinstance(one, str) and isinstance(other, str):
        return one.casefold() == other.casefold()
    return one == other


def _known(words: Sequence[str], values: Sequence[Any]) -> bool:
    known = {word.casefold() for word in words}
    return any(isinstance(value, str) and value.casefold() in known for value in values)


def _empty(value: object) -> bool:
    return isinstance(value, tuple | list) and not value
