from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors, models
from ccv2_async.activities.contact_files import FileOptions, portions_of
from ccv2_async.activities.csv_survey import BELOW_BYTES, Purpose
from ccv2_async.activities.status import ACTIVITY
from ccv2_async.models import ImportAddress, ImportCustomField, ImportData
from ccv2_async.models.activities import row_error
from ccv2_async.polling.poller import ActivityPoller
from ccv2_async.transport.files.body import MultipartBody
from ccv2_async.transport.files.reading import CheckedFile
from ccv2_async.transport.files.threads import FileThreads
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.contract.ear import Ear
    from tests.support.servers import Request, Wire

GUESTS = b"Email,First Name\r\nann@example.com,Ann\r\nbob@example.com,Bob\r\n"


@pytest.fixture
def guests(tmp_path: Path) -> Path:
    path = tmp_path / "guests.csv"
    path.write_bytes(GUESTS)
    return path


@pytest.fixture
async def threads() -> AsyncIterator[FileThreads]:
    threads = FileThreads()
    yield threads
    await threads.aclose()


async def members(client: ConstantContact, list_id: str) -> list[str]:
    rows = await client.lists.contacts(list_id).collect()
    return sorted(row.email_addresses[0].email_address for row in rows)


async def content_of(body: object) -> bytes:
    assert isinstance(body, MultipartBody)
    attempt = await body.attempt()
    try:
        content = b"".join([piece async for piece in attempt])
        assert len(content) == attempt.length
        return content
    finally:
        await attempt.aclose()


async def test_an_exception_of_the_callers_generator_passes_before_a_deadline(
    client: ConstantContact,
) -> None:
    def rows() -> Iterator[str]:
        yield "ann@example.com"
        raise TimeoutError("the database")

    with client.deadline(60), pytest.raises(TimeoutError, match="the database"):
        await client.activities.begin_add_contacts(rows(), lists=["1"])


async def test_a_contact_file_is_imported_and_the_poller_returns_the_activity(
    client: ConstantContact, sandbox: Sandbox, guests: Path
) -> None:
    made = await client.lists.create("Guests")

    poller = await client.activities.begin_add_contacts(guests, lists=[made.id, "1"])
    activity = await poller

    assert isinstance(poller, ActivityPoller)
    assert poller.ids == (poller.id,)
    assert activity.id == poller.id
    assert activity.type is models.ActivityType.ADD_CONTACTS
    assert (activity.status, activity.contact_count, activity.error_count) == ("COMPLETE", 2, 0)
    assert activity.file_name == "guests.csv"
    assert await members(client, made.id) == ["ann@example.com", "bob@example.com"]
    (sent,) = sandbox.admin.requests("POST", "/activities/addcontacts")
    assert sent.parts == ("file_name", "lists", "data")
    assert sent.query == {}


async def test_the_form_has_the_name_the_lists_and_the_bytes_of_the_file(
    guests: Path, threads: FileThreads
) -> None:
    name, (portion,) = await portions_of(
        guests, Purpose.IMPORT, lists="4,6", options=FileOptions("new.csv"), threads=threads
    )

    content = await content_of(portion.body)

    assert isinstance(portion.body, MultipartBody)
    assert name == "new.csv"
    assert b'name="file_name"\r\n\r\nnew.csv\r\n' in content
    assert b'name="lists"\r\n\r\n4,6\r\n' in content
    assert b'filename="new.csv"\r\nContent-Type: text/csv\r\n\r\n' + GUESTS + b"\r\n" in content


async def test_a_byte_order_mark_is_not_sent(tmp_path: Path, threads: FileThreads) -> None:
    path = tmp_path / "guests.csv"
    path.write_bytes(b"\xef\xbb\xbf" + GUESTS)

    _, (portion,) = await portions_of(
        path, Purpose.IMPORT, lists="1", options=FileOptions(), threads=threads
    )

    content = await content_of(portion.body)
    assert GUESTS in content
    assert b"\xef\xbb\xbf" not in content


