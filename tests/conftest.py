from __future__ import annotations

import gc
import logging
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from hypothesis import strategies

# The helpers of tests/support are imported by their full name, wherever pytest was started:
# the path has to be set before the first import of them.
sys.path.insert(0, str(Path(__file__).parents[1]))

from ccv2_async.client import ConstantContact
from ccv2_async.sandbox import Sandbox
from tests.contract.ear import Ear
from tests.contract.stock import Stock
from tests.support.clocks import ManualClock, SkippingClock
from tests.support.servers import unused_port
from tests.support.skips import judged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    from ccv2_async.transport.calls.session import Session
    from tests.support.redis_server import RedisServer


# Hypothesis fails an example that takes 200 ms, but no test here measures speed. In CI, the
# examples are the same each time, so that a change is judged by what it changes.
hypothesis.settings.register_profile(
    "any machine", deadline=None, derandomize=bool(os.environ.get("CI"))
)
# `--hypothesis-profile=long` draws 20 times as many examples.
hypothesis.settings.register_profile("long", deadline=None, max_examples=2000)
# `python -m tests.mutation` wants the same examples every time, and not the smallest that fails.
hypothesis.settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
)
hypothesis.settings.load_profile("any machine")


@hypothesis.settings(max_examples=1, database=None)
@hypothesis.given(strategies.none())
def draw_once(_: None) -> None:
    """Let Hypothesis draw one example."""


def pytest_collection_finish() -> None:
    """Leave thousands of collected tests out of every garbage collection from here on."""
    draw_once()  # Hypothesis asks the collector about its random source before the first example
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """If everything is installed, a skipped test counts as failed; see `skips`."""
    report = yield
    judged(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file of tests."""
    report = yield
    judged(report)
    return report


@pytest.fixture(autouse=True)
def _no_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No test uses the machine's own proxies, certificates, credentials, and counts."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
    monkeypatch.delenv("CCV2_REMEMBER_CALLS", raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)
    for scheme in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme.upper()}_PROXY", raising=False)
    for name in ("API_KEY", "ACCESS_TOKEN", "BASE_URL", "RATE"):
        monkeypatch.delenv(f"CCV2_{name}", raising=False)


@pytest.fixture(autouse=True)
def _loggers_as_they_were() -> Iterator[None]:
    """A test that leaves a logger at another level decides what later tests see."""
    before = _levels()
    yield
    after = _levels()
    assert {name: level for name, level in after.items() if level != before.get(name, 0)} == {}


def _levels() -> dict[str, int]:
    """The level of the root logger, and of each of the package."""
    known = logging.getLogger().manager.loggerDict
    names = ["", *(name for name in known if name.partition(".")[0] == "ccv2_async")]
    return {name: logging.getLogger(name or None).level for name in names}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox in which every job ends immediately."""
    with Sandbox(mode="at_once") as sandbox:
        yield sandbox


@pytest.fixture
def deleted_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs in a directory that no longer exists."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock()


@pytest.fixture
def clock() -> SkippingClock:
    """A clock on which no wait takes any time."""
    return SkippingClock()


@pytest.fixture
async def connect(clock: SkippingClock) -> AsyncIterator[Callable[..., Any]]:
    """Opens clients and closes them, by default without a quota and on the skipping clock."""
    async with AsyncExitStack() as stack:

        async def open_client(where: object = None, **options: Any) -> ConstantContact:
            given: dict[str, Any] = {"per_second": None, "per_day": None, "clock": clock}
            if isinstance(where, Sandbox):
                given |= where.client_options()
            else:
                given |= {"api_key": "sandbox-key", "access_token": "sandbox-token"}
                if where is not None:
                    given["base_url"] = where.base_url  # type: ignore[attr-defined]  # a server
            return await stack.enter_async_context(ConstantContact(**given | options))

        yield open_client


@pytest.fixture
async def client(connect: Callable[..., Any], sandbox: Sandbox) -> ConstantContact:
    """A client of the sandbox."""
    cc: ConstantContact = await connect(sandbox)
    return cc


@pytest.fixture
async def open_session(connect: Callable[..., Any]) -> Callable[..., Any]:
    """Opens clients as `connect` does, and returns the session of each."""

    async def open_one(where: object = None, **options: Any) -> Session:
        cc: ConstantContact = await connect(where, **options)
        return cc._open_parts.session

    return open_one


@pytest.fixture
def ear(client: ConstantContact, monkeypatch: pytest.MonkeyPatch) -> Ear:
    return Ear.at(client, monkeypatch)


@pytest.fixture
def stock(client: ConstantContact) -> Stock:
    return Stock(client)


@pytest.fixture(scope="session")
def _redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with _running_redis(tmp_path_factory) as server:
        yield server


@pytest.fixture
def redis_server(_redis_process: RedisServer) -> RedisServer:
    """Return an empty Redis server that all tests share."""
    _redis_process.empty()
    return _redis_process


@pytest.fixture
def own_redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Start a Redis server that this test alone uses, so that it may stop it."""
    with _running_redis(tmp_path_factory) as server:
        yield server


def _running_redis(directories: pytest.TempPathFactory) -> RedisServer:
    """Return a server to enter; skip the test if a part of it is not installed."""
    for name in ("redis", "limits"):
        pytest.importorskip(name, reason="the extra [redis] is not installed")
    from tests.support.redis_server import BINARY, WHY_NOT, RedisServer

    if BINARY is None:
        pytest.skip(WHY_NOT)
    return RedisServer(directories.mktemp("redis"))


@pytest.fixture
async def unused_port_url() -> str:
    """Return the URL of a Redis server that does not run."""
    return f"redis://127.0.0.1:{await unused_port()}/0"
