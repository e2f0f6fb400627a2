"""The OpenAPI document, made from the same table that routes the operations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.sandbox.fields import MODELS, Field
from ccv2_async.sandbox.forms import CONTENT
from ccv2_async.sandbox.responses import ERRORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccv2_async.sandbox.fields import Model
    from ccv2_async.sandbox.operations import Operation, Shape

_MEANINGS = {
    200: "Done.",
    201: "Created.",
    202: "Accepted; the ID is in the headers.",
    204: "Done; no body.",
    **{status: meaning for status, (_, meaning) in ERRORS.items()},
}
# Any operation may return these, in addition to its own table; 400 also means it is retired.
_EVERYWHERE = frozenset({400, 401, 403, 406})
_DESCRIPTION = """\
A local stand-in for the service; it serves no real account.

- A field that a schema does not name is ignored, and so is a read-only field. A null counts as not
  sent. A string that must not be empty must not be blank.
- An ID is a string. Any other JSON type in its place is refused.
- A JSON body has at most 16 MiB, and that of a bulk activity at most 4,000,000 bytes.
- The settings of a sandbox can change the maximum sizes and add limits: for calls per second and
  per day (403), and for unfinished bulk activities (429).
- `next` comes from `next_link` of the previous page. It includes the other parameters.
"""
_PARAMETER = re.compile(r"{(\w+)}")
_ERRORS = {"$ref": "#/components/schemas/Errors"}


def openapi_document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the document as a JSON object."""
    paths: dict[str, dict[str, Any]] = {}
    text = {"type": "string"}
    error = _object(error_key=text, error_message=text)
    schemas: dict[str, Any] = {"Errors": {"type": "array", "items": error, "minItems": 1}}
    forms = [operation.body for operation in operations]
    schemas |= {name: row.schema() for name, row in MODELS.items() if row not in forms}
    for operation in operations:
        described = _operation(operation)
        first = paths.setdefault(operation.path, {}).setdefault(operation.method.lower(), described)
        if first is not described:
            # Two operations of one method and path differ in their bodies.
            first["requestBody"]["content"].update(described["requestBody"]["content"])
            first["responses"].update(described["responses"])
    key = {"type": "apiKey", "in": "query", "name": "api_key"}
    schemes = {"api_key": key, "access_token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sandbox of the Constant Contact v2 API",
            "version": "2",
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/v2"}],
        "security": [{"api_key": [], "access_token": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": schemes},
    }


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.area],
        "summary": operation.summary,
        **({"description": operation.rules} if operation.rules else {}),
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _content(operation.body)}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    listed = {"description": "One ID, or several joined by commas."} if operation.listed else {}
    found = [
        {"name": name, "in": "path", "required": True, **listed, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(operation.path)
    ]
    for name, field in operation.query.items():
        # A parameter is never null, so its schema is that of a required field.
        schema = attrs.evolve(field, required=True).schema()
        if field.default is not None:
            schema["default"] = field.default
        found.append({"name": name, "in": "query", "schema": schema})
    if "limit" in operation.query:
        cursor = {"type": "string", "description": "From next_link; sent without other filters."}
        found.append({"name": "next", "in": "query", "schema": cursor})
    return found


def _content(body: Field | Model) -> dict[str, Any]:
    schema = body.schema()
    if isinstance(body, Field):
        return {"application/json": {"schema": schema}}
    schema["required"].append(CONTENT)
    # Generators look for the format of OpenAPI 3.0, and 3.1 for the media type.
    media_type = "application/octet-stream"
    content = {"type": "string", "format": "binary", "contentMediaType": media_type}
    schema["properties"][CONTENT] = content
    return {"multipart/form-data": {"schema": schema}}


def _responses(operation: Operation) -> dict[str, Any]:
    codes = set(operation.codes) | _EVERYWHERE
    if operation.body is not None:
        codes |= {413, 415}
    return {str(code): _response(operation, code) for code in sorted(codes)}


def _response(operation: Operation, code: int) -> dict[str, Any]:
    described: dict[str, Any] = {"description": _MEANINGS[code]}
    schema = _ERRORS if code >= 400 else _shape(operation.answer)
    if schema and code not in (202, 204):
        described["content"] = {"application/json": {"schema": schema}}
    if code in (201, 202, 204) and operation.method in ("POST", "PUT"):
        names = ("Location", "Id") if code == 202 else ("Location",)
        described["headers"] = {name: {"schema": {"type": "string"}} for name in names}
    return described


def _shape(shape: Shape) -> dict[str, Any]:
    if shape.model is None:
        return {}
    one = shape.model.reference()
    array = {"type": "array", "items": one}
    link = {"type": "object", "properties": {"next_link": {"type": "string"}}}
    forms: dict[str, dict[str, Any]] = {
        "": one,
        "[]": array,
        " or array": {"anyOf": [one, array]},
        "[] or null": {"anyOf": [array, {"type": "null"}]},
        " page": _object(meta=_object(pagination=link), results=array),
    }
    return forms[shape.form]


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}
