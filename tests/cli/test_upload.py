from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.cli.exits import Exit
from ccv2_async.clock import SystemClock

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran


def posts(sandbox: Sandbox) -> int:
    return len(sandbox.admin.requests("POST", "/library/files"))


def test_a_folder_is_uploaded_and_a_table_ends_the_run(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    picture("in/b.png")
    picture("in/a.jpg", b"x" * 2_000)
    picture("in/below/c.gif")
    picture("in/.hidden.png")
    picture("in/.git/d.png")
    ran = ccv2("upload", tmp_path / "in")
    assert ran.code == Exit.OK
    header, *rows = ran.out.splitlines()
    assert header.split() == ["file", "id", "size", "state", "url"]
    names = [row.split()[0] for row in rows]
    assert names == [str(tmp_path / "in" / name) for name in ("a.jpg", "b.png", "below/c.gif")]
    assert all(" Active " in row and "http://" in row for row in rows)
    assert "2.0 kB" in rows[0]
    assert "3 of 3 files Active" in ran.err
    assert {file["name"] for file in service.admin.files()} == {"a.jpg", "b.png", "c.gif"}


def test_without_a_terminal_each_state_change_is_a_line(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    service.admin.configure(mode="looks", looks=2)
    path = picture("a.png")
    ran = ccv2("upload", path)
    states = [line.removeprefix(f"{path}: ") for line in ran.err.splitlines()[:-1]]
    assert states == ["sending", "accepted", "Uploaded", "Processing", "Active"]


def test_json_output_is_one_object_per_line_and_nothing_else(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    good, bad, virus = picture("a.png"), picture("a.txt"), picture("virus.png")
    ran = ccv2("upload", good, bad, virus, "--json")
    assert ran.code == Exit.SOME_FAILED
    rows = {row["path"]: row for row in ran.rows}
    (stored,) = (file for file in service.admin.files() if file["name"] == "a.png")
    assert rows[str(good)]["id"] == stored["id"]
    assert rows[str(good)]["status"] == "Active"
    assert rows[str(good)]["url"].startswith("http://")
    assert rows[str(good)]["token"].startswith("ccv2p1.")
    assert "error" not in rows[str(good)]
    assert rows[str(bad)] == {
        "path": str(bad),
        "id": None,
        "status": None,
        "url": None,
        "error": rows[str(bad)]["error"],
    }
    assert "does not accept this type" in rows[str(bad)]["error"]
    assert rows[str(virus)]["status"] == "VirusFound"
    assert "virus" in rows[str(virus)]["error"]


def test_files_that_cannot_be_sent_are_reported_and_the_rest_are_uploaded(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    service.admin.configure(max_upload_size=1_000)
    good = picture("good.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "nothing").mkdir()
    expected = {
        tmp_path / "missing.png": "there is no such file",
        tmp_path / "nothing": "there are no files in this folder",
        picture("notes.txt"): "the library does not accept this type",
        picture("empty.png", b""): "it is empty",
        picture("large.png", b"x" * 1_001): "larger than the 1,000 bytes that the account",
        tmp_path / "pipe.png": "it is a named pipe, not a file",
        tmp_path / "loop.png": "its symbolic links form a loop",
        picture(f"{'n' * 77}.png"): "this name (it must have 1 to 80 characters)",
    }
    ran = ccv2("upload", *expected, good)
    assert ran.code == Exit.SOME_FAILED
    lines = ran.err.splitlines()
    for path, reason in expected.items():
        (line,) = [line for line in lines if line.startswith(f"{path}: not sent: ")]
        assert reason in line
    told_last = max(index for index, line in enumerate(lines) if ": not sent: " in line)
    sent_first = min(index for index, line in enumerate(lines) if line.startswith(f"{good}: "))
    assert told_last < sent_first
    assert [file["name"] for file in service.admin.files()] == ["good.png"]


def test_files_refused_for_the_same_reason_are_reported_in_one_line(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    service.admin.configure(max_upload_size=1_000)
    texts = [picture(f"{number}.txt") for number in range(7)]
    large = [picture(f"large{size}.png", b"x" * size) for size in (1_001, 1_002)]
    good = picture("good.png")
    ran = ccv2("upload", *texts, *large, good)
    assert ran.code == Exit.SOME_FAILED
    text, size = [line for line in ran.err.splitlines() if " not sent " in line]
    start = f"7 not sent ({texts[0]}, 1.txt, 2.txt, and 4 more): "
    assert text.startswith(f"{start}the library does not accept this type (")
    assert size.startswith(f"2 not sent ({large[0]}, {large[1].name}): it is larger than the 1,000")
    assert "9 refused before sending" in ran.err
    rows = ccv2("upload", *texts, "--json").rows
    assert [row["path"] for row in rows] == [str(path) for path in texts]


def test_no_request_is_made_if_no_file_can_be_sent(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path
) -> None:
    assert ccv2("upload", tmp_path / "missing.png").code == Exit.SOME_FAILED
    assert service.admin.requests() == []


def test_an_unreadable_folder_is_reported_and_the_rest_is_uploaded(
    ccv2: Callable[..., Ran],
    service: Sandbox,
    picture: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture("in/a.png")
    picture("in/shut/b.png")
    scan = os.scandir

    def refusing(path: Any) -> Any:  # a path, or a descriptor when the directory is removed
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    ran = ccv2("upload", tmp_path / "in")
    assert ran.code == Exit.SOME_FAILED
    assert (
        f"{tmp_path}/in/shut: not sent: this folder cannot be read (Permission denied)" in ran.err
    )
    assert posts(service) == 1


def test_a_file_that_is_named_twice_is_sent_once(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    path = picture("in/a.png")
    assert ccv2("upload", path, tmp_path / "in", path.parent / ".." / "in" / "a.png").code == 0
    assert posts(service) == 1


def test_folder_and_description_are_set_as_requested(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    assert ccv2("upload", picture("a.png"), "--folder", "-2", "--description", "Menu").code == 0
    (file,) = service.admin.files()
    assert (file["folder_id"], file["description"]) == ("-2", "Menu")


def test_an_unknown_folder_is_reported_before_anything_is_sent(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    ran = ccv2("upload", picture("a.png"), "--folder", "-99")
    assert ran.code == Exit.SOME_FAILED
    assert "folder -99" in ran.err
    assert posts(service) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--jobs", "0"), "--jobs"),
        (("--jobs", "101"), "--jobs"),
        (("--jobs", "many"), "jobs"),
        (("--rate", "fast"), "--rate"),
        (("--rate", "-1"), "0 means no limit"),
        (("--rate", "inf"), "--rate"),
        (("--description", "d" * 101), "--description"),
        (("--folder", "a b"), "--folder is 'a b': it must be an ID that the service returned."),
        (("--colour", "red"), "--colour"),
    ],
)
def test_an_invalid_option_is_a_usage_error_and_nothing_is_sent(
    ccv2: Callable[..., Ran],
    service: Sandbox,
    picture: Callable[..., Path],
    options: tuple[str, ...],
    said: str,
) -> None:
    ran = ccv2("upload", picture("a.png"), *options)
    assert ran.code == Exit.USAGE
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert service.admin.requests() == []


def test_a_missing_path_argument_is_a_usage_error(
    ccv2: Callable[..., Ran], service: Sandbox
) -> None:
    assert ccv2("upload").code == Exit.USAGE


def test_no_wait_prints_a_token_for_each_file_and_poll_accepts_them(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    ran = ccv2("upload", picture("a.png"), picture("b.png"), "--no-wait")
    assert ran.code == Exit.OK
    tokens = ran.out.split()
    assert len(tokens) == 2
    assert service.admin.requests("GET", "/library/files/uploadstatus/*") == []
    waited = ccv2("poll", *tokens, "--json")
    assert waited.code == Exit.OK
    assert [row["status"] for row in waited.rows] == ["Active", "Active"]


def test_jobs_limits_how_many_files_are_sent_at_once(
    start: Callable[..., subprocess.Popen[str]], service: Sandbox, picture: Callable[..., Path]
) -> None:
    service.admin.fault("hang", "POST", "/library/files", times=None)
    process = start("upload", *(picture(f"{n}.png") for n in range(9)), "--jobs", "3", "--no-wait")
    while posts(service) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert posts(service) == 3


def test_an_ambiguous_upload_outranks_other_failures(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    service.admin.configure(keep_content=0)  # what was stored cannot be compared with the file
    service.admin.fault("lose_response", "POST", "/library/files")
    lost, virus = picture("lost.png"), picture("virus.png")
    ran = ccv2("upload", lost, virus, "--jobs", "1", "--json")
    assert ran.code == Exit.AMBIGUOUS
    rows = {row["path"]: row for row in ran.rows}
    assert "Look there" in rows[str(lost)]["error"]
    assert rows[str(virus)]["status"] == "VirusFound"


def test_the_end_of_the_daily_quota_stops_the_rest_and_says_how_to_continue(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    service.admin.configure(per_day=3, mode="looks", looks=5)
    paths = [picture(f"{number}.png") for number in range(6)]
    ran = ccv2("upload", *paths, "--jobs", "1", "--json")
    assert ran.code == Exit.QUOTA
    assert len(ran.rows) == 6
    accepted = [row for row in ran.rows if "token" in row]
    assert 1 <= len(accepted) <= 2
    assert all("calls" in row["error"] for row in ran.rows)
    assert "ccv2p1." in ran.err
    assert posts(service) <= 3


def test_refused_credentials_end_the_run_with_one_sentence(
    ccv2: Callable[..., Ran],
    service: Sandbox,
    picture: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CCV2_ACCESS_TOKEN", "revoked-token")
    ran = ccv2("upload", picture("a.png"))
    assert ran.code == Exit.SOME_FAILED
    assert len(ran.err.splitlines()) == 1
    assert "revoked-token" not in ran.err


def test_missing_credentials_are_a_usage_error(
    ccv2: Callable[..., Ran], picture: Callable[..., Path]
) -> None:
    ran = ccv2("upload", picture("a.png"))
    assert ran.code == Exit.USAGE
    assert "CCV2_API_KEY" in ran.err


def test_the_embedded_sandbox_needs_no_credentials_and_has_no_quota(
    ccv2: Callable[..., Ran], picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCV2_RATE", "0.001")
    monkeypatch.setattr("ccv2_async.clock.SystemClock", SystemClock)
    ran = ccv2("upload", *(picture(f"{number}.png") for number in range(4)), "--sandbox")
    assert ran.code == Exit.OK
    assert ran.out.count("Active") == 4


def test_the_rate_option_also_paces_calls_to_the_embedded_sandbox(
    ccv2: Callable[..., Ran], picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ccv2_async.clock.SystemClock", SystemClock)
    assert ccv2("upload", picture("a.png"), "--sandbox", "--rate", "8").code == Exit.OK


def test_a_rate_of_zero_overrides_the_environment(
    ccv2: Callable[..., Ran],
    service: Sandbox,
    picture: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CCV2_RATE", "nonsense")
    assert ccv2("upload", picture("a.png")).code == Exit.USAGE
    monkeypatch.setenv("CCV2_RATE", "0.001")
    assert ccv2("upload", picture("a.png"), "--rate", "0").code == Exit.OK


def test_names_are_never_read_as_markup_or_escapes(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    ran = ccv2("upload", picture("[bold]x[-bold].png"), picture("\x1b[31mred\u202e.png"))
    assert "[bold]x[-bold].png" in ran.out
    assert "\\x1b[31mred\\u202e.png" in ran.err
    assert "\x1b" not in ran.err + ran.out


def test_an_attempt_that_starts_over_says_so(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    service.admin.fault("reset", "POST", "/library/files", after_bytes=1)
    path = picture("a.png", PNG_LARGE)
    ran = ccv2("upload", path)
    assert ran.code == Exit.OK
    assert f"{path}: retrying" in ran.err


def test_library_warnings_are_printed_as_messages(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    assert ccv2("upload", picture("first.png")).code == Exit.OK
    service.admin.configure(mode="looks", looks=2)
    next_id = int(service.admin.files()[0]["id"]) + 1
    service.admin.fault(
        "answer",
        "GET",
        "/library/files/uploadstatus/*",
        status=200,
        headers={"content-type": "application/json"},
        body=f'[{{"file_id": "{next_id}", "status": "Reticulating", "description": ""}}]',
    )
    ran = ccv2("upload", picture("a.png"))
    assert ran.code == Exit.OK
    assert "'Reticulating', which this version does not know" in ran.err


def test_the_urls_of_many_files_cost_few_requests(
    ccv2: Callable[..., Ran],
    service: Sandbox,
    picture: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ccv2_async.cli.upload._SECONDS", 0.05)
    paths = [picture(f"{number}.png") for number in range(60)]
    ran = ccv2("upload", *paths, picture("virus.png"), "--json", "--jobs", "100")
    assert ran.code == Exit.SOME_FAILED
    ids = {file["id"]: file["name"] for file in service.admin.files()}
    rows = [row for row in ran.rows if row["status"] == "Active"]
    assert len(rows) == 60
    for row in rows:
        assert row["url"].endswith(f"/content/1/{row['id']}.png")
        assert row["path"].endswith(f"/{ids[row['id']]}")
    asked = service.admin.requests("GET", "/library/files/[0-9]*")
    listed = service.admin.requests("GET", "/library/files")
    assert len(asked) + len(listed) <= 20


def test_a_url_missing_from_the_listing_is_requested_separately(
    ccv2: Callable[..., Ran],
    service: Sandbox,
    picture: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ccv2_async.cli.upload._SECONDS", 0.0)
    service.admin.fault("inactive", "GET", "/library/files", times=None)
    paths = [picture(f"{number}.png") for number in range(30)]
    ran = ccv2("upload", *paths, "--json", "--jobs", "100")
    assert ran.code == Exit.OK
    assert all(row["url"] for row in ran.rows)
    assert len(service.admin.requests("GET", "/library/files/[0-9]*")) == 30


PNG_LARGE = b"\x89PNG\r\n\x1a\n" + bytes(3_000_000)


def test_a_second_copy_is_reported_and_can_be_skipped(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    logo = picture("logo.png")
    assert "stored as" not in ccv2("upload", logo).err
    again = ccv2("upload", logo)
    assert f"{logo}: stored as logo(1).png" in again.err
    assert "--skip-existing" in again.err
    skipped = ccv2("upload", logo, "--skip-existing")
    assert skipped.code == Exit.OK
    assert "1 of 1 file Active, 1 of them already there" in skipped.err
    (row,) = ccv2("upload", logo, "--skip-existing", "--json").rows
    assert (row["existing"], row["status"]) == (True, "Active")
    assert (
        "1 file: nothing, the folder has it already"
        in ccv2("upload", logo, "--skip-existing", "--dry-run").err
    )
    assert len(service.admin.files()) == 2
