"""Requests exactly as the official SDKs send them, over a plain socket."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ccv2_async.sandbox import Sandbox

    Send = Callable[[bytes], tuple[int, dict[str, str], bytes]]

HEAD = "Host: api.constantcontact.com\r\nAuthorization: Bearer sandbox-token\r\n"
BOUNDARY = "-----------RubyMultipartPost-0123"


@pytest.fixture
def connection(sandbox: Sandbox) -> Iterator[socket.socket]:
    address = urlsplit(sandbox.origin)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 0), timeout=10) as connected:
        yield connected


@pytest.fixture
def send(connection: socket.socket) -> Send:
    def exchange(request: bytes) -> tuple[int, dict[str, str], bytes]:
        connection.sendall(request)
        return read_answer(connection)

    return exchange


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    raw = b""
    while b"\r\n\r\n" not in raw:
        received = connection.recv(65536)
        assert received, raw
        raw += received
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    return int(first.split()[1]), headers, body


def part(name: str, value: bytes | str, disposition: str = "", *headers: str) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{disposition}\r\n'
    head += "".join(f"{header}\r\n" for header in headers)
    return head.encode() + b"\r\n" + (value.encode() if isinstance(value, str) else value) + b"\r\n"


def upload_request(*parts: bytes, headers: str = "", boundary: str = BOUNDARY) -> bytes:
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    head = (
        f"POST /v2/library/files?api_key=sandbox%2Dkey HTTP/1.1\r\n{HEAD}{headers}"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


RUBY = [
    part("file_name", "IMG.png"),
    part("folder_id", "0"),
    part("description", ""),
    part("source", "MyComputer"),
    part("file_type", "PNG"),
    part("data", b"\x89PNG raw \r\n--not the boundary"),
]
PHP = [
    part("folder_id", "0"),
    part("file_name", "IMG.png"),
    part("file_type", "PNG"),
    part("description", ""),
    part("source", "MyComputer"),
    part(
        "data",
        b"\x89PNG raw \r\n--not the boundary",
        '; filename="IMG.png"',
        "Content-Type: image/png",
    ),
]
_TEXT = ("Content-Type: text/plain; charset=US-ASCII", "Content-Transfer-Encoding: 8bit")
JAVA_4 = [
    part("source", "MyComputer", "", *_TEXT),
    part("description", "", "", *_TEXT),
    part("folder_id", "0", "", *_TEXT),
    part("file_type", "PNG", "", *_TEXT),
    part("file_name", "IMG.png", "", *_TEXT),
    part(
        "data",
        b"\x89PNG raw \r\n--not the boundary",
        '; filename="IMG.png"',
        "Content-Type: application/octet-stream",
        "Content-Transfer-Encoding: binary",
    ),
]
JAVA_5 = [
    part("data", b"\x89PNG raw \r\n--not the boundary", "", "Content-Type: image/png"),
    part("description", "", "", "Content-Type: text/plain"),
    part("file_name", "IMG.png", "", "Content-Type: text/plain"),
    part("file_type", "PNG", "", "Content-Type: text/plain"),
    part("folder_id", "0", "", "Content-Type: text/plain"),
    part("source", "MyComputer", "", "Content-Type: text/plain"),
]


@pytest.mark.parametrize(
    "parts", [RUBY, PHP, JAVA_4, JAVA_5], ids=["ruby", "php", "java4", "java5"]
)
def test_uploads_of_every_official_client_are_accepted(
    sandbox: Sandbox, send: Send, parts: list[bytes]
) -> None:
    status, headers, body = send(upload_request(*parts))
    assert (status, body) == (202, b"")
    assert headers["location"] == f"http://api.constantcontact.com/v2/library/files/{headers['id']}"
    assert sandbox.admin.content(headers["id"]) == b"\x89PNG raw \r\n--not the boundary"
    (stored,) = sandbox.admin.files()
    assert stored["name"] == "IMG.png"
    (entry,) = sandbox.admin.requests("POST")
    assert set(entry.parts) == {
        "file_name", "folder_id", "description", "source", "file_type", "data"
    }  # fmt: skip


def test_non_ascii_names_arrive_as_raw_utf_8(sandbox: Sandbox, send: Send) -> None:
    parts = [part("file_name", "caf\u00e9 \u83dc\u5355.png"), *RUBY[1:]]
    assert send(upload_request(*parts))[0] == 202
    (stored,) = sandbox.admin.files()
    assert stored["name"] == "caf\u00e9 \u83dc\u5355.png"


def test_expect_100_continue_is_answered_before_the_body(
    connection: socket.socket, send: Send
) -> None:
    request = upload_request(*PHP, headers="Expect: 100-Continue\r\n")
    head, separator, body = request.partition(b"\r\n\r\n")
    connection.sendall(head + separator)
    assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
    assert send(body)[0] == 202


def test_expect_100_continue_refuses_a_body_that_is_too_large(send: Send) -> None:
    request = (
        f"POST /v2/library/files?api_key=sandbox-key HTTP/1.1\r\n{HEAD}Expect: 100-continue\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 99999999\r\n\r\n"
    )
    status, headers, _ = send(request.encode())
    assert (status, headers["connection"]) == (413, "close")


def test_an_upload_cut_off_before_the_final_boundary_stores_nothing(
    sandbox: Sandbox, connection: socket.socket
) -> None:
    request = upload_request(*RUBY)
    connection.sendall(request[:-10])
    connection.close()
    entry = None
    while entry is None or entry.ended is None:
        entry = next(iter(sandbox.admin.requests()), None)
    assert (entry.status, sandbox.admin.files()) == (None, [])


@pytest.mark.parametrize(
    ("raw", "status", "key"),
    [
        (upload_request(*RUBY[:5]), 400, "json.field.data.missing"),
        (upload_request(*RUBY[1:]), 400, "json.field.file_name.missing"),
        (upload_request(*RUBY, RUBY[0]), 400, "json.field.file_name.value.invalid"),
        (
            upload_request(part("file_name", b"\xff\xfe.png"), *RUBY[1:]),
            400,
            "json.field.file_name.value.invalid",
        ),
        (
            upload_request(part("file_name", "x" * 70_000), *RUBY[1:]),
            400,
            "http.status.bad_request",
        ),
        (upload_request(*RUBY, boundary="another"), 400, "http.status.bad_request"),
        (upload_request(*RUBY, boundary="b" * 300), 400, "http.status.bad_request"),
        (
            upload_request(*RUBY).replace(
                f"--{BOUNDARY}--".encode(), b"-" * len(BOUNDARY) + b"----"
            ),
            400,
            "http.status.bad_request",
        ),
        (
            upload_request(*RUBY).replace(b"; boundary=", b"; bound_ry="),
            400,
            "http.status.bad_request",
        ),
        (
            upload_request(*RUBY).replace(b"multipart/form-data", b"multipart/something"),
            415,
            "http.status.unsupported_media_type",
        ),
        (
            upload_request(
                b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: form-data\r\n\r\nx\r\n"
            ),
            400,
            "http.status.bad_request",
        ),
    ],
)
def test_a_damaged_form_is_refused_and_the_connection_stays_open(
    sandbox: Sandbox, send: Send, raw: bytes, status: int, key: str
) -> None:
    answered, _, body = send(raw)
    assert (answered, orjson.loads(body)[0]["error_key"]) == (status, key)
    assert sandbox.admin.files() == []
    assert send(upload_request(*RUBY))[0] == 202


def json_request(method: str, path: str, body: Any) -> bytes:
    encoded = orjson.dumps(body)
    head = (
        f"{method} /v2{path}?api_key=sandbox-key HTTP/1.1\r\n{HEAD}"
        f"Content-Type: application/json\r\nContent-Length: {len(encoded)}\r\n\r\n"
    )
    return head.encode() + encoded


def test_null_values_from_the_php_sdk_count_as_not_sent(send: Send) -> None:
    sent = {
        "id": None,
        "name": "wildflowers",
        "level": None,
        "children": None,
        "item_count": None,
        "parent_id": None,
        "modified_date": None,
        "created_date": None,
    }
    status, _, body = send(json_request("POST", "/library/folders", sent))
    assert status == 201
    assert orjson.loads(body)["children"] == []


def test_a_content_type_on_get_and_delete_is_ignored(send: Send) -> None:
    request = (
        f"GET /v2/library/files?limit=2&api_key=sandbox%2Dkey HTTP/1.1\r\n{HEAD}"
        "Content-Type: application/json\r\nAccept: application/json\r\n\r\n"
    )
    assert send(request.encode())[0] == 200


@pytest.mark.parametrize("path", ["/library/files/", "/library/folders//"])
def test_trailing_slashes_are_ignored(send: Send, path: str) -> None:
    request = f"GET /v2{path}?api_key=sandbox-key HTTP/1.1\r\n{HEAD}\r\n"
    assert send(request.encode())[0] == 200
