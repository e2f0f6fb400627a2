"""The client: its options, opening and closing it, and its resource groups.

The parts of a client are imported when one is created, and the rest when it is first used, so that
importing the class is quick.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import aclosing
from copy import copy
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast, overload

from ccv2_async.errors import ClientClosed, InvalidField, TokenError, UsageError
from ccv2_async.secret import Secret, without_arguments
from ccv2_async.transport.calls import OUTAGE_TIMEOUT
from ccv2_async.transport.quota import Lane
from ccv2_async.uploads import SETTLE_TIME
from ccv2_async.version import __version__

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractContextManager

    from ccv2_async.backup.estimate import BackupEstimate
    from ccv2_async.backup.results import BackupResult, OnBackupProgress
    from ccv2_async.clock import Clock
    from ccv2_async.errors import ConstantContactError
    from ccv2_async.observe import OnEvent
    from ccv2_async.polling.job import Job, JobKind, Update
    from ccv2_async.polling.poller import ActivityPoller, Poller, UploadPoller
    from ccv2_async.resources.account import Account
    from ccv2_async.resources.activities import Activities
    from ccv2_async.resources.base import Resource
    from ccv2_async.resources.campaigns import Campaigns
    from ccv2_async.resources.contacts import Contacts
    from ccv2_async.resources.events import Events
    from ccv2_async.resources.library import Library
    from ccv2_async.resources.lists import Lists
    from ccv2_async.resources.tracking import Tracking
    from ccv2_async.transport.calls.call import Timeouts
    from ccv2_async.transport.calls.instrumentation import ResponseInfo
    from ccv2_async.transport.calls.raw import RawResponse
    from ccv2_async.transport.calls.renewal import RefreshToken
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.http.clients import UsersClient
    from ccv2_async.transport.http.engine import Engine
    from ccv2_async.transport.quota.budget import Budget
    from ccv2_async.uploads.many.items import Items
    from ccv2_async.uploads.many.results import OnBulkProgress, OnFileProgress
    from ccv2_async.uploads.many.run import BulkUpload
    from ccv2_async.uploads.prepare import OnAmbiguous, OnDuplicate
    from ccv2_async.uploads.uploader import Uploader

P = TypeVar("P", bound="Poller[Any]")
R = TypeVar("R", bound="Resource")
T = TypeVar("T")

BASE_URL = "https://api.constantcontact.com/v2"
PER_SECOND = 4.0
PER_DAY = 10_000


class ConstantContact:
    """A client for the Constant Contact v2 REST API, with one API key and one account.

    Use it in `async with`. Any number of tasks in one event loop can share it, and with it the
    quota and the pollers. One task can open it and another can close it. In another event loop,
    its calls raise `UsageError`. It starts no background task.

    Args:
        api_key: The API key of the application, as a string or a `Secret`.
        access_token: The access token that the account owner granted, as a string or a `Secret`.
        base_url: The URL of the API; `https://api.constantcontact.com/v2` by default.
        per_second: The calls per second that the key allows: 4, or 10 for partner keys. None
            lifts the limit.
        per_day: The calls per day (UTC): 10,000, or 250,000 for partner keys. None lifts the limit.
        budget: A `Budget` to share with other clients of the same key. It has its own limits, so
            `per_second` and `per_day` do not apply.
        http_client: Your own `httpx.AsyncClient` or `httpx2.AsyncClient` to send through. Keep it
            open; this client does not close it. It has its own limits, proxies, and certificates,
            so leave out `proxy` and `verify`. With the transports of these libraries, each HTTP/1.1
            request gets its own connection.
        proxy: A proxy URL. By default, the proxies from the environment are used. Each request
            through a SOCKS or https proxy gets its own connection.
        verify: An `ssl.SSLContext`. False disables certificate verification; use that only in
            tests.
        trust_env: Whether the proxies from the environment are used.
        timeouts: Time limits for the steps of a call, in seconds.
        max_in_flight: How many calls of one lane are sent at the same time.
        settle_time: After the response to an upload was lost, the client searches the folder for
            this many seconds before it sends the file again. Set it higher than the lag of the
            service's listing.
        refresh_token: A function or coroutine function that returns a fresh access token. It is
            called once when the service answers 401. It must not use this client: such a call
            raises `UsageError` immediately.
        on_event: A plain function that is called for calls, retries, waits for the quota, status
            checks, and changes of status; see `ccv2_async.observe`.
        clock: The clock that waits use.

    Raises:
        UsageError: An option is wrong or missing. Nothing was sent.

    Source: "Supported methods" and "API keys" pages of the service's documentation.
    """

    @without_arguments
    def __init__(
        self,
        *,
        api_key: str | Secret[str],
        access_token: str | Secret[str],
        base_url: str = BASE_URL,
        per_second: float | None = PER_SECOND,
        per_day: int | None = PER_DAY,
        budget: Budget | None = None,
        http_client: UsersClient | None = None,
        proxy: str | None = None,
        verify: ssl.SSLContext | bool = True,
        trust_env: bool = True,
        timeouts: Timeouts | None = None,
        max_in_flight: int = 100,
        settle_time: float = SETTLE_TIME,
        refresh_token: RefreshToken | None = None,
        on_event: OnEvent | None = None,
        clock: Clock | None = None,
    ) -> None:
        from ccv2_async.client_options import check_options, checked_origin
        from ccv2_async.clock import SystemClock
        from ccv2_async.observe import Hook
        from ccv2_async.transport.calls.call import Timeouts
        from ccv2_async.transport.calls.credentials import Credentials
        from ccv2_async.transport.quota.budget import Budget

        import_module("ccv2_async.resources.library")  # for `open`, which the event loop waits for
        self._parts: _Parts | None = None
        self._original: ConstantContact | None = None  # of a view, the client
        self._options: dict[str, Any] = {}  # of a view
        self._base_url = ""
        check_options(
            base_url=base_url,
            budget=budget,
            http_client=http_client,
            proxy=proxy,
            verify=verify,
            trust_env=trust_env,
            timeouts=timeouts,
            max_in_flight=max_in_flight,
            settle_time=settle_time,
            refresh_token=refresh_token,
            on_event=on_event,
            clock=clock,
        )
        self._credentials = Credentials(api_key, access_token)
        self._base_url = checked_origin(base_url)
        self._clock: Clock = clock or SystemClock()
        self._budget = budget or Budget(per_second, per_day, clock=self._clock)
        self._http_client = http_client
        self._proxy = Secret(proxy)
        self._verify = verify
        self._trust_env = trust_env
        self._timeouts = timeouts or Timeouts()
        self._max_in_flight = max_in_flight
        self._settle_time = settle_time
        self._refresh_token = refresh_token
        self._hook = Hook(on_event)
        self._was_closed = False

    @classmethod
    @without_arguments
    def from_env(cls, **options: Any) -> Self:
        """Return a client with the credentials and the quota of the environment.

        Reads `CCV2_API_KEY`, `CCV2_ACCESS_TOKEN`, `CCV2_BASE_URL`, `CCV2_RATE` (calls per second;
        0 lifts the limits) and `CCV2_TRUST_ENV` (0 ignores the proxies from the environment).
        `options` take precedence over the environment.

        Raises:
            MissingCredentials: The key or the token is missing.
            InvalidField: `CCV2_RATE` is not a number, or `CCV2_TRUST_ENV` is neither 0 nor 1.
        """
        given: dict[str, Any] = {
            "api_key": os.environ.get("CCV2_API_KEY", ""),
            "access_token": os.environ.get("CCV2_ACCESS_TOKEN", ""),
        }
        if os.environ.get("CCV2_BASE_URL"):
            given["base_url"] = os.environ["CCV2_BASE_URL"]
        if os.environ.get("CCV2_RATE"):
            given["per_second"] = rate_of(os.environ["CCV2_RATE"], "CCV2_RATE")
            if given["per_second"] is None:
                given["per_day"] = None
        if os.environ.get("CCV2_TRUST_ENV"):
            given["trust_env"] = flag_of(os.environ["CCV2_TRUST_ENV"], "CCV2_TRUST_ENV")
        return cls(**{**given, **options})

    def __repr__(self) -> str:
        if self._original is not None:
            return f"<view of {self._original!r}>"
        return f"<ConstantContact {self._base_url} {'open' if self._parts else 'closed'}>"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Open the client; `async with` does it for you. No request is made.

        Opening a view only checks that its client is open.

        Raises:
            ClientClosed: The client was closed before; make a new one.
            UsageError: The client is open in another event loop, or the certificates or the proxy
                cannot be used.
        """
        if self._was_closed:
            raise ClientClosed("This client was closed; make a new one.")
        if self._parts is None and self._original is None:
            try:
                self._parts = self._assemble()
            except OSError as error:
                raise UsageError(f"The client cannot be opened ({error.strerror}).") from None
        else:
            self._open_parts.session.require_loop("opening the client")

    async def aclose(self) -> None:
        """Close the connections and threads.

        Callers that wait for the quota, for a job, for the end of an outage, or to send a call
        again get `ClientClosed` immediately. A call that was sent may still be answered, and then
        its connection closes. A call that still has to read its file or stream, and a download to a
        path or a writer, end with `ClientClosed`. Jobs continue on the server; keep their tokens.
        Closing a view closes nothing.

        If a disk or a file object hangs, this waits for it for a second; a backup, and an upload
        with a journal, wait until their disk answers. No thread can be ended:
        the ones that hang stay, and the process cannot exit, until they are released.

        Raises:
            UsageError: The client was opened in another event loop, and must be closed there. If
                that loop has ended, the client counts as closed.
        """
        if self._original is not None:
            return
        if (parts := self._parts) is not None:
            try:
                parts.session.require_loop("closing the client")
            except UsageError:
                if parts.session.loop.is_closed():
                    await parts.threads.aclose()
                    self._parts, self._was_closed = None, True
                raise
        self._parts, self._was_closed = None, True
        if parts is not None:
            parts.sweep.close()
            try:
                await parts.session.aclose()
            finally:
                await parts.threads.aclose()

    @property
    def library(self) -> Library:
        """Files and folders of MyLibrary."""
        return self._open_parts.library

    @property
    def activities(self) -> Activities:
        """Bulk activities: import, remove, and export contacts, and clear lists."""
        from ccv2_async.resources.activities import Activities

        parts = self._open_parts
        return parts.group(Activities, parts.sweep, parts.threads)

    @property
    def lists(self) -> Lists:
        """Contact lists and their members."""
        from ccv2_async.resources.lists import Lists

        return self._open_parts.group(Lists)

    @property
    def contacts(self) -> Contacts:
        """Contacts: find, add, change, remove from lists, opt out."""
        from ccv2_async.resources.contacts import Contacts

        return self._open_parts.group(Contacts)

    @property
    def campaigns(self) -> Campaigns:
        """Email campaigns and their schedules."""
        from ccv2_async.resources.campaigns import Campaigns

        return self._open_parts.group(Campaigns)

    @property
    def tracking(self) -> Tracking:
        """Opens, clicks, and other reactions to campaigns."""
        from ccv2_async.resources.tracking import Tracking

        return self._open_parts.group(Tracking)

    @property
    def events(self) -> Events:
        """Events, their fees and items, and their registrants."""
        from ccv2_async.resources.events import Events

        return self._open_parts.group(Events)

    @property
    def account(self) -> Account:
        """The account's details and its verified email addresses."""
        from ccv2_async.resources.account import Account

        return self._open_parts.group(Account)

    @property
    def budget(self) -> Budget:
        """The quota of the API key: its limits, and how much is left today."""
        return self._budget

    @property
    def base_url(self) -> str:
        """The URL of the API."""
        return self._base_url

    @property
    def remaining_today(self) -> int | None:
        """The calls left today, as counted by this process; None without a daily limit."""
        return self._budget.remaining_today

    def deadline(self, seconds: float | None) -> AbstractContextManager[None]:
        """Limit the total time of all calls in a `with` block.

        For example::

            with client.deadline(5):
                contact = await client.contacts.get("17")

        Everything that the client waits for counts: the quota, a place among the calls in flight,
        `refresh_token`, the connection, the response, the delays between attempts, the checks after
        a lost response, and the jobs of pollers. A call that would take longer raises
        `DeadlineExceeded`, and a poller raises `PollTimeout`. A call that adds something and was
        sent in full raises `OutcomeUnknown`. Your own code in the block is not interrupted, except
        the streams, writers, and callbacks that a call waits for. If a disk or a file object hangs,
        the call may end a second later, and its thread stays until it is released.

        Blocks can be nested, and the earliest deadline counts. Tasks that are created in the block
        have the same deadline. Outside of a block, each call has its own limit. It is two minutes
        for most calls, without the wait for the quota. `with_options(deadline=...)` limits each
        call separately.

        Args:
            seconds: The time from now on; None adds no limit.

        Raises:
            InvalidField: `seconds` is not a number above zero.
        """
        from ccv2_async.models.validation import checked_seconds

        return self._open_parts.session.deadline(checked_seconds(seconds, "seconds"))

    def with_options(
        self,
        *,
        lane: Lane | None = None,
        deadline: float | None = None,
        timeouts: Timeouts | None = None,
    ) -> Self:
        """Return a view of this client that sends its calls with other options.

        For example, to keep a nightly read from delaying other calls::

            nightly = client.with_options(lane=Lane.BULK)
            everybody = await nightly.contacts.all().collect()

        A view shares everything else with the client: connections, quota, jobs, and what it knows
        of uploads. It works while the client is open, and closing it closes nothing. A view of a
        view keeps the options that are not given.

        Args:
            lane: The lane of the calls that would go in `Lane.INTERACTIVE`. Status requests are
                shared by all waiters, and keep their lane.
            deadline: The maximum number of seconds for each call, including all waits. To
                limit several calls together, or a wait for a job, use `deadline()`.
            timeouts: Time limits for the steps of a call, in seconds.

        Raises:
            InvalidField: An option is wrong. Nothing was sent.
        """
        from ccv2_async.client_options import check_options
        from ccv2_async.models.validation import checked_seconds
        from ccv2_async.transport.quota.budget import checked_lane

        check_options(timeouts=timeouts)
        given = {
            "lane": None if lane is None else checked_lane(lane),
            "seconds": checked_seconds(deadline, "deadline"),
            "timeouts": timeouts,
        }
        view = copy(self)
        view._original, view._parts = self._original or self, None  # noqa: SLF001  # of this class
        view._options = self._options | {k: v for k, v in given.items() if v is not None}  # noqa: SLF001
        return view

    def responses(self, *, limit: int = 100) -> AbstractContextManager[list[ResponseInfo]]:
        """Collect the status and the headers of every response to the calls of a `with` block.

        For example::

            with client.responses() as seen:
                contact = await client.contacts.get("17")
            print(seen[-1].status, seen[-1].headers["date"])

        With a block, methods keep their return types. Retries and the calls that a method makes by
        itself, such as the pages of a listing, are included. An error has the headers of its own
        response: `APIError.headers`.

        Blocks can be nested. Only the calls of the block and of tasks that were created in it are
        collected, including those of views. One waiter asks for the status of all jobs, so its
        block has that response. Downloads from other hosts are left out.

        Args:
            limit: How many responses are kept; older ones are dropped.

        Raises:
            InvalidField: The limit is not a whole number, or is below 1.
        """
        from ccv2_async.models.validation import is_count

        if not is_count(limit):
            raise InvalidField("limit", limit, "it must be a whole number, 1 or more")
        return self._open_parts.session.responses(limit)

    def resume(self, token: str) -> UploadPoller | ActivityPoller:
        """Return the poller of a job that was started earlier. Makes no request.

        Args:
            token: The string that `poller.token()` returned, in this or another process.

        Raises:
            TokenError: The token is damaged, altered, expired, or from another account.
        """
        from ccv2_async.polling.poller import ActivityPoller, UploadPoller
        from ccv2_async.polling.token import decode
        from ccv2_async.uploads.status import UPLOAD

        parts = self._open_parts
        data = decode(
            token,
            account=self._credentials.fingerprint,
            now=self._clock.time(),
            checksum=self._credentials.checksum,
        )
        job = parts.sweep.resume(
            UPLOAD if data.kind == UPLOAD.name else _activity(),
            data.id,
            submitted=data.submitted,
            not_before=data.not_before,
            status=data.status,
        )
        if job.kind is UPLOAD:
            return UploadPoller(parts.session, parts.sweep, job)
        return ActivityPoller(parts.session, parts.sweep, job)

    def resume_upload(self, token: str) -> UploadPoller:
        """Return the poller of an upload that was started earlier. Makes no request.

        It does what `resume` does, for callers who hold tokens of uploads only.

        Args:
            token: The string that an upload's `poller.token()` returned.

        Raises:
            TokenError: The token is damaged, altered, expired, from another account, or for a bulk
                activity.
        """
        from ccv2_async.polling.poller import UploadPoller

        poller = self.resume(token)
        if not isinstance(poller, UploadPoller):
            raise TokenError(
                "This token belongs to a bulk activity, not to an upload. Nothing was sent. "
                "Pass it to resume()."
            )
        return poller

    def resume_activity(self, activity_id: str) -> ActivityPoller:
        """Return the poller of a bulk activity by the ID of the activity. Makes no request.

        Args:
            activity_id: The ID, as in `activities.all()`. The service keeps activities for 14 days.

        Raises:
            InvalidField: `activity_id` is not an ID.
        """
        from ccv2_async.models.validation import checked_id
        from ccv2_async.polling.poller import ActivityPoller
        from ccv2_async.transport.calls.responses import is_id

        parts, now = self._open_parts, self._clock.time()
        id_ = checked_id(activity_id, "activity_id")
        if not is_id(id_):  # a token would not accept it
            raise InvalidField("activity_id", activity_id, "it must be the ID of one activity")
        job = parts.sweep.resume(_activity(), id_, submitted=now, not_before=now, status=None)
        return ActivityPoller(parts.session, parts.sweep, job)

    def upload_many(
        self,
        files: Items,
        *,
        folder_id: str = "0",
        keep_folders: bool = False,
        concurrency: int = 8,
        journal: str | os.PathLike[str] | None = None,
        on_progress: OnBulkProgress | None = None,
        on_file: OnFileProgress | None = None,
        on_ambiguous: OnAmbiguous = "look",
        outage_timeout: float = OUTAGE_TIMEOUT,
        on_duplicate: OnDuplicate = "report",
        fail_fast: bool = False,
        dry_run: bool = False,
        wait: bool = True,
        skip_existing: bool = False,
    ) -> BulkUpload:
        """Upload many files, and return their results as they end, for `async for`.

        A few files are sent at a time. Files that the service is processing do not count. One
        failure does not stop the others. With a journal, the same call continues where an earlier
        one stopped, and sends nothing twice.

        Args:
            files: Any iterable or async iterable of paths or `FileToUpload`. A folder stands for
                all files in it and in its subfolders. A plain iterable runs on the event loop; give
                an async one if finding the next file takes time.
            folder_id: The library folder to upload to; "0" is the root.
            keep_folders: Whether to create the folders below a given folder in the library too,
                three levels at most.
            concurrency: How many files are sent at the same time.
            journal: A file that records each file before and after each step. The upload waits for
                its disk, even after a deadline or after the client is closed.
            on_progress: A function or coroutine function that is called with a `BulkProgress`, at
                most ten times per second. The upload waits for it, even after a deadline.
            on_file: A plain function that is called with a `FileProgress` when a file is being
                sent, was accepted, or has another status. The result says how it ended.
            on_ambiguous: As for `library.begin_upload`.
            outage_timeout: How many seconds the upload waits when the service is down. It probes
                the service at growing intervals, and continues when it is back. After that time it
                stops with `ServiceUnavailable`; with a journal, the same call continues where it
                stopped.
            on_duplicate: As for `library.begin_upload`.
            fail_fast: Whether to stop at the first file that fails, or that failed for good in an
                earlier run. Its result comes first. The files that are being sent get ten seconds
                for their responses, and their results follow. Then its error is raised. Files that
                the service has accepted continue on the server; with a journal, the next run
                follows them.
            dry_run: Whether to send nothing and change nothing, not even on disk. Each result says
                what would be done. A journal is read if there is one.
            wait: Whether to wait until the service has processed each file. False returns each
                result when the service has accepted the file.
            skip_existing: Whether to skip a file if its folder has one with its name and size. If
                the journal has uploaded a file of this size there, the bytes are compared too.
                Each folder is listed once. Without this, the service stores the file again with a
                numbered name, such as `menu(1).pdf`.

        Raises:
            InvalidField: An argument is wrong. Nothing was done. `BulkUpload` lists the exceptions
                that iterating raises. A `deadline` block around the loop limits all of it, except
                finding the files: files that are not done by then end with an error.
        """
        from ccv2_async.uploads.many.items import Options
        from ccv2_async.uploads.many.run import BulkUpload, Parts

        parts = self._open_parts
        options = Options(
            folder_id=folder_id,
            keep_folders=keep_folders,
            concurrency=concurrency,
            journal=journal,
            on_progress=on_progress,
            on_file=on_file,
            on_ambiguous=on_ambiguous,
            outage_timeout=outage_timeout,
            on_duplicate=on_duplicate,
            fail_fast=fail_fast,
            dry_run=dry_run,
            wait=wait,
            skip_existing=skip_existing,
        )
        used = Parts(parts.session, parts.threads, parts.sweep, parts.library, parts.uploader)
        return BulkUpload(used, files, options)

    @overload
    async def backup(
        self,
        directory: str | os.PathLike[str],
        *,
        trash: bool = False,
        wait: bool = False,
        full: bool = False,
        dry_run: Literal[False] = False,
        on_progress: OnBackupProgress | None = None,
    ) -> BackupResult: ...
    @overload
    async def backup(
        self,
        directory: str | os.PathLike[str],
        *,
        trash: bool = False,
        wait: bool = False,
        full: bool = False,
        dry_run: Literal[True],
        on_progress: OnBackupProgress | None = None,
    ) -> BackupEstimate: ...
    async def backup(
        self,
        directory: str | os.PathLike[str],
        *,
        trash: bool = False,
        wait: bool = False,
        full: bool = False,
        dry_run: bool = False,
        on_progress: OnBackupProgress | None = None,
    ) -> BackupResult | BackupEstimate:
        """Copy everything that the key can read into a directory, and return what it holds.

        The library's files are there under their names, and all records are there as JSON Lines,
        as the service sent them; `manifest.json` lists every file with its size and SHA-256.
        The same call continues a backup that was interrupted at any moment. After that, it fetches
        only what is new or has changed. Nothing is ever removed from the directory: records that
        the service no longer has are listed in `vanished.jsonl`.

        A record, file, or listing that cannot be fetched does not stop the others. The result names
        it, and the next call tries it again.

        Args:
            directory: The directory. It is created if it is missing, and belongs to one account.
            trash: Whether the files in the library's trash are copied too.
            wait: Whether to wait for the next day when the day's quota is used up.
            full: Whether to fetch everything again, changed or not. An interrupted call
                continues with or without it.
            dry_run: Whether to return a `BackupEstimate` of the calls, the bytes, and the days that
                a backup will take. It makes a few calls, and writes nothing.
            on_progress: A plain function that is called with a `BackupProgress`, at most ten times
                per second.

        Raises:
            UsageError: The directory cannot be written, another process is using it, it holds a
                file of yours that a backup would replace, or it belongs to another account.
            DailyQuotaExceeded: The day's calls are used up. Call it again on the next day.
            ServiceUnavailable: The service was down for 15 minutes. Call it again later.
            JournalError: The journal in the directory cannot be read or written.
            AuthenticationFailed: The access token is not valid.
        """
        from ccv2_async.backup.run import Backup, Options
        from ccv2_async.models.validation import checked_flag, is_plain_function
        from ccv2_async.transport.calls.saving import checked_path

        parts = self._open_parts
        if not is_plain_function(on_progress):
            raise InvalidField("on_progress", on_progress, "it must be a plain function")
        options = Options(
            directory=checked_path(directory, "directory"),
            trash=checked_flag(trash, "trash"),
            wait=checked_flag(wait, "wait"),
            full=checked_flag(full, "full"),
            on_progress=on_progress,
        )
        run = Backup(parts.session, parts.threads, options)
        return await (run.estimate() if checked_flag(dry_run, "dry_run") else run.run())

    async def as_completed(self, pollers: Iterable[P]) -> AsyncIterator[P]:
        """Yield the pollers in the order in which their jobs end; await each for its result.

        Raises:
            InvalidField: One of them is not a poller of this client. Nothing was sent.
            PollTimeout: A job did not end within 15 minutes (uploads) or 24 hours (activities). It
                continues on the server, and waiting again is safe.
            ConstantContactError: The status could not be read. Nothing is lost; call it again.
        """
        from ccv2_async.polling.poller import as_they_end

        parts = self._open_parts
        listed = _listed(pollers, parts)
        async with aclosing(as_they_end(listed, parts.sweep, parts.session)) as ended:
            async for poller, overdue in ended:
                if overdue is not None:
                    raise overdue
                yield poller

    @overload
    async def wait_all(self, pollers: Iterable[Poller[T]]) -> list[T]: ...
    @overload
    async def wait_all(
        self, pollers: Iterable[Poller[T]], *, return_errors: bool
    ) -> list[T | ConstantContactError]: ...
    async def wait_all(
        self, pollers: Iterable[Poller[T]], *, return_errors: bool = False
    ) -> list[T] | list[T | ConstantContactError]:
        """Return the results of all jobs, in the order given.

        Once all have ended, it fetches their results one after another. If the result of a job does
        not show its end yet, it looks again: for 15 minutes (uploads) or 24 hours (activities) for
        all of them together, and then once for each.

        Args:
            pollers: Any number of pollers.
            return_errors: Whether to return the exception of a job that failed, or whose result
                could not be read, in its place. Otherwise the first one is raised when all jobs
                have ended.

        Raises:
            InvalidField: One of them is not a poller of this client. Nothing was sent.
            JobError: A job failed, or did not end within 15 minutes (uploads) or 24 hours
                (activities). The others have ended too; awaiting one fetches its result.
        """
        from ccv2_async.polling.poller import outcomes

        parts = self._open_parts
        return await outcomes(
            _listed(pollers, parts), parts.sweep, parts.session, return_errors=return_errors
        )

    @overload
    async def sweep(self, tokens: Iterable[str]) -> dict[str, Update | None]: ...
    @overload
    async def sweep(
        self, tokens: Iterable[str], *, return_errors: bool
    ) -> dict[str, Update | TokenError | None]: ...
    async def sweep(
        self, tokens: Iterable[str], *, return_errors: bool = False
    ) -> dict[str, Update | None] | dict[str, Update | TokenError | None]:
        """Return the status of any number of jobs by token, without waiting for them to end.

        One request asks for up to a hundred jobs. None means that the service does not know the
        job, does not know it yet, or failed when it was asked, although it told the status of
        others. A job that has been unknown for minutes is reported as lost.

        Args:
            tokens: The strings that `poller.token()` returned.
            return_errors: Whether to return the exception for a token that cannot be used, such as
                an expired one, in its place. Otherwise, and for one that is not a string, it is
                raised before anything is sent.

        Raises:
            InvalidField: `tokens` is not a list of tokens. Nothing was sent.
            TokenError: One of the tokens cannot be used. Nothing was sent.
            ServerError: The service told the status of none. Safe to try again: yes.
            TransportError: The same, without a response. Safe to try again: yes.
        """
        from ccv2_async.polling.poller import statuses

        parts = self._open_parts
        if isinstance(tokens, str | bytes) or not isinstance(tokens, Iterable):
            raise InvalidField("tokens", type(tokens), "it must be a list of resume tokens")
        jobs: dict[str, Job] = {}
        results: dict[str, Update | TokenError | None] = {}
        for token in tokens:
            try:
                jobs[token] = cast("Any", self.resume(token))._job  # noqa: SLF001  # both are ours
            except TokenError as error:
                if not (return_errors and isinstance(token, str)):
                    raise
                results[token] = error
        results |= await statuses(jobs, parts.sweep, parts.session)
        return results

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        json: object = None,
        lane: Lane = Lane.INTERACTIVE,
    ) -> RawResponse:
        """Make any API call, including one that no method covers, and return the response.

        The call is signed, waits for the quota, and is retried like any other. A POST or PATCH
        that may have been carried out is not sent again, because a repeat could do it twice.

        Args:
            method: GET, POST, PUT, PATCH, or DELETE.
            path: The path below the base URL, such as "/contacts", with or without a query. A full
                URL below the base URL, such as those in responses, is accepted too.
            query: Names and values to add to the query; None leaves one out.
            json: The body: a model, or plain lists and dicts. Do not change it before the call
                returns.
            lane: The priority while calls wait for the quota.

        Raises:
            InvalidField: An argument is wrong, or the path leads to another host. Nothing was sent.
            OutcomeUnknown: The call may have been carried out. Safe to try again: no; look first.
            DecodeError: The response is not the JSON that it claims to be.
            APIError: The service refused the call.
            TransportError: No complete response arrived.

        Source: "Supported methods" page of the service's documentation.
        """
        from ccv2_async.transport.calls.raw import send_raw

        session = self._open_parts.session
        return await send_raw(session, method, path, query=query, json=json, lane=lane)

    @property
    def _open_parts(self) -> _Parts:
        if self._original is not None:
            shared = self._original._open_parts  # noqa: SLF001  # of this class
            if self._parts is None:
                self._parts = shared.over(shared.session.view(**self._options))
            return self._parts
        if self._parts is None:
            raise ClientClosed(
                "This client was closed; make a new one."
                if self._was_closed
                else "This client is not open yet: use it in 'async with', or await open() first."
            )
        return self._parts

    def _assemble(self) -> _Parts:
        import httpx

        from ccv2_async.transport.calls.session import Session
        from ccv2_async.transport.http.clients import shows_visible_url, users_engine
        from ccv2_async.transport.http.engine import open_engine

        visible = False
        engine: Engine
        if self._http_client is not None:
            engine = users_engine(self._http_client)
            visible = shows_visible_url(self._http_client)
        else:
            engine = open_engine(
                verify=self._verify,
                proxy=self._proxy.reveal(),
                trust_env=self._trust_env,
                origin=httpx.URL(self._base_url),
                hide=self._credentials.hide,
            )
        session = Session(
            engine=engine,
            base_url=self._base_url,
            credentials=self._credentials,
            budget=self._budget,
            clock=self._clock,
            timeouts=self._timeouts,
            max_in_flight=self._max_in_flight,
            user_agent=f"ccv2_async/{__version__}",
            refresh_token=self._refresh_token,
            visible_url=visible,
            hook=self._hook,
        )
        return _Parts(session, self._settle_time)


