"""The commands for contacts, activities, lists, campaigns, and the account."""

from __future__ import annotations

import csv
import json
import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.cli.exits import Exit
from ccv2_async.clock import SystemClock

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran


@pytest.fixture
def api(service: Sandbox) -> Iterator[httpx.Client]:
    """Plain calls to the sandbox."""
    options = service.client_options()
    with httpx.Client(
        base_url=f"{options['base_url']}/",
        params={"api_key": options["api_key"]},
        headers={"authorization": f"Bearer {options['access_token']}"},
        trust_env=False,
    ) as client:
        yield client


@pytest.fixture
def people(tmp_path: Path) -> Callable[..., Path]:
    """Writes a contact file with these addresses."""

    def write(*addresses: str, header: str | None = "EMAIL") -> Path:
        path = tmp_path / "people.csv"
        path.write_text("\n".join([*([header] if header else []), *addresses, ""]))
        return path

    return write


def count(sandbox: Sandbox) -> int:
    (only,) = sandbox.admin.state()["lists"]
    return int(only["contact_count"])


def test_an_import_adds_rows_and_reports_those_that_failed(
    ccv2: Callable[..., Ran], service: Sandbox, people: Callable[..., Path]
) -> None:
    path = people("a@example.com", "nonsense", "b@example.com")
    ran = ccv2("contacts", "import", path, "--list", "1")
    assert ran.code == Exit.SOME_FAILED
    assert f"import of {path}: line 3: nonsense: " in ran.err
    header, row = ran.out.splitlines()
    assert header.split() == ["job", "state", "result"]
    assert row.split()[3:] == ["COMPLETE", "3", "contacts:", "2", "stored,", "1", "failed"]
    assert count(service) == 2
    (fields,) = ccv2("contacts", "import", path, "--list", "1", "--json").rows
    assert (fields["kind"], fields["status"], fields["error_count"]) == ("activity", "COMPLETE", 1)
    assert fields["errors"][0]["line_number"] == 3
    assert fields["token"].startswith("ccv2p1.")


def test_failed_rows_beyond_the_limit_are_counted(
    ccv2: Callable[..., Ran], service: Sandbox, people: Callable[..., Path]
) -> None:
    path = people("a@example.com", *(f"nonsense{number}" for number in range(23)))
    ran = ccv2("contacts", "import", path, "--list", "1")
    assert ran.err.splitlines()[-1].endswith("3 more rows failed")


def test_an_import_goes_to_several_lists_and_reports_each_state(
    ccv2: Callable[..., Ran], service: Sandbox, people: Callable[..., Path], api: httpx.Client
) -> None:
    second = api.post("lists", json={"name": "Second", "status": "ACTIVE"}).json()["id"]
    service.admin.configure(mode="looks", looks=2)
    path = people("a@example.com")
    ran = ccv2("contacts", "import", path, "--list", "1", second)
    assert ran.code == Exit.OK
    states = [line.rpartition(": ")[2] for line in ran.err.splitlines()]
    assert states[:2] == ["sending", "accepted"]
    assert states[-1] == "COMPLETE"
    rows = {row["id"]: row["contact_count"] for row in ccv2("lists", "--json").rows}
    assert rows == {"1": 1, second: 1}


def test_a_large_import_is_one_job_with_several_parts(
    ccv2: Callable[..., Ran], service: Sandbox, people: Callable[..., Path]
) -> None:
    path = people(*(f"person{number:05}@example.com" for number in range(20_001)))
    (fields,) = ccv2("contacts", "import", path, "--list", "1", "--json").rows
    assert (fields["status"], fields["contact_count"]) == ("COMPLETE", 20_001)
    assert len(fields["tokens"]) == 2
    assert count(service) == 20_001


