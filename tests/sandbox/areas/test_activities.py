from __future__ import annotations

import csv
import io
import zipfile
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.sandbox.jobs import anniversary_problem, column_name, read_table
from ccv2_async.sandbox.state.activities import UnreadableFile

if TYPE_CHECKING:
    from ccv2_async.sandbox import Sandbox

CSV = (
    "Email Address,First Name,Last Name,City,Custom Field 3,ANNIVERSARY\r\n"
    'ann@example.com,Ann,"Lee, Jr.",Boston,blue,03/12/2005\r\n'
    "not an address,X,Y,,,\r\n"
    "\r\n"
    "bob@example.com,Bob,,,,12/40/2005\r\n"
    "cid@example.com,Cid,,,,\r\n"
)
EXPORT: dict[str, Any] = {
    "file_type": "CSV",
    "sort_by": "EMAIL_ADDRESS",
    "export_date_added": False,
    "export_added_by": False,
    "lists": ["1"],
    "column_names": ["Email Address", "First Name", "Custom field 3", "City"],
}


def begin(api: httpx.Client, path: str, **kinds: Any) -> str:
    answer = api.post(f"/activities/{path}", **kinds)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert answer.headers["location"].endswith(f"/v2/activities/{body['id']}")
    assert (body["error_count"], body["contact_count"]) == (0, 0)
    activity_id: str = body["id"]
    return activity_id


def form(name: str, data: bytes | str, lists: str = "1") -> dict[str, Any]:
    return {"data": {"file_name": name, "lists": lists}, "files": {"data": (name, data)}}


def ended(api: httpx.Client, activity_id: str) -> dict[str, Any]:
    row: dict[str, Any] = api.get(f"/activities/{activity_id}").json()
    return row


def key_of(answer: httpx.Response) -> str:
    (error,) = answer.json()
    key: str = error["error_key"]
    return key


def test_an_import_adds_the_rows_of_a_file_and_reports_the_bad_ones_by_line(
    api: httpx.Client,
) -> None:
    row = ended(api, begin(api, "addcontacts", **form("people.csv", CSV)))
    assert (row["status"], row["type"], row["file_name"]) == (
        "COMPLETE",
        "ADD_CONTACTS",
        "people.csv",
    )
    assert (row["contact_count"], row["error_count"]) == (4, 2)
    assert [(fault["line_number"], fault["email_address"]) for fault in row["errors"]] == [
        (3, "not an address"),
        (5, "bob@example.com"),
    ]
    assert api.get("/lists/1").json()["contact_count"] == 2
    (ann,) = api.get("/contacts", params={"email": "ann@example.com"}).json()["results"]
    assert (ann["first_name"], ann["last_name"]) == ("Ann", "Lee, Jr.")
    (address,) = ann["addresses"]
    assert address.pop("id")
    assert address == {"address_type": "PERSONAL", "city": "Boston"}
    assert ann["custom_fields"][0]["value"] == "blue"


