from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

    from ccv2_async.sandbox import Sandbox

EVENTS = "/eventspot/events"


def key_of(answer: httpx.Response) -> str:
    (error,) = answer.json()
    key: str = error["error_key"]
    return key


def body(name: str = "open-day", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "title": "Open day",
        "type": "FOOD_WINE",
        "start_date": "2030-05-01T10:00:00.000-04:00",
        "end_date": "2030-05-01T18:00:00.000Z",
        "time_zone_id": "US/Eastern",
        "contact": {"name": "Mary Jane", "email_address": "owner@example.com"},
        **fields,
    }


def make(api: httpx.Client, name: str = "open-day", **fields: Any) -> str:
    answer = api.post(EVENTS, json=body(name, **fields))
    assert answer.status_code == 201, answer.text
    event_id: str = answer.json()["id"]
    assert answer.headers["location"].endswith(f"{EVENTS}/{event_id}")
    return event_id


def patch(api: httpx.Client, event_id: str, value: str) -> httpx.Response:
    operation = {"op": "REPLACE", "path": "#/status", "value": value}
    return api.patch(f"{EVENTS}/{event_id}", json=[operation])


FEE = {"label": "Entrance", "fee": 20, "fee_scope": "REGISTRANTS"}
ITEM = {
    "name": "Apron",
    "price": 9.5,
    "default_quantity_total": 10,
    "per_registrant_limit": 2,
    "show_quantity_available": True,
}
CODE = {
    "code_name": "SPRING_10",
    "code_type": "DISCOUNT",
    "discount_scope": "ORDER_TOTAL",
    "discount_type": "PERCENT",
    "discount_percent": 10,
}


def test_an_event_starts_as_a_draft_and_leaves_out_null_fields(api: httpx.Client) -> None:
    event = api.get(f"{EVENTS}/{make(api, description=None)}").json()
    assert (event["status"], event["currency_type"]) == ("DRAFT", "USD")
    assert event["start_date"] == "2030-05-01T14:00:00.000Z"
    assert "description" not in event
    assert "active_date" not in event
    assert len(event["id"]) == 19


@pytest.mark.parametrize(
    ("fields", "answered", "key"),
    [
        ({"name": "taken"}, 409, "http.status.conflict"),
        ({"name": " "}, 400, "json.field.name.value.invalid"),
        ({"type": "BAKING"}, 400, "json.field.type.value.invalid"),
        ({"contact": {}}, 400, "json.field.name.missing"),
        ({"contact": None}, 400, "json.field.contact.missing"),
        ({"end_date": "2030-05-01T09:00:00.000-04:00"}, 400, "json.field.end_date.value.invalid"),
        ({"start_date": "tomorrow"}, 400, "json.field.start_date.value.invalid"),
        ({"payment_options": ["CHECK"]}, 400, "json.field.payable_to.missing"),
        ({"payment_options": ["PAYPAL"]}, 400, "json.field.paypal_account_email.missing"),
        (
            {"payment_options": ["GOOGLE_CHECKOUT"]},
            400,
            "json.field.payment_options.value.invalid",
        ),
        ({"is_virtual_event": True}, 400, "json.field.online_meeting.missing"),
    ],
)
def test_an_event_that_breaks_a_rule_is_refused(
    api: httpx.Client, fields: dict[str, Any], answered: int, key: str
) -> None:
    make(api, "taken")
    answer = api.post(EVENTS, json=body(**fields))
    assert (answer.status_code, key_of(answer)) == (answered, key)


def test_an_event_is_published_and_cancelled_only_by_patch(api: httpx.Client) -> None:
    event_id = make(api)
    assert patch(api, event_id, "CANCELLED").status_code == 400
    published = patch(api, event_id, "ACTIVE").json()
    assert published["status"] == "ACTIVE"
    assert published["active_date"]
    whole = {**published, "status": "DRAFT", "title": "New"}
    changed = api.put(f"{EVENTS}/{event_id}", json=whole).json()
    assert (changed["status"], changed["title"]) == ("ACTIVE", "New")
    cancelled = patch(api, event_id, "CANCELLED").json()
    assert cancelled["status"] == "CANCELLED"
    assert cancelled["cancelled_date"]
    assert patch(api, event_id, "ACTIVE").status_code == 400


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [{"op": "REPLACE", "path": "#/status", "value": "ACTIVE"}] * 2,
        [{"op": "replace", "path": "#/status", "value": "ACTIVE"}],
        [{"op": "REPLACE", "path": "/status", "value": "ACTIVE"}],
        [{"op": "REPLACE", "path": "#/title", "value": "ACTIVE"}],
        [{"op": "REPLACE", "path": "#/status", "value": "DRAFT"}],
        {"op": "REPLACE", "path": "#/status", "value": "ACTIVE"},
    ],
)
def test_other_patches_are_refused(api: httpx.Client, operations: Any) -> None:
    event_id = make(api)
    assert api.patch(f"{EVENTS}/{event_id}", json=operations).status_code == 400
    assert api.get(f"{EVENTS}/{event_id}").json()["status"] == "DRAFT"


