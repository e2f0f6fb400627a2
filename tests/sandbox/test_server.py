from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import trustme

from ccv2_async.sandbox import Sandbox

# A sandbox in a process that has no descriptor left for the connections that others make to it.
FEW_DESCRIPTORS = """
import os, resource, socket, time
from ccv2_async.sandbox import Sandbox
with Sandbox() as sandbox:
    connections = [socket.socket() for _ in range(4)]
    free = os.dup(0)
    os.close(free)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    host, port = sandbox.origin.removeprefix("http://").split(":")
    for connection in connections:
        connection.connect((host, int(port)))
    time.sleep(0.5)
    connections.pop().close()
    connections.pop().close()
    connections[0].settimeout(20)
    connections[0].sendall(b"GET /openapi.json HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    print(connections[0].recv(12).decode())
"""


JSON = {"content-type": "application/json"}


def auth(options: Any) -> dict[str, Any]:
    return {
        "base_url": options["base_url"],
        "params": {"api_key": options["api_key"]},
        "headers": {"authorization": f"Bearer {options['access_token']}"},
    }


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


async def test_the_sandbox_runs_beside_the_event_loop_of_the_caller_and_leaves_nothing() -> None:
    before = asyncio.all_tasks(), threads()
    async with Sandbox() as sandbox:
        assert asyncio.all_tasks() == before[0]
        async with httpx.AsyncClient(**auth(sandbox.client_options())) as client:
            assert (await client.get("/library/info")).status_code == 200
        address = urlsplit(sandbox.origin)
    assert (asyncio.all_tasks(), threads()) == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname or "", address.port or 0))


def test_the_sandbox_can_be_started_and_stopped_repeatedly() -> None:
    sandbox = Sandbox()
    for _ in range(3):
        with sandbox as running:
            assert httpx.get(f"{running.origin}/openapi.json").status_code == 200
    sandbox.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.base_url


def test_a_running_sandbox_cannot_be_started_again() -> None:
    with Sandbox() as sandbox, pytest.raises(RuntimeError, match="already"):
        sandbox.start()


def test_a_failed_start_says_why_and_leaves_no_thread() -> None:
    before = threads()
    broken: Any = "no TLS context"
    sandbox = Sandbox(tls=broken)
    with pytest.raises(TypeError, match="ssl"):
        sandbox.start()
    assert threads() == before
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.base_url


async def test_a_cancelled_start_leaves_no_thread() -> None:
    before = threads()

    async def use() -> None:
        async with Sandbox():
            pytest.fail("it was cancelled before")

    task = asyncio.create_task(use())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert threads() == before


def test_a_port_in_use_is_an_error_and_leaves_no_thread() -> None:
    with Sandbox() as sandbox:
        before = threads()
        second = Sandbox(urlsplit(sandbox.origin).port or 0)
        with pytest.raises(OSError, match="in use"):
            second.start()
        assert threads() == before


def test_the_sandbox_stops_while_requests_are_open() -> None:
    with Sandbox() as sandbox:
        sandbox.admin.fault("hang", times=None)
        address = urlsplit(sandbox.origin)
        waiting = socket.create_connection((address.hostname or "", address.port or 0))
        head = "GET /v2/library/info?api_key=sandbox-key HTTP/1.1\r\nHost: x\r\n\r\n"
        waiting.sendall(head.encode())
        while not sandbox.admin.requests():
            pass
    with waiting, contextlib.suppress(ConnectionResetError):
        assert waiting.recv(100) == b""


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        Sandbox(colour="red")  # type: ignore[call-arg]  # that is the point
    with Sandbox() as sandbox, pytest.raises(TypeError, match="colour"):
        sandbox.admin.configure(colour="red")  # type: ignore[call-arg]  # that is the point


