from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async.backup.datasets import (
    BY_NAME,
    DATASETS,
    OVERLAP,
    flat,
    folders_in,
    id_of,
    ids_in,
    line_of,
    memberships_in,
    scope_key,
    since_of,
    version_of,
    with_nested,
)

IDS = st.text("0123456789-ab", min_size=1, max_size=2)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
)


def test_parents_come_before_their_children() -> None:
    seen: set[str] = set()
    for dataset in DATASETS:
        assert not dataset.parent or dataset.parent in seen
        assert not dataset.follows or dataset.follows in seen
        depth = len([1 for letter in dataset.path if letter == "{"])
        above = BY_NAME[dataset.parent].path.count("{") + 1 if dataset.parent else 0
        assert depth == above, "one id in the path for each parent"
        assert not dataset.detail or dataset.one
        seen.add(dataset.name)


@given(st.lists(st.text()))
def test_a_scope_holds_any_ids(ids: list[str]) -> None:
    assert ids_in(scope_key(*ids)) == tuple(ids)
    assert (scope_key(*ids) == "") is (not ids)


@given(st.lists(st.fixed_dictionaries({"id": IDS, "name": st.text(max_size=3), "parent_id": IDS})))
def test_folders_come_once_each_and_parents_first(rows: list[dict[str, Any]]) -> None:
    done: set[str] = set()
    for folder, above, _ in folders_in(rows):
        assert folder not in done
        assert above in done | {""}
        done.add(folder)
    assert done == {row["id"] for row in rows}


def test_a_folder_in_a_circle_or_without_its_parent_is_at_the_root() -> None:
    rows = [
        {"id": "1", "name": "a", "parent_id": "2"},
        {"id": "2", "name": "b", "parent_id": "1"},
        {"id": "3", "name": "c", "parent_id": "9"},
        {"id": "4", "name": "d", "parent_id": "3"},
    ]
    assert list(folders_in(rows)) == [
        ("2", "", "b"),
        ("1", "2", "a"),
        ("3", "", "c"),
        ("4", "3", "d"),
    ]


def test_a_folder_below_more_folders_than_a_path_can_hold_is_at_the_root() -> None:
    # 10,000 folders, each inside the next, took paths of 100 MB.
    rows = [{"id": str(n), "name": "a", "parent_id": str(n + 1)} for n in range(1, 20)]
    above = {folder: parent for folder, parent, _ in folders_in(rows)}
    assert [folder for folder, parent in above.items() if parent == ""] == ["19", "11", "3"]
    assert all(parent in ("", str(int(folder) + 1)) for folder, parent in above.items())


@given(JSON, JSON)
def test_a_folder_with_a_parent_or_a_name_of_any_type_has_a_place(parent: Any, name: Any) -> None:
    [(folder, above, _)] = folders_in([{"id": "1", "name": name, "parent_id": parent}])
    assert (folder, above) == ("1", "")


@pytest.mark.parametrize("row", [{"id": "1"}, {"id": "1", "name": None}, {"id": "1", "name": ""}])
def test_a_folder_without_a_name_has_an_empty_one(row: dict[str, Any]) -> None:
    assert list(folders_in([row])) == [("1", "", "")]


@given(JSON)
def test_rows_inside_of_rows_are_found_once_each(value: Any) -> None:
    rows = value if isinstance(value, list) else [value]
    assert list(with_nested(BY_NAME["lists"], rows)) == rows
    nested = [{"id": "1", "children": [{"id": "2", "children": rows}, {"id": "3"}]}]
    found = list(with_nested(BY_NAME["folders"], nested))
    assert [id_of(BY_NAME["folders"], row) for row in (found[0], found[1], found[-1])] == [
        "1",
        "2",
        "3",
    ]


@given(JSON)
def test_no_value_is_lost_when_columns_are_made(value: Any) -> None:
    def leaves(found: Any) -> int:
        if isinstance(found, dict):
            return sum(map(leaves, found.values()))
        return sum(map(leaves, found)) if isinstance(found, list) else 1

    assert len(list(flat(value))) == leaves(value)


def test_columns_are_named_by_their_paths() -> None:
    contact = {"id": "1", "email_addresses": [{"email_address": "a@b"}], "notes": [], "ok": True}
    assert dict(flat(contact)) == {
        "id": "1",
        "email_addresses.1.email_address": "a@b",
        "ok": "true",
    }


