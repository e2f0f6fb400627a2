"""The account and its sender addresses."""

from __future__ import annotations

from typing import Any

import attrs

OWNER = "owner@example.com"


def _info() -> dict[str, Any]:
    return {
        "website": "https://www.example.com",
        "organization_name": "Sandbox Bakery",
        "time_zone": "US/Eastern",
        "first_name": "Mary Jane",
        "last_name": "Doe",
        "email": OWNER,
        "phone": "5555555555",
        "company_logo": "https://www.example.com/logo.jpg",
        "country_code": "US",
        "state_code": "MA",
        "organization_addresses": [
            {
                "city": "Anytown",
                "line1": "123 Maple Street",
                "postal_code": "11111",
                "country_code": "US",
                "state_code": "MA",
            }
        ],
    }


def _addresses() -> dict[str, str]:
    return {OWNER: "CONFIRMED"}


@attrs.define
class Account:
    """The account.

    Attributes:
        info: Its account information.
        addresses: Its email addresses, CONFIRMED or UNCONFIRMED.
    """

    info: dict[str, Any] = attrs.field(factory=_info)
    addresses: dict[str, str] = attrs.field(factory=_addresses)

    def confirmed(self, email: str) -> bool:
        """Return whether an address can send mail."""
        known = {stored.casefold(): status for stored, status in self.addresses.items()}
        return known.get(email.casefold()) == "CONFIRMED"
