"""Every argument of every method is replaced by invalid values, one at a time."""

from __future__ import annotations

import inspect
from datetime import datetime, timedelta, timezone
from itertools import product
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async import errors, models
from ccv2_async.resources.listing import Listing
from tests.contract import samples
from tests.contract.operations import MADE_OF_OTHERS, OPERATIONS
from tests.support.probes import until
from tests.support.servers import RawServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from ccv2_async import ConstantContact
    from tests.support.servers import Wire


class Array:
    """Like an array of numpy, it compares its elements, and is neither true nor false."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> Any:
        return Array()

    def __bool__(self) -> bool:
        raise ValueError("The truth value of an array is ambiguous.")


NEVER_RIGHT: dict[str, Any] = {
    "an object": object(),
    "an array": Array(),
    "a dict": {"a": object()},
    "bytes": b"\xff",
    "a fraction": 1.5,
    "no number": float("nan"),
    "half a pair": "\ud800",
    "a list of objects": [object()],
}
"""No argument of any method takes one of these, but for those in `TAKEN`."""

SELDOM_RIGHT: dict[str, Any] = {
    "None": None,
    "zero": 0,
    "a negative number": -1,
    "a huge number": 10**5000,
    "True": True,
    "no bytes": b"",
    "no text": "",
    "a way up": "../x",
    "a path": "a/b",
    "control characters": "a\x00b\r\n",
    "a long text": "x" * 100_000,
    "no list": [],
    "a list of None": (None,),
    "infinity": float("inf"),
    "a class": int,
    "a date of long ago": datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    "a date without a zone": datetime(2026, 1, 1),  # noqa: DTZ001  # the mistake
}

TAKEN = {
    ("file", "bytes"),
    *product(
        (
            *("deadline", "outage_timeout"),
            *("fee", "price", "early_fee", "late_fee", "discount_amount"),
            *("latitude", "longitude"),
        ),
        ["a fraction"],
    ),
}


@attrs.frozen
class Sample:
    """A call of a method, not yet made."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Taker:
    """Takes the place of the client or one of its groups, and records the calls."""

    def __init__(self, name: str = "") -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if not self._name:
            return Taker(name)
        return lambda *args, **kwargs: Sample(f"{self._name}.{name}", args, kwargs)


FILE = models.LibraryFile("7", name="a.png", url="/v2/files/7.png")
EXPORT = models.Activity(
    "7", type="EXPORT_CONTACTS", status="COMPLETE", file_name="/v2/exports/7.csv"
)

OTHERS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "library.upload": ((b"%PDF",), {"name": "a.pdf"}),
    "library.update_file": (("7",), {"name": "a.pdf", "description": "x", "folder_id": "0"}),
    "library.update_folder": (("7",), {"name": "a", "parent_id": "0"}),
    "activities.add_contacts": ((["ann@example.com"],), {"lists": ["1"]}),
    "activities.remove_contacts": ((["ann@example.com"],), {"lists": ["1"]}),
    "activities.clear_lists": ((["1"],), {}),
    "activities.export_contacts": (("1",), {}),
    "library.open": ((FILE,), {}),
    "library.download": ((FILE, "here.png"), {}),
    "library.mirror": (("pictures",), {"folder_id": "0", "max_delete": 3}),
    "activities.open_export": ((EXPORT,), {}),
    "activities.download_export": ((EXPORT, "here.csv"), {}),
    "lists.update": (("7",), {"name": "x", "status": "ACTIVE"}),
    "contacts.update": (("7",), attrs.asdict(samples.new_contact("a@b.c", "1"), recurse=False)),
    "contacts.upsert": (
        ("a@b.c",),
        {
            name: value
            for name, value in attrs.asdict(
                samples.new_contact("a@b.c", "1"), recurse=False
            ).items()
            if name != "email_addresses"
        }
        | {"action_by": "ACTION_BY_OWNER"},
    ),
    "campaigns.update": (("7",), attrs.asdict(samples.new_campaign("x", "1"), recurse=False)),
    "events.update": (("7",), attrs.asdict(samples.new_event("x"), recurse=False)),
    "events.publish": (("7",), {}),
    "events.cancel": (("7",), {}),
    "events.update_fee": (("7", "8"), attrs.asdict(samples.new_fee("x"), recurse=False)),
    "events.update_item": (("7", "8"), attrs.asdict(samples.new_item("x"), recurse=False)),
    "events.update_item_attribute": (
        ("7", "8", "9"),
        attrs.asdict(samples.new_item_attribute("x"), recurse=False),
    ),
    "events.update_promocode": (
        ("7", "8"),
        attrs.asdict(samples.new_promocode("CAKE"), recurse=False),
    ),
    "account.update_info": ((), {"email": "a@b.c", "website": "https://x"}),
}


def sampled() -> dict[str, Sample]:
    at = dict.fromkeys({name for row in OPERATIONS for name in (*row.ids, *row.needs)}, "7")
    taken: dict[str, Sample] = {}
    for row in OPERATIONS:
        sample = row.sample(Taker(), at)  # type: ignore[arg-type]  # it looks like a client
        taken[row.name] = sample
    for name, (args, kwargs) in OTHERS.items():
        taken[name] = Sample(name, args, {k: v for k, v in kwargs.items() if k != "extra"})
    return taken


