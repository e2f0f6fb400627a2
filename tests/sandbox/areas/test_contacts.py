from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.sandbox.clock import utc_stamp

if TYPE_CHECKING:
    import httpx

    from ccv2_async.sandbox import Sandbox


def key_of(answer: httpx.Response) -> str:
    (error,) = answer.json()
    key: str = error["error_key"]
    return key


def make_list(api: httpx.Client, name: str) -> str:
    answer = api.post("/lists", json={"name": name, "status": "ACTIVE"})
    assert answer.status_code == 201
    list_id: str = answer.json()["id"]
    return list_id


def person(email: str, *lists: str, **fields: Any) -> dict[str, Any]:
    return {
        "email_addresses": [{"email_address": email}],
        "lists": [{"id": list_id} for list_id in lists or ("1",)],
        **fields,
    }


def make(api: httpx.Client, email: str, *lists: str, **fields: Any) -> dict[str, Any]:
    answer = api.post("/contacts", json=person(email, *lists, **fields))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def counts(api: httpx.Client) -> dict[str, int]:
    return {row["id"]: row["contact_count"] for row in api.get("/lists").json()}


def test_list_counts_follow_their_contacts(api: httpx.Client) -> None:
    other = make_list(api, "News")
    contact = make(api, "ann@example.com", "1", other, first_name="Ann")
    assert contact["status"] == "ACTIVE"
    assert [row["id"] for row in contact["lists"]] == ["1", other]
    assert counts(api) == {"1": 1, other: 1}
    (row,) = api.get(f"/lists/{other}/contacts").json()["results"]
    assert row == contact
    assert api.delete(f"/contacts/{contact['id']}/lists/{other}").status_code == 204
    assert counts(api) == {"1": 1, other: 0}
    assert api.delete(f"/contacts/{contact['id']}/lists").status_code == 204
    assert counts(api) == {"1": 0, other: 0}
    assert api.get(f"/contacts/{contact['id']}").json()["status"] == "REMOVED"


def test_a_contact_is_found_by_its_address_in_any_case(api: httpx.Client) -> None:
    contact = make(api, "ann+x@example.com")
    found = api.get("/contacts", params={"email": "ANN+x@example.com"}).json()["results"]
    assert found == [contact]
    assert api.get("/contacts", params={"email": "no@example.com"}).json()["results"] == []


def test_a_second_active_contact_with_the_same_address_is_a_conflict(api: httpx.Client) -> None:
    make(api, "ann@example.com")
    answer = api.post("/contacts", json=person("Ann@example.com"))
    assert (answer.status_code, key_of(answer)) == (409, "http.status.conflict")


def test_an_opted_out_contact_is_kept_and_can_be_restored(api: httpx.Client) -> None:
    contact = make(api, "ann@example.com")
    assert api.delete(f"/contacts/{contact['id']}").status_code == 204
    gone = api.get(f"/contacts/{contact['id']}").json()
    assert gone["status"] == gone["email_addresses"][0]["status"] == "OPTOUT"
    assert gone["email_addresses"][0]["opt_out_date"] > "2020"
    assert gone["lists"] == []
    back = api.post(
        "/contacts", json=person("ann@example.com"), params={"action_by": "ACTION_BY_VISITOR"}
    ).json()
    assert (back["id"], back["status"]) == (contact["id"], "ACTIVE")
    assert back["email_addresses"][0]["opt_in_source"] == "ACTION_BY_VISITOR"


def test_a_put_replaces_the_whole_contact(api: httpx.Client) -> None:
    other = make_list(api, "News")
    contact = make(
        api, "ann@example.com", first_name="Ann", job_title="Baker", notes=[{"note": "x"}]
    )
    assert contact["notes"][0]["created_date"]
    sent = {**contact, "first_name": "Anna", "job_title": None, "lists": [{"id": other}]}
    changed = api.put(f"/contacts/{contact['id']}", json=sent).json()
    assert (changed["first_name"], changed["job_title"]) == ("Anna", "")
    assert changed["notes"] == contact["notes"]
    assert counts(api) == {"1": 0, other: 1}
    moved = person("anna@example.com")
    assert api.put(f"/contacts/{contact['id']}", json=moved).status_code == 200
    assert api.get("/contacts", params={"email": "ann@example.com"}).json()["results"] == []
    make(api, "bob@example.com")
    answer = api.put(f"/contacts/{contact['id']}", json=person("bob@example.com"))
    assert (answer.status_code, key_of(answer)) == (400, "json.email.invalid")


