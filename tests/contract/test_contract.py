from __future__ import annotations

import asyncio
import inspect
import json
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from ccv2_async import errors
from ccv2_async.models import Page, decode, unstructure
from ccv2_async.polling.poller import Poller
from ccv2_async.resources.base import Resource
from ccv2_async.sandbox import Sandbox
from ccv2_async.sandbox.app import OPERATIONS as SERVED
from ccv2_async.sandbox.settings import GROUPS
from ccv2_async.transport.calls.retry import Effect
from tests.contract.ear import Ear
from tests.contract.losses import lost
from tests.contract.operations import COUNTS, MADE_OF_OTHERS, OPERATIONS
from tests.contract.prepared import carried_out, prepared

if TYPE_CHECKING:
    from ccv2_async import ConstantContact
    from ccv2_async.sandbox.state.gateway import Entry
    from ccv2_async.transport.calls.call import Response
    from tests.contract.operation import Operation

KINDS = {"none": None, "json": "application/json", "multipart": "multipart/form-data"}

EFFECTS = {
    "GET": Effect.SAFE,
    "PUT": Effect.IDEMPOTENT,
    "PATCH": Effect.IDEMPOTENT,
    "DELETE": Effect.IDEMPOTENT,
    "POST": Effect.ADDITIVE,
}
# What a repeat of an activity does is settled with it: the same again, or nothing more.
SETTLED = {
    "activity_add_contacts": Effect.CONVERGENT,
    "activity_add_contacts_multipart": Effect.CONVERGENT,
    "activity_remove_contacts": Effect.CONVERGENT,
    "activity_remove_contacts_multipart": Effect.CONVERGENT,
    "activity_clear_lists": Effect.CONVERGENT,
    "activity_export_contacts": Effect.CONVERGENT,
}

