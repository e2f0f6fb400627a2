"""An object that is large is checked and encoded in a thread when it is written back."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest

from ccv2_async.errors import ConstantContactError, InvalidField
from ccv2_async.models import AccountInfo, validation
from ccv2_async.models.convert import encode_body
from ccv2_async.resources import base
from ccv2_async.transport.calls import raw
from ccv2_async.transport.calls.call import Response
from tests.support.probes import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox

JSON = {"content-type": "application/json"}
LARGE: dict[str, Any] = {
    "many values": {"website": "x", "unknown": [[], 1] * 5000},
    "nested values": {"website": "x", "unknown": [{"a": [1] * 9} for _ in range(1000)]},
    "many names": {"website": "x", "unknown": {str(number): 1 for number in range(5000)}},
    "long text": {"website": "xé" * 50_000},
    "long names": {"website": "x", "unknown": {"é" * 100_000: 1}},
}
IN_LOOP = threading.main_thread()


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """Return a list that collects the threads that check or encode a body."""
    found: list[threading.Thread] = []
    check = validation.check

    def encode(body: object) -> bytes:
        found.append(threading.current_thread())
        return encode_body(body)

    def checked(values: object, *args: Any, **options: Any) -> None:
        if isinstance(values, AccountInfo):
            found.append(threading.current_thread())
        check(values, *args, **options)

    monkeypatch.setattr(base, "encode_body", encode)
    monkeypatch.setattr(raw, "encode_body", encode)
    monkeypatch.setattr(validation, "check", checked)
    return found


@pytest.mark.parametrize("sent", LARGE.values(), ids=[*LARGE])
async def test_a_large_object_is_written_back_from_a_thread(
    client: ConstantContact, sandbox: Sandbox, threads: list[threading.Thread], sent: dict[str, Any]
) -> None:
    sandbox.admin.fault("answer", status=200, body=json.dumps(sent), headers=JSON, times=3)
    info = await client.account.update_info(organization_name="Cafe")
    assert len(threads) == 1
    await client.account.replace_info(info)
    assert len(threads) == 3
    assert IN_LOOP not in threads
    assert len(sandbox.admin.requests("PUT")) == 2


async def test_a_large_body_of_a_raw_call_is_encoded_in_a_thread(
    client: ConstantContact, sandbox: Sandbox, threads: list[threading.Thread]
) -> None:
    sandbox.admin.fault("answer", status=200, body="{}", headers=JSON)
    await client.request("PUT", "/account/info", json=LARGE["many values"])
    assert threads
    assert IN_LOOP not in threads


async def test_a_small_object_is_written_back_without_a_thread(
    client: ConstantContact, threads: list[threading.Thread]
) -> None:
    info = await client.account.update_info(organization_name="Cafe", website="é" * 40)
    await client.account.replace_info(info)
    await client.request("PUT", "/account/info", json=info.to_dict())
    assert set(threads) == {IN_LOOP}


@pytest.mark.parametrize("body", [["e"] * 5000, [{"id": "7"}] * 2000, {"error": "e" * 100_000}])
async def test_a_large_response_to_any_change_is_read_in_a_thread(
    client: ConstantContact, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, body: object
) -> None:
    found: list[threading.Thread] = []
    from_service = Response.from_service

    def read(response: Response, *args: Any, **options: Any) -> Response:
        found.append(threading.current_thread())
        return from_service(response, *args, **options)

    monkeypatch.setattr(Response, "from_service", read)
    sandbox.admin.fault("answer", status=200, body=json.dumps(body), headers=JSON, times=None)
    for change in (
        client.library.begin_upload(b"abc", name="menu.pdf", on_ambiguous="raise"),
        client.activities.begin_clear_lists(["1"]),
        client.lists.delete("7"),
    ):
        before = len(found)
        with suppress(ConstantContactError):
            await change
        assert len(found) > before
    assert IN_LOOP not in found


class Changing(dict[str, Any]):
    """A dict that grows while a thread reads it."""

    def items(self) -> Any:
        def pairs() -> Iterator[tuple[str, Any]]:
            for pair in super(Changing, self).items():
                yield pair
                grown = threading.Thread(target=lambda: self.setdefault("another", 1))
                grown.start()
                grown.join()

        return pairs()


CHANGING: dict[str, Callable[[ConstantContact], Awaitable[object]]] = {
    "raw": lambda cc: cc.request("PUT", "/account/info", json=Changing(LARGE["many values"])),
    "model": lambda cc: cc.account.replace_info(
        AccountInfo(website="x" * 100_000, extra=Changing(a=1, b=2))
    ),
    "rows": lambda cc: cc.activities.begin_add_contacts(
        [Changing(email="a@example.com", first_name="A")], lists=["1"]
    ),
}


@pytest.mark.parametrize("call", CHANGING.values(), ids=[*CHANGING])
async def test_a_body_that_is_changed_while_a_thread_reads_it_is_refused(
    client: ConstantContact,
    sandbox: Sandbox,
    call: Callable[[ConstantContact], Awaitable[object]],
) -> None:
    with pytest.raises(InvalidField, match=r"must stay as it is until .*Nothing was sent"):
        await call(client)
    assert sandbox.admin.requests("PUT") + sandbox.admin.requests("POST") == []


@pytest.fixture
async def busy_application() -> AsyncIterator[None]:
    """Work of the application hangs in all threads that it may use."""
    free = threading.Event()
    limiter = anyio.to_thread.current_default_thread_limiter()
    works = [
        asyncio.create_task(anyio.to_thread.run_sync(free.wait, 60))
        for _ in range(int(limiter.total_tokens))
    ]
    await until(lambda: not limiter.available_tokens)
    yield
    free.set()
    await asyncio.gather(*works)


@pytest.mark.usefixtures("busy_application")
async def test_a_busy_application_holds_up_no_large_object(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    body = json.dumps(LARGE["many values"])
    sandbox.admin.fault("answer", status=200, body=body, headers=JSON, times=3)
    async with asyncio.timeout(20):
        info = await client.account.update_info(organization_name="Cafe")
        assert info.website == "x"
        await client.request("PUT", "/account/info", json=LARGE["many values"])
