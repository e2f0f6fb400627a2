"""`ccv2 contacts list`, `show`, and `add`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ccv2_async.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran

BRUNO = "bruno.brandt@example.com"


def test_a_contact_is_found_by_its_address_or_its_id(
    ccv2: Callable[..., Ran], demo: Sandbox
) -> None:
    (row,) = ccv2("contacts", "--email", BRUNO, "--json").rows
    by_address, by_id = ccv2("contacts", "show", BRUNO), ccv2("contacts", "show", row["id"])
    assert by_address.out == by_id.out
    shown = dict(line.split(maxsplit=1) for line in by_id.out.splitlines())
    assert (shown["email"], shown["state"], shown["lists"]) == (BRUNO, "ACTIVE", "2")
    assert ccv2("contacts", "show", BRUNO, "--json").rows == [row]
    header, line = ccv2("contacts", "show", BRUNO, "--csv").out.splitlines()
    assert header.startswith("id,email,name,status,lists,company_name,")
    assert line.startswith(f"{row['id']},{BRUNO},Bruno Brandt,ACTIVE,2,")


@pytest.mark.parametrize(
    "command", [("contacts", "show"), ("contacts", "--email"), ("tracking", "opens", "--contact")]
)
def test_another_contact_than_the_one_asked_for_is_not_shown(
    ccv2: Callable[..., Ran], demo: Sandbox, command: tuple[str, ...]
) -> None:
    other = {"id": "999", "email_addresses": [{"email_address": "other@example.com"}]}
    demo.admin.fault(
        "answer",
        "GET",
        "/contacts",
        times=None,
        status=200,
        headers={"content-type": "application/json"},
        body=json.dumps({"meta": {}, "results": [other]}),
    )
    ran = ccv2(*command, BRUNO)
    assert (ran.code, ran.out) == (Exit.SOME_FAILED, "")
    assert "asked for" in ran.err


def test_contacts_are_listed_by_list_and_status(ccv2: Callable[..., Ran], demo: Sandbox) -> None:
    on_list = ccv2("contacts", "--list", "3", "--json").rows
    assert len(on_list) == 17
    assert all("3" in [ref["id"] for ref in row["lists"]] for row in on_list)
    left = ccv2("contacts", "--status", "optout", "--json").rows
    assert {row["status"] for row in left} == {"OPTOUT"}
    ran = ccv2("contacts", "--list", "3", "--status", "optout")
    assert (ran.code, ran.out) == (Exit.USAGE, "")


def test_a_contact_is_added_and_then_updated(ccv2: Callable[..., Ran], demo: Sandbox) -> None:
    options = ("--list", "1", "--list", "2", "--first-name", "Ada", "--company", "Engines")
    added = ccv2("contacts", "add", "ada@example.com", *options)
    assert (added.code, added.err) == (Exit.OK, "")
    (row,) = ccv2("contacts", "add", "ada@example.com", "--list", "3", "--json").rows
    assert row["id"] == added.out.strip()
    assert [ref["id"] for ref in row["lists"]] == ["1", "2", "3"]
    assert (row["first_name"], row["company_name"]) == ("Ada", "Engines")


def test_a_contact_that_opted_out_is_not_added(ccv2: Callable[..., Ran], demo: Sandbox) -> None:
    (left, *_) = ccv2("contacts", "--status", "optout", "--json").rows
    ran = ccv2("contacts", "add", left["email_addresses"][0]["email_address"], "--list", "1")
    assert (ran.code, ran.out) == (Exit.SOME_FAILED, "")
    assert f"Contact {left['id']} has opted out" in ran.err
    assert "action_by" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("show", "nobody@example.com"), "There is no contact with the address nobody@"),
        (("show", "a b"), "CONTACT is 'a b'"),
        (("show", "99999"), "Contact 99999 was not found"),
        (("add", "ada@example.com"), "'ccv2 contacts add' needs --list."),
        (("add", " ", "--list", "1"), "EMAIL is ' '"),
        (("list", "--list", "a b"), "--list is 'a b'"),
    ],
)
def test_wrong_arguments_are_named_as_they_were_typed(
    ccv2: Callable[..., Ran], demo: Sandbox, arguments: tuple[str, ...], part: str
) -> None:
    ran = ccv2("contacts", *arguments)
    assert ran.code in (Exit.USAGE, Exit.SOME_FAILED)
    assert part in ran.err
