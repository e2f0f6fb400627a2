"""Decide from looks into a folder what happened to an upload whose response was lost. Pure.

The service has no idempotency key, and its listing may lag. So an upload without a response may
have arrived, may still arrive, or may be lost. These rules hold for any clock error and any lag:

1. A file is adopted only if it holds exactly the bytes that were sent. Name, size and time only
   choose the files to compare. (Another client may send a file of the same name and size.)
2. A file is sent again only after looks over the whole settling time have shown no file that could
   be the upload. Time alone never proves that a file arrived, or that it did not.
3. After a resend, one more look is needed. The listing has caught up once it shows the second copy,
   so a first copy that arrived shows too. Both IDs are then reported. Until then,
   the ledger keeps the ID, so that if this run is interrupted, the next one takes that look.
4. A file that may be an extra copy of one upload is not adopted by another upload, and is not a
   reason to send that other one again.
5. A file that another upload of this process may own is never trashed or reported as a copy. It is
   adopted only after that upload has had its response, or lost it, and unless it has the very name
   of that upload.
6. Anything else is ambiguous, and a person decides. The error says how often the file was
   sent.

Before a resend (`BEFORE_RESEND` in the code)::

    what the look shows                       settling     settled
    NOTHING   no file could be the upload     LOOK_AGAIN   SEND_AGAIN
    OURS      files that hold its bytes       ADOPT        ADOPT
    FEWER     fewer of them than were sent    LOOK_AGAIN   ADOPT (others may still appear)
    UNPROVEN  files that cannot be compared   LOOK_AGAIN   GIVE_UP
    TOO_MANY  more such files than were sent  LOOK_AGAIN   GIVE_UP

SEND_AGAIN becomes GIVE_UP if the file cannot be sent again: it was sent twice, its source can be
read only once, its time is up, or the service accepted it without returning its ID.

After a resend (`AFTER_RESEND` in the code)::

    what the look shows                        settling     settled
    HIDDEN    the second copy is not listed    LOOK_AGAIN   FINISH
    ALONE     the second copy, and no other    FINISH       FINISH
    DOUBLE    files that are, or may be, the   REPORT       REPORT
              first copy
"""

from __future__ import annotations

import enum
import re
import unicodedata
from typing import TYPE_CHECKING, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ccv2_async.models import LibraryFile

CLOSE_IN_TIME = 60.0
"""Seconds that clocks may differ for a file with the right bytes to be adopted."""

EXACT = 2.0
"""The maximum difference of two correct clocks, in seconds; dates may be in whole seconds."""

SAME_HOUR = 3600.0
"""A file older than the upload by more than this is not compared, if the service sent its time."""

SAME_DAY = 26 * 3600.0
"""The same if the service sent no usable time: local clocks may be off by a time zone."""

_LOOKS = (0.0, 4.0)


class Before(enum.Enum):
    """The finding of a look before a resend."""

    NOTHING = "no file that could be the upload"
    OURS = "as many files that hold its bytes as were sent"
    FEWER = "fewer files that hold its bytes than were sent"
    UNPROVEN = "files that cannot be compared with it"
    TOO_MANY = "more files that hold its bytes than were sent"


class After(enum.Enum):
    """The finding of a look after a resend."""

    HIDDEN = "the second copy is not listed yet"
    ALONE = "the second copy, and no other"
    DOUBLE = "files that are, or may be, the first copy"


class Step(enum.Enum):
    """The next step."""

    LOOK_AGAIN = "look again later"
    ADOPT = "take the file that was found"
    SEND_AGAIN = "send it again"
    GIVE_UP = "report it as ambiguous"
    FINISH = "nothing is left to do"
    REPORT = "report both copies"


BEFORE_RESEND: Mapping[Before, tuple[Step, Step]] = {
    Before.NOTHING: (Step.LOOK_AGAIN, Step.SEND_AGAIN),
    Before.OURS: (Step.ADOPT, Step.ADOPT),
    Before.FEWER: (Step.LOOK_AGAIN, Step.ADOPT),
    Before.UNPROVEN: (Step.LOOK_AGAIN, Step.GIVE_UP),
    Before.TOO_MANY: (Step.LOOK_AGAIN, Step.GIVE_UP),
}
"""The step for each finding: during the settling time, and once it is over."""

