"""Email campaigns: content, schedules, test sends and previews.

Source: the email campaign pages of the v2 reference.
"""

from __future__ import annotations

from collections.abc import Iterable  # noqa: TC003  # read at run time by the converter
from datetime import datetime  # noqa: TC003  # read at run time by the converter
from enum import StrEnum
from typing import Any, ClassVar, cast

import attrs

from ccv2_async.models.base import Model, TupleOf, named_last, names, to_tuple
from ccv2_async.models.contacts import is_list_id
from ccv2_async.models.validation import Need, limited, rule

__all__ = ["Campaign", "CampaignPreview", "CampaignStatus", "CampaignSummary", "CampaignWrite"]
__all__ += ["ClickThroughDetail", "EmailContentFormat", "GreetingName", "MessageFooter", "Schedule"]
__all__ += ["ScheduleWrite", "SentToContactList", "TemplateType", "TestSend", "TestSendFormat"]
__all__ += ["TrackingSummary"]


class CampaignStatus(StrEnum):
    """The state of a campaign."""

    DRAFT = "DRAFT"
    RUNNING = "RUNNING"
    SENT = "SENT"
    SCHEDULED = "SCHEDULED"
    DELETED = "DELETED"
    PENDING = "PENDING"
    ARCHIVED = "ARCHIVED"


class TemplateType(StrEnum):
    """The template of a campaign."""

    CUSTOM = "CUSTOM"
    STOCK = "STOCK"


class EmailContentFormat(StrEnum):
    """The markup of a campaign's content. XHTML cannot be previewed."""

    HTML = "HTML"
    XHTML = "XHTML"


class TestSendFormat(StrEnum):
    """The format in which a test is sent."""

    HTML = "HTML"
    TEXT = "TEXT"
    HTML_AND_TEXT = "HTML_AND_TEXT"


class GreetingName(StrEnum):
    """The name by which a campaign greets its reader."""

    FIRST_NAME = "FIRST_NAME"
    LAST_NAME = "LAST_NAME"
    FIRST_AND_LAST_NAME = "FIRST_AND_LAST_NAME"
    NONE = "NONE"


_NEEDS = (
    Need("is_permission_reminder_enabled", True, ("permission_reminder_text",)),
    Need(
        "is_view_as_webpage_enabled", True, ("view_as_web_page_text", "view_as_web_page_link_text")
    ),
)


@attrs.frozen(weakref_slot=False)
class MessageFooter(Model):
    """The footer of a campaign's message. Leave it out for the account's own.

    Attributes:
        organization_name: The sender.
        address_line_1: First line of the address.
        address_line_2: Second line.
        address_line_3: Third line.
        city: City.
        state: State in the US.
        international_state: State elsewhere.
        postal_code: Postal code.
        country: ISO 3166-1, two letters.
        forward_email_link_text: The text of the link to forward the message.
        subscribe_link_text: The text of the link to subscribe.
        include_forward_email: Whether there is a link to forward it.
        include_subscribe_link: Whether there is a link to subscribe.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    organization_name: str | None = None
    address_line_1: str | None = None
    address_line_2: str | None = None
    address_line_3: str | None = None
    city: str | None = None
    state: str | None = None
    international_state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    forward_email_link_text: str | None = None
    subscribe_link_text: str | None = None
    include_forward_email: bool | None = None
    include_subscribe_link: bool | None = None


@attrs.frozen(weakref_slot=False)
class TrackingSummary(Model):
    """The counts of the messages of a campaign: sent, opened, and so on.

    Attributes:
        sends: Messages sent.
        opens: Messages opened.
        clicks: Clicks on links.
        forwards: Messages forwarded.
        unsubscribes: Readers who unsubscribed.
        bounces: Messages that bounced.
        spam_count: Spam reports; not always present.
        extra: Fields that the service sent beyond those above.
    """

    sends: int | None = None
    opens: int | None = None
    clicks: int | None = None
    forwards: int | None = None
    unsubscribes: int | None = None
    bounces: int | None = None
    spam_count: int | None = None


@attrs.frozen(weakref_slot=False)
class ClickThroughDetail(Model):
    """A link of a campaign and its clicks.

    Attributes:
        url: The target of the link.
        url_uid: Its ID, the link ID of the tracking reports.
        click_count: Clicks.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    url: str | None = None
    url_uid: str | None = None
    click_count: int | None = None


