"""A sandbox on a socket, in its own thread with its own event loop.

A thread keeps the sandbox's work out of the event loop of the code under test, its tasks, and their
cancellation.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from concurrent.futures import Future, wait
from contextlib import nullcontext
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

import attrs
import uvicorn

from ccv2_async.sandbox.admin import Admin
from ccv2_async.sandbox.app import Guard, make_app
from ccv2_async.sandbox.content import make_content_app
from ccv2_async.sandbox.saved import Keeper, read_file
from ccv2_async.sandbox.settings import Settings
from ccv2_async.sandbox.wire import Protocol
from ccv2_async.sandbox.world import World

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from starlette.applications import Starlette
    from starlette.types import ASGIApp

    from ccv2_async.sandbox.clock import Clock
    from ccv2_async.sandbox.settings import SettingChanges

_BACKLOG = 1024
_GRACE = 0.2
# A connection accepted during the stop gets its transport a few iterations of the loop later.
_TURNS = 5
_PATIENCE = 30.0
_LAST_PORT = 65_535
_HOST = "127.0.0.1"
_BY_ANY = {"0.0.0.0": _HOST, "::": "::1"}  # noqa: S104  # they are replaced, not bound
"""The addresses by which this machine reaches a sandbox that listens on all addresses."""


class ClientOptions(TypedDict):
    """The options of a client for the sandbox."""

    api_key: str
    access_token: str
    base_url: str
    per_second: float | None
    per_day: int | None
    trust_env: bool


class _Server(uvicorn.Server):
    """uvicorn without its clock ticks: it starts and stops immediately."""

    def __init__(self, config: uvicorn.Config, sock: socket.socket) -> None:
        super().__init__(config)
        self._sock = sock
        self._stop = asyncio.Event()

    async def begin(self) -> None:
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=[self._sock])
        self._sock.listen(_BACKLOG)

    async def run_until_stopped(self) -> None:
        await self._stop.wait()
        # Accept nothing more, and let accepted connections get their transports before the server
        # closes: asyncio would leave such a connection open.
        asyncio.get_running_loop().remove_reader(self._sock)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        if state.tasks:
            await asyncio.wait(list(state.tasks), timeout=_GRACE)
        for connection in list(state.connections):
            connection.transport.abort()
        # Let tasks that wait for the client to disconnect end by themselves: uvicorn logs a
        # cancellation.
        for _ in range(2 * _TURNS):
            await asyncio.sleep(0)
        for task in list(state.tasks):
            task.cancel()
        if state.tasks:
            await asyncio.wait(list(state.tasks))
        for server in self.servers:
            await server.wait_closed()

    def stop(self) -> None:
        self._stop.set()


class Sandbox:
    """A local stand-in for the service, for tests, demonstrations and development.

    Use it as a context manager, sync or async, or call `start` and `stop`::

        async with Sandbox() as sandbox:
            options = sandbox.client_options()

    Args:
        port: The port; 0 for a free one.
        host: The address or name to listen on. With any address other than this machine's own,
            anyone who can reach the port can use the sandbox and its admin path.
        content_port: The port for the bytes of files; 0 for a free one.
        state: A file that keeps the account: it is read now, if it exists, and written soon
            after each change and at the end. Settings, faults and the log are not kept. The `seed`
            is used until the file exists, and by `Admin.reset`.
        settings: The settings; by default `Settings()`.
        clock: Its clock; by default the machine's.
        tls: A server-side TLS context; with it, the sandbox speaks only HTTPS.
        changes: Settings by name, on top of `settings`.

    Attributes:
        admin: Inspects and controls the sandbox; see `Admin`.
        app: The ASGI application, for use without a socket.
        is_local: Whether only this machine can reach it. It is known once it runs.

    Raises:
        ValueError: A setting has a wrong value, or `state` or `seed` is a file that does not hold
            the state of a sandbox or has a later version.
        OSError: Such a file cannot be read.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = _HOST,
        content_port: int = 0,
        state: str | Path | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
        tls: ssl.SSLContext | None = None,
        **changes: Unpack[SettingChanges],
    ) -> None:
        self._world = World(attrs.evolve(settings or Settings(), **changes), clock)
        self._keeper: Keeper | None = None
        if state is not None:
            path = Path(state)
            self._keeper = Keeper(path, self._world.save)
            if path.exists():
                self._world.load(read_file(path), str(path))
        for name, number in (("port", port), ("content_port", content_port)):
            if not 0 <= number <= _LAST_PORT:
                raise ValueError(f"{name} cannot be {number!r}: it must be from 0 to {_LAST_PORT}.")
        self._host = host
        self._ports = (port, content_port)
        self._tls = tls
        self._port: int | None = None
        self.is_local: bool = True
        self._thread: threading.Thread | None = None
        self._started: Future[None] = Future()
        self._ended: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._servers: tuple[_Server, ...] = ()
        self.app: Starlette = make_app(self._world)
        self.admin: Admin = Admin(self._world, self._run)

    @property
    def base_url(self) -> str:
        """The API's root, ending in `/v2`.

        Raises:
            RuntimeError: The sandbox is not running.
        """
        return f"{self.origin}/v2"

    @property
    def origin(self) -> str:
        """Scheme, host and port.

        Raises:
            RuntimeError: The sandbox is not running.
        """
        if self._port is None:
            raise RuntimeError("The sandbox is not running: use `with`, or call start().")
        return self._at(self._port)

    @property
    def content_origin(self) -> str | None:
        """Scheme, host and port of the files' URLs; None if the sandbox is not running."""
        return self._world.content_origin

    def _at(self, port: int) -> str:
        host = _BY_ANY.get(self._host, self._host)
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self._tls else 'http'}://{shown}:{port}"

    def client_options(
        self, *, per_second: float | None = None, per_day: int | None = None
    ) -> ClientOptions:
        """Return keyword arguments for a client of this sandbox.

        These are its key, token, base URL, quota, and `trust_env=False`, because a proxy cannot
        reach 127.0.0.1 of this machine. If the sandbox listens on all addresses, the base URL is
        the one for this machine.

        Args:
            per_second: The client's calls per second; None for no limit.
            per_day: The client's calls per day; None for no limit.
        """
        settings = self._world.settings
        return {
            "api_key": settings.api_key,
            "access_token": settings.access_token,
            "base_url": self.base_url,
            "per_second": per_second,
            "per_day": per_day,
            "trust_env": False,
        }

    def start(self) -> Self:
        """Listen, and return once the server answers requests.

        Raises:
            RuntimeError: The sandbox is already running.
            OSError: The port is not available, or the file of the state cannot be written.
        """
        try:
            self._launch().result()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close every connection and end the thread. Does nothing when it is not running.

        Raises:
            OSError: The last changes could not be written to the file of the state.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        wait([self._started])
        self._signal_stop()
        thread.join()
        self._port = self._world.content_origin = self._world.content_port = None
        if self._keeper is not None and self._keeper.failure is not None:
            raise self._keeper.failure

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        started = self._launch()
        try:
            await asyncio.shield(asyncio.wrap_future(started))
        except BaseException:
            self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._signal_stop()
        try:
            await asyncio.shield(asyncio.wrap_future(self._ended))
        finally:
            # End the thread, even if this is cancelled.
            self.stop()

    def _launch(self) -> Future[None]:
        if self._thread is not None:
            raise RuntimeError("The sandbox is already running.")
        family, *_, address = socket.getaddrinfo(self._host, 0, type=socket.SOCK_STREAM)[0]
        ip = str(address[0])
        with contextlib.ExitStack() as opened:
            sockets = [opened.enter_context(_listen(family, ip, port)) for port in self._ports]
            self.is_local = ip_address(ip).is_loopback
            self._port, content_port = (sock.getsockname()[1] for sock in sockets)
            self._world.content_origin = self._at(content_port)
            self._world.content_port = None if self.is_local else content_port
            self._started, self._ended = Future(), Future()
            thread = threading.Thread(
                target=self._serve, args=(sockets,), name="ccv2-sandbox", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, str(error)) from None
            opened.pop_all()
        self._thread = thread
        return self._started

    def _serve(self, sockets: list[socket.socket]) -> None:
        try:
            asyncio.run(self._main(sockets))
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)
        finally:
            self._loop, self._servers = None, ()
            for sock in sockets:
                sock.close()
            self._ended.set_result(None)

    async def _main(self, sockets: list[socket.socket]) -> None:
        apps = (self.app, make_content_app(self._world))
        async with nullcontext() if self._keeper is None else self._keeper.kept():
            self._loop = asyncio.get_running_loop()
            self._servers = tuple(map(self._server, apps, sockets))
            for server in self._servers:
                await server.begin()
            self._started.set_result(None)
            await asyncio.gather(*(server.run_until_stopped() for server in self._servers))

    def _server(self, app: ASGIApp, sock: socket.socket) -> _Server:
        tls = self._tls
        if self._keeper is not None:
            app = self._keeper.watched(app)
        config = uvicorn.Config(
            Guard(app, self._host, local=self.is_local),
            http=Protocol,
            ws="none",
            lifespan="off",
            # asyncio accepts as many connections in a row, and logs each one that it has no
            # descriptor for.
            backlog=1,
            log_config=None,
            access_log=False,
            date_header=False,
            server_header=False,
            timeout_keep_alive=75,
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        )
        return _Server(config, sock)

    def _signal_stop(self) -> None:
        if (loop := self._loop) is None:
            return
        for server in self._servers:
            # After a second call, it may have closed its loop already.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(server.stop)

    def _run(self, action: Callable[[], Any]) -> Any:
        if (loop := self._loop) is None or self._thread is threading.current_thread():
            return action()
        outcome: Future[Any] = Future()

        def call() -> None:
            try:
                outcome.set_result(action())
            except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
                outcome.set_exception(error)
            if self._keeper is not None:
                self._keeper.note()

        loop.call_soon_threadsafe(call)
        return outcome.result(_PATIENCE)


def _listen(family: int, ip: str, port: int) -> socket.socket:
    # Name the protocol: asyncio turns off Nagle's algorithm only for TCP. With it, every response
    # with a body would be 40 ms late.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((ip, port))
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
