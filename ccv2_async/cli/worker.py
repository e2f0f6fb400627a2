"""`ccv2 worker`: check the settings and Redis, then run taskiq's worker processes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from math import inf
from typing import TYPE_CHECKING, Annotated

from ccv2_async import BulkState
from ccv2_async.cli.exits import Exit
from ccv2_async.cli.output import Output
from ccv2_async.cli.running import run
from ccv2_async.cli.service import between
from ccv2_async.errors import ConstantContactError, UsageError

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Mapping

    from ccv2_async.workers import Workers

_REQUEST_SECONDS = 5.0
_LONGEST_LINE = 8192
_SPARE_MESSAGES = 2
_OK = "200 OK"
_UNAVAILABLE = "503 Service Unavailable"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


_Processes = Annotated[int, between("--processes", 1, inf, "it must be 1 or more")]
_Port = Annotated[int | None, between("--health-port", 1, 65_535, "it must be from 1 to 65535")]


def worker(*, processes: _Processes = 2, health_port: _Port = None) -> Exit:
    """Run workers that upload files and start activities, until Ctrl-C or SIGTERM.

    The settings come from the environment: CCV2_API_KEY, CCV2_ACCESS_TOKEN, CCV2_REDIS_URL and the
    other variables of WorkerSettings. The settings and Redis are checked first. If
    something is wrong, the command prints one sentence and exits without starting anything.

    Args:
        processes: Number of worker processes. A process that dies is restarted.
        health_port: A port on 127.0.0.1 for GET /healthz (200 while the workers run), GET /readyz
            (200 while Redis answers too), and GET /metrics (the number of jobs in each state, for
            Prometheus).
    """
    output = Output()
    workers = _workers()

    async def check() -> Exit:
        await workers.check()
        return Exit.OK

    checked = run(check, output)
    if checked is not Exit.OK:
        return checked
    return asyncio.run(_supervise(workers, processes, health_port))


def _workers() -> Workers:
    """Return the workers that the environment describes.

    Raises:
        UsageError: A setting is wrong, or a part is not installed.
    """
    try:
        from ccv2_async.workers import Workers  # noqa: PLC0415  # needs the extra
    except ModuleNotFoundError:
        raise UsageError("Workers need an extra: pip install 'ccv2-async[workers]'") from None
    return Workers()


async def _supervise(workers: Workers, processes: int, health_port: int | None) -> Exit:
    """Run taskiq until it ends, and pass signals on to it."""
    messages = workers.settings.concurrency + _SPARE_MESSAGES
    async with contextlib.AsyncExitStack() as stack:
        taskiq: list[Process] = []
        if health_port is not None:
            health = _Health(workers, taskiq)
            try:
                server = await asyncio.start_server(
                    health.answer, "127.0.0.1", health_port, limit=_LONGEST_LINE
                )
            except OSError as error:
                raise UsageError(
                    f"The health checks cannot listen on port {health_port} ({error.strerror}); "
                    "choose another with --health-port."
                ) from None
            stack.callback(server.close)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "taskiq", "worker", "ccv2_async.workers.app:broker"),
            *("--workers", str(processes), "--max-async-tasks", str(messages)),
        )
        taskiq.append(process)
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, _hand_on, process, number)
        code = await process.wait()
    if code:
        sys.exit(code if code > 0 else 128 - code)  # as a shell reports a signal
    return Exit.OK


def _hand_on(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


class _Health:
    """Answers health checks and requests for metrics over HTTP.

    Args:
        workers: The settings, and the store that has to answer.
        taskiq: The process that runs the workers, once it has started.
    """

    def __init__(self, workers: Workers, taskiq: list[Process]) -> None:
        self._workers = workers
        self._taskiq = taskiq

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close its connection."""
        try:
            with contextlib.suppress(TimeoutError, OSError, ValueError):
                async with asyncio.timeout(_REQUEST_SECONDS):
                    words = (await reader.readline()).split()
                    while (await reader.readline()).strip():
                        pass  # headers say nothing that matters here
                    status, body = await self._status_of(words)
                    writer.write(
                        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n"
                        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
                    )
                    await writer.drain()
        finally:
            writer.close()

    async def _status_of(self, words: list[bytes]) -> tuple[str, str]:
        path = words[1] if len(words) == 3 and words[0] == b"GET" else b""
        if path not in (b"/healthz", b"/readyz", b"/metrics"):
            return "404 Not Found", "GET /healthz, GET /readyz, or GET /metrics\n"
        if not self._taskiq or self._taskiq[0].returncode is not None:
            return _UNAVAILABLE, "The workers are not running.\n"
        if path == b"/healthz":
            return _OK, "ok\n"
        try:
            counts = await self._workers.counts()
        except ConstantContactError as error:
            return _UNAVAILABLE, f"{error.message}\n"
        return _OK, "ok\n" if path == b"/readyz" else _metrics(counts)


def _metrics(counts: Mapping[BulkState, int]) -> str:
    """Return how many jobs are in each state, in the text format of Prometheus."""
    lines = ["# HELP ccv2_jobs Jobs on record, by state.", "# TYPE ccv2_jobs gauge"]
    lines += [f'ccv2_jobs{{state="{state}"}} {counts.get(state, 0)}' for state in BulkState]
    return "\n".join((*lines, ""))
