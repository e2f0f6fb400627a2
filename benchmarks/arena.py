"""Run the server and each client in its own process, and check what arrived.

Every measurement goes through an `Arena`: one server, any number of contestants, and one order at a
time, so that no two clients compete for the cores.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import urllib.request
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs
import trustme

from benchmarks.clients import CLIENTS, Site
from benchmarks.contestant import LINE_LIMIT, Opening
from benchmarks.receiving import Receipt
from benchmarks.samples import receipts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from benchmarks.samples import Sample

ROOT = Path(__file__).parent.parent
PATIENCE = 10.0


class BytesDifferError(Exception):
    """The server did not receive what was sent, so no figure of this run can be trusted."""


class ContestantError(Exception):
    """A client failed. The message holds its traceback."""


def child(module: str, *arguments: str) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """Run a module of this package as a process that ends when its stdin is closed."""
    return process(sys.executable, "-m", module, *arguments)


@asynccontextmanager
async def process(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process that ends when its stdin is closed."""
    started = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
    )
    try:
        yield started
    finally:
        await _end(started)


async def _end(started: asyncio.subprocess.Process) -> None:
    if started.stdin is not None:
        started.stdin.close()
    try:
        await asyncio.wait_for(started.wait(), PATIENCE)
    except TimeoutError:
        started.kill()
        await started.wait()


class Contestant:
    """One client in its process.

    Attributes:
        name: Its name in the list of clients.
        slow_reads: The number of reads from its slow disk, if it has one.
    """

    def __init__(self, opening: Opening, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.name = opening.client
        self.slow_reads = 0
        self._orders = process.stdin
        self._answers = process.stdout
        self._tell(attrs.asdict(opening))

    def _tell(self, order: Mapping[str, object]) -> None:
        self._orders.write(json.dumps(order).encode() + b"\n")

    async def call(self, function: str, **args: object) -> Any:
        """Call a coroutine function (`module:name`) with the open client, and return the result."""
        self._tell({"call": function, "args": args})
        line = await self._answers.readline()
        if not line:
            raise ContestantError(f"{self.name}: its process ended")
        answer = json.loads(line)
        if "error" in answer:
            raise ContestantError(f"{self.name}:\n{answer['error']}")
        self.slow_reads = answer["slow_reads"]
        return answer["result"]


def build_sink(directory: Path) -> Path | None:
    """Compile the server in C; return None if there is no compiler or no OpenSSL."""
    compiler, program = shutil.which("cc"), directory / "sink"
    if compiler is None:
        return None
    libraries = ("-lssl", "-lcrypto")
    ran = subprocess.run(  # our own source
        [compiler, "-O2", "-o", program, ROOT / "benchmarks" / "sink.c", *libraries],
        capture_output=True,
        check=False,
    )
    return None if ran.returncode else program


@attrs.define
class Arena:
    """A running server and its contestants.

    Attributes:
        site: Where the server listens.
        counts: Whether it only counts what arrives. Otherwise, it checks every byte.
    """

    site: Site
    counts: bool
    _held: AsyncExitStack

    @classmethod
    @asynccontextmanager
    async def open(
        cls, directory: Path, *, tls: bool = False, sink: Path | None = None
    ) -> AsyncIterator[Self]:
        """Start the server.

        Args:
            directory: Where to write the certificates.
            tls: Whether to use TLS.
            sink: The compiled server; None for the one in Python.
        """
        authority, certificate = _certificates(directory) if tls else (None, None)
        program = [str(sink)] if sink else [sys.executable, "-m", "benchmarks.server"]
        async with AsyncExitStack() as held:
            server = await held.enter_async_context(
                process(*program, *([certificate] if certificate else []))
            )
            assert server.stdout is not None
            origin = (await server.stdout.readline()).decode().strip()
            yield cls(Site(origin, authority), sink is not None, held)

    async def admit(self, name: str, **options: Any) -> Contestant:
        """Start a client in its own process, until the arena closes."""
        return await self._held.enter_async_context(self.guest(name, **options))

    @asynccontextmanager
    async def guest(self, name: str, **options: Any) -> AsyncIterator[Contestant]:
        """Start a client in its own process for one measurement, with the options of `Opening`."""
        opening = Opening(name, self.site.origin, self.site.authority, **options)
        async with child("benchmarks.contestant") as started:
            yield Contestant(opening, started)

    async def verify(self, sent: Sequence[Sample]) -> None:
        """Check that exactly these files have arrived since the last check.

        For a server that only counts, check their number, and that there were enough bytes.

        Raises:
            BytesDifferError: Something else arrived.
        """
        ledger = await self.received()
        if self.counts:
            least = sum(sample.receipt.size for sample in sent)
            if (ledger["uploads"], ledger["faults"]) != (len(sent), 0) or ledger["bytes"] < least:
                raise BytesDifferError(f"{len(sent)} files of {least} bytes became {ledger}")
            return
        arrived = Counter({Receipt(*entry[:3]): entry[3] for entry in ledger["files"]})
        if ledger["faults"] or arrived != receipts(sent):
            missing, extra = receipts(sent) - arrived, arrived - receipts(sent)
            raise BytesDifferError(
                f"missing {dict(missing)}, not expected {dict(extra)}, {ledger['faults']}"
            )

    async def received(self) -> Any:
        """Return what the server has recorded since the last request."""
        return await asyncio.to_thread(self._received)

    def _received(self) -> Any:
        address = f"{self.site.origin}/__bench__/received"
        with urllib.request.urlopen(address, context=self.site.tls()) as answer:
            return json.load(answer)


def absences(names: Sequence[str]) -> dict[str, str]:
    """Return the clients that cannot be measured here, with the reasons."""
    told = {name: CLIENTS[name].absence() for name in names}
    return {name: reason for name, reason in told.items() if reason}


def _certificates(directory: Path) -> tuple[str, str]:
    authority = trustme.CA()
    authority_file, chain_file = directory / "authority.pem", directory / "server.pem"
    authority.cert_pem.write_to_path(authority_file)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(chain_file)
    return str(authority_file), str(chain_file)
