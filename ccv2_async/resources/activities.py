"""Bulk activities: jobs on many contacts that the service runs in the background."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from ccv2_async.activities.contact_files import FileOptions, portions_of
from ccv2_async.activities.contact_rows import (
    contacts_of,
    import_requests,
    reads_rows,
    removal_requests,
    rows_of,
    unknown_columns,
)
from ccv2_async.activities.csv_survey import MOST_IMPORT_ROWS, MOST_ROWS, Purpose
from ccv2_async.activities.split import Lines
from ccv2_async.activities.starter import CLEARING, EXPORT, IMPORT, REMOVAL, Portion, Starter
from ccv2_async.errors import InvalidField
from ccv2_async.models import validation
from ccv2_async.models.activities import (
    Activity,
    ActivityStatus,
    ActivityType,
    ClearListsRequest,
    ExportContactsRequest,
    ExportSortBy,
)
from ccv2_async.models.convert import encode_body
from ccv2_async.resources.base import Endpoint, Resource, waits_for
from ccv2_async.resources.downloads import export_of
from ccv2_async.transport.calls.saving import DOWNLOAD_DEADLINE, Saving
from ccv2_async.transport.files.body import BytesBody
from ccv2_async.transport.quota import Lane
from ccv2_async.transport.quota.budget import checked_lane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from ccv2_async.activities.contact_files import ContactFile
    from ccv2_async.activities.contact_rows import ContactRow, ContactTable, RowsRequest
    from ccv2_async.activities.split import BulkPoller
    from ccv2_async.polling.sweep import Sweep
    from ccv2_async.resources.listing import OnBadRow
    from ccv2_async.transport.calls.saving import Target
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.threads import FileThreads

ContactsInput: TypeAlias = "ContactFile | Iterable[ContactRow] | ContactTable"
"""The path of a file; contacts, as a list or `csv.DictReader`; or a polars or pandas table.

