"""What readers did with campaigns: reports by campaign, and reports by contact."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ccv2_async.models.campaigns import TrackingSummary
from ccv2_async.models.tracking import (
    BounceActivity,
    ClickActivity,
    ContactCampaignSummary,
    ContactTrackingSummary,
    ForwardActivity,
    OpenActivity,
    SendActivity,
    TrackingActivity,
    UnsubscribeActivity,
)
from ccv2_async.resources.base import Resource, path_to

if TYPE_CHECKING:
    from datetime import datetime

    from ccv2_async.resources.listing import Listing, OnBadRow

T = TypeVar("T")

CAMPAIGN = "/emailmarketing/campaigns/{}/tracking"
CONTACT = "/contacts/{}/tracking"


class Tracking(Resource):
    """`client.tracking`: what readers did; the reports of SENT campaigns alone hold anything.

    Reports take `created_since`, a datetime with a time zone (only what happened then or later),
    and `limit`, the rows in a page from 1 to 500 (500 unless asked).
    """

    async def campaign_summary(
        self, campaign_id: str, *, update_summary: bool = False
    ) -> TrackingSummary:
        """How often a campaign was sent, opened, clicked and so on.

        Args:
            campaign_id: The campaign.
            update_summary: Whether the service counts anew before it answers.

        Raises:
            NotFound: There is no campaign with that id.

        Source: "Campaign tracking summary report" page of the service's documentation.
        """
        return await self._get(
            TrackingSummary,
            path_to(CAMPAIGN + "/reports/summary", campaign_id),
            what=f"tracking summary of campaign {campaign_id}",
            query={"updateSummary": update_summary},
        )

    def campaign_activities(
        self,
        campaign_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[TrackingActivity]:
        """Everything that happened with a campaign; `activity_type` says what each row is.

        Raises:
            NotFound: There is no campaign with that id, when iterated.

        Source: The official SDKs; the page of the documentation was not seen.
        """
        path = path_to(CAMPAIGN, campaign_id)
        what = f"tracking of campaign {campaign_id}"
        return self._report(
            TrackingActivity, path, what, created_since, limit, on_bad_row=on_bad_row
        )

    def campaign_sends(
        self,
        campaign_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[SendActivity]:
        """The messages that were sent for a campaign.

        Raises:
            NotFound: There is no campaign with that id, when iterated.

        Source: "Campaign tracking, sends" page of the service's documentation.
        """
        path = path_to(CAMPAIGN + "/sends", campaign_id)
        what = f"sends of campaign {campaign_id}"
        return self._report(SendActivity, path, what, created_since, limit, on_bad_row=on_bad_row)

    def campaign_opens(
        self,
        campaign_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[OpenActivity]:
        """When messages of a campaign were opened.

        Raises:
            NotFound: There is no campaign with that id, when iterated.

        Source: "Campaign tracking, opens" page of the service's documentation.
        """
        path = path_to(CAMPAIGN + "/opens", campaign_id)
        what = f"opens of campaign {campaign_id}"
        return self._report(OpenActivity, path, what, created_since, limit, on_bad_row=on_bad_row)

    def campaign_clicks(
        self,
        campaign_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[ClickActivity]:
        """The clicks on links of a campaign.

        Raises:
            NotFound: There is no campaign with that id, when iterated.

        Source: "Campaign tracking, clicks" page of the service's documentation.
        """
        path = path_to(CAMPAIGN + "/clicks", campaign_id)
        what = f"clicks of campaign {campaign_id}"
        return self._report(ClickActivity, path, what, created_since, limit, on_bad_row=on_bad_row)

    def campaign_link_clicks(
        self,
        campaign_id: str,
        link_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[ClickActivity]:
        """The clicks on one link of a campaign.

        Args:
            campaign_id: The campaign.
            link_id: The link: `url_uid` of a campaign's `click_through_details`.
            created_since: Only what happened then or later; with a time zone.
            limit: Rows in a page, from 1 to 500; the service gives 500 unless asked.
            on_bad_row: "skip" to go on behind rows that cannot be read; see `Listing`.

        Raises:
            NotFound: There is no such campaign or link, when iterated.

        Source: "Campaign tracking, clicks by link" page of the service's documentation.
        """
        path = path_to(CAMPAIGN + "/clicks/{}", campaign_id, link_id)
        what = f"clicks on link {link_id} of campaign {campaign_id}"
        return self._report(ClickActivity, path, what, created_since, limit, on_bad_row=on_bad_row)

    def campaign_forwards(
        self,
        campaign_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[ForwardActivity]:
        """The messages of a campaign that were forwarded.

        Raises:
            NotFound: There is no campaign with that id, when iterated.

        Source: "Campaign tracking, forwards" page of the service's documentation.
        """
        path = path_to(CAMPAIGN + "/forwards", campaign_id)
        what = f"forwards of campaign {campaign_id}"
        return self._report(
            ForwardActivity, path, what, created_since, limit, on_bad_row=on_bad_row
        )

    def campaign_bounces(
        self,
        campaign_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[BounceActivity]:
        """The messages of a campaign that came back, and why.

        Raises:
            NotFound: There is no campaign with that id, when iterated.

        Source: "Campaign tracking, bounces" page of the service's documentation.
        """
        path = path_to(CAMPAIGN + "/bounces", campaign_id)
        what = f"bounces of campaign {campaign_id}"
        return self._report(BounceActivity, path, what, created_since, limit, on_bad_row=on_bad_row)

    def campaign_unsubscribes(
        self,
        campaign_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[UnsubscribeActivity]:
        """The readers who left by a campaign, and why.

        Raises:
            NotFound: There is no campaign with that id, when iterated.

        Source: "Campaign tracking, unsubscribes" page of the service's documentation.
        """
        path = path_to(CAMPAIGN + "/unsubscribes", campaign_id)
        what = f"unsubscribes of campaign {campaign_id}"
        return self._report(
            UnsubscribeActivity, path, what, created_since, limit, on_bad_row=on_bad_row
        )

    async def contact_summary(
        self, contact_id: str, *, update_summary: bool = False
    ) -> ContactTrackingSummary:
        """How often one contact was written to, opened, clicked and so on.

        Args:
            contact_id: The contact.
            update_summary: Whether the service counts anew before it answers.

        Raises:
            NotFound: There is no contact with that id.

        Source: "Contact tracking summary report" page of the service's documentation.
        """
        return await self._get(
            ContactTrackingSummary,
            path_to(CONTACT + "/reports/summary", contact_id),
            what=f"tracking summary of contact {contact_id}",
            query={"updateSummary": update_summary},
        )

    async def contact_summary_by_campaign(
        self, contact_id: str, *, on_bad_row: OnBadRow = "raise"
    ) -> list[ContactCampaignSummary]:
        """The same for each campaign that the contact got, unsubscribes left out.

        Raises:
            NotFound: There is no contact with that id.

        Source: "Contact tracking summary by campaign" page of the service's documentation.
        """
        return await self._get_rows(
            ContactCampaignSummary,
            path_to(CONTACT + "/reports/summaryByCampaign", contact_id),
            what=f"tracking summary of contact {contact_id} by campaign",
            on_bad_row=on_bad_row,
        )

    def contact_activities(
        self,
        contact_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[TrackingActivity]:
        """Everything that happened with one contact, newest first; `activity_type` says what it is.

        Raises:
            NotFound: There is no contact with that id, when iterated.

        Source: "Contact tracking, all activities" page of the service's documentation.
        """
        path = path_to(CONTACT, contact_id)
        what = f"tracking of contact {contact_id}"
        return self._report(
            TrackingActivity, path, what, created_since, limit, on_bad_row=on_bad_row
        )

    def contact_sends(
        self,
        contact_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[SendActivity]:
        """The messages that were sent to one contact.

        Raises:
            NotFound: There is no contact with that id, when iterated.

        Source: "Contact tracking, sends" page of the service's documentation.
        """
        path = path_to(CONTACT + "/sends", contact_id)
        what = f"sends of contact {contact_id}"
        return self._report(SendActivity, path, what, created_since, limit, on_bad_row=on_bad_row)

    def contact_opens(
        self,
        contact_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[OpenActivity]:
        """When messages to one contact were opened.

        Raises:
            NotFound: There is no contact with that id, when iterated.

        Source: "Contact tracking, opens" page of the service's documentation.
        """
        path = path_to(CONTACT + "/opens", contact_id)
        what = f"opens of contact {contact_id}"
        return self._report(OpenActivity, path, what, created_since, limit, on_bad_row=on_bad_row)

    def contact_clicks(
        self,
        contact_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[ClickActivity]:
        """The clicks on links of messages to one contact.

        Raises:
            NotFound: There is no contact with that id, when iterated.

        Source: "Contact tracking, clicks" page of the service's documentation.
        """
        path = path_to(CONTACT + "/clicks", contact_id)
        what = f"clicks of contact {contact_id}"
        return self._report(ClickActivity, path, what, created_since, limit, on_bad_row=on_bad_row)

    def contact_link_clicks(
        self,
        contact_id: str,
        link_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[ClickActivity]:
        """The clicks on one link of messages to one contact.

        Args:
            contact_id: The contact.
            link_id: The link: `url_uid` of a campaign's `click_through_details`.
            created_since: Only what happened then or later; with a time zone.
            limit: Rows in a page, from 1 to 500; the service gives 500 unless asked.
            on_bad_row: "skip" to go on behind rows that cannot be read; see `Listing`.

        Raises:
            NotFound: There is no such contact or link, when iterated.

        Source: The official SDKs; the page of the documentation was not seen.
        """
        path = path_to(CONTACT + "/clicks/{}", contact_id, link_id)
        what = f"clicks on link {link_id} of contact {contact_id}"
        return self._report(ClickActivity, path, what, created_since, limit, on_bad_row=on_bad_row)

    def contact_forwards(
        self,
        contact_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[ForwardActivity]:
        """The messages to one contact that were forwarded.

        Raises:
            NotFound: There is no contact with that id, when iterated.

        Source: "Contact tracking, forwards" page of the service's documentation.
        """
        path = path_to(CONTACT + "/forwards", contact_id)
        what = f"forwards of contact {contact_id}"
        return self._report(
            ForwardActivity, path, what, created_since, limit, on_bad_row=on_bad_row
        )

    def contact_bounces(
        self,
        contact_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[BounceActivity]:
        """The messages to one contact that came back, and why.

        Raises:
            NotFound: There is no contact with that id, when iterated.

        Source: "Contact tracking, bounces" page of the service's documentation.
        """
        path = path_to(CONTACT + "/bounces", contact_id)
        what = f"bounces of contact {contact_id}"
        return self._report(BounceActivity, path, what, created_since, limit, on_bad_row=on_bad_row)

    def contact_unsubscribes(
        self,
        contact_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[UnsubscribeActivity]:
        """When one contact left, and why.

        Raises:
            NotFound: There is no contact with that id, when iterated.

        Source: "Contact tracking, unsubscribes" page of the service's documentation.
        """
        path = path_to(CONTACT + "/unsubscribes", contact_id)
        what = f"unsubscribes of contact {contact_id}"
        return self._report(
            UnsubscribeActivity, path, what, created_since, limit, on_bad_row=on_bad_row
        )

    def _report(
        self,
        model: type[T],
        path: str,
        what: str,
        created_since: datetime | None,
        limit: int | None,
        *,
        on_bad_row: OnBadRow,
    ) -> Listing[T]:
        return self._list(
            model,
            path,
            what=what,
            limit=limit,
            query={"created_since": created_since},
            on_bad_row=on_bad_row,
        )
