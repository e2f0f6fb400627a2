"""A sandbox that stops closes every connection, even one made at the last moment."""

from __future__ import annotations

import gc
import socket
import warnings

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
