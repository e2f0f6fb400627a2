"""`client.request` can call any path of the API, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors, models
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.contract.ear import Ear
    from tests.support.servers import Request, Wire

REFUSED = [
    "",
    "https://example.com/v2/contacts",
    "//example.com/v2/contacts",
    "/../oauth2/token",
    "/contacts/../../oauth2",
    "/a\nb",
    "\\\\example.com\\x",
    "ftp://127.0.0.1/v2/contacts",
    7,
]


async def test_a_get_returns_the_json_the_status_and_the_headers(client: ConstantContact) -> None:
    answer = await client.request("get", "/account/info")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.data["email"] == (await client.account.info()).email


async def test_the_query_of_the_path_and_the_argument_are_joined(
    client: ConstantContact, ear: Ear
) -> None:
    await client.request("GET", "/contacts?status=ALL", query={"limit": 5, "email": None})
    assert ear.requests == ["GET /contacts"]
    assert dict(ear.calls[0].query)["status"] == "ALL"
    assert dict(ear.calls[0].query)["limit"] == "5"


async def test_a_whole_url_below_the_base_url_is_followed(client: ConstantContact) -> None:
    answer = await client.request("GET", f"{client.base_url}/account/info?api_key=other")
    assert answer.status == 200


async def test_a_post_takes_models_and_plain_json(client: ConstantContact) -> None:
    plain = await client.request("POST", "/lists", json={"name": "plain", "status": "ACTIVE"})
    model = await client.request(
        "POST", "/lists", json=models.ContactListWrite(name="model", status="ACTIVE")
    )
    assert [plain.status, model.status] == [201, 201]
    assert {found.name for found in await client.lists.all()} >= {"plain", "model"}


async def test_a_delete_without_content_has_no_data(client: ConstantContact) -> None:
    made = await client.request("POST", "/lists", json={"name": "gone", "status": "ACTIVE"})
    answer = await client.request("DELETE", f"/lists/{made.data['id']}")
    assert (answer.status, answer.content, answer.data) == (204, b"", None)


@pytest.mark.parametrize("path", REFUSED)
async def test_a_path_that_leads_elsewhere_is_refused(
    client: ConstantContact, ear: Ear, path: Any
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.request("GET", path)
    assert caught.value.field == "path"
    assert ear.calls == []


async def test_a_refused_path_does_not_show_its_query(client: ConstantContact) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.request("GET", "https://example.com/v2/x?access_token=s3cr3t")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("method", ["HEAD", "", None, 3, "GET "])
async def test_other_methods_are_refused(client: ConstantContact, ear: Ear, method: Any) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.request(method, "/contacts")
    assert caught.value.field == "method"
    assert ear.calls == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("access_token=s3cr3t", "query"),
        ([("email", "ann@example.com")], "query"),
        ({1: "ann@example.com"}, "query"),
        ({"\ud800": "x"}, "query"),
        ({"x": "\ud800"}, "x"),
        ({"ids": ["1", "2"]}, "ids"),
        ({"ids": b"1"}, "ids"),
        ({"limit": 10**5000}, "limit"),
        ({"limit": float("nan")}, "limit"),
        ({"limit": object()}, "limit"),
    ],
)
async def test_a_query_that_cannot_be_sent_is_refused(
    client: ConstantContact, ear: Ear, query: Any, field: str
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.request("POST", "/contacts", query=query)
    assert caught.value.field == field
    assert "s3cr3t" not in str(caught.value)
    assert ear.calls == []


async def test_a_get_with_a_body_is_refused(client: ConstantContact, ear: Ear) -> None:
    with pytest.raises(errors.InvalidField, match="a GET has no body"):
        await client.request("GET", "/contacts", json={})
    assert ear.calls == []


async def test_a_model_without_its_values_is_refused(client: ConstantContact, ear: Ear) -> None:
    unfinished = object.__new__(models.ContactListWrite)
    with pytest.raises(errors.InvalidField, match=r"must fit its fields.*Nothing was sent"):
        await client.request("POST", "/lists", json=[unfinished])
    assert ear.calls == []


async def test_a_get_is_retried_and_a_post_is_not(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("server_error", "GET", "/account/info", times=1)
    assert (await client.request("GET", "/account/info")).status == 200
    sandbox.admin.fault("server_error", "POST", "/lists", times=1)
    with pytest.raises(errors.OutcomeUnknown):
        await client.request("POST", "/lists", json={"name": "x", "status": "ACTIVE"})
    sandbox.admin.assert_faults_struck()
    assert "x" not in {found.name for found in await client.lists.all()}


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_the_error_of_a_change_with_broken_json_says_that_it_was_carried_out(
    client: ConstantContact, sandbox: Sandbox, method: str
) -> None:
    headers = {"content-type": "application/json"}
    sandbox.admin.fault("answer", status=200, headers=headers, body='{"id": "7"')
    with pytest.raises(errors.DecodeError, match="200, so the call was carried out") as caught:
        await client.request(method, "/lists/7", json={})
    assert not caught.value.safe_to_retry


async def test_a_response_that_is_not_json_comes_as_bytes(connect: Callable[..., Any]) -> None:
    async def answer(wire: Wire, _: Request) -> None:
        await wire.answer("200 OK", b"plain text", "Content-Type: text/plain", json=False)

    async with serving(answer) as server:
        client = await connect(server)
        found = await client.request("GET", "/anything")
        assert (found.content, found.data) == (b"plain text", None)