async def test_4_mb_with_20_000_rows_are_one_activity(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path
) -> None:
    heading = "Email,First Name,City\n"
    rows = [f'person{number:05}@example.com,Ann,"{{}}"\n' for number in range(20_000)]
    room = (BELOW_BYTES - 1 - len(heading) - sum(map(len, rows))) // len(rows) + 2
    path = tmp_path / "many.csv"
    path.write_text(heading + "".join(row.format("x" * room) for row in rows))
    assert BELOW_BYTES - 20_000 <= path.stat().st_size < BELOW_BYTES

    activity = await client.activities.add_contacts(path, lists=["1"])

    assert (activity.contact_count, activity.error_count) == (20_000, 0)
    assert len(sandbox.admin.requests("POST")) == 1
    assert (await client.lists.get("1")).contact_count == 20_000


async def test_failed_rows_are_reported_with_their_lines_and_the_rest_is_imported(
    client: ConstantContact, tmp_path: Path
) -> None:
    path = tmp_path / "mixed.csv"
    path.write_text("Email,Name\nann@example.com,Ann\nnobody,No\nbob@example.com,Bob\n")

    activity = await client.activities.add_contacts(path, lists="1")

    assert activity.status == "COMPLETE"
    (row,) = map(row_error, activity.errors)
    assert (row.line_number, row.email_address) == (3, "nobody")
    assert "bob@example.com" in await members(client, "1")


@pytest.mark.parametrize("errors_as_text", [False, True])
async def test_strict_raises_an_error_with_the_activity_for_failed_rows(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path, errors_as_text: bool
) -> None:
    sandbox.admin.configure(errors_as_text=errors_as_text)
    path = tmp_path / "mixed.csv"
    path.write_text("Email\nann@example.com\nnobody\n")

    poller = await client.activities.begin_add_contacts(path, lists=["1"], strict=True)
    with pytest.raises(errors.PartialFailure) as caught:
        await poller

    assert row_error(caught.value.activity.errors[0]).line_number == 3
    assert "line 3" in caught.value.message
    assert "rows failed (1 of 2; the first: " in caught.value.message
    assert caught.value.token
    assert poller.status == "COMPLETE"


async def test_strict_accepts_an_activity_without_failed_rows(
    client: ConstantContact, guests: Path
) -> None:
    activity = await client.activities.add_contacts(guests, lists=["1"], strict=True)
    assert activity.error_count == 0


async def test_blank_values_erase_only_on_request(
    client: ConstantContact, tmp_path: Path, guests: Path
) -> None:
    await client.activities.add_contacts(guests, lists=["1"])
    blank = tmp_path / "blank.csv"
    blank.write_text("Email,First Name\nann@example.com,\n")

    async def first_name() -> str | None:
        (found,) = await client.contacts.all(email="ann@example.com").collect()
        return found.first_name

    await client.activities.add_contacts(blank, lists=["1"])
    assert await first_name() == "Ann"
    await client.activities.add_contacts(blank, lists=["1"], blanks_enabled=True)
    assert not await first_name()


async def test_contacts_are_sent_as_json_with_the_columns_they_use(
    client: ConstantContact, ear: Ear
) -> None:
    ann = ImportData(
        ("ann@example.com",),
        first_name="Ann",
        birthday_month="1",
        addresses=(ImportAddress(line1="1 Main St", state_code="NH", postal_code="02145"),),
        custom_fields=(ImportCustomField("custom_field_6", "Blue Jeans"),),
    )

    activity = await client.activities.add_contacts([ann, "bob@example.com"], lists=("1",))

    sent = next(call for call in ear.calls if call.method == "POST")
    assert sent.path == "/activities/addcontacts"
    ear.calls[:] = [sent]
    assert ear.sent == {
        "import_data": [
            {
                "email_addresses": ["ann@example.com"],
                "first_name": "Ann",
                "birthday_month": "1",
                "addresses": [{"line1": "1 Main St", "state_code": "NH", "postal_code": "02145"}],
                "custom_fields": [{"name": "custom_field_6", "value": "Blue Jeans"}],
            },
            {"email_addresses": ["bob@example.com"]},
        ],
        "lists": ["1"],
        "column_names": [
            "EMAIL",
            "FIRST NAME",
            "BIRTHDAY_MONTH",
            "ADDRESS LINE 1",
            "STATE",
            "US STATE/CA PROVINCE",
            "ZIP/POSTAL CODE",
            "CUSTOM FIELD 6",
        ],
    }
    assert activity.contact_count == 2
    (found,) = await client.contacts.all(email="ann@example.com").collect()
    assert found.first_name == "Ann"


