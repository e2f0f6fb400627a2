"""Make names from the service safe to use on any disk, and keep equal ones apart.

The service accepts names that a file system refuses or cannot tell apart: `a/b.png`, `..`,
`CON.txt`, or `A.png` next to `a.png`. The rules here are those of the strictest systems in use, so
that a directory that was written on one machine can be copied to another.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from itertools import chain, count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_BYTES = 255
"""The longest name that common file systems accept, in UTF-8."""

_CODING = sys.getfilesystemencoding()  # not UTF-8 in some locales
_LONGEST_EXTENSION = 16
_LONGEST_ID = 64
# Windows refuses the punctuation. Surrogates cannot be encoded. The marks that change the direction
# of text could disguise an extension.
_UNSAFE = re.compile(
    '[<>:"/\\\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]'
)
_UNSAFE_IN_ID = re.compile(r"[^A-Za-z0-9_-]")
_DEVICE = re.compile(
    r"(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE
)
_TRAILING = re.compile(r"[. ]+$")


def folded(name: str) -> str:
    """Return a key that is equal for names that some file system treats as the same."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).upper().casefold())


class SafeNames:
    """The names in one directory. Every file system can tell them apart.

    Args:
        taken: Names that are already in the directory.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {folded(name) for name in taken}
        self._next: dict[str, int] = {}  # saves trying every number again

    def choose(self, name: str, id_: str) -> str:
        """Return a name that is free and that every common file system accepts, and take it.

        A free, safe name is returned unchanged. Characters that are not safe become underscores. A
        name of a device, such as `CON`, gets an underscore in front. The name is never hidden and
        has at most `MOST_BYTES`; a name that is too long keeps its extension. If the name is taken,
        ` (ID)` is put before the extension.

        Args:
            name: The name in the library.
            id_: The ID of the file or folder.
        """
        plain = _plain(name)
        shown_id = _UNSAFE_IN_ID.sub("_", id_)[:_LONGEST_ID]
        for number in chain((0, 1), count(self._next.get(shown_id, 2))):
            suffix = ("", f" ({shown_id})")[number] if number < 2 else f" ({shown_id} {number})"
            chosen = _fitted(plain, suffix)
            key = folded(chosen)
            if key not in self._taken:
                break
        if number > 1:
            self._next[shown_id] = number + 1
        self._taken.add(key)
        return chosen


def _plain(name: str) -> str:
    """Return the name with underscores in place of what is not safe or cannot be encoded."""
    composed = unicodedata.normalize("NFC", name)
    return _UNSAFE.sub("_", composed.encode(_CODING, "replace").decode(_CODING))


def _fitted(name: str, suffix: str) -> str:
    """Return the name with a suffix before its extension, cut to the maximum length."""
    if _DEVICE.match(name):
        name = f"_{name}"
    if not name or name.startswith("."):
        name = f"_{name[1:]}"
    name = _TRAILING.sub(lambda found: "_" * len(found[0]), name)
    stem, dot, ending = name.rpartition(".")
    extension = dot + ending
    if not stem or len(extension.encode()) > _LONGEST_EXTENSION:
        stem, extension = name, ""
    room = MOST_BYTES - len((suffix + extension).encode())
    stem = stem.encode()[:room].decode(errors="ignore")
    if not suffix + extension:
        stem = _TRAILING.sub(lambda found: "_" * len(found[0]), stem)
    return stem + suffix + extension
