from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def credentials(sandbox: Sandbox) -> dict[str, Any]:
    options = sandbox.client_options()
    return {
        "base_url": options["base_url"],
        "params": {"api_key": options["api_key"]},
        "headers": {
            "authorization": f"Bearer {options['access_token']}",
            "accept": "application/json",
        },
    }


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(mode="at_once") as sandbox:
        yield sandbox


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(**credentials(sandbox), trust_env=False) as client:
        yield client


@pytest.fixture
def admin_http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{sandbox.origin}/__sandbox__", trust_env=False) as client:
        yield client


@pytest.fixture
def upload(api: httpx.Client) -> Callable[..., httpx.Response]:
    def send(
        name: str = "menu.pdf", content: bytes = b"some content", **fields: Any
    ) -> httpx.Response:
        texts = {
            "file_name": name,
            "folder_id": "0",
            "description": "",
            "source": "MyComputer",
            "file_type": name.rpartition(".")[2].upper(),
        }
        texts = {key: value for key, value in {**texts, **fields}.items() if value is not None}
        return api.post("/library/files", data=texts, files={"data": (name, content)})

    return send
