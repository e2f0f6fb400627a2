"""The simple server that every client is measured against: `python -m benchmarks.server`.

It supports just enough HTTP/1.1 for an upload and a status request. It runs in its own process,
prints its URL with a free port of 127.0.0.1 on the first line, and ends when its parent closes its
stdin.

* ``POST /v2/library/files`` answers 202 with `Location` and `Id`, as the service does.
* ``GET /v2/library/files/uploadstatus/{ids}`` answers that each file is still Processing.
* ``GET /__bench__/file/{size}`` answers with that many bytes: `BLOCK`, repeated.
* ``GET /__bench__/received`` returns what has arrived since the last such request.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from benchmarks.receiving import BadBodyError, UploadBody

if TYPE_CHECKING:
    from benchmarks.receiving import Receipt

UPLOADS = b"/v2/library/files"
STATUS = b"/v2/library/files/uploadstatus/"
RECEIVED = b"/__bench__/received"
FILE = b"/__bench__/file/"
BUFFER = 256 * 1024
BLOCK = bytes(range(256)) * 4096


class Ledger:
    """Everything that has arrived since it was last read."""

    def __init__(self) -> None:
        self.receipts: Counter[Receipt] = Counter()
        self.faults: list[str] = []
        self.next_id = 1000

    def read(self) -> bytes:
        """Return the entries as JSON, and forget them."""
        told = {
            "files": [[*receipt, count] for receipt, count in self.receipts.items()],
            "faults": self.faults,
        }
        self.receipts = Counter()
        self.faults = []
        return json.dumps(told).encode()


class Connection(asyncio.BufferedProtocol):
    """One keep-alive connection."""

    def __init__(self, ledger: Ledger, origin: str) -> None:
        self._ledger = ledger
        self._origin = origin
        self._buffer = memoryview(bytearray(BUFFER))
        self._head = bytearray()
        self._body: UploadBody | None = None
        self._unsent = 0
        self._paused = False
        self._transport = cast("asyncio.Transport", None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the protocol's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = self._buffer[:nbytes]
        try:
            while data:
                data = data[self._take(data) :]
        except (BadBodyError, ValueError) as error:
            self._ledger.faults.append(str(error))
            self._answer(b"400 Bad Request", json.dumps([{"error_message": str(error)}]).encode())
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - ditto
        if self._body is not None:
            self._ledger.faults.append("a connection was lost in the middle of a body")

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._send()

    def _send(self) -> None:
        """Write as much of the rest of a file as the client accepts."""
        while self._unsent and not self._paused:
            block = BLOCK[: self._unsent]
            self._unsent -= len(block)
            self._transport.write(block)

    def _take(self, data: memoryview) -> int:
        if self._body is None:
            return self._take_head(data)
        taken = self._body.feed(data)
        self._finish_when_complete()
        return taken

    def _take_head(self, data: memoryview) -> int:
        before = len(self._head)
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return len(data)
        request_line, *lines = bytes(self._head[:end]).split(b"\r\n")
        self._head.clear()
        headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        method, target, _ = request_line.split(b" ")
        self._route(method, target.partition(b"?")[0], headers)
        return end + 4 - before

    def _route(self, method: bytes, path: bytes, headers: dict[bytes, bytes]) -> None:
        if method == b"POST" and path == UPLOADS:
            if b"content-length" not in headers:
                raise BadBodyError("an upload came without Content-Length")
            boundary = headers[b"content-type"].partition(b"boundary=")[2].strip(b'"')
            self._body = UploadBody(boundary, int(headers[b"content-length"]))
            if headers.get(b"expect", b"").lower() == b"100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif method == b"GET" and path.startswith(STATUS):
            ids = path[len(STATUS) :].decode().replace("%2C", ",").split(",")
            self._answer(b"200 OK", json.dumps([_processing(i) for i in ids]).encode())
        elif method == b"GET" and path.startswith(FILE):
            self._unsent = int(path[len(FILE) :])
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self._unsent)
            self._send()
        elif method == b"GET" and path == RECEIVED:
            self._answer(b"200 OK", self._ledger.read())
        else:
            raise BadBodyError(f"{method.decode()} {path.decode()} is not served here")

    def _finish_when_complete(self) -> None:
        body = self._body
        if body is None or not body.complete:
            return
        self._body = None
        self._ledger.receipts[body.receipt()] += 1
        self._ledger.next_id += 1
        self._transport.write(
            b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n"
            b"Location: %b/v2/library/files/%d\r\nId: %d\r\n\r\n"
            % (self._origin.encode(), self._ledger.next_id, self._ledger.next_id)
        )

    def _answer(self, status: bytes, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, len(body), body)
        )


def _processing(file_id: str) -> dict[str, Any]:
    return {"file_id": file_id, "status": "Processing", "description": "Processing"}


async def serve(certificate: str | None) -> None:
    """Serve until stdin is closed; over TLS if `certificate` is a PEM file with key and chain."""
    loop = asyncio.get_running_loop()
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    origin = ""
    ledger = Ledger()
    server = await loop.create_server(
        lambda: Connection(ledger, origin), "127.0.0.1", 0, ssl=context, backlog=512
    )
    async with server:
        host, port = server.sockets[0].getsockname()
        origin = f"{'https' if context else 'http'}://{host}:{port}"
        print(origin, flush=True)
        ended = asyncio.Event()
        loop.add_reader(sys.stdin, ended.set)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1] if len(sys.argv) > 1 else None))
