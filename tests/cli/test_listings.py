"""A row that cannot be read does not hide the others, and the exit code says that it is missing."""

from __future__ import annotations

import csv
import io
import json
import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.cli.exits import Exit
from ccv2_async.cli.output import Output

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran

GOOD: dict[str, dict[str, Any]] = {
    "/library/files": {"id": "1", "name": "first.png", "size": 3, "status": "Active"},
    "/library/folders": {"id": "1", "name": "first", "item_count": 0, "children": []},
    "/library/folders/trash/files": {"id": "1", "name": "first.png", "size": 3},
    "/contacts": {"id": "1", "status": "ACTIVE"},
    "/lists/7/contacts": {"id": "1", "status": "ACTIVE"},
    "/lists": {"id": "1", "name": "first", "status": "ACTIVE", "contact_count": 3},
    "/emailmarketing/campaigns": {"id": "1", "name": "first", "status": "SENT"},
    "/activities": {"id": "1", "type": "ADD_CONTACTS", "status": "COMPLETE"},
}
EPOCH = "1970-01-01T00:00:00.000Z"
PAGED = frozenset({path for path in GOOD if path not in ("/lists", "/activities")})
COMMANDS = [
    (("files",), "/library/files"),
    (("folders",), "/library/folders"),
    (("files", "trash"), "/library/folders/trash/files"),
    (("lists", "list"), "/lists"),
    (("contacts",), "/contacts"),
    (("contacts", "--list", "7"), "/lists/7/contacts"),
    (("campaigns",), "/emailmarketing/campaigns"),
    (("activities",), "/activities"),
]


def answer_with_a_bad_row(service: Sandbox, path: str) -> None:
    """Have the service answer with three rows, of which the second has no text as its id."""
    good = GOOD[path]
    rows = [good, {**good, "id": {"odd": 2}}, {**good, "id": "3"}]
    service.admin.fault(
        "answer",
        "GET",
        path,
        status=200,
        headers={"content-type": "application/json"},
        body=json.dumps({"results": rows, "meta": {"pagination": {}}} if path in PAGED else rows),
    )


@pytest.mark.parametrize(("command", "path"), COMMANDS)
def test_the_good_rows_are_shown_and_the_bad_one_is_named(
    ccv2: Callable[..., Ran], service: Sandbox, command: tuple[str, ...], path: str
) -> None:
    answer_with_a_bad_row(service, path)
    ran = ccv2(*command, "--json")
    assert ran.code == Exit.SOME_FAILED
    assert [row["id"] for row in ran.rows] == ["1", "3"]
    (complaint,) = [line for line in ran.err.splitlines() if "row 1" in line]
    assert "id" in complaint
    assert "on_bad_row" not in ran.err
    answer_with_a_bad_row(service, path)
    shown = ccv2(*command)
    assert shown.code == Exit.SOME_FAILED
    assert complaint in shown.err
    assert len(shown.out.splitlines()) == 3  # the header or the root, and two rows


@pytest.mark.parametrize("command", ["files", "lists", "contacts", "campaigns", "activities"])
def test_every_listing_has_the_same_rows_as_csv(
    ccv2: Callable[..., Ran], demo: Sandbox, command: str
) -> None:
    plain, rows = ccv2(command, "list"), ccv2(command, "--json").rows
    ran = ccv2(command, "--csv")
    assert (ran.code, ran.err) == (Exit.OK, plain.err)
    read = list(csv.DictReader(ran.out.splitlines()))
    assert [row["id"] for row in read] == [row["id"] for row in rows]
    assert len(plain.out.splitlines()) == len(rows) + 1
    for row, fields in zip(read, rows, strict=True):
        same = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in fields.items()
            # The service writes a date that is none as the first moment of 1970.
            if name in row and not isinstance(value, list) and value != EPOCH
        }
        assert {name: row[name] for name in same} == same


