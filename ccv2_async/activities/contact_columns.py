"""The columns that bulk imports and exports of contacts know. Pure.

Source: `column_names` of the "Import contacts" page of the service's documentation; the names of
the address column as its pages and samples write it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_EMAIL = frozenset({"EMAIL", "EMAIL ADDRESS", "E-MAIL", "E-MAIL ADDRESS", "EMAILADDRESS"})
_KNOWN = _EMAIL | {
    "FIRST NAME",
    "MIDDLE NAME",
    "LAST NAME",
    "BIRTHDAY_DAY",
    "BIRTHDAY_MONTH",
    "ANNIVERSARY",
    "JOB TITLE",
    "COMPANY",
    "COMPANY NAME",
    "WORK PHONE",
    "HOME PHONE",
    "ADDRESS LINE",
    *(f"ADDRESS LINE {number}" for number in range(1, 4)),
    "CITY",
    "STATE",
    "US STATE/CA PROVINCE",
    "COUNTRY",
    "ZIP/POSTAL CODE",
    "SUB ZIP/POSTAL CODE",
    *(f"CUSTOM FIELD {number}" for number in range(1, 16)),
    *(f"CUSTOM_FIELD_{number}" for number in range(1, 16)),
}


def is_known(column: str) -> bool:
    """Return whether the service knows a column; case and spacing do not matter."""
    return re.sub(r"\s+", " ", column.strip()).upper() in _KNOWN


def unknown_columns(columns: Iterable[str]) -> list[str]:
    """Return the columns that the service does not know; a column without a name by its number."""
    return [
        column.strip() or f"column {number}, which has no name"
        for number, column in enumerate(columns, 1)
        if not is_known(column)
    ]
