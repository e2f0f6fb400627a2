from __future__ import annotations

import io
import json
import time
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from ccv2_async import one_line as clean
from ccv2_async.cli.output import Output
from ccv2_async.cli.tables import in_bytes, linked, moment, table


class Terminal(io.StringIO):
    """A terminal that remembers what was written to it."""

    def isatty(self) -> bool:
        return True


@given(st.text())
def test_printed_text_contains_no_terminal_control_characters(text: str) -> None:
    shown = clean(text)
    categories = {unicodedata.category(char) for char in shown if char not in "\u200c\u200d"}
    assert not categories & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(shown.splitlines()) <= 1


@pytest.mark.parametrize("text", ["plain", "menü.pdf", "日本語", "👩\u200d🍳.png", "[red]x[/]"])
def test_ordinary_text_is_shown_unchanged(text: str) -> None:
    assert clean(text) == text


def test_a_name_in_an_unknown_encoding_can_be_printed() -> None:
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    output = Output(stdout=out, stderr=err)
    output.line("caf\udce9.png")
    output.record({"path": "caf\udce9.png"})
    out.seek(0)
    assert out.read().splitlines() == ["caf\\udce9.png", '{"path": "caf\\udce9.png"}']


def test_a_terminal_without_unicode_gets_escapes() -> None:
    out, err = io.TextIOWrapper(io.BytesIO(), "ascii"), io.TextIOWrapper(io.BytesIO(), "ascii")
    output = Output(stdout=out, stderr=err)
    rows = table("name")
    rows.add_row(Text("menü…"))
    output.show(rows)
    output.say("menü")
    out.seek(0)
    assert out.read().splitlines() == ["name", "men\\xfc\\u2026"]


@given(st.dictionaries(st.text(), st.text() | st.none() | st.integers()))
def test_json_lines_are_ascii_and_read_back_the_same(fields: dict[str, object]) -> None:
    out = io.StringIO()
    Output(as_json=True, stdout=out, stderr=io.StringIO()).record(fields)
    (line,) = out.getvalue().splitlines()
    assert json.loads(line) == fields
    assert line.isascii()
    assert line.isprintable()


def test_long_lines_are_not_wrapped_without_a_terminal() -> None:
    out = io.StringIO()
    output = Output(stdout=out, stderr=io.StringIO())
    rows = table("name", "url")
    rows.add_row("n" * 150, linked("https://example.com/" + "u" * 300))
    output.show(rows)
    assert len(out.getvalue().splitlines()) == 2


def test_a_narrow_terminal_gets_tables_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    output = Output(stdout=out, stderr=io.StringIO())
    rows = table("file", "id", "size", "state", "url")
    rows.add_row("folder/" * 6, "123456", "1.2 MB", "Active", "https://example.com/" + "u" * 60)
    rows.add_row("short", "7", "1 B", "Failed", "")
    output.show(rows)
    lines = [Text.from_ansi(line).plain for line in out.getvalue().splitlines()]
    # What is to be opened or copied stands whole, on a line of its own below its row.
    (url,) = [line for line in lines if "http" in line]
    assert url == "  https://example.com/" + "u" * 60
    assert all(len(line) <= 50 for line in lines if line is not url)
    assert lines[0].split() == ["file", "id", "size", "state"]
    assert lines[1].split() == [("folder/" * 6)[:26], "123456", "1.2", "MB", "Active"]
    assert lines.index(url) == len(lines) - 2
    assert lines[-1].split() == ["short", "7", "1", "B", "Failed"]


@pytest.mark.parametrize("columns", [40, 60])
def test_ids_and_urls_are_never_cut(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    rows = table("id", "type", "state", "created", "url")
    rows.add_row("i" * 36, "ADD_CONTACTS", "COMPLETE", "2026-11-22 00:26", "https://x.example/y")
    Output(stdout=out, stderr=io.StringIO()).show(rows)
    lines = [Text.from_ansi(line).plain for line in out.getvalue().splitlines()]
    assert "i" * 36 in lines
    assert "  https://x.example/y" in lines
    shown = "".join("".join(lines).split())
    assert sorted(shown) == sorted(
        "idtypestatecreated" + "i" * 36 + "ADD_CONTACTSCOMPLETE2026-11-2200:26https://x.example/y"
    )


def test_a_table_that_fits_no_terminal_becomes_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    rows = table("id", "email", "name", "state", "changed")
    rows.add_row(
        "1", "ada@example.com", "Ada Lovelace of London and Ockham Park", "ACTIVE", "x" * 9
    )
    rows.add_row("2", "e" * 40, "", "UNCONFIRMED", "2026-11-22 00:26")
    Output(stdout=out, stderr=io.StringIO()).show(rows)
    lines = [Text.from_ansi(line).plain for line in out.getvalue().splitlines()]
    assert lines == [
        "id       1",
        "email    ada@example.com",
        "name     Ada Lovelace of London and",
        "         Ockham Park",
        "state    ACTIVE",
        "changed  xxxxxxxxx",
        "",
        "id       2",
        "email",
        "e" * 40,
        "state    UNCONFIRMED",
        "changed  2026-11-22 00:26",
    ]


@pytest.mark.parametrize("columns", [30, 60, 100])
def test_rows_are_built_without_a_grid_for_each(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(Table, "grid", None)  # thousands of them take many seconds
    rows = table("id", "email", "state", "changed")
    for number in range(100):
        rows.add_row(str(number), f"{number}@example.com", "ACTIVE", "2026-11-22 00:26")
    out = Terminal()
    Output(stdout=out, stderr=io.StringIO()).show(rows)
    assert out.getvalue().count("@example.com") == 100


def test_a_wide_terminal_shows_urls_in_the_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    rows = table("id", "url")
    rows.add_row("7", linked("https://example.com/a"))
    Output(stdout=out, stderr=io.StringIO()).show(rows)
    lines = [Text.from_ansi(line).plain.split() for line in out.getvalue().splitlines()]
    assert lines == [["id", "url"], ["7", "https://example.com/a"]]


def test_only_complete_urls_become_links() -> None:
    assert linked("https://example.com/a").style == "link https://example.com/a"
    assert linked("javascript:alert(1)").style == ""
    assert linked("https://example.com/\x1b]8;;").style == ""
    assert linked(None).plain == ""


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, ""),
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (99_940, "99.9 kB"),
        (123_456, "123 kB"),
        (999_999, "1.0 MB"),
        (4_223_224, "4.2 MB"),
        (5e15, "5000 TB"),
    ],
)
def test_amounts_have_two_or_three_digits_and_a_unit(number: float | None, shown: str) -> None:
    assert in_bytes(number) == shown


def test_a_missing_date_is_blank() -> None:
    assert moment(None) == ""


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_the_first_and_the_last_date_of_the_calendar_are_shown(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert moment(datetime(1, 1, 1, tzinfo=UTC)).endswith("1-01-01 00:00")
        assert moment(datetime(9999, 12, 31, 23, 59, tzinfo=UTC)) == "9999-12-31 23:59"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_closed_stderr_does_not_end_the_run() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    output = Output(stdout=io.StringIO(), stderr=Gone())
    output.say("nobody hears this")
    output.line("still here")
