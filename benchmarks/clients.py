"""The clients that are measured: this library and its peers, behind the same two calls.

Each peer is used as its documentation shows, with its default pool. Timeouts are off for all, so
that a slow machine lowers the rate and never causes an error.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import urlsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ccv2_async.polling.poller import Poller, UploadPoller

API_KEY = "bench-key"
ACCESS_TOKEN = "bench-token"
AUTHORIZATION = {"Authorization": f"Bearer {ACCESS_TOKEN}"}
MEDIA_TYPE = "application/pdf"
MOST_IN_FLIGHT = 100


class UploadRefusedError(Exception):
    """The server did not answer 202."""


class Client(Protocol):
    """One open client that uploads files."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc_info: object) -> None: ...
    async def upload(self, path: Path) -> float | None:
        """Return once the upload is accepted; return the seconds if the client measures them."""


class Downloader(Protocol):
    """One open client that downloads files."""

    async def download(self, size: int, path: Path) -> None:
        """Write a file of `size` bytes to the path."""


@attrs.frozen
class Site:
    """Where the server listens, and the authority that signed its certificate."""

    origin: str
    authority: str | None = None

    @property
    def uploads(self) -> str:
        return f"{self.origin}/v2/library/files"

    def file(self, size: int) -> str:
        """The URL of a file of `size` bytes."""
        return f"{self.origin}/__bench__/file/{size}"

    def tls(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.authority) if self.authority else None


def fields(path: Path) -> dict[str, str]:
    """The five text parts that every client sends before the file."""
    return {
        "file_name": path.name,
        "folder_id": "0",
        "description": "",
        "source": "MyComputer",
        "file_type": "PDF",
    }


def expect_accepted(status: int) -> None:
    if status != 202:
        raise UploadRefusedError(f"the server answered {status}")


class Held:
    """The resources that a client opens once and keeps until it is closed."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._held = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._held.aclose()

    async def open(self) -> None:
        """Open the resources that all uploads share."""


class Ours(Held):
    """`ConstantContact` with `begin_upload`, called as a user would."""

    async def open(self) -> None:
        from ccv2_async import ConstantContact

        self._cc = await self._held.enter_async_context(
            ConstantContact(
                api_key=API_KEY,
                access_token=ACCESS_TOKEN,
                base_url=f"{self._site.origin}/v2",
                max_in_flight=MOST_IN_FLIGHT,
                per_second=None,
                per_day=None,
                verify=self._site.tls() or True,
            )
        )

    async def upload(self, path: Path) -> None:
        await self.begin(path)

    async def download(self, size: int, path: Path) -> None:
        from ccv2_async.models import LibraryFile

        file = LibraryFile("1", name="file", url=self._site.file(size), size=size)
        await self._cc.library.download(file, path)

    async def begin(self, path: Path) -> UploadPoller:
        """Upload a file, and return its poller."""
        return await self._cc.library.begin_upload(path, folder_id="0", description="")

    def resume(self, token: str) -> Poller[Any]:
        """Return the poller of an upload that another process began."""
        return self._cc.resume(token)

    async def wait_all(self, pollers: Sequence[Poller[Any]]) -> None:
        """Wait for all of them in one task."""
        await self._cc.wait_all(pollers)


class HttpxFiles(Held):
    """`httpx.AsyncClient.post(files=...)` with an open file."""

    async def open(self) -> None:
        import httpx

        client = httpx.AsyncClient(timeout=None, verify=self._site.tls() or True)
        self._client = await self._held.enter_async_context(client)

    async def upload(self, path: Path) -> None:
        with path.open("rb") as file:
            answer = await self._client.post(
                self._site.uploads,
                params={"api_key": API_KEY},
                headers=AUTHORIZATION,
                data=fields(path),
                files={"data": (path.name, file, MEDIA_TYPE)},
            )
        expect_accepted(answer.status_code)

    async def download(self, size: int, path: Path) -> None:
        async with self._client.stream("GET", self._site.file(size)) as answer:
            with path.open("wb") as file:
                async for piece in answer.aiter_bytes():
                    file.write(piece)


class Httpx2Files(HttpxFiles):
    """`httpx2.AsyncClient.post(files=...)` with an open file."""

    async def open(self) -> None:
        import httpx2

        client = httpx2.AsyncClient(timeout=None, verify=self._site.tls() or True)
        self._client: Any = await self._held.enter_async_context(client)


class Pyreqwest(Held):
    """`pyreqwest`, a client in Rust, with `PartBuilder.from_file`."""

    async def open(self) -> None:
        from pathlib import Path

        from pyreqwest.client import ClientBuilder
        from pyreqwest.multipart import FormBuilder, PartBuilder

        self._form, self._part = FormBuilder, PartBuilder
        builder = ClientBuilder().default_headers(AUTHORIZATION)
        if self._site.authority:
            authority = await asyncio.to_thread(Path(self._site.authority).read_bytes)
            builder = builder.add_root_certificate_pem(authority)
        self._client = await self._held.enter_async_context(builder.build())

    async def upload(self, path: Path) -> None:
        form = self._form()
        for name, value in fields(path).items():
            form = form.text(name, value)
        part = (await self._part.from_file(path)).mime(MEDIA_TYPE).file_name(path.name)
        request = self._client.post(self._site.uploads).query({"api_key": API_KEY})
        answer = await request.multipart(form.part("data", part)).build().send()
        expect_accepted(answer.status)


class Raw(Held):
    """asyncio's streams with requests made in advance. No library can be faster."""

    async def open(self) -> None:
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._requests: dict[Path, bytes] = {}
        self._tls = self._site.tls()

    async def upload(self, path: Path) -> None:
        request = self._requests.get(path)
        if request is None:
            request = self._requests[path] = self._prepare(path)
        reader, writer = self._idle.pop() if self._idle else await self._connect()
        writer.write(request)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        self._idle.append((reader, writer))
        expect_accepted(int(head.split(b" ", 2)[1]))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = urlsplit(self._site.origin)
        streams = await asyncio.open_connection(address.hostname, address.port, ssl=self._tls)
        self._held.callback(streams[1].close)
        return streams

    def _prepare(self, path: Path) -> bytes:
        form = "".join(
            f'--raw\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields(path).items()
        )
        form += (
            f'--raw\r\nContent-Disposition: form-data; name="data"; filename="{path.name}"\r\n'
            f"Content-Type: {MEDIA_TYPE}\r\n\r\n"
        )
        body = form.encode() + path.read_bytes() + b"\r\n--raw--\r\n"
        address = urlsplit(self._site.uploads)
        head = (
            f"POST {address.path}?api_key={API_KEY} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Authorization: Bearer {ACCESS_TOKEN}\r\n"
            "Content-Type: multipart/form-data; boundary=raw\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class AiohttpForm(Held):
    """`aiohttp.FormData` with an open file."""

    async def open(self) -> None:
        import aiohttp

        self._form = aiohttp.FormData
        self._client = await self._held.enter_async_context(
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None),
                connector=aiohttp.TCPConnector(ssl=self._site.tls() or True),
            )
        )

    async def upload(self, path: Path) -> None:
        form = self._form(fields(path))
        with path.open("rb") as file:
            form.add_field("data", file, filename=path.name, content_type=MEDIA_TYPE)
            async with self._client.post(
                self._site.uploads, params={"api_key": API_KEY}, headers=AUTHORIZATION, data=form
            ) as answer:
                await answer.read()
        expect_accepted(answer.status)

    async def download(self, size: int, path: Path) -> None:
        async with self._client.get(self._site.file(size)) as answer:
            with path.open("wb") as file:
                async for piece in answer.content.iter_chunked(64 * 1024):
                    await asyncio.to_thread(file.write, piece)


