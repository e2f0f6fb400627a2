"""Run the blocks of one page in order, in one folder, as a reader would."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from tests.support.lasting_ports import lasting_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccv2_async.sandbox import Sandbox
    from tests.docs.blocks import Block

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
HASTY = Path(__file__).parent / "hasty"
PATIENCE = 60.0
"""Seconds for one command; only a hang takes so long, on a busy machine too."""

SHOWN_ORIGIN = "http://127.0.0.1:8765"
"""Where the pages say that the sandbox is."""

SHOWN_REDIS = "redis://localhost:6379/0"
"""Where the pages say that Redis is."""

SET_UP = re.compile(
    r"(git clone|cd ccv2_async|python3\.11 -m venv|(\.venv/bin/)?pip install|source "
    r"|\.venv/bin/nox)"
)
"""What sets a machine up: CI does that itself, on a clean checkout."""

ENDLESS = ("ccv2 sandbox",)
"""Commands that serve until Ctrl-C, on the port that they are given."""

BACKGROUND = ("taskiq worker",)
"""Commands that a reader leaves running in a terminal of their own."""

_seen: dict[str, str] = {}
_LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def make_files(folder: Path) -> None:
    """The files that the pages name, small and real."""
    samples = ROOT / "examples" / "files"
    shutil.copytree(samples, folder / "examples" / "files")
    shutil.copy(samples / "brochure" / "walks.pdf", folder / "menu.pdf")
    shutil.copytree(ROOT / "examples" / "worker", folder / "examples" / "worker")
    pictures = folder / "pictures"
    (pictures / "summer").mkdir(parents=True)
    shutil.copy(samples / "logo.gif", pictures / "logo.gif")
    shutil.copy(samples / "visitors.png", pictures / "summer" / "visitors.png")
    (folder / "new.csv").write_text(
        "Email Address,First Name\nann@example.com,Ann\nben@example.com,Ben\n", "utf-8"
    )
    (folder / "gone.txt").write_text("contact1@example.com\ncontact2@example.com\n", "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", "utf-8")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(BIN)


@attrs.define
class Reader:
    """Somebody who follows one page.

    Attributes:
        folder: Where they are.
        sandbox: What their environment points at.
        names: What their Python session knows.
        saved: Files that the page told them to save and that nothing has used yet.
        haste: Whether waits pass ten times as fast in their programs.
        redis_url: Where their Redis is; None when they have none.
        left_running: What they left running.
    """

    folder: Path
    sandbox: Sandbox
    names: dict[str, Any] = attrs.field(factory=dict)
    saved: set[str] = attrs.field(factory=set)
    haste: bool = True
    redis_url: str | None = None
    left_running: list[subprocess.Popen[bytes]] = attrs.field(factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of their shell."""
        options = self.sandbox.client_options()
        return {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "CCV2_API_KEY": options["api_key"],
            "CCV2_ACCESS_TOKEN": options["access_token"],
            "CCV2_BASE_URL": options["base_url"],
            "CCV2_SWEEP_SECONDS": "0.2",
            **({"PYTHONPATH": str(HASTY)} if self.haste else {}),
            "COLUMNS": "100",
        }

    async def follow(self, block: Block) -> None:
        """Run a block, and compare its output with the page."""
        code = block.code.replace(SHOWN_ORIGIN, self.sandbox.origin)
        if SHOWN_REDIS in code:
            assert self.redis_url is not None
            code = code.replace(SHOWN_REDIS, self.redis_url)
        if block.language == "sh":
            printed = await self._shell(block, code)
        elif block.file_name is not None:
            path = self.folder / block.file_name
            path.parent.mkdir(exist_ok=True)
            path.write_text(code, "utf-8")
            self.saved.add(path.name)
            return
        elif _names_a_test(code):
            (self.folder / f"test_line_{block.line}.py").write_text(code, "utf-8")
            self.saved.add(f"test_line_{block.line}.py")
            return
        elif "asyncio.run(" in code:
            (self.folder / "block.py").write_text(code, "utf-8")
            printed = await self._run(block, "python block.py")
        else:
            printed = await self._python(block, code)
        if block.output is not None:
            _compare(block, printed.replace(self.sandbox.origin, SHOWN_ORIGIN))

    async def run_tests(self) -> None:
        """Run the tests that the page shows without a command, all at once: it takes its time."""
        left = [name for name in self.saved if name.startswith("test_line_")]
        if left:
            await self._run("tests of the page", f"pytest -q {' '.join(sorted(left))}")
            self.saved -= set(left)

    async def _python(self, block: Block, code: str) -> str:
        """Run it here, as `python -m asyncio` does; a `main` that it defines is run too."""
        tree = ast.parse(code, str(block.page))
        ast.increment_lineno(tree, block.line - 1)
        compiled = compile(
            tree, str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
        )
        self.names.pop("main", None)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            running = eval(compiled, self.names)  # noqa: S307  # that is what this is for
            if inspect.isawaitable(running):
                await running
            if main := self.names.get("main"):
                await main()
        return printed.getvalue()

    async def _shell(self, block: Block, code: str) -> str:
        self.saved -= {name for name in self.saved if name in code}
        printed, exported = "", ""
        for line in code.replace("\\\n", " ").splitlines():
            steps = [step.strip() for step in line.split(" && ")]
            left = " && ".join(step for step in steps if not SET_UP.match(step))
            if left.startswith("export "):
                exported += f"{left} && "
            elif left.startswith(BACKGROUND):
                self._leave_running(exported + left)
            elif left.endswith(" --sandbox"):
                # It brings a service of its own: the first page that shows it runs it for all.
                command = left.removeprefix(".venv/bin/")
                if command not in _seen:
                    _seen[command] = await self._run(block, command)
                printed += _seen[command]
            elif left.startswith(ENDLESS):
                printed += await asyncio.to_thread(self._served, f"{left} --port 0")
            elif left:
                printed += await self._run(block, exported + left)
        return printed

    def _leave_running(self, command: str) -> None:
        before, _, last = command.rpartition(" && ")
        shell = ("bash", "-euc", f"{before or ':'} && exec {last}")
        self.left_running.append(
            subprocess.Popen(  # noqa: S603  # a command of our own pages
                shell,
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    def leave(self) -> None:
        """End what was left running."""
        for process in self.left_running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    async def _run(self, where: object, command: str) -> str:
        shell = ("bash", "-euo", "pipefail", "-c", command)
        done = await asyncio.to_thread(
            subprocess.run,
            shell,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        said = f"{where}: $ {command}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, said
        return done.stdout + done.stderr

    def _served(self, command: str) -> str:
        """What it prints until it serves; then Ctrl-C."""
        server = subprocess.Popen(  # noqa: S603  # a command of our own pages
            command.split(),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with server:
            assert server.stdout is not None
            lines = []
            for line in server.stdout:
                lines.append(line)
                if "Web page" in line:
                    break
            server.send_signal(signal.SIGINT)
            assert server.wait(PATIENCE) == 0, lines
        return re.sub(r"127\.0\.0\.1:\d+", SHOWN_ORIGIN.removeprefix("http://"), "".join(lines))


@contextlib.contextmanager
def logging_as_it_was() -> Iterator[None]:
    """Restore the loggers after a block, no matter how a page has set them up."""
    root, ours = logging.getLogger(), logging.getLogger("ccv2_async")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        ours.setLevel(levels[1])


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str | None]:
    """The URL of a private Redis server; None where there is no such program."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    port = lasting_port()
    command = (program, "--bind", "127.0.0.1", "--port", str(port), "--save", "")
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603  # found on the path
        try:
            assert server.stdout is not None
            said = next((line for line in server.stdout if "eady to accept" in line), None)
            assert said is not None, f"redis-server does not start on port {port}"
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


def _names_a_test(code: str) -> bool:
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        for node in ast.parse(code).body
    )


def _compare(block: Block, printed: str) -> None:
    """Fail unless the page shows what was printed; `...` stands for anything."""
    wanted = block.output or ""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", printed)
    same = doctest.OutputChecker().check_output(wanted, plain, _LIKE)
    assert same, f"{block} prints\n{plain}\nand the page shows\n{wanted}"
