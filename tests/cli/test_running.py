"""Runs that end early: signals, closed streams, and missing extras."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from ccv2_async.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran


def read_until(process: subprocess.Popen[str], wanted: str, *, times: int = 1) -> str:
    """Return the stderr of the process up to the line that contains `wanted`."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if said.count(wanted) >= times:
            return said
    raise AssertionError(f"it ended without saying {wanted!r}: {said}")


def python(code: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603  # our own
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.TERMINATED)]
)
def test_a_signal_ends_an_upload_and_prints_usable_tokens(  # noqa: PLR0917  # fixtures
    start: Callable[..., subprocess.Popen[str]],
    ccv2: Callable[..., Ran],
    service: Sandbox,
    picture: Callable[..., Path],
    number: signal.Signals,
    code: Exit,
) -> None:
    # Three files through one place: an accepted file leaves it to the next.
    paths = [picture(f"stuck{number}.png") for number in range(3)]
    process = start("upload", *paths, "--jobs", "1", "--json")
    read_until(process, ": Uploaded", times=3)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Traceback" not in err
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["path"] for row in rows] == [str(path) for path in paths]
    assert all(row["status"] == "Uploaded" and row["token"] in err for row in rows)
    for file in service.admin.files():
        service.admin.set_status(file["id"], "Active")
    # The tokens are made again at the end, so it is the printed ones that are tried.
    waited = ccv2("poll", *(row["token"] for row in rows), "--json")
    assert waited.code == Exit.OK
    assert {row["id"] for row in waited.rows} == {row["id"] for row in rows}


