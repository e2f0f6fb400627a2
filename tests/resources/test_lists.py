from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async import errors, models
from ccv2_async.resources import account, campaigns, contacts, events, lists
from tests.contract import samples

if TYPE_CHECKING:
    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.contract.ear import Ear

JSON = {"content-type": "application/json"}


async def test_all_lists_are_returned_in_one_call(client: ConstantContact, ear: Ear) -> None:
    for name in ("Guests", "Friends"):
        await client.lists.create(name)
    ear.calls.clear()
    assert {row.name for row in await client.lists.all()} >= {"Guests", "Friends"}
    assert ear.requests == ["GET /lists"]


async def test_a_false_flag_is_not_sent(client: ConstantContact, ear: Ear) -> None:
    await client.lists.all()
    assert ear.calls[-1].query == ()


async def test_a_date_without_a_time_zone_is_refused_before_sending(
    client: ConstantContact, ear: Ear
) -> None:
    with pytest.raises(errors.InvalidField, match=r"^modified_since is '2024.*time zone"):
        await client.lists.all(modified_since=datetime(2024, 1, 1))  # noqa: DTZ001  # the mistake
    assert ear.calls == []


async def test_a_status_may_be_an_enum_member_or_text_in_any_case(
    client: ConstantContact, ear: Ear
) -> None:
    first = await client.lists.create("A", status=models.ContactListStatus.HIDDEN)
    second = await client.lists.create("B", status="hidden")
    assert first.status is second.status is models.ContactListStatus.HIDDEN
    assert ear.sent["status"] == "HIDDEN"


@pytest.mark.parametrize(
    ("name", "status", "field"), [("x" * 256, "ACTIVE", "name"), ("x", "GONE", "status")]
)
async def test_invalid_values_are_refused_before_sending(
    client: ConstantContact, ear: Ear, name: str, status: str, field: str
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.lists.create(name, status=status)
    assert caught.value.field == field
    assert ear.calls == []


async def test_row_31_a_list_can_be_created_as_removed(client: ConstantContact) -> None:
    made = await client.lists.create("Old", status="REMOVED")
    assert made.status is models.ContactListStatus.REMOVED


async def test_a_second_list_with_the_same_name_is_a_conflict(client: ConstantContact) -> None:
    await client.lists.create("Guests")
    with pytest.raises(errors.Conflict):
        await client.lists.create("Guests")


async def test_row_46_changing_one_field_keeps_the_others(
    client: ConstantContact, ear: Ear
) -> None:
    made = await client.lists.create("Guests", status="HIDDEN")
    ear.calls.clear()
    changed = await client.lists.update(made.id, name="Regulars")
    assert (changed.name, changed.status) == ("Regulars", "HIDDEN")
    assert ear.requests == [f"GET /lists/{made.id}", f"PUT /lists/{made.id}"]


async def test_undocumented_fields_are_sent_back(
    sandbox: Sandbox, client: ConstantContact, ear: Ear
) -> None:
    row = {"id": 7, "name": "Guests", "status": "ACTIVE", "colour": "green"}
    for _ in range(2):
        sandbox.admin.fault("answer", status=200, headers=JSON, body=json.dumps(row))
    await client.lists.update("7", name="Friends")
    assert ear.sent == {"name": "Friends", "status": "ACTIVE", "colour": "green"}


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({}, "at least one of name, status"),
        ({"colour": "red"}, "cannot be changed"),
        ({"contact_count": 3}, "cannot be changed"),
        ({"name": None}, "requires"),
        ({"name": "x" * 256}, "255"),
        ({"status": "GONE"}, "ACTIVE"),
    ],
)
async def test_an_invalid_change_makes_no_call(
    client: ConstantContact, ear: Ear, wrong: dict[str, Any], rule: str
) -> None:
    with pytest.raises(errors.InvalidField, match=rule):
        await client.lists.update("7", **wrong)
    assert ear.calls == []


async def test_an_unknown_enum_value_is_sent_back_unchanged(
    sandbox: Sandbox, client: ConstantContact, ear: Ear
) -> None:
    row = {"id": "7", "name": "Guests", "status": "FROZEN"}
    for _ in range(2):
        sandbox.admin.fault("answer", status=200, headers=JSON, body=json.dumps(row))
    await client.lists.update("7", name="Friends")
    assert ear.sent == {"name": "Friends", "status": "FROZEN"}
    with pytest.raises(errors.InvalidField, match="accepted values are ACTIVE"):
        await client.lists.replace(models.ContactList("7", name="Friends", status="FROZEN"))


