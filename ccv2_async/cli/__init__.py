"""The `ccv2` command. It imports its parts when it runs, so that it can report a missing extra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccv2_async.cli import process

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = frozenset({"cyclopts", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command once and return its exit code; `exits` has the table.

    Args:
        arguments: The command line without the program's name; by default the process's own.
    """
    if arguments is not None:
        return _run(arguments)
    process.occupy_standard_streams()
    process.end_quietly_on_signals()
    code = _run(None)
    process.end_at_once_on_signals(code)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        from ccv2_async.cli.app import run  # noqa: PLC0415  # needs the extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        process.write_error("The ccv2 command needs an extra: pip install 'ccv2-async[cli]'")
        return 2
    return int(run(arguments))