def test_an_interrupted_file_without_a_response_may_have_arrived(
    start: Callable[..., subprocess.Popen[str]],
    service: Sandbox,
    picture: Callable[..., Path],
) -> None:
    service.admin.fault("hang", "POST", "/library/files", times=None)
    asked, waiting = picture("asked.png"), picture("waiting.png")
    process = start("upload", asked, waiting, "--jobs", "1", "--json")
    read_until(process, f"{asked}: sending")
    while not service.admin.requests("POST", "/library/files"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert "It may have arrived" in err
    assert "0 of 2 files Active" in err
    rows = {row["path"]: row for row in map(json.loads, out.splitlines())}
    assert "It may have arrived" in rows[str(asked)]["error"]
    assert rows[str(waiting)]["error"] == "Interrupted: not sent."


def test_poll_can_be_interrupted_and_prints_the_tokens_again(
    start: Callable[..., subprocess.Popen[str]], service: Sandbox, picture: Callable[..., Path]
) -> None:
    out, _ = start("upload", picture("stuck.png"), "--no-wait").communicate(timeout=20)
    (token,) = out.split()
    process = start("poll", token, "--json")
    read_until(process, ": Uploaded")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert json.loads(out)["token"] in err


def test_jobs_in_the_embedded_sandbox_are_not_reported_as_continuing(
    start: Callable[..., subprocess.Popen[str]], picture: Callable[..., Path]
) -> None:
    process = start("upload", picture("stuck.png"), "--sandbox")
    read_until(process, ": Uploaded")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert "The sandbox has stopped, so 1 job will not finish" in err
    assert "Uploaded" in out


def test_an_early_interrupt_prints_one_sentence(
    ccv2: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, picture: Callable[..., Path]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ccv2_async.cli.service.run", interrupted)
    ran = ccv2("upload", picture("a.png"))
    assert ran.code == Exit.INTERRUPTED
    assert ran.err == "Interrupted; nothing was sent.\n"


STUBBORN = """
    import asyncio, sys
    from ccv2_async.cli import running
    from ccv2_async.cli.output import Output

    running._PATIENCE = {patience}

    async def stubborn():
        print("ready", file=sys.stderr, flush=True)
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                print("no", file=sys.stderr, flush=True)

    sys.exit(running.run(stubborn, Output()))
"""


def test_a_second_signal_ends_a_run_that_does_not_close() -> None:
    with python(STUBBORN.format(patience=600)) as process:
        read_until(process, "ready")
        process.send_signal(signal.SIGINT)
        read_until(process, "no")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == Exit.INTERRUPTED


def test_closing_after_a_signal_has_a_time_limit() -> None:
    with python(STUBBORN.format(patience=0.05)) as process:
        read_until(process, "ready")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == Exit.TERMINATED


@pytest.mark.parametrize(
    ("patience", "report", "signals"), [(0.05, 600, 1), (600, 0.05, 2)], ids=["first", "second"]
)
def test_a_signal_ends_a_run_whose_output_nobody_reads(
    patience: float, report: float, signals: int
) -> None:
    code = f"""
        import asyncio, sys
        from ccv2_async.cli import running
        from ccv2_async.cli.output import Output

        running._PATIENCE, running._REPORT = {patience}, {report}

        async def talkative():
            output = Output()
            print("ready", file=sys.stderr, flush=True)
            while True:
                output.line("x" * 1000)

        sys.exit(running.run(talkative, Output()))
    """
    with python(code) as process:
        read_until(process, "ready")
        assert process.stdout is not None
        process.stdout.read(1)  # by now it is writing
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)  # the system may join two signals that wait into one
        assert process.wait(timeout=20) == Exit.TERMINATED
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_cancellation_without_a_signal_is_not_hidden() -> None:
    from ccv2_async.cli.output import Output
    from ccv2_async.cli.running import run

    async def cancelled() -> Exit:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(cancelled, Output())


def test_an_os_error_is_reported_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    from ccv2_async.cli.output import Output
    from ccv2_async.cli.running import run

    async def refused() -> Exit:
        raise OSError(28, "No space left on device")

    assert run(refused, Output()) is Exit.SOME_FAILED
    assert "No space left on device" in capsys.readouterr().err


def test_a_command_runs_in_a_thread_that_cannot_handle_signals(
    ccv2: Callable[..., Ran], service: Sandbox
) -> None:
    async def in_a_thread() -> Ran:
        return await asyncio.to_thread(ccv2, "files")

    assert asyncio.run(in_a_thread()).code == Exit.OK


@pytest.mark.parametrize("arguments", [("files",), ("files", "--json"), ("--help",)])
def test_a_closed_stdout_ends_the_command_quietly(
    start: Callable[..., subprocess.Popen[str]],
    ccv2: Callable[..., Ran],
    service: Sandbox,
    picture: Callable[..., Path],
    arguments: tuple[str, ...],
) -> None:
    assert ccv2("upload", picture("a.png")).code == Exit.OK
    reading, writing = os.pipe()
    os.close(reading)
    process = start(*arguments, stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=20)
    assert process.returncode == Exit.CLOSED
    assert err.strip() == ""


def test_a_closed_stdout_stops_an_upload_and_prints_its_tokens_on_stderr(
    start: Callable[..., subprocess.Popen[str]], service: Sandbox, picture: Callable[..., Path]
) -> None:
    stuck, bad = picture("stuck.png"), picture("virus.png")
    reading, writing = os.pipe()
    os.close(reading)
    process = start("upload", stuck, bad, "--json", stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=20)
    assert process.returncode == Exit.CLOSED
    assert "ccv2p1." in err
    assert "Traceback" not in err


def test_without_the_extra_one_sentence_says_what_to_install() -> None:
    with python(
        "import sys; sys.modules['cyclopts'] = None\n"
        "from ccv2_async.cli import main; sys.exit(main([]))"
    ) as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (Exit.USAGE, "")
    assert "pip install 'ccv2-async[cli]'" in err
    assert len(err.splitlines()) == 1


def test_without_the_sandbox_extra_one_sentence_says_what_to_install() -> None:
    with python(
        "import sys; sys.modules['starlette'] = None\n"
        "from ccv2_async.cli import main; sys.exit(main(['folders', '--sandbox']))"
    ) as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (Exit.USAGE, "")
    assert "pip install 'ccv2-async[sandbox]'" in err
    assert len(err.splitlines()) == 1


def test_another_missing_module_is_not_blamed_on_the_extra() -> None:
    with python(
        "import sys; sys.modules['httpx'] = None\n"
        "from ccv2_async.cli import main; sys.exit(main([]))"
    ) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "import of httpx halted" in err
    assert "pip install" not in err


def test_the_command_can_be_started_as_a_module(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    out, _ = start("--version").communicate(timeout=20)
    assert out.strip()[0].isdigit()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupted_import_prints_tokens_and_no_traceback(
    start: Callable[..., subprocess.Popen[str]],
    service: Sandbox,
    tmp_path: Path,
    number: signal.Signals,
    times: int,
) -> None:
    service.admin.configure(mode="looks", looks=1_000_000)
    file = tmp_path / "contacts.csv"
    file.write_text("Email Address\nann@example.com\n")
    process = start("contacts", "import", file, "--list", "1")
    read_until(process, ": accepted")
    for _ in range(times):
        process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert "ccv2p1." in err


def test_a_signal_during_start_prints_one_sentence() -> None:
    code = """
        import os, signal, sys
        class Interrupts:
            def find_spec(self, name, path=None, target=None):
                if name == "ccv2_async.cli.app":
                    os.kill(os.getpid(), signal.SIGINT)
        sys.meta_path.insert(0, Interrupts())
        from ccv2_async.cli import main
        sys.argv[1:] = ["files"]
        sys.exit(main())
    """
    with python(code) as process:
        _, err = process.communicate(timeout=20)
        assert process.returncode == Exit.INTERRUPTED
        assert err == "Interrupted; nothing was sent.\n"


def test_a_signal_after_the_report_does_not_change_it() -> None:
    code = """
        import os, signal, sys
        from ccv2_async import cli
        real = cli._run
        def run(arguments):
            real(arguments)
            return 3
        cli._run = run
        sys.argv[1:] = ["--version"]
        code = cli.main()
        os.kill(os.getpid(), signal.SIGINT)
        raise SystemExit("not reached")
    """
    with python(code) as process:
        _, err = process.communicate(timeout=20)
        assert process.returncode == Exit.AMBIGUOUS
        assert err == ""
