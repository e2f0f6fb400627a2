"""The result of a measurement: series of figures, cases of two series, and the plan."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@attrs.frozen
class Series:
    """The same figure, measured several times."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)


@attrs.frozen
class Case:
    """Ours and one peer. `skipped` says why there are no figures."""

    name: str
    ours: Series = Series(())
    peer: Series | None = None
    peer_name: str = ""
    skipped: str = ""

    @property
    def ratio(self) -> float | None:
        """The ratio of our median to the peer's."""
        if self.skipped or self.peer is None or not self.peer.median:
            return None
        return self.ours.median / self.peer.median


@attrs.frozen
class Plan:
    """How thoroughly to measure, where to write files, and how to report progress."""

    quick: bool
    directory: Path
    tell: Callable[[str], None]

    def either(self, quick: int, full: int) -> int:
        """Return the amount for this run."""
        return quick if self.quick else full
