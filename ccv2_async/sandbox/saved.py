"""The state of a sandbox as JSON: for `--state`, for `--seed FILE`, and on the admin path.

The document has one object for each part of the account. Parts, or fields of parts, that are left
out have the values of an empty account. Contents of files are in base64. The request log, the
faults, the counts of the quota, and the settings are not in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import math
import os
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import orjson
from cattrs import Converter, transform_error
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from ccv2_async.sandbox.clock import Clock, ShiftedClock
from ccv2_async.sandbox.settings import Settings
from ccv2_async.sandbox.state.activities import Activities, Outcome
from ccv2_async.sandbox.state.campaigns import Campaigns, Tracking
from ccv2_async.sandbox.state.contacts import Account, Contacts
from ccv2_async.sandbox.state.events import Events
from ccv2_async.sandbox.state.library import Library
from ccv2_async.sandbox.transitions import Plan, Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

VERSION = 1
"""The version of the document."""

_VERSION = "ccv2_sandbox_state"
_LONGEST_MOMENT = 6e10
_PAUSE = 0.25
# At most a sixth of the time is spent on writing.
_REST = 5
_READING = frozenset({"GET", "HEAD"})
_LEFT_OUT: dict[type, frozenset[str]] = {
    Activities: frozenset({"settings", "carry_out"}),
    Campaigns: frozenset({"settings", "account", "contacts"}),
    Contacts: frozenset({"_ids"}),
    Events: frozenset({"settings"}),
    Library: frozenset({"settings", "_named", "_last_numbers", "_kept_bytes"}),
    ShiftedClock: frozenset({"base", "_sleeping"}),
    Tracking: frozenset({"by_campaign", "by_contact"}),
}
"""The attributes that are not in a document, because they come from elsewhere."""

_NAMES: dict[str, Any] = {
    **{made.__name__: made for made in (Account, Clock, Contacts, Outcome, Plan, Script, Settings)},
    "Callable": Callable,
    "asyncio": asyncio,
}
"""The names in annotations that modules import only for type checkers."""

logger: logging.Logger = logging.getLogger("ccv2_async.sandbox")


def _left_out(made: type) -> Any:
    attrs.resolve_types(made, localns=_NAMES)
    return {name: override(omit=True) for name in _LEFT_OUT.get(made, ())}


def _converter() -> Converter:
    converter = Converter()

    def writer(made: type) -> Callable[[Any], Any]:
        return make_dict_unstructure_fn(made, converter, _cattrs_use_alias=True, **_left_out(made))

    def reader(made: type) -> Callable[[Any, Any], Any]:
        options: Any = {"_cattrs_use_alias": True, "_cattrs_forbid_extra_keys": True}
        return make_dict_structure_fn(made, converter, **options, **_left_out(made))

    def is_set(kind: Any) -> bool:
        return bool(kind == dict[str, None])

    def read_set(rows: Any, _: Any) -> dict[str, None]:
        return dict.fromkeys(converter.structure(_exactly(rows, list), list[str]))

    converter.register_unstructure_hook_factory(attrs.has, writer)
    converter.register_structure_hook_factory(attrs.has, reader)
    converter.register_unstructure_hook(bytes, lambda data: b64encode(data).decode())
    converter.register_structure_hook(bytes, lambda data, _: b64decode(data, validate=True))
    converter.register_unstructure_hook(float, lambda x: x if math.isfinite(x) else str(x))
    converter.register_structure_hook(float, lambda value, _: _number(value))
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly)
    # `dict[str, None]` is an ordered set.
    converter.register_unstructure_hook_func(is_set, list)
    converter.register_structure_hook_func(is_set, read_set)
    return converter


def _exactly(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}, not {value!r:.80}")
    return value


def _number(value: Any) -> float:
    if value == str(math.inf):
        return math.inf
    if type(value) not in (int, float) or abs(value) > _LONGEST_MOMENT:
        raise ValueError(f"expected a number of seconds, not {value!r:.80}")
    return float(value)


_CONVERTER = _converter()


def write_parts(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of these parts, by name."""
    written = {name: _CONVERTER.unstructure(part) for name, part in parts.items()}
    return {_VERSION: VERSION, **written}


def check_version(document: Any) -> None:
    """Raise `ValueError` if a document is not the state of a sandbox, or a later version's."""
    version = document.get(_VERSION) if isinstance(document, dict) else None
    if type(version) is not int or version < 1:
        raise ValueError(f"it is not the state of a sandbox: {_VERSION} is missing")
    if version > VERSION:
        raise ValueError(
            f"it has version {version}, but this sandbox reads versions up to {VERSION}: update "
            "ccv2-async"
        )


