"""Events: their content, place, and time, and how people register.

Source: the EventSpot pages of the v2 reference.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  # read at run time by the converter
from enum import StrEnum
from typing import ClassVar

import attrs

from ccv2_async.models.base import Model, PostalAddress, TupleOf, named_last, names
from ccv2_async.models.validation import Need, limited, rule

__all__ = ["CurrencyType", "Event", "EventAddress", "EventContact", "EventStatus"]
__all__ += ["EventStatusPatch", "EventSummary", "EventType", "EventWrite", "InformationSection"]
__all__ += ["NotificationOption", "NotificationType", "OnlineMeeting", "PaymentOption"]
__all__ += ["TrackInformation"]


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


@attrs.frozen(weakref_slot=False, kw_only=True)
class EventAddress(PostalAddress):
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
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    country: str | None = None
    latitude: float | None = None
    longitude: float | None = None


@attrs.frozen(weakref_slot=False)
class EventContact(Model):
    """The contact person of an event.

    Attributes:
        name: A name; the service requires one.
        email_address: An address.
        organization_name: The organization.
        phone_number: A telephone number.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    name: str | None = limited(required=True)
    email_address: str | None = None
    organization_name: str | None = None
    phone_number: str | None = None


@attrs.frozen(weakref_slot=False)
class NotificationOption(Model):
    """A notification that the organizer gets, or does not get.

    Attributes:
        notification_type: The kind of notification.
        is_opted_in: Whether the organizer gets it.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    notification_type: NotificationType | str | None = None
    is_opted_in: bool | None = None


@attrs.frozen(weakref_slot=False)
class OnlineMeeting(Model):
    """The meeting of a virtual event.

    Attributes:
        instructions: The instructions for attendees.
        provider_meeting_id: The meeting's ID.
        provider_type: The provider.
        url: The URL of the meeting; needed for a virtual event.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    instructions: str | None = None
    provider_meeting_id: str | None = None
    provider_type: str | None = None
    url: str | None = None


@attrs.frozen(weakref_slot=False)
class TrackInformation(Model):
    """The registration settings of an event.

    Attributes:
        early_fee_date: The last date of the early fee.
        late_fee_date: The first date of the late fee.
        guest_display_label: The word for guests.
        guest_limit: Guests a registrant may bring, 0 to 100.
        information_sections: The sections of the page.
        is_guest_anonymous_enabled: Whether guests need no name; excludes the next.
        is_guest_name_required: Whether guests need a name; excludes the one before.
        is_registration_closed_manually: Whether registration is closed regardless of the limits.
        is_ticketing_link_displayed: Whether a link to the tickets is shown.
        registration_limit_count: The maximum number of registrations.
        registration_limit_date: The last date for registration.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here. Sent back on writes.
    """

    __needs__: ClassVar[tuple[Need, ...]] = (
        Need("is_guest_anonymous_enabled", True, excludes="is_guest_name_required"),
    )

    early_fee_date: datetime | None = None
    late_fee_date: datetime | None = None
    guest_display_label: str | None = None
    guest_limit: int | None = limited(least=0, most=100)
    information_sections: tuple[InformationSection | str, ...] = attrs.field(
        default=(), metadata=rule(allowed=InformationSection), converter=TupleOf[str]
    )
    is_guest_anonymous_enabled: bool | None = None
    is_guest_name_required: bool | None = None
    is_registration_closed_manually: bool | None = None
    is_ticketing_link_displayed: bool | None = None
    registration_limit_count: int | None = None
    registration_limit_date: datetime | None = None


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


_CURRENCY_TYPE = rule(allowed=CurrencyType)
_PAYMENT_OPTIONS = rule(allowed=PaymentOption)


