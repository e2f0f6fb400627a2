"""Everything that a value or an exception reveals to logs, debuggers, and error trackers."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from rich import inspect
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from tests.support.probes import chained

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = str(Path(__file__).parents[1])


def shown(value: object, depth: int = 3) -> Iterator[str]:
    """Yield the texts that a value, and what it holds, can be shown as."""
    yield repr(value)
    yield str(value)
    yield f"{value!a} {pretty_repr(value, max_string=None)}"
    if attrs.has(type(value)) and not isinstance(value, type):
        plain: Any = value
        yield json.dumps(attrs.asdict(plain), default=repr)
    if depth:
        held = list(getattr(value, "__dict__", {}).values())
        if attrs.has(type(value)) and not isinstance(value, type):
            kind: Any = type(value)
            fields = [a.name for a in attrs.fields(kind) if a.repr]
            held += [getattr(value, name, None) for name in fields]
        if isinstance(value, dict):
            held += [*value, *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            held += list(value)
        for one in held:
            yield from shown(one, depth - 1)


def inspected(value: object) -> str:
    """Return all attributes of an object, private ones and properties too, as a debugger does."""
    out = io.StringIO()
    console = Console(file=out, width=100_000, no_color=True)
    inspect(value, console=console, private=True, docs=False)
    return out.getvalue()


def copies_of(value: object) -> Iterator[str]:
    """Yield the texts of what `pickle`, `copy` and `deepcopy` make of a value, where they can."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        try:
            yield pickle.dumps(value, protocol).decode("latin-1")
        except (TypeError, AttributeError, pickle.PicklingError):
            break
    for duplicate in (copy.copy, copy.deepcopy):
        try:
            yield from shown(duplicate(value), 1)
        except TypeError:
            continue


def texts_of(error: BaseException) -> Iterator[str]:
    """Yield what an exception reveals, with the local variables of all frames except the tests'."""
    for one in chained(error):
        yield from (repr(one), str(one), repr(one.args), *one.__dict__.get("__notes__", ()))
        for value in vars(one).values():
            yield from shown(value, 1)
        yield "".join(traceback.format_exception(one))
        yield from copies_of(one)
        yield logged(one)
        yield from locals_of(one)


def logged(error: BaseException) -> str:
    """Return the log record of an exception, with its traceback and the stack."""
    info = (type(error), error, error.__traceback__)
    frames = "".join(traceback.format_stack())
    record = logging.LogRecord(
        "x", logging.ERROR, __file__, 1, "%r", (error,), info, "f", f"Stack:\n{frames}"
    )
    return logging.Formatter("%(message)s").format(record)


def locals_of(error: BaseException) -> Iterator[str]:
    """Yield the local variables of each frame, as the standard library and rich show them."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    for frame in told.stack:
        if not frame.filename.startswith(TESTS):  # the tests' own frames hold the secrets
            yield f"{frame.name}: {frame.locals}"
    rich = Traceback.from_exception(
        type(error),
        error,
        error.__traceback__,
        show_locals=True,
        locals_max_length=100,
        locals_max_string=100_000,
        locals_hide_dunder=False,
    )
    for stack in rich.trace.stacks:
        for line in stack.frames:
            if not line.filename.startswith(TESTS):
                yield f"{line.name}: {[str(node) for node in (line.locals or {}).values()]}"
