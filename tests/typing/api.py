"""The public names as a user's program uses them. Type checkers read this file; nothing runs it.

`nox -s types` checks it with mypy and basedpyright. A change here is a change of the public API.
"""

# pyright: strict, reportUnusedCallResult=false, reportExplicitAny=false
# ruff: noqa: TC001, TC003  # a user imports as is plain

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

from ccv2_async import (
    ActivityPoller,
    BulkPoller,
    BulkProgress,
    BulkState,
    BulkUpload,
    ConstantContact,
    ConstantContactError,
    Event,
    FileProgress,
    FileToUpload,
    Lane,
    Listing,
    OAuthFlow,
    Poller,
    Progress,
    ResponseInfo,
    State,
    Timeouts,
    Update,
    UploadPoller,
    UploadResult,
    errors,
    models,
    new_state,
    verify_webhook,
)
from ccv2_async.observe import CallEnded, CallRetried, CallSent
from ccv2_async.sandbox import Sandbox


async def opening_a_client(key: str, token: str) -> None:
    async def fresh_token() -> str:
        return "token"

    cc = ConstantContact(
        api_key=key,
        access_token=token,
        per_second=4.0,
        per_day=None,
        timeouts=Timeouts(connect=5.0),
        refresh_token=fresh_token,
        on_event=print,
    )
    await cc.open()
    await cc.aclose()
    async with ConstantContact.from_env(per_second=2) as opened:
        assert_type(opened, ConstantContact)
        assert_type(opened.remaining_today, int | None)
        assert_type(opened.with_options(lane=Lane.BULK, deadline=5), ConstantContact)
        with opened.responses() as seen:
            assert_type(seen, list[ResponseInfo])
        with opened.deadline(30):
            assert_type(await opened.account.info(), models.AccountInfo)


async def one_upload(cc: ConstantContact, path: Path) -> None:
    def on_progress(progress: Progress) -> None:
        assert_type(progress.sent, int)

    file = await cc.library.upload(path, folder_id="7", on_progress=on_progress)
    assert_type(file, models.LibraryFile)
    assert_type(file.id, str)
    assert_type(file.url, str | None)

    poller = await cc.library.begin_upload(b"...", name="menu.pdf", lane=Lane.BULK)
    assert_type(poller, UploadPoller)
    async for update in poller:
        assert_type(update, Update)
        assert_type(update.status, str | None)
        assert_type(update.state, State)
    assert_type(await poller, models.LibraryFile)
    assert_type(await poller.wait(timeout=60), models.LibraryFile)
    assert_type(await poller.poll_once(), Update | None)
    assert_type(poller.done, bool)
    assert_type(poller.duplicates, tuple[str, ...])
    assert_type(poller.token(), str)


async def resuming(cc: ConstantContact, token: str) -> None:
    either = cc.resume(token)
    assert_type(either, UploadPoller | ActivityPoller)
    assert_type(await either, models.LibraryFile | models.Activity)
    assert_type(await cc.resume_upload(token), models.LibraryFile)
    assert_type(await cc.resume_activity("a07e1"), models.Activity)
    assert_type(await cc.sweep([token]), dict[str, Update | None])
    swept = await cc.sweep([token], return_errors=True)
    assert_type(swept, dict[str, Update | errors.TokenError | None])


async def several_pollers(cc: ConstantContact, paths: Sequence[Path]) -> None:
    pollers = [await cc.library.begin_upload(path) for path in paths]
    async for ended in cc.as_completed(pollers):
        assert_type(ended, UploadPoller)
    assert_type(await cc.wait_all(pollers), list[models.LibraryFile])
    settled = await cc.wait_all(pollers, return_errors=True)
    assert_type(settled, list[models.LibraryFile | errors.ConstantContactError])


async def waiting_for_any_job(poller: Poller[models.LibraryFile]) -> models.LibraryFile:
    return await poller


async def listings(cc: ConstantContact) -> None:
    files = cc.library.files(type="IMAGES", limit=100)
    assert_type(files, Listing[models.LibraryFile])
    async for row in files:
        assert_type(row, models.LibraryFile)
    async for page in files.pages():
        assert_type(page, list[models.LibraryFile])
    assert_type(await files.first(), models.LibraryFile | None)
    assert_type(await files.collect(limit=10), list[models.LibraryFile])
    assert_type(files.skipped, int)
    assert_type(await cc.lists.all(on_bad_row="skip"), list[models.ContactList])


