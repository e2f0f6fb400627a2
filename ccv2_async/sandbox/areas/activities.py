"""The eight operations of bulk activities, and the CSV of an export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse
from starlette.routing import Route

from ccv2_async.sandbox import jobs
from ccv2_async.sandbox.clock import utc_stamp
from ccv2_async.sandbox.columns import EMAIL, column_name
from ccv2_async.sandbox.fields import Field
from ccv2_async.sandbox.operations import Answer, FormBody, JsonBody, Operation, Shape
from ccv2_async.sandbox.problems import absent_field, bad_field, missing
from ccv2_async.sandbox.schemas import activities as schemas
from ccv2_async.sandbox.state.activities import ADD, CLEAR, EXPORT, REMOVE, Outcome
from ccv2_async.sandbox.state.contacts import address_problem, is_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.state.activities import Activity, RowProblem
    from ccv2_async.sandbox.world import World

_STATUSES = ("UNCONFIRMED", "PENDING", "QUEUED", "RUNNING", "COMPLETE", "ERROR")
OPEN_EXPORTS = "/__sandbox__/exports"
EXPORTS = "/v2/exports"


def _show_problem(call: Call, problem: RowProblem) -> Any:
    if call.world.settings.errors_as_text:
        return f"Line {problem.line}: {problem.message}" if problem.line else problem.message
    return {"message": problem.message, "line_number": problem.line, "email_address": problem.email}


def _show(activity: Activity, status: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": activity.id,
        "type": activity.kind,
        "status": status,
        "created_date": utc_stamp(activity.created),
        "error_count": len(activity.outcome.errors),
        "contact_count": activity.outcome.count,
    }
    if status not in ("PENDING", "QUEUED"):
        row["start_date"] = utc_stamp(activity.created)
    if activity.finished is not None:
        row["finish_date"] = utc_stamp(activity.finished)
    return row


def activities_list(call: Call) -> Answer:
    """List the last fifty activities, newest first, as a bare array."""
    activities, wanted = call.world.activities, call.query
    rows = [
        _show(activity, activities.look(activity, call.now)) for activity in activities.newest()
    ]
    chosen = [
        row
        for row in rows
        if wanted["status"] in ("ALL", row["status"]) and wanted["type"] in (None, row["type"])
    ]
    return Answer(200, chosen)


def activity_get(call: Call) -> Answer:
    """Return one activity with its errors."""
    activity = call.world.activities.activity(call.ids["activityId"])
    row = _show(activity, call.world.activities.look(activity, call.now))
    outcome = activity.outcome
    row["errors"] = [_show_problem(call, problem) for problem in outcome.errors]
    row["warnings"] = [_show_problem(call, problem) for problem in outcome.warnings]
    row["file_name"] = activity.file_name if outcome.file_name is None else outcome.file_name
    return Answer(200, row)


def _begin(call: Call, kind: str, file_name: str, work: Callable[[str, float], Outcome]) -> Answer:
    activity = call.world.activities.begin(kind, file_name, call.now, work)
    body = {"id": activity.id, "type": kind, "error_count": 0, "contact_count": 0}
    return Answer(201, body, {"Location": call.url(f"/activities/{activity.id}")})


def _form(call: Call) -> tuple[str, list[str], bytes]:
    if call.form is None or call.form.content.data is None:
        raise absent_field("data")
    texts = call.form.texts
    names = [name.strip() for name in texts["lists"].split(",") if name.strip()]
    return texts["file_name"], call.world.contacts.check_lists(names), call.form.content.data


def add_contacts(call: Call) -> Answer:
    """Contacts of a JSON body, to be added to lists."""
    body, contacts = call.body, call.world.contacts
    lists, columns = contacts.check_lists(body["lists"]), body["column_names"]
    if columns and EMAIL not in map(column_name, columns):
        raise bad_field("column_names", "EMAIL has to be among them.")
    first = body["import_data"][0]["email_addresses"]
    if len(first) != 1 or not is_address(first[0]):
        raise address_problem(",".join(first))
    blanks = call.query["blanks_enabled"]

    def work(_activity_id: str, now: float) -> Outcome:
        entries = jobs.json_entries(body["import_data"], columns)
        return jobs.add_contacts(contacts, entries, lists, now, blanks=blanks)

    return _begin(call, ADD, "", work)


def add_contacts_file(call: Call) -> Answer:
    """Contacts of a file, to be added to lists."""
    file_name, lists, data = _form(call)
    contacts, blanks = call.world.contacts, call.query["blanks_enabled"]

    def work(_activity_id: str, now: float) -> Outcome:
        return jobs.add_contacts(contacts, jobs.file_entries(data), lists, now, blanks=blanks)

    return _begin(call, ADD, file_name, work)


def remove_contacts(call: Call) -> Answer:
    """Contacts of a JSON body, to be taken off lists."""
    contacts, rows = call.world.contacts, call.body["import_data"]
    lists, most = contacts.check_lists(call.body["lists"]), call.world.settings.job_addresses
    emails = [email for row in rows for email in row["email_addresses"]]
    if not 1 <= len(emails) <= most:
        raise bad_field("import_data", f"1 to {most} addresses are expected.")

    def work(_activity_id: str, now: float) -> Outcome:
        entries = (jobs.Entry(number, email) for number, email in enumerate(emails, 1))
        return jobs.remove_contacts(contacts, entries, lists, now)

    return _begin(call, REMOVE, "", work)


def remove_contacts_file(call: Call) -> Answer:
    """Contacts of a file, to be taken off lists."""
    file_name, lists, data = _form(call)
    contacts, most = call.world.contacts, call.world.settings.job_addresses

    def work(_activity_id: str, now: float) -> Outcome:
        return jobs.remove_contacts(contacts, jobs.removal_entries(data, most), lists, now)

    return _begin(call, REMOVE, file_name, work)


def clear_lists(call: Call) -> Answer:
    """Lists, to be emptied."""
    contacts = call.world.contacts
    lists = contacts.check_lists(call.body["lists"])
    return _begin(call, CLEAR, "", lambda _id, now: jobs.clear_lists(contacts, lists, now))


def export_contacts(call: Call) -> Answer:
    """Export the contacts of a list to a CSV."""
    body, world, base_url = call.body, call.world, call.base_url
    if body["lists"][0].casefold() not in jobs.SYSTEM_LISTS:
        world.contacts.check_lists(body["lists"])
    if EMAIL not in map(column_name, body["column_names"]):
        raise bad_field("column_names", "the column of the e-mail address has to be among them.")

    def work(activity_id: str, _now: float) -> Outcome:
        export = jobs.export_contacts(world.contacts, body)
        world.exports[activity_id] = export
        return Outcome(len(export.members), file_name=_export_link(world, base_url, activity_id))

    return _begin(call, EXPORT, "", work)


def _export_link(world: World, base_url: str, activity_id: str) -> str:
    name = f"{activity_id}.csv"
    origin = base_url.removesuffix("/v2")
    links = {
        "absolute": f"{origin}{EXPORTS}/{name}",
        "relative": f"{EXPORTS}/{name}",
        # The same server under a name that is another host to a client.
        "other_host": f"{origin.replace('127.0.0.1', 'localhost')}{OPEN_EXPORTS}/{name}",
    }
    return links[world.settings.export_link]


def export_routes(world: World) -> list[Route]:
    """Return the base URL of exports: with credentials, or below the admin path without."""

    async def fetch(request: Request) -> StreamingResponse:
        export = world.exports.get(request.path_params["id"])
        if export is None:
            raise missing(request.url.path)
        return StreamingResponse(_stream(export), media_type="text/csv;charset=utf-8")

    return [Route(f"{place}/{{id}}.csv", fetch) for place in (EXPORTS, OPEN_EXPORTS)]


async def _stream(export: jobs.Export) -> AsyncIterator[bytes]:
    for chunk in export.chunks():
        yield chunk


_CREATED = Shape("one", schemas.ACTIVITY_CREATED)
_CODES = (201, 400, 401, 429, 500)
_BLANKS = {"blanks_enabled": (Field("boolean"), False)}
_FILE = FormBody(
    {"file_name": Field("string", required=True), "lists": Field("string", required=True)},
    bulk=True,
)

OPERATIONS = (
    Operation(
        "activities_list",
        "GET",
        "/activities",
        activities_list,
        (200, 400, 401, 500),
        Shape("array", schemas.ACTIVITY),
        query={
            "status": (Field("string", allowed=("ALL", *_STATUSES)), "ALL"),
            "type": (Field("string", allowed=(ADD, REMOVE, CLEAR, EXPORT)), None),
        },
    ),
    Operation(
        "activity_add_contacts",
        "POST",
        "/activities/addcontacts",
        add_contacts,
        (*_CODES, 406, 415),
        _CREATED,
        query=_BLANKS,
        body=JsonBody.of(schemas.ADD_CONTACTS_REQUEST, bulk=True),
    ),
    Operation(
        "activity_add_contacts_multipart",
        "POST",
        "/activities/addcontacts",
        add_contacts_file,
        (*_CODES, 415),
        _CREATED,
        query=_BLANKS,
        body=_FILE,
    ),
    Operation(
        "activity_remove_contacts",
        "POST",
        "/activities/removefromlists",
        remove_contacts,
        _CODES,
        _CREATED,
        body=JsonBody.of(schemas.REMOVE_CONTACTS_REQUEST, bulk=True),
    ),
    Operation(
        "activity_remove_contacts_multipart",
        "POST",
        "/activities/removefromlists",
        remove_contacts_file,
        (*_CODES, 415),
        _CREATED,
        body=_FILE,
    ),
    Operation(
        "activity_clear_lists",
        "POST",
        "/activities/clearlists",
        clear_lists,
        _CODES,
        _CREATED,
        body=JsonBody.of(schemas.CLEAR_LISTS_REQUEST),
    ),
    Operation(
        "activity_export_contacts",
        "POST",
        "/activities/exportcontacts",
        export_contacts,
        _CODES,
        _CREATED,
        body=JsonBody.of(schemas.EXPORT_CONTACTS_REQUEST),
    ),
    Operation(
        "activity_get",
        "GET",
        "/activities/{activityId}",
        activity_get,
        (200, 400, 401, 404, 500),
        Shape("one", schemas.ACTIVITY),
    ),
)
