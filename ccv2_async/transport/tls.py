"""TLS over a `Wire`: Python's own `ssl` does all of it, this only carries the bytes."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, TypeVar

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.transport.network import Wire

__all__ = ["SealedWire"]

T = TypeVar("T")

# Encrypting takes the loop's own time: a fraction of a millisecond for as much as this.
_SEALED_AT_ONCE = 256 * 1024
_READ_SIZE = 64 * 1024


class SealedWire:
    """A connection under TLS, used by one request at a time.

    Args:
        wire: The connection below; closed with this object.
        context: What is trusted, and how it is checked.
        hostname: Who the other side has to be.
    """

    def __init__(self, wire: Wire, context: ssl.SSLContext, hostname: str | None) -> None:
        self._wire = wire
        self._arrived = ssl.MemoryBIO()
        self._leaving = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_hostname=hostname)

    async def shake_hands(self, timeout: float | None) -> None:
        """Agree on keys and check the other side's certificate, or close the connection.

        Raises:
            httpx.ConnectError: The other side is not who it should be, or speaks no TLS.
            httpx.ConnectTimeout: That took too long.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._carry_out(None, self._tls.do_handshake)
        except TimeoutError as error:
            self._wire.close()
            raise httpx.ConnectTimeout("") from error
        except (ssl.SSLError, httpx.NetworkError) as error:
            self._wire.close()
            raise httpx.ConnectError(str(error)) from error
        except BaseException:
            self._wire.close()
            raise

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Encrypt and send; as `Wire.write`.

        Raises:
            httpx.WriteError: The connection is broken; an answer may have arrived all the same.
            httpx.WriteTimeout: The kernel did not take them in time.
        """
        view = memoryview(buffer)
        try:
            for at in range(0, len(view), _SEALED_AT_ONCE):
                await self._carry_out(timeout, self._tls.write, view[at : at + _SEALED_AT_ONCE])
        except ssl.SSLError as error:
            raise httpx.WriteError(str(error)) from error

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has arrived, decrypted; b"" when the other side has hung up.

        The length that the answer announced tells whether it is whole, as without TLS.

        Raises:
            httpx.ReadError: The connection is broken.
            httpx.ReadTimeout: Nothing arrived in time.
        """
        try:
            return await self._carry_out(timeout, self._tls.read, max_bytes)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except ssl.SSLError as error:
            raise httpx.ReadError(str(error)) from error

    def is_stale(self) -> bool:
        """Whether a connection at rest is of no more use."""
        return self._wire.is_stale()

    def close(self) -> None:
        """Close the connection at once."""
        self._wire.close()

    async def _carry_out(self, timeout: float | None, step: Callable[..., T], *args: object) -> T:
        """A step of TLS, with what it has to send and to receive for it.

        Any step may need both, since either side may renew its keys at any time.
        """
        while True:
            try:
                result = step(*args)
            except ssl.SSLWantReadError:
                await self._pass_on(timeout)
                piece = await self._wire.read(_READ_SIZE, timeout)
                if piece:
                    self._arrived.write(piece)
                else:
                    self._arrived.write_eof()
            else:
                await self._pass_on(timeout)
                return result

    async def _pass_on(self, timeout: float | None) -> None:
        if self._leaving.pending:
            await self._wire.write(self._leaving.read(), timeout)
