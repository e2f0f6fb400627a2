"""Turn calls into signed requests."""

from __future__ import annotations

from copy import copy
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccv2_async.transport.calls.call import Call, Timeouts
    from ccv2_async.transport.calls.credentials import Credentials
    from ccv2_async.transport.files.body import BodyAttempt

_NO_URL = httpx.URL("")  # a string would be parsed for each request


class SealedURL(httpx.URL):
    """A URL that does not show the key: only the raw target, which transports send, is signed.

    httpx puts whole URLs in logs and representations, but only with their visible parts.
    """

    def __init__(self, url: httpx.URL, credentials: Credentials) -> None:
        super().__init__(url)
        self._credentials = credentials

    @property
    def raw_path(self) -> bytes:
        """The path and the query with the key, as they are sent."""
        return self._credentials.sign(super().raw_path)


class RequestMaker:
    """Makes the requests of one client.

    Args:
        base_url: The URL of the API, without a trailing slash.
        credentials: The key and token.
        timeouts: Time limits for the steps of a call.
        user_agent: The User-Agent header.
        visible_url: Whether the engine reads the visible URL; see `shows_visible_url`.

    Attributes:
        user_agent: The same.
        extensions: The httpx extensions of each request; no engine changes them.
    """

    def __init__(
        self,
        *,
        base_url: str,
        credentials: Credentials,
        timeouts: Timeouts,
        user_agent: str,
        visible_url: bool,
    ) -> None:
        self.user_agent = user_agent
        self.extensions: dict[str, object] = {"timeout": timeouts.as_extension()}
        self._base_url = base_url
        self._credentials = credentials
        self._visible_url = visible_url
        self._url = lru_cache(maxsize=64)(self._make_url)
        origin = httpx.URL(base_url)
        self._root = f"{origin.scheme}://{origin.netloc.decode('ascii')}"
        self._headers = [
            (b"Host", origin.netloc),
            (b"User-Agent", user_agent.encode("ascii")),
            (b"Accept-Encoding", b"gzip"),
            (b"X-Ctct-Request-Source", b"sdk.python.ccv2_async"),
        ]

    def with_timeouts(self, timeouts: Timeouts) -> RequestMaker:
        """Return a maker of the same requests with other time limits for their steps."""
        other = copy(self)
        other.extensions = {"timeout": timeouts.as_extension()}
        return other

    def make(
        self,
        call: Call,
        attempt: BodyAttempt | None,
        progress: Mapping[str, object],
        *,
        resend: bool = False,
    ) -> httpx.Request:
        """Return the signed request for an attempt at a call.

        Args:
            call: The call.
            attempt: Its body, opened for this attempt.
            progress: The extensions with which the engine reports progress; see `Engine`.
            resend: Whether it uses a fresh connection, because the server may have closed all idle
                ones.
        """
        headers = [*self._headers, (b"Accept", call.accept.encode("ascii"))]
        headers.append((b"Authorization", self._credentials.authorization()))
        if attempt is not None and call.body is not None:
            headers.append((b"Content-Type", call.body.content_type.encode("ascii")))
            headers.append((b"Content-Length", str(attempt.length).encode("ascii")))
        elif call.method in ("GET", "DELETE"):
            headers.append((b"Content-Type", b"application/json"))
        request = httpx.Request(
            call.method,
            _NO_URL,
            headers=headers,
            stream=attempt if attempt is not None else httpx.ByteStream(b""),
            extensions={**self.extensions, **progress, "fresh_connection": resend},
        )
        if attempt is None:
            request.read()  # engines that see an unread body send it in chunks
        request.url = self._url(call.path, call.query, call.from_root)
        return request

    def _make_url(
        self, path: str, query: tuple[tuple[str, str], ...], from_root: bool
    ) -> httpx.URL:
        pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
        base = self._root if from_root else self._base_url
        url = httpx.URL(f"{base}{path}{'?' if pairs else ''}{pairs}")
        sealed = SealedURL(url, self._credentials)
        if self._visible_url:
            # The transport reads the visible URL; the filter on httpx's logger hides the key.
            return url.copy_with(raw_path=sealed.raw_path)
        return sealed