def test_settings_can_be_read_and_changed_from_another_process() -> None:
    with Sandbox(api_key="my-key") as sandbox:
        url = f"{sandbox.origin}/__sandbox__/settings"
        assert httpx.post(url, json={"looks": 7}).json()["looks"] == 7
        assert "my-key" not in httpx.get(url).text
        assert httpx.post(url, json={"colour": 7}).status_code == 400
        assert httpx.post(url, json=[1]).status_code == 400
        assert httpx.post(url, content="{", headers=JSON).status_code == 400
        assert httpx.post(url).status_code == 400


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("mode", "at_onc"),
        ("mode", []),
        ("per_day", "5"),
        ("looks", True),
        ("looks", -1),
        ("speed", 0),
        ("seconds", float("nan")),
        ("sigma", 1e6),
        ("date_offset", 1e308),
        ("log_size", 2**64),
        ("retired", ["event"]),
        ("registrants", 2**31),
        ("seconds", -1.0),
        ("speed", 1e-300),
        ("latency", -1),
        ("latency", [0.5, 0.1]),
        ("latency", [0.1, 0.2, 0.3]),
        ("latency", "0.1"),
    ],
)
def test_a_setting_that_would_break_later_requests_is_refused(setting: str, value: Any) -> None:
    with Sandbox() as sandbox:
        before = sandbox.admin.settings()
        with pytest.raises(ValueError, match=setting if setting != "retired" else "event"):
            sandbox.admin.configure(**{setting: value})
        assert sandbox.admin.settings() == before
    with pytest.raises(ValueError, match=setting if setting != "retired" else "event"):
        Sandbox(**{setting: value})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("clock", {"advance": 2**63}),
        ("clock", {"advance": -1e15}),
        ("clock", {"advance": True}),
        ("clock", {"advance": None}),
        ("clock", []),
        ("contacts", {"count": 1, "status": []}),
        ("contacts", {"count": 1, "opt_in_source": 5}),
        ("contacts", {"count": True}),
        ("contacts", {"count": 10**9}),
        ("addresses", {"email_address": 5}),
        ("files/1/status", {"status": {}}),
    ],
)
def test_a_wrong_value_on_the_admin_path_is_a_400_and_changes_nothing(path: str, body: Any) -> None:
    with Sandbox() as sandbox:
        before = sandbox.admin.state() | {"time": 0}
        answer = httpx.post(f"{sandbox.origin}/__sandbox__/{path}", json=body)
        assert answer.status_code in {400, 404}, answer.text
        assert sandbox.admin.state() | {"time": 0} == before


def test_a_body_of_the_admin_path_is_bounded() -> None:
    with Sandbox() as sandbox:
        body = b'"' + b" " * (16 * 1024 * 1024) + b'"'
        url = f"{sandbox.origin}/__sandbox__/faults"
        assert httpx.post(url, content=body, headers=JSON).status_code == 413


def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    head = b"POST /__sandbox__/faults HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
    with Sandbox() as sandbox:
        host, port = sandbox.origin.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(head + b"Content-Type: application/json\r\n\r\n{")
        assert sandbox.admin.faults() == []
    assert "Traceback" not in caplog.text


def test_the_admin_path_reads_a_body_only_where_it_takes_one() -> None:
    with Sandbox() as sandbox:
        url = f"{sandbox.origin}/__sandbox__/"
        assert httpx.post(url + "reset", content="{", headers=JSON).status_code == 200
        assert httpx.request("DELETE", url + "faults", content="{", headers=JSON).status_code == 200


def test_stored_content_is_bounded_and_digests_are_kept() -> None:
    with (
        Sandbox(keep_content=250) as sandbox,
        httpx.Client(**auth(sandbox.client_options())) as client,
    ):
        texts = {
            "file_name": "a.png",
            "folder_id": "0",
            "description": "",
            "source": "MyComputer",
            "file_type": "PNG",
        }
        for size in (100, 100, 100, 300):
            client.post("/library/files", data=texts, files={"data": b"x" * size})
        rows = sandbox.admin.files()
        assert [sandbox.admin.content(row["id"]) is not None for row in rows] == [
            False,
            True,
            True,
            False,
        ]
        assert all(len(row["sha256"]) == 64 for row in rows)
        gone = httpx.get(f"{sandbox.origin}/__sandbox__/files/{rows[0]['id']}/content")
        assert gone.status_code == 404