def test_errors_can_come_as_text(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.admin.configure(errors_as_text=True)
    row = ended(api, begin(api, "addcontacts", **form("people.csv", CSV)))
    assert row["errors"][0] == "Line 3: The email address is not valid."
    row = ended(api, begin(api, "addcontacts", **form("people.csv", "")))
    assert row["errors"] == ["The file is empty."]


def test_an_import_updates_and_erases_only_on_request(api: httpx.Client) -> None:
    begin_and_end = "email,first name,last name\nann@example.com,Ann,Lee\n"
    ended(api, begin(api, "addcontacts", **form("a.csv", begin_and_end)))
    blank = "EMAIL\tFIRST NAME\tLAST NAME\nANN@example.com\t\tLeigh\n"
    ended(api, begin(api, "addcontacts", **form("a.txt", blank)))
    (ann,) = api.get("/contacts").json()["results"]
    assert (ann["first_name"], ann["last_name"]) == ("Ann", "Leigh")
    params = {"blanks_enabled": "true"}
    ended(api, begin(api, "addcontacts", params=params, **form("a.txt", blank)))
    (ann,) = api.get("/contacts").json()["results"]
    assert ann["first_name"] == ""


def test_a_json_import_reads_only_the_named_columns(api: httpx.Client) -> None:
    body = {
        "import_data": [
            {
                "email_addresses": ["ann@example.com"],
                "first_name": "Ann",
                "job_title": "Baker",
                "addresses": [{"line1": "1 Road", "city": "Boston"}],
                "custom_fields": [{"name": "custom_field_6", "value": "jeans"}],
            },
            {"email_addresses": ["a@example.com", "b@example.com"]},
        ],
        "lists": ["1"],
        "column_names": ["Email", "FIRST NAME", "CITY", "CUSTOM FIELD 6"],
    }
    row = ended(api, begin(api, "addcontacts", json=body))
    assert (row["contact_count"], row["error_count"]) == (2, 1)
    assert row["errors"][0]["line_number"] == 2
    (ann,) = api.get("/contacts").json()["results"]
    assert (ann["first_name"], ann["job_title"]) == ("Ann", "")
    (address,) = ann["addresses"]
    assert address.pop("id")
    assert address == {"address_type": "PERSONAL", "city": "Boston"}
    assert ann["custom_fields"][0]["name"] == "CustomField6"


def test_a_json_import_without_columns_reads_only_addresses(api: httpx.Client) -> None:
    body = {
        "import_data": [{"email_addresses": ["ann@example.com"], "first_name": "Ann"}],
        "lists": ["1"],
        "column_names": [],
    }
    ended(api, begin(api, "addcontacts", json=body))
    (ann,) = api.get("/contacts").json()["results"]
    assert ann["first_name"] == ""


def test_an_opted_out_contact_is_left_alone_with_a_warning(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    sandbox.admin.add_contacts(1)
    api.delete("/contacts/1")
    row = ended(api, begin(api, "addcontacts", **form("a.csv", "EMAIL\ncontact1@example.com\n")))
    assert row["warnings"][0]["email_address"] == "contact1@example.com"
    assert api.get("/contacts/1").json()["status"] == "OPTOUT"


def test_a_removal_takes_contacts_off_the_lists(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.admin.add_contacts(3)
    data = "contact1@example.com\n\nnobody@example.com\nno address\na@example.com,b@example.com\n"
    row = ended(api, begin(api, "removefromlists", **form("gone.txt", data)))
    assert (row["type"], row["contact_count"]) == ("REMOVE_CONTACTS_FROM_LISTS", 4)
    assert [fault["line_number"] for fault in row["errors"]] == [3, 4, 5]
    assert api.get("/lists/1").json()["contact_count"] == 2
    body = {"import_data": [{"email_addresses": ["contact2@example.com"]}], "lists": ["1"]}
    assert ended(api, begin(api, "removefromlists", json=body))["error_count"] == 0
    assert api.get("/lists/1").json()["contact_count"] == 1


def test_lists_are_cleared_but_kept(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.admin.add_contacts(3)
    row = ended(api, begin(api, "clearlists", json={"lists": ["1"]}))
    assert (row["type"], row["contact_count"]) == ("CLEAR_CONTACTS_FROM_LISTS", 3)
    assert api.get("/lists/1").json()["contact_count"] == 0


def test_an_export_is_a_csv_that_can_be_fetched_with_credentials(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    ended(api, begin(api, "addcontacts", **form("people.csv", CSV)))
    sandbox.admin.add_contacts(1200)
    row = ended(api, begin(api, "exportcontacts", json={**EXPORT, "export_added_by": True}))
    assert row["contact_count"] == 1202
    assert row["file_name"].startswith(sandbox.base_url)
    answer = api.get(row["file_name"])
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == [*EXPORT["column_names"], "Added By"]
    assert rows[1] == ["ann@example.com", "Ann", "blue", "Boston", "API Bulk Import"]
    assert len(rows) == 1203
    assert httpx.get(row["file_name"]).status_code == 403


@pytest.mark.parametrize(
    ("link", "start"),
    [("relative", "/v2/exports/"), ("other_host", "http://localhost:")],
)
def test_the_link_to_an_export_comes_in_several_forms(
    sandbox: Sandbox, api: httpx.Client, link: Any, start: str
) -> None:
    sandbox.admin.add_contacts(1)
    sandbox.admin.configure(export_link=link)
    name = ended(api, begin(api, "exportcontacts", json=EXPORT))["file_name"]
    assert name.startswith(start)
    url = name.replace("localhost", "127.0.0.1") if link == "other_host" else sandbox.origin + name
    with httpx.Client() as stranger:
        client = stranger if link == "other_host" else api
        assert "contact1@example.com" in client.get(url).text


def test_a_missing_export_is_a_404(sandbox: Sandbox, api: httpx.Client) -> None:
    assert api.get(f"{sandbox.base_url}/exports/nothing.csv").status_code == 404


@pytest.mark.parametrize(
    ("name", "emails"),
    [
        ("active", ["contact1@example.com", "contact3@example.com"]),
        ("Opted-Out", ["contact2@example.com"]),
    ],
)
def test_the_systems_own_lists_can_be_exported(
    sandbox: Sandbox, api: httpx.Client, name: str, emails: list[str]
) -> None:
    sandbox.admin.add_contacts(3)
    api.delete("/contacts/2")
    body = {**EXPORT, "lists": [name], "column_names": ["EMAIL"], "sort_by": "DATE_DESC"}
    row = ended(api, begin(api, "exportcontacts", json={**body, "export_date_added": True}))
    lines = api.get(row["file_name"]).text.splitlines()
    assert sorted(line.partition(",")[0] for line in lines[1:]) == emails


PERSON = {"email_addresses": ["a@example.com"]}


@pytest.mark.parametrize(
    ("path", "body", "key"),
    [
        (
            "addcontacts",
            {"import_data": [PERSON], "lists": ["9"], "column_names": []},
            "json.field.lists.value.invalid",
        ),
        (
            "addcontacts",
            {"import_data": [PERSON], "lists": ["1"]},
            "json.field.column_names.missing",
        ),
        (
            "addcontacts",
            {"import_data": [PERSON], "lists": ["1"], "column_names": ["FIRST NAME"]},
            "json.field.column_names.value.invalid",
        ),
        (
            "addcontacts",
            {"import_data": [], "lists": ["1"], "column_names": []},
            "json.field.import_data.value.invalid",
        ),
        (
            "addcontacts",
            {"import_data": [{"email_addresses": ["x"]}], "lists": ["1"], "column_names": []},
            "json.email.invalid",
        ),
        (
            "removefromlists",
            {"import_data": [PERSON], "lists": []},
            "json.field.lists.value.invalid",
        ),
        (
            "removefromlists",
            {"import_data": [], "lists": ["1"]},
            "json.field.import_data.value.invalid",
        ),
        ("clearlists", {"lists": []}, "json.field.lists.value.invalid"),
        ("exportcontacts", {**EXPORT, "lists": ["1", "1"]}, "json.field.lists.value.invalid"),
        ("exportcontacts", {**EXPORT, "lists": ["9"]}, "json.field.lists.value.invalid"),
        ("exportcontacts", {**EXPORT, "column_names": []}, "json.field.column_names.value.invalid"),
        ("exportcontacts", {**EXPORT, "file_type": "PDF"}, "json.field.file_type.value.invalid"),
    ],
)
def test_a_job_that_breaks_a_rule_is_refused(
    api: httpx.Client, path: str, body: dict[str, Any], key: str
) -> None:
    answer = api.post(f"/activities/{path}", json=body)
    assert (answer.status_code, key_of(answer)) == (400, key)
    assert api.get("/activities").json() == []


def test_limits_on_size_and_number_are_enforced(sandbox: Sandbox, api: httpx.Client) -> None:
    large = form("x.csv", "EMAIL\n" + "x" * 4_000_000)
    assert api.post("/activities/addcontacts", **large).status_code == 413
    many = [{"email_addresses": ["a@example.com"]}] * 20_001
    body = {"import_data": many, "lists": ["1"]}
    assert api.post("/activities/removefromlists", json=body).status_code == 400
    lines = "a@example.com\n" * 20_001
    row = ended(api, begin(api, "removefromlists", **form("x.txt", lines)))
    assert (row["status"], row["error_count"]) == ("ERROR", 1)


@pytest.mark.parametrize(
    ("path", "name", "data", "status"),
    [
        ("addcontacts", "fail.csv", "EMAIL\na@example.com", "ERROR"),
        ("addcontacts", "cancelled.csv", "EMAIL\na@example.com", "CANCELLED"),
        ("addcontacts", "x.csv", "", "ERROR"),
        ("addcontacts", "x.csv", "FIRST NAME\nAnn", "ERROR"),
        ("addcontacts", "x.csv", 'EMAIL\n"' + "y" * 200_000, "ERROR"),
        ("addcontacts", "x.xlsx", b"PK\x03\x04 no workbook", "ERROR"),
        ("addcontacts", "x.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 no workbook", "ERROR"),
    ],
)
def test_a_job_that_fails_changes_nothing(
    api: httpx.Client, path: str, name: str, data: bytes | str, status: str
) -> None:
    row = ended(api, begin(api, path, **form(name, data)))
    assert row["status"] == status
    assert api.get("/contacts").json()["results"] == []


def test_each_status_request_moves_a_job_forward(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.admin.configure(mode="looks", looks=4)
    activity_id = begin(api, "addcontacts", **form("x.csv", "EMAIL\na@example.com"))
    seen = [ended(api, activity_id) for _ in range(2)] + api.get("/activities").json()
    seen += [ended(api, activity_id) for _ in range(2)]
    assert [row["status"] for row in seen] == [
        "PENDING",
        "QUEUED",
        "RUNNING",
        "RUNNING",
        "COMPLETE",
    ]
    assert [row["contact_count"] for row in seen] == [0, 0, 0, 0, 1]
    assert ["finish_date" in row for row in seen] == [False] * 4 + [True]


def test_a_job_on_a_timer_completes_without_status_requests(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    sandbox.admin.configure(mode="seconds", seconds=60)
    begin(api, "addcontacts", **form("x.csv", "EMAIL\na@example.com"))
    assert api.get("/contacts").json()["results"] == []
    sandbox.admin.advance(61)
    assert len(api.get("/contacts").json()["results"]) == 1


def test_the_job_list_is_filtered_by_status_and_type_and_ends_at_fifty(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    ids = [begin(api, "clearlists", json={"lists": ["1"]}) for _ in range(52)]
    rows = api.get("/activities").json()
    assert [row["id"] for row in rows] == ids[:1:-1]
    assert "errors" not in rows[0]
    ended(api, begin(api, "addcontacts", **form("fail.csv", CSV)))
    failed = api.get("/activities", params={"status": "ERROR"}).json()
    assert [row["type"] for row in failed] == ["ADD_CONTACTS"]
    added = api.get("/activities", params={"type": "EXPORT_CONTACTS"}).json()
    assert added == []
    assert api.get("/activities", params={"status": "ODD"}).status_code == 400


def test_a_job_is_kept_for_fourteen_days(sandbox: Sandbox, api: httpx.Client) -> None:
    activity_id = begin(api, "clearlists", json={"lists": ["1"]})
    sandbox.admin.advance(13 * 86_400)
    assert ended(api, activity_id)["status"] == "COMPLETE"
    sandbox.admin.advance(86_400)
    assert api.get(f"/activities/{activity_id}").status_code == 404
    assert api.get("/activities").json() == []


def test_too_many_jobs_at_once_are_refused(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.admin.configure(max_jobs=1, mode="seconds")
    begin(api, "clearlists", json={"lists": ["1"]})
    answer = api.post("/activities/clearlists", json={"lists": ["1"]})
    assert (answer.status_code, key_of(answer)) == (429, "http.status.too_many_requests")
    sandbox.admin.advance(1000)
    begin(api, "clearlists", json={"lists": ["1"]})


def test_a_job_needs_one_of_its_two_content_types(api: httpx.Client) -> None:
    answer = api.post("/activities/addcontacts", content=b"x", headers={"content-type": "text/csv"})
    assert answer.status_code == 415
    assert "application/json or multipart/form-data" in answer.json()[0]["error_message"]


def workbook(rows: list[list[str]]) -> bytes:
    cells = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>"
        for row in rows
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    types = "http://schemas.openxmlformats.org/package/2006/content-types"
    sheet_type = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{types}">'
        '<Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{sheet_type}.sheet.main+xml"/>'
        "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{package}"><Relationship Id="r1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="People" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}"><Relationship Id="r1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}'
        "</sheetData></worksheet>",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return out.getvalue()


def test_spreadsheets_are_read(api: httpx.Client) -> None:
    data = workbook([["Email", "First Name"], ["ann@example.com", "Ann"], ["nobody", "X"]])
    row = ended(api, begin(api, "addcontacts", **form("people.xlsx", data)))
    assert (row["status"], row["contact_count"]) == ("COMPLETE", 2)
    assert row["errors"][0]["line_number"] == 3
    (ann,) = api.get("/contacts").json()["results"]
    assert ann["first_name"] == "Ann"


def test_text_that_is_not_utf_8_is_read_as_latin_1() -> None:
    (line,) = read_table("Jos\u00e9,x\n".encode("iso-8859-1"))
    assert line.cells == ["Jos\u00e9", "x"]


def test_a_field_over_several_lines_does_not_shift_line_numbers() -> None:
    lines = read_table(b'\xef\xbb\xbfa,"b\nc"\n\nd,e\n')
    assert [(line.number, line.cells) for line in lines] == [(1, ["a", "b\nc"]), (4, ["d", "e"])]


def test_a_malformed_table_is_an_error_with_its_line() -> None:
    with pytest.raises(UnreadableFile, match="Line 2"):
        read_table(b'a\n"' + b"y" * 200_000)


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        (" e-mail ", "EMAIL"),
        ("Email  Address", "EMAIL"),
        ("custom_field_7", "CUSTOM FIELD 7"),
        ("Custom Field 16", "CUSTOM FIELD 16"),
        ("US State/CA Province", "STATE"),
        ("Shoe size", "SHOE SIZE"),
    ],
)
def test_column_names_are_recognized_in_any_spelling(heading: str, name: str) -> None:
    assert column_name(heading) == name


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("3/1/2005", True),
        ("03/12/2005", True),
        ("2005/3/1", True),
        ("2005-03-01", True),
        ("3-1-2005", True),
        ("2036-01-01", True),
        ("2037-01-01", False),
        ("1900-01-01", False),
        ("2005-13-01", False),
        ("01.03.2005", False),
    ],
)
def test_anniversaries_are_dates_in_the_documented_forms(text: str, fine: bool) -> None:
    assert (anniversary_problem(text, 2026) is None) == fine
