"""A page of a listing."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen(weakref_slot=False)
class Page(Generic[T]):
    """One page: its rows, and the link to the next page.

    Source: paginated-output.

    Attributes:
        results: The rows, in the order of the answer. A page may hold a row more than was asked.
        next_link: The path and cursor of the next page as the service wrote them; None on the
            last one. Take only its cursor: the path may be another resource's.
    """

    results: list[T] = attrs.field(factory=list)
    next_link: str | None = None
