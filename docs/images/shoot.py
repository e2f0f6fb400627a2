"""Take the pictures of the terminal in this directory, from real runs against the sandbox.

`python docs/images/shoot.py` takes all of them, and arguments select single ones. It needs tmux,
and the package with its extras `cli` and `sandbox`.
"""

# ruff: noqa: INP001, S603, T201  # a script that runs tmux and prints what it does

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from ccv2_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WIDTH, HEIGHT = 100, 30
PATIENCE = 60.0
SEASONS = ("autumn", "spring", "summer", "winter")

# The picture does not load a font: every viewer has one of these.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "font-family: Fira Code, monospace",
    "font-family: Fira Code, DejaVu Sans Mono, Menlo, Consolas, monospace",
)


class Terminal:
    """A hidden terminal of a fixed size, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._tmux = ["tmux", "-L", f"shoot-{os.getpid()}", "-f", "/dev/null"]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
        shell = ["env", f"PATH={path}", "PS1=$ ", "TERM=tmux-256color", "sh"]
        self._do("new-session", "-d", *size, "-c", str(folder), *shell)

    def _do(self, *arguments: str) -> str:
        return subprocess.run(
            [*self._tmux, *arguments], check=True, capture_output=True, text=True
        ).stdout

    def run(self, command: str) -> None:
        """Type a command."""
        self._do("send-keys", command, "Enter")

    def screen(self) -> str:
        """Return the screen with its colors."""
        return self._do("capture-pane", "-e", "-p").rstrip()

    def wait(self, ready: Callable[[str], bool]) -> str:
        """Wait until the screen meets a condition, and return it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            screen = self.screen()
            if ready(Text.from_ansi(screen).plain):
                return screen
            time.sleep(0.03)
        raise SystemExit(f"It never came to that:\n{self.screen()}")

    def close(self) -> None:
        """End it and everything that runs in it."""
        self._do("kill-server")


@contextmanager
def terminal(folder: Path) -> Iterator[Terminal]:
    """Open a terminal for the duration of the block."""
    made = Terminal(folder)
    try:
        made.wait(lambda screen: screen.strip() == "$")
        yield made
    finally:
        made.close()


def draw(screen: str, name: str, title: str) -> None:
    """Write the screen as a picture."""
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(screen), no_wrap=True, overflow="crop")
    path = HERE / f"{name}.svg"
    path.write_text(console.export_svg(title=title, code_format=FORMAT, unique_id=name))
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def upload() -> None:
    """Draw an upload of the sample files, some of which are Active."""
    command = "ccv2 upload examples/files --sandbox"
    with terminal(ROOT) as shell:
        shell.run(command)
        screen = shell.wait(lambda text: bool(re.search(r"\b[2-5] of 6 done", text)))
    draw(screen, "upload", command)


def bulk() -> None:
    """Draw an upload of five hundred files under a quota, half of them done."""
    command = "ccv2 upload pictures --tree --journal upload.db --rate 20 --sandbox"
    with tempfile.TemporaryDirectory() as folder:
        pictures(Path(folder) / "pictures", 500)
        with terminal(Path(folder)) as shell:
            shell.run(command)
            screen = shell.wait(lambda text: bool(re.search(r"\b2[4-9]\d of 500 done", text)))
    draw(screen, "bulk", command)


def pictures(folder: Path, count: int) -> None:
    """Write pictures into a folder for each season."""
    samples = sorted((ROOT / "examples" / "files").glob("*.[pg][ni][gf]"))
    for number in range(count):
        sample = samples[number % len(samples)]
        below = folder / SEASONS[number * len(SEASONS) // count]
        below.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sample, below / f"{sample.stem}-{number:03}{sample.suffix}")


def backup() -> None:
    """Draw a backup of the demo account, and its verification."""
    command = "ccv2 backup bakery"
    with tempfile.TemporaryDirectory() as folder, Sandbox(seed="demo") as sandbox:
        options = sandbox.client_options()
        os.environ |= {
            "CCV2_BASE_URL": options["base_url"],
            "CCV2_API_KEY": options["api_key"],
            "CCV2_ACCESS_TOKEN": options["access_token"],
            "CCV2_TRUST_ENV": "0",
            "CCV2_REMEMBER_CALLS": "0",
        }
        with terminal(Path(folder)) as shell:
            shell.run(f"{command} && ccv2 backup verify bakery && ccv2 backup show bakery")
            screen = shell.wait(lambda text: text.rstrip().endswith("$"))
    draw(screen, "backup", command)


SHOTS = {"upload": upload, "bulk": bulk, "backup": backup}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or SHOTS:
        SHOTS[wanted]()
