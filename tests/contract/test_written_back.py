"""A resource that was read can be written back to the service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest

from ccv2_async import errors, models
from ccv2_async.models.hooks import is_id, read_only_fields
from ccv2_async.sandbox.app import OPERATIONS as SERVED
from ccv2_async.sandbox.fields import MODELS, Field
from ccv2_async.transport.files.body import BytesBody
from tests.contract import samples
from tests.contract.ear import Ear
from tests.contract.operations import OPERATIONS
from tests.contract.read_only import READ_ONLY, WRITABLE_SOURCES
from tests.contract.stock import Stock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox

# By the operation: a call that reads the resource, and one that writes it back as it was read.
BACK: dict[str, tuple[tuple[str, ...], Callable[..., Any], Callable[..., Any]]] = {
    "library_file_update": (
        ("fileId",),
        lambda c, at: c.library.get_file(at["fileId"]),
        lambda c, _, row: c.library.replace_file(row),
    ),
    "library_folder_update": (
        ("folderId",),
        lambda c, at: c.library.get_folder(at["folderId"]),
        lambda c, _, row: c.library.replace_folder(row),
    ),
    "list_update": (
        ("listId",),
        lambda c, at: c.lists.get(at["listId"]),
        lambda c, _, row: c.lists.replace(row),
    ),
    "contact_update": (
        ("contactId",),
        lambda c, at: c.contacts.get(at["contactId"]),
        lambda c, _, row: c.contacts.replace(row),
    ),
    "campaign_update": (
        ("campaignId",),
        lambda c, at: c.campaigns.get(at["campaignId"]),
        lambda c, _, row: c.campaigns.replace(row),
    ),
    "event_update": (
        ("eventId",),
        lambda c, at: c.events.get(at["eventId"]),
        lambda c, _, row: c.events.replace(row),
    ),
    "fee_update": (
        ("eventId", "feeId"),
        lambda c, at: c.events.get_fee(at["eventId"], at["feeId"]),
        lambda c, at, row: c.events.replace_fee(at["eventId"], row),
    ),
    "item_update": (
        ("eventId", "itemId", "attributeId"),
        lambda c, at: c.events.get_item(at["eventId"], at["itemId"]),
        lambda c, at, row: c.events.replace_item(at["eventId"], row),
    ),
    "item_attribute_update": (
        ("eventId", "itemId", "attributeId"),
        lambda c, at: c.events.get_item_attribute(at["eventId"], at["itemId"], at["attributeId"]),
        lambda c, at, row: c.events.replace_item_attribute(at["eventId"], at["itemId"], row),
    ),
    "promocode_update": (
        ("eventId", "promocodeId"),
        lambda c, at: c.events.get_promocode(at["eventId"], at["promocodeId"]),
        lambda c, at, row: c.events.replace_promocode(at["eventId"], row),
    ),
    "account_info_update": (
        (),
        lambda c, _: c.account.info(),
        lambda c, _, row: c.account.replace_info(row),
    ),
}
# These take no resource, but a date and a list of ids.
OTHERS = {"schedule_update", "library_files_move"}


def written(row: Any, sent: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each model in a resource, by its name, with the object that was sent for it."""
    yield type(row).__name__, sent
    for field in attrs.fields(type(row)):
        value, found = getattr(row, field.name), sent.get(field.name)
        pairs = (
            zip(value, found or (), strict=False) if isinstance(value, tuple) else [(value, found)]
        )
        for inner, entry in pairs:
            if attrs.has(type(inner)) and entry is not None:
                yield from written(inner, entry)


def test_the_table_covers_every_put() -> None:
    puts = {row.name for row in OPERATIONS if row.method == "PUT"}
    assert puts == set(BACK) | OTHERS


@pytest.mark.parametrize("name", READ_ONLY)
def test_client_and_sandbox_mark_the_same_fields_as_read_only(name: str) -> None:
    served = MODELS[name]
    marked = {field for field, mark in served.fields.items() if mark.read_only}
    assert marked == READ_ONLY[name]
    model: Any = getattr(models, name)
    aliases = {
        alias for a in attrs.fields(model) for alias in a.metadata.get("aliases", ())
    } & READ_ONLY[name]
    assert read_only_fields(model) | aliases == READ_ONLY[name]
    assert {a.name for a in attrs.fields(model)} >= read_only_fields(model)


def test_no_other_request_model_has_read_only_fields() -> None:
    marked = {name for name in models.__all__ if read_only_fields(getattr(models, name, object))}
    assert marked == set(READ_ONLY)