def test_events_are_listed_as_summaries_newest_first(api: httpx.Client) -> None:
    first, second = make(api, "a", location="Hall"), make(api, "b")
    rows = api.get(EVENTS).json()["results"]
    assert [row["id"] for row in rows] == [second, first]
    assert rows[1]["location"] == "Hall"
    assert rows[1]["event_detail_url"].endswith(first)
    page = api.get(EVENTS, params={"limit": 1}).json()
    assert page["meta"]["pagination"]["next_link"].startswith(f"/v2{EVENTS}?next=")


PARTS = [("fees", FEE, "label"), ("items", ITEM, "name"), ("promocodes", CODE, "code_name")]


@pytest.mark.parametrize(("kind", "sent", "key"), PARTS)
def test_parts_of_an_event_can_be_created_read_changed_and_deleted(
    api: httpx.Client, kind: str, sent: dict[str, Any], key: str
) -> None:
    path = f"{EVENTS}/{make(api)}/{kind}"
    assert api.get(path).json() == []
    answer = api.post(path, json=sent)
    assert answer.status_code == 201
    made = answer.json()
    assert re.fullmatch(r"[\w-]{43}", made["id"])
    assert sent.items() <= made.items()
    one = answer.headers["location"]
    assert api.get(one).json() == made
    assert api.post(path, json=sent).status_code == 409
    other = {**sent, key: "Second"}
    assert api.post(path, json=other).status_code == 201
    assert len(api.get(path).json()) == 2
    assert api.put(one, json={**made, key: "Second"}).status_code == 400
    changed = api.put(one, json={**made, key: "Third"}).json()
    assert changed == {**made, key: "Third"}
    assert api.delete(one).status_code == 204
    assert api.get(one).status_code == 404
    assert [row[key] for row in api.get(path).json()] == ["Second"]
    elsewhere = f"{EVENTS}/{make(api, 'another')}/{kind}"
    assert api.get(elsewhere).json() == []
    assert api.get(f"{EVENTS}/unknown/{kind}").status_code == 404


def test_an_event_keeps_at_least_one_fee(api: httpx.Client) -> None:
    answer = api.post(f"{EVENTS}/{make(api)}/fees", json=FEE)
    assert api.delete(answer.headers["location"]).status_code == 409


def test_fees_are_floats(api: httpx.Client) -> None:
    answer = api.post(f"{EVENTS}/{make(api)}/fees", json=FEE)
    assert '"fee":20.0' in answer.text


def test_attributes_decide_the_quantity_of_their_item(api: httpx.Client) -> None:
    event_id = make(api)
    item = api.post(f"{EVENTS}/{event_id}/items", json=ITEM).json()
    assert (item["default_quantity_available"], item["attributes"]) == (10, [])
    item_path = f"{EVENTS}/{event_id}/items/{item['id']}"
    small = api.post(f"{item_path}/attributes", json={"name": "S", "quantity_total": 3})
    api.post(f"{item_path}/attributes", json={"name": "L", "quantity_total": 4})
    item = api.get(item_path).json()
    assert item["default_quantity_total"] == 7
    assert "default_quantity_available" not in item
    assert item["attributes"] == api.get(f"{item_path}/attributes").json()
    one = small.headers["location"]
    assert api.put(one, json={"name": "S", "quantity_total": 5}).json()["quantity_available"] == 5
    assert api.put(one, json={"name": "L", "quantity_total": 5}).status_code == 400
    assert api.put(item_path, json={**ITEM, "name": "Hat"}).json()["default_quantity_total"] == 9
    assert api.delete(one).status_code == 204
    assert api.get(one).status_code == 404
    assert api.get(f"{EVENTS}/{event_id}/items/unknown/attributes").status_code == 404


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("fees", {**FEE, "fee": -1}),
        ("fees", {**FEE, "fee": "20"}),
        ("fees", {**FEE, "fee_scope": "ALL"}),
        ("fees", {**FEE, "label": ""}),
        ("items", {**ITEM, "price": -0.01}),
        ("items", {**ITEM, "per_registrant_limit": 11}),
        ("items", {**ITEM, "show_quantity_available": "yes"}),
        ("items", {**ITEM, "default_quantity_total": True}),
        ("promocodes", {**CODE, "code_name": "abc"}),
        ("promocodes", {**CODE, "code_name": "no spaces"}),
        ("promocodes", {**CODE, "discount_scope": None}),
        ("promocodes", {**CODE, "discount_percent": None}),
        ("promocodes", {**CODE, "discount_percent": 101}),
        ("promocodes", {**CODE, "discount_scope": "FEE_LIST"}),
        ("promocodes", {**CODE, "fee_ids": ["unknown"]}),
        ("promocodes", {"code_name": "ACCESS", "code_type": "ACCESS"}),
        ("promocodes", {**CODE, "quantity_total": -2}),
    ],
)
def test_invalid_event_parts_are_refused(
    api: httpx.Client, kind: str, sent: dict[str, Any]
) -> None:
    path = f"{EVENTS}/{make(api)}/{kind}"
    assert api.post(path, json=sent).status_code == 400
    assert api.get(path).json() == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, "LIVE"), ({"is_paused": True}, "PAUSED"), ({"quantity_total": 0}, "DEPLETED")],
)
def test_a_promotion_code_has_a_status(
    api: httpx.Client, fields: dict[str, Any], status: str
) -> None:
    path = f"{EVENTS}/{make(api)}"
    fee = api.post(f"{path}/fees", json=FEE).json()
    access = {"code_name": "LET_ME_IN", "code_type": "ACCESS", "fee_ids": [fee["id"]], **fields}
    code = api.post(f"{path}/promocodes", json=access).json()
    assert code["status"] == status
    assert code["quantity_available"] == fields.get("quantity_total", -1)