@attrs.frozen(weakref_slot=False, kw_only=True)
class _EventFields(Model):
    """The optional fields that `Event` and `EventWrite` share."""

    __needs__: ClassVar[tuple[Need, ...]] = _NEEDS

    description: str | None = None
    location: str | None = None
    address: EventAddress | None = None
    currency_type: CurrencyType | str | None = limited(metadata=_CURRENCY_TYPE)
    payment_options: tuple[PaymentOption | str, ...] = attrs.field(
        default=(), metadata=_PAYMENT_OPTIONS, converter=TupleOf[str]
    )
    payable_to: str | None = None
    payment_address: EventAddress | None = None
    paypal_account_email: str | None = None
    google_merchant_id: str | None = None
    google_analytics_key: str | None = None
    is_virtual_event: bool | None = None
    online_meeting: OnlineMeeting | None = None
    notification_options: tuple[NotificationOption, ...] = attrs.field(
        default=(), converter=TupleOf[NotificationOption]
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


@attrs.frozen(weakref_slot=False, field_transformer=named_last)
class Event(_EventFields):
    """An event. Writing one back replaces everything: what is None is erased.

    Source: eventspot-apis, individual-events.

    Attributes:
        id: The event's ID.
        name: The organizer's name for it, which registrants do not see.
        title: The title that registrants see.
        type: Its kind.
        start_date: The date it begins.
        end_date: The date it ends.
        time_zone_id: A name such as US/Eastern.
        contact: The contact person.
        description: A description.
        location: The name of the place.
        address: The address of the place.
        currency_type: The currency of its fees; USD by default.
        payment_options: The ways to pay.
        payable_to: The payee of checks; needed with CHECK.
        payment_address: The address for checks; needed with CHECK.
        paypal_account_email: The PayPal account; needed with PAYPAL.
        google_merchant_id: The Google Checkout account.
        google_analytics_key: The Google Analytics key.
        is_virtual_event: Whether it takes place online.
        online_meeting: The meeting; needed when it is virtual.
        notification_options: The notifications that the organizer gets.
        track_information: The settings of the registration.
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
        time_zone_description: A description of the time zone.
        registration_url: The URL of the registration page.
        total_registered_count: Registrations.
        event_detail_url: Its resource; in listings only.
        created_date: The date it was created.
        updated_date: The date it was last changed.
        active_date: The date it was published.
        cancelled_date: The date it was cancelled.
        deleted_date: The date it was deleted.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names(
        "id status time_zone_description registration_url total_registered_count "
        "event_detail_url created_date updated_date active_date cancelled_date deleted_date"
    )

    id: str
    name: str | None = limited(required=True)
    title: str | None = limited(required=True)
    type: EventType | str | None = limited(required=True, allowed=EventType)
    start_date: datetime | None = limited(required=True)
    end_date: datetime | None = limited(required=True)
    time_zone_id: str | None = limited(required=True)
    contact: EventContact | None = limited(required=True)
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


@attrs.frozen(weakref_slot=False, field_transformer=named_last)
class EventWrite(_EventFields):
    """The request to create or replace an event.

    Source: eventspot-apis, event-collection, POST.

    Attributes:
        name: The organizer's name for it, which registrants do not see.
        title: The title that registrants see.
        type: Its kind.
        start_date: The date it begins.
        end_date: The date it ends.
        time_zone_id: A name such as US/Eastern.
        contact: The contact person.
        description: A description.
        location: The name of the place.
        address: The address of the place.
        currency_type: The currency of its fees; USD by default.
        payment_options: The ways to pay.
        payable_to: The payee of checks; needed with CHECK.
        payment_address: The address for checks; needed with CHECK.
        paypal_account_email: The PayPal account; needed with PAYPAL.
        google_merchant_id: The Google Checkout account.
        google_analytics_key: The Google Analytics key.
        is_virtual_event: Whether it takes place online.
        online_meeting: The meeting; needed when it is virtual.
        notification_options: The notifications that the organizer gets.
        track_information: The settings of the registration.
        is_calendar_displayed: Whether a calendar link is shown; True by default.
        is_checkin_available: Whether people can be checked in; False by default.
        is_home_page_displayed: Whether its home page is shown.
        is_listed_in_external_directory: Whether public directories list it.
        is_map_displayed: Whether a map is shown; True by default.
        are_registrants_public: Whether everyone sees who registered; False by default.
        theme_name: Its theme.
        twitter_hash_tag: Its tag.
        meta_data_tags: Keywords, separated by commas.
        extra: Other fields to send.
    """

    __omit_empty__ = True

    name: str = attrs.field(metadata=rule(required=True))
    title: str = attrs.field(metadata=rule(required=True))
    type: EventType | str = attrs.field(metadata=rule(required=True, allowed=EventType))
    start_date: datetime = attrs.field(metadata=rule(required=True))
    end_date: datetime = attrs.field(metadata=rule(required=True))
    time_zone_id: str = attrs.field(metadata=rule(required=True))
    contact: EventContact = attrs.field(metadata=rule(required=True))


@attrs.frozen(weakref_slot=False)
class EventSummary(Model):
    """A row of a listing of events.

    Source: eventspot-apis, event-collection, GET.

    Attributes:
        id: The event's ID.
        name: The organizer's name for it, which registrants do not see.
        title: The title that registrants see.
        status: Its state.
        type: Its kind.
        location: The name of the place.
        address: The address of the place.
        description: A description.
        start_date: The date it begins.
        end_date: The date it ends.
        created_date: The date it was created.
        active_date: The date it was published.
        time_zone_id: A name such as US/Eastern.
        is_checkin_available: Whether people can be checked in; False by default.
        event_detail_url: Its resource; in listings only.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
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
        extra: Other fields to send.
    """

    value: EventStatus | str = attrs.field(
        metadata=rule(required=True, allowed=("ACTIVE", "CANCELLED"))
    )
    op: str = limited("REPLACE", required=True, allowed=("REPLACE",))
    path: str = limited("#/status", required=True, allowed=("#/status",))