A contact is an `ImportData`, an address, or a mapping of column names to values.
"""

# Activities can be CANCELLED, but the filter does not accept it.
_STATUS_FILTERS = (
    "ALL",
    *(status for status in ActivityStatus if status is not ActivityStatus.CANCELLED),
)


ACTIVITIES = Endpoint(Activity, Activity, "/activities", "activity")


class Activities(Resource):
    """`client.activities`: import, remove and export contacts in bulk, and empty lists.

    Each `begin_x` returns a poller once the service has accepted the job; `x` also waits for its
    end. A job that is too large for one activity is split, and still has one poller and one result.
    An activity holds at most 4 MB and 20,000 addresses. The limit of 20,000 is documented for
    removals; imports use it too, unless `max_rows` allows more.

    The service does not promise to run activities in the order in which they were started. Wait
    for one before you start another that depends on it, and do not add contacts to a list while it
    is being cleared.
    """

    def __init__(self, session: Session, sweep: Sweep, threads: FileThreads) -> None:
        super().__init__(session)
        self._threads = threads
        self._starter = Starter(session, sweep)
        self._saving = Saving(session, threads)

    async def all(
        self,
        *,
        status: ActivityStatus | str | None = None,
        type: ActivityType | str | None = None,  # noqa: A002  # the service's own word
        on_bad_row: OnBadRow = "raise",
    ) -> list[Activity]:
        """Return the last 50 activities, without their row errors.

        Args:
            status: Only activities with this status. CANCELLED is not accepted.
            type: Only activities of this type.
            on_bad_row: "skip" to leave out rows that cannot be read, and log how many.

        Source: "Bulk activities summary report" page of the service's documentation.
        """
        query = {
            "status": validation.one_of("status", status, _STATUS_FILTERS),
            "type": validation.one_of("type", type, ActivityType),
        }
        return await self._get_rows(
            Activity, "/activities", what="activities", query=query, on_bad_row=on_bad_row
        )

    async def get(self, activity_id: str) -> Activity:
        """Return one activity, with its row errors.

        Raises:
            NotFound: There is no activity with that ID, or it is older than 14 days.

        Source: "Bulk activities status report" page of the service's documentation.
        """
        return await self._one(ACTIVITIES, activity_id)

    async def begin_add_contacts(
        self,
        contacts: ContactsInput,
        *,
        lists: Iterable[str],
        column_names: Sequence[str] | None = None,
        blanks_enabled: bool = False,
        file_name: str | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        max_rows: int = MOST_ROWS,
        strict: bool = False,
        lane: Lane = Lane.INTERACTIVE,
    ) -> BulkPoller:
        """Start adding contacts to lists, and return a poller. Known contacts are updated.

        A file is checked completely before any of it is sent. CSV and TXT files must be UTF-8, with
        a header row that names the columns, one of them for email addresses. XLS and XLSX files are
        sent as they are. The result's `errors` name the rows that the service refused, with their
        lines in the file.

        If the response is lost after everything was sent, the request is sent once more. That is
        safe: adding a contact twice has the effect of adding it once.

        Args:
            contacts: The path of a CSV, TXT, XLS or XLSX file; or contacts, each an `ImportData`,
                an address, or a mapping such as a row of `csv.DictReader`, whose keys are names of
                columns ("First Name") or of fields ("first_name"); or a polars or pandas table.
            lists: The IDs of the lists to add them to.
            column_names: The columns to use if the contacts are not a file. They must include
                EMAIL; `[]` imports addresses only. The default is the columns of all properties
                that any contact has. The service ignores properties without a column.
            blanks_enabled: Whether empty values erase stored ones.
            file_name: The name of the file for the service. The default is its own name.
            encoding: The encoding of a CSV or TXT file that is not UTF-8, such as "cp1252" or
                "utf-16".
            delimiter: The delimiter of the columns of a CSV or TXT file, such as ";", if it
                is not a comma.
            max_rows: The maximum number of contacts in one activity, from 1 to 40,000. No limit is
                documented for v2 imports. Users report that a later copy of the service's page says
                40,000, and that an older forum page says 20,000.
            strict: Whether awaiting raises `PartialFailure` if rows failed.
            lane: The priority while calls wait for the quota.

        Raises:
            UsageError: A value or a file cannot be sent. The message names the row or the line.
                Nothing was sent.
            FileChanged: The file changed after it was checked. Safe to try again: yes.
            QuotaExceeded: Too many activities are running. Safe to try again: yes, later.
            ConstantContactError: See `errors`. Safe to try again: yes, even if parts of the job
                were started; the message says so.

        Source: "Import contacts" pages of the service's documentation.
        """
        ids = validation.checked_ids(lists, "lists")
        query = validation.query_of({"blanks_enabled": blanks_enabled})
        options = FileOptions(file_name, encoding, delimiter)
        _check_options(strict=strict, lane=lane)
        most = _checked_max_rows(max_rows)
        if column_names is not None:
            column_names = validation.checked_texts(column_names, "column_names")
            if isinstance(contacts, str | os.PathLike):
                raise InvalidField(
                    "column_names", column_names, "leave it out; the header names the columns"
                )

        def requests(rows: Iterable[Any]) -> list[RowsRequest]:
            rows = contacts_of(rows, blanks=blanks_enabled)
            return import_requests(rows, ids, column_names, most)

        cut = partial(portions_of, purpose=Purpose.IMPORT, most_rows=most)
        label, portions = await self._cut(contacts, ids, options, cut, requests)
        return await self._starter.start(
            IMPORT, portions, label=label, lane=lane, query=query, strict=strict
        )

    @waits_for(begin_add_contacts)
    def add_contacts(self) -> type[Activity]:
        """Add or update contacts, and return the activity once it is COMPLETE.

        The arguments and errors are those of `begin_add_contacts`. The method waits at most 24
        hours for the service.

        Raises:
            JobError: The activity failed, or the service is still working on it; `token`, or the
                message, resumes it.
            ConstantContactError: As for `begin_add_contacts`. Safe to try again: no, once
                the activity has started.

        Source: "Import contacts" pages of the service's documentation.
        """
        return Activity

    async def begin_remove_contacts(
        self,
        contacts: ContactsInput,
        *,
        lists: Iterable[str],
        file_name: str | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        strict: bool = False,
        lane: Lane = Lane.INTERACTIVE,
    ) -> BulkPoller:
        """Start removing contacts from lists, and return a poller.

        The contacts stay in the account.

        A file is checked completely before any of it is sent. CSV and TXT files must be UTF-8, with
        one address in each row, without a header row or other columns. XLS and XLSX files are sent
        as they are.

        If the response is lost after everything was sent, the request is sent once more, which has
        no further effect.

        Args:
            contacts: The path of a CSV, TXT, XLS or XLSX file; or addresses; or rows or a table as
                for `begin_add_contacts`. Only the addresses are used.
            lists: The IDs of the lists to remove them from.
            file_name: The name of the file for the service. The default is its own name.
            encoding: The encoding of a CSV or TXT file that is not UTF-8, such as "cp1252" or
                "utf-16".
            delimiter: The delimiter of the columns of a CSV or TXT file, such as ";", if it
                is not a comma.
            strict: Whether awaiting raises `PartialFailure` if rows failed.
            lane: The priority while calls wait for the quota.

        Raises:
            UsageError: A value or a file cannot be sent. The message names the row or the line.
                Nothing was sent.
            FileChanged: The file changed after it was checked. Safe to try again: yes.
            QuotaExceeded: Too many activities are running. Safe to try again: yes, later.
            ConstantContactError: See `errors`. Safe to try again: yes, even if parts of the job
                were started; the message says so.

        Source: "Remove contacts from lists" pages of the service's documentation.
        """
        ids = validation.checked_ids(lists, "lists")
        options = FileOptions(file_name, encoding, delimiter)
        _check_options(strict=strict, lane=lane)

        def requests(rows: Iterable[Any]) -> list[RowsRequest]:
            return removal_requests(contacts_of(rows, address_only=True), ids)

        cut = partial(portions_of, purpose=Purpose.REMOVAL)
        label, portions = await self._cut(contacts, ids, options, cut, requests)
        return await self._starter.start(REMOVAL, portions, label=label, lane=lane, strict=strict)

    @waits_for(begin_remove_contacts)
    def remove_contacts(self) -> type[Activity]:
        """Remove contacts from lists, and return the activity once it is COMPLETE.

        The arguments and errors are those of `begin_remove_contacts`. The method waits at most 24
        hours for the service.

        Raises:
            JobError: The activity failed, or the service is still working on it; `token`, or the
                message, resumes it.
            ConstantContactError: As for `begin_remove_contacts`. Safe to try again: no, once
                the activity has started.

        Source: "Remove contacts from lists" pages of the service's documentation.
        """
        return Activity

    async def begin_clear_lists(
        self, lists: Iterable[str], *, strict: bool = False, lane: Lane = Lane.INTERACTIVE
    ) -> BulkPoller:
        """Start removing every contact from lists, and return a poller.

        The lists and the contacts stay in the account. Do not add contacts to a list before the
        poller is done.

        Args:
            lists: The IDs of the lists.
            strict: Whether awaiting raises `PartialFailure` if rows failed.
            lane: The priority while calls wait for the quota.

        Raises:
            InvalidField: No list was given, or one is not an ID. Nothing was sent.
            ConstantContactError: See `errors`. Safe to try again: yes.

        Source: "Clear contact lists" page of the service's documentation.
        """
        ids = validation.checked_ids(lists, "lists")
        _check_options(strict=strict, lane=lane)
        portions = [Portion(BytesBody(encode_body(ClearListsRequest(ids))))]
        label = f"list{'s' * (len(ids) > 1)} {', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''}"
        return await self._starter.start(CLEARING, portions, label=label, lane=lane, strict=strict)

    @waits_for(begin_clear_lists)
    def clear_lists(self) -> type[Activity]:
        """Remove every contact from lists, and return the activity once it is COMPLETE.

        The arguments and errors are those of `begin_clear_lists`. The method waits at most 24
        hours for the service.

        Raises:
            JobError: The activity failed, or the service is still working on it; `token`, or the
                message, resumes it.
            ConstantContactError: As for `begin_clear_lists`. Safe to try again: no, once
                the activity has started.

        Source: "Clear contact lists" page of the service's documentation.
        """
        return Activity

    async def begin_export_contacts(
        self,
        list_id: str,
        *,
        column_names: Sequence[str] = ("Email Address",),
        sort_by: ExportSortBy | str = ExportSortBy.EMAIL_ADDRESS,
        export_date_added: bool = True,
        export_added_by: bool = True,
        lane: Lane = Lane.INTERACTIVE,
    ) -> BulkPoller:
        """Start exporting the contacts of one list to a CSV file, and return a poller.

        If the response is lost after everything was sent, the request is sent once more. That is
        safe: an export does not change the account, and a second file does no harm.

        Args:
            list_id: The list; or `active`, `opted-out` or `removed`.
            column_names: The columns of the file, including "Email Address".
            sort_by: EMAIL_ADDRESS or DATE_DESC.
            export_date_added: Whether a column says when each contact was added.
            export_added_by: Whether a column says who added each contact.
            lane: The priority while calls wait for the quota.

        Raises:
            InvalidField: The service would refuse a value. Nothing was sent.
            ConstantContactError: See `errors`. Safe to try again: yes.

        Source: "Export contacts" page of the service's documentation.
        """
        _check_options(lane=lane)
        columns = validation.checked_texts(column_names, "column_names")
        if unknown := unknown_columns(columns):
            raise InvalidField("column_names", unknown[0], "the service does not know this column")
        request = ExportContactsRequest(
            lists=(validation.checked_id(list_id, "list_id"),),
            column_names=columns,
            sort_by=sort_by,
            export_date_added=export_date_added,
            export_added_by=export_added_by,
        )
        validation.check(request)
        portions = [Portion(BytesBody(encode_body(request)))]
        return await self._starter.start(EXPORT, portions, label=f"list {list_id}", lane=lane)

    @waits_for(begin_export_contacts)
    def export_contacts(self) -> type[Activity]:
        """Export a list, and return the activity once its file is ready for `download_export`.

        The arguments and errors are those of `begin_export_contacts`. The method waits at most 24
        hours for the service.

        Raises:
            JobError: The activity failed, or the service is still working on it; `token`, or the
                message, resumes it.
            ConstantContactError: As for `begin_export_contacts`. Safe to try again: no, once
                the activity has started.

        Source: "Export contacts" page of the service's documentation.
        """
        return Activity

    async def download_export(
        self, activity: Activity | str, to: Target, *, deadline: float | None = DOWNLOAD_DEADLINE
    ) -> int:
        """Download the file of a COMPLETE export, and return how many bytes were written.

        The file is streamed, never held in memory. For a path, it is written to a hidden file in
        the same folder, which is renamed once it is complete; a download that breaks is started
        again, with three attempts in total. An async writer gets the file in pieces, in one
        attempt. HTML and JSON in place of the file are refused; plain text is saved, because the
        service states neither the size of an export nor its columns.

        Args:
            activity: The result of the export's poller, or its ID.
            to: A path, or an object with an async `write(bytes)`.
            deadline: Seconds for everything: reading the activity, waiting for the quota, and
                writing the file. None for no limit.

        Raises:
            UsageError: The activity is not a COMPLETE export, or the path cannot be written.
            DecodeError: The service returned no link that can be followed, or no CSV.
            ConstantContactError: As for any read. Safe to try again: yes.

        Source: "Export contacts" page of the service's documentation.
        """
        with self._session.deadline(validation.checked_seconds(deadline, "deadline")):
            return await self._saving.save(export_of(self._session, await self._read(activity)), to)

    @asynccontextmanager
    async def open_export(self, activity: Activity | str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open the file of a COMPLETE export, to read it in pieces of any size.

        Use it as a context manager::

            async with client.activities.open_export(activity) as pieces:
                async for piece in pieces: ...

        Args:
            activity: The result of the export's poller, or its ID.

        Raises:
            InvalidField: On entering: the activity is not a COMPLETE export. Nothing was sent.
            DecodeError: The service returned no link that can be followed, or no CSV.
            ConstantContactError: As for any read, even between pieces. Safe to try again: yes.

        Source: "Export contacts" page of the service's documentation.
        """
        async with export_of(self._session, await self._read(activity)).open() as pieces:
            yield pieces

    async def _cut(
        self,
        contacts: ContactsInput,
        lists: Sequence[str],
        options: FileOptions,
        cut: Callable[..., Awaitable[tuple[str, list[Portion]]]],
        requests: Callable[[list[Any]], list[RowsRequest]],
    ) -> tuple[str, list[Portion]]:
        """Return the name of the contacts for messages, and the portions to send.

        Args:
            contacts: A file or rows.
            lists: The IDs of the lists.
            options: How a file is written.
            cut: Makes portions of a file.
            requests: Makes requests of rows.
        """
        threads, limit = self._threads, self._session.call_limit()
        starting = self._session.starting("reading the contacts", limit)
        if isinstance(contacts, str | os.PathLike):
            async with starting:
                return await cut(contacts, lists=",".join(lists), options=options, threads=threads)
        options.refuse()
        # A generator runs here, and its own exceptions pass, even a `TimeoutError`.
        rows = [] if (reads := reads_rows(contacts)) else rows_of(contacts)
        async with starting:
            rows = await threads.run(rows_of, contacts) if reads else rows
            with validation.unchanged("contacts", contacts):
                parts = await threads.run(requests, rows)
        portions = [Portion(BytesBody(part.content), Lines(first=part.first)) for part in parts]
        return f"{len(rows):,} contact{'s' * (len(rows) != 1)}", portions

    async def _read(self, activity: Activity | str) -> Activity:
        if isinstance(activity, str):
            return await self.get(activity)
        return validation.checked_model(activity, Activity, "activity")


def _checked_max_rows(value: object) -> int:
    """Return the maximum number of contacts in one activity.

    Raises:
        InvalidField: It is not a whole number in the accepted range. Nothing was sent.
    """
    if not validation.is_whole(value) or not 1 <= value <= MOST_IMPORT_ROWS:
        raise InvalidField("max_rows", value, f"it must be a number from 1 to {MOST_IMPORT_ROWS:,}")
    return value


def _check_options(*, strict: bool = False, lane: Lane = Lane.INTERACTIVE) -> None:
    """Validate the types of options that were given.

    Raises:
        InvalidField: An option is invalid. Nothing was sent.
    """
    validation.checked_flag(strict, "strict")
    checked_lane(lane)
