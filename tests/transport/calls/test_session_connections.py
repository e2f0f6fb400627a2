"""Calls whose connection is stale or lost, or is answered early."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.http.connection import Connection
from tests.support.bodies import PiecesBody
from tests.support.probes import until
from tests.support.servers import RawServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers import Wire

IDLE = 5


def upload(*pieces: bytes, **options: Any) -> Call:
    body = PiecesBody(*(pieces or (b"body",)), **options)
    return Call("POST", "/thing", Effect.ADDITIVE, "the thing", body=body)


def attempts(call: Call) -> int:
    assert isinstance(call.body, PiecesBody)
    return len(call.body.attempts)


class Restarting:
    """A server that restarts: earlier connections lose their next request."""

    def __init__(self) -> None:
        self.restarted = False
        self.arrived = 0
        self._all_there = asyncio.Event()

    async def script(self, wire: Wire) -> None:
        is_old = not self.restarted
        while True:
            request = await wire.request()
            if is_old and self.restarted:
                wire.reset()
                return
            self.arrived += 1
            if not self.restarted:
                if self.arrived == IDLE:
                    self._all_there.set()
                await self._all_there.wait()
            assert request.method in ("GET", "POST", "PUT")
            await wire.answer(body=b'"done"')


@pytest.mark.parametrize("effect", [Effect.SAFE, Effect.IDEMPOTENT, Effect.CONVERGENT])
async def test_a_call_is_resent_on_a_new_connection_after_a_lost_one(
    open_session: Callable[..., Any], effect: Effect
) -> None:
    service = Restarting()
    async with RawServer(service.script) as server:
        session = await open_session(server)
        get = Call("GET", "/thing", Effect.SAFE, "the thing")
        await asyncio.gather(*(session.send(get) for _ in range(IDLE)))
        assert server.connections == IDLE
        service.restarted = True
        call = Call("PUT", "/thing", effect, "the thing", body=PiecesBody(b"body"))
        assert (await session.send(call)).read(str) == "done"
        assert attempts(call) == 2
        assert server.connections == IDLE + 1


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_body_of_which_no_byte_was_accepted_was_not_sent(
    open_session: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, repeatable: bool
) -> None:
    """The service closes an idle connection after the check, while the body is read."""
    bodies: list[bytes] = []
    leave = asyncio.Event()

    async def script(wire: Wire) -> None:
        bodies.append((await wire.request()).body)
        await wire.answer(body=b'"done"')
        await (leave.wait() if len(bodies) == 1 else wire.reader.read())

    async def usable(_: Connection) -> bool:
        return True

    monkeypatch.setattr(Connection, "is_usable", usable)
    async with RawServer(script) as server:
        session = await open_session(server)
        close = Connection.close
        monkeypatch.setattr(Connection, "close", lambda _: None)  # it has not noticed yet
        await session.send(Call("GET", "/thing", Effect.SAFE, "the thing"))
        leave.set()
        await until(lambda: not server.open)
        monkeypatch.setattr(Connection, "close", close)
        call = upload(b"body", repeatable=repeatable)
        if repeatable:
            assert (await session.send(call)).read(str) == "done"
            assert attempts(call) == 2
        else:
            with pytest.raises(errors.ConnectionLost) as caught:
                await session.send(call)
            assert caught.value.sent == "nothing"
    assert bodies == ([b"", b"body"] if repeatable else [b""])


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("400 Bad Request", errors.BadRequest),
        ("401 Unauthorized", errors.AuthenticationFailed),
        ("413 Payload Too Large", errors.BadRequest),
    ],
)
@pytest.mark.parametrize("source", ["fast", "stalled"])
async def test_an_early_refusal_ends_the_call_at_once(
    open_session: Callable[..., Any], status: str, error: type[errors.APIError], source: str
) -> None:
    taken, sending = 0, asyncio.Event()

    async def before(number: int) -> None:
        nonlocal taken
        taken = number
        if number == 3:
            sending.set()
            if source == "stalled":
                await asyncio.Event().wait()

    async def refuse(wire: Wire) -> None:
        await wire.head()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a duplex one
        await sending.wait()
        await wire.answer(status, b'[{"error_key": "k", "error_message": "no"}]')
        await asyncio.Event().wait()

    async with RawServer(refuse) as server:
        session = await open_session(server)
        call = upload(*[b"x" * 65_536] * 1000, before=before)
        with pytest.raises(error):
            await session.send(call)
        assert attempts(call) == 1
        assert isinstance(call.body, PiecesBody)
        assert call.body.attempts[0].closed
        assert 3 <= taken < 999


@pytest.mark.parametrize("effect", [Effect.SAFE, Effect.IDEMPOTENT, Effect.CONVERGENT])
async def test_a_call_is_resent_after_a_gateway_closed_its_connection_with_408(
    open_session: Callable[..., Any], effect: Effect
) -> None:
    async def hang_up(wire: Wire) -> None:
        await wire.request()
        if server.connections == 1:
            await wire.answer("408 Request Timeout", b"<html>", "Connection: close", json=False)
        else:
            await wire.answer(body=b'"done"')

    async with RawServer(hang_up) as server:
        session = await open_session(server)
        assert (await session.send(Call("GET", "/thing", effect, "the thing"))).status == 200
    assert server.connections == 2
