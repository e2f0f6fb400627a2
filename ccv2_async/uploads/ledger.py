"""One file's life, from the request to upload it to its end in the library. Pure.

`begin_upload`, `upload_many`, and the workers keep one `Entry` for each file, and write it to a
`Store` before and after each effect. So the entry that a killed process leaves behind says what to
do next.

States, the states that may follow, and what the next run does with an entry
(`TRANSITIONS` and `NEXT_RUN` in the code)::

    state      may become                            same file     file changed since
    PENDING    SENDING ACCEPTED DONE FAILED          SEND          SEND
    SENDING    PENDING ACCEPTED FAILED AMBIGUOUS     LOOK          REFUSE
    ACCEPTED   DONE FAILED                           FOLLOW        REFUSE
    DONE       -                                     SKIP          REFUSE
    FAILED     PENDING SENDING ACCEPTED DONE         SEND          SEND      (passing error)
    FAILED     PENDING SENDING ACCEPTED DONE         REPORT        SEND      (final error)
    AMBIGUOUS  PENDING SENDING ACCEPTED              LOOK          REFUSE

Every state except DONE may also follow itself, with other values in its entry. A file whose ID the
service did not know is FAILED with its ID and without a status: the next run asks again (FOLLOW).

An entry is SENDING from just before the first byte can leave until the outcome is on record. The
service has no idempotency key, so the file of such an entry is not sent again until `settle` has
looked for it. An entry is AMBIGUOUS when those looks prove nothing. Only a person or a later look
can settle it. PENDING after SENDING means that the file was not added to the library.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

import attrs

from ccv2_async import errors
from ccv2_async.clock import in_dates

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


class BulkState(StrEnum):
    """The state of one file in results, journals, and the workers' records.

    ::

        PENDING ─> SENDING ─> ACCEPTED ─> DONE
                      │           └─────> FAILED
                      ├─────────────────> FAILED
                      └─────────────────> AMBIGUOUS
    """

    PENDING = "pending"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"


class Action(StrEnum):
    """The next run's action for a file."""

    SEND = "send"
    LOOK = "look for it, then send it if it is missing"
    FOLLOW = "wait for the service"
    SKIP = "nothing, it is done"
    EXISTS = "nothing, the folder has it already"
    REPORT = "nothing, it failed for good"
    REFUSE = "nothing, it has changed since"


Line: TypeAlias = Literal["send", "follow", "settled"]
"""The queue that an entry is in: to be sent, to be followed, or settled."""

_P, _S, _A, _D, _F, _U = BulkState

TRANSITIONS: Mapping[BulkState, frozenset[BulkState]] = {
    _P: frozenset({_P, _S, _A, _D, _F}),
    _S: frozenset({_P, _S, _A, _F, _U}),
    _A: frozenset({_A, _D, _F}),
    _D: frozenset(),
    _F: frozenset({_P, _S, _A, _D, _F}),
    _U: frozenset({_P, _S, _A, _U}),
}
"""The states that may follow each state."""

NEXT_RUN: Mapping[BulkState, tuple[Action, Action]] = {
    _P: (Action.SEND, Action.SEND),
    _S: (Action.LOOK, Action.REFUSE),
    _A: (Action.FOLLOW, Action.REFUSE),
    _D: (Action.SKIP, Action.REFUSE),
    _F: (Action.REPORT, Action.SEND),
    _U: (Action.LOOK, Action.REFUSE),
}
"""The next run's action for an unchanged file, and for one that has changed since."""

_LINES: Mapping[BulkState, Line] = {_P: "send", _S: "send", _A: "follow"}


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


@attrs.frozen(kw_only=True)
class Entry:
    """The record of one file. Journals and workers add the key under which they store it.

    Attributes:
        name: Its name in the library.
        folder_id: The library folder it goes to, or "" while that is unknown.
        size: Its size in bytes when the upload began; -1 before.
        written_ns: The file's modification time when the upload began, in nanoseconds since 1970.
        state: The current state.
        since: When it was first sent, in seconds since 1970; None before.
        sends: The number of times it may have reached the service, while SENDING or AMBIGUOUS.
        file_id: The library's ID, or "". While SENDING: the service accepted the file, and only the
            look for a copy from an earlier attempt is left.
        duplicates: IDs of extra copies left by a lost response, oldest first.
        tokens: Its resume tokens: none before it was accepted; several for an activity in parts.
        status: The last status from the service, or None.
        error: Why it failed, or the latest problem; "" otherwise.
        final: Whether sending it again cannot help.
        updated: When this was written, in seconds since 1970.
    """

    name: str = ""
    folder_id: str = ""
    size: int = -1
    written_ns: int = 0
    state: BulkState = attrs.field(default=BulkState.PENDING, converter=BulkState)
    since: float | None = attrs.field(default=None, converter=attrs.converters.optional(in_dates))
    sends: int = 0
    file_id: str = ""
    duplicates: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    tokens: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    status: str | None = None
    error: str = ""
    final: bool = attrs.field(default=False, converter=bool)
    updated: float = attrs.field(default=0.0, converter=in_dates)

    @property
    def begun(self) -> float:
        """The latest time at which it was first sent, in seconds since 1970."""
        return self.since if self.since is not None else self.updated

    @property
    def may_have_arrived(self) -> bool:
        """Whether an attempt may have arrived. If so, look for the file before sending it."""
        return self.state in (BulkState.SENDING, BulkState.AMBIGUOUS)

    @property
    def line(self) -> Line:
        """The queue that it is in."""
        return _LINES.get(self.state, "settled")

    @property
    def settled(self) -> bool:
        """Whether the entry is final, unless a caller changes it."""
        return self.line == "settled"

    @property
    def token(self) -> str:
        """The first resume token; "" before it was accepted."""
        return self.tokens[0] if self.tokens else ""


