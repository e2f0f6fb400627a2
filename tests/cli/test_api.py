"""`ccv2 api` calls any path of the API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ccv2_async.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran

NEW_LIST = '{"name": "Bakers", "status": "ACTIVE"}'


def test_a_get_prints_indented_json(ccv2: Callable[..., Ran], service: Sandbox) -> None:
    ran = ccv2("api", "get", "/account/info")
    assert ran.code == Exit.OK
    assert ran.out.startswith('{\n  "')
    assert "email" in json.loads(ran.out)
    assert ran.err == ""


def test_with_json_the_response_is_one_line(ccv2: Callable[..., Ran], service: Sandbox) -> None:
    ran = ccv2("api", "GET", "/lists", "--json")
    assert len(ran.out.splitlines()) == 1
    assert json.loads(ran.out)


@pytest.mark.parametrize("where", ["argument", "file"])
def test_data_comes_from_the_argument_or_a_file(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path, where: str
) -> None:
    (tmp_path / "list.json").write_text(NEW_LIST)
    data = NEW_LIST if where == "argument" else f"@{tmp_path / 'list.json'}"
    ran = ccv2("api", "POST", "/lists", "--data", data, "--include")
    assert ran.code == Exit.OK
    assert json.loads(ran.out)["name"] == "Bakers"
    assert "HTTP 201" in ran.err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("GET", "https://example.com/x"), "PATH is 'https://example.com/x'"),
        (("FETCH", "/lists"), "METHOD is 'FETCH'"),
        (("GET", "/lists", "--data", "{}"), "--data is"),
        (("POST", "/lists", "--data", "{"), "--data is '{'"),
        (("POST", "/lists", "--data", "@/no/such/file"), "--data cannot be read"),
    ],
)
def test_wrong_usage_is_reported_before_anything_is_sent(
    ccv2: Callable[..., Ran], service: Sandbox, arguments: tuple[str, ...], part: str
) -> None:
    ran = ccv2("api", *arguments)
    assert ran.code == Exit.USAGE
    assert part in ran.err
    assert "Nothing was sent." in ran.err
    assert ran.out == ""


def test_a_refusal_is_one_sentence(ccv2: Callable[..., Ran], service: Sandbox) -> None:
    ran = ccv2("api", "GET", "/nothing/here")
    assert ran.code == Exit.SOME_FAILED
    assert ran.err.startswith("GET /nothing/here: the service returned 404")