def test_a_process_without_free_descriptors_is_not_flooded_with_messages() -> None:
    ran = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", FEW_DESCRIPTORS], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "HTTP/1.1 200\n"
    assert 0 < ran.stderr.count("out of system resource") < 10


def test_the_sandbox_supports_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    import ssl

    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with (
        Sandbox(tls=serving) as sandbox,
        httpx.Client(verify=trusting, **auth(sandbox.client_options())) as client,
    ):
        assert sandbox.base_url.startswith("https://")
        assert client.get("/library/info").status_code == 200
        sandbox.admin.fault("lose_response")
        with pytest.raises(httpx.TransportError):
            client.get("/library/info")
        assert client.get("/library/info").status_code == 200


@pytest.mark.parametrize("ports", [{"port": 65_536}, {"port": -1}, {"content_port": 65_536}])
def test_a_port_that_does_not_exist_is_refused(ports: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="port cannot be"):
        Sandbox(**ports)  # type: ignore[arg-type]  # mypy takes them for settings


@pytest.mark.parametrize(
    ("host", "origin"),
    [("localhost", "http://localhost:"), ("::1", "http://[::1]:"), ("127.0.0.2", "http://127.")],
)
def test_the_sandbox_listens_on_another_address_of_this_machine(host: str, origin: str) -> None:
    with Sandbox(host=host) as sandbox:
        assert sandbox.is_local
        assert sandbox.origin.startswith(origin)
        assert (sandbox.content_origin or "").startswith(origin)
        assert httpx.get(f"{sandbox.origin}/__sandbox__/state", trust_env=False).is_success


@pytest.mark.parametrize(
    ("host", "origin"),
    [("0.0.0.0", "http://127.0.0.1:"), ("::", "http://[::1]:")],  # noqa: S104  # the point
)
def test_files_of_a_sandbox_in_a_network_have_urls_by_which_its_clients_reach_it(
    host: str, origin: str
) -> None:
    with (
        Sandbox(host=host, mode="at_once") as sandbox,
        httpx.Client(**auth(sandbox.client_options()), trust_env=False) as client,
    ):
        assert not sandbox.is_local
        assert sandbox.origin.startswith(origin)
        for name in ("localhost", "sandbox", "10.0.0.7"):
            texts = {"file_name": "a.png", "file_type": "PNG", "folder_id": "0"}
            texts |= {"description": "", "source": "MyComputer"}
            sent = client.post("/library/files", data=texts, files={"data": b"12345678"})
            seen = client.get(
                f"/library/files/{sent.headers['id']}", headers={"host": f"{name}:1234"}
            ).json()["url"]
            port = urlsplit(sandbox.content_origin or "").port
            assert seen.startswith(f"http://{name}:{port}/content/")
            reached = seen.replace(f"{name}:{port}", urlsplit(sandbox.content_origin or "").netloc)
            assert httpx.get(reached, trust_env=False).content == b"12345678"


def test_a_name_that_does_not_exist_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match=r"[Nn]ame"):
        Sandbox(host="no-such-host.invalid").start()


async def test_the_app_runs_in_process_without_a_socket() -> None:
    sandbox = Sandbox(mode="at_once")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(sandbox.app),
        base_url="http://sandbox.test/v2",
        params={"api_key": "sandbox-key"},
        headers={"authorization": "Bearer sandbox-token"},
    ) as client:
        assert (await client.get("/library/info")).status_code == 200
        sandbox.admin.fault("lose_response")
        with pytest.raises(ConnectionResetError):
            await client.get("/library/info")
        assert len(sandbox.admin.requests()) == 2


def test_many_sandboxes_leave_no_thread_and_no_descriptor() -> None:
    with Sandbox():
        pass
    descriptors = Path("/proc/self/fd")
    before = threads(), len(list(descriptors.iterdir()))
    for _ in range(20):
        with Sandbox() as sandbox, httpx.Client(**auth(sandbox.client_options())) as client:
            assert client.get("/library/info").status_code == 200
    assert (threads(), len(list(descriptors.iterdir()))) == before
