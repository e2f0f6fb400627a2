"""Pytest fixtures for users of this package: `ccv2_sandbox` and `ccv2_client`.

pytest loads this module in every run if the package is installed, so it imports only pytest. The
sandbox and the client are imported when a test first uses them.

::

    async def test_a_menu_reaches_the_library(ccv2_client, tmp_path):
        path = tmp_path / "menu.pdf"
        path.write_bytes(b"...")
        file = await ccv2_client.library.upload(path)
        assert file.status == "Active"

Each test gets its own sandbox, which takes a few milliseconds, so tests do not affect each other.
Async tests can use pytest-asyncio, in either mode, or the plugin of anyio.
"""

from __future__ import annotations

import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractAsyncContextManager

    from ccv2_async.client import ConstantContact
    from ccv2_async.sandbox import Sandbox

__all__ = ["ccv2_client", "ccv2_sandbox", "pytest_configure"]

_HASTE = 10.0


@pytest.fixture
def ccv2_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A running sandbox of the service, empty, for one test.

    Uploads become Active when their status is first read. `ccv2_sandbox.admin` controls it: faults,
    the requests it received, its clock, and `admin.configure(mode="looks", looks=3)` for slower
    jobs. The marker `@pytest.mark.ccv2_sandbox(seed="demo")` passes other arguments to `Sandbox`.
    The marker of a test takes precedence over that of its class or module.
    """
    from ccv2_async.sandbox import Sandbox  # noqa: PLC0415  # costs nothing until it is used

    options: dict[str, Any] = {"mode": "at_once"}
    for marker in reversed(list(request.node.iter_markers("ccv2_sandbox"))):
        options |= marker.kwargs
    with Sandbox(**options) as sandbox:
        yield sandbox


@pytest.fixture
def ccv2_client(request: pytest.FixtureRequest, ccv2_sandbox: Sandbox) -> ConstantContact:
    """A client of `ccv2_sandbox` without a quota, whose waits are ten times shorter.

    In an async test, the client is open, including in the fixtures of the test, and it is closed in
    the same event loop. In a sync test, it is not open: use it in `async with` inside
    `asyncio.run`.
    """
    if (runner := _runner_of(request)) is None:
        return _new_client(ccv2_sandbox)
    client: ConstantContact = request.getfixturevalue(f"_ccv2_client_in_{runner}")
    return client


@pytest.fixture
async def _ccv2_client_in_anyio(ccv2_sandbox: Sandbox) -> AsyncIterator[ConstantContact]:
    async with _new_client(ccv2_sandbox) as client:
        yield client


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker, and a fixture for each loop of pytest-asyncio, if that is installed."""
    config.addinivalue_line(
        "markers", "ccv2_sandbox(**arguments): arguments of Sandbox for the fixture ccv2_sandbox."
    )
    if not config.pluginmanager.has_plugin("asyncio"):
        return
    import pytest_asyncio  # noqa: PLC0415  # optional, and loaded already

    def opened_in(loop_scope: Any) -> Any:
        @pytest_asyncio.fixture(loop_scope=loop_scope, name=f"_ccv2_client_in_asyncio_{loop_scope}")
        async def opened(ccv2_sandbox: Sandbox) -> AsyncIterator[ConstantContact]:
            async with _new_client(ccv2_sandbox) as client:
                yield client

        return opened

    holder = ModuleType("ccv2_async_in_asyncio")
    for scope in ("function", "class", "module", "package", "session"):
        vars(holder)[scope] = opened_in(scope)
    config.pluginmanager.register(holder, holder.__name__)


def _runner_of(request: pytest.FixtureRequest) -> str | None:
    """Return the plugin that runs the test's coroutine, and its loop; None for a sync test."""
    if "anyio_backend" in request.fixturenames:
        return "anyio"
    if request.config.pluginmanager.has_plugin("asyncio"):
        import pytest_asyncio  # noqa: PLC0415  # optional, and loaded already

        if pytest_asyncio.is_async_test(request.node):
            marker = request.node.get_closest_marker("asyncio")
            scope = marker.kwargs.get("loop_scope") or marker.kwargs.get("scope") if marker else ""
            return f"asyncio_{scope or request.config.getini('asyncio_default_test_loop_scope')}"
    return None


def _new_client(sandbox: Sandbox) -> ConstantContact:
    from ccv2_async.client import ConstantContact  # noqa: PLC0415  # costs nothing until it is used

    return ConstantContact(**sandbox.client_options(), clock=_HastyClock())


class _HastyClock:
    """The clock of the machine, with waits and deadlines that are ten times shorter."""

    def monotonic(self) -> float:
        """Return the seconds since an arbitrary start, ten for each real one."""
        return time.monotonic() * _HASTE

    def time(self) -> float:
        """Return the real seconds since 1970 (UTC), which the sandbox uses as timestamps."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return after a tenth of `seconds`."""
        import asyncio  # noqa: PLC0415  # costs nothing until it is used

        await asyncio.sleep(max(0.0, seconds / _HASTE))

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """Return a context that raises `TimeoutError` after a tenth of `seconds`."""
        import asyncio  # noqa: PLC0415  # costs nothing until it is used

        return asyncio.timeout(None if seconds is None else seconds / _HASTE)
