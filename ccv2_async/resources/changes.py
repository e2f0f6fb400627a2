"""The typed keyword arguments of the `update` methods.

A field that is not given keeps its value, and None erases it. The names are those of the `Write`
models; a test compares the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ccv2_async.models.account import AccountAddress
    from ccv2_async.models.campaigns import (
        EmailContentFormat,
        GreetingName,
        MessageFooter,
        SentToContactList,
    )
    from ccv2_async.models.contacts import Address, CustomField, EmailAddress, Note
    from ccv2_async.models.event_sales import DiscountScope, DiscountType, FeeScope, PromocodeType
    from ccv2_async.models.events import (
        CurrencyType,
        EventAddress,
        EventContact,
        EventType,
        NotificationOption,
        OnlineMeeting,
        PaymentOption,
        TrackInformation,
    )
    from ccv2_async.models.lists import ContactListRef, ContactListStatus


class ListChanges(TypedDict, total=False):
    """The fields of a contact list that can be changed; see `ContactListWrite`."""

    name: str
    status: ContactListStatus | str


class ContactDetails(TypedDict, total=False):
    """The fields of a contact besides its addresses and lists; see `ContactWrite`."""

    prefix_name: str | None
    first_name: str | None
    last_name: str | None
    job_title: str | None
    department_name: str | None
    company_name: str | None
    home_phone: str | None
    work_phone: str | None
    cell_phone: str | None
    fax: str | None
    addresses: Iterable[Address]
    custom_fields: Iterable[CustomField]
    notes: Iterable[Note]
    source_details: str | None


class ContactChanges(ContactDetails, total=False):
    """The fields of a contact that can be changed; see `ContactWrite`."""

    email_addresses: Iterable[EmailAddress]
    lists: Iterable[ContactListRef | str]


class CampaignChanges(TypedDict, total=False):
    """The fields of a campaign that can be changed; see `CampaignWrite`."""

    name: str
    subject: str
    from_name: str
    from_email: str
    reply_to_email: str
    email_content: str
    text_content: str
    email_content_format: EmailContentFormat | str | None
    style_sheet: str | None
    is_permission_reminder_enabled: bool | None
    permission_reminder_text: str | None
    is_view_as_webpage_enabled: bool | None
    view_as_web_page_text: str | None
    view_as_web_page_link_text: str | None
    greeting_name: GreetingName | str | None
    greeting_salutations: str | None
    greeting_string: str | None
    message_footer: MessageFooter | None
    sent_to_contact_lists: Iterable[SentToContactList | str]
    is_visible_in_ui: bool | None


class EventChanges(TypedDict, total=False):
    """The fields of an event that can be changed; see `EventWrite`."""

    name: str
    title: str
    type: EventType | str
    start_date: datetime
    end_date: datetime
    time_zone_id: str
    contact: EventContact
    description: str | None
    location: str | None
    address: EventAddress | None
    currency_type: CurrencyType | str | None
    payment_options: Iterable[PaymentOption | str]
    payable_to: str | None
    payment_address: EventAddress | None
    paypal_account_email: str | None
    google_merchant_id: str | None
    google_analytics_key: str | None
    is_virtual_event: bool | None
    online_meeting: OnlineMeeting | None
    notification_options: Iterable[NotificationOption]
    track_information: TrackInformation | None
    is_calendar_displayed: bool | None
    is_checkin_available: bool | None
    is_home_page_displayed: bool | None
    is_listed_in_external_directory: bool | None
    is_map_displayed: bool | None
    are_registrants_public: bool | None
    theme_name: str | None
    twitter_hash_tag: str | None
    meta_data_tags: str | None


class FeeChanges(TypedDict, total=False):
    """The fields of a fee that can be changed; see `FeeWrite`."""

    label: str
    fee: float
    fee_scope: FeeScope | str
    early_fee: float | None
    late_fee: float | None
    has_restricted_access: bool | None


class ItemChanges(TypedDict, total=False):
    """The fields of an item that can be changed; see `ItemWrite`."""

    name: str
    price: float
    default_quantity_total: int
    per_registrant_limit: int
    show_quantity_available: bool
    description: str | None


class ItemAttributeChanges(TypedDict, total=False):
    """The fields of an item's attribute that can be changed; see `ItemAttributeWrite`."""

    name: str
    quantity_total: int


class PromocodeChanges(TypedDict, total=False):
    """The fields of a promotion code that can be changed; see `PromocodeWrite`."""

    code_name: str
    code_type: PromocodeType | str
    discount_scope: DiscountScope | str | None
    discount_type: DiscountType | str | None
    discount_amount: float | None
    discount_percent: int | None
    fee_ids: Iterable[str]
    is_paused: bool | None
    quantity_total: int | None


class AccountChanges(TypedDict, total=False):
    """The fields of the account that can be changed; see `AccountInfo`."""

    website: str | None
    organization_name: str | None
    time_zone: str | None
    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None
    company_logo: str | None
    country_code: str | None
    state_code: str | None
    organization_addresses: Iterable[AccountAddress]