@pytest.mark.parametrize("name", BACK)
async def test_read_only_fields_are_left_out_of_every_put(
    name: str, sandbox: Sandbox, client: ConstantContact, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs, read, write = BACK[name]
    stock = Stock(client)
    await stock.bring(needs)
    ear = Ear.at(client, monkeypatch)
    row = await read(client, stock)
    before = json.loads(ear.answers[-1].content)
    assert await write(client, stock, row) is not None
    for kind, sent in written(row, ear.sent):
        assert not READ_ONLY.get(kind, set()) & set(sent), kind
    after = json.loads(ear.answers[-1].content)
    moving = {"modified_date", "updated_date"}
    shown = {key: value for key, value in before.items() if key not in moving}
    assert {key: after.get(key) for key in shown} == shown


@pytest.mark.parametrize("name", BACK)
async def test_the_sandbox_accepts_a_full_resource_and_sets_read_only_fields_itself(
    name: str, sandbox: Sandbox, client: ConstantContact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The official SDKs send whole resources, read-only fields included (rows of the wire)."""
    needs, read, _ = BACK[name]
    stock = Stock(client)
    await stock.bring(needs)
    ear = Ear.at(client, monkeypatch)
    row = await read(client, stock)
    whole = json.loads(ear.answers[-1].content)
    unsent = READ_ONLY.get(type(row).__name__, set()) & set(whole)
    wrong = {key: 7 if is_id(key) else whole[key] for key in unsent}
    options = sandbox.client_options()
    async with httpx.AsyncClient(
        base_url=options["base_url"],
        params={"api_key": options["api_key"]},
        headers={"authorization": f"Bearer {options['access_token']}"},
        trust_env=False,
    ) as plain:
        answer = await plain.put(ear.calls[-1].path, json={**whole, **wrong})
    assert answer.status_code == 200, answer.text
    after = answer.json()
    kept = unsent - {"modified_date", "updated_date"}
    assert {key: after.get(key) for key in kept} == {key: whole[key] for key in kept}


@pytest.mark.parametrize(
    "source", ["ACTION_BY_SYSTEM", "ACTION_BY_SOMEBODY", *sorted(WRITABLE_SOURCES)]
)
async def test_an_opt_in_source_is_sent_back_only_where_it_is_writable(
    sandbox: Sandbox, client: ConstantContact, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    sandbox.admin.add_contacts(1, opt_in_source=source)
    contact = await client.contacts.all().first()
    assert contact is not None
    assert contact.email_addresses[0].opt_in_source == source
    ear = Ear.at(client, monkeypatch)
    for changed in (
        await client.contacts.update(contact.id, first_name="Ann"),
        await client.contacts.replace(attrs.evolve(contact, first_name="Bea")),
    ):
        assert changed.email_addresses[0].opt_in_source == source
        (address,) = ear.sent["email_addresses"]
        assert address.get("opt_in_source") == (source if source in WRITABLE_SOURCES else None)


async def test_ids_are_sent_as_text_in_whatever_form_they_arrived(
    client: ConstantContact, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = Stock(client)
    await stock.bring(("listId", "eventId", "feeId", "fileId", "folderId", "contactId"))
    number: Any = int(stock["listId"])
    ear = Ear.at(client, monkeypatch)
    written = samples.new_contact("new@example.com", number)
    contact = await client.contacts.create(written)
    assert ear.sent["lists"] == [{"id": stock["listId"]}]
    for lists in ([number], (models.ContactListRef(number), "1"), {stock["listId"]: None}.keys()):
        await client.contacts.update(contact.id, lists=lists)
        assert {type(row["id"]) for row in ear.sent["lists"]} == {str}
    await client.contacts.create_signup_form(models.SignupFormWrite(contact_lists=[number]))
    assert ear.sent["contact_lists"] == [stock["listId"]]
    for entry in ({"id": number}, models.ContactListRef(number)):
        await client.contacts.create_signup_form(models.SignupFormWrite(contact_lists=[entry]))
        assert ear.sent["contact_lists"] == [{"id": stock["listId"]}]
    campaign = attrs.evolve(samples.new_campaign("Spring"), sent_to_contact_lists=[number])
    await client.campaigns.create(campaign)
    assert ear.sent["sent_to_contact_lists"] == [{"id": stock["listId"]}]
    await client.library.move_files(int(stock["folderId"]), int(stock["fileId"]))  # type: ignore[arg-type]  # the point
    assert ear.sent == [stock["fileId"]]
    await client.library.update_file(stock["fileId"], folder_id=int(stock["folderId"]))  # type: ignore[call-overload]  # the point
    assert ear.sent["folder_id"] == stock["folderId"]
    extra = {"parent_id": 5, "rows": [{"row_id": 6}], "list_ids": [7], "n": 8}
    further = attrs.evolve(await client.lists.get(stock["listId"]), extra=extra)
    await client.lists.replace(further)
    assert ear.sent == {
        "name": further.name,
        "status": "ACTIVE",
        "parent_id": "5",
        "rows": [{"row_id": "6"}],
        "list_ids": ["7"],
        "n": 8,
    }


def ids_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of ids in a body that is about to be sent."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if is_id(key) and key != "time_zone_id" and isinstance(entry, str):
                yield (*path, key)
            else:
                yield from ids_in(entry, (*path, key))
    if isinstance(value, list):
        for index, entry in enumerate(value):
            if isinstance(entry, str) and (not path or is_id(str(path[-1]))):
                yield (*path, index)
            else:
                yield from ids_in(entry, (*path, index))


WITH_BODY = [
    row
    for row in OPERATIONS
    if row.body == "json" and isinstance(next(s for s in SERVED if s.name == row.name).body, Field)
]


async def test_the_sandbox_refuses_a_number_for_every_id_of_every_body(
    sandbox: Sandbox, client: ConstantContact, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    for operation in WITH_BODY:
        stock = Stock(client)
        sandbox.admin.reset()
        await stock.bring((*operation.ids, *operation.needs))
        ear = Ear.at(client, monkeypatch)
        await operation.sample(client, stock)
        body, call = ear.sent, ear.calls[0]
        places = list(ids_in(body)) if operation.name != "campaign_send_test" else []
        for place in places:
            changed = json.loads(json.dumps(body))
            inner = changed
            for step in place[:-1]:
                inner = inner[step]
            inner[place[-1]] = 7
            options = sandbox.client_options()
            async with httpx.AsyncClient(trust_env=False) as plain:
                answer = await plain.request(
                    call.method,
                    options["base_url"] + call.path,
                    params={"api_key": options["api_key"]},
                    headers={"authorization": f"Bearer {options['access_token']}"},
                    json=changed,
                )
            path = "#/" + "/".join(map(str, place))
            assert answer.status_code == 400, (operation.name, path)
            assert answer.json() == [
                {
                    "error_key": "json.type.invalid",
                    "error_message": f"{path}: Value is of a disallowed type. "
                    "Allowed types are: String",
                }
            ]
            seen.add(operation.name)
        monkeypatch.undo()
    assert seen >= {
        "contact_create",
        "contact_update",
        "campaign_create",
        "library_files_move",
        "signup_form_create",
        "activity_clear_lists",
        "activity_add_contacts",
    }


async def test_request_bodies_are_ascii(
    client: ConstantContact, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = 'Caf\u00e9 \u2019 \u65e5\u672c \U0001f600 \\ " \u2028 \x7f'
    ear = Ear.at(client, monkeypatch)
    made = await client.lists.create(name)
    body = ear.calls[-1].body
    assert isinstance(body, BytesBody)
    assert body.content.isascii()
    assert ear.sent["name"] == name
    assert (await client.lists.get(made.id)).name == name
    row = models.ImportData(["ann@example.com"], first_name=name)
    await client.activities.add_contacts([row], lists=[made.id])
    contact = await client.contacts.all(email="ann@example.com").first()
    assert contact is not None
    assert contact.first_name == name


def test_request_models_accept_lists_as_well_as_tuples() -> None:
    """A type checker reads this too: none of it needs to be ignored."""
    refs = [models.ContactListRef("1"), models.ContactListRef("2")]
    mixed: list[models.ContactListRef | str] = ["1", models.ContactListRef("2")]
    address = models.EmailAddress("ann@example.com")
    for contact in (
        models.ContactWrite(email_addresses=[address], lists=refs, notes=[]),
        models.ContactWrite(email_addresses=[address], lists=tuple(refs), notes=()),
        models.ContactWrite(email_addresses=[address], lists=mixed),
        models.ContactWrite(email_addresses=[address], lists=tuple(mixed)),
        models.ContactWrite(email_addresses=[address], lists=["1", models.ContactListRef("2")]),
        models.ContactWrite(email_addresses=[address], lists=(ref for ref in refs)),
    ):
        assert contact.lists == tuple(refs)
    texts: list[str] = ["1", "2"]
    assert models.ContactWrite((address,), texts).lists == tuple(refs)
    assert models.ContactWrite([address], ["1", "2"]) == models.ContactWrite((address,), refs)
    full = models.ContactWrite(
        [address],
        ["1"],
        addresses=[models.Address(line1="1 Main Street")],
        custom_fields=[models.CustomField("CustomField1", "x")],
    )
    assert full.addresses == (models.Address(line1="1 Main Street"),)
    assert full.custom_fields == (models.CustomField("CustomField1", "x"),)


async def test_a_bad_request_error_quotes_the_service(
    sandbox: Sandbox, client: ConstantContact
) -> None:
    body = json.dumps([{"error_key": "json.type.invalid", "error_message": "#/lists/0/id: no"}])
    sandbox.admin.fault("answer", status=400, body=body)
    with pytest.raises(errors.BadRequest, match="#/lists/0/id"):
        await client.lists.all()
