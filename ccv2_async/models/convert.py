"""Convert between JSON and the models.

`decode` and `structure` read, `encode` and `unstructure` write. Reading is tolerant where the
service contradicts itself (IDs as numbers, null for an empty list, a status in another case) and
strict where guessing would hide an error: a value that does not fit raises `DecodeError` with its
place.
"""

from __future__ import annotations

import json
import math
import re
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import attrs

from ccv2_async.errors import DecodeError, InvalidField, UnreadableRow
from ccv2_async.models import hooks
from ccv2_async.models.hooks import WHOLE, Misread, converter, reader_of, rows, rows_apart, text
from ccv2_async.text import described, one_line

if TYPE_CHECKING:
    from collections.abc import Hashable

    from ccv2_async.models.hooks import Reader

__all__ = ["Page", "decode", "encode", "structure", "unstructure"]

T = TypeVar("T")

Redact = Callable[[str, int], str]
"""A function that removes secrets from a string, and returns at most that many characters."""

_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")

EXCERPT_LIMIT = 80
SMALL = 64 * 1024
"""The bytes or characters that the event loop handles within a few milliseconds."""

_LIGHT = 4000
"""The same for values."""

MAX_WEIGHT = 1_000_000
"""The maximum number of values in a document: about 60 MB. An array or object counts as four."""

MOST_ROWS = 10_000
"""The maximum number of rows in a page: ten times the highest number that a call can ask for."""

ROW_LIMIT = 500
UNREADABLE = (Misread, RecursionError, OverflowError, ValueError)
ID_FIELDS = ("id", "file_id", "activity_id", "campaign_id", "contact_id")
# The maximum number of characters of a string before it is put on one line.
_CLEANED = 4096
# The maximum number of bytes that are read of a document that is not JSON.
_QUOTED = 64 * 1024
_MOST_DIGITS = 100


@attrs.frozen(weakref_slot=False)
class Page(Generic[T]):
    """One page of a listing: its rows, and the link to the next page.

    Source: paginated-output.

    Attributes:
        results: The rows, in the order of the response. A page may hold one row more than
            requested.
        next_link: The path and cursor of the next page, as the service sent them; None on the
            last page. Use only its cursor: the path may belong to another resource.
    """

    results: list[T] = attrs.field(factory=list)
    next_link: str | None = None


def decode(model: type[T], content: bytes, *, what: str = "", redact: Redact | None = None) -> T:
    """Return the model that the JSON in `content` describes.

    Args:
        model: A model class, `list[Model]` or `Page[Model]`.
        content: A JSON document in UTF-8.
        what: The subject of the message, such as "the upload status".
        redact: Removes secrets from the excerpt in the message.

    Raises:
        DecodeError: It is not JSON, is nested too deeply, or does not fit the model. `where` names
            the place. Safe to try again: yes for reads, though the response is likely the same.
    """
    return _read(model, decode_plain(content, what, redact), "", what, redact)


def decode_whole(model: type[T], content: bytes, *, what: str, redact: Redact | None) -> T:
    """Return the model that a response of the service describes.

    Raises:
        DecodeError: As for `decode`; or it is an object with unknown fields only, or with an
            unknown field that is an error, such as one of a gateway.
    """
    return _read(model, decode_plain(content, what, redact), None, what, redact)


def decode_rows(
    model: type[T], content: bytes, *, paged: bool, what: str = "", redact: Redact | None = None
) -> Page[T | BadRow]:
    """Return the rows of a list, with a `BadRow` in the place of each that cannot be read.

    Args:
        model: The model of a row.
        content: A JSON document in UTF-8.
        paged: Whether it is a page, with the rows in `results`, or a bare array of rows.
        what: The subject of messages.
        redact: Removes secrets from excerpts.

    Raises:
        DecodeError: It is not JSON, or not a list.
    """
    data, mended = _parsed_leniently(content, what, redact)
    hook = reader_of(model)
    read = (lambda row, whole: hook(_checked_text(row), whole)) if mended else hook

    def bad(index: int, row: Any, problem: Exception) -> BadRow:
        misread = _misread(problem, row).under(index)
        return BadRow(index, row, misread.under("results") if paged else misread, what, redact)

    try:
        if not paged:
            return Page(rows_apart(data, read, bad))
        if mended and isinstance(data, dict):
            _checked_text(data.get("meta"))
        return _page(data, lambda found: rows_apart(found, read, bad))
    except Misread as problem:
        failed = _misfit(problem, what, redact)
    raise failed