def test_the_largest_accepted_file_goes_through_the_embedded_sandbox(
    ccv2: Callable[..., Ran], people: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ccv2_async.clock.SystemClock", SystemClock)
    rows = (f"person{number:05}@example.com,{'x' * 170}" for number in range(20_000))
    path = people(*rows, header="EMAIL,CUSTOM FIELD 1")
    assert 3_900_000 < path.stat().st_size < 4_000_000
    ran = ccv2("contacts", "import", path, "--list", "1", "--sandbox")
    assert ran.code == Exit.OK
    assert "COMPLETE  20,000 contacts" in ran.out


def test_a_removal_takes_contacts_off_the_list(
    ccv2: Callable[..., Ran], service: Sandbox, people: Callable[..., Path]
) -> None:
    ccv2("contacts", "import", people("a@example.com", "b@example.com"), "--list", "1")
    ran = ccv2("contacts", "remove", people("a@example.com", header=None), "--list", "1")
    assert ran.code == Exit.OK
    assert count(service) == 1


def test_an_export_is_written_to_disk_with_the_requested_columns(
    ccv2: Callable[..., Ran], service: Sandbox, people: Callable[..., Path], tmp_path: Path
) -> None:
    path = people("a@example.com,Ann", "b@example.com,Bob", header="EMAIL,FIRST NAME")
    ccv2("contacts", "import", path, "--list", "1")
    out = tmp_path / "out.csv"
    columns = ("--columns", "Email Address", "First Name")
    ran = ccv2("contacts", "export", "--list", "1", "--to", out, *columns)
    assert ran.code == Exit.OK
    assert f"{out}: " in ran.err
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [(row["Email Address"], row["First Name"]) for row in rows] == [
        ("a@example.com", "Ann"),
        ("b@example.com", "Bob"),
    ]
    (fields,) = ccv2("contacts", "export", "--list", "1", "--to", out, "--json").rows
    assert (fields["to"], fields["bytes"]) == (str(out), out.stat().st_size)


def test_an_earlier_export_is_fetched_by_its_id_or_token(
    ccv2: Callable[..., Ran], service: Sandbox, people: Callable[..., Path], tmp_path: Path
) -> None:
    ccv2("contacts", "import", people("a@example.com"), "--list", "1")
    out = tmp_path / "out.csv"
    (fields,) = ccv2("contacts", "export", "--list", "1", "--to", out, "--json").rows
    whole = out.read_bytes()
    for job in (fields["id"], fields["token"]):
        out.unlink()
        assert ccv2("contacts", "export", "--job", job, "--to", out).code == Exit.OK
        assert out.read_bytes() == whole


def test_an_export_that_cannot_be_fetched_says_how_to_fetch_it(
    ccv2: Callable[..., Ran], service: Sandbox, people: Callable[..., Path], tmp_path: Path
) -> None:
    (fields,) = ccv2("contacts", "import", people("a@example.com"), "--list", "1", "--json").rows
    out = tmp_path / "out.csv"
    ran = ccv2("contacts", "export", "--job", fields["id"], "--to", out, "--json")
    assert ran.code == Exit.SOME_FAILED
    assert f"Download it with --job {fields['id']}" in ran.err
    assert "an export" in ran.rows[0]["error"]
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "missing.csv", "--list", "1"), "there is no such file"),
        (("import", "missing.csv"), "--list"),
        (("remove", "missing.csv", "--list", "a,b"), "--list"),
        (("export", "--to", "out.csv"), "either --list or --job"),
        (("export", "--to", "out.csv", "--list", "1", "--job", "2"), "either --list or --job"),
        (("export", "--to", "missing/out.csv", "--list", "1"), "cannot write a file there"),
        (("export", "--to", ".", "--list", "1"), "cannot write a file there"),
        (("export", "--to", "out.csv", "--list", "1", "--columns", "Shoe size"), "column"),
    ],
)
def test_an_invalid_request_is_a_usage_error_and_nothing_is_sent(  # noqa: PLR0917  # fixtures
    ccv2: Callable[..., Ran],
    service: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = ccv2("contacts", *arguments)
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert said in ran.err
    assert service.admin.requests() == []


def test_an_unknown_list_is_reported_in_one_sentence(
    ccv2: Callable[..., Ran], service: Sandbox, people: Callable[..., Path]
) -> None:
    ran = ccv2("contacts", "import", people("a@example.com"), "--list", "77")
    assert (ran.code, ran.out) == (Exit.SOME_FAILED, "")
    assert "there is no list 77" in ran.err


def test_a_failed_activity_says_why(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "fail.csv"
    path.write_text("EMAIL\na@example.com\n")
    ran = ccv2("contacts", "import", path, "--list", "1")
    assert ran.code == Exit.SOME_FAILED
    assert "ended with the status ERROR" in ran.err
    assert "ERROR" in ran.out


def test_no_wait_prints_tokens_that_poll_accepts(
    ccv2: Callable[..., Ran], service: Sandbox, people: Callable[..., Path]
) -> None:
    service.admin.configure(mode="looks", looks=1)
    path = people(*(f"person{number:05}@example.com" for number in range(20_001)))
    ran = ccv2("contacts", "import", path, "--list", "1", "--no-wait")
    assert ran.code == Exit.OK
    tokens = ran.out.split()
    assert len(tokens) == 2
    rows = ccv2("poll", *tokens, "--json").rows
    assert sum(row["contact_count"] for row in rows) == 20_001
    (fields,) = ccv2("contacts", "import", path, "--list", "1", "--no-wait", "--json").rows
    assert len(fields["tokens"]) == 2


def test_an_interrupted_export_prints_its_token(
    start: Callable[..., subprocess.Popen[str]], service: Sandbox, tmp_path: Path
) -> None:
    service.admin.configure(mode="looks", looks=1_000_000)
    process = start("contacts", "export", "--list", "1", "--to", tmp_path / "out.csv", "--json")
    assert process.stderr is not None
    while ": accepted" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert "ccv2p1." in err
    assert json.loads(out)["token"].startswith("ccv2p1.")


def test_an_import_interrupted_before_its_response_explains_what_that_means(
    start: Callable[..., subprocess.Popen[str]], service: Sandbox, people: Callable[..., Path]
) -> None:
    service.admin.fault("hang", "POST", "/activities/addcontacts", times=None)
    process = start("contacts", "import", people("a@example.com"), "--list", "1")
    while not service.admin.requests("POST", "/activities/addcontacts"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert "interrupted before the service confirmed that it had started" in err


@pytest.mark.parametrize("options", [(), ("--no-wait",)])
def test_an_import_interrupted_after_its_first_part_prints_the_token_of_that(
    start: Callable[..., subprocess.Popen[str]],
    ccv2: Callable[..., Ran],
    service: Sandbox,
    people: Callable[..., Path],
    options: tuple[str, ...],
) -> None:
    service.admin.fault("hang", "POST", "/activities/addcontacts", skip=1, times=None)
    file = people(*(f"reader{number}@example.com" for number in range(4)))
    command = ("contacts", "import", file, "--list", "1", "--max-rows", 2, "--json")
    process = start(*command, *options)
    while len(service.admin.requests("POST", "/activities/addcontacts")) < 2:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert "interrupted before the service confirmed that it had started in full" in err
    (row,) = ccv2("activities", "--json").rows
    (token,) = (line.split()[0] for line in err.splitlines() if line.startswith("  ccv2p1."))
    whole, part = map(json.loads, out.splitlines())
    assert (whole["id"], part["id"], part["token"]) == (None, row["id"], token)
    assert ccv2("poll", token, "--json").rows[0]["id"] == row["id"]


def test_activities_are_listed_and_narrowed(
    ccv2: Callable[..., Ran], service: Sandbox, people: Callable[..., Path]
) -> None:
    assert ccv2("activities").err == "0 activities.\n"
    ccv2("contacts", "import", people("a@example.com"), "--list", "1")
    ran = ccv2("activities")
    header, row = ran.out.splitlines()
    assert header.split() == ["id", "type", "state", "created", "contacts", "errors"]
    assert row.split()[1:3] == ["ADD_CONTACTS", "COMPLETE"]
    assert ran.err == "1 activity.\n"
    assert ccv2("activities", "--type", "export-contacts", "--json").rows == []
    assert [row["status"] for row in ccv2("activities", "--json").rows] == ["COMPLETE"]


def test_activities_are_watched_by_id_by_token_or_all_that_are_running(
    ccv2: Callable[..., Ran], service: Sandbox, people: Callable[..., Path]
) -> None:
    service.admin.configure(mode="looks", looks=3)
    path = people("a@example.com")
    token = ccv2("contacts", "import", path, "--list", "1", "--no-wait").out.strip()
    (listed,) = ccv2("activities", "--json").rows
    ran = ccv2("activities", "watch")
    assert ran.code == Exit.OK
    assert "COMPLETE  1 contact" in ran.out
    for name in (token, listed["id"]):
        (fields,) = ccv2("activities", "watch", name, "--json").rows
        assert (fields["id"], fields["status"]) == (listed["id"], "COMPLETE")
    assert ccv2("activities", "watch").err == "All activities have ended.\n"


def test_an_unknown_activity_is_reported_at_once(
    ccv2: Callable[..., Ran], service: Sandbox
) -> None:
    ran = ccv2("activities", "watch", "a0123456789abcdef", "ccv2p1.nonsense", "--json")
    assert ran.code == Exit.SOME_FAILED
    first, second = ran.rows
    assert first["id"] == "a0123456789abcdef"
    assert "404" in first["error"]
    assert second["token"] == "ccv2p1.nonsense"


def test_lists_are_shown_with_id_name_state_and_contacts(
    ccv2: Callable[..., Ran], service: Sandbox
) -> None:
    ran = ccv2("lists")
    header, row = ran.out.splitlines()
    assert header.split() == ["id", "name", "state", "contacts", "changed"]
    assert row.split()[:5] == ["1", "General", "Interest", "ACTIVE", "0"]
    assert ran.err == "1 list.\n"


def test_campaigns_are_listed_narrowed_and_limited(
    ccv2: Callable[..., Ran], service: Sandbox, api: httpx.Client
) -> None:
    assert ccv2("campaigns").err == "0 campaigns.\n"
    for name in ("Spring", "[bold]Summer"):
        made = api.post(
            "emailmarketing/campaigns",
            json={
                "name": name,
                "subject": "News",
                "from_name": "Bakery",
                "from_email": "owner@example.com",
                "reply_to_email": "owner@example.com",
                "email_content": "<html><body>Hello</body></html>",
                "email_content_format": "HTML",
                "text_content": "Hello",
            },
        )
        assert made.status_code == 201, made.text
    ran = ccv2("campaigns")
    assert ran.code == Exit.OK
    assert "[bold]Summer" in ran.out
    assert ran.err == "2 campaigns.\n"
    assert len(ccv2("campaigns", "--limit", "1", "--json").rows) == 1
    assert ccv2("campaigns", "--status", "sent", "--json").rows == []
    assert ccv2("campaigns", "--limit", "0").code == Exit.USAGE


def test_the_account_is_shown(ccv2: Callable[..., Ran], service: Sandbox) -> None:
    ran = ccv2("account")
    assert ran.code == Exit.OK
    lines = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    (fields,) = ccv2("account", "--json").rows
    assert lines["organization"] == fields["organization_name"]
    assert lines["email"] == fields["email"]


def test_an_account_without_values_is_shown(ccv2: Callable[..., Ran], service: Sandbox) -> None:
    as_json = {"content-type": "application/json"}
    service.admin.fault("answer", "GET", "/account/info", status=200, headers=as_json, body="{}")
    ran = ccv2("account")
    assert (ran.code, ran.out.split()) == (Exit.OK, ["values", "none"])


SEPARATED = {
    "semicolons": "Email Address;First Name\r\nann@example.com;Ann\r\n",
    "quoted semicolons": '"Email Address";"First Name"\n"ann@example.com";"Ann"\n',
    "a comma in a name": "First Name, if any;Email Address\nAnn;ann@example.com\n",
    "an address with a comma after it": "Email;Name, full\nann@example.com;Ann\n",
    "a hint for spreadsheets": "sep=;\nEmail Address;First Name\nann@example.com;Ann\n",
    "tabs": "Email Address\tFirst Name\nann@example.com\tAnn\n",
    "vertical bars": "Email Address|First Name\nann@example.com|Ann\n",
}


@pytest.mark.parametrize("name", SEPARATED)
def test_a_file_with_other_separators_is_refused_before_sending(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(SEPARATED[name])
    ran = ccv2("contacts", "import", file, "--list", "1")
    assert ran.code != Exit.OK
    assert "sending" not in ran.err
    assert service.admin.requests("POST") == []
    if name != "a comma in a name":  # its columns are named, and that says enough
        assert "separated by" in ran.err
        assert "comma" in ran.err


def test_a_file_of_another_program_is_imported_as_the_options_say(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes("Email Address\tFirst Name\r\nzoe@example.com\tZoë\r\n".encode("utf-16"))
    refused = ccv2("contacts", "import", file, "--list", "1")
    assert "line 1: the file is UTF-16; pass utf-16 as its encoding" in refused.err
    options = ("--encoding", "utf-16", "--delimiter")
    assert ccv2("contacts", "import", file, "--list", "1", *options, "tab").code == Exit.OK
    wrong = ccv2("contacts", "import", file, "--list", "1", *options, "tabs")
    assert "--delimiter is 'tabs': it must be one character" in wrong.err
    file.write_bytes(b"zoe@example.com\r\n")
    assert ccv2("contacts", "remove", file, "--list", "1", "--encoding", "cp1252").code == Exit.OK


def test_a_header_with_semicolons_in_a_name_is_accepted(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    file.write_text('Email Address,"First;Name"\nann@example.com,Ann\n')
    assert ccv2("contacts", "import", file, "--list", "1").code == Exit.OK


def test_dropped_columns_are_named_before_sending(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    file.write_text("email,first name,Shoe Size,Custom Field 3,\nann@example.com,Ann,42,x,y\n")
    ran = ccv2("contacts", "import", file, "--list", "1")
    assert ran.code == Exit.OK
    lines = ran.err.splitlines()
    assert "'Shoe Size'" in lines[0]
    assert "column 5" in lines[0]
    assert "first name" not in lines[0]
    assert "Custom Field 3" not in lines[0].partition("Rename")[0]
    assert lines[1].endswith(": sending")


def test_an_import_counts_what_was_stored_and_what_failed(
    ccv2: Callable[..., Ran], service: Sandbox, people: Callable[..., Path]
) -> None:
    ran = ccv2("contacts", "import", people("a@example.com", "nonsense"), "--list", "1")
    assert "2 contacts: 1 stored, 1 failed" in ran.out


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [
        ({"status": "ERROR", "error_count": 2}, 2),
        ({"status": "ERROR", "error_count": 0, "errors": ["Line 2: x"]}, 1),
        ({"status": "CANCELLED", "error_count": 0}, 0),
        ({"status": "COMPLETE"}, None),
        ({"status": "COMPLETE", "errors": ["Line 2: x"]}, 1),
    ],
)
@pytest.mark.parametrize("parts", [1, 2])
def test_an_import_counts_as_stored_only_what_the_service_does(  # noqa: PLR0917  # fixtures
    ccv2: Callable[..., Ran],
    service: Sandbox,
    people: Callable[..., Path],
    outcome: dict[str, Any],
    failed: int | None,
    parts: int,
) -> None:
    answer: dict[str, Any] = {"kind": "answer", "headers": {"content-type": "application/json"}}
    for number in range(2 * parts):
        job = {"id": f"a{number}", "type": "ADD_CONTACTS"}
        ended = json.dumps({**job, "contact_count": 2, **outcome})
        path = f"/activities/a{number}"
        service.admin.fault(
            method="POST",
            path="/activities/addcontacts",
            status=201,
            body=json.dumps(job),
            **answer,
        )
        service.admin.fault(method="GET", path=path, times=None, status=200, body=ended, **answer)
    file = people(*(f"reader{number}@example.com" for number in range(2 * parts)))
    command = ("contacts", "import", file, "--list", "1", "--max-rows", 2)
    ran = ccv2(*command)
    rows = (failed or 0) * parts
    told = f", {rows} row{'s' * (rows > 1)} failed" * bool(rows)
    assert ran.out.splitlines()[1].endswith(f"  {2 * parts} contacts{told}")
    (fields,) = ccv2(*command, "--json").rows
    assert fields["error_count"] == (None if failed is None else rows)
    assert len(fields["errors"]) == len(outcome.get("errors", ())) * parts


@pytest.mark.parametrize("column", ["Shoe size", "Emial Address", "Custom Field 16"])
def test_an_unknown_column_of_an_export_is_refused(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path, column: str
) -> None:
    out = tmp_path / "out.csv"
    columns = ("Email Address", column)
    ran = ccv2("contacts", "export", "--list", "1", "--to", out, "--columns", *columns)
    assert ran.code == Exit.USAGE
    assert f"--columns is '{column}'" in ran.err
    assert service.admin.requests() == []
