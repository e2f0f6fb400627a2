"""Convert between JSON and the models.

`decode` and `structure` read, `encode` and `unstructure` write. Reading is tolerant where the
service contradicts itself (ids as numbers, null for an empty list, a status in another case) and
strict where guessing would hide an error: a value that does not fit raises `DecodeError` with its
place.
"""

from __future__ import annotations

import json
import math
import re
import typing
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs

from ccv2_async import errors
from ccv2_async.models import hooks, reading
from ccv2_async.models.base import Page
from ccv2_async.models.reading import Misread

if TYPE_CHECKING:
    from collections.abc import Hashable

    from cattrs.preconf.orjson import OrjsonConverter

__all__ = [
    "decode",
    "encode",
    "structure",
    "unstructure",
]

T = TypeVar("T")

Redact = Callable[[str, int], str]
"""A function that removes secrets from a text, and returns at most that many characters."""

_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")

EXCERPT_LIMIT = 80
MAX_WEIGHT = 1_000_000
"""The most values in a document, where an object counts as four: about 60 MB of memory."""

ROW_LIMIT = 500
NOTHING_USED = " Nothing of it was used."
ID_FIELDS = ("id", "file_id", "activity_id", "campaign_id", "contact_id")
# The most characters of a text before it is put on one line.
_CLEANED = 4096
# The most bytes that are read of a document that is not JSON.
_QUOTED = 64 * 1024


def decode(model: type[T], content: bytes, *, what: str = "", redact: Redact | None = None) -> T:
    """Return the model that the JSON in `content` describes.

    Args:
        model: A model class, `list[Model]` or `Page[Model]`.
        content: A JSON document in UTF-8.
        what: The subject of the message, such as "the upload status".
        redact: Removes secrets from the excerpt in the message.

    Raises:
        DecodeError: It is not JSON, is nested too deeply, or does not fit the model. `where` names
            the place. Safe to try again: reads yes, though the same answer is likely.
    """
    return _read(model, _parsed(content, what, redact), "", what, redact)


