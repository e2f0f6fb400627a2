"""The datasets that a backup fetches: one table, and functions for its rows. Pure.

A dataset is one kind of record, such as contacts. Its rows are kept as the service sent them, and
its name is also the name of its file. A scope is one listing of a dataset: of the whole account, or
of one parent, such as the schedules of one campaign::

    account, verified_addresses, lists, contacts, activities, folders, library, trash
    campaigns ─┬─ schedules     of a campaign that is SCHEDULED
               ├─ reports       the counts of a campaign that was sent
               └─ tracking      all rows of a campaign whose counts have changed
    events ────┬─ events_fees, events_promocodes, events_registrants
               └─ events_items ── events_attributes

A second run fetches again:

- `contacts`: only those that were changed since the last listing began (`modified_since`), with an
  `OVERLAP` for the lag of the service. A deleted contact stays in that listing, as opted out.
- `campaigns`, `events`: their listing, and the full record if its row in the listing has changed.
- `tracking`: the whole listing of a campaign whose `reports` row changed. Its rows have no IDs, so
  new rows cannot be told apart from those that the backup already has.
- Everything else is small, and is listed completely.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.models.library import ROOT_FOLDER_IDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OVERLAP = 600.0
"""Seconds. Changes are fetched again from this long before the last listing."""

LIBRARY, TRASH, FOLDERS, CAMPAIGNS = "library", "trash", "folders", "campaigns"

_SENT = ("SENT", "RUNNING")
_MOST_LEVELS = 8  # the service has three; a path of thousands would fit on no disk


@attrs.frozen(kw_only=True)
class Dataset:
    """One kind of record.

    Attributes:
        name: Its name, in the journal and as a file.
        path: The path of its listing; each `{}` stands for the ID of a parent.
        query: The query parameters of the first page.
        paged: Whether its listing comes in pages.
        limit: The number of rows per page; 0 for the service's default.
        single: The fields of the one object that the path returns instead of a listing. It has at
            least one of them; empty for a listing.
        ids: The fields that may hold a row's ID; none for rows that are identified by position.
        one: The path of one record, to look for a row that is no longer listed.
        detail: Whether the full record of each row is fetched from `one`.
        since: The parameter that limits a listing to what has changed.
        parent: The dataset whose records each have such a listing.
        when: The statuses that a parent must have; empty for any.
        follows: The dataset whose row of the same parent must have changed.
        field: The field that names the parent, added to rows that lack it.
        nested: The field that holds more rows of the same kind, which get their own lines.
        csv: Whether it is also written as CSV.
    """

    name: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    paged: bool = False
    limit: int = 0
    single: tuple[str, ...] = ()
    ids: tuple[str, ...] = ("id",)
    one: str = ""
    detail: bool = False
    since: str = ""
    parent: str = ""
    when: tuple[str, ...] = ()
    follows: str = ""
    field: str = ""
    nested: str = ""
    csv: bool = False

    def first_page(self, since: str) -> tuple[tuple[str, str], ...]:
        """Return the query of the first page, for changes since a date, or "" for everything."""
        size = (("limit", str(self.limit)),) if self.limit else ()
        return size + self.query + (((self.since, since),) if self.since and since else ())


def _events(name: str, path: str, **more: Any) -> Dataset:
    return Dataset(
        name=f"events_{name}",
        path=f"/eventspot/events/{{}}/{path}",
        **{"parent": "events", "field": "event_id", **more},
    )


_CAMPAIGN = "/emailmarketing/campaigns/{}"
_OF_CAMPAIGN: dict[str, Any] = {"parent": CAMPAIGNS, "field": "campaign_id"}

DATASETS: tuple[Dataset, ...] = (
    Dataset(name="account", path="/account/info", single=("email", "organization_name")),
    Dataset(
        name=FOLDERS,
        path="/library/folders",
        paged=True,
        limit=1000,
        query=(("sort_by", "CREATED_DATE"),),
        one="/library/folders/{}",
        nested="children",
    ),
    Dataset(
        name=LIBRARY,
        path="/library/files",
        paged=True,
        limit=1000,
        # New files come at the end, so that they move no row to another page.
        query=(("sort_by", "CREATED_DATE"),),
        one="/library/files/{}",
    ),
    Dataset(name=TRASH, path="/library/folders/trash/files", paged=True, limit=1000),
    Dataset(
        name="verified_addresses", path="/account/verifiedemailaddresses", ids=("email_address",)
    ),
    Dataset(name="lists", path="/lists", query=(("include_list_id", "true"),)),
    Dataset(
        name="contacts",
        path="/contacts",
        paged=True,
        limit=500,
        query=(("include_contact_id", "true"),),
        since="modified_since",
        one="/contacts/{}",
        csv=True,
    ),
    Dataset(name="activities", path="/activities"),
    Dataset(
        name=CAMPAIGNS,
        path="/emailmarketing/campaigns",
        paged=True,
        limit=50,
        one=_CAMPAIGN,
        detail=True,
    ),
    Dataset(name="schedules", path=f"{_CAMPAIGN}/schedules", when=("SCHEDULED",), **_OF_CAMPAIGN),
    Dataset(
        name="reports",
        path=f"{_CAMPAIGN}/tracking/reports/summary",
        query=(("updateSummary", "true"),),
        single=("sends", "opens", "clicks", "forwards", "unsubscribes", "bounces"),
        when=_SENT,
        **_OF_CAMPAIGN,
    ),
    Dataset(
        name="tracking",
        path=f"{_CAMPAIGN}/tracking",
        paged=True,
        limit=500,
        ids=(),
        when=_SENT,
        follows="reports",
        csv=True,
        **_OF_CAMPAIGN,
    ),
    Dataset(
        name="events",
        path="/eventspot/events",
        paged=True,
        limit=50,
        one="/eventspot/events/{}",
        detail=True,
    ),
    _events("fees", "fees"),
    _events("items", "items"),
    _events("attributes", "items/{}/attributes", parent="events_items", field="item_id"),
    _events("promocodes", "promocodes"),
    _events(
        "registrants",
        "registrants",
        paged=True,
        one="/eventspot/events/{}/registrants/{}",
        detail=True,
    ),
)
"""All datasets, in the order in which they are fetched: parents come before their children."""

BY_NAME: Mapping[str, Dataset] = {dataset.name: dataset for dataset in DATASETS}


def since_of(began: float, newest: str) -> float:
    """Return the time from which changes are fetched again, in seconds since 1970.

    The service dates rows by a different clock than its responses. So a change after the last
    listing may seem to be older than that listing, but not older than its newest row.

    Args:
        began: When the last listing began, on the clock of the responses.
        newest: The newest `modified_date` of the stored rows, or "".
    """
    with suppress(ValueError):  # if no row has a date that can be read
        when = datetime.fromisoformat(newest)
        if when.tzinfo is not None:
            began = min(began, when.timestamp())
    return began - OVERLAP


def id_of(dataset: Dataset, row: object) -> str:
    """Return the ID of a row, or "" if it has none."""
    for name in dataset.ids:
        value = row.get(name) if isinstance(row, dict) else None
        if isinstance(value, int | str) and not isinstance(value, bool):
            return str(value)
    return ""


def with_nested(dataset: Dataset, rows: list[Any]) -> Iterator[Any]:
    """Yield rows, each followed by the rows of the same kind that it holds."""
    waiting = list(reversed(rows))
    while waiting:
        row = waiting.pop()
        yield row
        held = row.get(dataset.nested) if isinstance(row, dict) and dataset.nested else None
        waiting += reversed(held if isinstance(held, list) else [])


def scope_key(*ids: str) -> str:
    """Return the string under which the journal keeps the IDs of a row's parents."""
    return json.dumps(ids) if ids else ""


