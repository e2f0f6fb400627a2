"""What every resource group is made of: a path, a query, a body, and the model of the answer."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from ccv2_async.errors import InvalidField
from ccv2_async.models.convert import encode
from ccv2_async.models.rules import check, rules_of
from ccv2_async.resources.listing import Listing
from ccv2_async.transport.body import BytesBody
from ccv2_async.transport.calls import Call
from ccv2_async.transport.links import segment
from ccv2_async.transport.retry import Effect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ccv2_async.transport.calls import Answer
    from ccv2_async.transport.session import Session

T = TypeVar("T")

MAX_IDS = 100
"""Ids that are joined into one path at most, so that no gateway finds the path too long."""


class Resource:
    """A group of operations; the methods of its subclasses are the public API."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def _get(
        self,
        model: type[T],
        path: str,
        *,
        what: str,
        query: Mapping[str, object] | None = None,
    ) -> T:
        """One object, or a list of them when `model` is a list."""
        answer = await self._session.send(
            Call("GET", path, Effect.SAFE, what, query=query_of(query))
        )
        return answer.read(model)

    async def _write(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        effect: Effect,
        what: str,
        query: Mapping[str, object] | None = None,
        checked: bool = False,
    ) -> Answer:
        """A call that changes something; `body` is a model or plain JSON, checked before it goes.

        Raises:
            InvalidField: The service would refuse a value. Nothing was sent.
        """
        for part in body if isinstance(body, list) else (body,):
            if attrs.has(type(part)) and not checked:
                check(part)
        return await self._session.send(
            Call(
                method,
                path,
                effect,
                what,
                query=query_of(query),
                body=BytesBody(encode(body)) if body is not None else None,
            )
        )

    async def _create(
        self,
        model: type[T],
        path: str,
        body: object,
        *,
        what: str,
        query: Mapping[str, object] | None = None,
    ) -> T:
        """What a POST made; never sent again without a look, as a repeat would make a double."""
        answer = await self._write(
            "POST", path, body, effect=Effect.ADDITIVE, what=what, query=query
        )
        return answer.read(model)

    async def _replace(
        self,
        model: type[T],
        path: str,
        body: object,
        *,
        what: str,
        query: Mapping[str, object] | None = None,
    ) -> T:
        """What a PUT left behind; the service takes the body for the whole."""
        answer = await self._write(
            "PUT", path, body, effect=Effect.IDEMPOTENT, what=what, query=query
        )
        return answer.read(model)

    async def _update(
        self,
        model: type[T],
        path: str,
        changes: Mapping[str, Any],
        writable: type[Any],
        *,
        what: str,
        query: Mapping[str, object] | None = None,
        adapt: Callable[[T], T] | None = None,
    ) -> T:
        """What a PUT left behind that changes a few fields and sends the others as they were read.

        Only the changes are checked: what the service itself gave, it may have back, be it a word
        that no enumeration knows.

        Raises:
            InvalidField: See `checked_changes`. Nothing was sent.
        """
        checked = checked_changes(changes, writable)
        before: Any = await self._get(model, path, what=what)
        after: T = attrs.evolve(before, **checked)
        answer = await self._write(
            "PUT",
            path,
            adapt(after) if adapt else after,
            effect=Effect.IDEMPOTENT,
            what=f"update of {what}",
            query=query,
            checked=True,
        )
        return answer.read(model)

    async def _delete(self, path: str, *, what: str) -> None:
        """A DELETE, whose answer holds nothing."""
        await self._write("DELETE", path, effect=Effect.IDEMPOTENT, what=what)

    def _list(
        self,
        model: type[T],
        path: str,
        *,
        what: str,
        limit: int | None = None,
        most: int | None = 500,
        query: Mapping[str, object] | None = None,
    ) -> Listing[T]:
        """Rows that come in pages; no request is made before they are iterated."""
        if limit is not None and not 1 <= limit <= (most or limit):
            rule = f"from 1 to {most}" if most else "1 or more"
            raise InvalidField("limit", limit, f"rows in a page, {rule}")
        return Listing(
            self._session, model, path, query_of({"limit": limit, **(query or {})}), what
        )


def path_to(template: str, *ids: str) -> str:
    """`template` with the ids in place of its `{}`, percent-encoded.

    Raises:
        InvalidField: An id that is empty, or that would change the path. Nothing was sent.
    """
    return template.format(*(segment(checked_id(id_)) for id_ in ids))


def checked_id(id_: object, field: str = "id") -> str:
    """The id as text; numbers are taken too, as some of the service's answers give them.

    Raises:
        InvalidField: It is neither, or is empty, or of dots only, or holds a control character or
            a blank.
    """
    text = str(id_) if isinstance(id_, str | int) and not isinstance(id_, bool) else ""
    if not text or set(text) <= {"."} or not text.isprintable() or " " in text or len(text) > 200:
        raise InvalidField(field, id_, "an id as the service gave it")
    return text


def joined_ids(ids: Iterable[str], field: str = "ids") -> str:
    """Ids as the service takes several of them: joined by commas.

    Raises:
        InvalidField: None, more than a hundred, or one that is not an id.
    """
    if isinstance(ids, str):
        ids = (ids,)
    checked = [checked_id(id_, field) for id_ in ids]
    if not 1 <= len(checked) <= MAX_IDS:
        raise InvalidField(field, len(checked), f"from 1 to {MAX_IDS} ids in one call")
    if any("," in id_ for id_ in checked):
        raise InvalidField(field, ",".join(checked), "ids without commas, one by one")
    return ",".join(checked)


def query_of(values: Mapping[str, object] | None) -> tuple[tuple[str, str], ...]:
    """Query parameters as text; what is None is left out."""
    return tuple(
        (name, text_of(value, name)) for name, value in (values or {}).items() if value is not None
    )


def text_of(value: Any, field: str = "date") -> str:
    """One value as the service writes it in queries: dates in UTC with milliseconds and Z.

    Raises:
        InvalidField: It is a date without a time zone; names `field`.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidField(field, value.isoformat(), "a datetime with a time zone")
        moment = value.astimezone(UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def one_of(field: str, value: str | None, allowed: Iterable[str]) -> str | None:
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
    for word in words:
        if word.casefold() == str(value).casefold():
            return word
    raise InvalidField(field, str(value), f"one of {', '.join(words)}")


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
    names = [field.name for field in attrs.fields(writable) if field.name != "extra"]
    if not changes:
        raise InvalidField("changes", None, f"at least one of {', '.join(names)}")
    for name, value in changes.items():
        if name not in names:
            raise InvalidField(name, value, f"it cannot be changed; {', '.join(names)} can")
    check(changes, {name: limit for name, limit in rules_of(writable).items() if name in changes})
    return {name: tuple(v) if isinstance(v, list) else v for name, v in changes.items()}
