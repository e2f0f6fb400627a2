"""Bring an account to where an operation's sample call succeeds, and carry the call out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccv2_async.resources.listing import Listing
from tests.contract.stock import Stock

if TYPE_CHECKING:
    import pytest

    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.contract.operation import Operation

REPORTS = {
    "sends": "EMAIL_SEND",
    "opens": "EMAIL_OPEN",
    "clicks": "EMAIL_CLICK",
    "forwards": "EMAIL_FORWARD",
    "bounces": "EMAIL_BOUNCE",
    "unsubscribes": "EMAIL_UNSUBSCRIBE",
}


async def prepared(
    operation: Operation, request: pytest.FixtureRequest, connect: Any
) -> tuple[Sandbox, ConstantContact, Stock]:
    """A sandbox in which everything is there that the operation's sample needs."""
    if operation.area == "tracking":
        sandbox, ids = request.getfixturevalue("readers")
        word = next((w for w in REPORTS if f"/{w}" in operation.path), "clicks")
        cc = await connect(sandbox)
        return sandbox, cc, Stock(cc, ids[REPORTS[word]])
    sandbox = request.getfixturevalue("sandbox")
    cc = await connect(sandbox)
    stock = Stock(cc)
    await stock.bring((*operation.ids, *operation.needs))
    return sandbox, cc, stock


async def carried_out(made: Any) -> Any:
    """Return the result of a method, or its first page if it comes in pages."""
    if isinstance(made, Listing):
        async for rows in made.pages():
            return rows
    return await made
