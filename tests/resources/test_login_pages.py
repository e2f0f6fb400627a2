"""A page that arrives in place of a response, with a status of success, is never believed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from ccv2_async import errors, models

if TYPE_CHECKING:
    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox

HTML = {"content-type": "text/html"}
JSON = {"content-type": "application/json"}
PAGE: dict[str, Any] = {"status": 200, "body": "<!DOCTYPE html><h1>Log in</h1>", "headers": HTML}
WHO = "Something other than the service answered, such as a login page"
FILE = models.LibraryFile(id="7", name="menu.pdf")

Change: TypeAlias = Callable[["ConstantContact"], Awaitable[Any]]

DELETIONS: dict[str, Change] = {
    "opt_out": lambda cc: cc.contacts.opt_out("7"),
    "remove_from_lists": lambda cc: cc.contacts.remove_from_lists("7"),
    "remove_from_list": lambda cc: cc.contacts.remove_from_list("7", "1"),
    "delete_files": lambda cc: cc.library.delete_files("7", "8"),
    "delete_folder": lambda cc: cc.library.delete_folder("-7"),
    "empty_trash": lambda cc: cc.library.empty_trash(),
    "list": lambda cc: cc.lists.delete("7"),
    "campaign": lambda cc: cc.campaigns.delete("7"),
}
REPLACEMENTS: dict[str, Change] = {
    "file": lambda cc: cc.library.replace_file(FILE),
    "file without its record": lambda cc: cc.library.replace_file(FILE, include_payload=False),
    "move": lambda cc: cc.library.move_files("-7", "7"),
    "status of an event": lambda cc: cc.events.publish("7"),
}
ADDITIONS: dict[str, Change] = {
    "list": lambda cc: cc.lists.create("Guests"),
    "folder": lambda cc: cc.library.create_folder("Menus"),
    "address": lambda cc: cc.account.add_verified_email("ann@example.com"),
}


@pytest.mark.parametrize(
    "change", [*DELETIONS.values(), *REPLACEMENTS.values()], ids=[*DELETIONS, *REPLACEMENTS]
)
async def test_a_page_does_not_end_a_change_and_the_change_is_safe_to_repeat(
    client: ConstantContact, sandbox: Sandbox, change: Change
) -> None:
    sandbox.admin.fault("answer", **PAGE)
    with pytest.raises(errors.DecodeError, match=WHO) as caught:
        await change(client)
    assert caught.value.safe_to_retry
    assert caught.value.status == 200
    assert "carried out" not in str(caught.value)


ERRORS = [
    '{"error": "access_denied", "error_description": "Log in first"}',
    '{"message": "Forbidden"}',
    '{"fault": {"faultstring": "Invalid access token"}}',
    '{"errors": ["Forbidden"], "id": "request-7"}',
    '[{"error_key": "http.status.bad_request", "error_message": "No."}]',
    '"Forbidden"',
    '{"Message": "User is not authorized", "id": "7"}',
    '{"errorMessage": "timeout", "name": "Guests"}',
]
ERRORS_IN_PLACE_OF_NOTHING = [
    '{"success": false, "code": 403}',
    '{"detail": "Not authenticated"}',
    '{"title": "Forbidden", "status": 403}',
    "false",
    "403",
    '{"id": "", "action": "blocked"}',
    '{"id": "files"}',
    '{"id": "contacts"}',
]
PROBLEM = {"content-type": "application/problem+json"}
"""The type of an error according to RFC 9457."""


@pytest.mark.parametrize(
    ("name", "body"),
    [
        *product([*DELETIONS, *REPLACEMENTS], ERRORS),
        *product(DELETIONS, ERRORS_IN_PLACE_OF_NOTHING),
    ],
)
async def test_an_error_in_json_with_a_status_of_success_does_not_end_a_change(
    client: ConstantContact, sandbox: Sandbox, name: str, body: str
) -> None:
    sandbox.admin.fault("answer", status=200, body=body, headers=JSON)
    with pytest.raises(errors.DecodeError, match=WHO) as caught:
        await (DELETIONS | REPLACEMENTS)[name](client)
    assert caught.value.safe_to_retry
    assert caught.value.status == 200
    assert "carried out" not in str(caught.value)


@pytest.mark.parametrize("change", DELETIONS.values(), ids=DELETIONS)
async def test_a_deletion_is_not_done_if_the_body_is_declared_as_an_error(
    client: ConstantContact, sandbox: Sandbox, change: Change
) -> None:
    sandbox.admin.fault("answer", status=200, body='{"id": "7"}', headers=PROBLEM)
    with pytest.raises(errors.DecodeError, match=WHO):
        await change(client)


@pytest.mark.parametrize("body", ERRORS)
@pytest.mark.parametrize("change", ADDITIONS.values(), ids=[*ADDITIONS])
async def test_after_an_error_in_json_it_is_unknown_whether_something_was_added(
    client: ConstantContact, sandbox: Sandbox, change: Change, body: str
) -> None:
    sandbox.admin.fault("answer", status=200, body=body, headers=JSON)
    with pytest.raises(errors.OutcomeUnknown, match=WHO):
        await change(client)


async def test_an_error_in_json_is_named_without_the_token(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    body = '{"error": "denied", "message": "Unknown token sandbox-token"}'
    sandbox.admin.fault("answer", status=200, body=body, headers=JSON)
    with pytest.raises(errors.DecodeError, match="denied: Unknown token") as caught:
        await client.lists.delete("7")
    assert "sandbox-token" not in str(caught.value)


@pytest.mark.parametrize("headers", [HTML, JSON, {}], ids=["HTML", "JSON", "no type"])
@pytest.mark.parametrize("change", ADDITIONS.values(), ids=[*ADDITIONS])
async def test_after_a_page_it_is_unknown_whether_something_was_added(
    client: ConstantContact, sandbox: Sandbox, change: Change, headers: dict[str, str]
) -> None:
    sandbox.admin.fault("answer", **{**PAGE, "headers": headers})
    with pytest.raises(errors.OutcomeUnknown, match=WHO):
        await change(client)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ("<html>", {}),
        ("<html>", JSON),
        ("\n <html>", JSON),
        ("Log in", {"content-type": "text/plain"}),
        ('{"id": "request-9", "status": "blocked"}', JSON),
        ('{"id": "8", "status": "REMOVED"}', JSON),
    ],
)
async def test_a_deletion_is_not_done_if_the_body_is_a_page_or_about_something_else(
    client: ConstantContact, sandbox: Sandbox, body: str, headers: dict[str, str]
) -> None:
    sandbox.admin.fault("answer", status=200, body=body, headers=headers)
    with pytest.raises(errors.DecodeError, match=WHO):
        await client.lists.delete("7")


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (204, "", {}),
        (200, "", HTML),
        (200, "\r\n", JSON),
        (200, "{}", JSON),
        (202, "[]", JSON),
        (200, '{"id": "7", "status": "REMOVED"}', JSON),
        (200, '[{"id": 7}]', JSON),
        (200, '{"error": null, "errors": [], "message": ""}', JSON),
    ],
)
async def test_a_deletion_is_done_if_the_body_is_empty_or_json(
    client: ConstantContact, sandbox: Sandbox, status: int, body: str, headers: dict[str, str]
) -> None:
    sandbox.admin.fault("answer", status=status, body=body, headers=headers)
    await client.lists.delete("7")


READS: dict[str, Change] = {
    "account": lambda cc: cc.account.info(),
    "update of the account": lambda cc: cc.account.update_info(website="https://example.com"),
    "library": lambda cc: cc.library.info(),
    "preview": lambda cc: cc.campaigns.preview("7"),
    "tracking of a campaign": lambda cc: cc.tracking.campaign_summary("7"),
    "tracking of a contact": lambda cc: cc.tracking.contact_summary("7"),
}


@pytest.mark.parametrize("body", ['{"error": "access_denied"}', '{"login": "/sso", "code": 7}'])
@pytest.mark.parametrize("read", READS.values(), ids=[*READS])
async def test_an_object_without_a_single_field_of_what_was_asked_for_is_not_believed(
    client: ConstantContact, sandbox: Sandbox, read: Change, body: str
) -> None:
    sandbox.admin.fault("answer", status=200, body=body, headers=JSON, times=3)
    with pytest.raises(errors.DecodeError, match="is not an object with a known field") as caught:
        await read(client)
    assert caught.value.safe_to_retry
    assert not sandbox.admin.requests("PUT")


async def test_a_row_without_a_single_field_of_its_model_is_not_believed(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    body = '[{"error_key": "http.status.bad_request", "error_message": "No."}]'
    sandbox.admin.fault("answer", status=200, body=body, headers=JSON)
    with pytest.raises(errors.UnreadableRow, match="not an object with a known field"):
        await client.tracking.contact_summary_by_campaign("7")


@pytest.mark.parametrize("body", ["{}", '{"website": null, "login": 1}', '{"website": "", "a": 1}'])
async def test_an_object_with_a_field_of_its_model_or_nothing_at_all_is_read(
    client: ConstantContact, sandbox: Sandbox, body: str
) -> None:
    sandbox.admin.fault("answer", status=200, body=body, headers=JSON)
    assert not (await client.account.info()).email


@pytest.mark.parametrize("own_id", ["7", "3f2a8c1e-7a11-4b52-9c6e-0a1b2c3d4e5f", "x" * 36])
async def test_an_error_with_an_id_or_a_known_field_is_not_written_back(
    client: ConstantContact, sandbox: Sandbox, own_id: str
) -> None:
    about = {"id": own_id, "status": "ACTIVE", "name": "Forbidden", "email": "it@example.com"}
    body = json.dumps({"message": "Blocked", **about})
    sandbox.admin.fault("answer", "GET", status=200, body=body, headers=JSON, times=None)
    for update in (
        client.contacts.update("7", first_name="Ann"),
        client.lists.update("7", name="Guests"),
        client.library.update_folder("7", name="Menus"),
        client.account.update_info(website="https://example.com"),
    ):
        with pytest.raises(errors.DecodeError, match="without an error"):
            await update
    assert not sandbox.admin.requests("PUT")


@pytest.mark.parametrize("own_id", ["3f2a8c1e-7a11-4b52-9c6e-0a1b2c3d4e5f", "x" * 36])
async def test_an_object_with_a_long_id_in_place_of_a_number_is_not_believed(
    client: ConstantContact, sandbox: Sandbox, own_id: str
) -> None:
    body = json.dumps({"id": own_id, "status": "ACTIVE"})
    sandbox.admin.fault("answer", "GET", status=200, body=body, headers=JSON, times=None)
    with pytest.raises(errors.DecodeError, match="another one, with the ID"):
        await client.contacts.update("7", first_name="Ann")
    assert not sandbox.admin.requests("PUT")


async def test_the_schedule_of_another_campaign_is_not_returned_by_an_update(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("answer", "PUT", status=200, body='{"id": "999"}', headers=JSON)
    with pytest.raises(errors.DecodeError, match="another one, with the ID '999'"):
        await client.campaigns.update_schedule("5", "7", datetime(2030, 1, 1, tzinfo=UTC))