async def test_an_import_without_columns_sends_addresses_only(client: ConstantContact) -> None:
    ann = ImportData(("ann@example.com",), first_name="Ann")

    await client.activities.add_contacts([ann], lists=["1"], column_names=[])

    (found,) = await client.contacts.all(email="ann@example.com").collect()
    assert not found.first_name


@pytest.mark.parametrize(
    ("contacts", "options", "field"),
    [
        (["ann@example.com"], {"column_names": ["FIRST NAME"]}, "column_names"),
        (["nobody", "ann@example.com"], {}, "import_data[0].email_addresses"),
        ([ImportData(())], {}, "import_data[0].email_addresses"),
        (["a@example.com", ImportData(("b@b.cc", "c@c.cc"))], {}, "import_data[1].email_addresses"),
        (["ann@example.com", ""], {}, "import_data[1]"),
        (["ann@example.com", None], {}, "import_data[1]"),
        ([], {}, "import_data"),
        (7, {}, "contacts"),
        (["ann@example.com"], {"file_name": "x.csv"}, "file_name"),
        (["ann@example.com"], {"lists": []}, "lists"),
        (["ann@example.com"], {"lists": ["1,2"]}, "lists"),
        (["ann@example.com"], {"lists": ["1", ""]}, "lists"),
    ],
)
async def test_invalid_contacts_are_not_sent(
    client: ConstantContact, ear: Ear, contacts: Any, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.activities.begin_add_contacts(contacts, **{"lists": ["1"], **options})
    assert caught.value.field == field
    assert ear.calls == []


async def test_columns_cannot_be_given_with_a_file(
    client: ConstantContact, ear: Ear, guests: Path
) -> None:
    with pytest.raises(errors.InvalidField, match="column_names"):
        await client.activities.begin_add_contacts(guests, lists=["1"], column_names=["EMAIL"])
    assert ear.calls == []


async def test_the_addresses_in_a_file_are_removed_from_the_lists(
    client: ConstantContact, guests: Path, tmp_path: Path
) -> None:
    await client.activities.add_contacts(guests, lists=["1"])
    gone = tmp_path / "gone.txt"
    gone.write_text("ann@example.com\n")

    activity = await client.activities.remove_contacts(str(gone), lists=["1"])

    assert activity.type == "REMOVE_CONTACTS_FROM_LISTS"
    assert (activity.contact_count, activity.error_count) == (1, 0)
    assert await members(client, "1") == ["bob@example.com"]


async def test_a_removal_sends_only_addresses_as_json(client: ConstantContact, ear: Ear) -> None:
    ann = ImportData(("ann@example.com",), first_name="Ann")

    await client.activities.begin_remove_contacts([ann, "bob@example.com"], lists=["1"])

    assert ear.requests == ["POST /activities/removefromlists"]
    assert ear.sent == {
        "import_data": [
            {"email_addresses": ["ann@example.com"]},
            {"email_addresses": ["bob@example.com"]},
        ],
        "lists": ["1"],
    }


@pytest.mark.parametrize(
    ("contacts", "field"),
    [
        ([], "contacts"),
        (["x" * BELOW_BYTES], "import_data[0]"),
        ([ImportData(())], "import_data[0]"),
        (["ann@example.com", ""], "import_data[1]"),
    ],
)
async def test_an_invalid_removal_is_not_sent(
    client: ConstantContact, ear: Ear, contacts: list[str | ImportData], field: str
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.activities.begin_remove_contacts(contacts, lists=["1"])
    assert caught.value.field.startswith(field)
    assert len(caught.value.message) < 300
    assert ear.calls == []


async def test_lists_are_cleared_and_kept(client: ConstantContact, guests: Path, ear: Ear) -> None:
    await client.activities.add_contacts(guests, lists=["1"])
    ear.calls.clear()

    activity = await client.activities.clear_lists(["1"])

    assert ear.requests[0] == "POST /activities/clearlists"
    ear.calls[1:] = []
    assert ear.sent == {"lists": ["1"]}
    assert activity.type == "CLEAR_CONTACTS_FROM_LISTS"
    assert await members(client, "1") == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("absent.csv", None, "there is no such file"),
        ("guests.dat", b"ann@example.com", "CSV, TXT, XLS or XLSX"),
        ("guests", b"ann@example.com", "CSV, TXT, XLS or XLSX"),
        ("guests.csv", b"Email\nann@example.com\n", "line 1: 'Email' is not an email address"),
        ("guests.txt", b"ann@example.com\nann\n", "line 2: 'ann' is not an email address"),
        ("guests.csv", b"", "no contacts"),
        ("guests.xls", b"", "it is empty"),
        ("guests.XLSX", b"x" * BELOW_BYTES, "save it as CSV"),
    ],
)
async def test_an_invalid_removal_file_is_refused_before_anything_is_sent(  # noqa: PLR0917  # fixtures and parameters come by name
    client: ConstantContact,
    sandbox: Sandbox,
    tmp_path: Path,
    name: str,
    content: bytes | None,
    reason: str,
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(errors.FileRefused) as caught:
        await client.activities.begin_remove_contacts(path, lists=["1"])

    assert reason in caught.value.message
    assert str(path) in caught.value.message
    assert sandbox.admin.requests() == []


async def test_an_import_without_an_email_column_is_refused(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "guests.csv"
    path.write_text("First Name\nAnn\n")
    with pytest.raises(errors.FileRefused, match=r"line 1: .*email column"):
        await client.activities.begin_add_contacts(path, lists=["1"])
    assert sandbox.admin.requests() == []


async def test_a_file_in_another_encoding_with_another_delimiter_is_imported(
    client: ConstantContact, tmp_path: Path
) -> None:
    path = tmp_path / "guests.csv"
    path.write_bytes("Email;First Name\r\nzoe@example.com;Zoë\r\nnobody;x\r\n".encode("cp1252"))
    activity = await client.activities.add_contacts(
        path, lists=["1"], encoding="cp1252", delimiter=";"
    )
    assert (activity.contact_count, activity.file_name) == (2, "guests.csv")
    assert row_error(activity.errors[0]).line_number == 3
    (found,) = await client.contacts.all(email="zoe@example.com").collect()
    assert found.first_name == "Zoë"

    path.write_text("zoe@example.com\tx\n".replace("\tx", ""), "utf-16")
    await client.activities.remove_contacts(path, lists=["1"], encoding="utf-16")
    assert "zoe@example.com" not in await members(client, "1")


@pytest.mark.parametrize(
    ("name", "options", "field"),
    [
        ("guests.csv", {"encoding": "latin-99"}, "encoding"),
        ("guests.csv", {"encoding": "hex"}, "encoding"),
        ("guests.csv", {"encoding": "idna"}, "encoding"),
        ("guests.csv", {"encoding": 8}, "encoding"),
        ("guests.csv", {"delimiter": ""}, "delimiter"),
        ("guests.csv", {"delimiter": ";;"}, "delimiter"),
        ("guests.csv", {"delimiter": "x"}, "delimiter"),
        ("guests.csv", {"delimiter": 9}, "delimiter"),
        (None, {"encoding": "cp1252"}, "encoding"),
        (None, {"delimiter": ";"}, "delimiter"),
        ("guests.xlsx", {"delimiter": ";"}, ""),
    ],
)
async def test_a_wrong_encoding_or_delimiter_is_refused(
    client: ConstantContact, tmp_path: Path, name: str | None, options: dict[str, Any], field: str
) -> None:
    contacts: Any = ["ann@example.com"]
    if name:
        contacts = tmp_path / name
        contacts.write_bytes(GUESTS)
    with pytest.raises(errors.UsageError) as caught:
        await client.activities.begin_add_contacts(contacts, lists=["1"], **options)
    assert getattr(caught.value, "field", "") == field


async def test_a_path_of_bytes_is_read_and_a_broken_one_is_refused(
    client: ConstantContact, guests: Path
) -> None:
    with os.scandir(os.fsencode(guests.parent)) as entries:
        entry: Any = next(entries)
    assert (await client.activities.add_contacts(entry, lists=["1"])).file_name == "guests.csv"

    class Broken(os.PathLike[str]):
        def __fspath__(self) -> str:
            raise RuntimeError("gone")

    with pytest.raises(errors.InvalidField) as caught:
        await client.activities.begin_add_contacts(Broken(), lists=["1"])
    assert caught.value.field == "contacts"


async def test_a_directory_is_refused(client: ConstantContact, tmp_path: Path) -> None:
    path = tmp_path / "folder.csv"
    path.mkdir()
    with pytest.raises(errors.FileRefused, match="directory"):
        await client.activities.begin_add_contacts(path, lists=["1"])


@pytest.mark.parametrize("change", ["written", "shorter", "gone"])
@pytest.mark.parametrize("rows", [2, 100_000])
async def test_a_file_that_changes_after_the_check_is_not_sent(
    tmp_path: Path, threads: FileThreads, change: str, rows: int
) -> None:
    path = tmp_path / "gone.txt"
    path.write_bytes(b"ann@example.com\n" * rows)
    _, portions = await portions_of(
        path, Purpose.REMOVAL, lists="1", options=FileOptions(), threads=threads
    )

    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(b"bob@example.com\n" * (rows if change == "written" else 1))

    with pytest.raises(errors.FileChanged):
        await content_of(portions[-1].body)


@pytest.mark.parametrize("trouble", ["disk", "writer"])
async def test_a_file_that_fails_or_changes_while_a_part_is_read_is_not_sent(
    tmp_path: Path, threads: FileThreads, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    path = tmp_path / "gone.txt"
    path.write_bytes(b"ann@example.com\n" * 100_000)
    _, portions = await portions_of(
        path, Purpose.REMOVAL, lists="1", options=FileOptions(), threads=threads
    )
    seek = CheckedFile.seek

    def seek_in_trouble(file: CheckedFile, *where: int) -> int:
        if trouble == "disk":
            with Path("/proc/self/mem").open("rb") as unreadable:
                os.dup2(unreadable.fileno(), file.fileno())
        else:
            path.write_bytes(b"bob@example.com\n" * 100_000)
        return seek(file, *where)

    monkeypatch.setattr(CheckedFile, "seek", seek_in_trouble)
    with pytest.raises(errors.FileChanged):
        await content_of(portions[1].body)


async def test_a_spreadsheet_is_sent_unchanged(tmp_path: Path, threads: FileThreads) -> None:
    path = tmp_path / "guests.XLSX"
    path.write_bytes(b"PK\x03\x04 not looked into")

    _, (portion,) = await portions_of(
        path, Purpose.IMPORT, lists="1", options=FileOptions(), threads=threads
    )

    content = await content_of(portion.body)
    assert b"PK\x03\x04 not looked into" in content
    assert b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" in content


@pytest.mark.parametrize("kind", ["lose_response", "unavailable"])
async def test_an_unanswered_import_is_sent_once_more(
    client: ConstantContact, sandbox: Sandbox, guests: Path, kind: Any
) -> None:
    sandbox.admin.fault(kind, "POST", "/activities/*")

    activity = await client.activities.add_contacts(guests, lists=["1"])

    assert activity.status == "COMPLETE"
    assert len(sandbox.admin.requests("POST", "/activities/*")) == 2


@pytest.mark.parametrize(
    "begin",
    [
        lambda activities: activities.begin_remove_contacts(["a@example.com"], lists=["1"]),
        lambda activities: activities.begin_export_contacts("1"),
        lambda activities: activities.begin_clear_lists(["1"]),
    ],
    ids=["removal", "export", "clearing"],
)
async def test_a_start_whose_response_is_lost_is_sent_once_more(
    client: ConstantContact, sandbox: Sandbox, begin: Callable[..., Any]
) -> None:
    sandbox.admin.fault("lose_response", "POST", "/activities/*", times=None)
    with pytest.raises(errors.ConnectionLost) as caught:
        await begin(client.activities)
    assert caught.value.sent == "wholly"
    assert len(sandbox.admin.requests("POST", "/activities/*")) == 2


async def test_a_clearing_whose_response_is_cut_off_is_sent_once(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("cut_response", "POST", "/activities/*", times=None)
    assert (await client.activities.clear_lists(["1"])).status == "COMPLETE"
    assert len(sandbox.admin.requests("POST", "/activities/*")) == 1


async def test_too_many_jobs_at_once_are_waited_for(
    client: ConstantContact, sandbox: Sandbox, guests: Path
) -> None:
    sandbox.admin.fault("too_many_requests", "POST", "/activities/*", times=2)
    activity = await client.activities.add_contacts(guests, lists=["1"])
    assert activity.status == "COMPLETE"


@pytest.mark.parametrize(
    ("body", "headers", "named"),
    [
        (b'{"id": "a07e1"}', ["Location: https://x.example/v2/activities/other"], "a07e1"),
        (b"", ["Location: https://x.example/v2/activities/a07e1?x=1"], "a07e1"),
        (b'{"type": "CLEAR_CONTACTS_FROM_LISTS"}', ["Location: /v2/activities/a07e1/"], "a07e1"),
        (b'{"id": "../x"}', ["Location: /v2/activities/a07e1"], "a07e1"),
        (b"<html>", ["Location: /v2/activities/a07e1"], "a07e1"),
        (b"{}", ["Location: /v2/activities/a07e1", "Content-Encoding: gzip"], "a07e1"),
    ],
)
async def test_the_id_comes_from_the_body_or_else_from_location(
    connect: Callable[..., Any], body: bytes, headers: list[str], named: str
) -> None:
    async def accept(wire: Wire, _request: Request) -> None:
        await wire.answer("201 Created", body, *headers)

    async with serving(accept) as server:
        cc = await connect(server)
        poller = await cc.activities.begin_clear_lists(["1"])
        assert poller.id == named
        assert poller.location == f"{server.base_url}/activities/{named}"
        await cc.aclose()


@pytest.mark.parametrize(
    "body",
    [
        "<html>Log in</html>",
        '{"error": "access_denied", "id": "request-7"}',
        '{"errors": ["Forbidden"], "id": "3f2a8c1e-7a11-4b52-9c6e-0a1b2c3d4e5f"}',
    ],
)
async def test_a_login_page_or_error_starts_no_activity_and_starting_it_again_is_safe(
    client: ConstantContact, sandbox: Sandbox, body: str
) -> None:
    kind = "text/html" if body.startswith("<") else "application/json"
    page: dict[str, Any] = {"status": 200, "headers": {"content-type": kind}}
    sandbox.admin.fault("answer", "POST", "/activities/*", body=body, **page)
    with pytest.raises(errors.DecodeError, match="such as a login page") as caught:
        await client.activities.begin_clear_lists(["1"])
    assert caught.value.safe_to_retry
    assert (await client.activities.clear_lists(["1"])).status == "COMPLETE"


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"id": ""}'])
async def test_a_response_without_an_activity_id_raises_and_is_not_resent(
    connect: Callable[..., Any], body: bytes
) -> None:
    seen = []

    async def accept(wire: Wire, request: Request) -> None:
        seen.append(request.line)
        await wire.answer("201 Created", body)

    async with serving(accept) as server:
        cc = await connect(server)
        with pytest.raises(errors.OutcomeUnknown, match="returned no ID"):
            await cc.activities.begin_clear_lists(["1"])
        await cc.aclose()
    assert len(seen) == 1


async def test_an_activity_with_two_locations_that_differ_raises_and_is_not_resent(
    connect: Callable[..., Any],
) -> None:
    seen = []

    async def accept(wire: Wire, request: Request) -> None:
        seen.append(request.line)
        links = [f"Location: /v2/activities/{id_}" for id_ in ("a1", "a2")]
        await wire.answer("201 Created", b"", *links)

    async with serving(accept) as server:
        cc = await connect(server)
        with pytest.raises(errors.OutcomeUnknown, match="named different IDs"):
            await cc.activities.begin_clear_lists(["1"])
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("name", "status"), [("fail.csv", "ERROR"), ("cancelled.csv", "CANCELLED")]
)
async def test_an_activity_that_ends_badly_raises_with_its_status_and_token(
    client: ConstantContact, tmp_path: Path, name: str, status: str
) -> None:
    path = tmp_path / name
    path.write_bytes(GUESTS)

    poller = await client.activities.begin_add_contacts(path, lists=["1"])
    with pytest.raises(errors.ActivityFailed) as caught:
        await poller

    assert caught.value.status == status
    assert name in caught.value.message
    assert client.resume(caught.value.token).id == poller.id


async def test_a_wait_that_ends_early_leaves_a_token(client: ConstantContact, guests: Path) -> None:
    poller = await client.activities.begin_add_contacts(guests, lists=["1"])
    with pytest.raises(errors.PollTimeout) as caught:
        await poller.wait(timeout=0.0)
    assert client.resume(caught.value.token).id == poller.id


async def test_a_poller_of_one_activity_has_one_token(
    client: ConstantContact, guests: Path
) -> None:
    poller = await client.activities.begin_add_contacts(guests, lists=["1"])
    (token,) = poller.tokens()
    assert client.resume(token).id == client.resume(poller.token()).id == poller.id
    assert (await client.resume(token)) == await poller


async def test_activities_are_listed_by_status_and_type(
    client: ConstantContact, ear: Ear, guests: Path
) -> None:
    done = await client.activities.add_contacts(guests, lists=["1"])
    await client.activities.clear_lists(["1"])
    ear.calls.clear()

    assert len(await client.activities.all()) == 2
    (row,) = await client.activities.all(status="complete", type="add_contacts")

    assert row.id == done.id
    assert [call.query for call in ear.calls] == [
        (),
        (("status", "COMPLETE"), ("type", "ADD_CONTACTS")),
    ]
    assert await client.activities.all(status="ALL") == await client.activities.all()


@pytest.mark.parametrize("query", [{"status": "CANCELLED"}, {"status": "DONE"}, {"type": "SEND"}])
async def test_an_unknown_filter_value_is_refused_before_sending(
    client: ConstantContact, ear: Ear, query: dict[str, Any]
) -> None:
    with pytest.raises(errors.InvalidField):
        await client.activities.all(**query)
    assert ear.calls == []


async def test_one_activity_is_read_with_the_errors_of_its_rows(client: ConstantContact) -> None:
    begun = await client.activities.add_contacts(["a@example.com", "b"], lists=["1"])

    activity = await client.activities.get(begun.id)

    assert [row_error(row).line_number for row in activity.errors] == [2]
    with pytest.raises(errors.NotFound):
        await client.activities.get("unknown")


def test_waiting_for_an_activity_times_out_after_a_day() -> None:
    assert ACTIVITY.deadline == 24 * 3600