async def test_row_30_a_numeric_id_is_the_same_id(
    sandbox: Sandbox, client: ConstantContact
) -> None:
    row = {"id": 7, "name": "Guests", "status": "ACTIVE"}
    sandbox.admin.fault("answer", status=200, headers=JSON, body=json.dumps([row]))
    (found,) = await client.lists.all()
    assert found.id == "7"


async def test_list_members_are_the_contacts_on_the_list(
    client: ConstantContact,
) -> None:
    first, second = await client.lists.create("A"), await client.lists.create("B")
    await client.contacts.create(samples.new_contact("ann@example.com", first.id))
    await client.contacts.create(samples.new_contact("bob@example.com", first.id, second.id))
    on_first = await client.lists.contacts(first.id).collect()
    on_second = await client.lists.contacts(second.id).collect()
    assert {contact.email for contact in on_first} == {"ann@example.com", "bob@example.com"}
    assert {contact.email for contact in on_second} == {"bob@example.com"}
    assert (await client.lists.get(first.id)).contact_count == 2


async def test_members_can_be_filtered_by_modification_date(
    sandbox: Sandbox, client: ConstantContact
) -> None:
    made = await client.lists.create("A")
    await client.contacts.create(samples.new_contact("ann@example.com", made.id))
    sandbox.admin.advance(3600)
    since = datetime.fromtimestamp(sandbox.admin.time() - 60, UTC)
    await client.contacts.create(samples.new_contact("bob@example.com", made.id))
    recent = await client.lists.contacts(made.id, modified_since=since).collect()
    assert [contact.email for contact in recent] == ["bob@example.com"]


async def test_row_48_a_page_may_have_one_row_more_than_requested(
    sandbox: Sandbox, client: ConstantContact
) -> None:
    rows = [{"id": str(number)} for number in range(3)]
    body = json.dumps({"meta": {"pagination": {}}, "results": rows})
    sandbox.admin.fault("answer", status=200, headers=JSON, body=body)
    assert len(await client.lists.contacts("7", limit=2).collect()) == 3


@pytest.mark.parametrize("limit", [0, 501])
async def test_page_sizes_are_1_to_500(client: ConstantContact, limit: int) -> None:
    with pytest.raises(errors.InvalidField, match="from 1 to 500"):
        client.lists.contacts("7", limit=limit)


async def test_a_deleted_list_is_gone(client: ConstantContact) -> None:
    made = await client.lists.create("Guests")
    await client.lists.delete(made.id)
    with pytest.raises(errors.NotFound):
        await client.lists.get(made.id)


WRITABLE = {
    lists.ListChanges: models.ContactListWrite,
    contacts.ContactChanges: models.ContactWrite,
    campaigns.CampaignChanges: models.CampaignWrite,
    events.EventChanges: models.EventWrite,
    events.FeeChanges: models.FeeWrite,
    events.ItemChanges: models.ItemWrite,
    events.ItemAttributeChanges: models.ItemAttributeWrite,
    events.PromocodeChanges: models.PromocodeWrite,
    account.AccountChanges: models.AccountInfo,
}


@pytest.mark.parametrize(("typed", "written"), WRITABLE.items())
def test_update_accepts_exactly_the_fields_that_its_model_writes(
    typed: type[Any], written: type[attrs.AttrsInstance]
) -> None:
    names = {field.name for field in attrs.fields(written)} - {"extra"}
    assert set(typed.__annotations__) == names


async def test_a_dict_in_place_of_a_model_is_refused_with_argument_and_model(
    client: ConstantContact, ear: Ear
) -> None:
    given: Any = {"id": "7", "name": "Guests"}
    with pytest.raises(errors.InvalidField, match=r"must be a ContactList, not dict") as caught:
        await client.lists.replace(given)
    assert caught.value.field == "contact_list"
    assert ear.calls == []


@pytest.mark.parametrize("body", ["", '{"id": "7"', '{"name": 5}'])
async def test_an_unreadable_response_error_says_that_the_list_was_created(
    client: ConstantContact, sandbox: Sandbox, ear: Ear, body: str
) -> None:
    sandbox.admin.fault("answer", status=201, headers=JSON, body=body)
    with pytest.raises(
        errors.DecodeError, match="returned 201, so the call was carried out"
    ) as caught:
        await client.lists.create("Guests")
    assert not caught.value.safe_to_retry
    assert caught.value.status == 201
    assert ear.requests == ["POST /lists"]


async def test_an_unreadable_response_to_a_read_does_not_mention_a_change(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("answer", status=200, headers=JSON, body="<html>", times=3)
    with pytest.raises(errors.DecodeError) as caught:
        await client.lists.get("7")
    assert "carried out" not in str(caught.value)
