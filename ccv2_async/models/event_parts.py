"""What events are made of: addresses, contacts, registration and payment.

Source: the EventSpot pages of the v2 reference.
"""

from __future__ import annotations

from collections.abc import Iterable  # noqa: TC003  # read at run time by the converter
from datetime import datetime  # noqa: TC003  # read at run time by the converter
from enum import StrEnum
from typing import ClassVar

import attrs

from ccv2_async.models.base import Model, to_tuple
from ccv2_async.models.validation import Need, rule

__all__ = [
    "CurrencyType",
    "EventAddress",
    "EventContact",
    "InformationSection",
    "NotificationOption",
    "NotificationType",
    "OnlineMeeting",
    "PaymentOption",
    "TrackInformation",
]


class CurrencyType(StrEnum):
    """The currency of an event's fees."""

    USD = "USD"
    CAD = "CAD"
    AUD = "AUD"
    CHF = "CHF"
    CZK = "CZK"
    DKK = "DKK"
    EUR = "EUR"
    GBP = "GBP"
    HKD = "HKD"
    HUF = "HUF"
    ILS = "ILS"
    JPY = "JPY"
    MXN = "MXN"
    NOK = "NOK"
    NZD = "NZD"
    PHP = "PHP"
    PLN = "PLN"
    SEK = "SEK"
    SGD = "SGD"
    THB = "THB"
    TWD = "TWD"


class PaymentOption(StrEnum):
    """A way to pay. GOOGLE_CHECKOUT is not accepted for new events."""

    ONLINE_CREDIT_CARD_PROCESSOR = "ONLINE_CREDIT_CARD_PROCESSOR"
    PAYPAL = "PAYPAL"
    GOOGLE_CHECKOUT = "GOOGLE_CHECKOUT"
    CHECK = "CHECK"
    DOOR = "DOOR"


class InformationSection(StrEnum):
    """A section of a registration page."""

    CONTACT = "CONTACT"
    TIME = "TIME"
    LOCATION = "LOCATION"


class NotificationType(StrEnum):
    """The notifications that the organizer gets."""

    SO_REGISTRATION_NOTIFICATION = "SO_REGISTRATION_NOTIFICATION"


@attrs.frozen(weakref_slot=False)
class EventAddress(Model):
    """The address of an event, or of the payee of checks.

    Attributes:
        line1: First line.
        line2: Second line.
        line3: Third line.
        city: City.
        state: State outside the US and Canada.
        state_code: Two letters, US and Canada only.
        country: Country.
        country_code: ISO 3166-1, two letters.
        postal_code: Postal code.
        latitude: Degrees.
        longitude: Degrees.
        extra: What the service sent beyond the fields above. Goes back when it is written.
    """

    line1: str | None = None
    line2: str | None = None
    line3: str | None = None
    city: str | None = None
    state: str | None = None
    state_code: str | None = None
    country: str | None = None
    country_code: str | None = None
    postal_code: str | None = None
    latitude: float | None = None
    longitude: float | None = None


@attrs.frozen(weakref_slot=False)
class EventContact(Model):
    """The contact person of an event.

    Attributes:
        name: A name; the service wants one.
        email_address: An address.
        organization_name: The organization.
        phone_number: A telephone number.
        extra: What the service sent beyond the fields above. Goes back when it is written.
    """

    name: str | None = attrs.field(default=None, metadata=rule(required=True))
    email_address: str | None = None
    organization_name: str | None = None
    phone_number: str | None = None


@attrs.frozen(weakref_slot=False)
class NotificationOption(Model):
    """A notification that the organizer gets, or does not get.

    Attributes:
        notification_type: Of what.
        is_opted_in: Whether.
        extra: What the service sent beyond the fields above. Goes back when it is written.
    """

    notification_type: NotificationType | str | None = None
    is_opted_in: bool | None = None


@attrs.frozen(weakref_slot=False)
class OnlineMeeting(Model):
    """The meeting of a virtual event.

    Attributes:
        instructions: What to do.
        provider_meeting_id: The meeting's id.
        provider_type: Who runs it.
        url: Where it takes place; needed for a virtual event.
        extra: What the service sent beyond the fields above. Goes back when it is written.
    """

    instructions: str | None = None
    provider_meeting_id: str | None = None
    provider_type: str | None = None
    url: str | None = None


def _sections(values: Iterable[InformationSection | str]) -> tuple[InformationSection | str, ...]:
    """Return sections as a tuple."""
    return to_tuple(values)


@attrs.frozen(weakref_slot=False)
class TrackInformation(Model):
    """The registration settings of an event.

    Attributes:
        early_fee_date: Until when the early fee holds.
        late_fee_date: From when the late fee holds.
        guest_display_label: What guests are called.
        guest_limit: Guests a registrant may bring, 0 to 100.
        information_sections: The sections of the page.
        is_guest_anonymous_enabled: Whether guests need no name; excludes the next.
        is_guest_name_required: Whether guests need a name; excludes the one before.
        is_registration_closed_manually: Whether registration is closed, whatever the limits say.
        is_ticketing_link_displayed: Whether a link to the tickets is shown.
        registration_limit_count: Registrations at most.
        registration_limit_date: Until when one can register.
        extra: What the service sent beyond the fields above, and the raw text of dates that are
            None here. Goes back when it is written.
    """

    __needs__: ClassVar[tuple[Need, ...]] = (
        Need("is_guest_anonymous_enabled", True, excludes="is_guest_name_required"),
    )

    early_fee_date: datetime | None = None
    late_fee_date: datetime | None = None
    guest_display_label: str | None = None
    guest_limit: int | None = attrs.field(default=None, metadata=rule(least=0, most=100))
    information_sections: tuple[InformationSection | str, ...] = attrs.field(
        default=(), metadata=rule(allowed=InformationSection), converter=_sections
    )
    is_guest_anonymous_enabled: bool | None = None
    is_guest_name_required: bool | None = None
    is_registration_closed_manually: bool | None = None
    is_ticketing_link_displayed: bool | None = None
    registration_limit_count: int | None = None
    registration_limit_date: datetime | None = None