def test_registration_starts_when_an_event_is_published(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    sandbox.admin.configure(registrants=7)
    event_id = make(api)
    path = f"{EVENTS}/{event_id}"
    api.post(f"{path}/fees", json=FEE)
    api.post(f"{path}/items", json=ITEM)
    assert api.get(f"{path}/registrants").json()["results"] == []
    assert patch(api, event_id, "ACTIVE").json()["total_registered_count"] == 7
    page = api.get(f"{path}/registrants", params={"limit": 5}).json()
    assert len(page["results"]) == 5
    assert "next_link" in page["meta"]["pagination"]
    row = page["results"][0]
    detail = api.get(f"{path}/registrants/{row['id']}").json()
    assert detail["ticket_id"] == row["ticket_id"]
    order = detail["payment_summary"]["order"]
    assert order["fees"][0]["amount"] == 20.0
    assert order["total"] == sum(line["amount"] for line in [*order["fees"], *order["items"]])
    assert api.get(f"{path}/registrants/unknown").status_code == 404


def test_registrants_bring_guests_and_redeem_promotion_codes(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    sandbox.admin.configure(registrants=4)
    event_id = make(api, track_information={"guest_limit": 2})
    path = f"{EVENTS}/{event_id}"
    api.post(f"{path}/fees", json=FEE)
    code = api.post(f"{path}/promocodes", json={**CODE, "quantity_total": 1}).json()
    assert (code["quantity_available"], code["quantity_used"]) == (1, 0)
    patch(api, event_id, "ACTIVE")
    rows = api.get(f"{path}/registrants").json()["results"]
    assert [row["guest_count"] for row in rows] == [1, 2, 0, 1]
    details = [api.get(f"{path}/registrants/{row['id']}").json() for row in rows]
    for row, detail in zip(rows, details, strict=True):
        guests = detail["guests"]
        assert guests["guest_count"] == row["guest_count"] == len(guests["guest_info"])
    (guest,) = details[0]["guests"]["guest_info"]
    assert guest["guest_id"]
    names = {field["name"] for field in guest["guest_section"]["fields"]}
    assert names == {"NAME_FIRST", "NAME_LAST"}
    assert details[0]["payment_summary"]["promo_code"] == {
        "total_discount": -2.0,
        "promo_code_info": {**CODE, "redemption_count": 1},
    }
    assert all("promo_code" not in detail["payment_summary"] for detail in details[1:])
    code = api.get(f"{path}/promocodes/{code['id']}").json()
    assert (code["quantity_available"], code["quantity_used"]) == (0, 1)
    assert code["status"] == "DEPLETED"
    changed = {**CODE, "quantity_total": 5}
    code = api.put(f"{path}/promocodes/{code['id']}", json=changed).json()
    assert (code["quantity_available"], code["quantity_used"]) == (4, 1)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
def test_a_missing_event_is_a_404(api: httpx.Client, method: str) -> None:
    operation = {"op": "REPLACE", "path": "#/status", "value": "ACTIVE"}
    sent = {"PUT": body(), "PATCH": [operation]}.get(method)
    assert api.request(method, f"{EVENTS}/unknown", json=sent).status_code == 404
