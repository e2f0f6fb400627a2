"""The rows that failed in an activity, in both of the forms the service gives them. Pure.

Newer answers say `"Line 2: ..."`, older ones are objects of message, line number and address. The
line is one of the file that was sent. Where a file was split, lines are counted within a part, and
are mapped here to the lines of the whole.
"""

from __future__ import annotations

import re

import attrs

from ccv2_async.models.activities import ActivityError

_LINE = re.compile(r"(\s*line\s+)(\d{1,9})\b\s*:?\s*", re.IGNORECASE)


@attrs.frozen
class Lines:
    """Where the lines of one part stand in the whole.

    Attributes:
        header: How many lines of the part repeat the header of the whole.
        first: The line of the whole that is the part's first one after them, from 1.
    """

    header: int = 0
    first: int = 1

    def original(self, line: int) -> int:
        """Return the line of the whole for a line of the part; 0, which is "unknown", stays 0."""
        return line if line <= self.header else line - self.header + self.first - 1


def moved(error: ActivityError | str, lines: Lines) -> ActivityError | str:
    """Return an error in the same form, with the line of the whole."""
    if isinstance(error, ActivityError):
        if not error.line_number:
            return error
        return attrs.evolve(error, line_number=lines.original(error.line_number))
    found = _LINE.match(error)
    if not found:
        return error
    return f"{found[1]}{lines.original(int(found[2]))}{error[found.end(2) :]}"


def row_error(error: ActivityError | str) -> ActivityError:
    """Return an error in either form as an object; the line is 0 if the text does not name one."""
    if isinstance(error, ActivityError):
        return error
    found = _LINE.match(error)
    if not found:
        return ActivityError(message=error, line_number=0)
    return ActivityError(message=error[found.end() :], line_number=int(found[2]))
