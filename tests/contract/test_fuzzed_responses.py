"""For any response, a call ends with a value of its type or an error of the package."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import traceback
import tracemalloc
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccv2_async import ConstantContact, errors
from ccv2_async.polling.poller import Poller
from ccv2_async.resources.listing import Listing
from tests.contract.ear import Ear
from tests.contract.operations import OPERATIONS
from tests.contract.prepared import prepared
from tests.contract.responses import KEY, TOKEN, Real, draw
from tests.support.clocks import SkippingClock
from tests.support.exposure import TESTS, texts_of
from tests.support.probes import chained
from tests.support.servers import RawServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from random import Random

    from tests.contract.operation import Operation
    from tests.contract.responses import Drawn
    from tests.support.servers import Wire

SHARE = settings().max_examples // 5
"""How many answers each operation gets: `--hypothesis-profile=long` tries many more."""

READ = ("content-type", "location", "id")
SECRETS = (KEY, TOKEN, json.dumps(KEY)[1:-1], json.dumps(TOKEN)[1:-1])
REAL_SECONDS = 20.0
"""By then even a busy machine has had an answer: nothing waits for real time."""


@attrs.define
class Fuzzed:
    """A server that sends the drawn responses in turn, and then repeats the last one."""

    server: RawServer
    drawn: list[Drawn] = attrs.field(factory=list)

    @property
    def base_url(self) -> str:
        return self.server.base_url


@pytest.fixture
async def fuzzed() -> AsyncIterator[Fuzzed]:
    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            answer = there.drawn.pop(0) if len(there.drawn) > 1 else there.drawn[0]
            await wire.write(answer.data)
            if not answer.keeps:
                return

    async with RawServer(script) as server:
        there = Fuzzed(server)
        yield there


@pytest.fixture
async def real(
    operation: Operation,
    request: pytest.FixtureRequest,
    connect: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Real, dict[str, str]]:
    """The real answer of the sandbox, and the ids with which it was asked for."""
    _, cc, stock = await prepared(operation, request, connect)
    with monkeypatch.context() as patched:
        ear = Ear.at(cc, patched)
        made = operation.sample(cc, stock)
        await (made.first() if isinstance(made, Listing) else made)
    (answer,) = ear.answers
    headers = tuple((name, value) for name, value in answer.headers.items() if name in READ)
    document = json.loads(answer.content) if answer.content else None
    return Real(answer.status, headers, document), dict(stock)


@settings(
    max_examples=SHARE,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(chance=st.randoms(use_true_random=True))
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_any_response_gives_a_value_of_the_type_or_an_error_without_secrets(
    operation: Operation,
    real: tuple[Real, dict[str, str]],
    fuzzed: Fuzzed,
    chance: Random,
) -> None:
    start, ids = real
    fuzzed.drawn = [draw(chance, start) for _ in range(chance.randint(1, 3))]
    options: dict[str, Any] = {"per_second": None, "per_day": None, "clock": SkippingClock()}
    options |= {"api_key": KEY, "access_token": TOKEN, "base_url": fuzzed.base_url}
    async with (
        asyncio.timeout(REAL_SECONDS),
        ConstantContact(**options) as cc,
    ):
        try:
            await _carry_out(operation, operation.sample(cc, ids))
        except errors.ConstantContactError as error:
            _check_error(error)


async def _carry_out(operation: Operation, made: Any) -> None:
    """Read everything that a call returns, and check it."""
    expected = operation.answer
    if isinstance(made, Listing):
        _check_value(await made.collect(), types.GenericAlias(list, get_args(expected)))
        return
    result = await made
    if isinstance(result, Poller):
        await result.poll_once()
        _check_clean(repr(result) + result.token())
        result = await result.wait(timeout=60.0)
        assert result is not None
        _check_value(result, type(result))
    elif expected is None:
        assert result is None
    else:
        element = get_args(expected)[0] if get_origin(expected) is list else expected
        _check_value(result, Union[expected, element])  # noqa: UP007  # types at run time


def _check_value(value: Any, expected: Any) -> None:
    assert list(_misfits(value, expected, "")) == []
    _check_clean(repr(value))


def _misfits(value: Any, hint: Any, where: str) -> Iterator[str]:
    """Yield the places at which a value is not of its declared type."""
    origin, args = get_origin(hint), get_args(hint)
    kind = origin or hint
    if origin in (Union, types.UnionType):
        fits = any(not list(_misfits(value, one, where)) for one in args)
        args = ()
    elif hint is Any or isinstance(hint, typing.TypeVar):
        fits = True
    else:
        fits = isinstance(value, (float, int) if kind is float else kind)
    if not fits:
        yield f"{where}: {value!r} is not {hint}"
        return
    for name, below, declared in _parts(value, kind, args):
        yield from _misfits(below, declared, f"{where}.{name}")


def _parts(value: Any, kind: Any, args: tuple[Any, ...]) -> Iterator[tuple[object, Any, Any]]:
    """Yield the name, the value, and the declared type of each part of a value."""
    if attrs.has(kind):
        for name, hint in typing.get_type_hints(kind).items():
            if hasattr(attrs.fields(kind), name):
                yield name, getattr(value, name), hint
    elif args and isinstance(value, Mapping):
        yield from ((key, below, args[1]) for key, below in value.items())
    elif args and isinstance(value, list | tuple):
        yield from ((index, below, args[0]) for index, below in enumerate(value))


def _check_error(error: errors.ConstantContactError) -> None:
    assert not isinstance(error, errors.UsageError), "the caller did nothing wrong"
    for one in chained(error):
        _check_clean(f"{one!r} {one} {one.args!r} {vars(one)!r}")
        told = traceback.TracebackException.from_exception(one, capture_locals=True)
        for frame in told.stack:
            if not frame.filename.startswith(TESTS):
                _check_clean(f"{frame.name}: {frame.locals}")
    way = tuple(frame.name for frame in traceback.extract_tb(error.__traceback__))
    if (type(error), way) not in _shown_in_full:
        for text in texts_of(error):
            _check_clean(text)
        _shown_in_full.add((type(error), way))


_shown_in_full: set[tuple[type[BaseException], tuple[str, ...]]] = set()
"""The errors whose copies, logs, and tracebacks of rich were looked at, which takes long."""


def _check_clean(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text


LARGE = {
    "endless": (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" " * 65536),
    "unpacked": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\r\n",
        gzip.compress(b" " * 2**27),
    ),
    "many rows": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n",
        b'{"results": [' + b"{}," * 2_000_000 + b"{}]}",
    ),
}
OF_EACH_KIND = {(row.body == "multipart", get_origin(row.answer)): row for row in OPERATIONS}
MEMORY = 100 * 2**20


@pytest.mark.parametrize("large", LARGE)
async def test_a_huge_response_does_not_fill_the_memory(large: str, connect: Any) -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        head, piece = LARGE[large]
        await wire.write(head + piece)
        while large == "endless":
            await wire.write(piece)

    async with RawServer(script) as server:
        cc = await connect(server)
        for operation in OF_EACH_KIND.values():
            ids = dict.fromkeys((*operation.ids, *operation.needs), "7")
            tracemalloc.start()
            try:
                with contextlib.suppress(errors.ConstantContactError):
                    await _carry_out(operation, operation.sample(cc, ids))
                assert tracemalloc.get_traced_memory()[1] < MEMORY
            finally:
                tracemalloc.stop()
