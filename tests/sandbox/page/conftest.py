from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox whose uploads do not change until somebody looks or uses a control."""
    with Sandbox(mode="looks", looks=2) as sandbox:
        yield sandbox


@pytest.fixture
def page(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """The page as a browser asks for it, without scripts."""
    headers = {"origin": sandbox.origin, "referer": f"{sandbox.origin}/controls"}
    with httpx.Client(
        base_url=sandbox.origin, headers=headers, trust_env=False, follow_redirects=True
    ) as client:
        yield client


@pytest.fixture
def do(page: httpx.Client) -> Callable[..., str]:
    """Send a form as the script does, and return the response."""

    def send(action: str, **fields: Any) -> str:
        headers = {"accept": "application/json"}
        answer = page.post(f"/page/do/{action}", data=fields, headers=headers)
        outcome = answer.json()
        assert outcome["bad"] == (answer.status_code == 400)
        return str(outcome["note"])

    return send


@pytest.fixture
def jobs(sandbox: Sandbox, api: httpx.Client) -> Callable[[list[str]], str]:
    """Begin an import of contacts, and return its id."""

    def begin(addresses: list[str]) -> str:
        rows = [{"email_addresses": [address]} for address in addresses]
        body = {"import_data": rows, "lists": ["1"], "column_names": ["Email Address"]}
        return str(api.post("/activities/addcontacts", json=body).json()["id"])

    return begin
