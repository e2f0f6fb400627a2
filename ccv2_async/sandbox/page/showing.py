"""Show a request on the page: its form's parts, its bodies, and a curl command."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from shlex import quote
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import attrs
import orjson

from ccv2_async.sandbox.faults import CONTENT
from ccv2_async.sandbox.gateway import API
from ccv2_async.sandbox.state.gateway import HIDDEN

if TYPE_CHECKING:
    from ccv2_async.sandbox.settings import Settings
    from ccv2_async.sandbox.state.gateway import Entry, Record, Side

_UNITS = ("B", "KB", "MB", "GB")
_STEP = 1000
_BOUNDARY = re.compile(r'boundary="?([^";]+)')
_NAME = re.compile(rb'[; ]name="([^"]*)"')
_FILE_NAME = re.compile(rb'filename="([^"]*)"')
# curl writes these itself, or they describe one connection.
_NOT_IN_CURL = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "user-agent", "accept-encoding"}
)

_SECRET_ARGUMENTS = frozenset({"access_token", "client_secret", "code", "refresh_token"})


@attrs.frozen
class Part:
    """One part of a form; `text` is None for a file."""

    name: str
    size: int
    text: str | None = None
    file_name: str = ""


def size_text(size: int) -> str:
    """Return a number of bytes in readable form: `12 KB`."""
    number, unit = float(size), 0
    while number >= _STEP and unit < len(_UNITS) - 1:
        number, unit = number / _STEP, unit + 1
    digits = 1 if unit and number < 10 else 0
    return f"{number:.{digits}f} {_UNITS[unit]}"


def took_text(entry: Entry) -> str:
    """Return the time that a request took."""
    if entry.ended is None:
        return "running"
    seconds = max(0.0, entry.ended - entry.time)
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def clock_text(moment: float, form: str = "%H:%M:%S") -> str:
    """Return a time in this machine's time zone."""
    return datetime.fromtimestamp(moment).astimezone().strftime(form)


def parts_of(record: Record) -> list[Part]:
    """Return the parts of a form, as far as its body was kept; none for another body."""
    kind = record.entry.headers.get("content-type", "")
    found = _BOUNDARY.search(kind) if kind.startswith("multipart/form-data") else None
    if found is None:
        return []
    side, mark = record.request, b"--" + found[1].encode("latin-1")
    cut = side.size - len(side.body)
    pieces = side.body.split(mark)[1:]
    parts = []
    for number, piece in enumerate(pieces, 1):
        head, separator, data = piece.partition(b"\r\n\r\n")
        name, file_name = _NAME.search(head), _FILE_NAME.search(head)
        if not separator or name is None:
            continue
        # The part that was kept last may be cut off, and the final boundary follows it.
        size = len(data) - 2 if number < len(pieces) else len(data) + cut - len(mark) - 6
        text = None if file_name else data[: max(0, size)].decode("utf-8", "replace")
        shown = file_name[1].decode("utf-8", "replace") if file_name else ""
        parts.append(Part(name[1].decode("utf-8", "replace"), max(0, size), text, shown))
    return parts


def body_text(side: Side, kind: str) -> str:
    """Return a body as text: JSON indented, other text unchanged, and the size of the rest."""
    if not side.size:
        return ""
    if "json" in kind:
        # A damaged body, or one that was cut off, is shown unchanged.
        with suppress(orjson.JSONDecodeError):
            return orjson.dumps(orjson.loads(side.body), option=orjson.OPT_INDENT_2).decode()
    more = f"\n… {size_text(side.size - side.limit)} more" if side.size > side.limit else ""
    try:
        # A body that was cut off may end within a character.
        text = side.body.decode("utf-8", "ignore" if more else "strict")
    except UnicodeDecodeError:
        text = "\0"
    return f"{size_text(side.size)} of binary data" if "\0" in text else text + more


def hide(text: str, settings: Settings) -> str:
    """Return a string without the sandbox's own credentials."""
    for secret in (settings.api_key, settings.access_token, settings.client_secret):
        text = text.replace(secret, HIDDEN.decode()) if secret else text
    return text


def shown_query(entry: Entry) -> dict[str, str]:
    """Return the query of a request without possible secrets."""
    secret = {name: HIDDEN.decode() for name in _SECRET_ARGUMENTS & entry.query.keys()}
    return {**entry.query, **secret}


def curl(record: Record, origin: str) -> str:
    """Return a command line that repeats a request, with variables in place of its secrets."""
    entry, (has_key, has_token) = record.entry, record.signed
    arguments = [urlencode(shown_query(entry)), "api_key=" * has_key]
    query = "&".join(filter(None, arguments))
    url = quote(f"{origin}{entry.path}{'?' if query else ''}{query}")
    method = "" if entry.method == "GET" else f"-X {entry.method} "
    words = [f"curl {method}{url}" + '"$CCV2_API_KEY"' * has_key]
    if has_token:
        words.append('-H "Authorization: Bearer $CCV2_ACCESS_TOKEN"')
    parts = parts_of(record)
    for name, text in entry.headers.items():
        if name not in _NOT_IN_CURL and not (parts and name == "content-type"):
            words.append(f"-H {quote(f'{name}: {text}')}")
    for part in parts:
        if part.text is None:
            words.append(f"-F {quote(f'{part.name}=@{part.file_name or part.name}')}")
        else:
            words.append(f"--form-string {quote(f'{part.name}={part.text}')}")
    if record.request.size and not parts:
        whole = record.request.size <= record.request.limit
        body = record.request.body.decode("utf-8", "replace")
        words.append(f"--data-raw {quote(body)}" if whole else "--data-binary @body")
    return " \\\n  ".join(words)


def kind_of(entry: Entry) -> str:
    """Return the kind of a call, as far as the sandbox can tell."""
    below = entry.path.removeprefix(API)
    if below.startswith(CONTENT):
        return "download"
    if entry.method == "GET":
        return (
            "poll" if below.startswith(("/library/files/uploadstatus/", "/activities")) else "read"
        )
    return "upload" if entry.method == "POST" and below == "/library/files" else "write"
