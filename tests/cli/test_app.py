from __future__ import annotations

import io
import json
import signal
import socket
from typing import TYPE_CHECKING

import httpx
import pytest

from ccv2_async.cli import service as client_options
from ccv2_async.cli.exits import Exit

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran


COMMANDS = (
    "account",
    "activities",
    "campaigns",
    "contacts",
    "files",
    "folders",
    "journal",
    "lists",
    "poll",
    "sandbox",
    "upload",
)


def test_running_without_a_command_shows_help_for_all_commands(ccv2: Callable[..., Ran]) -> None:
    ran = ccv2()
    assert ran.code == Exit.OK
    for name in COMMANDS:
        assert name in ran.out
    assert "CCV2_ACCESS_TOKEN" in ran.out
    assert "3 ambiguous" in ran.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_no_option_for_credentials(
    ccv2: Callable[..., Ran], name: str
) -> None:
    ran = ccv2(name, "--help")
    assert ran.code == Exit.OK
    assert f"Usage: ccv2 {name}" in ran.out
    assert "--api-key" not in ran.out
    assert "--access-token" not in ran.out


def test_an_unknown_command_is_a_usage_error(ccv2: Callable[..., Ran]) -> None:
    ran = ccv2("uplaod")
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "uplaod" in ran.err


def test_an_extra_argument_is_named(ccv2: Callable[..., Ran]) -> None:
    ran = ccv2("lists", "7")
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "Too many arguments: 7" in ran.err


