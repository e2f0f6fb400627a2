"""One run of a backup: fetch what is new or has changed, then write the files for the user."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from ccv2_async import errors
from ccv2_async.backup.contents import Contents, digest_of, explained, require_own
from ccv2_async.backup.datasets import (
    BY_NAME,
    CAMPAIGNS,
    DATASETS,
    FOLDERS,
    LIBRARY,
    TRASH,
    id_of,
    ids_in,
    since_of,
)
from ccv2_async.backup.estimate import Counts, estimate
from ccv2_async.backup.journal import NAME, Journal, Note
from ccv2_async.backup.pages import Collection, one, page_of
from ccv2_async.backup.results import BackupProblem, BackupProgress, BackupResult
from ccv2_async.backup.write import NAMES, Exports
from ccv2_async.clock import date_of, in_dates
from ccv2_async.models.convert import structure
from ccv2_async.models.hooks import utc_text
from ccv2_async.models.library import LibraryFile
from ccv2_async.resources.downloads import download_of
from ccv2_async.tasks import uninterrupted
from ccv2_async.text import one_line
from ccv2_async.transport.calls import OUTAGE_TIMEOUT
from ccv2_async.transport.calls.outage import PROBE
from ccv2_async.transport.calls.responses import INACTIVE_KEY, Cursors
from ccv2_async.transport.calls.saving import DOWNLOAD_DEADLINE, Saving
from ccv2_async.transport.files.sources import absolute
from ccv2_async.transport.files.threads import FileThreads
from ccv2_async.transport.quota import Lane

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ccv2_async.backup.datasets import Dataset
    from ccv2_async.backup.estimate import BackupEstimate
    from ccv2_async.backup.journal import FileEntry, Scope
    from ccv2_async.backup.results import OnBackupProgress
    from ccv2_async.transport.calls.call import Call, Response
    from ccv2_async.transport.calls.saving import Saved
    from ccv2_async.transport.calls.session import Session

T = TypeVar("T")

AT_ONCE = 8
"""The maximum number of calls, and of downloads, in progress at the same time."""

_ALL_LISTED = "\n"
"""In place of a cursor: all pages are in the journal, but the listing was not finished."""

_SAMPLED_PAGES = 10
_BATCH = 200
_REPORT_SECONDS = 0.1

# These errors would affect everything else as well, so they end the run.
_FATAL = (*errors.AFFECTS_EVERY_CALL, errors.UsageError)


@attrs.frozen(kw_only=True)
class Options:
    """The arguments of `ConstantContact.backup`."""

    directory: str
    trash: bool = False
    wait: bool = False
    full: bool = False
    on_progress: OnBackupProgress | None = None


class Backup:
    """One run.

    Args:
        session: Sends the calls.
        threads: The threads that write downloads.
        options: The caller's arguments.
    """

    def __init__(self, session: Session, threads: FileThreads, options: Options) -> None:
        self._session = session = session.view(lane=Lane.BULK)
        self._saving = Saving(session, threads)
        self._options = options
        self._root = Path(absolute(options.directory))
        self._journal_thread = FileThreads(limit=1)
        self._journal: Journal
        self._contents: Contents
        self._skew = 0.0
        self._since = session.clock.monotonic()
        self._reported = float("-inf")
        self._dataset = ""
        self._done = Counter(rows=0, files=0, files_left=0, downloaded=0, calls=0)
        self._ending = False

    async def run(self) -> BackupResult:
        """Fetch everything, and return what the backup holds.

        Raises:
            ConstantContactError: As for `ConstantContact.backup`.
        """
        try:
            self._journal = await self._journal_thread.run(self._open, undo=Journal.close)
            try:
                return await self._run()
            finally:
                await uninterrupted(self._journal_thread.run(self._journal.close))
        finally:
            await uninterrupted(self._journal_thread.aclose())

    async def estimate(self) -> BackupEstimate:
        """Return what a backup will cost, from a few calls. Nothing is written.

        Raises:
            ConstantContactError: As for `ConstantContact.backup`.
        """
        try:
            counts = await self._counts()
        finally:
            await uninterrupted(self._journal_thread.aclose())
        budget = self._session.budget
        return estimate(counts, per_day=budget.per_day, left_today=budget.remaining_today)

    async def _counts(self) -> Counts:
        here = await self._do(self._counts_here)
        text, _ = await self._call(PROBE, partial(one, ("usage_summary",), ""))
        info = json.loads(text)["usage_summary"]
        info = info if isinstance(info, dict) else {}
        lists, _ = await self._sample("lists")
        folders, _ = await self._sample(FOLDERS)
        campaigns, more_campaigns = await self._sample(CAMPAIGNS, pages=_SAMPLED_PAGES)
        states = Counter(str(row.get("status")) for row in campaigns)
        sent = next((row for row in campaigns if row.get("status") == "SENT"), None)
        tracked = None
        if sent is not None:
            summary, _ = await self._sample("reports", id_of(BY_NAME[CAMPAIGNS], sent))
            counted = BY_NAME["reports"].single
            tracked = sum(_number(row.get(name)) for row in summary for name in counted)
        try:
            events, more_events = await self._sample("events")
        except errors.APIError:
            events, more_events = [], False  # the service no longer offers them, or not to this key
        return Counts(
            files=_number(info.get("file_count")),
            size=_number(info.get("total_bytes_used")),
            folders=len(folders),
            contacts=sum(_number(row.get("contact_count")) for row in lists),
            campaigns=dict(states),
            more_campaigns=more_campaigns,
            tracked=tracked,
            events=len(events),
            more_events=more_events,
            **here,
        )

    def _counts_here(self) -> dict[str, Any]:
        """Count what the directory already holds, which is not fetched again. Creates nothing."""
        if self._options.full or not (self._root / NAME).is_file():
            return {}
        with closing(Journal.open(str(self._root))) as journal:
            return journal.counts()

    async def _sample(
        self, name: str, *ids: str, pages: int = 1
    ) -> tuple[list[dict[str, Any]], bool]:
        """Return the rows of the first pages of a listing, and whether there are more."""
        listing, rows = Collection(BY_NAME[name], ids), []
        query, cursors = listing.dataset.first_page(""), Cursors(name)
        if listing.dataset.single:
            return [json.loads((await self._one(listing))[0])], False
        for _ in range(pages):
            page = await self._call(listing.call(query), partial(page_of, listing.dataset, 0))
            rows += await self._do(lambda texts: [json.loads(text) for _, text in texts], page.rows)
            if (following := cursors.after(page.rows, page.next_link)) is None:
                return rows, False
            query = (("next", following),)
        return rows, True

    def _open(self) -> Journal:
        with explained(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            if not (self._root / NAME).exists():
                require_own(self._root, NAMES, ())
        return Journal.open(str(self._root))

    async def _run(self) -> BackupResult:
        journal = self._journal
        self._contents = Contents(self._root, journal)
        await self._do(require_own, self._root, NAMES, await self._do(journal.written))
        await self._do(self._contents.prepare)
        await self._require_own()
        wanted = [each for each in DATASETS if each.name != TRASH or self._options.trash]
        library = next(n for n, each in enumerate(wanted) if each.name in (LIBRARY, TRASH))
        library += self._options.trash
        await self._fetch_all(wanted[: library + 1])
        self._done["files_left"] = await self._do(self._contents.plan)
        await self._together(self._download, partial(self._fetch_all, wanted[library + 1 :]))
        result = await self._do(self._write, [each.name for each in wanted])
        self._report(force=True)
        return result

    def _write(self, names: list[str]) -> BackupResult:
        """Write the files for the user, and end the run."""
        journal = self._journal
        self._contents.tidy()
        self._contents.write_campaigns()
        exports = Exports(self._root, journal)
        exports.write(names)
        notes = journal.notes()
        failed = tuple(_problem(note) for note in notes if note.failed)
        left_out = tuple(_problem(note) for note in notes if not note.failed)
        about, ended = journal.about(), stamp_of(self._now)
        account = _name_of(journal.record("account", "", "account"), about.get("account", ""))
        facts = {
            "service": self._session.base_url,
            "account": account,
            "began": about.get("began", ""),
            "ended": ended,
        }
        exports.manifest(facts, failed, left_out)
        journal.remember(ended=ended, account=account)
        return BackupResult(
            directory=str(self._root),
            rows={name: n for name, n in exports.rows.items() if name != "vanished"},
            vanished=exports.rows["vanished"],
            downloaded=self._done["downloaded"],
            files=self._done["files"],
            calls=self._done["calls"],
            failed=failed,
            left_out=left_out,
        )

    async def _require_own(self) -> None:
        """Check that the directory belongs to this account.

        The fingerprint of the credentials changes when a new token is granted. In that case, the
        account's own email address decides.

        Raises:
            UsageError: It belongs to another account or service.
        """
        about = await self._do(self._journal.about)
        service, known = self._session.base_url, about.get("fingerprint")
        fingerprint = self._session.credentials.fingerprint
        self._skew = float(about.get("skew", 0.0))
        if about.get("service", service) != service:
            raise self._not_ours(f"another service ({one_line(about['service'])})")
        if known not in (None, fingerprint):
            own, _ = await self._one(Collection(BY_NAME["account"]))
            if not (name := _name_of(own)) or name != about.get("account"):
                whose = one_line(about.get("account", "")) or "unknown"
                raise self._not_ours(f"another account ({whose})")
        facts = {"service": service, "fingerprint": fingerprint}
        await self._do(self._journal.begin, stamp_of(self._now), full=self._options.full, **facts)
        await self._fetch(BY_NAME["account"])
        text = await self._do(self._journal.record, "account", "", "account")
        account = _name_of(text, about.get("account", ""))
        await self._do(self._journal.remember, account=account, skew=str(self._skew))

    def _not_ours(self, whose: str) -> errors.UsageError:
        return errors.UsageError(
            f"{one_line(str(self._root))}: this backup belongs to {whose}. Nothing was "
            "changed. Choose another directory."
        )

    # Listings

    async def _fetch_all(self, datasets: Iterable[Dataset]) -> None:
        for dataset in datasets:
            if not self._ending:
                await self._fetch(dataset)

    async def _fetch(self, dataset: Dataset) -> None:
        """Fetch the new and changed records of one dataset."""
        # One dataset that fails alone, after minutes, must not use up the patience of the next one.
        self._dataset, self._since = dataset.name, self._session.clock.monotonic()
        self._report()
        collections = await self._do(self._collections, dataset)
        await self._each(collections, self._list)
        if dataset.detail:
            for listing in collections:
                missing = await self._do(self._journal.without_detail, *listing.key)
                await self._each(missing, partial(self._fetch_one, listing))

    def _collections(self, dataset: Dataset) -> list[Collection]:
        """Return the listings of a dataset: one, or one for each parent."""
        if not dataset.parent:
            return [Collection(dataset)]
        return [
            Collection(dataset, (*ids_in(scope), own))
            for scope, own, text, _ in self._journal.records(dataset.parent)
            if not dataset.when or json.loads(text).get("status") in dataset.when
        ]

    async def _list(self, listing: Collection) -> None:
        """List the rows, from where an earlier process stopped."""
        dataset, key, version = listing.dataset, listing.key, ""
        if dataset.follows:
            counts = await self._do(self._journal.record, dataset.follows, key[1], listing.ids[-1])
            version = counts or ""
        state = await self._do(self._journal.scope, *key, str(self._now), version=version)
        if state.done:
            return
        try:
            if dataset.single:
                text, when = await self._one(listing)
                self._set_clock(when)
                own = listing.ids[-1] if listing.ids else dataset.name
                await self._keep(listing, [(own, text)], cursor="", position=1)
            elif state.cursor != _ALL_LISTED:
                await self._list_pages(listing, state)
            if not dataset.single and dataset.ids and not (dataset.since and state.since):
                await self._look_for_missed(listing)
            await self._do(self._journal.end_scope, *key, version=version, drop=not dataset.ids)
        except errors.ConstantContactError as error:
            if not dataset.parent or not _says(error, errors.NotFound):
                await self._pass(error, listing)
                return
            # There is none, such as a schedule, or its parent was deleted after the listing.
            await self._do(self._journal.end_scope, *key)

    async def _list_pages(self, listing: Collection, state: Scope) -> None:
        dataset, key, since = listing.dataset, listing.key, ""
        if dataset.since and state.since:
            newest = await self._do(self._journal.newest, *key)
            since = stamp_of(since_of(float(state.since), newest))
        first = dataset.first_page(since)
        cursor, position, restarted = state.cursor, state.position, False
        cursors = Cursors(listing.what, {cursor})
        while True:
            call = listing.call((("next", cursor),) if cursor else first)
            try:
                page = await self._call(call, partial(page_of, dataset, position))
                following = cursors.after(page.rows or page.bad, page.next_link)
            except (errors.BadRequest, errors.NotFound, errors.PaginationError) as error:
                if not cursor or isinstance(error, errors.EndpointRetired):
                    raise
                # The service no longer knows the cursor, or the cursors repeat.
                await self._do(self._journal.restart, *key, drop=not dataset.ids)
                if restarted or isinstance(error, errors.PaginationError):
                    raise
                cursor, position, restarted, cursors = "", 0, True, Cursors(listing.what)
                continue
            self._set_clock(page.when)
            rows = page.rows
            if not dataset.ids:
                run = self._journal.run
                rows = [(f"{run:08}-{position + n:010}", text) for n, (_, text) in enumerate(rows)]
            position += len(page.rows) + len(page.bad)
            cursor = following or _ALL_LISTED
            await self._keep(listing, rows, cursor=cursor, position=position, bad=page.bad)
            if following is None:
                return

    async def _keep(self, listing: Collection, rows: list[tuple[str, str]], **page: Any) -> None:
        detail = listing.dataset.detail
        await self._do(self._journal.page, *listing.key, rows, detail=detail, **page)
        self._done["rows"] += len(rows)
        self._report()

    async def _look_for_missed(self, listing: Collection) -> None:
        """Mark the rows that the service no longer has.

        A listing that changes while it is read may leave a row out. So each missing row that has a
        path of its own is looked up by its ID.
        """
        missed = await self._do(self._journal.missed, *listing.key)
        if listing.dataset.one:
            await self._each(missed, partial(self._fetch_one, listing))
        elif missed and not await self._do(self._journal.has_unreadable, *listing.key):
            await self._vanish(listing, missed)

    async def _fetch_one(self, listing: Collection, own: str) -> None:
        """Fetch the full record of a row, or find that it is gone."""
        try:
            text, _ = await self._one(listing, own)
        except errors.ConstantContactError as error:
            if _says(error, errors.NotFound):
                await self._vanish(listing, [own])
            else:
                await self._pass(error, listing, own)
        else:
            if json.loads(text).get("status") == "Deleted":
                await self._vanish(listing, [own])  # a file that is in the trash
                return
            detail = listing.dataset.detail
            await self._do(self._journal.found, *listing.key, own, text, detail=detail)
            self._done["rows"] += 1
            self._report()

    async def _vanish(self, listing: Collection, gone: list[str]) -> None:
        await self._do(self._journal.vanish, *listing.key, gone, stamp_of(self._now))

    async def _pass(
        self, error: errors.ConstantContactError, listing: Collection, own: str = ""
    ) -> None:
        """Record an error that affects only one row or listing; raise any other.

        Raises:
            ConstantContactError: It ends the run.
        """
        inactive = isinstance(error, errors.Forbidden) and INACTIVE_KEY in dict(error.errors)
        # An invalid field belongs to the record: the arguments were checked before. If the service
        # answers its probes, only this dataset is not available.
        alone = isinstance(error, errors.ServiceUnavailable) and not self._session.outage.is_total
        alone = alone or isinstance(error, errors.InvalidField)
        if isinstance(error, errors.AuthenticationFailed):  # a firewall may block one address
            alone = not await self._session.ends_all(error)
        if inactive or (isinstance(error, _FATAL) and not alone):
            raise error
        if refused := not own and _says(error, errors.EndpointRetired, errors.Forbidden):
            # If it has given a page, it does offer the listing.
            refused = not (await self._do(self._journal.scope, *listing.key, "")).position
        await self._do(self._journal.note, Note(*listing.key, own, not refused, error.message))

    # Files

    async def _download(self) -> None:
        """Download the files of the library that are new or have changed."""
        for place in (LIBRARY, TRASH):
            after = ""
            wanted = partial(self._journal.wanted, place)
            while not self._ending and (batch := await self._do(wanted, after, _BATCH)):
                after = batch[-1].id
                await self._each(batch, self._download_one)

    async def _download_one(self, entry: FileEntry) -> None:
        await self._fetch_file(entry)
        self._done["files_left"] -= 1
        self._report()

    async def _fetch_file(self, entry: FileEntry) -> None:
        listing = Collection(BY_NAME[entry.place])
        part = self._contents.part(entry)
        try:
            file = await self._record_of(entry)
            if (kept := await self._do(digest_of, part)) is None:
                if not file.url:
                    why = f"The service returned no URL for it (status {file.status})."
                    note = Note(*listing.key, entry.id, failed=False, text=why)
                    await self._do(self._journal.note, note)
                    return
                saved = await self._patiently(lambda: self._saved(file, part))
                kept = (saved.size, saved.sha256)
                self._done["files"] += 1
                self._done["downloaded"] += kept[0]
        except errors.ConstantContactError as error:
            await self._pass(error, listing, entry.id)
            return
        await self._do(self._place, entry, *kept)

    async def _saved(self, file: LibraryFile, part: Path) -> Saved:
        with self._session.deadline(DOWNLOAD_DEADLINE):  # its bytes may trickle in without end
            return await self._saving.to_path(download_of(self._session, file), part)

    async def _record_of(self, entry: FileEntry) -> LibraryFile:
        """Return the record of a file, read again by its ID if the listed row cannot be read.

        Raises:
            ConstantContactError: There is no record that can be read.
        """
        text = await self._do(self._journal.record, *Collection(BY_NAME[entry.place]).key, entry.id)
        try:
            return structure(LibraryFile, json.loads(text or "{}"))
        except errors.DecodeError:
            read, _ = await self._one(Collection(BY_NAME[LIBRARY]), entry.id)
            return structure(LibraryFile, json.loads(read))

    def _place(self, entry: FileEntry, size: int, sha256: str) -> None:
        self._contents.place(entry, size, sha256)
        self._journal.forget(entry.place, "", entry.id)

    # Calls

    async def _one(self, listing: Collection, own: str = "") -> tuple[str, float | None]:
        """Return the full record of a row, or the object that comes in place of a listing."""
        dataset = listing.dataset
        query, fields = ((), dataset.ids) if own else (dataset.first_page(""), dataset.single)
        return await self._call(listing.call(query, own), partial(one, fields, own))

    async def _call(self, call: Call, parse: Callable[[Response], T]) -> T:
        self._done["calls"] += 1
        return await self._patiently(lambda: self._session.read(call, parse))

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do work that makes calls; wait out an outage, and the daily quota if `wait` is set."""
        session = self._session
        while True:
            try:
                return await session.outlast(work, since=self._since, patience=OUTAGE_TIMEOUT)
            except errors.DailyQuotaExceeded as error:
                pause, left = error.resets_at.timestamp() - session.clock.time(), session.time_left
                if not self._options.wait or (left is not None and left <= pause):
                    raise errors.DailyQuotaExceeded(
                        f"The backup stopped: the API key's calls for today are used up. "
                        f"What was fetched is kept. Run it again after "
                        f"{error.resets_at:%Y-%m-%d %H:%M} UTC; it continues where it stopped.",
                        status=error.status,
                        resets_at=error.resets_at,
                        errors=error.errors,
                    ) from None
            await session.sleep(max(1.0, pause), "the next call of the backup")

    async def _each(self, items: Iterable[T], work: Callable[[T], Awaitable[object]]) -> None:
        """Do work on each item, a few at a time; no more are started after an error."""
        rest = iter(items)

        async def worker() -> None:
            for item in rest:
                if self._ending:
                    return
                await work(item)

        await self._together(*[worker] * AT_ONCE)

    async def _together(self, *work: Callable[[], Awaitable[object]]) -> None:
        """Run all coroutines, and raise the first error once those in progress have finished."""

        async def noticed(each: Callable[[], Awaitable[object]]) -> None:
            try:
                await each()
            except errors.ConstantContactError:
                self._ending = True
                raise

        # If this is cancelled, all of them are, and it waits for them.
        for outcome in await asyncio.gather(*map(noticed, work), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    @property
    def _now(self) -> float:
        """The service's time, in seconds since 1970."""
        return in_dates(in_dates(self._session.clock.time()) + self._skew)

    def _set_clock(self, when: float | None) -> None:
        if when is not None:
            self._skew = when - in_dates(self._session.clock.time())

    async def _do(self, work: Callable[..., T], *args: Any, **options: Any) -> T:
        """Run work on the journal and the directory in the journal's thread."""
        with explained(self._root):
            return await self._journal_thread.run(partial(work, *args, **options))

    def _report(self, *, force: bool = False) -> None:
        tell, now = self._options.on_progress, self._session.clock.monotonic()
        if tell is None or (not force and now - self._reported < _REPORT_SECONDS):
            return
        self._reported = now
        tell(BackupProgress(self._dataset, **self._done))


def stamp_of(moment: float) -> str:
    """Return a time in the format of the service."""
    return utc_text(date_of(moment))


def _says(error: errors.ConstantContactError, *kinds: type[errors.APIError]) -> bool:
    """Return whether an error is of these kinds, and from the service itself, not a gateway."""
    return isinstance(error, kinds) and error.is_from_service


def _name_of(record: str | None, known: str = "") -> str:
    """Return a name that identifies the account with this record, or the known one."""
    account = json.loads(record or "{}")
    return str(account.get("email") or account.get("organization_name") or known)


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _problem(note: Note) -> BackupProblem:
    ids = ids_in(note.scope)
    return BackupProblem(note.dataset, note.id, ids[-1] if ids else "", note.text)