def test_addresses_keep_their_id_and_notes_their_id_and_dates(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    work = {"address_type": "BUSINESS", "line1": "2 Oak Street"}
    home = {"address_type": "PERSONAL", "line1": "1 Main Street"}
    contact = make(
        api, "ann@example.com", addresses=[work, home], notes=[{"note": "x"}, {"note": "y"}]
    )
    ids = {row["address_type"]: row["id"] for row in contact["addresses"]}
    assert len(set(ids.values())) == 2
    sandbox.admin.advance(60)
    changed = api.put(
        f"/contacts/{contact['id']}",
        json=person(
            "ann@example.com", addresses=[home, work], notes=[{"note": "y"}, {"note": "z"}]
        ),
    ).json()
    assert {row["address_type"]: row["id"] for row in changed["addresses"]} == ids
    kept, new = changed["notes"]
    assert kept == contact["notes"][1]
    assert new["id"] not in [note["id"] for note in contact["notes"]]
    assert new["created_date"] > kept["created_date"]


@pytest.mark.parametrize("source", ["ACTION_BY_SYSTEM", "ACTION_BY_CONTACT", ""])
def test_an_opt_in_source_is_recorded_as_visitor_or_owner(
    sandbox: Sandbox, api: httpx.Client, source: str
) -> None:
    sandbox.admin.add_contacts(1, opt_in_source="ACTION_BY_SYSTEM")
    (contact,) = api.get("/contacts").json()["results"]
    (address,) = contact["email_addresses"]
    assert address["opt_in_source"] == "ACTION_BY_SYSTEM"
    for given, status in ((source, 400), ("ACTION_BY_VISITOR", 200), ("ACTION_BY_OWNER", 200)):
        body = {**contact, "email_addresses": [{**address, "opt_in_source": given}]}
        answer = api.put(f"/contacts/{contact['id']}", json=body)
        assert answer.status_code == status
        if status == 400:
            (error,) = answer.json()
            assert error["error_message"] == "Valid options are: ACTION_BY_VISITOR, ACTION_BY_OWNER"


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (person("no address"), "json.email.invalid"),
        (person("a@b@example.com"), "json.email.invalid"),
        (person("a" * 80 + "@example.com"), "json.email.invalid"),
        (
            {**person("a@example.com"), "email_addresses": []},
            "json.field.email_addresses.value.invalid",
        ),
        ({"lists": [{"id": "1"}]}, "json.field.email_addresses.missing"),
        (person("a@example.com", "99"), "json.field.lists.value.invalid"),
        ({**person("a@example.com"), "lists": []}, "json.field.lists.value.invalid"),
        ({**person("a@example.com"), "lists": [{}]}, "json.field.id.missing"),
        (person("a@example.com", cell_phone="1" * 51), "json.field.cell_phone.value.invalid"),
        (
            person("a@example.com", addresses=[{"address_type": "PERSONAL"}] * 2),
            "json.field.addresses.value.invalid",
        ),
        (
            person("a@example.com", custom_fields=[{"name": "CustomField1", "value": ""}] * 16),
            "json.field.custom_fields.value.invalid",
        ),
    ],
)
def test_a_contact_that_breaks_a_rule_is_refused(
    api: httpx.Client, body: dict[str, Any], key: str
) -> None:
    answer = api.post("/contacts", json=body)
    assert (answer.status_code, key_of(answer)) == (400, key)
    assert api.get("/contacts").json()["results"] == []


