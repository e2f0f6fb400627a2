"""The tasks, as the queue knows them: plain functions with plain JSON for arguments and results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from taskiq import AsyncBroker, AsyncTaskiqDecoratedTask

Answer: TypeAlias = dict[str, Any]
"""What a task returns: for a job see `JobRecord.answer`, for a round see `Round`."""


class Work(Protocol):
    """What the tasks do."""

    async def upload(
        self, path: str, folder_id: str, name: str | None, description: str, key: str | None
    ) -> Answer:
        """Upload a file, unless that was done."""
        ...

    async def start_activity(self, activity: str, arguments: dict[str, Any], key: str) -> Answer:
        """Start a bulk activity, unless that was done."""
        ...

    async def sweep(self) -> Answer:
        """Look after all open jobs once."""
        ...


@attrs.frozen
class Tasks:
    """The registered tasks; each is put into the queue by its `kiq`.

    Attributes:
        upload: `kiq(path, folder_id="0", name=None, description="", key=None)`.
        start_activity: `kiq(activity, arguments, key)`.
        sweep: `kiq()`.
    """

    upload: AsyncTaskiqDecoratedTask[..., Coroutine[Any, Any, Answer]]
    start_activity: AsyncTaskiqDecoratedTask[..., Coroutine[Any, Any, Answer]]
    sweep: AsyncTaskiqDecoratedTask[..., Coroutine[Any, Any, Answer]]


def register(broker: AsyncBroker, work: Work) -> Tasks:
    """The tasks of a broker. It renames the functions that it is given, so they are made here."""

    # The queue reads these annotations when a message comes in: they name builtins only.
    async def upload(
        path: str,
        folder_id: str = "0",
        name: str | None = None,
        description: str = "",
        key: str | None = None,
    ) -> dict[str, Any]:
        """Upload a file; returns its token when the service has accepted it."""
        return await work.upload(path, folder_id, name, description, key)

    async def start_activity(activity: str, arguments: dict[str, Any], key: str) -> dict[str, Any]:
        """Start a bulk activity; returns its tokens when the service has accepted it."""
        return await work.start_activity(activity, arguments, key)

    async def sweep() -> dict[str, Any]:
        """Look after all open jobs once; does nothing while another worker is at it."""
        return await work.sweep()

    return Tasks(
        broker.register_task(upload, "ccv2_async:upload"),
        broker.register_task(start_activity, "ccv2_async:start_activity"),
        broker.register_task(sweep, "ccv2_async:sweep"),
    )