PAGED = [row for row in OPERATIONS if getattr(row.answer, "__origin__", None) is Page]
UPDATES = [row for row in OPERATIONS if row.method in ("PUT", "PATCH") and row.answer]
ADDRESSED = [row for row in OPERATIONS if row.ids]
# Of files that are unknown there is no upload status, which is no error (row 18).
KNOWN = [row for row in ADDRESSED if row.name != "library_upload_status"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_client_and_sandbox_agree_on_every_operation_and_lose_nothing(
    operation: Operation,
    request: pytest.FixtureRequest,
    connect: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox, cc, stock = await prepared(operation, request, connect)
    ear = Ear.at(cc, monkeypatch)
    before = len(sandbox.admin.requests())

    result = await carried_out(operation.sample(cc, stock))

    (entry,) = sandbox.admin.requests()[before:]
    (answer,) = ear.answers
    assert entry.method == operation.method
    assert unquote(entry.path) == "/v2" + operation.path.format(**stock)
    assert entry.query == operation.query
    assert_body_is(operation, entry)
    assert entry.status in operation.codes
    assert ear.calls[0].effect is SETTLED.get(operation.name, EFFECTS[operation.method])
    assert_nothing_is_lost(operation, answer, result)


def assert_body_is(operation: Operation, entry: Entry) -> None:
    assert bool(entry.received) == (operation.body != "none")
    if operation.body != "none":
        kind = entry.headers["content-type"].partition(";")[0]
        assert kind == KINDS[operation.body]
    assert entry.parts == operation.parts


def assert_nothing_is_lost(operation: Operation, answer: Response, result: Any) -> None:
    if operation.answer is None:
        assert answer.content == b""
        return
    came = json.loads(answer.content)
    read = decode(operation.answer, answer.content)
    if isinstance(read, Page):
        came, read = came["results"], read.results
    assert came, "an empty answer would show nothing"
    assert lost(came, unstructure(read)) == []
    if not isinstance(result, Poller):
        assert result in (read, *(read if isinstance(read, list) else ()))


def page_with(link: str) -> bytes:
    pagination = {"next_link": link} if link else {}
    return json.dumps({"meta": {"pagination": pagination}, "results": []}).encode()


@pytest.mark.parametrize("operation", PAGED, ids=lambda operation: operation.name)
async def test_row_43_only_the_cursor_of_a_next_link_is_used(
    operation: Operation, sandbox: Sandbox, client: ConstantContact
) -> None:
    headers = {"content-type": "application/json"}
    for link in ("/v2/elsewhere/of/another?next=b2Zmc2V0&limit=3", ""):
        sandbox.admin.fault("answer", status=200, headers=headers, body=page_with(link))
    at = dict.fromkeys(operation.ids, "7")
    assert await operation.sample(client, at).collect() == []
    first, second = sandbox.admin.requests()
    assert first.query == operation.query
    assert second.path == first.path
    assert second.query == {"next": "b2Zmc2V0"}


@pytest.mark.parametrize("operation", UPDATES, ids=lambda operation: operation.name)
async def test_an_update_without_the_result_that_it_should_give_is_an_error(
    operation: Operation, sandbox: Sandbox, client: ConstantContact
) -> None:
    sandbox.admin.fault("answer", status=204, body=b"")
    at = dict.fromkeys((*operation.ids, *operation.needs), "7")
    with pytest.raises(errors.DecodeError, match="the call was carried out"):
        await operation.sample(client, at)


@pytest.mark.parametrize("operation", KNOWN, ids=lambda operation: operation.name)
async def test_an_unknown_id_is_not_found_and_costs_one_call(
    operation: Operation,
    client: ConstantContact,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ear = Ear.at(client, monkeypatch)
    at = dict.fromkeys((*operation.ids, *operation.needs), "No-such_id=")
    with pytest.raises(errors.NotFound) as caught:
        await carried_out(operation.sample(client, at))
    assert caught.value.status == 404
    (call,) = ear.calls
    assert call.path == operation.path.format(**dict.fromkeys(operation.ids, "No-such_id%3D"))


@pytest.mark.parametrize("operation", ADDRESSED, ids=lambda operation: operation.name)
async def test_an_id_that_would_change_the_path_is_refused_before_sending(
    operation: Operation, client: ConstantContact, sandbox: Sandbox
) -> None:
    for name, wrong in product(operation.ids, ("", "..", "7 8")):
        at = dict.fromkeys((*operation.ids, *operation.needs), "7") | {name: wrong}
        with pytest.raises(errors.InvalidField):
            await carried_out(operation.sample(client, at))
    assert sandbox.admin.requests() == []


@pytest.mark.parametrize(
    "operation",
    [row for row in OPERATIONS if row.area == "events"],
    ids=lambda operation: operation.name,
)
async def test_a_retired_operation_is_refused_once_and_says_so(
    operation: Operation, client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.configure(retired=("events",))
    at = dict.fromkeys((*operation.ids, *operation.needs), "7")
    with pytest.raises(errors.EndpointRetired, match="has withdrawn this endpoint") as caught:
        await carried_out(operation.sample(client, at))
    assert (caught.value.status, caught.value.error_key) == (400, "http.status.gone")
    assert not caught.value.safe_to_retry
    assert len(sandbox.admin.requests()) == 1


@pytest.mark.parametrize("group", GROUPS)
async def test_a_group_is_retired_alone(
    group: str, client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.configure(retired=(group,))
    calls = {
        "library": client.library.info(),
        "activities": client.activities.all(),
        "lists": client.lists.all(),
        "contacts": client.contacts.all().first(),
        "campaigns": client.campaigns.all().first(),
        "events": client.events.all().first(),
        "account": client.account.info(),
    }
    ended = await asyncio.gather(*calls.values(), return_exceptions=True)
    retired = {
        name
        for name, end in zip(calls, ended, strict=True)
        if isinstance(end, errors.EndpointRetired)
    }
    assert retired == {group}


@pytest.mark.parametrize("group", ["", "event", "tracking"])
def test_an_unknown_group_cannot_be_retired(group: str) -> None:
    with pytest.raises(ValueError, match="cannot be retired; choose from library"):
        Sandbox(retired=(group,))


def test_the_table_lists_every_operation_once() -> None:
    assert Counter(operation.area for operation in OPERATIONS) == COUNTS
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS) == 100
    rows = {(operation.method, operation.path, operation.body) for operation in OPERATIONS}
    assert len(rows) == len(OPERATIONS)


def test_the_sandbox_serves_exactly_the_operations_of_the_table() -> None:
    served = {(row.name, row.method, row.path) for row in SERVED}
    assert served == {(row.name, row.method, row.path) for row in OPERATIONS}


def test_the_sandbox_can_send_every_documented_refusal() -> None:
    served = {row.name: set(row.codes) for row in SERVED}
    for row in OPERATIONS:
        assert {code for code in row.codes if code >= 400} <= served[row.name], row.name


def test_the_sandbox_reads_exactly_the_query_parameters_of_the_table() -> None:
    served = {row.name: {name for name in row.query if name != "next"} for row in SERVED}
    assert served == {row.name: set(row.query) for row in OPERATIONS}


async def test_the_client_offers_exactly_the_operations_of_the_table(connect: Any) -> None:
    cc = await connect()
    offered = {
        f"{group}.{name}"
        for group in COUNTS
        for name, _ in inspect.getmembers(type(getattr(cc, group)), inspect.isfunction)
        if not name.startswith("_")
    }
    assert offered == {row.calls for row in OPERATIONS} | MADE_OF_OTHERS


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_row_names_the_method_that_its_sample_calls(operation: Operation) -> None:
    assert set(operation.calls.split(".")) <= set(operation.sample.__code__.co_names)


async def test_every_group_attribute_always_returns_the_same_resource(connect: Any) -> None:
    cc = await connect()
    for group in COUNTS:
        assert isinstance(getattr(cc, group), Resource)
        assert getattr(cc, group) is getattr(cc, group)
