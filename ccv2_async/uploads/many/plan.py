"""The rows of a journal, and what is done about a file by what its row says. Pure."""

from __future__ import annotations

import attrs

from ccv2_async.uploads.many.results import Action, BulkState


@attrs.frozen
class Entry:
    """One row of the journal.

    Attributes:
        path: The file's absolute path.
        folder: Where it goes: the folder's id, and names of folders below it.
        name: Its name in the library.
        size: Bytes, when it was taken up.
        written_ns: When the file was last written, in nanoseconds since 1970.
        state: Where it stands.
        since: When it was first sent, in seconds since 1970; None before.
        file_id: The library's id, or "".
        folder_id: The library folder it went to, or "".
        token: Its resume token, or "".
        status: The service's last word, or None.
        final: Whether a failure is one that sending it again will not mend.
        error: Why it failed, or ""; for an accepted file, which further copies there are.
        updated: When the row was written, in seconds since 1970.
    """

    path: str
    folder: str
    name: str
    size: int
    written_ns: int
    state: BulkState = attrs.field(default=BulkState.PENDING, converter=BulkState)
    since: float | None = None
    file_id: str = ""
    folder_id: str = ""
    token: str = ""
    status: str | None = None
    final: bool = attrs.field(default=False, converter=bool)
    error: str = ""
    updated: float = 0.0

    @property
    def begun(self) -> float:
        """When it was first sent, at the latest, in seconds since 1970."""
        return self.since if self.since is not None else self.updated

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells one file of a bulk upload from the others."""
        return self.path, self.folder, self.name


_COPIES = "further copies in the folder: "


def copies_note(duplicates: tuple[str, ...]) -> str:
    """Return what a row says of further copies of its file; "" when there are none."""
    return _COPIES + ", ".join(duplicates) if duplicates else ""


def copies_in(entry: Entry) -> tuple[str, ...]:
    """Return the ids of further copies that a row names."""
    listed = entry.error.removeprefix(_COPIES)
    return tuple(listed.split(", ")) if listed != entry.error else ()


_ACTIONS = {
    BulkState.PENDING: Action.SEND,
    BulkState.SENDING: Action.LOOK,
    BulkState.AMBIGUOUS: Action.LOOK,
    BulkState.ACCEPTED: Action.FOLLOW,
    BulkState.DONE: Action.SKIP,
}


def action_for(known: Entry | None, size: int, written_ns: int) -> Action:
    """What to do about a file, by what the journal knows of it and what it is now. Pure."""
    changed = known is not None and (known.size, known.written_ns) != (size, written_ns)
    # The service kept nothing of a file that failed: what was mended since is a file like any.
    if known is None or (known.state is BulkState.FAILED and (changed or not known.final)):
        return Action.SEND
    if changed and known.state is not BulkState.PENDING:
        return Action.REFUSE
    return _ACTIONS.get(known.state, Action.REPORT)


def storable(path: str) -> str:
    """The path as text that a database takes, another one for each path, whatever its bytes."""
    escaped = path.replace("\\", "\\\\")
    return escaped.encode("utf-8", "backslashreplace").decode("utf-8")
