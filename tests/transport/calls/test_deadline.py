"""`with client.deadline(5)` limits everything that a call waits for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import ConstantContact, errors
from ccv2_async.polling.poller import UploadPoller
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.http import protocol
from ccv2_async.transport.quota import Lane
from ccv2_async.transport.quota.budget import Budget
from ccv2_async.uploads.status import UPLOAD
from tests.support.bodies import PiecesBody
from tests.support.clocks import settle
from tests.support.probes import nothing_left, until
from tests.support.servers import RawServer, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.clocks import ManualClock
    from tests.support.servers import Request, Wire

READ = Call("GET", "/x", Effect.SAFE, "the thing")
ADD = Call("POST", "/x", Effect.ADDITIVE, "the thing", body=PiecesBody(b"{}"))
BARE_ADD = Call("POST", "/x", Effect.ADDITIVE, "the thing")


async def fine(wire: Wire, _: Request) -> None:
    await wire.answer("200 OK", b'"fine"')


async def unauthorized(wire: Wire, _: Request) -> None:
    await wire.answer("401 Unauthorized")


class Silent(RawServer):
    """A server that reads requests and never answers; `asked` counts them."""

    def __init__(self, first: bytes = b"") -> None:
        super().__init__(self._keep_silent)
        self.asked = 0
        self._first = first

    async def _keep_silent(self, wire: Wire) -> None:
        await wire.request()
        await wire.write(self._first)
        self.asked += 1
        while await wire.reader.read(65536):
            pass


def within(session: Any, seconds: float | None, call: Call = READ) -> asyncio.Task[Any]:
    async def work() -> Any:
        with session.deadline(seconds):
            return await session.send(call)

    return asyncio.create_task(work())


async def test_waiting_for_the_quota_counts_toward_the_deadline(
    open_session: Callable[..., Any], manual_clock: ManualClock
) -> None:
    budget = Budget(1, clock=manual_clock)
    async with serving(fine) as server, nothing_left():
        session = await open_session(server, clock=manual_clock, budget=budget)
        await budget.acquire(Lane.BULK)
        budget.pause(500)
        task = within(session, 5)
        await manual_clock.advance(4.9)
        assert not task.done()
        await manual_clock.advance(0.2)
        with pytest.raises(
            errors.DeadlineExceeded, match=r"within 5 s\. It sent nothing"
        ) as caught:
            await task
        assert caught.value.sent == "nothing"
        assert budget.used == 1
        assert server.connections == 0
        await session.aclose()


async def test_waiting_for_a_free_slot_counts_toward_the_deadline(
    open_session: Callable[..., Any], manual_clock: ManualClock
) -> None:
    async with Silent() as server:
        session = await open_session(server, clock=manual_clock, max_in_flight=1)
        first = within(session, 30)
        await until(lambda: server.asked)
        second = within(session, 5)
        await manual_clock.advance(5.1)
        with pytest.raises(errors.DeadlineExceeded, match="could not start within 5 s"):
            await second
        assert not first.done()
        await manual_clock.advance(25)
        with pytest.raises(errors.DeadlineExceeded, match="within 30 s"):
            await first
        assert server.asked == 1


@pytest.mark.parametrize(
    ("call", "kind"),
    [(READ, "DeadlineExceeded"), (ADD, "OutcomeUnknown"), (BARE_ADD, "OutcomeUnknown")],
)
async def test_a_server_that_never_answers_hits_the_deadline(
    open_session: Callable[..., Any], manual_clock: ManualClock, call: Call, kind: str
) -> None:
    async with Silent() as server, nothing_left():
        session = await open_session(server, clock=manual_clock)
        task = within(session, 5, call)
        await until(lambda: server.asked)
        await manual_clock.advance(5.1)
        with pytest.raises(getattr(errors, kind), match="within 5 s"):
            await task
        await session.aclose()


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "https://{}/v2", "verify": False},
        {"base_url": "https://api.example.com/v2", "proxy": "http://{}"},
        {"base_url": "https://api.example.com/v2", "proxy": "https://{}", "verify": False},
    ],
    ids=["handshake", "tunnel", "https proxy"],
)
async def test_a_call_without_a_body_that_never_got_a_connection_sent_nothing(
    manual_clock: ManualClock, options: dict[str, Any], method: str
) -> None:
    async def hang(wire: Wire) -> None:
        await wire.reader.read()

    async with RawServer(hang) as server, nothing_left():
        there: Any = {
            name: value.format(f"127.0.0.1:{server.port}") if isinstance(value, str) else value
            for name, value in options.items()
        }
        cc = ConstantContact(api_key="key-1", access_token="token-1", clock=manual_clock, **there)
        async with cc:
            with cc.deadline(5):
                task = asyncio.create_task(cc.request(method, "/thing"))
            await until(lambda: server.open)
            await manual_clock.advance(5.1)
            with pytest.raises(errors.DeadlineExceeded, match="nothing was sent within 5") as late:
                await task
    assert late.value.sent == "nothing"
    assert late.value.safe_to_retry


async def test_a_hanging_refresh_token_callback_counts_toward_the_deadline(
    open_session: Callable[..., Any], manual_clock: ManualClock
) -> None:
    asked = asyncio.Event()

    async def refresh() -> str:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(unauthorized) as server:
        session = await open_session(server, clock=manual_clock, refresh_token=refresh)
        task = within(session, 5)
        await asked.wait()
        await manual_clock.advance(5.1)
        with pytest.raises(errors.DeadlineExceeded, match="within 5 s"):
            await task


async def test_calls_in_a_block_share_its_deadline(
    open_session: Callable[..., Any], manual_clock: ManualClock
) -> None:
    async with serving(fine) as server:
        session = await open_session(server, clock=manual_clock)
        with session.deadline(5):
            await session.send(READ)
            await manual_clock.advance(4)
            assert session.time_left == pytest.approx(1.0)
            await session.send(READ)
            await manual_clock.advance(1.5)
            with pytest.raises(errors.DeadlineExceeded, match="It sent nothing"):
                await session.send(READ)
        await session.send(READ)
        assert session.time_left is None


async def test_the_earliest_of_nested_deadlines_counts(
    open_session: Callable[..., Any], manual_clock: ManualClock
) -> None:
    session = await open_session(clock=manual_clock)
    with session.deadline(5):
        with session.deadline(60):
            assert session.time_left == 5
        with session.deadline(None):
            assert session.time_left == 5
        with session.deadline(2):
            assert session.time_left == 2
            with session.no_deadline():
                assert session.time_left is None
        assert session.time_left == 5


async def test_tasks_in_the_block_share_its_deadline_and_other_clients_do_not(
    open_session: Callable[..., Any], manual_clock: ManualClock
) -> None:
    async def left(session: Any) -> float | None:
        left: float | None = session.time_left
        return left

    session = await open_session(clock=manual_clock)
    other = await open_session(clock=manual_clock)
    outside = asyncio.create_task(left(session))
    with session.deadline(5), other.deadline(7):
        tasks = [asyncio.create_task(left(one)) for one in (session, other)]
    assert await outside is None
    assert await asyncio.gather(*tasks) == [5, 7]


@pytest.mark.parametrize("where", ["own", "elsewhere"])
async def test_the_chunks_of_a_download_respect_the_deadline(
    open_session: Callable[..., Any], manual_clock: ManualClock, where: str
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nContent-Type: text/csv\r\n\r\n"
    async with Silent(head + b"a,b\n") as server:
        session = await open_session(server, clock=manual_clock)
        link = "/x.csv" if where == "own" else f"http://localhost:{server.port}/x.csv"

        async def work() -> None:
            with session.deadline(5):
                async with session.download(link, "the file") as pieces:
                    async for piece in pieces:
                        got.append(piece)  # noqa: PERF401  # another task looks at it meanwhile

        got: list[bytes] = []
        task = asyncio.create_task(work())
        await until(lambda: got)
        await manual_clock.advance(5.1)
        with pytest.raises(errors.DeadlineExceeded, match="not complete within 5 s"):
            await task
        assert b"".join(got) == b"a,b\n"
        await until(lambda: not server.open)


@pytest.mark.parametrize("where", ["own", "elsewhere"])
async def test_a_download_that_never_starts_hits_the_deadline(
    open_session: Callable[..., Any], manual_clock: ManualClock, where: str
) -> None:
    async with Silent() as server:
        session = await open_session(server, clock=manual_clock)
        link = "/x.csv" if where == "own" else f"http://localhost:{server.port}/x.csv"

        async def work() -> None:
            with session.deadline(5):
                async with session.download(link, "the file"):
                    raise AssertionError

        task = asyncio.create_task(work())
        await until(lambda: server.asked)
        await manual_clock.advance(5.1)
        with pytest.raises(errors.DeadlineExceeded, match="within 5 s"):
            await task


@pytest.mark.parametrize("seconds", [0, -1, "5", True, float("nan")])
async def test_an_invalid_deadline_is_refused(connect: Callable[..., Any], seconds: Any) -> None:
    cc = await connect()
    with pytest.raises(errors.InvalidField, match="seconds"):
        cc.deadline(seconds)


def job(cc: Any, number: int = 1) -> Any:
    parts = cc._open_parts
    return UploadPoller(parts.session, parts.sweep, parts.sweep.start(UPLOAD, f"{number}"))


WAITS: dict[str, Callable[[Any, Any], Any]] = {
    "await": lambda _, poller: poller.wait(),
    "poll_once": lambda _, poller: poller.poll_once(),
    "iterate": lambda _, poller: anext(aiter(poller)),
    "wait_all": lambda cc, poller: cc.wait_all([poller]),
    "as_completed": lambda cc, poller: anext(cc.as_completed([poller])),
    "sweep": lambda cc, poller: cc.sweep([poller.token()]),
}


@pytest.mark.parametrize("way", WAITS)
async def test_waiting_for_a_job_respects_the_deadline(
    connect: Callable[..., Any], manual_clock: ManualClock, way: str
) -> None:
    async with Silent() as server:
        cc = await connect(server, clock=manual_clock)
        poller = job(cc)

        async def work() -> None:
            with cc.deadline(5):
                await WAITS[way](cc, poller)

        task = asyncio.create_task(work())
        await settle()
        await manual_clock.advance(5.1)
        looks = way in ("poll_once", "sweep")
        with pytest.raises(errors.DeadlineExceeded if looks else errors.PollTimeout):
            await task


async def test_a_polling_leader_with_a_short_deadline_does_not_fail_the_others(
    connect: Callable[..., Any], manual_clock: ManualClock
) -> None:
    gate = asyncio.Event()
    asked = asyncio.Event()

    async def slow(wire: Wire, _: Request) -> None:
        asked.set()
        await gate.wait()
        await wire.answer(
            body=b'[{"file_id": "1", "status": "Active"}, {"file_id": "2", "status": "Active"}]'
        )

    async with serving(slow) as server:
        cc = await connect(server, clock=manual_clock)

        async def hurried() -> None:
            with cc.deadline(5):
                await job(cc, 1).poll_once()

        leader = asyncio.create_task(hurried())
        await asked.wait()
        other = asyncio.create_task(job(cc, 2).poll_once())
        await manual_clock.advance(5.1)
        with pytest.raises(errors.DeadlineExceeded):
            await leader
        gate.set()
        assert (await other).status == "Active"


async def test_a_hanging_result_request_hits_the_deadline(
    connect: Callable[..., Any], manual_clock: ManualClock
) -> None:
    fetching = asyncio.Event()

    async def silent(_: Wire, __: Request) -> None:
        fetching.set()
        await asyncio.Event().wait()

    async def active(wire: Wire, _: Request) -> None:
        await wire.answer(body=b'[{"file_id": "1", "status": "Active"}]')

    async with serving(active, silent) as server:
        cc = await connect(server, clock=manual_clock)

        async def work() -> None:
            with cc.deadline(30):
                await job(cc)

        task = asyncio.create_task(work())
        await manual_clock.advance(10)
        await fetching.wait()
        await manual_clock.advance(21)
        with pytest.raises(errors.PollTimeout, match="after 30 s"):
            await task


async def test_a_change_that_was_sent_before_is_not_said_to_be_unsent(
    connect: Callable[..., Any], manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    async def lose(wire: Wire) -> None:
        await wire.head()
        monkeypatch.setattr(protocol, "dial", hang)
        wire.reset()

    async with RawServer(lose) as server:
        cc = await connect(server, clock=manual_clock)
        with cc.deadline(5):
            task = asyncio.create_task(cc.request("DELETE", "/thing"))
        await until(lambda: server.connections)
        while not task.done():
            await manual_clock.advance(0.5)
            await asyncio.sleep(0.001)
        with pytest.raises(errors.DeadlineExceeded) as late:
            await task
    assert late.value.sent == "wholly"