def decode_rows(
    model: type[T],
    content: bytes,
    *,
    paged: bool,
    what: str = "",
    redact: Redact | None = None,
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
    hook = converter().get_structure_hook(model)
    read = (lambda row, kind: hook(_checked_text(row), kind)) if mended else hook

    def each(rows: Any, key: str | None) -> list[T | BadRow]:
        def bad(index: int, row: Any, problem: Exception) -> BadRow:
            problem = _misread(problem, row)
            problem.under(index)
            return BadRow(index, row, problem.under(key) if key else problem, what, redact)

        return reading.rows_apart(rows, read, bad, key)

    try:
        if not paged:
            return Page(each(data, None))
        rows = each(_results(data), "results")
        meta = data.get("meta")
        return Page(rows, _next_link(_checked_text(meta) if mended else meta))
    except Misread as problem:
        failed = _misfit(problem.where, problem.expected, problem.value, what, redact)
    raise failed


def decode_one(
    model: type[T], content: bytes, *, what: str = "", redact: Redact | None = None
) -> T | BadRow:
    """Return the model that the JSON describes, or a `BadRow` if it does not fit.

    Raises:
        DecodeError: It is not JSON.
    """
    data = _parsed(content, what, redact)
    try:
        return cast("T", _reader(cast("Hashable", model))(data, model))
    except (Misread, RecursionError, OverflowError, ValueError) as problem:
        return BadRow(0, data, _misread(problem, data), what, redact)


def _misread(problem: Exception, value: object) -> Misread:
    if isinstance(problem, Misread):
        return problem
    return Misread(None, f"readable ({type(problem).__name__})", value)


@attrs.frozen(eq=False)
class BadRow:
    """A row of a list that does not fit its model.

    Attributes:
        index: Its number in the answer, from 0.
        row: The parsed JSON.
    """

    index: int
    row: Any = attrs.field(repr=False)
    _problem: Misread = attrs.field(repr=False)
    _what: str
    _redact: Redact | None = attrs.field(repr=False)

    def id(self, *fields: str) -> str:
        """Return the row's id from the first of these fields that holds one, or ""."""
        for field in fields:
            value = self.row.get(field) if isinstance(self.row, dict) else None
            if isinstance(value, int | str) and not isinstance(value, bool) and str(value):
                return _clean(str(value), self._redact)[:EXCERPT_LIMIT]
        return ""

    @property
    def text(self) -> str:
        """The row as JSON on one line without secrets, cut after 500 characters."""
        return raw_text(self.row, self._redact)

    def error(self, before: int = 0) -> errors.UnreadableRow:
        """Return the exception that says which row it is and what is wrong with it.

        Args:
            before: The number of rows in earlier pages.
        """
        problem = self._problem
        misfit = _misfit(problem.where, problem.expected, problem.value, self._what, self._redact)
        named = self.id(*ID_FIELDS)
        return errors.UnreadableRow(
            f"{misfit.message.removesuffix(NOTHING_USED)} This is row {before + self.index}"
            f"{f', with id {named}' if named else ''}. The rows before it are good; "
            'pass on_bad_row="skip" to continue after it.',
            where=misfit.where,
            excerpt=misfit.excerpt,
            index=before + self.index,
            id=named,
            row=self.text,
        )


def raw_text(value: object, redact: Redact | None) -> str:
    """Return JSON on one line without secrets, cut after 500 characters."""
    import orjson  # noqa: PLC0415  # imported when first needed: importing the package stays quick

    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        try:
            text = json.dumps(value, default=str)
        except RecursionError:
            text = f"<{type(value).__name__}>"
    text = _clean(text, redact)
    return text if len(text) <= ROW_LIMIT else text[: ROW_LIMIT - 3] + "..."


def weight_of(content: bytes) -> int:
    """Return how many values JSON may hold, an object counting as four; quick, and never less."""
    return content.count(b",") + content.count(b"[") + 4 * content.count(b"{")


def _parsed(content: bytes, what: str, redact: Redact | None) -> Any:
    """Return the JSON in `content` as dicts and lists.

    Raises:
        DecodeError: It is not JSON, or holds more values than memory is spent on.
    """
    # Checked before parsing: a few bytes of "[]," become a hundred bytes of memory.
    if weight_of(content) > MAX_WEIGHT:
        raise errors.DecodeError(
            f"{what or 'the answer'} holds more than a million values. Nothing of it was used."
        )
    import orjson  # noqa: PLC0415  # imported when first needed: importing the package stays quick

    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as problem:
        excerpt = _excerpt(_clean(bytes(content[:_QUOTED]).decode("utf-8", "replace"), redact))
        raise errors.DecodeError(
            f"{what or 'the answer'} is not JSON ({problem.msg} at byte {problem.pos}): "
            f"{excerpt!r}. Nothing of it was used.",
            excerpt=excerpt,
        ) from None


@attrs.frozen
class _NotFinite:
    """A number in JSON that no float can hold, as it was written."""

    text: str

    def __str__(self) -> str:
        return self.text


def _parsed_leniently(content: bytes, what: str, redact: Redact | None) -> tuple[Any, bool]:
    """Return the JSON in `content`, and whether parts of it must pass `_checked_text` before use.

    Half of an emoji or one byte that is not UTF-8 makes a whole document unreadable for orjson.
    The parser of the standard library reads the rows around it.

    Raises:
        DecodeError: As `_parsed`.
    """
    try:
        return _parsed(content, what, redact), False
    except errors.DecodeError as problem:
        if weight_of(content) > MAX_WEIGHT:
            raise
        error = problem
    try:
        text = bytes(content).decode("utf-8", "surrogateescape")
        return json.loads(text, parse_constant=_NotFinite, parse_float=_finite), True
    except (ValueError, RecursionError):
        raise error from None


def _finite(text: str) -> float | _NotFinite:
    number = float(text)
    return number if math.isfinite(number) else _NotFinite(text)


def _checked_text(value: Any) -> Any:
    """Return `value`.

    Raises:
        Misread: It holds text or a number that JSON in UTF-8 cannot carry.
    """
    import orjson  # noqa: PLC0415  # imported when first needed: importing the package stays quick

    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise Misread(None, "text in UTF-8 with finite numbers", value) from None
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
    """Return the dicts and lists that `encode` would write, with dates as text and without None."""
    return converter().unstructure(value)


def encode(value: object) -> bytes:
    """Return a model, or a list or dict of models, as JSON. Read-only fields are included.

    Raises:
        InvalidField: JSON cannot carry a value, such as a number beyond 64 bits or a date without
            a time zone. Safe to try again: no.
    """
    return _dumped(converter(), value)


def encode_body(value: object) -> bytes:
    r"""Return a model, or a list or dict of them, as the JSON body of a request.

    It differs from `encode` in what the service refuses: read-only fields are left out, ids are
    text, and all characters are ASCII, the others as `\u` escapes, so that no character set can be
    misread.

    Raises:
        InvalidField: As `encode`.
    """
    body = _dumped(request_converter(), value)
    if body.isascii():
        return body
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], body.decode()).encode("ascii")


def _dumped(writer: OrjsonConverter, value: object) -> bytes:
    import orjson  # noqa: PLC0415  # imported when first needed: importing the package stays quick

    try:
        return orjson.dumps(writer.unstructure(value))
    except orjson.JSONEncodeError as problem:
        raise errors.InvalidField(
            "request body", value, f"it must be JSON of whole 64-bit numbers and text ({problem})"
        ) from None


