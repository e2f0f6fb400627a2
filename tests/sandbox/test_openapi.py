from __future__ import annotations

from typing import TYPE_CHECKING

from openapi_spec_validator import OpenAPIV31SpecValidator

from ccv2_async.sandbox.app import OPERATIONS
from ccv2_async.sandbox.openapi import openapi_document

if TYPE_CHECKING:
    import httpx

    from ccv2_async.sandbox import Sandbox


def test_the_openapi_document_is_valid_and_served(sandbox: Sandbox, api: httpx.Client) -> None:
    document = api.get(f"{sandbox.origin}/openapi.json").json()
    assert document == openapi_document(OPERATIONS)
    OpenAPIV31SpecValidator(document).validate()


def test_the_openapi_document_lists_every_operation_with_its_codes() -> None:
    document = openapi_document(OPERATIONS)
    for operation in OPERATIONS:
        described = document["paths"][operation.path][operation.method.lower()]
        assert {str(code) for code in operation.codes} <= described["responses"].keys()
        named = {row["name"] for row in described["parameters"]}
        assert set(operation.query) <= named


def test_every_operation_id_is_unique() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))
