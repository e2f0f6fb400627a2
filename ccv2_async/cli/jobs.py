"""Jobs of one run: where each stands, and how it is followed to its end.

Every command that starts or follows jobs makes `JobItem`s, hands them to a display, and lets
`follow` do the waiting; all of them share the client's one sweep.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from ccv2_async import errors
from ccv2_async.activities.split import BulkPoller
from ccv2_async.cli.exits import Exit, exit_of_item, heaviest
from ccv2_async.cli.output import OutputClosedError
from ccv2_async.models import Activity
from ccv2_async.polling.job import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Coroutine, Iterable, Iterator

    from ccv2_async.cli.output import Output
    from ccv2_async.polling.poller import ActivityPoller, UploadPoller

__all__ = [
    "Display",
    "JobItem",
    "Stage",
    "all_of",
    "counted",
    "exit_of_items",
    "follow",
    "follow_all",
    "tell_unfinished",
]


class Stage(Enum):
    """Where an item stands.

    ::

        WAITING ──> SENDING ──> AT_SERVICE ──> DONE
           └───────────┴────────────┴────────> FAILED
    """

    WAITING = "waiting"
    SENDING = "sending"
    AT_SERVICE = "at the service"
    DONE = "done"
    FAILED = "failed"


@attrs.define(eq=False)
class JobItem:
    """One job, from before it is sent until it has ended.

    Attributes:
        label: What messages call it: the path, or the token.
        size: Bytes to be sent; 0 where nothing is.
        id: The service's id; "" before it has one.
        stage: Where it stands.
        sent: Bytes sent in this attempt.
        attempt: Which attempt at sending it is; 0 before the first.
        began: When that began, on the monotonic clock.
        status: The service's last word, or None.
        poller: What follows it, once the service has accepted it.
        result: What it gave.
        error: Why it failed.
        earlier: Whether it was settled before this run: by an earlier one, or found in its folder.
        existing: Whether it was found in its folder.
        duplicates: Ids of further copies that a lost answer has left in its folder.
    """

    label: str
    size: int = 0
    id: str = ""
    stage: Stage = Stage.WAITING
    sent: int = 0
    attempt: int = 0
    began: float = 0.0
    status: str | None = None
    poller: UploadPoller | ActivityPoller | None = None
    result: Any = None
    error: errors.ConstantContactError | None = None
    earlier: bool = False
    existing: bool = False
    duplicates: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it in this run."""
        return self.stage in (Stage.DONE, Stage.FAILED)

    @property
    def goes_on(self) -> bool:
        """Whether the service is still at work on it, as far as is known."""
        return self.stage is not Stage.DONE and self.poller is not None and not self.poller.done

    @property
    def wholly_sent(self) -> bool:
        """Whether all of it has gone, in this attempt."""
        return self.attempt > 0 and self.sent >= self.size

    @property
    def word(self) -> str:
        """Its state in a word or two."""
        if isinstance(self.error, errors.OutcomeUnknown):
            return "uncertain"
        match self.stage:
            case Stage.SENDING:
                return self._sending_word
            case Stage.AT_SERVICE:
                return self.status or "accepted"
            case Stage.FAILED:
                return self.status or ("not sent" if self.poller is None else "unknown")
        return self.status or self.stage.value

    @property
    def _sending_word(self) -> str:
        if self.attempt == 0:
            return "waiting"
        if self.wholly_sent:
            return "sent"
        return "sending" if self.attempt == 1 else "sending again"

    @property
    def tokens(self) -> list[str]:
        """What its jobs are resumed by; a call that was split has a token for each part."""
        if self.poller is None:
            return []
        return (
            self.poller.tokens() if isinstance(self.poller, BulkPoller) else [self.poller.token()]
        )

    @property
    def failed_rows(self) -> int:
        """Rows of a bulk activity that failed, although the activity itself went well."""
        return self.result.failed_rows if isinstance(self.result, Activity) else 0

    def fail(self, error: errors.ConstantContactError) -> None:
        """Take note that it ended with an error."""
        self.error = error
        self.stage = Stage.FAILED


class Display(Protocol):
    """What shows the items of a run while it lasts; see `live`."""

    def changed(self, item: JobItem) -> None:
        """An item has changed its stage or status."""
        ...

    def stop(self) -> None:
        """Leave the terminal to others. Doing it again changes nothing."""
        ...


async def follow(
    item: JobItem,
    display: Display,
    *,
    result_of: Callable[[Any], Awaitable[Any]] | None = None,
) -> None:
    """Wait until the item's job has ended; its result or its error is in the item then.

    Args:
        item: What the service has accepted.
        display: What shows it.
        result_of: Gives the result of a poller whose job has succeeded; the poller itself does
            unless given.
    """
    poller = item.poller
    assert poller is not None, item.label  # noqa: S101  # whoever follows it was told that it is there
    try:
        async for update in poller:
            item.status = update.status
            if not update.is_final:
                display.changed(item)
        succeeded = poller.state is State.SUCCEEDED
        item.result = await (result_of(poller) if succeeded and result_of else poller)
        item.stage = Stage.DONE
    except errors.ConstantContactError as error:
        item.status = poller.status
        item.fail(error)
    display.changed(item)


async def follow_all(
    items: Iterable[JobItem],
    display: Display,
    *,
    told: Callable[[JobItem], None],
    interrupted: Callable[[], None],
) -> None:
    """Wait until all these jobs have ended, through the one sweep of their client.

    Args:
        items: Jobs that the service has accepted.
        display: What shows them.
        told: Called with each that has ended, as soon as it has.
        interrupted: Called when the wait ends before its time, before anything is closed.
    """

    async def one(item: JobItem) -> None:
        display.changed(item)
        await follow(item, display)
        told(item)

    await all_of((one(item) for item in items), interrupted=interrupted)


async def all_of(
    works: Iterable[Coroutine[Any, Any, None]], *, interrupted: Callable[[], None]
) -> None:
    """Carry out all works at once; when one raises or the wait is cancelled, none is left behind.

    Args:
        works: What is to be done.
        interrupted: Called when the wait is cancelled or nobody reads its results any more,
            before anything is closed: that may take a while, and what the user has to know must
            not wait for it.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        if tasks:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
    except (asyncio.CancelledError, OutputClosedError):
        interrupted()
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def exit_of_items(items: Iterable[JobItem], good: Container[Stage] = (Stage.DONE,)) -> Exit:
    """Return the exit code of a run.

    Args:
        items: What was in the run.
        good: The stages in which an item has got as far as the run was to take it.
    """
    return heaviest(code for item in items for code in _codes_of(item, good))


def _codes_of(item: JobItem, good: Container[Stage]) -> Iterator[Exit]:
    if item.error is not None:
        yield exit_of_item(item.error)
    elif item.stage not in good:
        yield Exit.SOME_FAILED
    if item.failed_rows:
        yield Exit.SOME_FAILED


def tell_unfinished(items: Iterable[JobItem], output: Output, *, sandbox: bool) -> None:
    """Print the tokens of jobs that go on at the service without this run."""
    open_items = [item for item in items if item.goes_on]
    if not open_items:
        return
    if sandbox:
        output.say(f"The sandbox has ended, and {counted(len(open_items), 'job')} with it.")
        return
    output.say(
        f"{counted(len(open_items), 'job')} of this run "
        f"{'goes' if len(open_items) == 1 else 'go'} on at the service. "
        "To go on waiting, run 'ccv2 poll', paste these lines, and press Ctrl-D:"
    )
    for item in open_items:
        for token in item.tokens:
            output.say(f"  {token}  {item.label}")


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: 1 file, 2 files."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
