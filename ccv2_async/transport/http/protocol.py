"""The bytes of one connection: an `asyncio.Protocol` with reads, writes, and time limits.

asyncio handles the sockets and TLS. This class always reads, even while a request is being sent, so
it notices an early response or a closed connection immediately.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from typing import TYPE_CHECKING, cast

import httpx

from ccv2_async.transport.http.dial import dial, reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.transport.http.dial import CheckAddress
    from ccv2_async.transport.http.proxies import HttpProxy

READ_AHEAD = 512 * 1024
SMALL_PIECE = 32 * 1024
# Encryption blocks the event loop: for a fraction of a millisecond with this size.
_WRITTEN_AT_ONCE = 256 * 1024
NO_LIMIT = 7 * 86_400.0  # asyncio's limit on handshakes must not expire before ours


class NothingSent(httpx.WriteError):
    """The connection became unusable before the first byte of the request was sent."""


class SocketStream(asyncio.Protocol):
    """One connected socket, with or without TLS, for one request at a time.

    Args:
        sock: The connected socket; asyncio's transport closes it.

    Attributes:
        on_event: Called when bytes arrive, or when the connection ends.
        truncated: Whether a TLS connection ended without `close_notify`, so that data may be
            missing.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.on_event: Callable[[], object] | None = None
        self.truncated: bool = False
        self._sock = sock
        self._transport: asyncio.Transport | None = None
        self._tls: ssl.SSLObject | None = None
        self._arrived: deque[memoryview] = deque()
        self._bytes_arrived = 0
        self._reading_paused = False
        self._writing_paused = False
        self._at_eof = False
        self._failure: Exception | None = None  # set once the transport is gone
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    # --- called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport. Writes wait until it has sent everything."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._tls = transport.get_extra_info("ssl_object")

    def data_received(self, data: bytes) -> None:
        """Buffer what arrives, and pause reading at the limit."""
        self._arrived.append(memoryview(data))
        self._bytes_arrived += len(data)
        if self._bytes_arrived >= READ_AHEAD and not self._reading_paused:
            self._reading_paused = True
            self._open_transport.pause_reading()
        self._notify(self._reader)

    def eof_received(self) -> bool:
        """Note that the server sends nothing more; it may still read."""
        self._at_eof = True
        self.truncated = self._tls is not None and not closed_properly(self._tls)
        self._notify(self._reader)
        return self._tls is None  # there are no half-closed connections in TLS

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake all waiters."""
        self._failure = self._failure or exc or ConnectionError("the connection was closed")
        _wake(self._writer)
        self._notify(self._reader)

    def pause_writing(self) -> None:
        """Make writes wait."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """Let writes continue."""
        self._writing_paused = False
        _wake(self._writer)

    # --- called by a connection

    @property
    def ended(self) -> bool:
        """Whether nothing more will arrive after the buffered bytes."""
        return self._at_eof or self._failure is not None

    @property
    def has_news(self) -> bool:
        """Whether the event loop has read data that nobody has taken, or has reached the end."""
        return bool(self._arrived) or self.ended

    def start(self, *pieces: bytes) -> bool:
        """Write the first bytes of a request, unless the connection is no longer usable.

        Returns:
            False if it is certain that no byte was sent, because the server had closed the
            connection or had sent unrequested data.
        """
        if self.is_stale():
            return False
        transport = self._open_transport
        # Not `writelines`: since Python 3.12 it does not pause the protocol when much is left to
        # send, and it fails if the connection is lost in the meantime.
        transport.write(b"".join(pieces))
        # A plain transport sends immediately, and closes itself if the system refuses.
        return not transport.is_closing()

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        """Send bytes, and return when the operating system has taken them.

        Raises:
            httpx.WriteError: The connection is broken; a response may still have arrived.
            httpx.WriteTimeout: The bytes were not taken in time.
        """
        view = memoryview(data)
        for at in range(0, len(view), _WRITTEN_AT_ONCE):
            await self.drain(timeout)
            self._open_transport.write(view[at : at + _WRITTEN_AT_ONCE])
        await self.drain(timeout)

    async def drain(self, timeout: float | None = None) -> None:
        """Return when the system has taken everything written so far.

        Raises:
            httpx.WriteError: The connection is broken.
            httpx.WriteTimeout: The bytes were not taken in time.
        """
        if self._writing_paused and self._failure is None:
            self._writer = asyncio.get_running_loop().create_future()
            try:
                await _in_time(self._writer, timeout, httpx.WriteTimeout)
            finally:
                self._writer = None
        if self._failure is not None:
            raise httpx.WriteError(reason(self._failure)) from self._failure

    def take(self, most: int = SMALL_PIECE) -> bytes | memoryview:
        """Return up to `most` of the bytes that have arrived; b"" if none have."""
        if not self._arrived:
            return b""
        arrived = self._arrived.popleft()
        piece = arrived[:most]
        if len(arrived) > most:
            self._arrived.appendleft(arrived[most:])
        self._bytes_arrived -= len(piece)
        if self._reading_paused and self._bytes_arrived < READ_AHEAD:
            self._reading_paused = False
            if self._failure is None:
                self._open_transport.resume_reading()
        return piece

    async def read(
        self, timeout: float | None = None, most: int = SMALL_PIECE
    ) -> bytes | memoryview:
        """Return up to `most` of the next bytes; b"" if the server closed the connection.

        Raises:
            httpx.ReadError: The connection is broken.
            httpx.ReadTimeout: Nothing arrived in time.
        """
        if not self._arrived and not self.ended:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await _in_time(self._reader, timeout, httpx.ReadTimeout)
            finally:
                self._reader = None
        if not self._arrived and self._failure is not None and not self._at_eof:
            raise httpx.ReadError(reason(self._failure)) from self._failure
        return self.take(most)

    async def settle(self) -> bool:
        """Let the event loop read data that has arrived; return whether there may be some."""
        if self._peek() is None:
            return False
        await asyncio.sleep(0)  # the loop polls ...
        await asyncio.sleep(0)  # ... and calls `data_received`
        return True

    def is_stale(self) -> bool:
        """Return whether the server has closed the connection, or has sent unrequested data."""
        if self.has_news:
            return True
        peeked = self._peek()
        # With TLS, a record may carry no data, such as a session ticket.
        return peeked == b"" or (peeked is not None and self._tls is None)

    def close(self) -> None:
        """Close the connection immediately; code that waits for it gets an error."""
        self.on_event = None
        if self._transport is not None and self._failure is None:
            self._transport.abort()
            self.connection_lost(None)  # asyncio would call it in the next iteration

    def _peek(self) -> bytes | None:
        """Return a byte that asyncio has not read yet, b"" at the end, or None if there is none."""
        try:
            return self._sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    @property
    def _open_transport(self) -> asyncio.Transport:
        assert self._transport is not None  # noqa: S101  # `connect` returns after that
        return self._transport

    def _notify(self, waiter: asyncio.Future[None] | None) -> None:
        _wake(waiter)
        if self.on_event is not None:
            self.on_event()


async def connect(
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    timeout: float | None = None,
    check_address: CheckAddress | None = None,
    proxy: HttpProxy | None = None,
) -> SocketStream:
    """Connect to a host.

    Args:
        host: A host name or an IP address.
        port: The port.
        tls: The context that checks the certificate; None for a connection without TLS.
        timeout: The seconds for the whole connection, including TLS; None for no limit.
        check_address: See `dial`. It is not used with a proxy, which resolves names itself.
        proxy: The proxy to connect to instead; with TLS, through a tunnel.

    Raises:
        httpx.ProxyError: The proxy refused. Nothing was sent.
        httpx.ConnectError: No address accepted the connection, or TLS failed. Nothing was sent.
        httpx.ConnectTimeout: It took too long. Nothing was sent.
    """
    stream: SocketStream | None = None
    try:
        async with asyncio.timeout(timeout):
            if proxy is None:
                sock = await dial(host, port, check_address=check_address)
            else:
                sock = await _dial_proxy(proxy, (host, port) if tls is not None else None)
            stream = SocketStream(sock)
            await _hand_over(sock, stream, tls, host)
    except TimeoutError as error:
        # This includes timeouts of the operating system.
        _close(stream)
        raise httpx.ConnectTimeout(str(error)) from error
    except (OSError, UnicodeError) as error:
        _close(stream)
        raise httpx.ConnectError(reason(error)) from error
    except BaseException:
        _close(stream)
        raise
    return stream


async def _dial_proxy(proxy: HttpProxy, target: tuple[str, int] | None) -> socket.socket:
    """Connect to a proxy, and through it to the target if there is one."""
    sock = await dial(proxy.host, proxy.port)
    try:
        if target is not None:
            await proxy.open_tunnel(sock, *target)
    except BaseException:
        sock.close()
        raise
    return sock


async def _hand_over(
    sock: socket.socket, stream: SocketStream, tls: ssl.SSLContext | None, host: str
) -> None:
    """Make an asyncio transport for a connected socket."""
    loop = asyncio.get_running_loop()
    if tls is None:
        await loop.create_connection(lambda: stream, sock=sock)
        return
    tls.set_alpn_protocols(["http/1.1"])  # just before: an HTTP/2 client may use the context too
    await loop.create_connection(
        lambda: stream, sock=sock, ssl=tls, server_hostname=host, ssl_handshake_timeout=NO_LIMIT
    )


def _close(stream: SocketStream | None) -> None:
    if stream is not None:
        stream.close()


def closed_properly(tls: ssl.SSLObject) -> bool:
    """Return whether the server ended a TLS connection with `close_notify`.

    Call it when the connection has ended and everything was read.
    """
    try:
        return tls.read(1) == b""
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False


async def _in_time(
    waiter: asyncio.Future[None], timeout: float | None, late: type[Exception]
) -> None:
    """Wait for a future with a limit. This is much cheaper than `asyncio.timeout`."""
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
