"""Sockets as uploads need them: pieces leave together and uncopied, and answers are always heard.

asyncio's own transports copy what the kernel does not take at once, twice on Python 3.11, and
httpcore's backend goes through several layers for each piece. A `Wire` is one
non-blocking socket: it hands the pieces of a request to the kernel as they are, and takes what
arrives from the moment it is connected, also while a body is on its way. So an early refusal is
not lost when the service hangs up on the rest, and a service that hangs up on a connection at
rest is noticed before anything is sent into it.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

import anyio
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable
    from typing import Any

    from ccv2_async.transport.tls import SealedWire

__all__ = ["CAN_GATHER", "Wire", "connect"]

# What is smaller waits, until the event loop's next turn at most, for what may follow at once: the
# head of a request leaves together with the beginning of its body.
_HELD_BACK = 16 * 1024
_PIECES_AT_ONCE = 64  # far below any system's IOV_MAX
_READ_SIZE = 64 * 1024
_READ_AHEAD = 256 * 1024
_NEXT_ADDRESS_AFTER = 0.25  # seconds, as RFC 8305 recommends
CAN_GATHER = hasattr(socket.socket, "sendmsg")
"""Whether a `Wire` works here: not on Windows, whose event loop cannot watch sockets either."""

_AGAIN = (BlockingIOError, InterruptedError)


class Wire:
    """A connected socket, used by one request at a time.

    Args:
        sock: The socket, non-blocking; closed with this object.

    Attributes:
        on_hang_up: Called when the other side has hung up, in good order or not.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.on_hang_up: Callable[[], object] | None = None
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._descriptor = sock.fileno()
        self._closed = False
        self._arrived: deque[bytes] = deque()
        self._bytes_arrived = 0
        self._listening = False
        self._hung_up = False
        self._read_failure: OSError | None = None
        self._reader: asyncio.Future[None] | None = None
        self._leaving: list[bytes | memoryview] = []
        self._bytes_leaving = 0
        self._pushing = False
        self._turn: asyncio.Handle | None = None
        self._write_failure: OSError | None = None
        self._write_timeout: float | None = None
        self._writer: asyncio.Future[None] | None = None
        self._listen()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Give the kernel these bytes; a few are held back for the rest of the loop's turn.

        Raises:
            httpx.WriteError: The connection is broken; an answer may have arrived all the same.
            httpx.WriteTimeout: The kernel did not take them in time.
        """
        if self._hung_up and not self._arrived and self._write_failure is None:
            # No answer can come any more: whoever asks later shall know that no more was sent.
            self._write_failure = ConnectionResetError("the other side has hung up")
        if buffer and self._write_failure is None:
            self._leaving.append(buffer)
            self._bytes_leaving += len(buffer)
            self._write_timeout = timeout
        if self._bytes_leaving >= _HELD_BACK:
            self._push()
            await self._until_left()
        elif self._bytes_leaving and self._turn is None and not self._pushing:
            self._turn = self._loop.call_soon(self._push)
        if self._write_failure is not None:
            raise httpx.WriteError(_told(self._write_failure)) from self._write_failure

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has arrived, once something has; b"" when the other side has hung up.

        Raises:
            httpx.ReadError: The connection is broken.
            httpx.ReadTimeout: Nothing arrived in time.
            httpx.WriteTimeout: The kernel did not take the end of the request in time.
        """
        if self._bytes_leaving:
            self._push()
            await self._until_left()
        if not self._arrived and not self._hung_up:
            await self._until_arrived(timeout)
        if not self._arrived:
            if self._read_failure is not None:
                raise httpx.ReadError(_told(self._read_failure)) from self._read_failure
            return b""
        piece = self._arrived.popleft()
        if len(piece) > max_bytes:
            self._arrived.appendleft(piece[max_bytes:])
            piece = piece[:max_bytes]
        self._bytes_arrived -= len(piece)
        if not self._listening and self._bytes_arrived < _READ_AHEAD and not self._hung_up:
            self._listen()
        return piece

    def close(self) -> None:
        """Close the socket at once; whoever waits for it gets an error."""
        if self._closed:
            return
        self._closed = True
        self.on_hang_up = None
        self._forget_leaving()
        self._hang_up(OSError("the connection was closed"))
        self._write_failure = self._read_failure
        _wake(self._writer)
        self._sock.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> SealedWire:
        """The same connection, encrypted; it is closed if that fails.

        Raises:
            httpx.ConnectError: The other side is not who it should be, or speaks no TLS.
            httpx.ConnectTimeout: That took too long.
        """
        from ccv2_async.transport.tls import SealedWire  # noqa: PLC0415  # it imports this one

        sealed = SealedWire(self, ssl_context, server_hostname)
        await sealed.shake_hands(timeout)
        return sealed

    def is_stale(self) -> bool:
        """Whether a connection at rest is of no more use: hung up on, or spoken to unasked."""
        if self._hung_up or self._arrived:
            return True
        try:  # the loop may not have had the time to notice yet
            self._sock.recv(1, socket.MSG_PEEK)
        except _AGAIN:
            return False
        except OSError:
            pass
        return True

    def _listen(self) -> None:
        self._loop.add_reader(self._descriptor, self._take)
        self._listening = True

    def _stop_listening(self) -> None:
        if self._listening:
            self._loop.remove_reader(self._descriptor)
            self._listening = False

    def _take(self) -> None:
        """Take what has arrived, whether or not anybody waits for it."""
        try:
            piece = self._sock.recv(_READ_SIZE)
        except _AGAIN:
            return
        except OSError as error:
            self._hang_up(error)
            return
        if not piece:
            self._hang_up(None)
            return
        self._arrived.append(piece)
        self._bytes_arrived += len(piece)
        if self._bytes_arrived >= _READ_AHEAD:
            self._stop_listening()
        _wake(self._reader)

    def _hang_up(self, failure: OSError | None) -> None:
        self._stop_listening()
        self._hung_up = True
        self._read_failure = failure
        _wake(self._reader)
        if self.on_hang_up is not None:
            self.on_hang_up()

    def _push(self) -> None:
        """Give the kernel as much as it takes, and come back for the rest when it takes more."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        try:
            while self._bytes_leaving:
                self._cut(self._sock.sendmsg(self._leaving[:_PIECES_AT_ONCE]))
        except _AGAIN:
            if not self._pushing:
                self._loop.add_writer(self._descriptor, self._push)
                self._pushing = True
            return
        except OSError as error:
            self._write_failure = error
        self._forget_leaving()
        _wake(self._writer)

    def _cut(self, taken: int) -> None:
        """Forget the bytes that the kernel has taken."""
        self._bytes_leaving -= taken
        whole = 0
        for piece in self._leaving:
            if taken < len(piece):
                break
            taken -= len(piece)
            whole += 1
        del self._leaving[:whole]
        if taken:
            self._leaving[0] = memoryview(self._leaving[0])[taken:]

    def _forget_leaving(self) -> None:
        self._leaving.clear()
        self._bytes_leaving = 0
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if self._pushing:
            self._loop.remove_writer(self._descriptor)
            self._pushing = False

    async def _until_left(self) -> None:
        """Wait until the kernel has taken everything, or will take nothing any more."""
        if not self._bytes_leaving:
            return
        self._writer = self._loop.create_future()
        try:
            await _in_time(self._writer, self._write_timeout, httpx.WriteTimeout)
        finally:
            self._writer = None

    async def _until_arrived(self, timeout: float | None) -> None:
        self._reader = self._loop.create_future()
        try:
            await _in_time(self._reader, timeout, httpx.ReadTimeout)
        finally:
            self._reader = None


async def connect(host: str, port: int, timeout: float | None) -> Wire:
    """A connection to the first address of a host that takes one.

    Args:
        host: A name or an address.
        port: The port.
        timeout: Seconds for all of it; None for no limit.

    Raises:
        httpx.ConnectError: No address took it. Safe to try again: yes.
        httpx.ConnectTimeout: None did in time. Safe to try again: yes.
    """
    try:
        async with asyncio.timeout(timeout):
            sock = await _dial(host, port)
    except TimeoutError as error:
        # The kernel's own time-out is one of these too.
        raise httpx.ConnectTimeout(str(error)) from error
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(_told(error)) from error
    try:
        return Wire(sock)
    except BaseException:
        sock.close()
        raise


async def _dial(host: str, port: int) -> socket.socket:
    for family in (socket.AF_INET, socket.AF_INET6):
        if _is_address(family, host):
            return await _dial_address(family, (host, port))
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(_interleaved((family, address) for family, _, _, _, address in found))
    if len(addresses) == 1:
        return await _dial_address(*addresses[0])
    return await _dial_in_turn(addresses)


def _is_address(family: int, host: str) -> bool:
    try:
        socket.inet_pton(family, host)
    except OSError:
        return False
    return True


def _interleaved(addresses: Iterable[tuple[int, Any]]) -> Iterable[tuple[int, Any]]:
    """The addresses with the families alternating, in the order of the resolver otherwise."""
    families: dict[int, list[tuple[int, Any]]] = {}
    for family, address in addresses:
        families.setdefault(family, []).append((family, address))
    ranks = zip_longest(*families.values())
    return (address for address in chain.from_iterable(ranks) if address is not None)


async def _dial_address(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _dial_in_turn(addresses: list[tuple[int, Any]]) -> socket.socket:
    """The first socket that connects; the next address is tried when one fails or takes long."""
    won: list[socket.socket] = []
    failures: list[OSError] = []

    async def dial(address: tuple[int, Any], over: anyio.Event) -> None:
        try:
            sock = await _dial_address(*address)
        except OSError as error:
            failures.append(error)
        else:
            if won:
                sock.close()
            else:
                won.append(sock)
                group.cancel_scope.cancel()
        finally:
            over.set()

    try:
        async with anyio.create_task_group() as group:
            for address in addresses:
                over = anyio.Event()
                group.start_soon(dial, address, over)
                with anyio.move_on_after(_NEXT_ADDRESS_AFTER):
                    await over.wait()
    except BaseException:
        for sock in won:
            sock.close()
        raise
    if won:
        return won[0]
    raise OSError("; ".join(dict.fromkeys(map(_told, failures)))) from failures[-1]


async def _in_time(
    waiter: asyncio.Future[None], timeout: float | None, late: type[Exception]
) -> None:
    """Wait for a future; much cheaper than `asyncio.timeout`, which interrupts the whole task."""
    if timeout is None:
        await waiter
        return
    timer = waiter.get_loop().call_later(timeout, _expire, waiter, late)
    try:
        await waiter
    finally:
        timer.cancel()


def _expire(waiter: asyncio.Future[None], late: type[Exception]) -> None:
    if not waiter.done():
        waiter.set_exception(late(""))


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__
