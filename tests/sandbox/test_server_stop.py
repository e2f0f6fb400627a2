"""A sandbox that stops closes every connection, even one made at the last moment."""

from __future__ import annotations

import gc
import socket
import threading
import warnings

import pytest

from ccv2_async.sandbox import Sandbox

UNFINISHED = b"POST /v2/library/files HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 1000\r\n\r\n--b"


def test_a_connection_made_during_shutdown_is_closed() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(10):
            with Sandbox(mode="at_once") as sandbox:
                host, port = sandbox.origin.removeprefix("http://").split(":")
                with socket.create_connection((host, int(port))) as connection:
                    connection.sendall(UNFINISHED)
            gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_a_sandbox_without_a_thread_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    sandbox = Sandbox()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(OSError, match="can't start new thread"):
            sandbox.start()
    with sandbox:
        assert sandbox.admin.requests() == []
