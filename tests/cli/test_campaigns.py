"""`ccv2 campaigns`: reports on sent campaigns, and tests and schedules for others."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran


@pytest.fixture
def ids(ccv2: Callable[..., Ran], demo: Sandbox) -> dict[str, str]:
    return {row["name"]: row["id"] for row in ccv2("campaigns", "--json").rows}


def status(ccv2: Callable[..., Ran], id_: str) -> Any:
    return ccv2("campaigns", "show", id_, "--json").rows[0]["status"]


def test_a_campaign_is_shown_with_its_sender_and_lists(
    ccv2: Callable[..., Ran], ids: dict[str, str]
) -> None:
    ran = ccv2("campaigns", "show", ids["Holiday orders"])
    assert ran.code == Exit.OK
    shown = dict(line.split("  ", 1) for line in ran.out.splitlines())
    assert shown["subject"].strip() == "Order your stollen"
    assert shown["from"].strip() == "Sandbox Bakery <owner@example.com>"
    assert shown["lists"].strip() == "5"


def test_a_report_counts_a_campaign_and_its_links(
    ccv2: Callable[..., Ran], ids: dict[str, str]
) -> None:
    ran = ccv2("campaigns", "report", ids["Holiday orders"])
    header, counts, links, *rows = ran.out.splitlines()
    assert header.split()[-7:] == (
        ["sends", "opens", "clicks", "forwards", "bounces", "unsubscribes", "spam"]
    )
    assert counts.split()[-7:] == ["34", "28", "19", "1", "1", "2", "0"]
    assert links.split() == ["link", "clicks", "url"]
    assert [row.split()[2] for row in rows] == (
        ["https://www.example.com/holiday", "https://www.example.com/shop"]
    )


def test_reports_of_several_campaigns_are_rows_of_one_csv(
    ccv2: Callable[..., Ran], ids: dict[str, str]
) -> None:
    wanted = [ids["Holiday orders"], ids["Autumn menu"]]
    ran = ccv2("campaigns", "report", *wanted, "--csv")
    rows = list(csv.DictReader(ran.out.splitlines()))
    assert [row["id"] for row in rows] == wanted
    assert rows[0]["opens"] == "28"
    (row,) = ccv2("campaigns", "report", wanted[0], "--json").rows
    assert row["tracking_summary"]["opens"] == 28
    assert "email_content" not in row


def test_a_test_is_sent_to_a_few_addresses(ccv2: Callable[..., Ran], ids: dict[str, str]) -> None:
    draft = ids["Spring menu"]
    ran = ccv2("campaigns", "send-test", draft, "a@example.com", "b@example.com")
    assert (ran.code, ran.out) == (Exit.OK, "")
    assert ran.err == f"Sent a test of campaign {draft} to a@example.com, b@example.com.\n"
    (row,) = ccv2("campaigns", "send-test", draft, "a@b.c", "--format", "text", "--json").rows
    assert row["format"] == "TEXT"
    many = ccv2("campaigns", "send-test", draft, *(f"{n}@example.com" for n in range(6)))
    assert many.code == Exit.USAGE
    assert "ADDRESSES is " in many.err


def test_a_campaign_is_scheduled_rescheduled_and_unscheduled(
    ccv2: Callable[..., Ran], ids: dict[str, str]
) -> None:
    draft = ids["Spring menu"]
    ran = ccv2("campaigns", "schedule", draft, "--at", "2036-12-01T09:30")
    assert (ran.code, ran.out) == (Exit.OK, "")
    assert ran.err == f"Spring menu ({draft}) will be sent to 1 list at 2036-12-01 09:30.\n"
    (moved,) = ccv2("campaigns", "schedule", draft, "--at", "2036-12-02T09:30Z", "--json").rows
    assert moved["scheduled_date"].startswith("2036-12-02T09:30:00")
    assert status(ccv2, draft) == "SCHEDULED"
    taken = ccv2("campaigns", "unschedule", draft)
    assert (taken.code, taken.err) == (Exit.OK, f"Campaign {draft} is no longer scheduled.\n")
    assert status(ccv2, draft) == "DRAFT"


def test_sending_now_needs_consent(
    ccv2: Callable[..., Ran], ids: dict[str, str], demo: Sandbox
) -> None:
    draft = ids["Spring menu"]
    ran = ccv2("campaigns", "schedule", draft, "--now")
    assert ran.code == Exit.USAGE
    assert f"Send Spring menu ({draft}) to 1 list now? Confirm with --yes." in ran.err
    assert demo.admin.requests("POST") == []
    sent = ccv2("campaigns", "schedule", draft, "--now", "--yes")
    assert (sent.code, sent.err) == (Exit.OK, f"Spring menu ({draft}) is being sent to 1 list.\n")
    assert len(demo.admin.requests("POST")) == 1


@pytest.mark.parametrize("options", [(), ("--now", "--at", "2036-12-01")])
def test_exactly_one_time_is_required(
    ccv2: Callable[..., Ran], demo: Sandbox, options: tuple[str, ...]
) -> None:
    ran = ccv2("campaigns", "schedule", "1", *options)
    assert (ran.code, demo.admin.requests()) == (Exit.USAGE, [])
    assert "--at TIME or --now" in ran.err