def decode_one(
    model: type[T], content: bytes, *, what: str = "", redact: Redact | None = None
) -> T | BadRow:
    """Return the model that the JSON describes, or a `BadRow` if it does not fit.

    Raises:
        DecodeError: It is not JSON.
    """
    data = decode_plain(content, what, redact)
    try:
        return cast("T", _reader(cast("Hashable", model))(data, WHOLE))
    except UNREADABLE as problem:
        return BadRow(0, data, _misread(problem, data), what, redact)


def _misread(problem: Exception, value: object) -> Misread:
    if isinstance(problem, Misread):
        return problem
    return Misread(f"readable ({type(problem).__name__})", value)


@attrs.frozen(eq=False)
class BadRow:
    """A row of a list that does not fit its model.

    Attributes:
        index: Its number in the response, from 0.
        row: The parsed JSON.
    """

    index: int
    row: Any = attrs.field(repr=False)
    _problem: Misread = attrs.field(repr=False)
    _what: str
    _redact: Redact | None = attrs.field(repr=False)

    def id(self, *fields: str) -> str:
        """Return the row's ID, printable, from the first of these fields that holds one, or ""."""
        for field in fields:
            value = self.row.get(field) if isinstance(self.row, dict) else None
            if isinstance(value, int | str) and not isinstance(value, bool) and str(value):
                return one_line(_clean(str(value), self._redact)[:EXCERPT_LIMIT])
        return ""

    @property
    def text(self) -> str:
        """The row as JSON on one line without secrets, truncated to 500 characters."""
        return raw_text(self.row, self._redact)

    def error(self, before: int = 0, *, stops: bool = True) -> UnreadableRow:
        """Return the exception that names the row and the problem.

        Args:
            before: The number of rows in earlier pages.
            stops: Whether the rows after it are not read.
        """
        advice = 'The rows before it are good. With on_bad_row="skip", listings skip such rows.'
        misfit = _misfit(self._problem, self._what, self._redact)
        named = self.id(*ID_FIELDS)
        return UnreadableRow(
            f"{misfit.reason}. This is row {before + self.index}"
            f"{f', with ID {named}' if named else ''}.{f' {advice}' if stops else ''}",
            where=misfit.where,
            excerpt=misfit.excerpt,
            index=before + self.index,
            id=named,
            row=self.text,
        )


def raw_text(value: object, redact: Redact | None) -> str:
    """Return JSON on one line without secrets, truncated to 500 characters."""
    import orjson  # noqa: PLC0415  # imported when first needed: importing the package stays quick

    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        try:
            text = json.dumps(value, default=bytes.decode)
        except RecursionError:
            text = f"<{type(value).__name__}>"
    text = one_line(_clean(text, redact))
    return text if len(text) <= ROW_LIMIT else text[: ROW_LIMIT - 3] + "..."


def weight_of(content: bytes) -> int:
    """Return an upper bound for the number of values in JSON; an array or object counts as four."""
    return content.count(b",") + 4 * (content.count(b"[") + content.count(b"{"))


def is_large(content: bytes) -> bool:
    """Return whether reading JSON would block the event loop."""
    return len(content) > SMALL or weight_of(content) > _LIGHT


def is_heavy(value: object) -> bool:
    """Return whether encoding a model or JSON would block the event loop."""
    left, longest, parts = _LIGHT, SMALL, list[Any]([value])
    while parts and left >= 0 <= longest:
        part = parts.pop()
        left -= 1
        if isinstance(part, str):
            longest -= len(part)
        elif isinstance(part, Mapping):
            parts += [*part, *part.values()]
        elif isinstance(part, list | tuple):
            parts += part
        elif attrs.has(type(part)):
            parts += [getattr(part, a.name, None) for a in attrs.fields(type(part))]
    return left < 0 or longest < 0


