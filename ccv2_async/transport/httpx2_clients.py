"""A user's `httpx2.AsyncClient` as an engine: httpx2's types outside, httpx's inside.

httpx2 continues httpx under another name. Its clients take only its own requests and raise only
its own errors, so both are translated here, and nothing else has to know.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_UNPACKED = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


def is_httpx2(client: object) -> bool:
    """Whether a client is one of httpx2's; httpx2 need not be installed to ask."""
    return any(kind.__module__.partition(".")[0] == "httpx2" for kind in type(client).__mro__)


class Httpx2Engine:
    """The engine of a client that was given the user's own `httpx2.AsyncClient`."""

    def __init__(self, client: Any) -> None:
        self._client = client
        # Its user has imported it, or there would be no client of it.
        self._library: Any = importlib.import_module("httpx2")
        self._url, self._body = _types_of(self._library)

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The answer, its body not yet read; redirects and client-level auth stay out of it."""
        if isinstance(request.stream, httpx.ByteStream):
            stream = self._library.ByteStream(request.read())
        else:
            stream = self._body(request.stream)
        theirs = self._library.Request(
            request.method,
            "",
            headers=request.headers.raw,
            stream=stream,
            extensions=request.extensions,
        )
        theirs.url = self._url(request.url)
        if isinstance(request.stream, httpx.ByteStream):
            theirs.read()
        with _translated(self._library):
            answer = await self._client.send(theirs, stream=True, auth=None, follow_redirects=False)
        headers = answer.headers.raw
        if answer.is_stream_consumed:  # the user's own hook has read and unpacked it
            headers = [(name, value) for name, value in headers if name.lower() not in _UNPACKED]
        return httpx.Response(
            answer.status_code,
            headers=headers,
            stream=_Answer(answer, self._library),
            request=request,
        )

    async def aclose(self) -> None:
        """Leave the user's client open: it is not ours."""


class _Answer(httpx.AsyncByteStream):
    """The body of an httpx2 answer."""

    def __init__(self, answer: Any, library: Any) -> None:
        self._answer = answer
        self._library = library

    async def __aiter__(self) -> AsyncIterator[bytes]:
        consumed = self._answer.is_stream_consumed
        pieces = self._answer.aiter_bytes() if consumed else self._answer.aiter_raw()
        with _translated(self._library):
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    yield piece

    async def aclose(self) -> None:
        await self._answer.aclose()


def _types_of(library: Any) -> tuple[Any, Any]:
    """A URL that shows no key, and a body, as subclasses of httpx2's own."""

    class SealedURL(library.URL):  # type: ignore[misc]  # httpx2 is known at run time only
        def __init__(self, url: httpx.URL) -> None:
            super().__init__(str(url))
            self._ours = url

        @property
        def raw_path(self) -> bytes:
            return self._ours.raw_path

    class ForwardedBody(library.AsyncByteStream):  # type: ignore[misc]  # as above
        def __init__(self, stream: Any) -> None:
            self._chunks = aiter(stream)

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self  # httpcore2 asks more than once, which an attempt at sending refuses

        async def __anext__(self) -> bytes:
            return await anext(self._chunks)

    return SealedURL, ForwardedBody


@contextlib.contextmanager
def _translated(library: Any) -> Iterator[None]:
    """httpx2's errors of the connection as the httpx errors of the same names."""
    try:
        yield
    except library.TransportError as error:
        kind = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error)) from error
