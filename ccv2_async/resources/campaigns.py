"""E-mail campaigns: write, preview, try out, schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccv2_async.models.arguments import checked_model, checked_texts, one_of
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
from ccv2_async.models.validation import Rule, check
from ccv2_async.resources.base import Resource, path_to

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from typing import Unpack

    from ccv2_async.models.campaigns import CampaignStatus
    from ccv2_async.resources.changes import CampaignChanges
    from ccv2_async.resources.listing import Listing, OnBadRow

MOST_ROWS = 50
FILTERS = ("ALL", "DRAFT", "RUNNING", "SENT", "SCHEDULED", "DELETED")


class Campaigns(Resource):
    """`client.campaigns`: the e-mail campaigns of the account, and when they are sent."""

    def all(
        self,
        *,
        status: CampaignStatus | str | None = None,
        modified_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[CampaignSummary]:
        """The campaigns, in brief: id, name, status and date. `get` has the rest.

        They come sorted by status; deleted ones only when they are asked for.

        Args:
            status: ALL, DRAFT, RUNNING, SENT, SCHEDULED or DELETED.
            modified_since: Only campaigns that were changed since; with a time zone.
            limit: Rows in a page, from 1 to 50; the service gives 50 unless asked.
            on_bad_row: "skip" to go on behind rows that cannot be read; see `Listing`.

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
        """One campaign with its content.

        Args:
            campaign_id: The campaign.
            update_summary: Whether the service recounts `tracking_summary` before it answers.

        Raises:
            NotFound: There is no campaign with that id, or it was deleted.

        Source: "E-mail campaign resource", GET, of the service's documentation.
        """
        return await self._get(
            Campaign,
            path_to("/emailmarketing/campaigns/{}", campaign_id),
            what=f"campaign {campaign_id}",
            query={"updateSummary": update_summary},
        )

    async def create(self, campaign: CampaignWrite) -> Campaign:
        """A new campaign, a DRAFT; `create_schedule` sends it.

        Args:
            campaign: Its content; the addresses it is from must be confirmed ones of the account.

        Raises:
            Conflict: There is a campaign of that name already.
            OutcomeUnknown: No answer came; it may exist. Safe to try again: yes in this case, as
                a second one is refused with `Conflict`.

        Source: "E-mail campaign collection", POST, of the service's documentation.
        """
        checked_model(campaign, CampaignWrite, "campaign")
        return await self._create(
            Campaign,
            "/emailmarketing/campaigns",
            campaign,
            what=f"creation of campaign {campaign.name}",
        )

    async def update(self, campaign_id: str, **changes: Unpack[CampaignChanges]) -> Campaign:
        """The changed campaign; what is not given stays as it is, None erases.

        The service replaces the whole campaign, so it is read first and sent back with the
        changes: two calls. `replace` is the one call, for a campaign that you have read yourself.

        Args:
            campaign_id: The campaign.
            changes: The new values, by the names of `CampaignWrite`.

        Source: "E-mail campaign resource", PUT, of the service's documentation.
        """
        path = path_to("/emailmarketing/campaigns/{}", campaign_id)
        what = f"campaign {campaign_id}"
        return await self._update(Campaign, path, changes, CampaignWrite, what=what)

    async def replace(self, campaign: Campaign) -> Campaign:
        """The campaign as the service keeps it after taking the whole that is given.

        What it leaves out is erased, except for read-only fields. The content and style of a
        STOCK campaign cannot be changed.

        Source: "E-mail campaign resource", PUT, of the service's documentation.
        """
        checked_model(campaign, Campaign, "campaign")
        return await self._replace(
            Campaign,
            path_to("/emailmarketing/campaigns/{}", campaign.id),
            campaign,
            what=f"update of campaign {campaign.id}",
        )

    async def delete(self, campaign_id: str) -> None:
        """Delete a campaign; only the website can restore it. A SCHEDULED one cannot be deleted.

        Raises:
            NotFound: There is no campaign with that id.

        Source: "E-mail campaign resource", DELETE, of the service's documentation.
        """
        await self._delete(
            path_to("/emailmarketing/campaigns/{}", campaign_id),
            what=f"deletion of campaign {campaign_id}",
        )

    async def preview(self, campaign_id: str) -> CampaignPreview:
        """A campaign as its readers will see it. XHTML campaigns have no preview.

        Raises:
            NotFound: There is no such campaign, or it has no preview.

        Source: "E-mail campaign preview" page of the service's documentation.
        """
        return await self._get(
            CampaignPreview,
            path_to("/emailmarketing/campaigns/{}/preview", campaign_id),
            what=f"preview of campaign {campaign_id}",
        )

    async def send_test(
        self,
        campaign_id: str,
        email_addresses: Iterable[str],
        *,
        format: TestSendFormat | str = TestSendFormat.HTML_AND_TEXT,  # noqa: A002  # the service's own word
        personal_message: str | None = None,
    ) -> TestSend:
        """What was sent, once a campaign has gone to a few addresses as a trial.

        Args:
            campaign_id: A campaign that is DRAFT, SENT or SCHEDULED.
            email_addresses: One to five of them; unconfirmed ones 50 in 24 hours.
            format: HTML, TEXT or HTML_AND_TEXT.
            personal_message: A word to the readers.

        Raises:
            OutcomeUnknown: No answer came; it may have been sent. Safe to try again: only if a
                second message does no harm.

        Source: "E-mail campaign test send" page of the service's documentation.
        """
        if isinstance(email_addresses, str):
            email_addresses = (email_addresses,)
        addresses = checked_texts(email_addresses, "email_addresses")
        return await self._create(
            TestSend,
            path_to("/emailmarketing/campaigns/{}/tests", campaign_id),
            TestSend(addresses, format, personal_message),
            what=f"test of campaign {campaign_id}",
        )

    async def schedules(
        self, campaign_id: str, *, on_bad_row: OnBadRow = "raise"
    ) -> list[Schedule]:
        """When a campaign is sent; only SCHEDULED ones have a schedule.

        Raises:
            NotFound: The campaign has no schedule.

        Source: "Campaign schedule collection", GET, of the service's documentation.
        """
        return await self._get_rows(
            Schedule,
            path_to("/emailmarketing/campaigns/{}/schedules", campaign_id),
            what=f"schedules of campaign {campaign_id}",
            on_bad_row=on_bad_row,
        )

    async def get_schedule(self, campaign_id: str, schedule_id: str) -> Schedule:
        """One schedule of a campaign.

        Raises:
            NotFound: There is no such schedule.

        Source: "Campaign schedule resource", GET, of the service's documentation.
        """
        return await self._get(
            Schedule,
            path_to("/emailmarketing/campaigns/{}/schedules/{}", campaign_id, schedule_id),
            what=f"schedule {schedule_id} of campaign {campaign_id}",
        )

    async def create_schedule(self, campaign_id: str, scheduled_date: datetime | None) -> Schedule:
        """The schedule of a campaign that will be sent.

        Args:
            campaign_id: A campaign that is DRAFT or SENT; one that was sent goes only to contacts
                that were added since.
            scheduled_date: When, with a time zone, at least 20 minutes ahead; None sends it now.

        Raises:
            Conflict: The campaign's state does not allow it.
            OutcomeUnknown: No answer came; it may be scheduled. Safe to try again: no; look at
                `schedules` first.

        Source: "Campaign schedule collection", POST, of the service's documentation.
        """
        return await self._create(
            Schedule,
            path_to("/emailmarketing/campaigns/{}/schedules", campaign_id),
            ScheduleWrite(scheduled_date),
            what=f"scheduling of campaign {campaign_id}",
        )

    async def update_schedule(
        self, campaign_id: str, schedule_id: str, scheduled_date: datetime
    ) -> Schedule:
        """The changed schedule; a date is all it has, so nothing is read first.

        Args:
            campaign_id: The campaign.
            schedule_id: Its schedule.
            scheduled_date: When it is sent, with a time zone.

        Raises:
            NotFound: There is no such schedule.

        Source: "Campaign schedule resource", PUT, of the service's documentation.
        """
        # Without a date it would ask for "now", which nobody may say by accident.
        check({"scheduled_date": scheduled_date}, {"scheduled_date": Rule(required=True)})
        return await self._replace(
            Schedule,
            path_to("/emailmarketing/campaigns/{}/schedules/{}", campaign_id, schedule_id),
            ScheduleWrite(scheduled_date),
            what=f"update of schedule {schedule_id} of campaign {campaign_id}",
        )

    async def delete_schedule(self, campaign_id: str, schedule_id: str) -> None:
        """Take a campaign off its schedule: it is not sent.

        Raises:
            NotFound: There is no such schedule.

        Source: "Campaign schedule resource", DELETE, of the service's documentation.
        """
        await self._delete(
            path_to("/emailmarketing/campaigns/{}/schedules/{}", campaign_id, schedule_id),
            what=f"deletion of schedule {schedule_id} of campaign {campaign_id}",
        )
