"""HTTP/1.1 on one connection: llhttp reads the responses, and `SocketStream` moves the bytes.

A connection sends one request at a time. It reads from the first byte of the request on, so an
error response or a closed connection stops sending immediately. The connection closes unless the
response was read to its end.

Data that arrives before a request is sent, or after a response, was not requested. It is never
mistaken for a response, and it closes the connection.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

import httpx

from ccv2_async.transport.http.messages import EMPTY, ResponseParser, head_of
from ccv2_async.transport.http.protocol import READ_AHEAD, SMALL_PIECE, NothingSent

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable

    from ccv2_async.transport.http.protocol import SocketStream
    from ccv2_async.transport.http.proxies import HttpProxy

# How many seconds the head of a request waits for the first bytes of its body. Most bodies are read
# from disk in that time, and then both are sent together.
_HEAD_WAITS = 0.005
# How many pieces are read before other tasks run: two milliseconds if all chunks are of one byte.
_PIECES_IN_A_ROW = 2


class Connection:
    """One connection, used by one request at a time.

    Args:
        stream: The connected stream; closed with this object.
        keepalive_expiry: Seconds after which an idle connection is not used again.
        on_idle: Called when the connection waits for its next request.
        on_close: Called when an idle connection closes.

    Attributes:
        forward: The proxy at the other end, if each request must name its target.
        is_idle: Whether it waits for its next request.
        expires_at: When an idle connection expires, on `time.monotonic`.
    """

    def __init__(
        self,
        stream: SocketStream,
        keepalive_expiry: float,
        *,
        on_idle: Callable[[Connection], object],
        on_close: Callable[[Connection], object],
    ) -> None:
        self.forward: HttpProxy | None = None
        self.is_idle: bool = False
        self.expires_at: float = 0.0
        self._stream = stream
        self._parser = ResponseParser()
        self._keepalive_expiry = keepalive_expiry
        self._on_idle = on_idle
        self._on_close = on_close
        self._head: bytes | None = None  # of the request, as long as it is not sent
        self._is_sent = False
        self._pieces = 0  # of responses
        self._stopped = False
        self._sending: asyncio.Timeout | None = None

    async def is_usable(self) -> bool:
        """Return whether another request can be sent; if not, close the connection."""
        usable = False
        try:
            may_be_stale = await self._stream.settle()
            is_late = time.monotonic() > self.expires_at
            usable = self.is_idle and not is_late and not self._stream.has_news
            usable = usable and not (may_be_stale and self._stream.is_stale())
        finally:
            if not usable:
                self.close()
        return usable

    async def ask(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the head of the response; its stream reads the body.

        Raises:
            NothingSent: The server had closed the connection, or had sent unrequested data. Safe to
                try again: yes.
            httpx.TransportError: The connection failed, and is closed.
        """
        is_new, self.is_idle = not self.is_idle, False
        timeouts = request.extensions.get("timeout", {})
        read_timeout: float | None = timeouts.get("read")
        parser = self._parser
        parser.begin(request.method)
        try:
            if is_new:
                await self._stream.settle()  # the server may have sent unrequested data
            request.extensions.get("unsent", set()).clear()
            await self._send(request, timeouts.get("write"))
            while not parser.status:
                await self._feed(read_timeout)
        except BaseException:
            self.close()
            raise
        body = EMPTY if parser.is_complete and not parser.body else _Body(self, read_timeout)
        if body is EMPTY:
            self.finish()
        return httpx.Response(parser.status, headers=parser.headers, stream=body)

    async def piece(self, timeout: float | None) -> bytes:
        """Return the next piece of the response's body, or b"" at its end.

        Raises:
            httpx.TransportError: The connection failed. It is closed.
        """
        try:
            while not (piece := self._parser.take()) and not self._parser.is_complete:
                await self._feed(timeout)
            self._pieces += 1
            if self._pieces % _PIECES_IN_A_ROW == 0:
                await asyncio.sleep(0)  # thousands of chunks may have arrived at once
        except BaseException:
            self.close()
            raise
        return piece

    def finish(self) -> None:
        """Finish a response: keep the connection if it was read to its end; otherwise close it."""
        parser = self._parser
        is_over = self._is_sent and parser.is_complete and not parser.is_last
        if not is_over or parser.has_surplus or self._stream.has_news:
            self.close()
            return
        self.expires_at = time.monotonic() + self._keepalive_expiry
        self.is_idle = True
        self._stream.on_event = self.close  # nothing may arrive now
        self._on_idle(self)

    def close(self) -> None:
        """Close the connection immediately."""
        was_idle, self.is_idle = self.is_idle, False
        self._stream.close()
        if was_idle:
            self._on_close(self)

    async def _send(self, request: httpx.Request, timeout: float | None) -> None:
        """Send the request, or as much of it as the server reads.

        If the connection breaks during that time, a response may still have arrived.
        """
        self._head = self._head_of(request)
        self._stopped = self._is_sent = False
        left = int(request.headers.get("content-length", 0))
        timer = asyncio.get_running_loop().call_later(_HEAD_WAITS, self._begin)
        try:
            async with asyncio.timeout(None) as self._sending:
                async for chunk in cast("AsyncIterable[bytes]", request.stream):
                    left -= len(chunk)
                    if left < 0:
                        break
                    await self._put(chunk, timeout)
                    if self._stopped:
                        break
                else:
                    self._is_sent = left == 0
                    await self._put(b"", timeout)
        except httpx.WriteError:
            # A success does not count until the service has the whole request.
            if self._parser.status and not self._is_sent:
                raise
        except Exception:
            # An interrupted source may raise anything.
            if not self._stopped:
                raise
        finally:
            timer.cancel()
            self._stream.on_event = None
            self._sending = None
        if left and not self._stopped:
            raise httpx.LocalProtocolError("The body does not have the declared length")
        if self._head is not None:
            raise NothingSent("The server closed the connection before the request was sent.")

    def _head_of(self, request: httpx.Request) -> bytes:
        # Separate from `_send`, whose local variables are in the traceback of its exceptions.
        url, headers = request.url, request.headers.raw
        target = url.raw_path
        if self.forward is not None:
            target = b"%s://%s%s" % (url.raw_scheme, url.netloc, target)
            headers = [*headers, *self.forward.headers]
        return head_of(request.method, target, headers)

    async def _put(self, data: bytes, timeout: float | None) -> None:
        """Send a part of the body, and before it the head if it was not sent yet."""
        if self._head is not None:
            self._begin(data)
            if not self._stopped:
                await self._stream.drain(timeout)
        elif data:
            await self._stream.settle()  # an error response may have arrived
            if not self._stopped:
                await self._stream.write(data, timeout)

    def _begin(self, data: bytes = b"") -> None:
        """Write the head of the request, with the beginning of its body if there is one."""
        head, self._head = self._head, None
        if head is None:  # the timer runs on while the body is sent
            return
        if self._stream.start(head, data):
            self._stream.on_event = self._overhear
        else:
            self._head = head
            self._stop_sending()

    def _overhear(self) -> None:
        """Read what arrives while the request is being sent."""
        parser = self._parser
        while not (parser.status or parser.flaw) and (data := self._stream.take()):
            parser.feed(data)
        # After an early success, the rest of the body is still sent.
        if parser.status >= 300 or (not parser.status and (parser.flaw or self._stream.ended)):
            self._stop_sending()

    def _stop_sending(self) -> None:
        """Interrupt sending while it waits for the socket or for the next bytes."""
        if not self._stopped and self._sending is not None:
            self._sending.reschedule(asyncio.get_running_loop().time())
        self._stopped = True

    async def _feed(self, timeout: float | None) -> None:
        """Pass the data that arrives next to the parser."""
        if self._parser.flaw is not None:
            raise self._parser.flaw
        most = SMALL_PIECE if self._parser.may_be_chunked else READ_AHEAD
        if data := await self._stream.read(timeout, most):
            self._parser.feed(data)
            return
        if self._parser.status and self._stream.truncated:
            raise httpx.RemoteProtocolError(
                "Server ended the TLS connection without close_notify, so the response may be "
                "cut off."
            )
        self._parser.end()


class _Body(httpx.AsyncByteStream):
    """The body of a response.

    It is not a generator: most responses have no body, and stopping early leaves nothing open.
    """

    def __init__(self, connection: Connection, timeout: float | None) -> None:
        self._connection: Connection | None = connection
        self._timeout = timeout

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = b"" if self._connection is None else await self._connection.piece(self._timeout)
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.finish()