def test_csv_is_written_while_the_pages_come(
    start: Callable[..., subprocess.Popen[str]], service: Sandbox
) -> None:
    rows = [{"id": "1", "status": "ACTIVE", "first_name": 'Ada, "Countess"'}]
    link = {"pagination": {"next_link": "/v2/contacts?next=abc"}}
    content_type = {"content-type": "application/json"}
    body = json.dumps({"results": rows, "meta": link})
    service.admin.fault(
        "answer", "GET", "/contacts", status=200, headers=content_type, body=body, times=1
    )
    service.admin.fault("hang", "GET", "/contacts")
    process = start("contacts", "--csv")
    assert process.stdout is not None
    header, row = process.stdout.readline(), process.stdout.readline()
    assert header.startswith("id,email,name,status,lists,modified_date,first_name,")
    assert row.startswith('1,,"Ada, ""Countess""",ACTIVE,,,"Ada, ""Countess""",')
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED


def test_csv_for_a_program_is_utf_8_whatever_the_locale() -> None:
    file = io.BytesIO()
    stdout = io.TextIOWrapper(file, encoding="ascii")
    Output(as_csv=True, stdout=stdout).values(["Zoë", "日本", "\ud83d"])
    assert file.getvalue() == "Zoë,日本,\\ud83d\n".encode()


def test_csv_on_a_terminal_cannot_control_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for out, shown in ((Terminal(), "\\x1b[2Jx\n"), (io.StringIO(), "\x1b[2Jx\n")):
        Output(stdout=out, stderr=io.StringIO()).values(["\x1b[2Jx"])
        assert out.getvalue() == shown


def test_json_and_csv_exclude_each_other(ccv2: Callable[..., Ran], service: Sandbox) -> None:
    ran = ccv2("lists", "--json", "--csv")
    assert (ran.code, service.admin.requests()) == (Exit.USAGE, [])
    assert "Pass either --json or --csv, not both." in ran.err


def test_an_empty_listing_is_a_header_in_csv(ccv2: Callable[..., Ran], service: Sandbox) -> None:
    ran = ccv2("campaigns", "--csv")
    assert ran.out == "id,name,status,modified_date\n"


def test_every_column_is_present_even_without_values(
    ccv2: Callable[..., Ran], service: Sandbox
) -> None:
    answer_with_a_bad_row(service, "/contacts")
    header = ["id", "email", "name", "state", "lists", "changed"]
    assert ccv2("contacts").out.splitlines()[0].split() == header


@pytest.mark.parametrize(
    ("typed", "sent"),
    [("2026-12-01T09:30Z", "2026-12-01T09:30:00"), ("2026-12-01T10:30+01:00", "2026-12-01T09:30")],
)
def test_since_narrows_a_listing(
    ccv2: Callable[..., Ran], service: Sandbox, typed: str, sent: str
) -> None:
    assert ccv2("contacts", "--since", typed).code == Exit.OK
    (request,) = service.admin.requests("GET", "/contacts")
    assert sent in str(httpx.QueryParams(request.query)["modified_since"])


def test_an_invalid_date_is_reported_with_an_example(
    ccv2: Callable[..., Ran], service: Sandbox
) -> None:
    ran = ccv2("contacts", "--since", "yesterday")
    assert (ran.code, service.admin.requests()) == (Exit.USAGE, [])
    assert "--since is 'yesterday': use a date or time such as 2026-12-01" in ran.err


def test_a_limit_ends_a_listing_before_its_bad_row(
    ccv2: Callable[..., Ran], service: Sandbox
) -> None:
    answer_with_a_bad_row(service, "/library/files")
    ran = ccv2("files", "--limit", "1", "--json")
    assert [row["id"] for row in ran.rows] == ["1"]


def test_an_unreadable_activity_does_not_keep_the_others_from_being_watched(
    ccv2: Callable[..., Ran], service: Sandbox
) -> None:
    service.admin.fault(
        "answer",
        "GET",
        "/activities",
        status=200,
        headers={"content-type": "application/json"},
        body=json.dumps([{"id": {"odd": 1}}, GOOD["/activities"]]),
    )
    ran = ccv2("activities", "watch")
    assert ran.code == Exit.SOME_FAILED
    assert "row 0" in ran.err
    assert "All activities have ended." in ran.err