AFTER_RESEND: Mapping[After, tuple[Step, Step]] = {
    After.HIDDEN: (Step.LOOK_AGAIN, Step.FINISH),
    After.ALONE: (Step.FINISH, Step.FINISH),
    After.DOUBLE: (Step.REPORT, Step.REPORT),
}
"""The same for looks after a resend."""

_Finding = TypeVar("_Finding", Before, After)


def step_for(
    table: Mapping[_Finding, tuple[Step, Step]], finding: _Finding, *, settled: bool
) -> Step:
    """Return the step from a table for the finding of a look.

    Args:
        table: `BEFORE_RESEND` or `AFTER_RESEND`.
        finding: The finding of the look.
        settled: Whether the settling time is over.
    """
    return table[finding][settled]


class Evidence(enum.Enum):
    """The result of comparing one file that could be the upload."""

    SAME_BYTES = "it holds the bytes that were sent"
    OTHER_BYTES = "it holds other bytes"
    UNKNOWN = "its bytes cannot be compared"


@attrs.frozen
class Window:
    """The time in which the service can have created the file, on the service's own clock.

    Attributes:
        since: When sending began, in seconds since 1970.
        until: When the look was taken.
        reach: Seconds outside that time at which a file is still compared.
    """

    since: float
    until: float
    reach: float

    def distance(self, file: LibraryFile) -> float:
        """Return how many seconds a file lies outside the time of sending; 0 without a date."""
        if file.created_date is None:
            return 0.0
        created = file.created_date.timestamp()
        return max(self.since - created, created - self.until, 0.0)

    def is_before(self, file: LibraryFile) -> bool:
        """Return whether a file was created too early to be compared."""
        created = file.created_date
        return created is not None and created.timestamp() < self.since - self.reach


def could_be(file: LibraryFile, name: str, size: int | None) -> bool:
    """Return whether a file can be an upload, by its name and size alone.

    A name that cannot be read is empty, and matches any name.
    """
    named = not file.name or same_name(name, file.name)
    return named and (size is None or file.size in (size, None))


def same_name(sent: str, found: str) -> bool:
    """Return whether a file can be one that was sent under a name.

    The service numbers a name that is taken: IMG_0300.JPG becomes IMG_0300(1).JPG. It may also
    store an accented letter in a different Unicode form than the one that was sent.
    """
    return unicodedata.normalize("NFC", sent) in sent_as(unicodedata.normalize("NFC", found))


def sent_as(found: str) -> set[str]:
    """Return the names for which `same_name` is true; all are in NFC."""
    stem, dot, extension = found.rpartition(".") if "." in found else (found, "", "")
    numbered = re.fullmatch(r"(.*?)( ?)\(\d{1,4}\)", stem, re.DOTALL)
    names = (numbered[1], numbered[1] + numbered[2]) if numbered is not None else ()
    return {found, *(name + dot + extension for name in names)}


def judge_before(
    evidence: Mapping[str, Evidence], distances: Mapping[str, float], sends: int
) -> tuple[Before, tuple[str, ...]]:
    """Return the finding of a look before a resend, and the IDs of the files it concerns.

    Args:
        evidence: The evidence for each file that could be the upload, by ID.
        distances: For each file, how many seconds it lies outside the time of sending.
        sends: The number of times that the file was sent.
    """
    close = [
        id_
        for id_, known in evidence.items()
        if known is Evidence.SAME_BYTES and distances[id_] <= CLOSE_IN_TIME
    ]
    if len(close) > sends:  # equal files: their times may show which of them belong
        close = [id_ for id_ in close if distances[id_] <= EXACT] or close
    if 0 < len(close) <= sends:
        return (Before.OURS if len(close) == sends else Before.FEWER), in_order(close)
    if close:
        return Before.TOO_MANY, in_order(close)
    # An equal file from farther away in time may be an older one, or ours on a wrong clock.
    unproven = [id_ for id_, known in evidence.items() if known is not Evidence.OTHER_BYTES]
    return (Before.UNPROVEN if unproven else Before.NOTHING), in_order(unproven)


def in_order(ids: Iterable[str]) -> tuple[str, ...]:
    """Return IDs oldest first: the service assigns ascending IDs."""
    return tuple(sorted(ids, key=lambda id_: (len(id_), id_)))


def look_delays(settle_time: float) -> tuple[float, ...]:
    """Return the times to look, in seconds after a response was lost; the last look settles it."""
    return (*(at for at in _LOOKS if at < settle_time), settle_time)
