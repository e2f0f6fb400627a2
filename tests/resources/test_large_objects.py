"""An object that is large is checked and encoded in a thread when it is written back."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.models import AccountInfo, validation
from ccv2_async.models.convert import encode_body
from ccv2_async.resources import base
from ccv2_async.transport.calls import raw

if TYPE_CHECKING:
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
