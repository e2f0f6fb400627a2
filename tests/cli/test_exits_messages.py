"""Errors of the command name what the user typed, not arguments of Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ccv2_async.cli.exits import message_of
from ccv2_async.errors import FileRefused, InvalidField, MissingCredentials
from ccv2_async.transport.calls.credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran

WORDS_OF_PYTHON = ("api_key=", "access_token=", "file_type", "folder_id", "base_url", "proxy=")


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        (["account"], "No API key: set CCV2_API_KEY (or try --sandbox)."),
        (["upload", "{file}", "--folder", "a b", "--sandbox"], "--folder is 'a b': "),
        (["upload", "{file}", "--description", "x" * 101, "--sandbox"], "--description is 'xx"),
        (
            ["upload", "{file}.exe", "--sandbox"],
            "{file}.exe: not sent: the library does not accept",
        ),
        (["files", "--folder", "a b", "--sandbox"], "--folder is 'a b': "),
        (["files", "move", "1", "--to", "", "--sandbox"], "--to is '': "),
        (["folders", "create", "x" * 41, "--sandbox"], "NAME is 'xx"),
        (["folders", "rename", "a b", "new", "--sandbox"], "FOLDER is 'a b': "),
        (["contacts", "import", "{file}", "--list", "a b", "--sandbox"], "--list is 'a b': "),
        (["contacts", "export", "--to", "{file}", "--list", "1", "--columns", "x", "--sandbox"],
         "--columns is 'x': "),
        (["contacts", "export", "--to", "{file}", "--list", "1", "--columns", "City", "State",
          "--sandbox"], "--columns is City, State: "),
        (["files", "move", "1", "--to", "77", "--sandbox"], "moving 1 file to folder 77: "),
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_error_names_the_option_that_was_typed(
    ccv2: Callable[..., Ran], tmp_path: Path, arguments: list[str], begins: str
) -> None:
    file = tmp_path / "given.csv"
    file.write_text("EMAIL\nx@example.com\n")
    if arguments[0] == "upload":
        file = tmp_path / "given.png"
        for name in ("given.png", "given.png.exe"):
            (tmp_path / name).write_bytes(b"x")
    ran = ccv2(*(word.format(file=file) for word in arguments))
    assert ran.code in (1, 2)
    assert [line for line in ran.err.splitlines() if line.startswith(begins.format(file=file))]
    assert not [word for word in WORDS_OF_PYTHON if word in ran.err], ran.err


def test_an_invalid_base_url_is_named_by_its_variable(
    ccv2: Callable[..., Ran], service: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCV2_BASE_URL", "ftp://nowhere")
    assert ccv2("account").err.startswith("CCV2_BASE_URL is 'ftp://nowhere': it must be an http")
    monkeypatch.setenv("CCV2_BASE_URL", "http://127.0.0.1:1/v2")
    assert (
        "check the network and the base URL (CCV2_BASE_URL), then try again" in ccv2("account").err
    )


@pytest.mark.parametrize(
    ("arguments", "complaint", "page"),
    [
        (["upload"], "'ccv2 upload' needs PATHS.", "ccv2 upload"),
        (["contacts", "import", "x.csv"], "'ccv2 contacts import' needs --list.",
         "ccv2 contacts import"),
        (["upload", "x.png", "--folder"], "--folder needs a value.", "ccv2 upload"),
        (["files", "--limit", "x"], 'Invalid value "x" for --limit: not a whole number.',
         "ccv2 files"),
        (["sandbox", "--speed", "x"], 'Invalid value "x" for --speed: not a number.',
         "ccv2 sandbox"),
        (["lists", "more"], "Too many arguments: more", "ccv2 lists"),
    ],
)  # fmt: skip
def test_a_usage_error_names_the_help_page(
    ccv2: Callable[..., Ran], arguments: list[str], complaint: str, page: str
) -> None:
    ran = ccv2(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines() == [complaint, f"See '{page} --help'."]


def test_help_does_not_show_none_as_a_default(ccv2: Callable[..., Ran]) -> None:
    shown = ccv2("upload", "--help").out
    assert "[default: 8]" in shown
    assert "False" not in shown


def test_other_library_messages_are_left_unchanged() -> None:
    with pytest.raises(MissingCredentials) as caught:
        Credentials("", "t")
    assert message_of(caught.value).startswith("No API key: set CCV2_API_KEY ")
    invalid = InvalidField("id", "x", "y", hint="or pass z")
    assert message_of(invalid, {"id": "IDS"}) == "IDS is 'x': y. Nothing was sent."
    refused = FileRefused("base_url.png", "it is empty")
    assert message_of(refused) == "base_url.png: it is empty. Nothing was sent."
