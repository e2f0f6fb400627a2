"""Compare a local folder with the library, and decide what to do. Pure.

A local file and a library file belong together if the journal has recorded that they have the same
content, or else if their names are equal. Names are equal if they differ only in case or in their
Unicode form, because the service treats such names as the same::

    in the journal   in the library    local content      what is done
    yes              yes               as recorded        nothing, or FINISH
    yes              yes               other              REPLACE
    yes              another file      the same bytes     nothing; it is recorded
    yes              another file      any other          REPLACE
    no               file of its name  of the same size   nothing; it is recorded
    no               file of its name  of another size    REPLACE
    any              no                any                UPLOAD

FINISH gives a file its own name and trashes older versions, if an earlier run did not get that far.
Content is as recorded if its size and time match the record, or if its size and digest do. A
library file that belongs to no local file is an extra: it is left alone, or TRASHed if deletions
are allowed. A file whose upload an earlier run left unfinished is always uploaded again; the
upload's own entry in the journal then says whether it has to be sent. The caller of `decide`
compares the bytes of another file, and passes the record of the same bytes as the journal's. If the
service has converted the picture, they are compared with the recorded file in the trash.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from ccv2_async.errors import InvalidField
from ccv2_async.models.base import Outcome
from ccv2_async.models.library import file_outcome
from ccv2_async.models.validation import is_whole
from ccv2_async.uploads.settle import sent_as

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ccv2_async.errors import ConstantContactError
    from ccv2_async.models import LibraryFile

Key: TypeAlias = tuple[str, str]
"""The folder and the name of a file, as the service compares them."""


class MirrorAction(StrEnum):
    """What a mirror does with a file."""

    UPLOAD = "upload"
    REPLACE = "replace"
    TRASH = "trash"
    FINISH = "finish"
    KEEP = "keep"
    REFUSE = "refuse"


@attrs.frozen
class MirrorEntry:
    """One file that a mirror changes or reports.

    Attributes:
        action: What is done with it.
        name: Its name.
        folders: The names of the folders that lead to it from the mirrored one.
        path: The local file; "" if there is none.
        size: Its size in bytes; None if it is not known.
        file_id: Its ID in the library; "" while it has none.
        replaces: IDs of library files that are trashed once this one has their name.
        done: Whether the action was completed.
        error: Why it was not done, or None.
    """

    action: MirrorAction
    name: str
    folders: tuple[str, ...] = ()
    path: str = ""
    size: int | None = None
    file_id: str = ""
    replaces: tuple[str, ...] = ()
    done: bool = False
    error: ConstantContactError | None = None

    @property
    def key(self) -> Key:
        """The key for comparisons."""
        return key_of(self.folders, self.name)


@attrs.frozen
class MirrorResult:
    """The result of a mirror, or its plan.

    Attributes:
        entries: The files that are, or were, not in sync, in the order in which they are handled.
        equal: How many files are already in sync.
        extra: How many files exist only in the library, and stay there.
        listed: How many files the library's folder has.
        dry_run: Whether this is only a plan.
        possible_copies: Those of the extra files that have the name of a local file, perhaps with a
            number, such as "menu(1).pdf". A lost response may have left them. Their action is KEEP.
        kept_because: Why the deletions of the plan were left out; "" if they were not.
    """

    entries: tuple[MirrorEntry, ...] = ()
    equal: int = 0
    extra: int = 0
    listed: int = 0
    dry_run: bool = False
    possible_copies: tuple[MirrorEntry, ...] = ()
    kept_because: str = ""

    @property
    def failed(self) -> tuple[MirrorEntry, ...]:
        """The files that were refused, or could not be synced."""
        return tuple(entry for entry in self.entries if entry.error is not None)

    def count(self, action: MirrorAction, *, done: bool | None = None) -> int:
        """Return how many files have an action; with `done`, only those done or not done."""
        return sum(entry.action is action and done in (None, entry.done) for entry in self.entries)


@attrs.frozen
class LocalFile:
    """A local file. `digest` is set only if it is needed for a comparison."""

    path: str
    folders: tuple[str, ...]
    name: str
    size: int
    written_ns: int
    digest: str = ""
    key: Key = attrs.field(init=False, repr=False)

    @key.default
    def _key(self) -> Key:
        return key_of(self.folders, self.name)


@attrs.frozen
class RemoteFile:
    """A file of the library, and the names of the folders that lead to it."""

    file: LibraryFile
    folders: tuple[str, ...]
    key: Key = attrs.field(init=False, repr=False)

    @key.default
    def _key(self) -> Key:
        return key_of(self.folders, self.file.name)

    def may_be_one_of(self, keys: Collection[Key]) -> bool:
        """Return whether it has the name of one of these files, perhaps with a number."""
        folder, found = self.key
        return any((folder, name) in keys for name in sent_as(found))

    def entry(self, action: MirrorAction) -> MirrorEntry:
        """Return the entry for a file that belongs to no local one."""
        return MirrorEntry(action, self.file.name, self.folders, "", self.file.size, self.file.id)


@attrs.frozen
class Known:
    """The journal's record of a file that is in sync.

    Attributes:
        file_id: The library's ID of its content.
        size: The size of that content in bytes; -1 if it is not known.
        written_ns: The modification time of the local file that had it.
        digest: The SHA-256 of the content, or "".
        replaces: IDs of older versions that have to be trashed.
    """

    file_id: str
    size: int = -1
    written_ns: int = 0
    digest: str = ""
    replaces: tuple[str, ...] = ()

    def needs_digest(self, local: LocalFile) -> bool:
        """Return whether only a digest shows if a local file has this content."""
        other_time = self.written_ns != local.written_ns
        return self.size == local.size and other_time and self.digest != ""

    def is_content_of(self, local: LocalFile) -> bool:
        """Return whether a local file has this content."""
        same_time = self.written_ns == local.written_ns
        return self.size == local.size and (same_time or "" != self.digest == local.digest)

    def now_as(self, local: LocalFile) -> Known:
        """Return the record, updated from a local file with this content."""
        digest = local.digest or self.digest
        return attrs.evolve(self, size=local.size, written_ns=local.written_ns, digest=digest)

    def followed_by(self, later: Known) -> Known:
        """Return the record of a later version, which replaces this one."""
        old = dict.fromkeys((*later.replaces, self.file_id, *self.replaces))
        return attrs.evolve(
            later, replaces=tuple(id_ for id_ in old if id_ not in ("", later.file_id))
        )


UNSURE = Known("")
"""The record of a file that changed after it may have arrived: another file may be its upload."""


@attrs.frozen
class Unfinished:
    """Files whose uploads an earlier run left unfinished.

    Attributes:
        pending: Files that have not changed, so that their uploads continue.
        lost: Pending files whose responses were lost, so that any file with the name may be theirs.
        file_ids: IDs of the library that belong to pending ones.
    """

    pending: Collection[Key] = frozenset()
    lost: Collection[Key] = frozenset()
    file_ids: Collection[str] = frozenset()


@attrs.frozen
class Plan:
    """What to do, and what to record in the journal before it is done."""

    result: MirrorResult
    known: dict[Key, Known]


def key_of(folders: tuple[str, ...], name: str) -> Key:
    """Return the key that is used to compare a file."""
    return same_case("/".join(folders)), same_case(name)


def same_case(name: str) -> str:
    """Return a name as the service compares it."""
    return unicodedata.normalize("NFC", name).casefold()


def decide(
    local: Iterable[LocalFile],
    remote: Iterable[RemoteFile],
    known: Mapping[Key, Known],
    *,
    refused: Iterable[MirrorEntry] = (),
    unfinished: Unfinished = Unfinished(),
    delete: bool = False,
) -> Plan:
    """Return the plan that makes the library's folder match the local one.

    Args:
        local: The local files that can be sent, one for each key.
        remote: The files of the library's folder.
        known: What the journal records.
        refused: Local files that cannot be sent. Library files with their names are not trashed.
        unfinished: The uploads that an earlier run left unfinished.
        delete: Whether to trash files that exist only in the library.
    """
    sides = _Sides(
        {file.key: file for file in local},
        {each.file.id: each for each in remote},
        known,
        unfinished,
    )
    to_send: list[MirrorEntry] = []
    to_finish: list[MirrorEntry] = []
    recorded = {key: gone for key, gone in known.items() if key not in sides.local}
    for key, file in sides.local.items():
        record, equal = sides.compare(key, file)
        if record.file_id or record.replaces or known.get(key) == UNSURE:
            recorded[key] = record
        facts = file.name, file.folders, file.path, file.size
        entry = MirrorEntry(MirrorAction.FINISH, *facts, record.file_id, record.replaces)
        if not equal:
            old = tuple(id_ for id_ in (record.file_id, *record.replaces) if id_)
            action = MirrorAction.REPLACE if old else MirrorAction.UPLOAD
            to_send.append(attrs.evolve(entry, action=action, file_id="", replaces=old))
        elif record.replaces or sides.remote[record.file_id].key != key:
            to_finish.append(entry)
    refused = tuple(refused)
    extras = sides.extras({entry.key for entry in refused}) if delete else []
    trashed = {extra.file_id for extra in extras}
    to_finish = sides.finishable(to_finish, trashed)
    return Plan(
        MirrorResult(
            (*refused, *to_send, *extras, *to_finish),
            equal=len(sides.local) - len(to_send) - len(to_finish),
            extra=len(sides.remote.keys() - sides.owned) - len(extras),
            listed=len(sides.remote),
            possible_copies=sides.possible_copies(trashed),
        ),
        recorded,
    )


class _Sides:
    """Both sides of a comparison, and which library files belong to local ones.

    Attributes:
        owned: IDs of the files that belong to a local file.
    """

    def __init__(
        self,
        local: Mapping[Key, LocalFile],
        remote: Mapping[str, RemoteFile],
        known: Mapping[Key, Known],
        unfinished: Unfinished,
    ) -> None:
        self.local = local
        self.remote = remote
        self._known = known
        self._unfinished = unfinished
        self._whole = {
            id_: each
            for id_, each in remote.items()
            if file_outcome(each.file.status) is not Outcome.FAILURE
        }
        self.owned = {self._recorded_id(key) for key in local} | {
            *unfinished.file_ids,
            *(id_ for key in local.keys() & known.keys() for id_ in known[key].replaces),
        }
        self._by_key: dict[Key, list[LibraryFile]] = {}
        for id_, each in self._whole.items():
            if id_ not in self.owned:
                self._by_key.setdefault(each.key, []).append(each.file)

    def _recorded_id(self, key: Key) -> str:
        """Return the ID that the journal has for a file; "" if its folder has no such file now."""
        file_id = self._known[key].file_id if key in self._known else ""
        found = self._whole.get(file_id)
        return file_id if found is not None and found.key[0] == key[0] else ""

    def compare(self, key: Key, file: LocalFile) -> tuple[Known, bool]:
        """Return the record that a local file should have, and whether the file is in sync."""
        unfinished, known = self._unfinished, self._known.get(key, Known(""))
        replaces = tuple(id_ for id_ in known.replaces if id_ in self.remote)
        if file_id := self._recorded_id(key):
            equal = known.is_content_of(file) and key not in unfinished.pending
            known = attrs.evolve(known, replaces=replaces)
        elif key in self._by_key and key not in unfinished.pending:
            found = max(self._by_key[key], key=lambda other: _likeness(other, file))
            self.owned.add(found.id)
            file_id = found.id
            equal = found.size == file.size and key not in self._known
            known = Known(file_id, replaces=replaces)
        else:
            equal, known = False, Known("", replaces=replaces)
        return (known.now_as(file) if equal else known), equal

    def extras(self, refused: Collection[Key]) -> list[MirrorEntry]:
        """Return the files that belong to no local file, and cannot be an upload of one."""
        lost, records = self._unfinished.lost, [self._known.get(key, UNSURE) for key in refused]
        owned = self.owned.union(*((known.file_id, *known.replaces) for known in records))
        return [
            each.entry(MirrorAction.TRASH)
            for id_, each in self.remote.items()
            if not (id_ in owned or each.key in refused or each.may_be_one_of(lost))
        ]

    def possible_copies(self, trashed: Collection[str]) -> tuple[MirrorEntry, ...]:
        """Return the files that stay and belong to no local file, but may be a copy of one."""
        local = self.local.keys() - self._unfinished.lost  # the copies of those are looked for
        return tuple(
            each.entry(MirrorAction.KEEP)
            for id_, each in self._whole.items()
            if not (id_ in self.owned or id_ in trashed) and each.may_be_one_of(local)
        )

    def finishable(self, entries: list[MirrorEntry], trashed: Collection[str]) -> list[MirrorEntry]:
        """Return the files that can take their name, in order: Active ones whose name is free.

        A name becomes free when the file that holds it takes its own.
        """
        holders = defaultdict[Key, set[str]](set)
        for id_, each in self.remote.items():
            if id_ not in trashed:
                holders[each.key].add(id_)
        waiting = {
            entry.file_id: entry
            for entry in entries
            if file_outcome(self.remote[entry.file_id].file.status) is Outcome.SUCCESS
        }
        ready: list[MirrorEntry] = []
        while free := [e for e in waiting.values() if holders[e.key] <= {e.file_id, *e.replaces}]:
            for entry in free:
                holders[self.remote[entry.file_id].key].discard(entry.file_id)
                del waiting[entry.file_id]
            ready += free
        return ready


def _likeness(found: LibraryFile, local: LocalFile) -> tuple[Any, ...]:
    """Return how well a file matches a local one with its name; among equals, the newest wins.

    The service assigns ascending IDs.
    """
    return found.size == local.size, found.name == local.name, len(found.id), found.id


def allowed_deletions(max_delete: int | str | None, listed: int) -> int | None:
    """Return how many files may be trashed; None for any number.

    Args:
        max_delete: A number, a share such as "50%", or None.
        listed: How many files the library's folder has.

    Raises:
        InvalidField: It is neither.
    """
    if max_delete is None:
        return None
    text = str(max_delete) if is_whole(max_delete) else max_delete
    found = re.fullmatch(r"([0-9]{1,9})(%?)", text) if isinstance(text, str) else None
    if found is None or (found[2] and int(found[1]) > 100):
        raise InvalidField("max_delete", max_delete, 'it must be a count or a share such as "50%"')
    return listed * int(found[1]) // 100 if found[2] else int(found[1])
