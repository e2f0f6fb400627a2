"""The jobs of one run: the state of each, and the wait for its end.

Every command that starts or follows jobs makes `JobItem`s, hands them to a display, and lets
`follow` do the waiting; all of them share the client's one poller.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import attrs

from ccv2_async import BulkPoller, BulkState, errors
from ccv2_async.cli.exits import Exit, exit_of_item, heaviest
from ccv2_async.cli.output import OutputClosedError
from ccv2_async.cli.tables import counted
from ccv2_async.models import Activity

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Coroutine, Iterable, Iterator

    from ccv2_async import ActivityPoller, FileProgress, UploadPoller
    from ccv2_async.cli.service import Run

    AnyPoller: TypeAlias = UploadPoller | ActivityPoller

_BEFORE_ANSWER = (BulkState.PENDING, BulkState.SENDING, BulkState.AMBIGUOUS)


@attrs.define(eq=False)
class JobItem:
    """One job, from before it is sent until it has ended.

    Attributes:
        label: Its name in messages: the path, or the token.
        size: Bytes to be sent; 0 if there are none.
        id: The service's ID; "" before it has one.
        state: Its state, as in the ledger of uploads.
        sent: Bytes sent in this attempt.
        attempt: The number of the attempt to send it; 0 before the first.
        began: The time when that attempt began, on the monotonic clock.
        status: The last status from the service, or None.
        poller: Its poller, once the service has accepted it.
        result: Its result.
        error: The error that ended it, or None.
        earlier: Whether it was settled before this run: by an earlier run, or found in its folder.
        existing: Whether it was found in its folder.
        duplicates: IDs of extra copies that a lost response has left in its folder.
        verb: Its state in a word while its bytes are on their way.
    """

    label: str
    size: int = 0
    id: str = ""
    state: BulkState = BulkState.PENDING
    sent: int = 0
    attempt: int = 0
    began: float = 0.0
    status: str | None = None
    poller: AnyPoller | None = None
    result: Any = None
    error: errors.ConstantContactError | None = None
    earlier: bool = False
    existing: bool = False
    duplicates: tuple[str, ...] = ()
    verb: str = BulkState.SENDING.value

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return self.state in (BulkState.FAILED, BulkState.AMBIGUOUS)

    @property
    def ended(self) -> bool:
        """Whether it has ended in this run, successfully or not."""
        return self.failed or self.state is BulkState.DONE

    @property
    def continues(self) -> bool:
        """Whether the service is still processing it, as far as is known."""
        return self.state is not BulkState.DONE and self.poller is not None and not self.poller.done

    @property
    def wholly_sent(self) -> bool:
        """Whether all of it was sent in this attempt."""
        return self.attempt > 0 and self.sent >= self.size

    @property
    def word(self) -> str:
        """Its state in a word or two: the ledger's, or the service's once that is known."""
        if self.state is BulkState.SENDING:
            again = "retrying" if self.attempt else BulkState.PENDING.value
            return self.verb if self.attempt == 1 else again
        return (self.state not in _BEFORE_ANSWER and self.status) or self.state.value

    @property
    def tokens(self) -> list[str]:
        """The resume tokens of its jobs; a call that was split has one for each part."""
        if isinstance(self.poller, BulkPoller):
            return self.poller.tokens()
        return [self.poller.token()] if self.poller else []

    @property
    def activity(self) -> Activity | None:
        """The bulk activity as last read, even if it failed."""
        found = getattr(self.error, "activity", None) or self.result
        return found if isinstance(found, Activity) else None

    @property
    def failed_rows(self) -> int:
        """Rows of a bulk activity that failed, whether the activity itself went well or not."""
        return self.activity.failed_rows if self.activity else 0

    def accept(self, poller: AnyPoller) -> Self:
        """Note that the service has accepted it, and return it."""
        self.poller, self.id, self.status = poller, poller.id, poller.status
        self.state = BulkState.ACCEPTED
        return self

    def take(self, event: FileProgress) -> bool:
        """Note one step of its upload; return whether the step is worth showing."""
        if event.state is BulkState.ACCEPTED:
            self.state, self.status = event.state, event.status
            return True
        if event.state is BulkState.PENDING:
            self.state = event.state
            return False
        self.sent = event.sent
        if self.state is not BulkState.PENDING and event.attempt == self.attempt:
            return False
        self.state, self.attempt = BulkState.SENDING, event.attempt
        self.began = time.monotonic()
        return True

    def fail(self, error: errors.ConstantContactError) -> None:
        """Note that it ended with an error."""
        self.error = error
        unknown = isinstance(error, errors.OutcomeUnknown)
        self.state = BulkState.AMBIGUOUS if unknown else BulkState.FAILED


class Display(Protocol):
    """Shows the jobs of a run while it lasts; see `live`."""

    def changed(self, item: JobItem) -> None:
        """An item has changed its state or status."""

    def stop(self) -> None:
        """Stop using the terminal. Calling it again has no effect."""


async def follow(item: JobItem, display: Display) -> None:
    """Wait until the item's job has ended, and store its result or its error in the item.

    Args:
        item: A job that the service has accepted.
        display: The display that shows it.
    """
    poller = item.poller
    assert poller is not None, item.label  # noqa: S101  # only accepted items are followed
    display.changed(item)
    try:
        async for update in poller:
            item.status = update.status
            if not update.is_final:
                display.changed(item)
        item.result = await poller
        item.state = BulkState.DONE
    except errors.ConstantContactError as error:
        item.status = poller.status
        item.fail(error)
    display.changed(item)


async def all_of(
    works: Iterable[Coroutine[Any, Any, None]], *, interrupted: Callable[[], None]
) -> None:
    """Run coroutines concurrently. If one raises or the wait is cancelled, cancel the others.

    Args:
        works: The coroutines.
        interrupted: Called when the wait is cancelled or nobody reads its results anymore, before
            anything is closed: closing may take a while, and the user's information must not wait
            for it.
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


def good_states(*, waited: bool) -> tuple[BulkState, ...]:
    """Return the states of the items that succeeded, if the run has waited for their end or not."""
    return (BulkState.DONE,) if waited else (BulkState.DONE, BulkState.ACCEPTED)


def exit_of_items(items: Iterable[JobItem], good: Container[BulkState] = (BulkState.DONE,)) -> Exit:
    """Return the exit code of a run.

    Args:
        items: The jobs of the run.
        good: The states in which the run is done with an item.
    """
    return heaviest(code for item in items for code in _codes_of(item, good))


def _codes_of(item: JobItem, good: Container[BulkState]) -> Iterator[Exit]:
    if item.error is not None:
        yield exit_of_item(item.error)
    elif item.state not in good or item.failed_rows:
        yield Exit.SOME_FAILED


def report_unfinished(items: Iterable[JobItem], run: Run) -> None:
    """Print the tokens of jobs that continue on the server after this run."""
    if not (open_items := [item for item in items if item.continues]):
        return
    jobs = counted(len(open_items), "job")
    output = run.output
    if run.sandbox:
        output.say(f"The sandbox has stopped, so {jobs} will not finish.")
        return
    output.say(
        f"{jobs} of this run {'continues' if len(open_items) == 1 else 'continue'} on the "
        "server. To keep waiting, run 'ccv2 poll', paste these lines, and press Ctrl-D:"
    )
    for item in open_items:
        for token in item.tokens:
            output.say(f"  {token}  {item.label}")
