from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from ccv2_async import errors, models
from tests.support.clocks import settle
from tests.support.probes import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.contract.ear import Ear
    from tests.contract.stock import Stock
    from tests.support.clocks import ManualClock, SkippingClock

ANN = "contact1@example.com"
VISITOR = models.ActionBy.ACTION_BY_VISITOR


def lists_of(contact: models.Contact) -> list[str]:
    return [ref.id for ref in contact.lists]


async def two_lists(client: ConstantContact) -> tuple[str, str]:
    made = [await client.lists.create(name) for name in ("News", "Menu")]
    return made[0].id, made[1].id


async def test_a_new_contact_is_created(client: ConstantContact, ear: Ear) -> None:
    contact = await client.contacts.upsert(
        "ann@example.com", lists=["1"], action_by="action_by_visitor", first_name="Ann"
    )
    assert (contact.email, contact.first_name, lists_of(contact)) == (
        "ann@example.com",
        "Ann",
        ["1"],
    )
    assert contact.email_addresses[0].opt_in_source is VISITOR
    assert ear.requests == ["GET /contacts", "POST /contacts"]


async def test_an_existing_contact_keeps_its_lists_and_fields(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    news, menu = await two_lists(client)
    sandbox.admin.add_contacts(1, opt_in_source="ACTION_BY_SYSTEM")
    await client.contacts.upsert(ANN, lists=[news])
    contact = await client.contacts.upsert(
        ANN.upper(), lists=[models.ContactListRef(menu), "1"], last_name="Miller"
    )
    assert lists_of(contact) == ["1", news, menu]
    assert (contact.first_name, contact.last_name) == ("Contact 1", "Miller")
    assert len(await client.contacts.all().collect()) == 1
    erased = await client.contacts.upsert(ANN, lists=["1"], first_name=None)
    assert not erased.first_name
    assert lists_of(erased) == ["1", news, menu]


async def test_nothing_is_sent_if_nothing_changes(
    client: ConstantContact, sandbox: Sandbox, ear: Ear
) -> None:
    sandbox.admin.add_contacts(1)
    contact = await client.contacts.upsert(ANN, lists=["1"], first_name="Contact 1")
    assert contact.status == "ACTIVE"
    assert ear.requests == ["GET /contacts"]


async def test_upsert_restores_a_removed_contact(client: ConstantContact, sandbox: Sandbox) -> None:
    sandbox.admin.add_contacts(1)
    before = await client.contacts.all().first()
    assert before is not None
    await client.contacts.remove_from_lists(before.id)
    contact = await client.contacts.upsert(ANN, lists=["1"])
    assert (contact.id, contact.status, lists_of(contact)) == (before.id, "ACTIVE", ["1"])
    assert contact.first_name == "Contact 1"


async def test_an_unconfirmed_contact_stays_unconfirmed(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    news, _ = await two_lists(client)
    sandbox.admin.add_contacts(1, status="UNCONFIRMED")
    contact = await client.contacts.upsert(ANN, lists=[news])
    assert (contact.status, lists_of(contact)) == ("UNCONFIRMED", ["1", news])


@pytest.mark.parametrize("action_by", [None, "ACTION_BY_OWNER"])
async def test_the_owner_cannot_opt_a_contact_back_in(
    client: ConstantContact, sandbox: Sandbox, ear: Ear, action_by: str | None
) -> None:
    sandbox.admin.add_contacts(1)
    before = await client.contacts.all().first()
    assert before is not None
    await client.contacts.opt_out(before.id)
    ear.calls.clear()
    with pytest.raises(errors.OptedOut, match="only the contact can opt back in") as caught:
        await client.contacts.upsert(ANN, lists=["1"], action_by=action_by)
    assert caught.value.contact_id == before.id
    assert not caught.value.safe_to_retry
    assert 'action_by="ACTION_BY_VISITOR"' in str(caught.value)
    assert ear.requests == ["GET /contacts"]
    assert (await client.contacts.get(before.id)).status == "OPTOUT"


async def test_a_contact_who_signs_up_again_opts_back_in(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.add_contacts(1)
    before = await client.contacts.all().first()
    assert before is not None
    await client.contacts.opt_out(before.id)
    contact = await client.contacts.upsert(ANN, lists=["1"], action_by=VISITOR)
    assert (contact.id, contact.status, lists_of(contact)) == (before.id, "ACTIVE", ["1"])
    assert contact.email_addresses[0].opt_in_source is VISITOR
    assert contact.first_name == "Contact 1"


@pytest.mark.parametrize("clients", [1, 4])
async def test_twenty_concurrent_upserts_make_one_contact_on_all_lists(
    sandbox: Sandbox, connect: Any, clients: int
) -> None:
    every = [await connect(sandbox) for _ in range(clients)]
    ids = [(await every[0].lists.create(f"List {number}")).id for number in range(20)]
    await asyncio.gather(
        *(
            every[number % clients].contacts.upsert("Ann@Example.com", lists=[list_id])
            for number, list_id in enumerate(ids)
        )
    )
    (contact,) = await every[0].contacts.all().collect()
    assert sorted(lists_of(contact)) == sorted(ids)


async def test_a_contact_created_by_another_process_in_the_meantime_is_updated(
    client: ConstantContact, sandbox: Sandbox, clock: SkippingClock
) -> None:
    news, _ = await two_lists(client)
    sandbox.admin.add_contacts(1)
    empty = b'{"meta": {"pagination": {}}, "results": []}'
    headers = {"content-type": "application/json"}
    sandbox.admin.fault(
        "answer", method="GET", path="/contacts", status=200, headers=headers, body=empty, times=2
    )
    contact = await client.contacts.upsert(ANN, lists=[news])
    assert lists_of(contact) == ["1", news]
    assert len(sandbox.admin.requests("POST", "/contacts")) == 2
    assert len(await client.contacts.all().collect()) == 1


async def test_lists_replaced_by_another_process_are_written_again(
    client: ConstantContact, connect: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    news, menu = await two_lists(client)
    sandbox.admin.add_contacts(1)
    other = await connect(sandbox)
    stale = await other.contacts.all().first()
    real, times = client.contacts.get, iter(range(3))

    async def overtaken(contact_id: str) -> models.Contact:
        if next(times) == 0:
            await other.contacts.update(stale.id, lists=["1", menu])
        return await real(contact_id)

    monkeypatch.setattr(client.contacts, "get", overtaken)
    contact = await client.contacts.upsert(ANN, lists=[news])
    assert lists_of(contact) == ["1", menu, news]


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_lost_response_is_settled_by_looking_again(
    client: ConstantContact, sandbox: Sandbox, clock: SkippingClock, method: str
) -> None:
    news, _ = await two_lists(client)
    if method == "PUT":
        sandbox.admin.add_contacts(1)
    sandbox.admin.fault("lose_response", method=method, path="/contacts*")
    contact = await client.contacts.upsert(ANN, lists=[news])
    assert news in lists_of(contact)
    assert len(await client.contacts.all().collect()) == 1
    assert len(sandbox.admin.requests("POST", "/contacts")) == (method == "POST")


async def test_a_repeated_response_with_another_contact_is_settled_by_looking_again(
    client: ConstantContact, sandbox: Sandbox, clock: SkippingClock
) -> None:
    other = {"id": "999", "email_addresses": [{"email_address": "other@example.com"}]}
    headers = {"content-type": "application/json"}
    body = orjson.dumps(other)
    sandbox.admin.fault("answer", "POST", "/contacts", status=201, headers=headers, body=body)
    contact = await client.contacts.upsert(ANN, lists=["1"])
    assert (contact.email, lists_of(contact)) == (ANN, ["1"])
    assert contact.id != "999"


async def test_the_error_after_many_lost_responses_counts_the_attempts(
    client: ConstantContact, sandbox: Sandbox, clock: SkippingClock
) -> None:
    sandbox.admin.fault("server_error", method="POST", path="/contacts", times=None)
    with pytest.raises(errors.OutcomeUnknown, match="the last of 8 attempts") as caught:
        await client.contacts.upsert(ANN, lists=["1"])
    assert caught.value.sends == len(sandbox.admin.requests("POST", "/contacts")) == 8


@pytest.mark.parametrize("own", ["../lists/1", "", "a/b", "x" * 5000])
async def test_a_contact_with_an_impossible_id_is_not_the_fault_of_the_arguments(
    client: ConstantContact, sandbox: Sandbox, own: str
) -> None:
    addresses = [{"email_address": ANN}]
    row = {"id": own, "status": "ACTIVE", "email_addresses": addresses, "lists": [{"id": "1"}]}
    body = orjson.dumps({"meta": {}, "results": [row]})
    headers = {"content-type": "application/json"}
    sandbox.admin.fault("answer", "GET", "/contacts", status=200, headers=headers, body=body)
    with pytest.raises(errors.DecodeError, match=r"the ID .* is not valid"):
        await client.contacts.upsert(ANN, lists=["2"])


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"lists": []}, "lists"),
        ({"lists": "1"}, "lists"),
        ({"lists": [None]}, "lists[0]"),
        ({"email": " "}, "email"),
        ({"email": 7}, "email"),
        ({"email": "a" * 90 + "@example.com"}, "email_addresses[0].email_address"),
        ({"action_by": "ACTION_BY_SYSTEM"}, "action_by"),
        ({"work_phone": "5" * 51}, "work_phone"),
        ({"first_name": 5}, "first_name"),
        ({"status": "ACTIVE"}, "status"),
        ({"email_addresses": []}, "email_addresses"),
    ],
)
async def test_invalid_values_are_refused_before_sending(
    client: ConstantContact, ear: Ear, given: dict[str, Any], field: str
) -> None:
    arguments: dict[str, Any] = {"email": ANN, "lists": ["1"], **given}
    with pytest.raises(errors.InvalidField) as caught:
        await client.contacts.upsert(arguments.pop("email"), **arguments)
    assert caught.value.field == field
    assert ear.calls == []


