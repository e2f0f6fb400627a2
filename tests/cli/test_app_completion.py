"""`ccv2 --install-completion`: the Tab key completes commands, options, values, and files."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ccv2_async.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran

TRY = """
. "$HOME/.bashrc"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_ccv2
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ZSH_VERSION", "BASH_VERSION", "FISH_VERSION", "ZSH_CUSTOM", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_bash_completes_commands_options_values_and_files(
    ccv2: Callable[..., Ran], home: Path
) -> None:
    (home / ".bashrc").write_text("# mine\n")
    ran = ccv2("--install-completion", "--shell", "bash")
    assert (ran.code, ran.out) == (Exit.OK, "")
    script = home / ".local/share/bash-completion/completions/ccv2"
    assert ran.err == f"Shell completion is installed in {script}. Start a new shell to use it.\n"
    ccv2("--install-completion", "--shell", "bash")
    lines = (home / ".bashrc").read_text().splitlines()
    assert lines[0] == "# mine"
    assert len([line for line in lines if str(script) in line]) == 1
    (home / "menu.pdf").touch()

    def completed(*words: str) -> list[str]:
        command = ["bash", "-c", TRY, "bash", "ccv2", *words]
        env = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)  # noqa: S603  # our own
        return done.stdout.split()

    assert completed("camp") == ["campaigns"]
    assert {"list", "show", "report", "schedule"} <= set(completed("campaigns", ""))
    assert {"--at", "--now", "--profile"} <= set(completed("campaigns", "schedule", "--"))
    assert completed("campaigns", "--status", "sen") == ["sent"]
    assert completed("upload", str(home / "men")) == [str(home / "menu.pdf")]
    assert completed("files", "get", "--to", str(home / "men")) == [str(home / "menu.pdf")]


@pytest.mark.parametrize(
    ("shell", "script"),
    [("zsh", ".zsh/completions/_cyclopts_ccv2"), ("fish", ".config/fish/completions/ccv2.fish")],
)
def test_other_shells_get_a_script(
    ccv2: Callable[..., Ran], home: Path, shell: str, script: str
) -> None:
    assert ccv2("--install-completion", "--shell", shell).code == Exit.OK
    assert "send-test" in (home / script).read_text()


def test_an_unknown_shell_is_asked_for(
    ccv2: Callable[..., Ran], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("SHELL", "/bin/ksh")
    ran = ccv2("--install-completion")
    assert (ran.code, ran.err) == (
        Exit.USAGE,
        "Your shell could not be detected. Pass it with --shell.\n",
    )
    assert "--shell" in ccv2("--install-completion", "--shell", "ksh").err


def test_a_home_that_cannot_be_written_is_reported(ccv2: Callable[..., Ran], home: Path) -> None:
    (home / ".local").write_text("")
    ran = ccv2("--install-completion", "--shell", "bash")
    assert (ran.code, ran.out) == (Exit.SOME_FAILED, "")
    assert "Shell completion was not installed: " in ran.err
