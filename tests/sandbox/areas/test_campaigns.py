from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.sandbox import Sandbox
from ccv2_async.sandbox.clock import utc_stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

CAMPAIGNS = "/emailmarketing/campaigns"
CONTENT = (
    "<html><body><a href='https://www.example.com/menu'>Menu</a>"
    '<a href="https://www.example.com/shop?a=1">Shop</a></body></html>'
)


def key_of(answer: httpx.Response) -> str:
    (error,) = answer.json()
    key: str = error["error_key"]
    return key


def body(name: str = "Spring", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "subject": "Spring is here",
        "from_name": "Sandbox Bakery",
        "from_email": "owner@example.com",
        "reply_to_email": "owner@example.com",
        "email_content": CONTENT,
        "text_content": "Spring is here.",
        "sent_to_contact_lists": [{"id": "1"}],
        **fields,
    }


def make(api: httpx.Client, name: str = "Spring", **fields: Any) -> str:
    answer = api.post(CAMPAIGNS, json=body(name, **fields))
    assert answer.status_code == 201, answer.text
    campaign_id: str = answer.json()["id"]
    assert answer.headers["location"].endswith(f"{CAMPAIGNS}/{campaign_id}")
    return campaign_id


def send(api: httpx.Client, campaign_id: str) -> None:
    answer = api.post(f"{CAMPAIGNS}/{campaign_id}/schedules", json={})
    assert answer.status_code == 201, answer.text


def status(api: httpx.Client, campaign_id: str) -> str:
    found: str = api.get(f"{CAMPAIGNS}/{campaign_id}").json()["status"]
    return found


def test_a_new_campaign_is_a_draft_with_all_its_fields(api: httpx.Client) -> None:
    campaign = api.get(f"{CAMPAIGNS}/{make(api)}").json()
    assert len(campaign["id"]) == 13
    assert (campaign["status"], campaign["template_type"]) == ("DRAFT", "CUSTOM")
    assert body().items() <= campaign.items()
    assert campaign["email_content_format"] == "HTML"
    assert campaign["tracking_summary"]["sends"] == 0


@pytest.mark.parametrize(
    ("fields", "answered", "key"),
    [
        ({"name": "Taken"}, 409, "http.status.conflict"),
        ({"subject": None}, 400, "json.field.subject.missing"),
        ({"subject": " "}, 400, "json.field.subject.value.invalid"),
        ({"subject": "x" * 201}, 400, "json.field.subject.value.invalid"),
        ({"from_email": "other@example.com"}, 400, "json.field.from_email.value.invalid"),
        ({"email_content_format": "RTF"}, 400, "json.field.email_content_format.value.invalid"),
        ({"sent_to_contact_lists": [{"id": "9"}]}, 400, "json.field.lists.value.invalid"),
        (
            {"is_permission_reminder_enabled": True},
            400,
            "json.field.permission_reminder_text.missing",
        ),
        (
            {"is_view_as_webpage_enabled": True, "view_as_web_page_text": "x"},
            400,
            "json.field.view_as_web_page_link_text.missing",
        ),
    ],
)
def test_a_campaign_that_breaks_a_rule_is_refused(
    api: httpx.Client, fields: dict[str, Any], answered: int, key: str
) -> None:
    make(api, "Taken")
    answer = api.post(CAMPAIGNS, json=body(**fields))
    assert (answer.status_code, key_of(answer)) == (answered, key)


def test_a_put_replaces_the_whole_campaign(api: httpx.Client) -> None:
    campaign_id = make(api, greeting_string="Dear")
    whole = api.get(f"{CAMPAIGNS}/{campaign_id}").json()
    assert api.put(f"{CAMPAIGNS}/{campaign_id}", json=whole).status_code == 200
    changed = api.put(f"{CAMPAIGNS}/{campaign_id}", json=body(subject="New")).json()
    assert changed["subject"] == "New"
    assert "greeting_string" not in changed


