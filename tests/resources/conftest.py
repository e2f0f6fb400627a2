from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.ear import Ear
from tests.contract.stock import Stock

if TYPE_CHECKING:
    from ccv2_async import ConstantContact


@pytest.fixture
def ear(client: ConstantContact, monkeypatch: pytest.MonkeyPatch) -> Ear:
    return Ear.at(client, monkeypatch)


@pytest.fixture
def stock(client: ConstantContact) -> Stock:
    return Stock(client)
