from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator

from ccv2_async.sandbox import Sandbox
from ccv2_async.sandbox.app import OPERATIONS
from ccv2_async.sandbox.openapi import openapi_document

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


DOCUMENT = openapi_document(OPERATIONS)


def check_against_document(answer: httpx.Response) -> None:
    """Hold an answer against the sandbox's own OpenAPI document."""
    path = answer.request.url.path.removeprefix("/v2").rstrip("/")
    method = answer.request.method.lower()
    described = next(
        (
            methods[method]
            for template, methods in DOCUMENT["paths"].items()
            if method in methods and re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path)
        ),
        None,
    )
    if described is None:
        return
    expected = described["responses"].get(str(answer.status_code))
    assert expected is not None, f"{method} {path} returned {answer.status_code}"
    answer.read()
    if "content" not in expected:
        assert answer.content == b""
        return
    schema = expected["content"]["application/json"]["schema"]
    OAS31Validator({**schema, "components": DOCUMENT["components"]}).validate(answer.json())


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[httpx.Client]:
    def check(answer: httpx.Response) -> None:
        if answer.request.url.path.startswith("/v2") and not sandbox.admin.requests()[-1].fault:
            check_against_document(answer)

    with httpx.Client(
        **credentials(sandbox), trust_env=False, event_hooks={"response": [check]}
    ) as client:
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