@cache
def converter() -> OrjsonConverter:
    """Return the cattrs converter. The hooks of a class are made on first use."""
    from cattrs.preconf.orjson import make_converter  # noqa: PLC0415  # imported when first needed

    made = make_converter(detailed_validation=False)
    for kind, read in (
        (str, reading.text),
        (int, reading.whole),
        (float, reading.decimal),
        (bool, reading.flag),
    ):
        made.register_structure_hook(kind, lambda value, _, read=read: read(value, None))
    made.register_structure_hook(StrEnum, _read_enum)
    made.register_structure_hook_factory(attrs.has, lambda model: hooks.make_reader(model, made))
    _register_writers(made, request=False)
    made.register_structure_hook_factory(_is_list, lambda kind: _list_reader(_element_reader(kind)))
    made.register_structure_hook_factory(_is_page, lambda kind: _page_reader(_element_reader(kind)))
    return made


@cache
def request_converter() -> OrjsonConverter:
    """Return the cattrs converter that writes the bodies of requests."""
    from cattrs.preconf.orjson import make_converter  # noqa: PLC0415  # imported when first needed

    made = make_converter(detailed_validation=False)
    _register_writers(made, request=True)
    return made


def _register_writers(made: OrjsonConverter, *, request: bool) -> None:
    made.register_unstructure_hook(datetime, hooks.utc_text)
    made.register_unstructure_hook(StrEnum, str)
    made.register_unstructure_hook_factory(
        attrs.has, lambda model: hooks.make_writer(model, made, request=request)
    )


def _read(model: type[T], data: object, where: str, what: str, redact: Redact | None) -> T:
    try:
        return cast("T", _reader(cast("Hashable", model))(data, model))
    except Misread as problem:
        place = _joined(where, problem.where)
        raise _misfit(place, problem.expected, problem.value, what, redact) from None
    except (RecursionError, OverflowError, ValueError) as problem:
        raise _misfit(where, f"readable ({type(problem).__name__})", data, what, redact) from None


@cache
def _reader(model: Hashable) -> hooks.Reader:
    """Return the hook for a whole document. Some resources come wrapped in a list of one."""
    read = converter().get_structure_hook(model)
    if not getattr(model, "__one_of_list__", False):
        return read

    def unwrapped(data: Any, _: Any) -> Any:
        if isinstance(data, list):
            if not data:
                raise Misread(None, "an object or a list of one", data)
            return read(data[0], model)
        return read(data, model)

    return unwrapped


def _is_list(kind: Any) -> bool:
    return typing.get_origin(kind) is list


def _is_page(kind: Any) -> bool:
    return typing.get_origin(kind) is Page


def _read_enum(value: Any, members: type[StrEnum]) -> Any:
    return hooks.enum_reader(members)(value, members)


def _element_reader(collection: Any) -> hooks.Reader:
    kind = typing.get_args(collection)[0]
    is_enum = isinstance(kind, type) and issubclass(kind, StrEnum)
    return hooks.enum_reader(kind) if is_enum else converter().get_structure_hook(kind)


def _list_reader(read: hooks.Reader) -> hooks.Reader:
    return lambda data, _: reading.rows(data, read, None)


def _page_reader(read: hooks.Reader) -> hooks.Reader:
    def page(data: Any, _: Any) -> Page[Any]:
        return Page(reading.rows(_results(data), read, "results"), _next_link(data.get("meta")))

    return page


def _results(page: Any) -> Any:
    if not isinstance(page, dict):
        raise Misread(None, "a page", page)
    if "results" not in page:
        reading.missing("results")
    return page["results"]


def _next_link(meta: Any) -> str | None:
    """Return `meta.pagination.next_link`. Each level can be null or missing."""
    for path, key in (("meta", "pagination"), ("meta.pagination", "next_link")):
        if meta is None:
            return None
        if not isinstance(meta, dict):
            raise Misread(path, "an object", meta)
        meta = meta.get(key)
    return reading.text(meta, "meta.pagination.next_link") or None if meta is not None else None


def _joined(where: str, place: str) -> str:
    return (
        f"{where}{'' if place.startswith('[') else '.'}{place}"
        if where and place
        else (where or place)
    )


def _misfit(
    where: str, expected: str, value: object, what: str, redact: Redact | None
) -> errors.DecodeError:
    excerpt = _excerpt(_shown(value, redact))
    subject = what or "the answer"
    found = (
        f"{subject} came without {where}"
        if expected == "there"
        else (f"{where or subject}{f' of {subject}' if where else ''} is not {expected}: {excerpt}")
    )
    return errors.DecodeError(f"{found}.{NOTHING_USED}", where=where, excerpt=excerpt)


def _shown(value: object, redact: Redact | None) -> str:
    """Return a short description of a value. Containers are described by their size."""
    if isinstance(value, str):
        return repr(_clean(value, redact))
    if isinstance(value, dict):
        return f"an object of {len(value)} fields"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return repr(value)


def _clean(text: str, redact: Redact | None) -> str:
    """Return the start of a text without secrets. They are removed before the text is cut."""
    return redact(text, _CLEANED) if redact else text[:_CLEANED]


def _excerpt(text: str) -> str:
    """Return at most 80 characters of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT_LIMIT else line[: EXCERPT_LIMIT - 3] + "..."