class Toolbelt(Held):
    """requests with requests-toolbelt's `MultipartEncoder`, with a session in each thread."""

    async def open(self) -> None:
        import requests

        self._local = threading.local()

        self._session: Callable[[], requests.Session] = requests.Session
        self._threads = self._held.enter_context(ThreadPoolExecutor(MOST_IN_FLIGHT))

    async def upload(self, path: Path) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._upload, path)

    def _upload(self, path: Path) -> None:
        # requests-toolbelt publishes no types
        from requests_toolbelt import MultipartEncoder  # type: ignore[import-untyped]

        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self._held.enter_context(self._session())
        with path.open("rb") as file:
            form = MultipartEncoder({**fields(path), "data": (path.name, file, MEDIA_TYPE)})
            answer = session.post(
                self._site.uploads,
                params={"api_key": API_KEY},
                headers={**AUTHORIZATION, "Content-Type": form.content_type},
                data=form,
                timeout=None,
            )
        expect_accepted(answer.status_code)


class Curl(Held):
    """The `curl` command. It measures its own time, without the start of the process."""

    async def upload(self, path: Path) -> float:
        forms = [f"{name}={value}" for name, value in fields(path).items()]
        process = await asyncio.create_subprocess_exec(
            *("curl", "--silent", "--show-error", "--write-out", "%{http_code} %{time_total}"),
            *("--header", f"Authorization: Bearer {ACCESS_TOKEN}"),
            *(word for form in forms for word in ("--form-string", form)),
            *("--form", f"data=@{path};type={MEDIA_TYPE}"),
            f"{self._site.uploads}?api_key={API_KEY}",
            stdout=asyncio.subprocess.PIPE,
        )
        told, _ = await process.communicate()
        status, seconds = told.split()
        expect_accepted(int(status))
        return float(seconds)


@attrs.frozen
class Entry:
    """An entry in the list of clients."""

    build: Callable[[Site], Client]
    packages: tuple[str, ...] = ()
    command: str | None = None

    def absence(self) -> str | None:
        """Return why this client cannot be measured here, or None."""
        if self.command and not shutil.which(self.command):
            return f"{self.command} is not installed"
        for package in self.packages:
            try:
                version(package)
            except PackageNotFoundError:
                return f"{package} is not installed"
        return None


CLIENTS: dict[str, Entry] = {
    "ours": Entry(Ours, ("ccv2-async", "httpx")),
    "httpx files=": Entry(HttpxFiles, ("httpx",)),
    "httpx2 files=": Entry(Httpx2Files, ("httpx2",)),
    "pyreqwest": Entry(Pyreqwest, ("pyreqwest",)),
    "raw streams": Entry(Raw),
    "aiohttp FormData": Entry(AiohttpForm, ("aiohttp",)),
    "httpx stream": Entry(HttpxFiles, ("httpx",)),
    "aiohttp stream": Entry(AiohttpForm, ("aiohttp",)),
    "requests + toolbelt": Entry(Toolbelt, ("requests", "requests-toolbelt")),
    "curl": Entry(Curl, command="curl"),
}