@attrs.frozen(weakref_slot=False)
class SentToContactList(Model):
    """A list that a campaign goes to.

    Attributes:
        id: The list's ID.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    id: str = attrs.field(metadata=rule(required=True))


_EMAIL_CONTENT = rule(required=True, max_length=930000)
_EMAIL_CONTENT_FORMAT = rule(allowed=EmailContentFormat)
_GREETING_NAME = rule(allowed=GreetingName)


def _lists(values: Iterable[SentToContactList | str]) -> tuple[SentToContactList, ...]:
    """Return the lists that a campaign goes to; IDs are accepted too."""
    given: Any = to_tuple(values)
    if isinstance(given, tuple):
        given = tuple(SentToContactList(entry) if is_list_id(entry) else entry for entry in given)
    return cast("tuple[SentToContactList, ...]", given)


@attrs.frozen(weakref_slot=False, kw_only=True)
class _CampaignFields(Model):
    """The optional fields that `Campaign` and `CampaignWrite` share."""

    __needs__: ClassVar[tuple[Need, ...]] = _NEEDS

    email_content_format: EmailContentFormat | str | None = limited(metadata=_EMAIL_CONTENT_FORMAT)
    style_sheet: str | None = None
    is_permission_reminder_enabled: bool | None = None
    permission_reminder_text: str | None = None
    is_view_as_webpage_enabled: bool | None = None
    view_as_web_page_text: str | None = None
    view_as_web_page_link_text: str | None = None
    greeting_name: GreetingName | str | None = limited(metadata=_GREETING_NAME)
    greeting_salutations: str | None = None
    greeting_string: str | None = None
    message_footer: MessageFooter | None = None
    sent_to_contact_lists: tuple[SentToContactList, ...] = attrs.field(default=(), converter=_lists)
    is_visible_in_ui: bool | None = None


@attrs.frozen(weakref_slot=False, field_transformer=named_last)
class Campaign(_CampaignFields):
    """An email campaign. Writing one back replaces everything: what is None is erased.

    Source: email-campaigns, campaign-resource.

    Attributes:
        id: The campaign's ID.
        name: Unique in the account, at most 80 characters.
        subject: At most 200 characters.
        status: Its state.
        template_type: CUSTOM or STOCK; content and style of a STOCK one cannot be changed.
        from_name: The sender's name, at most 100 characters.
        from_email: A confirmed address of the account.
        reply_to_email: A confirmed address of the account.
        email_content: The message as HTML or XHTML.
        text_content: The message as text.
        email_content_format: HTML or XHTML.
        style_sheet: CSS, for XHTML only.
        is_permission_reminder_enabled: Whether the reminder is shown.
        permission_reminder_text: The reason why the reader gets it; needed for the reminder.
        is_view_as_webpage_enabled: Whether there is a link to the message as a web page.
        view_as_web_page_text: The text before that link; needed when it is shown.
        view_as_web_page_link_text: The text of that link; needed when it is shown.
        greeting_name: The name of the greeting.
        greeting_salutations: The words before the name.
        greeting_string: The greeting when there is no name.
        message_footer: Its footer.
        sent_to_contact_lists: The lists it goes to.
        tracking_summary: The counts of messages sent, opened, and so on.
        click_through_details: Its links and their clicks.
        permalink_url: The URL of the message as a web page.
        is_visible_in_ui: Whether the website shows it.
        created_date: The date it was created.
        modified_date: The date it was last changed.
        last_run_date: The date it was last run.
        last_sent_date: The date it was last sent.
        next_run_date: The date it will be sent next.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names(
        "id status template_type tracking_summary click_through_details permalink_url "
        "created_date modified_date last_run_date last_sent_date next_run_date"
    )

    id: str
    name: str | None = limited(required=True, max_length=80)
    subject: str | None = limited(required=True, max_length=200)
    status: CampaignStatus | str | None = None
    template_type: TemplateType | str | None = None
    from_name: str | None = limited(required=True, max_length=100)
    from_email: str | None = limited(required=True, max_length=80)
    reply_to_email: str | None = limited(required=True, max_length=80)
    email_content: str | None = limited(metadata=_EMAIL_CONTENT)
    text_content: str | None = limited(metadata=_EMAIL_CONTENT)
    tracking_summary: TrackingSummary | None = None
    click_through_details: tuple[ClickThroughDetail, ...] = attrs.field(
        default=(), converter=TupleOf[ClickThroughDetail]
    )
    permalink_url: str | None = None
    created_date: datetime | None = None
    modified_date: datetime | None = None
    last_run_date: datetime | None = None
    last_sent_date: datetime | None = None
    next_run_date: datetime | None = None


