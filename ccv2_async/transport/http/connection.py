"""HTTP/1.1 on one connection: h11 handles the protocol, and `SocketStream` the bytes.

A connection sends one request at a time. It reads from the first byte of the request on, so an
error response or a closed connection stops the sending at once. The connection closes unless the
response was read to its end.

Data that arrives before a request is sent, or after a response, was not asked for. It is never
taken for a response, and closes the connection.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, cast

import h11
import httpx

from ccv2_async.transport.http.protocol import NothingSent

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable

    from ccv2_async.transport.http.protocol import SocketStream
    from ccv2_async.transport.http.proxies import HttpProxy

__all__ = ["Connection"]

_LONGEST_HEAD = 100 * 1024
# How many seconds the head of a request waits for the first bytes of its body. Most bodies are read
# from disk in that time, and then both are sent together.
_HEAD_WAITS = 0.005
_LONGEST_CHUNK_LINE = 512
_MOST_INFORMATIONAL = 100
_MOST_LINES = 256  # of the heads and the trailer of a response
_END_OF_HEAD = re.compile(rb"\n\r?\n")
# h11 refuses these too. But its pattern takes a minute for a line with one of them that also holds
# tens of thousands of spaces.
_UNFIT = re.compile(rb"[\0\v\f]|\r[^\n]")
# How many pieces are read before other tasks run: a fraction of a millisecond.
_PIECES_IN_A_ROW = 32
_ERRORS: dict[type[BaseException], type[httpx.ProtocolError]] = {
    h11.LocalProtocolError: httpx.LocalProtocolError,
    h11.RemoteProtocolError: httpx.RemoteProtocolError,
}


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
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._keepalive_expiry = keepalive_expiry
        self._on_idle = on_idle
        self._on_close = on_close
        self._head: bytes | None = None  # of the request, as long as it is not sent
        self._answer: h11.Response | None = None
        self._informational = 0  # answers such as 100 that came before the response
        self._lines = 0
        self._before_chunk = False
        self._in_trailer = False
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
            NothingSent: The server had closed the connection, or had sent data unasked. Safe to
                try again: yes.
            httpx.TransportError: The connection failed, and is closed.
        """
        is_new, self.is_idle = not self.is_idle, False
        timeouts = request.extensions.get("timeout", {})
        read_timeout: float | None = timeouts.get("read")
        try:
            if is_new:
                await self._stream.settle()  # the server may have sent data unasked
            await self._send(request, timeouts.get("write"))
            self._look_for_answer()
            while (answer := self._answer) is None:
                await self._feed(read_timeout)
                self._look_for_answer()
        except BaseException as error:
            self._give_up(error)
            raise
        return httpx.Response(
            answer.status_code,
            headers=answer.headers.raw_items(),
            stream=_AnswerBody(self, read_timeout),
        )

    async def piece(self, timeout: float | None) -> bytes:
        """Return the next piece of the response's body, or b"" at its end.

        Raises:
            httpx.TransportError: What broke. The connection is closed.
        """
        try:
            while True:
                if self._before_chunk:
                    self._check_chunk_line()
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    await self._feed(timeout)
                    continue
                if not isinstance(event, h11.Data):
                    return b""
                self._before_chunk = event.chunk_end
                if event.data:
                    self._pieces += 1
                    if self._pieces % _PIECES_IN_A_ROW == 0:
                        await asyncio.sleep(0)  # thousands of chunks may have arrived at once
                    return bytes(event.data)
        except BaseException as error:
            self._give_up(error)
            raise

    def finish(self) -> None:
        """End the work on a response: keep the connection if it was read to its end, else close."""
        http = self._http
        is_over = http.our_state is h11.DONE and http.their_state is h11.DONE
        if not is_over or http.trailing_data[0] or self._stream.has_news:
            self.close()
            return
        http.start_next_cycle()
        self._answer = None
        self.expires_at = time.monotonic() + self._keepalive_expiry
        self.is_idle = True
        self._stream.on_event = self.close  # nothing may arrive now
        self._on_idle(self)

    def close(self) -> None:
        """Close the connection at once."""
        was_idle, self.is_idle = self.is_idle, False
        self._stream.close()
        if was_idle:
            self._on_close(self)

    async def _send(self, request: httpx.Request, timeout: float | None) -> None:
        """Send the request, or as much of it as the server reads.

        If the connection breaks meanwhile, a response may still have arrived.
        """
        self._head = self._http.send(self._head_of(request))
        self._stopped = self._before_chunk = self._in_trailer = False
        self._informational = self._lines = 0
        timer = asyncio.get_running_loop().call_later(_HEAD_WAITS, self._begin)
        try:
            async with asyncio.timeout(None) as self._sending:
                async for chunk in cast("AsyncIterable[bytes]", request.stream):
                    await self._put(self._http.send(h11.Data(data=chunk)), timeout)
                    if self._stopped:
                        break
                else:
                    await self._put(self._http.send(h11.EndOfMessage()), timeout)
        except httpx.WriteError:
            # A success does not count before the service has the whole request.
            if self._answer is not None and self._http.our_state is h11.SEND_BODY:
                raise
        except Exception:
            # An interrupted source may raise anything.
            if not self._stopped:
                raise
        finally:
            timer.cancel()
            self._stream.on_event = None
            self._sending = None
        if self._head is not None:
            raise NothingSent("The server closed the connection before the request was sent.")

    def _head_of(self, request: httpx.Request) -> h11.Request:
        # Apart from `_send`, whose local variables are in the traceback of what breaks it.
        url, headers = request.url, request.headers.raw
        target = url.raw_path
        if self.forward is not None:
            target = b"%s://%s%s" % (url.raw_scheme, url.netloc, target)
            headers = [*headers, *self.forward.headers]
        return h11.Request(method=request.method, target=target, headers=headers)

    async def _put(self, data: bytes | None, timeout: float | None) -> None:
        """Send a part of the body, and before it the head if it was not sent yet."""
        if self._head is not None:
            self._begin(data or b"")
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
        try:
            while self._answer is None and (data := self._stream.take()):
                self._http.receive_data(data)
                self._look_for_answer()
        except h11.RemoteProtocolError:
            self._stop_sending()  # raised again when the response is read
        if self._answer is not None:
            # After an early success, the rest of the body is still sent.
            if self._answer.status_code >= 300:
                self._stop_sending()
        elif self._stream.ended:
            self._stop_sending()  # no response can arrive

    def _stop_sending(self) -> None:
        """Interrupt the sending while it waits for the socket or for the next bytes."""
        if not self._stopped and self._sending is not None:
            self._sending.reschedule(asyncio.get_running_loop().time())
        self._stopped = True

    def _look_for_answer(self) -> None:
        """Parse the head of the response if it is complete; skip informational responses."""
        if self._answer is not None:
            return
        while self._informational <= _MOST_INFORMATIONAL:
            self._check_lines(self._http.trailing_data[0])
            event = self._http.next_event()
            if not isinstance(event, h11.InformationalResponse):
                break
            self._informational += 1
        else:
            raise h11.RemoteProtocolError("Too many informational responses before the final one")
        if isinstance(event, h11.Response):
            self._answer = event
            self._before_chunk = any(name == b"transfer-encoding" for name, _ in event.headers)

    def _check_lines(self, arrived: bytes) -> None:
        """Raise if h11 would need too long to parse header lines."""
        end = _END_OF_HEAD.search(arrived)
        lines = self._lines + arrived.count(b"\n", 0, end.start() if end else None)
        if lines > _MOST_LINES:
            raise h11.RemoteProtocolError("Too many header lines")
        if end is not None:
            self._lines = lines
            if _UNFIT.search(arrived, 0, end.end()):
                raise h11.RemoteProtocolError("Unexpected character in the header lines")

    def _check_chunk_line(self) -> None:
        """Raise if h11 would need too long to parse the line before a chunk, or a trailer."""
        arrived = self._http.trailing_data[0]
        if not self._in_trailer:
            line, end, _ = arrived.lstrip(b"\r\n").partition(b"\r\n")
            if len(line) > _LONGEST_CHUNK_LINE:
                raise h11.RemoteProtocolError("Too long a line before a chunk")
            if end:
                self._in_trailer = not line.partition(b";")[0].strip(b"0 \t")
                self._before_chunk = self._in_trailer
        if self._in_trailer:
            self._check_lines(arrived)

    async def _feed(self, timeout: float | None) -> None:
        """Pass the data that arrives next to h11."""
        data = await self._stream.read(timeout)
        if not data:
            if self._http.their_state is h11.SEND_RESPONSE:
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
            if self._stream.truncated:
                raise httpx.RemoteProtocolError(
                    "Server ended the TLS connection without close_notify, so the response may be "
                    "cut off."
                )
        self._http.receive_data(data)

    def _give_up(self, error: BaseException) -> None:
        """Close the connection, and raise h11's errors as the errors of httpx."""
        self.close()
        named = _ERRORS.get(type(error))
        if named is not None:
            raise named(str(error)) from error


class _AnswerBody(httpx.AsyncByteStream):
    """The body of a response.

    It is not a generator: most answers have no body, and stopping early leaves nothing open.
    """

    def __init__(self, connection: Connection, timeout: float | None) -> None:
        self._connection: Connection | None = connection
        self._timeout = timeout
        self._at_end = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._connection is None or self._at_end:
            raise StopAsyncIteration
        piece = await self._connection.piece(self._timeout)
        if not piece:
            self._at_end = True
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.finish()
