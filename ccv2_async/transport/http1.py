"""HTTP/1.1 on one connection: h11 knows the protocol, this carries its bytes to and fro.

One request at a time; how the next one may follow is h11's to say. Whatever ends otherwise than
by a fully read answer closes the connection.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, cast

import h11
import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

__all__ = ["Http1Connection", "Stream"]

_READ_SIZE = 64 * 1024
_LONGEST_HEAD = 100 * 1024
_ERRORS: dict[type[BaseException], type[httpx.ProtocolError]] = {
    h11.LocalProtocolError: httpx.LocalProtocolError,
    h11.RemoteProtocolError: httpx.RemoteProtocolError,
}


class Stream(Protocol):
    """Bytes to and from the other side, with httpx's errors."""

    def is_stale(self) -> bool:
        """Whether a connection at rest is of no more use."""
        ...

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send these bytes."""
        ...

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has arrived, once something has; b"" when the other side has hung up."""
        ...

    def close(self) -> None:
        """Let go of it at once."""
        ...


class Http1Connection:
    """One connection, used by one request at a time.

    Args:
        stream: The connected stream; closed with this object.
        keepalive_expiry: Seconds after which a connection at rest is not used again.

    Attributes:
        at_rest: Whether it waits for its next request.
    """

    def __init__(self, stream: Stream, keepalive_expiry: float) -> None:
        self.at_rest: bool = False
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._keepalive_expiry = keepalive_expiry
        self._expires_at = 0.0

    def is_usable(self) -> bool:
        """Whether another request may be sent on it."""
        return self.at_rest and time.monotonic() <= self._expires_at and not self._stream.is_stale()

    async def ask(self, request: httpx.Request) -> httpx.Response:
        """The head of the answer to a request; the body is read from the answer's stream.

        Raises:
            httpx.TransportError: What broke. The connection is closed.
        """
        self.at_rest = False
        timeouts = request.extensions.get("timeout", {})
        read_timeout: float | None = timeouts.get("read")
        try:
            await self._send(request, timeouts.get("write"))
            await self._feed(read_timeout)
            while not isinstance(event := self._http.next_event(), h11.Response):
                if not isinstance(event, h11.InformationalResponse):
                    await self._feed(read_timeout)
        except BaseException as error:
            self._give_up(error)
            raise
        return httpx.Response(
            event.status_code,
            headers=event.headers.raw_items(),
            stream=_AnswerBody(self, read_timeout),
        )

    async def piece(self, timeout: float | None) -> bytes:
        """The next piece of the answer's body, b"" at its end.

        Raises:
            httpx.TransportError: What broke. The connection is closed.
        """
        try:
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    await self._feed(timeout)
                elif not isinstance(event, h11.Data):
                    return b""
                elif event.data:
                    return bytes(event.data)
        except BaseException as error:
            self._give_up(error)
            raise

    def finish(self) -> None:
        """Be done with the answer: rest if both sides are through with it, else close."""
        http = self._http
        is_over = http.our_state is h11.DONE and http.their_state is h11.DONE
        # What follows an answer unasked would be taken for the answer to the next request.
        if is_over and not http.trailing_data[0]:
            http.start_next_cycle()
            self._expires_at = time.monotonic() + self._keepalive_expiry
            self.at_rest = True
        else:
            self.close()

    def close(self) -> None:
        """Close the connection at once."""
        self.at_rest = False
        self._stream.close()

    async def _send(self, request: httpx.Request, timeout: float | None) -> None:
        """Send the request, or as much of it as the other side takes.

        A service may refuse a body, answer, and hang up before all of it is sent, so a connection
        that breaks now may still have an answer to give.
        """
        head = h11.Request(
            method=request.method, target=request.url.raw_path, headers=request.headers.raw
        )
        if not await self._write(head, timeout):
            return  # the body is not touched: nothing of it was sent
        async for chunk in cast("AsyncIterable[bytes]", request.stream):
            if not await self._write(h11.Data(data=chunk), timeout):
                return
        await self._write(h11.EndOfMessage(), timeout)

    async def _write(self, event: h11.Event, timeout: float | None) -> bool:
        """Whether the connection took the event."""
        data = self._http.send(event)
        if data:
            try:
                await self._stream.write(data, timeout)
            except httpx.WriteError:
                return False
        return True

    async def _feed(self, timeout: float | None) -> None:
        """Give h11 what arrives next."""
        data = await self._stream.read(_READ_SIZE, timeout)
        if not data and self._http.their_state is h11.SEND_RESPONSE:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        self._http.receive_data(data)

    def _give_up(self, error: BaseException) -> None:
        """Close, and raise what h11 says by the name that httpx gives it."""
        self.close()
        named = _ERRORS.get(type(error))
        if named is not None:
            raise named(str(error)) from error


class _AnswerBody(httpx.AsyncByteStream):
    """The body of an answer; its connection rests, or is closed, when it is closed.

    A plain object and no generator: most answers have no body, and breaking off leaves nothing.
    """

    def __init__(self, connection: Http1Connection, timeout: float | None) -> None:
        self._connection: Http1Connection | None = connection
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
