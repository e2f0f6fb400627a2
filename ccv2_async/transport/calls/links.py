"""What may be followed: ids from a Location, cursors from a next_link, and nothing else.

A URL that the service shows is read for the id or the cursor it names. What is then asked is
our own path at the configured origin, so that no answer can send the credentials elsewhere.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit

JobKindName = Literal["upload", "activity"]

_FORMS: dict[JobKindName, re.Pattern[str]] = {
    # "uploadstatus" is a path, and no id where the id behind it is missing.
    "upload": re.compile(r"(?:^|/)library/files/(?:uploadstatus/)?(?!uploadstatus/*\Z)([^/]+)/*\Z"),
    "activity": re.compile(r"(?:^|/)activities/([^/]+)/*\Z"),
}
# Ids of every fixture are digits, base-36, UUIDs or base64url; commas would join two of them.
_ID = re.compile(r"[A-Za-z0-9_=~.+-]{1,128}\Z")


def is_id(text: str) -> bool:
    """Whether `text` can be an id: short, printable, nothing that could leave its path segment."""
    return bool(_ID.match(text)) and not set(text) <= {"."}


def job_id(kind: JobKindName, location: str | None, id_header: str | None = None) -> str | None:
    """The id of the job that an answer started, or None when the answer names none.

    The Location is asked first, then the Id header. The Location may be absolute (on any host),
    relative, the form of the status call, or carry a query; only its last segment counts, and
    only below a path that belongs to this kind of job.

    Source: upload and bulk activity pages; the official SDKs read one header or the other.
    """
    if location is not None and len(location) <= 4096:
        try:
            path = urlsplit(location.strip()).path
        except ValueError:
            path = ""
        found = _FORMS[kind].search(path)
        if found:
            candidate = unquote(found.group(1))
            if is_id(candidate):
                return candidate
    if id_header is not None and is_id(id_header.strip()):
        return id_header.strip()
    return None


def cursor(next_link: str | None) -> str | None:
    """The opaque cursor of a `next_link`, decoded once; None on the last page.

    Raises:
        ValueError: The link carries no cursor.
    """
    if not next_link:
        return None
    try:
        query = urlsplit(next_link).query
    except ValueError:
        query = ""
    for name, value in parse_qsl(query):
        if name == "next" and value:
            return value
    raise ValueError("no cursor")


def segment(value: str) -> str:
    """One path segment, percent-encoded; commas stay, as ids are joined with literal commas."""
    return quote(value, safe=",~")