def test_a_scheduled_campaign_is_sent_when_it_is_due(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.admin.add_contacts(20)
    campaign_id = make(api)
    due = sandbox.admin.time() + 3600
    path = f"{CAMPAIGNS}/{campaign_id}/schedules"
    answer = api.post(path, json={"scheduled_date": utc_stamp(due)})
    schedule = answer.json()
    assert schedule == {"id": "1", "scheduled_date": utc_stamp(due)}
    assert status(api, campaign_id) == "SCHEDULED"
    assert api.get(path).json() == [schedule] == [api.get(f"{path}/1").json()]
    later = utc_stamp(due + 3600)
    assert api.put(f"{path}/1", json={"scheduled_date": later}).json()["scheduled_date"] == later
    sandbox.admin.advance(3700)
    assert status(api, campaign_id) == "SCHEDULED"
    sandbox.admin.advance(3600)
    sent = api.get(f"{CAMPAIGNS}/{campaign_id}").json()
    assert (sent["status"], sent["last_run_date"]) == ("SENT", later)
    assert sent["tracking_summary"]["sends"] == 20
    assert api.get(path).json() == []
    assert api.get(f"{path}/1").status_code == 404


def test_a_schedule_can_be_removed(sandbox: Sandbox, api: httpx.Client) -> None:
    campaign_id = make(api)
    path = f"{CAMPAIGNS}/{campaign_id}/schedules"
    date = utc_stamp(sandbox.admin.time() + 3600)
    api.post(path, json={"scheduled_date": date})
    assert api.post(path, json={"scheduled_date": date}).status_code == 409
    assert api.delete(f"{CAMPAIGNS}/{campaign_id}").status_code == 409
    assert api.put(f"{CAMPAIGNS}/{campaign_id}", json=body()).status_code == 409
    assert api.delete(f"{path}/1").status_code == 204
    assert status(api, campaign_id) == "DRAFT"
    assert api.delete(f"{path}/1").status_code == 404


def test_a_schedule_needs_a_future_date_and_recipients(sandbox: Sandbox, api: httpx.Client) -> None:
    path = f"{CAMPAIGNS}/{make(api)}/schedules"
    past = utc_stamp(sandbox.admin.time() - 60)
    assert api.post(path, json={"scheduled_date": past}).status_code == 400
    assert api.post(path, json={"scheduled_date": "soon"}).status_code == 400
    lonely = f"{CAMPAIGNS}/{make(api, 'Lonely', sent_to_contact_lists=[])}/schedules"
    answer = api.post(lonely, json={})
    assert key_of(answer) == "json.field.sent_to_contact_lists.value.invalid"
    api.post(path, json={"scheduled_date": utc_stamp(sandbox.admin.time() + 60)})
    assert key_of(api.put(f"{path}/1", json={})) == "json.field.scheduled_date.missing"


def test_sending_takes_time_in_timed_mode(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.admin.configure(mode="seconds", seconds=60)
    campaign_id = make(api)
    send(api, campaign_id)
    seen = [status(api, campaign_id)]
    for _ in range(2):
        sandbox.admin.advance(301 - 240 * len(seen[1:]))
        seen.append(status(api, campaign_id))
    assert seen == ["SCHEDULED", "RUNNING", "SENT"]


def test_a_campaign_sent_again_reaches_only_new_contacts(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    sandbox.admin.add_contacts(3)
    campaign_id = make(api)
    send(api, campaign_id)
    assert status(api, campaign_id) == "SENT"
    sandbox.admin.advance(10)
    late = {"email_addresses": [{"email_address": "late@example.com"}], "lists": [{"id": "1"}]}
    assert api.post("/contacts", json=late).status_code == 201
    sandbox.admin.advance(10)
    send(api, campaign_id)
    rows = api.get(f"{CAMPAIGNS}/{campaign_id}/tracking/sends").json()["results"]
    assert len(rows) == 4
    assert rows[0]["email_address"] == "late@example.com"


def test_campaigns_are_listed_by_status_and_deleted_ones_only_on_request(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    sent, draft, gone, planned = (make(api, name) for name in "abcd")
    send(api, sent)
    date = utc_stamp(sandbox.admin.time() + 3600)
    api.post(f"{CAMPAIGNS}/{planned}/schedules", json={"scheduled_date": date})
    assert api.delete(f"{CAMPAIGNS}/{gone}").status_code == 204
    assert api.get(f"{CAMPAIGNS}/{gone}").status_code == 404
    rows = api.get(CAMPAIGNS).json()["results"]
    assert [(row["id"], row["status"]) for row in rows] == [
        (draft, "DRAFT"),
        (sent, "SENT"),
        (planned, "SCHEDULED"),
    ]
    assert rows[0].keys() == {"id", "name", "status", "modified_date"}
    (row,) = api.get(CAMPAIGNS, params={"status": "DELETED"}).json()["results"]
    assert (row["id"], row["status"]) == (gone, "DELETED")
    assert make(api, "c")
    assert api.get(CAMPAIGNS, params={"limit": 51}).status_code == 400


def test_a_campaign_is_previewed_unless_it_is_xhtml(api: httpx.Client) -> None:
    preview = api.get(f"{CAMPAIGNS}/{make(api)}/preview").json()
    assert preview["preview_email_content"] == CONTENT
    xhtml = make(api, "X", email_content_format="XHTML")
    assert api.get(f"{CAMPAIGNS}/{xhtml}/preview").status_code == 400


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ({"email_addresses": ["a@example.com"], "format": "HTML"}, 200),
        ({"email_addresses": ["a@example.com"] * 6, "format": "HTML"}, 400),
        ({"email_addresses": [], "format": "HTML"}, 400),
        ({"email_addresses": ["nobody"], "format": "HTML"}, 400),
        ({"email_addresses": ["a@example.com"], "format": "PDF"}, 400),
        ({"email_addresses": ["a@example.com"]}, 400),
    ],
)
def test_a_test_goes_to_one_to_five_addresses(
    api: httpx.Client, sent: dict[str, Any], answered: int
) -> None:
    answer = api.post(f"{CAMPAIGNS}/{make(api)}/tests", json=sent)
    assert answer.status_code == answered
    assert answered != 200 or answer.json() == sent


def test_unverified_addresses_get_fifty_tests_a_day(sandbox: Sandbox, api: httpx.Client) -> None:
    path = f"{CAMPAIGNS}/{make(api)}/tests"
    strangers = {"email_addresses": ["a@example.com"] * 5, "format": "TEXT"}
    assert [api.post(path, json=strangers).status_code for _ in range(11)] == [200] * 10 + [400]
    own = {"email_addresses": ["owner@example.com"], "format": "TEXT"}
    assert api.post(path, json=own).status_code == 200
    sandbox.admin.advance(86_401)
    assert api.post(path, json=strangers).status_code == 200


@pytest.fixture
def sent() -> Iterator[tuple[httpx.Client, str]]:
    """A campaign that went to four hundred contacts."""
    with Sandbox(mode="at_once", seed=5) as sandbox:
        options = sandbox.client_options()
        with httpx.Client(
            base_url=options["base_url"],
            params={"api_key": options["api_key"]},
            headers={"authorization": f"Bearer {options['access_token']}"},
        ) as api:
            sandbox.admin.add_contacts(400)
            campaign_id = make(api)
            send(api, campaign_id)
            yield api, campaign_id


def rows(api: httpx.Client, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = api.get(path, params=params).json()
    found: list[dict[str, Any]] = answer["results"]
    while "next_link" in answer["meta"]["pagination"]:
        cursor = answer["meta"]["pagination"]["next_link"].partition("next=")[2]
        answer = api.get(path, params={"next": cursor}).json()
        found += answer["results"]
    return found


KINDS = {
    "sends": "EMAIL_SEND",
    "opens": "EMAIL_OPEN",
    "clicks": "EMAIL_CLICK",
    "forwards": "EMAIL_FORWARD",
    "bounces": "EMAIL_BOUNCE",
    "unsubscribes": "EMAIL_UNSUBSCRIBE",
}


def test_campaign_reports_agree_with_the_summary(sent: tuple[httpx.Client, str]) -> None:
    api, campaign_id = sent
    tracking = f"{CAMPAIGNS}/{campaign_id}/tracking"
    summary = api.get(f"{tracking}/reports/summary").json()
    assert summary["sends"] == 400
    for name, kind in KINDS.items():
        found = rows(api, f"{tracking}/{name}", limit=150)
        assert len(found) == summary[name] > 0
        assert {row["activity_type"] for row in found} == {kind}
        assert {row["campaign_id"] for row in found} == {int(campaign_id)}
    everything = rows(api, tracking)
    assert len(everything) == sum(summary[name] for name in KINDS)
    campaign = api.get(f"{CAMPAIGNS}/{campaign_id}", params={"updateSummary": "true"}).json()
    assert campaign["tracking_summary"] == summary


def test_clicks_add_up_by_link(sent: tuple[httpx.Client, str]) -> None:
    api, campaign_id = sent
    tracking = f"{CAMPAIGNS}/{campaign_id}/tracking"
    links = api.get(f"{CAMPAIGNS}/{campaign_id}").json()["click_through_details"]
    assert [link["url"] for link in links] == [
        "https://www.example.com/menu",
        "https://www.example.com/shop?a=1",
    ]
    for link in links:
        found = rows(api, f"{tracking}/clicks/{link['url_uid']}")
        assert len(found) == link["click_count"] > 0
    assert api.get(f"{tracking}/clicks/99").status_code == 404


def test_contact_reports_agree_with_the_summaries(sent: tuple[httpx.Client, str]) -> None:
    api, campaign_id = sent
    (clicker, *_) = rows(api, f"{CAMPAIGNS}/{campaign_id}/tracking/clicks")
    tracking = f"/contacts/{clicker['contact_id']}/tracking"
    summary = api.get(f"{tracking}/reports/summary").json()
    assert summary["contact_id"] == clicker["contact_id"]
    for name in KINDS:
        assert len(rows(api, f"{tracking}/{name}")) == summary[name]
    (by_campaign,) = api.get(f"{tracking}/reports/summaryByCampaign").json()
    assert by_campaign["campaign_id"] == campaign_id
    assert by_campaign["clicks"] == summary["clicks"]
    everything = rows(api, tracking)
    assert everything[-1]["activity_type"] == "EMAIL_SEND"
    clicks = rows(api, f"{tracking}/clicks/{clicker['link_id']}")
    assert clicks[0]["link_uri"].startswith("https://www.example.com/")
    assert clicks[0]["campaign_id"] == campaign_id
    assert api.get(f"{tracking}/clicks/99").status_code == 404


def test_contacts_who_unsubscribed_are_opted_out_and_bounced_ones_have_no_activity(
    sent: tuple[httpx.Client, str],
) -> None:
    api, campaign_id = sent
    tracking = f"{CAMPAIGNS}/{campaign_id}/tracking"
    for row in rows(api, f"{tracking}/unsubscribes"):
        assert api.get(f"/contacts/{row['contact_id']}").json()["status"] == "OPTOUT"
    bounce = rows(api, f"{tracking}/bounces")[0]
    assert bounce["bounce_code"] in "BDFSVXZ"
    whole = rows(api, f"/contacts/{bounce['contact_id']}/tracking")
    assert [row["activity_type"] for row in whole] == ["EMAIL_BOUNCE", "EMAIL_SEND"]


def test_reports_can_start_at_a_date(sent: tuple[httpx.Client, str]) -> None:
    api, campaign_id = sent
    tracking = f"{CAMPAIGNS}/{campaign_id}/tracking"
    last = rows(api, tracking)[0]
    date = next(value for name, value in last.items() if name.endswith("_date"))
    since = rows(api, tracking, created_since=date)
    assert since[0] == last
    assert 1 <= len(since) < 400
    assert rows(api, tracking, created_since="2100-01-01T00:00:00Z") == []


def test_a_campaign_that_was_not_sent_has_no_reports(api: httpx.Client) -> None:
    campaign_id = make(api)
    assert rows(api, f"{CAMPAIGNS}/{campaign_id}/tracking") == []
    assert api.get(f"{CAMPAIGNS}/99/tracking/opens").status_code == 404
    assert api.get("/contacts/99/tracking").status_code == 404
