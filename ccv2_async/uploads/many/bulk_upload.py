"""`upload_many`: files of any number, a few of them being sent at any time, results as they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ccv2_async import errors
from ccv2_async.uploads.many.items import checked_items
from ccv2_async.uploads.many.options import Options, Surroundings
from ccv2_async.uploads.many.results import BulkProgress
from ccv2_async.uploads.many.run import Run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ccv2_async.uploads.many.items import Items
    from ccv2_async.uploads.many.results import UploadResult

__all__ = ["BulkUpload", "Options", "Surroundings"]


class BulkUpload:
    """The results of a bulk upload, as its files end: iterate over it once, with `async for`.

    Files are only sent while it is iterated. Leaving the loop early ends it in good order: what
    was being sent is broken off and stands in the journal, what was accepted keeps its token there.
    """

    def __init__(self, surroundings: Surroundings, items: Items, options: Options) -> None:
        self._surroundings = surroundings
        self._items = checked_items(items)
        self._options = options
        self._run: Run | None = None

    @property
    def progress(self) -> BulkProgress:
        """Where it stands."""
        return self._run.progress if self._run is not None else BulkProgress()

    if not TYPE_CHECKING:  # a type checker refuses to await it by itself

        def __await__(self) -> NoReturn:
            """Refuse to be awaited, and say what to do instead.

            Raises:
                UsageError: Always. Nothing was sent.
            """
            raise errors.UsageError(
                "A bulk upload is not awaited. Write `async for result in upload_many(...)`. "
                "Nothing was sent."
            )

    def __aiter__(self) -> AsyncGenerator[UploadResult, None]:
        """Each file's result.

        Raises:
            UsageError: The journal cannot be used, or the upload was iterated before.
            DailyQuotaExceeded: The day's calls are used up; with a journal, the same call goes on
                where it stopped.
            ConstantContactError: An error that concerns every file, such as a refused key. With
                `fail_fast`, the error of the first file that failed, after its own result and
                those of the files that were just being sent.
        """
        if self._run is not None:
            raise errors.UsageError("A bulk upload is iterated once; start another.")
        self._run = Run(self._surroundings, self._items, self._options)
        return self._run.results()
