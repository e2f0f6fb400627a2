"""A row that cannot be read does not hide the others, and the exit code says that it is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran

GOOD: dict[str, dict[str, Any]] = {
    "/library/files": {"id": "1", "name": "first.png", "size": 3, "status": "Active"},
    "/library/folders": {"id": "1", "name": "first", "item_count": 0, "children": []},
    "/library/folders/trash/files": {"id": "1", "name": "first.png", "size": 3},
    "/lists": {"id": "1", "name": "first", "status": "ACTIVE", "contact_count": 3},
    "/emailmarketing/campaigns": {"id": "1", "name": "first", "status": "SENT"},
    "/activities": {"id": "1", "type": "ADD_CONTACTS", "status": "COMPLETE"},
}
PAGED = frozenset({path for path in GOOD if path not in ("/lists", "/activities")})
COMMANDS = [
    (("files",), "/library/files"),
    (("folders",), "/library/folders"),
    (("files", "trash"), "/library/folders/trash/files"),
    (("lists",), "/lists"),
    (("campaigns",), "/emailmarketing/campaigns"),
    (("activities",), "/activities"),
]


def answer_with_a_bad_row(service: Sandbox, path: str) -> None:
    """Have the service answer with three rows, of which the second has no text as its id."""
    good = GOOD[path]
    rows = [good, {**good, "id": {"odd": 2}}, {**good, "id": "3"}]
    service.admin.fault(
        "answer",
        "GET",
        path,
        status=200,
        headers={"content-type": "application/json"},
        body=json.dumps({"results": rows, "meta": {"pagination": {}}} if path in PAGED else rows),
    )


@pytest.mark.parametrize(("command", "path"), COMMANDS)
def test_the_good_rows_are_shown_and_the_bad_one_is_named(
    ccv2: Callable[..., Ran], service: Sandbox, command: tuple[str, ...], path: str
) -> None:
    answer_with_a_bad_row(service, path)
    ran = ccv2(*command, "--json")
    assert ran.code == Exit.SOME_FAILED
    assert [row["id"] for row in ran.rows] == ["1", "3"]
    (complaint,) = [line for line in ran.err.splitlines() if "row 1" in line]
    assert "id" in complaint
    assert "on_bad_row" not in ran.err
    answer_with_a_bad_row(service, path)
    shown = ccv2(*command)
    assert shown.code == Exit.SOME_FAILED
    assert complaint in shown.err
    assert len(shown.out.splitlines()) == 3  # the header or the root, and two rows


def test_a_limit_ends_a_listing_before_its_bad_row(
    ccv2: Callable[..., Ran], service: Sandbox
) -> None:
    answer_with_a_bad_row(service, "/library/files")
    ran = ccv2("files", "--limit", "1", "--json")
    assert [row["id"] for row in ran.rows] == ["1"]


def test_an_unreadable_activity_does_not_keep_the_others_from_being_watched(
    ccv2: Callable[..., Ran], service: Sandbox
) -> None:
    service.admin.fault(
        "answer",
        "GET",
        "/activities",
        status=200,
        headers={"content-type": "application/json"},
        body=json.dumps([{"id": {"odd": 1}}, GOOD["/activities"]]),
    )
    ran = ccv2("activities", "watch")
    assert ran.code == Exit.SOME_FAILED
    assert "row 0" in ran.err
    assert "All activities have ended." in ran.err
