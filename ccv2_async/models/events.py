"""Events: what they are, where, when, and how people register.

Source: the EventSpot pages of the v2 reference.
"""

from __future__ import annotations

from collections.abc import Iterable  # noqa: TC003  # read at run time by the converter
from datetime import datetime  # noqa: TC003  # read at run time by the converter
from enum import StrEnum
from typing import ClassVar

import attrs

from ccv2_async.models.base import Model, to_tuple
from ccv2_async.models.event_parts import (
    CurrencyType,
    EventAddress,  # noqa: TC001  # read at run time
    EventContact,  # noqa: TC001  # read at run time
    NotificationOption,  # noqa: TC001  # read at run time
    OnlineMeeting,  # noqa: TC001  # read at run time
    PaymentOption,
    TrackInformation,  # noqa: TC001  # read at run time
)
from ccv2_async.models.validation import Need, rule

__all__ = [
    "Event",
    "EventStatus",
    "EventStatusPatch",
    "EventSummary",
    "EventType",
    "EventWrite",
]


class EventStatus(StrEnum):
    """The state of an event. It is changed by `EventStatusPatch` alone."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    COMPLETE = "COMPLETE"
    CANCELLED = "CANCELLED"
    DELETED = "DELETED"


class EventType(StrEnum):
    """The kind of an event."""

    AUCTION = "AUCTION"
    BIRTHDAY = "BIRTHDAY"
    BUSINESS_FINANCE_SALES = "BUSINESS_FINANCE_SALES"
    CLASSES_WORKSHOPS = "CLASSES_WORKSHOPS"
    COMPETITION_SPORTS = "COMPETITION_SPORTS"
    CONFERENCES_SEMINARS_FORUM = "CONFERENCES_SEMINARS_FORUM"
    CONVENTIONS_TRADESHOWS_EXPOS = "CONVENTIONS_TRADESHOWS_EXPOS"
    FESTIVALS_FAIRS = "FESTIVALS_FAIRS"
    FOOD_WINE = "FOOD_WINE"
    FUNDRAISERS_CHARITIES = "FUNDRAISERS_CHARITIES"
    HOLIDAY = "HOLIDAY"
    INCENTIVE_REWARD_RECOGNITION = "INCENTIVE_REWARD_RECOGNITION"
    MOVIES_FILM = "MOVIES_FILM"
    MUSIC_CONCERTS = "MUSIC_CONCERTS"
    NETWORKING_CLUBS = "NETWORKING_CLUBS"
    PERFORMING_ARTS = "PERFORMING_ARTS"
    OUTDOORS_RECREATION = "OUTDOORS_RECREATION"
    RELIGION_SPIRITUALITY = "RELIGION_SPIRITUALITY"
    SCHOOLS_REUNIONS_ALUMNI = "SCHOOLS_REUNIONS_ALUMNI"
    PARTIES_SOCIAL_EVENTS_MIXERS = "PARTIES_SOCIAL_EVENTS_MIXERS"
    TRAVEL = "TRAVEL"
    WEBINAR_TELESEMINAR_TELECLASS = "WEBINAR_TELESEMINAR_TELECLASS"
    WEDDINGS = "WEDDINGS"
    OTHER = "OTHER"


_NEEDS = (
    Need("payment_options", "CHECK", ("payable_to", "payment_address")),
    Need("payment_options", "PAYPAL", ("paypal_account_email",)),
    Need("is_virtual_event", True, ("online_meeting",)),
)


@attrs.frozen(weakref_slot=False)
class Event(Model):
    """An event. Writing one back replaces everything: what is None is erased.

    Source: eventspot-apis, individual-events.

    Attributes:
        id: The event's id.
        name: The organizer's name for it, which registrants do not see.
        title: The title that registrants see.
        type: Its kind.
        start_date: When it begins.
        end_date: When it ends.
        time_zone_id: A name such as US/Eastern.
        contact: The contact person.
        description: What it is.
        location: The name of the place.
        address: Where it takes place.
        currency_type: The currency of its fees; USD by default.
        payment_options: The ways to pay.
        payable_to: The payee of checks; needed with CHECK.
        payment_address: Where checks are sent; needed with CHECK.
        paypal_account_email: The PayPal account; needed with PAYPAL.
        google_merchant_id: The Google Checkout account.
        google_analytics_key: The Google Analytics key.
        is_virtual_event: Whether it takes place online.
        online_meeting: How to take part; needed when it is virtual.
        notification_options: The notifications that the organizer gets.
        track_information: How people register.
        is_calendar_displayed: Whether a calendar link is shown; True by default.
        is_checkin_available: Whether people can be checked in; False by default.
        is_home_page_displayed: Whether its home page is shown.
        is_listed_in_external_directory: Whether public directories list it.
        is_map_displayed: Whether a map is shown; True by default.
        are_registrants_public: Whether everyone sees who registered; False by default.
        theme_name: Its theme.
        twitter_hash_tag: Its tag.
        meta_data_tags: Keywords, separated by commas.
        status: Its state.
        time_zone_description: The time zone in words.
        registration_url: Where people register.
        total_registered_count: Registrations.
        event_detail_url: Its resource; in listings only.
        created_date: When it was created.
        updated_date: When it was last changed.
        active_date: When it was published.
        cancelled_date: When it was cancelled.
        deleted_date: When it was deleted.
        extra: What the service sent beyond the fields above, and the raw text of dates that are
            None here. Goes back when it is written.
    """

    __read_only__: ClassVar[frozenset[str]] = frozenset(
        {
            "id",
            "status",
            "time_zone_description",
            "registration_url",
            "total_registered_count",
            "event_detail_url",
            "created_date",
            "updated_date",
            "active_date",
            "cancelled_date",
            "deleted_date",
        }
    )

    __needs__: ClassVar[tuple[Need, ...]] = _NEEDS

    id: str
    name: str | None = attrs.field(default=None, metadata=rule(required=True))
    title: str | None = attrs.field(default=None, metadata=rule(required=True))
    type: EventType | str | None = attrs.field(
        default=None, metadata=rule(required=True, allowed=EventType)
    )
    start_date: datetime | None = attrs.field(default=None, metadata=rule(required=True))
    end_date: datetime | None = attrs.field(default=None, metadata=rule(required=True))
    time_zone_id: str | None = attrs.field(default=None, metadata=rule(required=True))
    contact: EventContact | None = attrs.field(default=None, metadata=rule(required=True))
    description: str | None = None
    location: str | None = None
    address: EventAddress | None = None
    currency_type: CurrencyType | str | None = attrs.field(
        default=None, metadata=rule(allowed=CurrencyType)
    )
    payment_options: tuple[PaymentOption | str, ...] = attrs.field(
        default=(), metadata=rule(allowed=PaymentOption)
    )
    payable_to: str | None = None
    payment_address: EventAddress | None = None
    paypal_account_email: str | None = None
    google_merchant_id: str | None = None
    google_analytics_key: str | None = None
    is_virtual_event: bool | None = None
    online_meeting: OnlineMeeting | None = None
    notification_options: tuple[NotificationOption, ...] = ()
    track_information: TrackInformation | None = None
    is_calendar_displayed: bool | None = None
    is_checkin_available: bool | None = None
    is_home_page_displayed: bool | None = None
    is_listed_in_external_directory: bool | None = None
    is_map_displayed: bool | None = None
    are_registrants_public: bool | None = None
    theme_name: str | None = None
    twitter_hash_tag: str | None = None
    meta_data_tags: str | None = None
    status: EventStatus | str | None = None
    time_zone_description: str | None = None
    registration_url: str | None = None
    total_registered_count: int | None = None
    event_detail_url: str | None = None
    created_date: datetime | None = None
    updated_date: datetime | None = None
    active_date: datetime | None = None
    cancelled_date: datetime | None = None
    deleted_date: datetime | None = None


def _payment_options(values: Iterable[PaymentOption | str]) -> tuple[PaymentOption | str, ...]:
    """Return options as a tuple."""
    return to_tuple(values)


def _notification_options(values: Iterable[NotificationOption]) -> tuple[NotificationOption, ...]:
    """Return options as a tuple."""
    return to_tuple(values)


@attrs.frozen(weakref_slot=False)
class EventWrite(Model):
    """The request to create or replace an event.

    Source: eventspot-apis, event-collection, POST.

    Attributes:
        name: The organizer's name for it, which registrants do not see.
        title: The title that registrants see.
        type: Its kind.
        start_date: When it begins.
        end_date: When it ends.
        time_zone_id: A name such as US/Eastern.
        contact: The contact person.
        description: What it is.
        location: The name of the place.
        address: Where it takes place.
        currency_type: The currency of its fees; USD by default.
        payment_options: The ways to pay.
        payable_to: The payee of checks; needed with CHECK.
        payment_address: Where checks are sent; needed with CHECK.
        paypal_account_email: The PayPal account; needed with PAYPAL.
        google_merchant_id: The Google Checkout account.
        google_analytics_key: The Google Analytics key.
        is_virtual_event: Whether it takes place online.
        online_meeting: How to take part; needed when it is virtual.
        notification_options: The notifications that the organizer gets.
        track_information: How people register.
        is_calendar_displayed: Whether a calendar link is shown; True by default.
        is_checkin_available: Whether people can be checked in; False by default.
        is_home_page_displayed: Whether its home page is shown.
        is_listed_in_external_directory: Whether public directories list it.
        is_map_displayed: Whether a map is shown; True by default.
        are_registrants_public: Whether everyone sees who registered; False by default.
        theme_name: Its theme.
        twitter_hash_tag: Its tag.
        meta_data_tags: Keywords, separated by commas.
        extra: Further fields to send.
    """

    __needs__: ClassVar[tuple[Need, ...]] = _NEEDS
    __omit_empty__: ClassVar[bool] = True

    name: str = attrs.field(metadata=rule(required=True))
    title: str = attrs.field(metadata=rule(required=True))
    type: EventType | str = attrs.field(metadata=rule(required=True, allowed=EventType))
    start_date: datetime = attrs.field(metadata=rule(required=True))
    end_date: datetime = attrs.field(metadata=rule(required=True))
    time_zone_id: str = attrs.field(metadata=rule(required=True))
    contact: EventContact = attrs.field(metadata=rule(required=True))
    description: str | None = None
    location: str | None = None
    address: EventAddress | None = None
    currency_type: CurrencyType | str | None = attrs.field(
        default=None, metadata=rule(allowed=CurrencyType)
    )
    payment_options: tuple[PaymentOption | str, ...] = attrs.field(
        default=(), metadata=rule(allowed=PaymentOption), converter=_payment_options
    )
    payable_to: str | None = None
    payment_address: EventAddress | None = None
    paypal_account_email: str | None = None
    google_merchant_id: str | None = None
    google_analytics_key: str | None = None
    is_virtual_event: bool | None = None
    online_meeting: OnlineMeeting | None = None
    notification_options: tuple[NotificationOption, ...] = attrs.field(
        default=(), converter=_notification_options
    )
    track_information: TrackInformation | None = None
    is_calendar_displayed: bool | None = None
    is_checkin_available: bool | None = None
    is_home_page_displayed: bool | None = None
    is_listed_in_external_directory: bool | None = None
    is_map_displayed: bool | None = None
    are_registrants_public: bool | None = None
    theme_name: str | None = None
    twitter_hash_tag: str | None = None
    meta_data_tags: str | None = None


@attrs.frozen(weakref_slot=False)
class EventSummary(Model):
    """A row of a listing of events.

    Source: eventspot-apis, event-collection, GET.

    Attributes:
        id: The event's id.
        name: The organizer's name for it, which registrants do not see.
        title: The title that registrants see.
        status: Its state.
        type: Its kind.
        location: The name of the place.
        address: Where it takes place.
        description: What it is.
        start_date: When it begins.
        end_date: When it ends.
        created_date: When it was created.
        active_date: When it was published.
        time_zone_id: A name such as US/Eastern.
        is_checkin_available: Whether people can be checked in; False by default.
        event_detail_url: Its resource; in listings only.
        extra: What the service sent beyond the fields above, and the raw text of dates that are
            None here.
    """

    id: str
    name: str | None = None
    title: str | None = None
    status: EventStatus | str | None = None
    type: EventType | str | None = None
    location: str | None = None
    address: EventAddress | None = None
    description: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    created_date: datetime | None = None
    active_date: datetime | None = None
    time_zone_id: str | None = None
    is_checkin_available: bool | None = None
    event_detail_url: str | None = None


@attrs.frozen(weakref_slot=False)
class EventStatusPatch(Model):
    """The request body, in a list of one, to publish or cancel an event.

    Source: eventspot-apis, individual-events, PATCH.

    Attributes:
        value: ACTIVE or CANCELLED.
        op: `REPLACE`.
        path: `#/status`, with the hash sign.
        extra: Further fields to send.
    """

    value: EventStatus | str = attrs.field(
        metadata=rule(required=True, allowed=("ACTIVE", "CANCELLED"))
    )
    op: str = attrs.field(default="REPLACE", metadata=rule(required=True, allowed=("REPLACE",)))
    path: str = attrs.field(default="#/status", metadata=rule(required=True, allowed=("#/status",)))