class _Parts:
    """The parts of an open client."""

    __slots__ = ("_groups", "library", "session", "sweep", "threads", "uploader")

    def __init__(self, session: Session, settle_time: float) -> None:
        from ccv2_async.polling.sweep import Sweep
        from ccv2_async.transport.files.threads import FileThreads
        from ccv2_async.uploads.uploader import Uploader

        self.threads = FileThreads()
        self.sweep = Sweep(session)
        uploader = Uploader(session, self.threads, self.sweep, settle_time=settle_time)
        self._send_through(session, uploader)

    def _send_through(self, session: Session, uploader: Uploader) -> None:
        from ccv2_async.resources.library import Library

        self.session = session
        self.uploader = uploader
        self.library = Library(session, self.sweep, self.uploader, self.threads)
        self._groups: dict[Callable[..., Resource], Resource] = {}

    def over(self, session: Session) -> _Parts:
        """Return the parts over a view of the session."""
        other = copy(self)
        other._send_through(session, self.uploader.over(session))  # noqa: SLF001  # of this class
        return other

    def group(self, kind: Callable[..., R], *others: object) -> R:
        """Return the only instance of a group; `others` are its arguments after the session."""
        if kind not in self._groups:
            self._groups[kind] = kind(self.session, *others)
        return cast("R", self._groups[kind])


