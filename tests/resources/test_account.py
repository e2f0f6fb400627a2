from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ccv2_async import errors, models
from tests.contract.samples import OWNER

if TYPE_CHECKING:
    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.contract.ear import Ear

JSON = {"content-type": "application/json"}


async def test_row_46_changing_one_field_keeps_the_others(
    client: ConstantContact, ear: Ear
) -> None:
    before = await client.account.info()
    after = await client.account.update_info(phone="555-0100")
    assert ear.requests[-2:] == ["GET /account/info", "PUT /account/info"]
    assert after.phone == "555-0100"
    assert after.organization_addresses == before.organization_addresses
    assert after.website == before.website


async def test_an_address_without_a_first_line_is_refused_before_sending(
    client: ConstantContact, ear: Ear
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.account.update_info(
            organization_addresses=[models.AccountAddress(city="Salem")]
        )
    assert caught.value.field == "organization_addresses[0].line1"
    assert ear.calls == []


async def test_an_update_without_addresses_keeps_the_stored_ones(client: ConstantContact) -> None:
    before = await client.account.info()
    after = await client.account.replace_info(models.AccountInfo(phone="555-0100"))
    assert after.organization_addresses == before.organization_addresses != ()


async def test_row_45_an_address_is_wrapped_and_unwrapped(
    client: ConstantContact, ear: Ear
) -> None:
    added = await client.account.add_verified_email("menu@example.com")
    assert ear.sent == [{"email_address": "menu@example.com"}]
    assert added.email_address == "menu@example.com"
    assert added.status is models.VerifiedEmailStatus.UNCONFIRMED


async def test_adding_an_unconfirmed_address_again_works_and_a_confirmed_one_conflicts(
    client: ConstantContact,
) -> None:
    first = await client.account.add_verified_email("menu@example.com")
    assert await client.account.add_verified_email("menu@example.com") == first
    with pytest.raises(errors.Conflict):
        await client.account.add_verified_email(OWNER)


async def test_a_response_without_the_address_raises_an_error_that_says_it_was_carried_out(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("answer", status=201, headers=JSON, body=json.dumps([]))
    with pytest.raises(errors.DecodeError, match="The call was carried out"):
        await client.account.add_verified_email("menu@example.com")


async def test_addresses_can_be_filtered_by_status(client: ConstantContact, ear: Ear) -> None:
    await client.account.add_verified_email("menu@example.com")
    everything = await client.account.verified_emails(status="all")
    waiting = await client.account.verified_emails(status=models.VerifiedEmailStatus.UNCONFIRMED)
    assert {row.email_address for row in everything} == {OWNER, "menu@example.com"}
    assert [row.email_address for row in waiting] == ["menu@example.com"]
    ear.calls.clear()
    with pytest.raises(errors.InvalidField, match="one of ALL, CONFIRMED, UNCONFIRMED"):
        await client.account.verified_emails(status="LOST")
    assert ear.calls == []