SAMPLES = sampled()


def replaced(
    method: Callable[..., Any], sample: Sample, wrong: Any
) -> Iterator[tuple[str, Sample]]:
    """The call with one argument replaced, or one field of a model that is an argument."""
    names = list(inspect.signature(method).parameters)
    for index, arg in enumerate(sample.args):
        name = names[min(index, len(names) - 1)]
        for told, other in _put(name, arg, wrong):
            args = (*sample.args[:index], other, *sample.args[index + 1 :])
            yield told, attrs.evolve(sample, args=args)
    named = [
        parameter.name
        for parameter in inspect.signature(method).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    for name in dict.fromkeys([*sample.kwargs, *named]):
        for told, other in _put(name, sample.kwargs.get(name), wrong):
            yield told, attrs.evolve(sample, kwargs=sample.kwargs | {name: other})


def _put(name: str, arg: Any, wrong: Any) -> Iterator[tuple[str, Any]]:
    yield name, wrong
    if not attrs.has(type(arg)):
        return
    for field in attrs.fields(type(arg)):
        yield field.name, attrs.evolve(arg, **{field.name: wrong})
        inner = getattr(arg, field.name)
        if isinstance(inner, tuple) and inner and attrs.has(type(inner[0])):
            for told, other in _put(field.name, inner[0], wrong):
                yield told, attrs.evolve(arg, **{field.name: (other, *inner[1:])})


async def carry_out(cc: ConstantContact, sample: Sample) -> None:
    group, _, name = sample.name.partition(".")
    made = getattr(getattr(cc, group), name)(*sample.args, **sample.kwargs)
    if isinstance(made, Listing):
        await made.first()
    elif hasattr(made, "__aenter__"):
        async with made as pieces:
            async for _ in pieces:
                pass
    else:
        await made


@attrs.define
class Refusing:
    """A server that knows nothing; `requests` is how many it had."""

    server: RawServer
    requests: int = 0

    @property
    def base_url(self) -> str:
        return self.server.base_url


@pytest.fixture
async def refusing() -> AsyncIterator[Refusing]:
    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            seen.requests += 1
            await wire.answer("404 Not Found")

    async with RawServer(script) as server:
        seen = Refusing(server)
        yield seen


def test_every_method_has_a_valid_example_call() -> None:
    assert set(OTHERS) == MADE_OF_OTHERS


@pytest.mark.parametrize("name", SAMPLES)
async def test_bad_input_is_accepted_or_raises_an_error_of_the_package(
    name: str,
    connect: Any,
    refusing: Refusing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()  # for the mirror
    cc: ConstantContact = await connect(refusing)
    sample = SAMPLES[name]
    group, _, method = sample.name.partition(".")
    bound = getattr(getattr(cc, group), method)
    with pytest.raises(errors.NotFound):
        await carry_out(cc, sample)
    assert refusing.requests, "without bad input it goes through"
    odd = []
    for label, wrong in (NEVER_RIGHT | SELDOM_RIGHT).items():
        for told, call in replaced(bound, sample, wrong):
            before = refusing.requests
            try:
                await carry_out(cc, call)
            except errors.UsageError:
                refused = refusing.requests == before
            except errors.ConstantContactError:
                refused = False
            except Exception as error:  # noqa: BLE001  # what must not be is what is looked for
                odd.append(f"{told} is {label}: {error!r}")
                continue
            else:
                refused = False
            # The request of a call that ran out of time would count for the next one.
            await until(lambda: refusing.server.open <= 1)
            if label in NEVER_RIGHT and (told, label) not in TAKEN and not refused:
                odd.append(f"{told} is {label}: not refused before it was sent")
    assert not odd, "\n".join(odd)


@pytest.mark.parametrize("label", NEVER_RIGHT | SELDOM_RIGHT)
async def test_invalid_pollers_tokens_and_limits_are_refused_before_any_request(
    label: str, connect: Any, refusing: Refusing
) -> None:
    wrong = (NEVER_RIGHT | SELDOM_RIGHT)[label]
    cc: ConstantContact = await connect(refusing)
    calls: dict[str, Callable[[Any], Any]] = {
        "resume": cc.resume,
        "resume_activity": cc.resume_activity,
        "sweep": cc.sweep,
        "sweep of one": lambda given: cc.sweep([given]),
        "wait_all": cc.wait_all,
        "wait_all of one": lambda given: cc.wait_all([given]),
        "as_completed": cc.as_completed,
        "collect": lambda given: cc.contacts.all().collect(limit=given),
    }
    for name, call in calls.items():
        try:
            made = call(wrong)
            if inspect.isasyncgen(made):
                assert [row async for row in made] == []
            elif inspect.iscoroutine(made):
                await made
        except errors.UsageError:
            assert refusing.requests == 0, name
        except errors.NotFound:
            assert name == "collect"
            assert wrong is None