async def contacts(cc: ConstantContact) -> None:
    contact = await cc.contacts.upsert("ann@example.com", lists=["1"], first_name="Ann")
    assert_type(contact, models.Contact)
    assert_type(contact.to_dict(), dict[str, Any])
    assert_type(contact.to_json(), str)
    assert_type(models.Contact.from_dict({"id": "1"}), models.Contact)
    written = models.Contact("1", lists=["2"], email_addresses=[models.EmailAddress("a@b.c")])
    assert_type(written.lists, tuple[models.ContactListRef, ...])
    created = await cc.lists.create("Regulars", status=models.ContactListStatus.HIDDEN)
    assert_type(created, models.ContactList)
    assert_type(await cc.lists.update(created.id, name="Guests"), models.ContactList)
    await cc.lists.delete(created.id)

    bulk = await cc.activities.begin_add_contacts(
        [models.ImportData(["bo@example.com"])], lists=["1"]
    )
    assert_type(bulk, BulkPoller)
    rows = csv.DictReader(["email,first name", "bo@example.com,Bo"])
    assert_type(await cc.activities.add_contacts(rows, lists=["1"]), models.Activity)
    assert_type(await cc.activities.clear_lists(["1"]), models.Activity)


async def many_uploads(cc: ConstantContact) -> None:
    def on_progress(progress: BulkProgress) -> None:
        assert_type(progress.seconds_left, float | None)

    def on_file(progress: FileProgress) -> None:
        assert_type(progress.state, BulkState)

    upload = cc.upload_many(
        ["pictures/", Path("menu.pdf"), FileToUpload("logo.png", folder_id="7")],
        keep_folders=True,
        journal="upload.db",
        on_progress=on_progress,
        on_file=on_file,
    )
    assert_type(upload, BulkUpload)
    async for done in upload:
        assert_type(done, UploadResult)
        assert_type(done.state, BulkState)
        assert_type(done.error, ConstantContactError | None)
    assert_type(upload.progress, BulkProgress)


async def handling_errors(cc: ConstantContact) -> None:
    try:
        await cc.library.upload("menu.pdf")
    except errors.AmbiguousUpload as error:
        assert_type(error.candidates, tuple[str, ...])
        assert_type(error.sends, int)
    except errors.DailyQuotaExceeded as error:
        assert_type(error.resets_at, datetime)
    except errors.VirusFound as error:
        assert_type(error.status, str | None)
        assert_type(error.token, str)
    except errors.APIError as error:
        assert_type(error.error_key, str)
        assert_type(error.errors, tuple[tuple[str, str], ...])
    except ConstantContactError as error:
        assert_type(error.message, str)
        assert_type(error.safe_to_retry, bool)


def observing(event: Event) -> None:
    match event:
        case CallSent():
            assert_type(event.attempt, int)
        case CallEnded():
            assert_type(event.status, int | None)
        case _:
            assert_type(isinstance(event, CallRetried), bool)


async def signing_in(flow: OAuthFlow, redirect: dict[str, str | None]) -> str:
    state = new_state()
    assert_type(flow.authorize_url(state=state), str)
    token = await flow.exchange_code(redirect, state=state)
    return token.access_token


def receiving_a_webhook(body: bytes, signature: str | None) -> None:
    assert_type(verify_webhook(body, signature, "secret"), bool)


async def the_sandbox() -> None:
    async with Sandbox(mode="looks", looks=2) as sandbox:
        sandbox.admin.fault("lose_response", "POST", "/library/files", times=1)
        async with ConstantContact(**sandbox.client_options()) as cc:
            await cc.library.upload(b"...", name="menu.pdf")
        assert_type(sandbox.admin.files(), list[dict[str, Any]])
        sandbox.admin.assert_faults_struck()
    with Sandbox() as threaded:
        assert_type(threaded.base_url, str)


async def test_of_a_user(ccv2_sandbox: Sandbox, ccv2_client: ConstantContact) -> None:
    folder = await ccv2_client.library.create_folder("Menus")
    assert_type(folder, models.LibraryFolder)
    ccv2_sandbox.admin.advance(60)
