"""`ccv2 tracking`: who did what, by campaign and by contact."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from ccv2_async.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran

REPORTS = {
    "sends": "send_date",
    "opens": "open_date",
    "clicks": "click_date",
    "forwards": "forward_date",
    "bounces": "bounce_date",
    "unsubscribes": "unsubscribe_date",
}
BRUNO = "bruno.brandt@example.com"


@pytest.fixture
def campaign(ccv2: Callable[..., Ran], demo: Sandbox) -> str:
    rows = ccv2("campaigns", "--status", "sent", "--json").rows
    return next(str(row["id"]) for row in rows if row["name"] == "Holiday orders")


def test_every_report_of_a_campaign_is_a_table_csv_and_json(
    ccv2: Callable[..., Ran], campaign: str
) -> None:
    (summary,) = ccv2("campaigns", "report", campaign, "--json").rows
    for report, date in REPORTS.items():
        table, ran = ccv2("tracking", report, campaign), ccv2("tracking", report, campaign, "--csv")
        rows = list(csv.DictReader(ran.out.splitlines()))
        assert len(rows) == len(table.out.splitlines()) - 1 == summary["tracking_summary"][report]
        assert all(row["campaign_id"] == campaign and row[date] for row in rows)
        as_json = ccv2("tracking", report, campaign, "--json").rows
        keys = ("email_address", "contact_id", date)
        assert [[row[key] for key in keys] for row in as_json] == (
            [[row[key] for key in keys] for row in rows]
        )


def test_everything_that_happened_is_one_listing(ccv2: Callable[..., Ran], campaign: str) -> None:
    rows = list(csv.DictReader(ccv2("tracking", "activities", campaign, "--csv").out.splitlines()))
    assert {row["activity_type"] for row in rows} == (
        {f"EMAIL_{report[:-1].upper()}" for report in REPORTS}
    )
    assert all(row["date"] for row in rows)


def test_a_contact_is_named_by_its_address_or_its_id(
    ccv2: Callable[..., Ran], demo: Sandbox
) -> None:
    by_address = ccv2("tracking", "clicks", "--contact", BRUNO)
    assert by_address.out.splitlines()[0].split() == ["campaign", "clicked", "link"]
    assert "https://www.example.com/" in by_address.out
    (contact,) = ccv2("contacts", "--email", BRUNO, "--json").rows
    assert ccv2("tracking", "clicks", "--contact", contact["id"]).out == by_address.out


def test_reports_are_narrowed_by_date_and_limit(ccv2: Callable[..., Ran], campaign: str) -> None:
    assert ccv2("tracking", "opens", campaign, "--since", "2100-01-01").err == "0 opens.\n"
    assert ccv2("tracking", "opens", campaign, "--limit", "2").err == "2 opens.\n"


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ((), "Pass either a campaign ID or --contact."),
        (("7", "--contact", "7"), "Pass either a campaign ID or --contact."),
        (("a b",), "ID is 'a b'"),
        (("--contact", "a b"), "ID is 'a b'"),
        (("--contact", "nobody@example.com"), "There is no contact with the address nobody@"),
    ],
)
def test_a_subject_that_is_wrong_is_named(
    ccv2: Callable[..., Ran], demo: Sandbox, options: tuple[str, ...], part: str
) -> None:
    ran = ccv2("tracking", "opens", *options)
    assert (ran.out, ran.code != Exit.OK) == ("", True)
    assert part in ran.err
