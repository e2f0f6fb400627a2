from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import orjson
import pytest

from ccv2_async import errors, models
from tests.contract import samples
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.contract.ear import Ear
    from tests.contract.stock import Stock
    from tests.support.servers import Request, Wire


async def test_a_contact_is_found_by_its_address(client: ConstantContact, stock: Stock) -> None:
    await stock.bring(["contactId"])
    found = await client.contacts.all(email="ann@example.com").first()
    assert found is not None
    assert found.id == stock["contactId"]
    assert await client.contacts.all(email="nobody@example.com").first() is None


async def test_a_plus_sign_in_an_address_arrives_unchanged(
    client: ConstantContact, stock: Stock, sandbox: Sandbox
) -> None:
    list_id = await stock.id("listId")
    await client.contacts.create(samples.new_contact("ann+menu@example.com", list_id))
    found = await client.contacts.all(email="ann+menu@example.com").first()
    assert found is not None
    assert found.email == "ann+menu@example.com"


async def test_every_page_is_followed(client: ConstantContact, stock: Stock, ear: Ear) -> None:
    list_id = await stock.id("listId")
    for number in range(7):
        await client.contacts.create(samples.new_contact(f"{number}@example.com", list_id))
    ear.calls.clear()
    assert len({contact.id async for contact in client.contacts.all(limit=3)}) == 7
    assert len(ear.calls) == 3


async def test_contacts_can_be_filtered_by_status_all(
    client: ConstantContact, stock: Stock
) -> None:
    gone = await stock.id("contactId")
    await client.contacts.opt_out(gone)
    assert [c.id async for c in client.contacts.all(status="all")] == [gone]
    assert await client.contacts.all(status=models.ContactStatus.ACTIVE).collect() == []


async def test_an_unknown_status_is_refused_before_sending(
    client: ConstantContact, ear: Ear
) -> None:
    with pytest.raises(errors.InvalidField, match="one of ALL, ACTIVE, UNCONFIRMED"):
        client.contacts.all(status="SLEEPING")
    assert ear.calls == []


async def test_the_uuid_of_a_contact_is_included_on_request(
    client: ConstantContact, stock: Stock
) -> None:
    await stock.bring(["contactId"])
    with_id = await client.contacts.all(include_contact_id=True).first()
    without = await client.contacts.all().first()
    assert with_id is not None
    assert without is not None
    assert with_id.contact_id
    assert without.contact_id is None


async def test_a_contact_who_signed_up_has_the_opt_in_source_visitor(
    client: ConstantContact, stock: Stock
) -> None:
    written = samples.new_contact("ann@example.com", await stock.id("listId"))
    made = await client.contacts.create(written, action_by=models.ActionBy.ACTION_BY_VISITOR)
    assert made.email_addresses[0].opt_in_source is models.ActionBy.ACTION_BY_VISITOR


