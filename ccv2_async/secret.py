"""Values that stay hidden, such as an API key, an access token, or a password."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Generic, NoReturn, ParamSpec, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
P = ParamSpec("P")

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


def without_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that takes or finds secrets: its errors show none of its variables.

    Debuggers and error trackers show the local variables of a traceback, and those of its causes.
    """

    @functools.wraps(function)
    def hiding(*given: P.args, **named: P.kwargs) -> T:
        try:
            return function(*given, **named)
        except Exception as error:  # noqa: BLE001  # raised below
            failure = error.with_traceback(None)
        failure.__cause__ = failure.__context__ = None
        del given, named
        raise failure

    return hiding
