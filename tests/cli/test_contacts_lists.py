"""`ccv2 lists`: contact lists are created, renamed, and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccv2_async.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran


def test_a_list_is_created_renamed_and_deleted(ccv2: Callable[..., Ran], demo: Sandbox) -> None:
    made = ccv2("lists", "create", "Bakers", "--hidden").out.strip()
    assert ccv2("lists", "rename", made, "Bakers and friends").out.strip() == made
    rows = {row["id"]: row for row in ccv2("lists", "--json").rows}
    assert (rows[made]["name"], rows[made]["status"]) == ("Bakers and friends", "HIDDEN")
    ran = ccv2("lists", "delete", made, "--yes")
    assert (ran.code, ran.err) == (Exit.OK, f"Deleted the list Bakers and friends ({made}).\n")
    assert made not in [row["id"] for row in ccv2("lists", "--json").rows]


def test_a_list_is_not_deleted_without_consent(ccv2: Callable[..., Ran], demo: Sandbox) -> None:
    ran = ccv2("lists", "delete", "2")
    assert ran.code == Exit.USAGE
    assert "Delete the list Newsletter (2) with 108 contacts? Confirm with --yes." in ran.err
    assert demo.admin.requests("DELETE") == []


def test_changes_to_lists_are_reported_as_json(ccv2: Callable[..., Ran], demo: Sandbox) -> None:
    (made,) = ccv2("lists", "create", "Bakers", "--json").rows
    assert (made["name"], made["status"]) == ("Bakers", "ACTIVE")
    (gone,) = ccv2("lists", "delete", made["id"], "--yes", "--json").rows
    assert gone == {"id": made["id"], "name": "Bakers", "deleted": True}


def test_wrong_arguments_are_named_as_they_were_typed(
    ccv2: Callable[..., Ran], demo: Sandbox
) -> None:
    assert "LIST is 'a b'" in ccv2("lists", "rename", "a b", "x").err
    assert "NAME is 'xxx" in ccv2("lists", "create", "x" * 256).err
    assert "'ccv2 lists delete' needs LIST." in ccv2("lists", "delete").err
    assert ccv2("lists", "create", "Newsletter").code == Exit.SOME_FAILED