@attrs.frozen(weakref_slot=False, field_transformer=named_last)
class CampaignWrite(_CampaignFields):
    """The request to create or replace a campaign.

    Source: email-campaigns, campaign-collection, POST.

    Attributes:
        name: Unique in the account, at most 80 characters.
        subject: At most 200 characters.
        from_name: The sender's name, at most 100 characters.
        from_email: A confirmed address of the account.
        reply_to_email: A confirmed address of the account.
        email_content: The message as HTML or XHTML.
        text_content: The message as text.
        email_content_format: HTML or XHTML.
        style_sheet: CSS, for XHTML only.
        is_permission_reminder_enabled: Whether the reminder is shown.
        permission_reminder_text: The reason why the reader gets it; needed for the reminder.
        is_view_as_webpage_enabled: Whether there is a link to the message as a web page.
        view_as_web_page_text: The text before that link; needed when it is shown.
        view_as_web_page_link_text: The text of that link; needed when it is shown.
        greeting_name: The name of the greeting.
        greeting_salutations: The words before the name.
        greeting_string: The greeting when there is no name.
        message_footer: Its footer; None for the account's own.
        sent_to_contact_lists: The lists it goes to.
        is_visible_in_ui: Whether the website shows it.
        extra: Other fields to send.
    """

    __omit_empty__ = True

    name: str = attrs.field(metadata=rule(required=True, max_length=80))
    subject: str = attrs.field(metadata=rule(required=True, max_length=200))
    from_name: str = attrs.field(metadata=rule(required=True, max_length=100))
    from_email: str = attrs.field(metadata=rule(required=True, max_length=80))
    reply_to_email: str = attrs.field(metadata=rule(required=True, max_length=80))
    email_content: str = attrs.field(metadata=_EMAIL_CONTENT)
    text_content: str = attrs.field(metadata=_EMAIL_CONTENT)


@attrs.frozen(weakref_slot=False)
class CampaignSummary(Model):
    """A row of a listing of campaigns.

    Source: email-campaigns, campaign-collection, GET.

    Attributes:
        id: The campaign's ID.
        name: Its name.
        status: Its state.
        modified_date: The date it was last changed.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here.
    """

    id: str
    name: str | None = None
    status: CampaignStatus | str | None = None
    modified_date: datetime | None = None


@attrs.frozen(weakref_slot=False)
class Schedule(Model):
    """A time at which a campaign is sent.

    Source: email-scheduling.

    Attributes:
        id: The schedule's ID.
        scheduled_date: The date it is sent.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here. Sent back on writes.
    """

    id: str
    scheduled_date: datetime | None = None


@attrs.frozen(weakref_slot=False)
class ScheduleWrite(Model):
    """The request to schedule a campaign.

    Source: email-scheduling.

    Attributes:
        scheduled_date: The date to send it, at least 20 minutes ahead; None to send it now.
        extra: Other fields to send.
    """

    scheduled_date: datetime | None = None


@attrs.frozen(weakref_slot=False)
class TestSend(Model):
    """The request to send a test of a campaign, and its response.

    Source: email-campaign-testsend-api.

    Attributes:
        email_addresses: One to five addresses.
        format: The format in which it is sent.
        personal_message: A message to the recipients.
        extra: Other fields to send.
    """

    __test__: ClassVar[bool] = False  # pytest would mistake it for a test class

    email_addresses: tuple[str, ...] = attrs.field(
        metadata=rule(required=True, min_length=1, max_length=5), converter=TupleOf[str]
    )
    format: TestSendFormat | str = limited(
        TestSendFormat.HTML_AND_TEXT, required=True, allowed=TestSendFormat
    )
    personal_message: str | None = None


@attrs.frozen(weakref_slot=False)
class CampaignPreview(Model):
    """A campaign as its recipients will see it.

    Source: email-campaign-preview-api.

    Attributes:
        subject: Its subject.
        from_email: The sender's address.
        reply_to_email: The address for replies.
        preview_email_content: The message as HTML.
        preview_text_content: The message as text.
        extra: Fields that the service sent beyond those above.
    """

    subject: str | None = None
    from_email: str | None = None
    reply_to_email: str | None = None
    preview_email_content: str | None = None
    preview_text_content: str | None = None