def test_contacts_are_paged_and_filtered_by_status_and_date(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    sandbox.admin.add_contacts(7)
    since = utc_stamp(sandbox.admin.time() + 50)
    sandbox.admin.advance(100)
    late = make(api, "late@example.com")
    api.delete("/contacts/3")
    recent = api.get("/contacts", params={"modified_since": since}).json()["results"]
    assert [row["id"] for row in recent] == ["3", late["id"]]
    out = api.get("/contacts", params={"status": "OPTOUT"}).json()["results"]
    assert [row["id"] for row in out] == ["3"]
    first = api.get("/contacts", params={"limit": 5, "status": "ACTIVE"}).json()
    cursor = first["meta"]["pagination"]["next_link"].partition("next=")[2]
    second = api.get("/contacts", params={"next": cursor}).json()
    ids = [row["id"] for row in first["results"] + second["results"]]
    assert ids == ["1", "2", "4", "5", "6", "7", "8"]
    answer = api.get("/contacts", params={"modified_since": "yesterday"})
    assert key_of(answer) == "query.param.modified_since.invalid"


def test_ids_of_the_next_api_version_are_included_on_request(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    sandbox.admin.add_contacts(1)
    (row,) = api.get("/contacts", params={"include_contact_id": "true"}).json()["results"]
    assert len(row["contact_id"]) == 36
    (row,) = api.get("/lists", params={"include_list_id": "true"}).json()
    assert len(row["list_id"]) == 36
    assert "list_id" not in api.get("/lists").json()[0]


def test_deleting_a_list_keeps_its_contacts(api: httpx.Client) -> None:
    other = make_list(api, "News")
    contact = make(api, "ann@example.com", other)
    answer = api.put(f"/lists/{other}", json={"name": "Old news", "status": "HIDDEN"})
    assert (answer.json()["name"], answer.json()["status"]) == ("Old news", "HIDDEN")
    assert answer.json() == api.get(f"/lists/{other}").json()
    assert api.delete(f"/lists/{other}").status_code == 204
    assert api.get(f"/lists/{other}").status_code == 404
    assert api.get(f"/contacts/{contact['id']}").json()["lists"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "general interest", "status": "ACTIVE"}, 409),
        ({"name": "", "status": "ACTIVE"}, 400),
        ({"name": "x" * 256, "status": "ACTIVE"}, 400),
        ({"name": "x", "status": "ODD"}, 400),
        ({"name": "x", "status": "active"}, 400),
        ({"name": "x"}, 400),
    ],
)
def test_a_list_that_breaks_a_rule_is_refused(
    api: httpx.Client, body: dict[str, Any], status: int
) -> None:
    assert api.post("/lists", json=body).status_code == status


def test_an_account_has_a_thousand_lists_at_most(api: httpx.Client) -> None:
    for number in range(999):
        make_list(api, f"List {number}")
    assert api.post("/lists", json={"name": "x", "status": "ACTIVE"}).status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/contacts/99"),
        ("DELETE", "/contacts/99"),
        ("DELETE", "/contacts/99/lists"),
        ("DELETE", "/contacts/99/lists/1"),
        ("DELETE", "/contacts/1/lists/99"),
        ("GET", "/lists/99"),
        ("GET", "/lists/99/contacts"),
        ("DELETE", "/lists/99"),
    ],
)
def test_missing_resources_are_a_404(
    sandbox: Sandbox, api: httpx.Client, method: str, path: str
) -> None:
    sandbox.admin.add_contacts(1)
    assert api.request(method, path).status_code == 404


@pytest.mark.parametrize("lists", [["1"], [{"id": "1"}]])
def test_a_signup_form_names_its_lists(api: httpx.Client, lists: list[Any]) -> None:
    answer = api.post("/signupform", json={"contact_lists": lists, "list_name": "x"})
    assert answer.status_code == 200
    assert answer.json()["signup_form_url"].endswith("lists=1")
    assert api.post("/signupform", json={"contact_lists": ["99"]}).status_code == 400


def test_the_account_can_be_read_and_changed(api: httpx.Client) -> None:
    before = api.get("/account/info").json()
    answer = api.put("/account/info", json={**before, "phone": "123"})
    assert answer.json() == {**before, "phone": "123"} == api.get("/account/info").json()
    answer = api.put("/account/info", json={"organization_addresses": [{"city": "X"}]})
    assert key_of(answer) == "json.field.line1.missing"


def test_a_new_account_address_waits_for_confirmation(
    sandbox: Sandbox, api: httpx.Client, admin_http: httpx.Client
) -> None:
    path, body = "/account/verifiedemailaddresses", [{"email_address": "new@example.com"}]
    assert [api.post(path, json=body).status_code for _ in range(2)] == [201, 200]
    waiting = api.get(path, params={"status": "UNCONFIRMED"}).json()
    assert waiting == [{"email_address": "new@example.com", "status": "UNCONFIRMED"}]
    answer = admin_http.post("/addresses", json={"email_address": "new@example.com"})
    assert answer.status_code == 200
    assert api.post(path, json=body).status_code == 409
    assert len(api.get(path).json()) == 2
    assert api.post(path, json=[]).status_code == 400
    assert api.post(path, json=[{"email_address": "nobody"}]).status_code == 400


def test_contacts_can_be_added_from_another_process(
    sandbox: Sandbox, admin_http: httpx.Client
) -> None:
    assert admin_http.post("/contacts", json={"count": 3, "list_id": "1"}).status_code == 200
    state = admin_http.get("/state").json()
    assert state["contacts"] == 3
    assert state["lists"] == [{"id": "1", "name": "General Interest", "contact_count": 3}]
    assert admin_http.post("/contacts", json={"count": 3, "list_id": "9"}).status_code == 404