def _listed(pollers: Any, parts: _Parts) -> list[Any]:
    """Return the pollers as a list.

    Raises:
        InvalidField: One of them is not a poller of this client.
    """
    from ccv2_async.polling.poller import Poller

    listed = list(pollers) if isinstance(pollers, Iterable) else [pollers]
    for number, poller in enumerate(listed):
        if not (isinstance(poller, Poller) and poller._sweep is parts.sweep):  # noqa: SLF001  # ours
            rule = "it must be a poller of this client, such as one from begin_upload or resume"
            raise InvalidField(f"pollers[{number}]", poller, rule)
    return listed


def _activity() -> JobKind:
    """Return the kind of bulk activities."""
    from ccv2_async.activities.status import ACTIVITY

    return ACTIVITY


def rate_of(text: str, where: str) -> float | None:
    """Parse the calls per second; return None for 0, which lifts the limit.

    Raises:
        InvalidField: It is not a number of 0 or more.
    """
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate < float("inf"):
        raise InvalidField(where, text, "it must be a number of calls per second; 0 means no limit")
    return rate or None


def flag_of(text: str, where: str) -> bool:
    """Parse a flag: 1, true or yes, or 0, false or no.

    Raises:
        InvalidField: It is another value.
    """
    if (word := text.strip().lower()) not in _FLAGS:
        raise InvalidField(where, text, "it must be 1 or 0")
    return _FLAGS[word]


_FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