async def test_an_active_contact_with_the_same_address_is_a_conflict(
    client: ConstantContact, stock: Stock
) -> None:
    await stock.bring(["contactId"])
    with pytest.raises(errors.Conflict):
        await client.contacts.create(samples.new_contact("ann@example.com", stock["listId"]))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email_addresses": ()}, "email_addresses"),
        ({"lists": ()}, "lists"),
        ({"email_addresses": (models.EmailAddress("a@b.c"),) * 2}, "email_addresses"),
        ({"email_addresses": (models.EmailAddress("x" * 81),)}, "email_addresses[0].email_address"),
        ({"work_phone": "5" * 51}, "work_phone"),
        ({"custom_fields": (models.CustomField("CustomField1", "x"),) * 16}, "custom_fields"),
        ({"addresses": (models.Address(address_type="HOME"),)}, "addresses[0].address_type"),
        (
            {"addresses": (models.Address(address_type="BUSINESS"),) * 2},
            "addresses[1].address_type",
        ),
    ],
)
async def test_invalid_values_are_refused_before_sending(
    client: ConstantContact, ear: Ear, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.contacts.create(
            attrs.evolve(samples.new_contact("ann@example.com", "1"), **changes)
        )
    assert caught.value.field == field
    assert ear.calls == []


async def test_row_46_changing_one_field_keeps_the_others(
    client: ConstantContact, stock: Stock, ear: Ear
) -> None:
    contact_id = await stock.id("contactId")
    before = await client.contacts.get(contact_id)
    ear.calls.clear()
    after = await client.contacts.update(contact_id, first_name="Anna")
    assert ear.requests == [f"GET /contacts/{contact_id}", f"PUT /contacts/{contact_id}"]
    assert after == attrs.evolve(before, first_name="Anna", modified_date=after.modified_date)


async def test_none_erases_a_field(client: ConstantContact, stock: Stock) -> None:
    contact_id = await stock.id("contactId")
    changed = await client.contacts.update(contact_id, last_name=None)
    assert not changed.last_name
    assert changed.first_name == "Ann"


async def test_row_46_a_replacement_erases_fields_it_leaves_out(
    client: ConstantContact, stock: Stock
) -> None:
    await stock.bring(["contactId"])
    replaced = await client.contacts.replace(samples.contact(stock["contactId"], stock["listId"]))
    assert replaced.first_name == "Anna"
    assert not replaced.last_name
    assert replaced.addresses == ()


async def test_lists_are_accepted_in_place_of_tuples(client: ConstantContact, stock: Stock) -> None:
    contact_id, other = await stock.id("contactId"), await client.lists.create("B")
    changed = await client.contacts.update(contact_id, lists=[models.ContactListRef(other.id)])
    assert [ref.id for ref in changed.lists] == [other.id]


async def test_row_36_opt_out_keeps_the_contact(
    client: ConstantContact, stock: Stock, ear: Ear
) -> None:
    contact_id = await stock.id("contactId")
    await client.contacts.opt_out(contact_id)
    assert ear.requests[-1] == f"DELETE /contacts/{contact_id}"
    assert (await client.contacts.get(contact_id)).status is models.ContactStatus.OPTOUT
    assert not hasattr(client.contacts, "delete")


async def test_a_contact_can_be_removed_from_one_list_or_all(
    client: ConstantContact, stock: Stock
) -> None:
    lists = [await client.lists.create(name) for name in "ABC"]
    written = samples.new_contact("ann@example.com", *(row.id for row in lists))
    made = await client.contacts.create(written)
    await client.contacts.remove_from_list(made.id, lists[1].id)
    left = {ref.id for ref in (await client.contacts.get(made.id)).lists}
    assert left == {lists[0].id, lists[2].id}
    await client.contacts.remove_from_lists(made.id)
    assert (await client.contacts.get(made.id)).lists == ()


async def test_row_37_custom_fields_keep_the_name_used_by_contacts(
    client: ConstantContact, stock: Stock
) -> None:
    made = await client.contacts.get(await stock.id("contactId"))
    assert [field.name for field in made.custom_fields] == ["CustomField1"]


async def test_a_signup_form_has_a_url(client: ConstantContact, stock: Stock) -> None:
    lists = (await stock.id("listId"),)
    form = await client.contacts.create_signup_form(models.SignupFormWrite(contact_lists=lists))
    assert (form.signup_form_url or "").startswith("http")


async def test_a_lost_response_to_create_makes_no_second_contact(
    client: ConstantContact, stock: Stock, sandbox: Sandbox
) -> None:
    list_id = await stock.id("listId")
    sandbox.admin.fault("lose_response", method="POST", path="/contacts")
    with pytest.raises(errors.OutcomeUnknown):
        await client.contacts.create(samples.new_contact("ann@example.com", list_id))
    assert len(sandbox.admin.requests("POST", "/contacts")) == 1
    assert await client.contacts.all(email="ann@example.com").first() is not None


async def test_a_lost_response_to_a_replacement_is_retried(
    client: ConstantContact, stock: Stock, sandbox: Sandbox
) -> None:
    await stock.bring(["contactId"])
    sandbox.admin.fault("lose_response", method="PUT")
    written = samples.contact(stock["contactId"], stock["listId"])
    assert (await client.contacts.replace(written)).first_name == "Anna"
    assert len(sandbox.admin.requests("PUT")) == 2


@pytest.mark.parametrize(
    ("addresses", "is_own"),
    [
        (["other@example.com"], False),
        (["xann@example.com", "ann@example.com.other"], False),
        ([], False),
        (["ANN@Example.com"], True),
        (["other@example.com", "Ann@example.com"], True),
    ],
)
async def test_a_contact_without_the_address_that_was_asked_for_is_never_found(
    connect: Callable[..., Any], addresses: list[str], *, is_own: bool
) -> None:
    row = {"id": "7", "email_addresses": [{"email_address": address} for address in addresses]}
    methods = []

    async def say(wire: Wire, request: Request) -> None:
        methods.append(request.method)
        if request.method == "PUT" or "contacts/7?" in request.target:
            lists = [{"id": "1"}]
            await wire.answer(body=orjson.dumps({**row, "lists": lists}))
        else:
            await wire.answer(body=orjson.dumps({"meta": {}, "results": [row]}))

    async with serving(say) as server:
        cc = await connect(server)
        listing = cc.contacts.all(email="ann@example.com")
        upsert = partial(cc.contacts.upsert, "ann@example.com", lists=["1"])
        for call in (listing.first, listing.collect, upsert):
            if is_own:
                assert await call()
            else:
                with pytest.raises(errors.DecodeError, match="asked for") as caught:
                    await call()
                assert caught.value.safe_to_retry
        assert await cc.contacts.all().first() is not None
    assert ("PUT" in methods) == is_own
    assert "POST" not in methods


async def test_other_contacts_beside_the_one_that_was_asked_for_are_left_out(
    connect: Callable[..., Any],
) -> None:
    rows = [
        {"id": str(number), "email_addresses": [{"email_address": address}]}
        for number, address in enumerate(("a@example.com", "ann@example.com", "b@example.com"))
    ]

    async def say(wire: Wire, request: Request) -> None:
        await wire.answer(body=orjson.dumps({"meta": {}, "results": rows}))

    async with serving(say) as server:
        cc = await connect(server)
        (found,) = await cc.contacts.all(email="ann@example.com").collect()
    assert found.id == "1"


@pytest.mark.parametrize(
    ("asked", "given", "is_own"),
    [
        ("ann@example.com", ["other@example.com"], False),
        ("ann@example.com", ["ann@example.com"], True),
        ("Ann@Example.com", ["ann@example.com"], True),
        (" ann@example.com ", ["ann@example.com"], True),
        ("ann@example.com", ["other@example.com", "ann@example.com"], True),
        ("ann@example.com", [], True),  # nothing in it contradicts the call
        ("ann@bücher.example", ["ann@xn--bcher-kva.example"], True),  # the service may rewrite it
    ],
)
async def test_a_new_contact_with_another_address_is_not_believed(
    connect: Callable[..., Any], asked: str, given: list[str], *, is_own: bool
) -> None:
    made = {"id": "7", "email_addresses": [{"email_address": address} for address in given]}

    async def say(wire: Wire, request: Request) -> None:
        await wire.answer("201 Created", orjson.dumps(made))

    contact = models.ContactWrite([models.EmailAddress(asked)], ["1"])
    async with serving(say) as server:
        cc = await connect(server)
        if is_own:
            assert (await cc.contacts.create(contact)).id == "7"
        else:
            with pytest.raises(errors.OutcomeUnknown, match="with another address") as caught:
                await cc.contacts.create(contact)
            assert caught.value.sends == 1


@pytest.mark.parametrize(
    ("asked", "given", "is_own"),
    [
        ("17", "99", False),
        ("17", "17", True),
        ("17", 17, True),
        ("6b1c2f3a-0d00-4e9e-8a4e-27b7bd2b3c5d", "17", True),  # the newer API's ID of the same
        ("6b1c2f3a-0d00-4e9e-8a4e-27b7bd2b3c5d", "6B1C2F3A-0D00-4E9E-8A4E-27B7BD2B3C5D", True),
        ("6b1c2f3a-0d00-4e9e-8a4e-27b7bd2b3c5d", "7b1c2f3a-0d00-4e9e-8a4e-27b7bd2b3c5d", False),
    ],
)
async def test_another_contact_than_the_one_asked_for_is_neither_returned_nor_written_back(
    connect: Callable[..., Any], asked: str, given: object, is_own: bool
) -> None:
    methods = []

    async def say(wire: Wire, request: Request) -> None:
        methods.append(request.method)
        await wire.answer(body=orjson.dumps({"id": given, "status": "ACTIVE"}))

    async with serving(say) as server:
        cc = await connect(server)
        for call in (cc.contacts.get(asked), cc.contacts.update(asked, first_name="Ann")):
            if is_own:
                await call
            else:
                with pytest.raises(errors.DecodeError, match="another one, with the ID"):
                    await call
    assert ("PUT" in methods) == is_own


@pytest.mark.parametrize(
    "change",
    [
        lambda cc: cc.lists.replace(models.ContactList(id="17", name="Guests", status="ACTIVE")),
        lambda cc: cc.library.replace_file(models.LibraryFile(id="17", name="menu.pdf")),
        lambda cc: cc.events.publish("17"),
    ],
    ids=["list", "file", "event"],
)
async def test_a_change_does_not_return_another_object_than_the_one_changed(
    connect: Callable[..., Any], change: Callable[[ConstantContact], Any]
) -> None:
    async def say(wire: Wire, request: Request) -> None:
        await wire.answer(body=b'{"id": "99", "name": "x"}')

    async with serving(say) as server:
        cc = await connect(server)
        with pytest.raises(errors.DecodeError, match=r"the ID '99'.* was carried out") as caught:
            await change(cc)
    assert not caught.value.safe_to_retry
