"""The `ccv2` command. Its parts are imported when it runs, so that a missing extra can be told."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = frozenset({"cyclopts", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of one run of the command; `exits` has the table.

    Args:
        arguments: The command line without the program's name; the process's own unless given.
    """
    try:
        from ccv2_async.cli.app import run  # noqa: PLC0415  # needs the extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(
            "The ccv2 command needs parts that are not installed: pip install 'ccv2-async[cli]'\n"
        )
        return 2
    return int(run(arguments))