def decode_plain(content: bytes, what: str, redact: Redact | None) -> Any:
    """Return the JSON in `content` as dicts and lists.

    Raises:
        DecodeError: It is not JSON, or holds more values than the limit.
    """
    import orjson  # noqa: PLC0415  # imported when first needed: importing the package stays quick

    try:
        # Checked before parsing: a few bytes of "[]," become a hundred bytes of memory.
        if weight_of(content) <= MAX_WEIGHT:
            return orjson.loads(content)
        flaw = "contains more than a million values"
    except orjson.JSONDecodeError as problem:
        flaw = f"is not JSON ({problem.msg} at byte {problem.pos})"
    excerpt = _excerpt(_clean(bytes(content[:_QUOTED]).decode("utf-8", "replace"), redact))
    flaw = f"{flaw}: {excerpt!r}"
    raise DecodeError(
        f"{what or 'the response'} {flaw}. None of it was used.",
        reason=f"the response {flaw}",
        excerpt=excerpt,
    )


def _parsed_leniently(content: bytes, what: str, redact: Redact | None) -> tuple[Any, bool]:
    """Return the JSON in `content`, and whether parts of it must pass `_checked_text` before use.

    Half of an emoji or one byte that is not UTF-8 makes a whole document unreadable for orjson.
    The parser of the standard library reads the rows around it.

    Raises:
        DecodeError: As for `decode_plain`.
    """
    try:
        return decode_plain(content, what, redact), False
    except DecodeError as problem:
        if weight_of(content) > MAX_WEIGHT:
            raise
        error = problem
    try:
        text = bytes(content).decode("utf-8", "surrogateescape")
        return json.loads(
            text, parse_constant=str.encode, parse_float=_finite, parse_int=_short
        ), True
    except (ValueError, RecursionError):
        raise error from None


# A number that JSON cannot carry becomes bytes, which `_checked_text` refuses too.


def _finite(text: str) -> float | bytes:
    number = float(text)
    return number if math.isfinite(number) else text.encode()


def _short(text: str) -> int | bytes:
    # Converting thousands of digits takes long, and only twenty fit into 64 bits.
    return int(text) if len(text) <= _MOST_DIGITS else text.encode()


def _checked_text(value: Any) -> Any:
    """Return `value` if JSON can represent it.

    Raises:
        Misread: It contains text or a number that JSON in UTF-8 cannot represent.
    """
    import orjson  # noqa: PLC0415  # imported when first needed: importing the package stays quick

    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise Misread("valid UTF-8 with finite numbers", value) from None
    return value


def structure(model: type[T], data: object, *, where: str = "") -> T:
    """Return the model that parsed JSON describes.

    Args:
        model: A model class, `list[Model]` or `Page[Model]`.
        data: Dicts, lists, text, numbers, true, false and None.
        where: The place of `data` in the whole document, as a prefix for error messages.

    Raises:
        DecodeError: It does not fit the model. `where` names the place. Safe to try again: no.
    """
    return _read(model, data, where, "", None)


def unstructure(value: object) -> Any:
    """Return the dicts and lists that `encode` would write, with dates as text and without None.

    Raises:
        InvalidField: A value does not fit its field, such as a date without a time zone.
    """
    return _plain(value, request=False)


def _plain(value: object, *, request: bool) -> Any:
    try:
        return converter(request=request).unstructure(value)
    except (AttributeError, TypeError, RecursionError) as problem:
        rule = f"its values must fit its fields ({described(problem)})"
        raise InvalidField(type(value).__name__, value, rule) from None


def encode(value: object) -> bytes:
    """Return a model, or a list or dict of models, as JSON. Read-only fields are included.

    Raises:
        InvalidField: JSON cannot represent a value, such as a number beyond 64 bits or a date
            without a time zone. Safe to try again: no.
    """
    return _dumped(value, request=False)


