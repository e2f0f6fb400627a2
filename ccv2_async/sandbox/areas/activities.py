"""The operations of bulk activities, and the CSV of an export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import StreamingResponse
from starlette.routing import Route

from ccv2_async.sandbox import jobs
from ccv2_async.sandbox.clock import utc_stamps
from ccv2_async.sandbox.fields import Model, define, describe
from ccv2_async.sandbox.jobs import EMAIL, column_name
from ccv2_async.sandbox.operations import Operations
from ccv2_async.sandbox.responses import APIResponse, absent_field, bad_field, missing
from ccv2_async.sandbox.state.activities import ADD, CLEAR, EXPORT, REMOVE, Entry, Work
from ccv2_async.sandbox.state.contacts import check_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.requests import Request

    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.state.activities import Activity, RowProblem
    from ccv2_async.sandbox.world import World

_Starter = TypeVar("_Starter", bound="Callable[[Call], APIResponse]")
OPERATIONS = Operations()
define(
    """
    ActivityCreated: id!:id type error_count:int contact_count:int
    RowError: message line_number:int email_address
    Activity: id!:id type status file_name created_date:date start_date:date finish_date:date
        contact_count:int error_count:int errors:text|RowError[] warnings:text|RowError[]
    ImportAddress: address_type:PERSONAL|BUSINESS line1 line2 line3 city state country_code
        postal_code sub_postal_code state_code<=50
    ImportCustomField: name! value!
    ImportData: email_addresses!:string[] first_name middle_name last_name birthday_month
        birthday_day anniversary job_title company_name work_phone home_phone
        addresses:ImportAddress[] custom_fields:ImportCustomField[]
    Removal: email_addresses!:string[]
    AddContactsRequest: import_data!:ImportData[]>=1 lists!:id[]>=1 column_names!:string[]
    RemoveContactsRequest: import_data!:Removal[]>=1 lists!:id[]>=1
    ClearListsRequest: lists!:id[]>=1
    ExportContactsRequest: file_type!:|CSV sort_by!:EMAIL_ADDRESS|DATE_DESC export_date_added!:bool
        export_added_by!:bool lists!:id[]>=1<=1 column_names!:string[]>=1
    """
)

OPEN_EXPORTS = "/__sandbox__/exports"
EXPORTS = "/v2/exports"
_BLANKS = "blanks_enabled:bool=false"
_FILE = Model("Form", **describe("file_name! lists!"))


def _starts(
    path: str, body: str | Model, *codes: int, query: str = ""
) -> Callable[[_Starter], _Starter]:
    """Return a decorator that registers a handler as the operation that starts a job."""
    codes = (201, 400, 401, 429, 500, *codes)
    return OPERATIONS.add("POST", path, "ActivityCreated", codes=codes, query=query, body=body)


def _show_problem(call: Call, problem: RowProblem) -> Any:
    if call.world.settings.errors_as_text:
        return f"Line {problem.line}: {problem.message}" if problem.line else problem.message
    return {"message": problem.message, "line_number": problem.line, "email_address": problem.email}


def _show(activity: Activity, status: str) -> dict[str, Any]:
    created, finished, outcome = activity.created, activity.finished, activity.outcome
    started = None if status in ("PENDING", "QUEUED") else created
    return {
        "id": activity.id,
        "type": activity.kind,
        "status": status,
        "error_count": len(outcome.errors),
        "contact_count": outcome.count,
        **utc_stamps(created_date=created, start_date=started, finish_date=finished),
    }


@OPERATIONS.add(
    "GET",
    "/activities",
    "Activity[]",
    codes=(200, 400, 401, 500),
    query="status:ALL|UNCONFIRMED|PENDING|QUEUED|RUNNING|COMPLETE|ERROR=ALL "
    f"type:{ADD}|{REMOVE}|{CLEAR}|{EXPORT}",
)
def activities_list(call: Call) -> list[dict[str, Any]]:
    """List the last fifty activities, newest first, as a bare array."""
    activities, wanted = call.world.activities, call.query
    rows = [_show(row, activities.look(row, call.now)) for row in activities.newest()]
    return [
        row
        for row in rows
        if wanted["status"] in ("ALL", row["status"]) and wanted["type"] in (None, row["type"])
    ]


def _begin(call: Call, kind: str, work: Work, file_name: str = "") -> APIResponse:
    activity = call.world.activities.begin(kind, file_name, call.now, work)
    body = {"id": activity.id, "type": kind, "error_count": 0, "contact_count": 0}
    return APIResponse(201, body, {"Location": call.url(f"/activities/{activity.id}")})


def _form(call: Call) -> tuple[str, list[str], bytes]:
    data = None if call.form is None else call.form.content.data
    if call.form is None or data is None:
        raise absent_field("data")
    texts = call.form.texts
    names = [name.strip() for name in texts["lists"].split(",") if name.strip()]
    return texts["file_name"], call.world.contacts.check_lists(names), data


@_starts("/activities/addcontacts", "AddContactsRequest", 406, 415, query=_BLANKS)
def activity_add_contacts(call: Call) -> APIResponse:
    """Add the contacts of a JSON body to lists.

    The lists must exist. `column_names` must be empty or include EMAIL, and names the columns that
    are read. Each row must have one address. The first row's address is checked immediately; any
    other problem with a row is an error of the job. The body may have at most 4,000,000 bytes.
    """
    rows, columns = call.body["import_data"], call.body["column_names"]
    lists = call.world.contacts.check_lists(call.body["lists"])
    if columns and EMAIL not in map(column_name, columns):
        raise bad_field("column_names", "they must include EMAIL.")
    check_address(",".join(rows[0]["email_addresses"]))
    entries = list(jobs.json_entries(rows, columns))
    return _begin(call, ADD, Work(lists, entries, blanks=call.query["blanks_enabled"]))


@_starts("/activities/addcontacts", _FILE, 415, query=_BLANKS)
def activity_add_contacts_multipart(call: Call) -> APIResponse:
    """Add the contacts of a file to lists.

    The lists must exist; `lists` holds their IDs, joined by commas. The file must be a CSV or a
    spreadsheet, and its first row must name the columns, including EMAIL. It may have at most
    4,000,000 bytes.
    """
    file_name, lists, data = _form(call)
    return _begin(call, ADD, Work(lists, file=data, blanks=call.query["blanks_enabled"]), file_name)


@_starts("/activities/removefromlists", "RemoveContactsRequest")
def activity_remove_contacts(call: Call) -> APIResponse:
    """Remove the contacts of a JSON body from lists.

    The lists must exist. There must be 1 to 20,000 addresses in total, and the body may have at
    most 4,000,000 bytes.
    """
    lists = call.world.contacts.check_lists(call.body["lists"])
    most = call.world.settings.job_addresses
    emails = [email for row in call.body["import_data"] for email in row["email_addresses"]]
    if not 1 <= len(emails) <= most:
        raise bad_field("import_data", f"1 to {most} addresses are expected.")
    entries = [Entry(number, email) for number, email in enumerate(emails, 1)]
    return _begin(call, REMOVE, Work(lists, entries))


@_starts("/activities/removefromlists", _FILE, 415)
def activity_remove_contacts_multipart(call: Call) -> APIResponse:
    """Remove the contacts of a file from lists.

    The lists must exist; `lists` holds their IDs, joined by commas. The file must be a CSV or a
    spreadsheet of at most 4,000,000 bytes, with one address per row, at most 20,000, and without
    headings.
    """
    file_name, lists, data = _form(call)
    return _begin(call, REMOVE, Work(lists, file=data), file_name)


@_starts("/activities/clearlists", "ClearListsRequest")
def activity_clear_lists(call: Call) -> APIResponse:
    """Remove all contacts from lists.

    The lists must exist.
    """
    return _begin(call, CLEAR, Work(call.world.contacts.check_lists(call.body["lists"])))


@_starts("/activities/exportcontacts", "ExportContactsRequest")
def activity_export_contacts(call: Call) -> APIResponse:
    """Export the contacts of a list to a CSV file.

    The list must exist, or be active, opted-out, or removed. `column_names` must include EMAIL.
    """
    body, contacts = call.body, call.world.contacts
    if body["lists"][0].casefold() not in jobs.SYSTEM_LISTS:
        contacts.check_lists(body["lists"])
    if EMAIL not in map(column_name, body["column_names"]):
        raise bad_field("column_names", "they must include the column of the email address.")
    return _begin(call, EXPORT, Work(asked=body))


@OPERATIONS.add("GET", "/activities/{activityId}", "Activity", codes=(200, 400, 401, 404, 500))
def activity_get(call: Call) -> dict[str, Any]:
    """Return one activity with its errors."""
    activity = call.world.activities.activity(call.ids["activityId"])
    row = _show(activity, call.world.activities.look(activity, call.now))
    outcome = activity.outcome
    row["errors"] = [_show_problem(call, problem) for problem in outcome.errors]
    row["warnings"] = [_show_problem(call, problem) for problem in outcome.warnings]
    row["file_name"] = activity.file_name
    if outcome.export is not None:
        row["file_name"] = _export_link(call, activity.id)
    return row


def _export_link(call: Call, activity_id: str) -> str:
    name, origin = f"{activity_id}.csv", call.origin
    links = {
        "absolute": f"{origin}{EXPORTS}/{name}",
        "relative": f"{EXPORTS}/{name}",
        # The same server under a name that is another host to a client.
        "other_host": f"{origin.replace('127.0.0.1', 'localhost')}{OPEN_EXPORTS}/{name}",
    }
    return links[call.world.settings.export_link]


def export_routes(world: World) -> list[Route]:
    """Return the routes of exports: with credentials, or below the admin path without them."""

    async def fetch(request: Request) -> StreamingResponse:
        activity = world.activities.activities.get(request.path_params["id"])
        if activity is None or activity.outcome.export is None:
            raise missing(request.url.path)
        chunks = jobs.export_chunks(world.contacts, activity.outcome.export)
        return StreamingResponse(_stream(chunks), media_type="text/csv;charset=utf-8")

    return [Route(f"{place}/{{id}}.csv", fetch) for place in (EXPORTS, OPEN_EXPORTS)]


async def _stream(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    # Starlette would move a plain iterator to a thread.
    for chunk in chunks:
        yield chunk
