"""Estimate what a backup will cost from a few counts. Pure arithmetic."""

from __future__ import annotations

from math import ceil

import attrs

from ccv2_async.backup.datasets import BY_NAME


@attrs.frozen
class BackupEstimate:
    """The approximate cost of a backup.

    Attributes:
        calls: The number of API calls.
        files: The library files to download. Their bytes do not come through the API, so they do
            not count toward the quota.
        size: Their size in bytes.
        days: The number of days that the calls take within the quota, including today.
        guesses: A sentence for each count that is a guess.
    """

    calls: int
    files: int
    size: int
    days: int
    guesses: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Counts:
    """The known counts of an account before a backup.

    Attributes:
        files: The files in the library.
        size: Their bytes.
        folders: The folders.
        contacts: The contacts of all lists, counted once for each list.
        campaigns: The number of listed campaigns of each status.
        more_campaigns: Whether there are more campaigns than were listed.
        tracked: The tracking rows of one sent campaign, or None if none was sent.
        events: The events on the first page, or None if the service does not return any.
        more_events: Whether there are more events.
        files_here: The library files that the directory holds.
        size_here: Their bytes.
        campaigns_here: The campaigns that the directory holds.
        tracked_here: The campaigns whose tracking the directory holds.
        contacts_here: Whether all contacts were listed before.
    """

    files: int
    size: int
    folders: int
    contacts: int
    campaigns: dict[str, int]
    more_campaigns: bool = False
    tracked: int | None = None
    events: int | None = None
    more_events: bool = False
    files_here: int = 0
    size_here: int = 0
    campaigns_here: int = 0
    tracked_here: int = 0
    contacts_here: bool = False


def estimate(counts: Counts, *, per_day: int | None, left_today: int | None) -> BackupEstimate:
    """Return what a backup will cost.

    Args:
        counts: What is known about the account.
        per_day: The calls that the quota allows in a day; None for no limit.
        left_today: The calls that are left today.
    """
    guesses = []
    campaigns = sum(counts.campaigns.values())
    sent, scheduled = (
        sum(counts.campaigns.get(status, 0) for status in BY_NAME[name].when)
        for name in ("reports", "schedules")
    )
    calls = 4 + sum(  # the account, its addresses, the lists, the activities
        _pages(name, number)
        for name, number in (
            ("folders", counts.folders),
            ("library", counts.files),
            ("contacts", 0 if counts.contacts_here else counts.contacts),
            ("campaigns", campaigns),
        )
    )
    calls += max(0, campaigns - counts.campaigns_here) + scheduled + sent
    if counts.contacts and not counts.contacts_here:
        guesses.append("A contact counts once per list, so the real number may be lower.")
    if counts.tracked is not None and sent > counts.tracked_here:
        calls += (sent - counts.tracked_here) * _pages("tracking", counts.tracked)
        guesses.append(
            "Each campaign is assumed to have as many tracking rows as the first one that was sent."
        )
    if counts.more_campaigns:
        guesses.append(f"There are more than {campaigns:,} campaigns; the rest are not counted.")
    if counts.events:
        calls += _pages("events", counts.events) + counts.events * 5  # a record and four listings
        guesses.append("Registrants and items of events are not counted.")
    if counts.more_events:
        guesses.append(f"There are more than {counts.events:,} events; the rest are not counted.")
    return BackupEstimate(
        calls=calls,
        files=max(0, counts.files - counts.files_here),
        size=max(0, counts.size - counts.size_here),
        days=_days(calls, per_day, left_today),
        guesses=tuple(guesses),
    )


def _pages(name: str, rows: int) -> int:
    """Return the number of calls for a listing of this many rows."""
    return max(1, ceil(rows / BY_NAME[name].limit))


def _days(calls: int, per_day: int | None, left_today: int | None) -> int:
    if per_day is None:
        return 1
    later = calls - (per_day if left_today is None else left_today)
    return 1 + max(0, ceil(later / per_day))