def encode_body(value: object) -> bytes:
    r"""Return a model, or a list or dict of them, as the JSON body of a request.

    It leaves out or converts values that the service refuses: read-only fields are left out, IDs
    become strings, and non-ASCII characters become `\u` escapes, so that no character set can be
    misread.

    Raises:
        InvalidField: As for `encode`.
    """
    body = _dumped(value, request=True)
    if body.isascii():
        return body
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], body.decode()).encode("ascii")


def _dumped(value: object, *, request: bool) -> bytes:
    import orjson  # noqa: PLC0415  # imported when first needed: importing the package stays quick

    try:
        return orjson.dumps(_plain(value, request=request))
    except orjson.JSONEncodeError as problem:
        raise InvalidField(
            "request body", value, f"it must be a value that JSON can represent ({problem})"
        ) from None


def _read(model: type[T], data: object, where: str | None, what: str, redact: Redact | None) -> T:
    whole = WHOLE if where is None else None
    try:
        return cast("T", _reader(cast("Hashable", model))(data, whole))
    except UNREADABLE as problem:
        raise _misfit(_misread(problem, data).under(where or ""), what, redact) from None


@cache
def _reader(model: Hashable) -> Reader:
    """Return the hook for a whole document: a model, a list of them, or a page of them."""
    kind = typing.get_origin(model)
    if kind is list or kind is Page:
        read = reader_of(typing.get_args(model)[0])
        if kind is list:
            return lambda data, _: rows(data, read)
        return lambda data, _: _page(data, lambda found: rows(found, read))
    read = reader_of(model)
    return _one_of_list_reader(read) if getattr(model, "__one_of_list__", False) else read


def _one_of_list_reader(read: Reader) -> Reader:
    """Return the hook for a resource that the service may wrap in a list of one."""

    def unwrapped(data: Any, whole: Any) -> Any:
        if not isinstance(data, list):
            return read(data, whole)
        if not data:
            raise Misread("an object, or an array that holds one", data)
        return read(data[0], whole)

    return unwrapped


def _page(data: Any, read_rows: Callable[[Any], list[T]]) -> Page[T]:
    if not isinstance(data, dict) or hooks.names_error(data):
        raise Misread("a page without an error", data)
    if "results" not in data:
        raise Misread("there", None).under("results")
    results = data["results"]
    if isinstance(results, list) and len(results) > MOST_ROWS:
        raise Misread(f"a page of at most {MOST_ROWS:,} rows", results).under("results")
    try:
        found = read_rows(results)
    except Misread as problem:
        raise problem.under("results") from None
    return Page(found, _next_link(data.get("meta")))


def _next_link(meta: Any) -> str | None:
    """Return `meta.pagination.next_link`. Each level can be null or missing."""
    for path, key in (("meta", "pagination"), ("meta.pagination", "next_link")):
        if meta is None:
            return None
        if not isinstance(meta, dict):
            raise Misread("an object", meta).under(path)
        meta = meta.get(key)
    if meta is None:
        return None
    try:
        return text(meta) or None
    except Misread as problem:
        raise problem.under("meta.pagination.next_link") from None


def _misfit(problem: Misread, what: str, redact: Redact | None) -> DecodeError:
    where, expected, value = problem.where, problem.expected, problem.value
    excerpt = _excerpt(_shown(value, redact))
    subject = what or "the response"
    found = f"{where or subject}{f' of {subject}' if where else ''} is not {expected}: {excerpt}"
    if expected == "there":
        found = f"{where} of {subject} is missing"
    return DecodeError(f"{found}. None of it was used.", reason=found, where=where, excerpt=excerpt)


def _shown(value: object, redact: Redact | None) -> str:
    """Return a short description of a value. Containers are described by their size."""
    if isinstance(value, str):
        return repr(_clean(value, redact))
    if isinstance(value, dict):
        return f"an object of size {len(value)}"
    if isinstance(value, list):
        return f"an array of length {len(value)}"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return repr(value)


def _clean(text: str, redact: Redact | None) -> str:
    """Return the start of a string without secrets. They are removed before it is cut."""
    return redact(text, _CLEANED) if redact else text[:_CLEANED]


def _excerpt(text: str) -> str:
    """Return at most 80 characters of a string, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT_LIMIT else line[: EXCERPT_LIMIT - 3] + "..."