def test_files_are_listed_with_name_size_state_and_url(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    ccv2("upload", picture("small.png", b"s" * 10), picture("big.pdf", b"b" * 2_000))
    ran = ccv2("files", "--sort", "size-desc")
    assert ran.code == Exit.OK
    header, big, small = ran.out.splitlines()
    assert header.split() == ["id", "name", "size", "state", "created", "url"]
    assert big.split()[1:5] == ["big.pdf", "2.0", "kB", "Active"]
    assert small.split()[1:5] == ["small.png", "10", "B", "Active"]
    assert ran.err == "2 files.\n"


def test_json_output_of_files_uses_the_api_field_names(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    ccv2("upload", picture("a.png"))
    (row,) = ccv2("files", "--json").rows
    assert (row["name"], row["file_type"], row["is_image"]) == ("a.png", "PNG", True)
    assert {"folder", "created_date", "modified_date", "thumbnail"} <= set(row)


def test_a_listing_is_narrowed_by_type_folder_and_limit(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    ccv2("upload", picture("a.png"), picture("b.pdf"), "--folder", "-1")
    ccv2("upload", picture("c.png"))

    def names(*options: str) -> list[str]:
        return [row["name"] for row in ccv2("files", "--sort", "name", *options, "--json").rows]

    assert names() == ["a.png", "b.pdf", "c.png"]
    assert names("--type", "documents") == ["b.pdf"]
    assert names("--folder", "-1", "--type", "images") == ["a.png"]
    assert names("--limit", "2") == ["a.png", "b.pdf"]
    (_, _, last) = service.admin.requests("GET", "/library/files")[-3:]
    assert dict(httpx.QueryParams(last.query)).get("limit") == "2"


def test_an_empty_library_is_reported_as_empty(ccv2: Callable[..., Ran], service: Sandbox) -> None:
    ran = ccv2("files")
    assert (ran.code, ran.out, ran.err) == (Exit.OK, "", "0 files.\n")


@pytest.mark.parametrize("options", [("--limit", "0"), ("--type", "films"), ("--sort", "colour")])
def test_invalid_listing_options_are_a_usage_error(
    ccv2: Callable[..., Ran], service: Sandbox, options: tuple[str, str]
) -> None:
    ran = ccv2("files", *options)
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert service.admin.requests() == []


def test_names_from_the_service_cannot_control_the_terminal(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    ccv2("upload", picture("a.png"))
    (stored,) = service._world.library.files.values()
    stored.name = "\x1b]0;owned\x07[red]x\u202egnp.png"
    shown = ccv2("files").out
    assert "\\x1b]0;owned\\x07[red]x\\u202egnp.png" in shown
    assert "\x1b" not in shown
    assert ccv2("files", "--json").rows[0]["name"] == stored.name


def test_folders_are_shown_as_a_tree_with_ids(ccv2: Callable[..., Ran], service: Sandbox) -> None:
    options = service.client_options()
    with httpx.Client(
        base_url=f"{options['base_url']}/",
        params={"api_key": options["api_key"]},
        headers={"authorization": f"Bearer {options['access_token']}"},
        trust_env=False,
    ) as api:
        top = api.post("library/folders", json={"name": "Spring"}).json()["id"]
        below = api.post("library/folders", json={"name": "Menu", "parent_id": top}).json()["id"]
    ran = ccv2("folders")
    assert ran.code == Exit.OK
    lines = ran.out.splitlines()
    assert lines[0] == "library"
    assert any(line.endswith(f" Spring  {top}  0 files") for line in lines)
    (inner,) = [line for line in lines if "Menu" in line]
    assert inner.endswith(f"Menu  {below}  0 files")
    assert inner.index("Menu") > next(line for line in lines if "Spring" in line).index("Spring")
    rows = {row["name"]: row for row in ccv2("folders", "--json").rows}
    assert rows["Spring"]["children"][0]["name"] == "Menu"


def test_poll_reports_every_job_and_every_unusable_token(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    service.admin.configure(mode="looks", looks=2)
    tokens = ccv2("upload", picture("a.png"), picture("fail.png"), "--no-wait").out.split()
    ran = ccv2("poll", *tokens, tokens[0], "ccv2p1.nonsense")
    assert ran.code == Exit.SOME_FAILED
    states = sorted(line.split()[2] for line in ran.out.splitlines()[1:])
    assert states == ["Active", "Failed"]
    assert "ccv2p1.nonsense: " in ran.err
    rows = ccv2("poll", *tokens, "ccv2p1.nonsense", "--json").rows
    assert len(rows) == 3
    assert {row["status"] for row in rows} == {"Active", "Failed", None}
    assert [row["token"] for row in rows if row["status"] is None] == ["ccv2p1.nonsense"]


def test_poll_checks_many_jobs_in_one_request(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    paths = [picture(f"{number}.png") for number in range(30)]
    tokens = ccv2("upload", *paths, "--no-wait").out.split()
    assert ccv2("poll", *tokens).code == Exit.OK
    assert len(service.admin.requests("GET", "/library/files/uploadstatus/*")) == 1


def test_poll_without_a_usable_token_says_so(ccv2: Callable[..., Ran], service: Sandbox) -> None:
    ran = ccv2("poll", "nonsense")
    assert (ran.code, ran.out) == (Exit.SOME_FAILED, "")


def test_a_token_from_other_credentials_is_refused(
    ccv2: Callable[..., Ran],
    service: Sandbox,
    picture: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (token,) = ccv2("upload", picture("a.png"), "--no-wait").out.split()
    monkeypatch.setenv("CCV2_API_KEY", "another-key")
    ran = ccv2("poll", token)
    assert ran.code == Exit.SOME_FAILED
    assert "belongs to other credentials" in ran.err


def test_an_unreachable_service_is_reported_in_one_sentence(
    ccv2: Callable[..., Ran], service: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    monkeypatch.setenv("CCV2_BASE_URL", f"http://127.0.0.1:{port}/v2")
    ran = ccv2("folders")
    assert (ran.code, ran.out) == (Exit.SOME_FAILED, "")
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_sandbox_serves_until_it_is_stopped(
    start: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    process = start("sandbox", "--port", "0", "--speed", "100", "--json")
    assert process.stdout is not None
    options = json.loads(process.stdout.readline())
    answer = httpx.get(
        f"{options['base_url']}/library/info",
        params={"api_key": options["api_key"]},
        headers={"authorization": f"Bearer {options['access_token']}"},
        trust_env=False,
    )
    assert answer.status_code == 200
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == Exit.OK


def test_the_sandbox_command_can_retire_groups(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    process = start("sandbox", "--port", "0", "--retire", "events", "--retire", "library", "--json")
    assert process.stdout is not None
    options = json.loads(process.stdout.readline())
    for path, status in (("eventspot/events", 400), ("library/info", 400), ("lists", 200)):
        answer = httpx.get(
            f"{options['base_url']}/{path}",
            params={"api_key": options["api_key"]},
            headers={"authorization": f"Bearer {options['access_token']}"},
            trust_env=False,
        )
        assert answer.status_code == status
        assert ("http.status.gone" in answer.text) == (status == 400)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


@pytest.mark.parametrize(("seed", "contacts"), [("demo", 120), ("7", 0)])
def test_the_sandbox_command_can_start_with_data(
    start: Callable[..., subprocess.Popen[str]], seed: str, contacts: int
) -> None:
    process = start("sandbox", "--port", "0", "--seed", seed, "--json")
    assert process.stdout is not None
    origin = json.loads(process.stdout.readline())["base_url"].removesuffix("/v2")
    state = httpx.get(f"{origin}/__sandbox__/state", trust_env=False).json()
    assert state["contacts"] == contacts
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


def test_the_sandbox_command_keeps_its_state_even_when_it_is_killed(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    path, known = tmp_path / "account.json", 0
    for number in (signal.SIGKILL, signal.SIGINT):
        process = start("sandbox", "--port", "0", "--state", path, "--seed", "demo", "--json")
        assert process.stdout is not None
        origin = json.loads(process.stdout.readline())["base_url"].removesuffix("/v2")
        with httpx.Client(base_url=f"{origin}/__sandbox__", trust_env=False) as client:
            assert client.get("/state").json()["contacts"] >= max(120, known)
            written = path.read_bytes()
            for round_ in range(1, 2000):
                client.post("/contacts", json={"count": known + round_})
                if path.read_bytes() != written:
                    break
        known = len(json.loads(path.read_text())["contacts"]["contacts"])
        assert known > 120
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == Exit.OK
    assert f"Its data is in {path}." in err


@pytest.mark.parametrize("option", ["--state", "--seed"])
@pytest.mark.parametrize("text", ["{", '{"ccv2_sandbox_state": 9}', "[]"])
def test_a_broken_or_newer_state_is_a_usage_error(
    ccv2: Callable[..., Ran], tmp_path: Path, option: str, text: str
) -> None:
    path = tmp_path / "account.json"
    path.write_text(text)
    ran = ccv2("sandbox", "--port", "0", option, path)
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert f"{path} cannot be used: " in ran.err
    assert len(ran.err.splitlines()) == 1
    assert path.read_text() == text


def test_a_state_in_a_directory_that_does_not_exist_is_a_usage_error(
    ccv2: Callable[..., Ran], tmp_path: Path
) -> None:
    for path in (tmp_path / "nowhere" / "account.json", tmp_path):
        ran = ccv2("sandbox", "--port", "0", "--state", path)
        assert (ran.code, ran.out) == (Exit.USAGE, "")
        assert str(path.parent) in ran.err
        assert len(ran.err.splitlines()) == 1


def test_the_sandbox_warns_of_every_host_but_this_machine(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    for host, warned in (("127.0.0.1", False), ("0.0.0.0", True)):  # noqa: S104  # the point
        process = start("sandbox", "--port", "0", "--host", host, "--latency", "0.001-0.002")
        assert process.stdout is not None
        assert process.stdout.readline().startswith("export CCV2_BASE_URL=http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert ("Warning: the sandbox listens on 0.0.0.0." in err) == warned


def test_the_output_of_the_sandbox_command_is_valid_shell(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    process = start("sandbox", "--port", "0")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert [line.partition("=")[0] for line in lines] == [
        "export CCV2_BASE_URL",
        "export CCV2_API_KEY",
        "export CCV2_ACCESS_TOKEN",
        "export CCV2_TRUST_ENV",
    ]
    assert "/openapi.json" in err
    assert f"Web page: {lines[0].strip().partition('=')[2].removesuffix('v2')}" in err


def test_the_sandbox_command_opens_its_page(
    start: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "$1" > "$0.asked"\n')
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    process = start("sandbox", "--port", "0", "--open", "--json")
    assert process.stdout is not None
    origin = json.loads(process.stdout.readline())["base_url"].removesuffix("/v2")
    assert "<h1>All files</h1>" in httpx.get(f"{origin}/", trust_env=False).text
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert (tmp_path / "browser.asked").read_text() == f"{origin}/\n"


def test_a_port_in_use_is_a_usage_error(ccv2: Callable[..., Ran]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = ccv2("sandbox", "--port", taken.getsockname()[1])
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "--port" in ran.err


@pytest.mark.parametrize(
    "options",
    [
        ("--port", "70000"),
        ("--speed", "0"),
        ("--speed", "nan"),
        ("--speed", "inf"),
        ("--retire", "event"),
        ("--seed", "dmeo"),
        ("--latency", "-1"),
        ("--latency", "0.5-0.1"),
        ("--latency", "nan"),
        ("--latency", "0.1-inf"),
        ("--content-port", "70000"),
        ("--host", "no-such-host.invalid"),
    ],
)
def test_invalid_sandbox_options_are_a_usage_error(
    ccv2: Callable[..., Ran], options: tuple[str, str]
) -> None:
    ran = ccv2("sandbox", *options)
    assert ran.code == Exit.USAGE
    if options[0] == "--latency":
        assert "use seconds, or a range such as 0.1-0.5" in ran.err


def test_poll_accepts_the_output_of_an_interrupted_command(
    ccv2: Callable[..., Ran],
    service: Sandbox,
    picture: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens = ccv2("upload", picture("a.png"), picture("b.png"), "--no-wait").out.split()
    pasted = f"  {tokens[0]}  photos/a.png\n\n{tokens[1]}\n{tokens[0]}  again\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(pasted))
    ran = ccv2("poll")
    assert ran.code == Exit.OK
    assert "photos/a.png" in ran.out
    assert len(ran.out.splitlines()) == 3
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert ccv2("poll").code == Exit.USAGE


@pytest.mark.parametrize(
    "words", [("--", "{id}", "--yes"), ("{id}", "--yes"), ("--yes", "--", "{id}")]
)
def test_a_folder_with_a_negative_id_can_be_deleted(
    ccv2: Callable[..., Ran], service: Sandbox, words: tuple[str, ...]
) -> None:
    folder = ccv2("folders", "create", "menus").out.strip()
    assert folder.startswith("-")
    ran = ccv2("folders", "delete", *(word.format(id=folder) for word in words))
    assert ran.code == Exit.OK, ran.err
    assert "Deleted the folder" in ran.err


def test_a_slow_service_is_reported_while_the_command_waits(
    ccv2: Callable[..., Ran], service: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_options, "SLOW_ANSWER", 0.05)
    service.admin.fault("delay_response", "GET", "/lists", seconds=0.5)
    ran = ccv2("lists")
    assert ran.code == Exit.OK
    assert "the service has not answered for 0.05 s; still waiting" in ran.err