E = TypeVar("E", bound=Entry)
K_contra = TypeVar("K_contra", contravariant=True)


class Store(Protocol[K_contra, E]):
    """A place for entries: nowhere, a journal, or the workers' job store."""

    @property
    def wants_tokens(self) -> bool:
        """Whether the entries of accepted files need resume tokens."""

    async def find(self, key: K_contra, /) -> E | None:
        """Return the entry stored under a key, or None."""

    async def write(self, entry: E, /) -> E:
        """Store the entry and return it as stored; raise if it cannot be stored."""

    async def owned(self, folder_id: str, name: str, /) -> Collection[str]:
        """Return the IDs of files that other processes sent, if the service may name them so.

        Args:
            folder_id: The folder.
            name: The name of a file in it.

        Raises:
            ConstantContactError: Such a file is being sent now, so its ID is not known yet.
        """


class NoStore:
    """A store that keeps nothing: an entry lasts as long as the call that uploads its file.

    Args:
        wants_tokens: Whether the caller reads the tokens of the entries.
    """

    def __init__(self, *, wants_tokens: bool = False) -> None:
        self.wants_tokens: bool = wants_tokens

    async def find(self, key: object, /) -> None:
        """Return None."""

    async def write(self, entry: E, /) -> E:
        """Return the entry."""
        return entry

    async def owned(self, folder_id: str, name: str, /) -> tuple[()]:  # noqa: ARG002
        """Return no IDs: only this process knows of its uploads."""
        return ()


def advance(entry: E, state: BulkState, **facts: Any) -> E:
    """Return an entry in its next state.

    Args:
        entry: The current entry.
        state: Its next state.
        facts: The other fields that change.

    Raises:
        ValueError: The table does not allow this.
    """
    if state not in TRANSITIONS[entry.state]:
        raise ValueError(f"an entry that is {entry.state} cannot become {state}")
    return attrs.evolve(entry, state=state, **facts)


def may_pass(error: errors.ConstantContactError) -> bool:
    """Return whether sending the same file later may succeed, after nothing was added.

    A refusal of a gateway or a firewall may be over by then, unless the file is too large for it.
    """
    if isinstance(error, errors.APIError) and error.status != 413:
        return error.safe_to_retry or not error.is_from_service
    return error.safe_to_retry or isinstance(error, errors.ClientClosed | errors.UnexpectedRedirect)


def after_error(entry: E, error: errors.ConstantContactError) -> E:
    """Return an entry after sending its file failed.

    Args:
        entry: The entry after the failure; SENDING if the file may have arrived.
        error: The error.
    """
    state = BulkState.FAILED
    if isinstance(error, errors.AmbiguousUpload):
        state = BulkState.AMBIGUOUS
    elif entry.may_have_arrived:
        state = entry.state  # still look for it
    return advance(entry, state, error=error.message, final=False)


def after_end(entry: E, error: errors.ConstantContactError | None = None) -> E:
    """Return an entry after the service finished its file, successfully or not."""
    if error is None:
        return advance(entry, BulkState.DONE, error="")
    return advance(entry, BulkState.FAILED, error=error.message, final=True)


def action_for(known: Entry | None, size: int, written_ns: int) -> Action:
    """Return the action for a file.

    Args:
        known: Its entry, or None.
        size: Its current size in bytes.
        written_ns: When it was last written.
    """
    if known is None or known.size < 0:  # the file has no entry yet
        return Action.SEND
    if known.state is BulkState.FAILED and not known.final:
        return Action.SEND
    changed = (known.size, known.written_ns) != (size, written_ns)
    is_lost = known.state is BulkState.FAILED and known.file_id and known.status is None
    return Action.FOLLOW if is_lost and not changed else NEXT_RUN[known.state][changed]
