from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("taskiq", reason="the extra [workers] is not installed")
pytest.importorskip("taskiq_redis", reason="the extra [workers] is not installed")
pytest.importorskip("limits", reason="the extra [redis] is not installed")

from tests.support.servers import unused_port
from tests.workers.redis_server import BINARY, WHY_NOT, RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def _redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if BINARY is None:
        pytest.skip(WHY_NOT)
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_server(_redis_process: RedisServer) -> RedisServer:
    """A Redis server with nothing in it, shared by all tests."""
    _redis_process.empty()
    return _redis_process


@pytest.fixture
def own_redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server that this test alone uses, so that it may stop it."""
    if BINARY is None:
        pytest.skip(WHY_NOT)
    with RedisServer(tmp_path_factory.mktemp("own-redis")) as server:
        yield server


@pytest.fixture
async def unused_port_url() -> str:
    """The URL of a Redis that is not there."""
    return f"redis://127.0.0.1:{await unused_port()}/0"
