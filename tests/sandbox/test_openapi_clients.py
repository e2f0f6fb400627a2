"""Clients that openapi-python-client generates from the document, against the sandbox."""

from __future__ import annotations

import importlib
import json
import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any

import openapi_python_client
import pytest
from openapi_python_client.config import Config, ConfigFile, MetaType

from ccv2_async.sandbox import Sandbox
from ccv2_async.sandbox.app import OPERATIONS
from ccv2_async.sandbox.openapi import openapi_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

PACKAGE = "generated_ccv2"
DOCUMENT = openapi_document(OPERATIONS)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], ModuleType]]:
    """Imports the modules of the package that the generator makes without a warning."""
    home = tmp_path_factory.mktemp("generated")
    (home / "openapi.json").write_text(json.dumps(DOCUMENT), "utf-8")
    options: dict[str, Any] = {
        "meta_type": MetaType.NONE,
        "document_source": home / "openapi.json",
        "file_encoding": "utf-8",
        "overwrite": False,
        "output_path": home / PACKAGE,
    }
    config = Config.from_sources(ConfigFile(post_hooks=[]), **options)
    assert list(openapi_python_client.generate(config=config)) == []
    sys.path.insert(0, str(home))
    try:
        yield lambda name: importlib.import_module(f"{PACKAGE}.{name}")
    finally:
        sys.path.remove(str(home))
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]


@pytest.fixture
def operation(generated: Callable[[str], Any]) -> Callable[[str], Any]:
    """Imports the module of an operation."""
    areas = {operation.name: operation.area for operation in OPERATIONS}
    return lambda name: generated(f"api.{areas[name]}.{name}")


@pytest.fixture
def demo() -> Iterator[Sandbox]:
    with Sandbox(mode="at_once", seed="demo") as sandbox:
        yield sandbox


@pytest.fixture
def client(generated: Callable[[str], Any], demo: Sandbox) -> Iterator[Any]:
    options = demo.client_options()
    with generated("client").AuthenticatedClient(
        base_url=options["base_url"],
        token=options["access_token"],
        httpx_args={"params": {"api_key": options["api_key"]}, "trust_env": False},
        raise_on_unexpected_status=True,
    ) as client:
        yield client


def test_a_generated_client_uploads_eight_bytes_as_eight_bytes(
    generated: Callable[[str], Any], operation: Callable[[str], Any], demo: Sandbox, client: Any
) -> None:
    content = b"\x00\xff\r\n--\x80\n"
    body = generated("models").LibraryFileUploadBody(
        file_name="a.png",
        folder_id="0",
        description="",
        source="MyComputer",
        file_type="PNG",
        data=generated("types").File(BytesIO(content), "a.png", "image/png"),
    )
    sent = operation("library_file_upload").sync_detailed(client=client, body=body)
    assert sent.status_code == 202
    file_id: str = sent.headers["id"]
    assert demo.admin.content(file_id) == content
    [status] = operation("library_upload_status").sync(file_id, client=client)
    assert (status.file_id, status.status) == (file_id, "Active")
    file = operation("library_file_get").sync(status.file_id, client=client)
    assert (file.id, file.size) == (file_id, 8)
    # The file's id is text, and so it can name the file in a path.
    changed = generated("models").LibraryFileUpdate(description="New", name="b.png")
    operation("library_file_update").sync(file.id, client=client, body=changed)
    moved = operation("library_files_move")
    assert [row.id for row in moved.sync("-2", client=client, body=[file.id])] == [file_id]


@pytest.mark.parametrize(
    "name",
    [
        operation.name
        for operation in OPERATIONS
        if operation.method == "GET" and "{" not in operation.path
    ],
)
def test_a_generated_client_reads_what_the_sandbox_answers(
    operation: Callable[[str], Any], client: Any, name: str
) -> None:
    read = operation(name).sync(client=client)
    rows = read if isinstance(read, list) else getattr(read, "results", [read])
    assert rows
    for row in rows:
        assert type(row).__module__.startswith(f"{PACKAGE}.models")
        assert type(row).from_dict(json.loads(json.dumps(row.to_dict()))) == row


def test_a_generated_client_creates_a_contact_with_the_id_of_a_list(
    generated: Callable[[str], Any], operation: Callable[[str], Any], client: Any
) -> None:
    models = generated("models")
    [first, *_] = operation("lists_list").sync(client=client)
    body = models.ContactWrite(
        email_addresses=[models.EmailAddress(email_address="ada@example.com")],
        lists=[models.ContactListRef(id=first.id)],
    )
    made = operation("contact_create").sync(client=client, body=body)
    seen = operation("contact_get").sync(made.id, client=client)
    assert seen.email_addresses[0].email_address == "ada@example.com"
    campaigns = operation("campaigns_list").sync(client=client)
    [sent] = [row for row in campaigns.results if row.name == "Autumn menu"]
    opens = operation("campaign_tracking_opens").sync(sent.id, client=client)
    assert opens.results


def test_every_schema_is_generated(generated: Callable[[str], Any]) -> None:
    made = {type_name.casefold() for type_name in vars(generated("models"))}
    named = {name.casefold() for name in DOCUMENT["components"]["schemas"]}
    assert named - {"errors"} <= made  # an array is no class


def walk(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(inner, dict | list):
            yield from walk(inner)


def test_every_array_has_items_and_every_id_in_a_body_is_text() -> None:
    for schema in walk(DOCUMENT):
        kinds = schema.get("type")
        if kinds == "array" or (isinstance(kinds, list) and "array" in kinds):
            assert schema["items"]
        for name, field in schema.get("properties", {}).items():
            if (name == "id" or name.endswith("_id")) and name != "campaign_id":
                assert field["type"] in ("string", ["string", "null"]), name


def test_the_document_states_the_rules_that_no_schema_can() -> None:
    """Each operation that checks more than its schemas has a description."""
    for operation in OPERATIONS:
        described = DOCUMENT["paths"][operation.path][operation.method.lower()]
        if operation.method in ("POST", "PUT", "PATCH") and 409 in operation.codes:
            assert described.get("description"), operation.name