async def test_the_lock_of_an_address_is_released_and_forgotten(
    client: ConstantContact, stock: Stock
) -> None:
    from ccv2_async.resources import contacts  # its private table

    earlier = set(contacts._LOCKS)  # those of other tests, until they are collected
    await client.contacts.upsert(ANN, lists=["1"])
    assert set(contacts._LOCKS) <= earlier


async def test_a_call_for_the_same_address_waits_no_longer_than_its_deadline(
    sandbox: Sandbox, connect: Callable[..., Any], manual_clock: ManualClock
) -> None:
    cc: ConstantContact = await connect(sandbox, clock=manual_clock)
    sandbox.admin.fault("hang", path="/contacts*")
    first = asyncio.create_task(cc.contacts.upsert(ANN, lists=["1"]))
    await until(lambda: sandbox.admin.requests("GET", "/contacts"))
    with cc.deadline(5.0):
        second = asyncio.create_task(cc.contacts.upsert(ANN, lists=["1"]))
    await settle()
    await manual_clock.advance(5.0)
    try:
        with pytest.raises(errors.DeadlineExceeded, match="upsert"):
            await asyncio.wait_for(second, 5)
    finally:
        first.cancel()


async def test_a_lost_response_at_the_deadline_is_an_unknown_outcome(
    sandbox: Sandbox, connect: Callable[..., Any], manual_clock: ManualClock
) -> None:
    cc: ConstantContact = await connect(sandbox, clock=manual_clock)
    sandbox.admin.fault("hang", method="POST", path="/contacts*")
    with cc.deadline(5.0):
        call = asyncio.create_task(cc.contacts.upsert(ANN, lists=["1"]))
    await until(lambda: sandbox.admin.requests("POST", "/contacts"))
    await settle()
    await manual_clock.advance(5.0)
    with pytest.raises(errors.OutcomeUnknown):
        await asyncio.wait_for(call, 5)
