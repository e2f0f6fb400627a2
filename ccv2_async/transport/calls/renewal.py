"""Renew a refused access token, once for all calls that were refused."""

from __future__ import annotations

import asyncio
import inspect
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

from ccv2_async import errors
from ccv2_async.secret import Secret
from ccv2_async.tasks import cancel_all, ends_task
from ccv2_async.text import described

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ccv2_async.transport.calls.credentials import Credentials
    from ccv2_async.transport.calls.outcome import Failed

RefreshToken: TypeAlias = "Callable[[], Awaitable[str | Secret[str]] | str | Secret[str]]"
"""A function or coroutine function that returns a fresh access token, or raises."""

_Run: TypeAlias = "tuple[TokenRenewal, asyncio.Task[Any] | None]"

# The runs of `refresh_token` around this code, each with the client that it is for. The tasks that
# a run creates see it, even after its end.
_runs: ContextVar[tuple[_Run, ...]] = ContextVar("ccv2_async_renewal", default=())


class TokenRenewal:
    """Renews the access token of a client through the user's `refresh_token`.

    Args:
        refresh_token: Returns a fresh token; None if there is no such function.
        credentials: The key and the token, which is replaced.
    """

    def __init__(self, refresh_token: RefreshToken | None, credentials: Credentials) -> None:
        self._refresh_token = refresh_token
        self._credentials = credentials
        self._run: asyncio.Task[str] | None = None
        self._callers = 0

    def refuse_reentry(self, what: str) -> None:
        """Refuse a call that `refresh_token` makes through the client whose token it renews.

        Raises:
            UsageError: It is such a call. Nothing was sent.
        """
        if any(owner is self and run and not run.done() for owner, run in _runs.get()):
            raise errors.UsageError(
                f"{what}: refresh_token made this call through the client that is waiting "
                "for refresh_token. Nothing was sent; get the token from your own store or "
                "through another client."
            )

    async def renew(self, refused: Failed) -> None:
        """Replace the token that was refused, unless another call has done so.

        All callers share one run of `refresh_token`. It is cancelled when the last of them leaves.

        Raises:
            AuthenticationFailed: There is no `refresh_token`, or it failed.
        """
        if self._refresh_token is None:
            raise refused.error
        while self._run and not self._run.done() and not self._callers:
            await asyncio.wait({self._run})  # its last caller left, and cancelled it
        if self._credentials.generation != refused.token:
            return  # another call has renewed it
        if self._run is None or self._run.done():
            self._run = asyncio.create_task(self._replace_token(self._refresh_token))
        run = self._run
        self._callers += 1
        try:
            await asyncio.wait({run})
        finally:  # a caller may have no time left, while the others still wait
            self._callers -= 1
            if not self._callers:
                await cancel_all([self._run])
        if trouble := run.result():
            raise errors.AuthenticationFailed(
                f"{refused.error.message} Asking refresh_token for a fresh one failed ({trouble}).",
                reason=f"{refused.error.reason}, and refresh_token failed ({trouble})",
                status=401,
                errors=getattr(refused.error, "errors", ()),
                headers=getattr(refused.error, "headers", {}),
            )

    async def _replace_token(self, refresh_token: RefreshToken) -> str:
        """Ask for a fresh token. Return what went wrong, or "" if nothing did."""
        task = asyncio.current_task()
        _runs.set((*_runs.get(), (self, task)))
        try:
            self._credentials.renew(await _secret_of(refresh_token))
        except errors.ConstantContactError as error:
            return self._credentials.redact(error.message)
        except BaseException as error:
            # The user's own code may raise anything, even the cancellation of a task it awaits.
            if ends_task(error, task):
                raise
            return self._credentials.redact(described(error), 200)
        return ""


async def _secret_of(refresh_token: RefreshToken) -> Secret[str]:
    fresh: Secret[Any] = Secret(refresh_token())
    return Secret(await fresh.reveal()) if inspect.isawaitable(fresh.reveal()) else fresh