def ids_in(scope: str) -> tuple[str, ...]:
    """Return the IDs in a string from `scope_key`."""
    return tuple(json.loads(scope)) if scope else ()


def line_of(dataset: Dataset, scope: str, record: str) -> str:
    """Return a record as one line of JSON, with the ID of its parent if the record lacks it."""
    if not dataset.field:
        return record
    row = json.loads(record)
    if not isinstance(row, dict) or dataset.field in row:
        return record
    return json.dumps({dataset.field: ids_in(scope)[-1], **row}, ensure_ascii=False)


def folders_in(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Yield the ID, the parent's ID ("" for the root) and the name of folders, parents first."""
    names: dict[str, tuple[str, str]] = {}
    for row in rows:
        above = row.get("parent_id")
        parent = "" if above is None or str(above) in ROOT_FOLDER_IDS else str(above)
        names[id_of(BY_NAME[FOLDERS], row)] = (parent, str(row.get("name") or ""))
    levels: dict[str, int] = {}
    for first in sorted(names):
        line: dict[str, None] = {}
        own = first
        while own in names and own not in levels and own not in line:
            line[own] = None
            own = names[own][0]
        for folder in reversed(line):
            above, name = names[folder]
            # A missing parent, a cycle, or too many parents leave a folder at the root.
            if levels.get(above, _MOST_LEVELS) >= _MOST_LEVELS:
                above = ""
            levels[folder] = levels.get(above, 0) + 1
            yield folder, above, name


def version_of(record: Mapping[str, Any]) -> str:
    """Return a string that differs when the bytes of a library file may differ."""
    return f"{record.get('modified_date')} {record.get('size')}"


def flat(record: object, name: str = "") -> list[tuple[str, str]]:
    """Return the columns of a record and their values; nested ones are named by their path.

    The elements of a list are numbered from 1, such as `email_addresses.1.email_address`.

    Args:
        record: The record, or a part of it.
        name: The path of the part.
    """
    if not isinstance(record, dict | list):
        text = "" if record is None else str(record)
        return [(name, text.lower() if isinstance(record, bool) else text)]
    parts = record.items() if isinstance(record, dict) else enumerate(record, 1)
    return [
        column
        for key, value in parts
        for column in flat(value, f"{name}.{key}" if name else str(key))
    ]


def memberships_in(
    contact: Mapping[str, Any], list_ids: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield one row for each list that a contact is on.

    Args:
        contact: A contact as the service sent it.
        list_ids: The ID that the newer API uses for each list.
    """
    addresses = contact.get("email_addresses")
    first = addresses[0] if isinstance(addresses, list) and addresses else {}
    lists = contact.get("lists")
    for entry in lists if isinstance(lists, list) else ():
        if isinstance(entry, dict) and entry.get("id") is not None:
            of_list = str(entry["id"])
            yield {
                "contact": str(contact.get("id")),
                "contact_id": contact.get("contact_id"),
                "email_address": first.get("email_address") if isinstance(first, dict) else None,
                "list": of_list,
                "list_id": list_ids.get(of_list),
                "status": entry.get("status"),
            }
