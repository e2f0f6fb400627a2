"""A value that stays hidden, such as an API key or an access token."""

from __future__ import annotations

from typing import Generic, NoReturn, Self, TypeVar

T = TypeVar("T")

HIDDEN = "[hidden]"


class Secret(Generic[T]):
    """Hold a value that logs, tracebacks, debuggers, and copies do not show.

    `repr` and `str` return `Secret('[hidden]')`. A copy is the same object, and it cannot be
    pickled. It can equal another `Secret`, but never the bare value.

    Args:
        value: The value. A `Secret` is not wrapped again.
    """

    __slots__ = ("_open",)

    def __init__(self, value: T | Secret[T]) -> None:
        # A closure: debuggers and error trackers show private attributes too.
        self._open = value.reveal if isinstance(value, Secret) else lambda: value

    def reveal(self) -> T:
        """Return the value. Do not keep it in a local variable, which tracebacks may show."""
        return self._open()

    def __repr__(self) -> str:
        return f"Secret({HIDDEN!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A Secret cannot be pickled.")
