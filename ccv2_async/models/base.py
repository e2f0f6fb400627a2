"""The shared parts of all models: the base class, an outcome, and two converters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, Self, TypeVar, cast

import attrs

from ccv2_async.models.convert import encode, structure, unstructure
from ccv2_async.models.validation import Need  # noqa: TC001  # read at run time

__all__ = ["ErrorItem", "Outcome"]

T = TypeVar("T")


@attrs.frozen(weakref_slot=False)
class Model:
    """A resource of the service, or a part of one.

    Attributes:
        extra: Fields that the class does not name.
    """

    __read_only__: ClassVar[frozenset[str]] = frozenset()
    """The fields that the service sets. A request leaves them out."""
    __needs__: ClassVar[tuple[Need, ...]] = ()
    """The requirements of one field's value for other fields."""
    __omit_empty__: ClassVar[bool] = False
    """Whether empty collections are left out of the JSON."""
    __one_of_list__: ClassVar[bool] = False
    """Whether the service wraps the resource in a list of one."""

    extra: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False, kw_only=True)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the resource that `to_dict` wrote, or that the service would send as `data`.

        Raises:
            DecodeError: It does not fit. `where` names the place. Safe to try again: no.
        """
        return structure(cls, dict(data) if isinstance(data, Mapping) else data)

    def to_dict(self) -> dict[str, Any]:
        """Return the resource in the service's form: dates as strings, no None, `extra` included.

        Raises:
            InvalidField: A value does not fit its field, such as a date without a time zone.
        """
        written: dict[str, Any] = unstructure(self)
        return written

    def to_json(self) -> str:
        """Return `to_dict()` as JSON on one line.

        Raises:
            InvalidField: As for `to_dict`, or JSON cannot hold a number.
        """
        return encode(self).decode()


@attrs.frozen(weakref_slot=False, kw_only=True)
class PostalAddress(Model):
    """The fields that every postal address has."""

    line1: str | None = None
    line2: str | None = None
    line3: str | None = None
    city: str | None = None
    state: str | None = None
    state_code: str | None = None
    country_code: str | None = None
    postal_code: str | None = None


@attrs.frozen(weakref_slot=False)
class ErrorItem(Model):
    """One error of a refused request. Match on the key, never on the message.

    Source: supported-methods, errors.

    Attributes:
        error_key: The service's own key, such as `json.email.invalid`.
        error_message: A description of the error.
        extra: Fields that the service sent beyond those above.
    """

    error_key: str | None = attrs.field(default=None, metadata={"aliases": ("error_code",)})
    error_message: str | None = None


class Outcome(StrEnum):
    """The meaning of a job's status, the same for every kind."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self is not Outcome.PENDING


def to_tuple(values: Iterable[T]) -> tuple[T, ...]:
    """Return the values as a tuple. Leave a single string and a non-iterable value unchanged."""
    given: object = values
    if (
        given.__class__ is tuple
        or isinstance(given, str | bytes | Mapping)
        or not isinstance(given, Iterable)
    ):
        return cast("tuple[T, ...]", values)
    return tuple(values)


class TupleOf(tuple[T, ...]):
    """`TupleOf[Address]` is `to_tuple` as a converter: type checkers know what it takes."""

    __slots__ = ()

    def __class_getitem__(cls, kind: Any) -> Any:
        """Return the converter for elements of a kind."""

        def converter(values: Any) -> Any:
            return to_tuple(values)

        converter.__annotations__["values"] = Iterable[kind]
        return converter


def names(text: str) -> frozenset[str]:
    """Return the names in a space-separated string."""
    return frozenset(text.split())


def named_last(_model: type[Any], fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Return a model's fields with the keyword-only ones last, as `repr` shows them."""
    return sorted(fields, key=lambda field: field.kw_only)