def fill_parts(parts: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    """Fill empty parts from a document.

    Raises:
        ValueError: It is not such a document. The parts must then be discarded.
    """
    check_version(document)
    for name, given in document.items():
        if name == _VERSION:
            continue
        if name not in parts:
            raise ValueError(f"{name} is not a part of a sandbox's state")
        _fill(parts[name], name, given)
    for part in parts.values():
        if hasattr(part, "restored"):
            part.restored()


def _fill(part: Any, name: str, given: Any) -> None:
    left_out = _left_out(type(part))
    fields = {row.alias: row for row in attrs.fields(type(part)) if row.name not in left_out}
    if not isinstance(given, dict):
        raise ValueError(f"{name}: an object is expected")  # noqa: TRY004  # of the document
    for key, value in given.items():
        if key not in fields:
            raise ValueError(f"{name}: unknown field {key}")
        field, where = fields[key], f"{name}.{key}"
        try:
            made = _CONVERTER.structure(value, field.type)
        except Exception as error:  # noqa: BLE001  # cattrs gathers errors of every kind
            raise ValueError(transform_error(error, where)[0]) from None
        for row_id, row in made.items() if isinstance(made, dict) else ():
            if getattr(row, "id", row_id) != row_id:
                raise ValueError(f"{where}: the row {row_id} has the id {row.id}")
        setattr(part, field.name, made)


def read_file(path: Path) -> dict[str, Any]:
    """Return the document in a file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It does not hold such a document.
    """
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is not a regular file")  # noqa: TRY301  # as the others
        document: dict[str, Any] = orjson.loads(path.read_bytes())
        check_version(document)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{path} cannot be used: it is not valid JSON ({error}).") from None
    except ValueError as error:
        raise ValueError(f"{path} cannot be used: {error}.") from None
    return document


def write_file(path: Path, data: bytes) -> None:
    """Replace a file atomically, so that it is complete at every moment.

    Raises:
        OSError: It cannot be written; the file is unchanged.
    """
    path = Path(os.path.realpath(path))
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Keeper:
    """Writes the state of a sandbox to a file soon after it has changed.

    Args:
        path: The file.
        save: Returns the document.

    Attributes:
        failure: Why the last change could not be written; None if it was.
    """

    def __init__(self, path: Path, save: Callable[[], dict[str, Any]]) -> None:
        self.failure: OSError | None = None
        self._path = path
        self._save = save
        self._written = b""
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()

    def watched(self, app: ASGIApp) -> ASGIApp:
        """Return an application whose requests may change the state.

        Changes by a GET, such as the looks at a job, are written with the next change or at the
        end.
        """

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await app(scope, receive, send)
            finally:
                if scope["type"] == "http" and scope["method"] not in _READING:
                    self.note()

        return serve

    def note(self) -> None:
        """Note that the state may have changed."""
        self._changed.set()

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Write the state now, after each change, and at the end of the block.

        Raises:
            OSError: It cannot be written now, or another sandbox writes to the file.
        """
        with _lock(self._path):
            await self._write()
            if self.failure is not None:
                raise self.failure
            self._changed, self._ended = asyncio.Event(), asyncio.Event()
            writing = asyncio.create_task(self._write_changes())
            try:
                yield
            finally:
                self._ended.set()
                self._changed.set()
                await writing

    async def _write_changes(self) -> None:
        while not self._ended.is_set():
            await self._changed.wait()
            self._changed.clear()
            begun = time.monotonic()
            await self._write()
            pause = max(_PAUSE, _REST * (time.monotonic() - begun))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), pause)
        await self._write()

    async def _write(self) -> None:
        option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        data = orjson.dumps(self._save(), option=option)
        digest = hashlib.sha256(data).digest()
        if digest == self._written:
            return
        try:
            await asyncio.to_thread(write_file, self._path, data)
        except OSError as error:
            logger.warning("The state of the sandbox cannot be written: %s", error)
            self.failure = OSError(error.errno, error.strerror, str(self._path))
        else:
            self._written, self.failure = digest, None


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    path = Path(os.path.realpath(path))
    try:
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o666)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    with os.fdopen(lock):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(error.errno, "another sandbox uses this file", str(path)) from None
        yield
