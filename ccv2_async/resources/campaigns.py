"""Email campaigns: write, preview, test and schedule them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from ccv2_async.models.campaigns import (
    Campaign,
    CampaignPreview,
    CampaignSummary,
    CampaignWrite,
    Schedule,
    ScheduleWrite,
    TestSend,
    TestSendFormat,
)
from ccv2_async.models.validation import Rule, check, checked_texts, one_of
from ccv2_async.resources.base import Endpoint, Resource, path_to

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from typing import Unpack

    from ccv2_async.models.campaigns import (
        CampaignStatus,
        EmailContentFormat,
        GreetingName,
        MessageFooter,
        SentToContactList,
    )
    from ccv2_async.resources.listing import Listing, OnBadRow

MOST_ROWS = 50
FILTERS = ("ALL", "DRAFT", "RUNNING", "SENT", "SCHEDULED", "DELETED")


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


CAMPAIGNS = Endpoint(Campaign, CampaignWrite, "/emailmarketing/campaigns", "campaign", "campaign")
SCHEDULES = Endpoint(
    Schedule, ScheduleWrite, "/emailmarketing/campaigns/{}/schedules", "schedule", owner="campaign"
)


class Campaigns(Resource):
    """`client.campaigns`: the email campaigns of the account and their schedules."""

    def all(
        self,
        *,
        status: CampaignStatus | str | None = None,
        modified_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[CampaignSummary]:
        """List the campaigns in brief: ID, name, status and date. `get` returns all details.

        They are sorted by status. Deleted ones are listed only on request.

        Args:
            status: ALL, DRAFT, RUNNING, SENT, SCHEDULED or DELETED.
            modified_since: Only campaigns that have changed since this time. Needs a time zone.
            limit: Rows per page, from 1 to 50. The default is 50.
            on_bad_row: "skip" to continue after rows that cannot be read; see `Listing`.

        Source: "E-mail campaign collection", GET, of the service's documentation.
        """
        return self._list(
            CampaignSummary,
            "/emailmarketing/campaigns",
            what="campaigns",
            limit=limit,
            most=MOST_ROWS,
            query={"status": one_of("status", status, FILTERS), "modified_since": modified_since},
            on_bad_row=on_bad_row,
        )

    async def get(self, campaign_id: str, *, update_summary: bool = False) -> Campaign:
        """Return one campaign with its content.

        Args:
            campaign_id: The campaign.
            update_summary: Whether the service recounts `tracking_summary` before it answers.

        Raises:
            NotFound: There is no campaign with that ID, or it was deleted.

        Source: "E-mail campaign resource", GET, of the service's documentation.
        """
        return await self._one(CAMPAIGNS, campaign_id, query={"updateSummary": update_summary})

    async def create(self, campaign: CampaignWrite) -> Campaign:
        """Create a campaign as a DRAFT; `create_schedule` sends it.

        Args:
            campaign: Its content. The sender addresses must be confirmed addresses of the account.

        Raises:
            Conflict: There is already a campaign with that name.
            OutcomeUnknown: No response arrived; it may exist. Safe to try again: yes, because
                the service refuses a second one with `Conflict`.

        Source: "E-mail campaign collection", POST, of the service's documentation.
        """
        return await self._create_one(CAMPAIGNS, campaign)

    async def update(self, campaign_id: str, **changes: Unpack[CampaignChanges]) -> Campaign:
        """Change fields of a campaign, and return the result.

        A field that is not given keeps its value, and None erases it; the sandbox then sets
        `email_content_format` to HTML. This makes two calls: it reads the campaign and sends it
        back with the changes. If you have read it yourself, `replace` makes one call.

        Args:
            campaign_id: The campaign.
            changes: The new values, by the field names of `CampaignWrite`.

        Source: "E-mail campaign resource", PUT, of the service's documentation.
        """
        return await self._update(CAMPAIGNS, changes, campaign_id)

    async def replace(self, campaign: Campaign) -> Campaign:
        """Replace a campaign, and return what the service stored.

        Fields that are None are erased, except for read-only fields. The content and style of a
        STOCK campaign cannot be changed.

        Source: "E-mail campaign resource", PUT, of the service's documentation.
        """
        return await self._replace_one(CAMPAIGNS, campaign)

    async def delete(self, campaign_id: str) -> None:
        """Delete a campaign. Only the website can restore it. A SCHEDULED one cannot be deleted.

        Raises:
            NotFound: There is no campaign with that ID.

        Source: "E-mail campaign resource", DELETE, of the service's documentation.
        """
        await self._delete_one(CAMPAIGNS, campaign_id)

    async def preview(self, campaign_id: str) -> CampaignPreview:
        """Return a campaign as its recipients will see it. XHTML campaigns have no preview.

        Raises:
            NotFound: There is no such campaign, or it has no preview.

        Source: "E-mail campaign preview" page of the service's documentation.
        """
        path = path_to("/emailmarketing/campaigns/{}/preview", campaign_id)
        return await self._get(CampaignPreview, path, what=f"preview of campaign {campaign_id}")

    async def send_test(
        self,
        campaign_id: str,
        email_addresses: Iterable[str],
        *,
        format: TestSendFormat | str = TestSendFormat.HTML_AND_TEXT,  # noqa: A002  # the service's own word
        personal_message: str | None = None,
    ) -> TestSend:
        """Send a campaign to a few addresses as a test, and return what was sent.

        Args:
            campaign_id: A campaign that is DRAFT, SENT or SCHEDULED.
            email_addresses: One to five. At most 50 unconfirmed addresses are allowed in 24 hours.
            format: HTML, TEXT or HTML_AND_TEXT.
            personal_message: A message to the recipients.

        Raises:
            OutcomeUnknown: No response arrived; it may have been sent. Safe to try again: only if a
                second message does no harm.

        Source: "E-mail campaign test send" page of the service's documentation.
        """
        if isinstance(email_addresses, str):
            email_addresses = (email_addresses,)
        addresses = checked_texts(email_addresses, "email_addresses")
        path = path_to("/emailmarketing/campaigns/{}/tests", campaign_id)
        new, what = TestSend(addresses, format, personal_message), f"test of campaign {campaign_id}"
        return await self._create(TestSend, path, new, what=what)

    async def schedules(
        self, campaign_id: str, *, on_bad_row: OnBadRow = "raise"
    ) -> list[Schedule]:
        """Return the schedules of a campaign. Only SCHEDULED campaigns have one.

        Raises:
            NotFound: The campaign has no schedule.

        Source: "Campaign schedule collection", GET, of the service's documentation.
        """
        return await self._all_of(SCHEDULES, campaign_id, on_bad_row=on_bad_row)

    async def get_schedule(self, campaign_id: str, schedule_id: str) -> Schedule:
        """Return one schedule of a campaign.

        Raises:
            NotFound: There is no such schedule.

        Source: "Campaign schedule resource", GET, of the service's documentation.
        """
        return await self._one(SCHEDULES, campaign_id, schedule_id)

    async def create_schedule(self, campaign_id: str, scheduled_date: datetime | None) -> Schedule:
        """Schedule a campaign, and return the schedule.

        Args:
            campaign_id: A campaign that is DRAFT or SENT. A SENT one goes only to contacts that
                were added since.
            scheduled_date: When to send it, with a time zone and at least 20 minutes ahead. None
                sends it now.

        Raises:
            Conflict: The status of the campaign does not allow it.
            OutcomeUnknown: No response arrived; it may be scheduled. Safe to try again: no; look at
                `schedules` first.

        Source: "Campaign schedule collection", POST, of the service's documentation.
        """
        path, new = path_to(SCHEDULES.path, campaign_id), ScheduleWrite(scheduled_date)
        return await self._create(Schedule, path, new, what=f"scheduling campaign {campaign_id}")

    async def update_schedule(
        self, campaign_id: str, schedule_id: str, scheduled_date: datetime
    ) -> Schedule:
        """Change the date of a schedule, and return the schedule.

        Args:
            campaign_id: The campaign.
            schedule_id: Its schedule.
            scheduled_date: When to send it, with a time zone.

        Raises:
            NotFound: There is no such schedule.

        Source: "Campaign schedule resource", PUT, of the service's documentation.
        """
        # Without a date the service would send the campaign immediately.
        check({"scheduled_date": scheduled_date}, {"scheduled_date": Rule(required=True)})
        path, what = SCHEDULES.place(campaign_id, schedule_id)
        new = ScheduleWrite(scheduled_date)
        return await self._replace(Schedule, path, new, what=f"update of {what}")

    async def delete_schedule(self, campaign_id: str, schedule_id: str) -> None:
        """Delete a schedule. The campaign is not sent.

        Raises:
            NotFound: There is no such schedule.

        Source: "Campaign schedule resource", DELETE, of the service's documentation.
        """
        await self._delete_one(SCHEDULES, campaign_id, schedule_id)