def test_a_column_holds_the_value_as_text() -> None:
    record = {"a": None, "b": False, "c": 3.5, "d": "X", "e": [None, "Y"]}
    assert flat(record) == [
        ("a", ""),
        ("b", "false"),
        ("c", "3.5"),
        ("d", "X"),
        ("e.1", ""),
        ("e.2", "Y"),
    ]
    assert flat("X") == [("", "X")]


def test_a_line_names_the_parent_that_its_record_lacks() -> None:
    schedules, tracking = BY_NAME["schedules"], BY_NAME["tracking"]
    assert json.loads(line_of(schedules, scope_key("7"), '{"id":"1"}')) == {
        "campaign_id": "7",
        "id": "1",
    }
    assert line_of(schedules, scope_key("7"), '{"a":"é"}') == '{"campaign_id": "7", "a": "é"}'
    assert line_of(tracking, scope_key("7"), '{"campaign_id":7}') == '{"campaign_id":7}'
    assert line_of(BY_NAME["lists"], "", '{"id":"1"}') == '{"id":"1"}'


def test_a_folder_below_the_root_stays_there_if_the_listing_names_the_root() -> None:
    rows = [{"id": "0", "name": "root"}, {"id": "1", "name": "a", "parent_id": "0"}]
    assert list(folders_in(rows)) == [("0", "", "root"), ("1", "", "a")]


def test_an_id_is_a_number_or_a_text_and_nothing_else() -> None:
    lists = BY_NAME["lists"]
    assert id_of(lists, {"id": 7}) == id_of(lists, {"id": "7"}) == "7"
    for row in ({}, {"id": None}, {"id": True}, {"id": ["7"]}, {"id": ""}, None, "7", ["id"]):
        assert id_of(lists, row) == ""


@given(JSON, JSON)
def test_memberships_are_read_from_any_contact(lists: Any, addresses: Any) -> None:
    contact = {"id": 1, "lists": lists, "email_addresses": addresses}
    for row in memberships_in(contact, {"5": "uuid"}):
        assert row["contact"] == "1"


@pytest.mark.parametrize("addresses", [None, [], "a@b", ["a@b"], [None]])
def test_a_membership_without_a_readable_address_has_none(addresses: Any) -> None:
    contact = {"id": 1, "lists": [{"id": 5}], "email_addresses": addresses}
    (row,) = memberships_in(contact, {})
    assert row["email_address"] is None


def test_the_first_page_is_asked_for_with_its_size_and_the_date_of_the_last_listing() -> None:
    sized = next(row for row in DATASETS if row.limit and row.since)
    asked = dict(sized.first_page("2026-01-01"))
    assert asked == {**dict(sized.query), "limit": str(sized.limit), sized.since: "2026-01-01"}
    assert dict(sized.first_page("")) == {**dict(sized.query), "limit": str(sized.limit)}
    whole = next(row for row in DATASETS if not row.limit and not row.since)
    assert whole.first_page("2026-01-01") == whole.query


def test_a_membership_names_both_ids_of_the_contact_and_of_the_list() -> None:
    contact = {
        "id": 1,
        "contact_id": "c",
        "email_addresses": [{"email_address": "a@b"}],
        "lists": [{"id": 5, "status": "ACTIVE"}, None, {"status": "?"}],
    }
    assert list(memberships_in(contact, {"5": "uuid"})) == [
        {
            "contact": "1",
            "contact_id": "c",
            "email_address": "a@b",
            "list": "5",
            "list_id": "uuid",
            "status": "ACTIVE",
        }
    ]


def test_another_date_or_size_is_another_version() -> None:
    one = {"modified_date": "2026-01-01", "size": 7}
    assert version_of(one) == version_of({**one, "name": "b"})
    assert version_of(one) != version_of({**one, "size": 8})
    assert version_of(one) != version_of({**one, "modified_date": "2026-01-02"})


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        ("", 10_000.0),
        ("not a date", 10_000.0),
        ("1970-01-01T01:00:00", 10_000.0),
        ("1970-01-01T01:00:00.000Z", 3600.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("9999-12-31T23:59:59Z", 10_000.0),
    ],
)
def test_changes_are_fetched_from_the_older_of_two_clocks_on(newest: str, expected: float) -> None:
    assert since_of(10_000.0, newest) == expected - OVERLAP
