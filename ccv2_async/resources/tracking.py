"""The reactions of readers to campaigns: reports by campaign, and reports by contact."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

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
from ccv2_async.resources.base import Resource, dressed, path_to

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ccv2_async.resources.listing import Listing, OnBadRow

P = ParamSpec("P")
T = TypeVar("T")
Report = tuple[type[T], str, str]
"""The model of a report's rows, the report's path below its subject, and its name."""
Request = tuple[str, str, dict[str, Any]]
"""The path of a subject's reports, its name, and the options of the listing."""

CAMPAIGN = "/emailmarketing/campaigns/{}/tracking"
CONTACT = "/contacts/{}/tracking"


def _of_campaign(
    self: Tracking,  # noqa: ARG001  # part of the signature
    campaign_id: str,
    *,
    created_since: datetime | None = None,
    limit: int | None = None,
    on_bad_row: OnBadRow = "raise",
) -> Request:
    options = {"query": {"created_since": created_since}, "limit": limit, "on_bad_row": on_bad_row}
    return path_to(CAMPAIGN, campaign_id), f"campaign {campaign_id}", options


def _of_contact(
    self: Tracking,  # noqa: ARG001  # part of the signature
    contact_id: str,
    *,
    created_since: datetime | None = None,
    limit: int | None = None,
    on_bad_row: OnBadRow = "raise",
) -> Request:
    options = {"query": {"created_since": created_since}, "limit": limit, "on_bad_row": on_bad_row}
    return path_to(CONTACT, contact_id), f"contact {contact_id}", options


def _listing(
    request: Callable[Concatenate[Tracking, P], Request],
) -> Callable[[Callable[[Tracking], Report[T]]], Callable[Concatenate[Tracking, P], Listing[T]]]:
    """Return a decorator that makes a method that lists a report.

    The decorated function names the report, and its docstring becomes the method's. The
    method takes the arguments of `request`.
    """

    def decorate(
        report: Callable[[Tracking], Report[T]],
    ) -> Callable[Concatenate[Tracking, P], Listing[T]]:
        def method(self: Tracking, /, *args: P.args, **kwargs: P.kwargs) -> Listing[T]:
            model, path, name = report(self)
            above, subject, options = request(self, *args, **kwargs)
            return self._list(model, above + path, what=f"{name} of {subject}", **options)

        rows = inspect.signature(report).return_annotation.replace("Report", "Listing")
        return dressed(method, report, request, rows)

    return decorate


_by_campaign = _listing(_of_campaign)
_by_contact = _listing(_of_contact)


class Tracking(Resource):
    """`client.tracking`: the reactions of readers. Only the reports of SENT campaigns have rows.

    Reports take these options:

    - `created_since`: A datetime with a time zone. Only rows from this time on are listed.
    - `limit`: The number of rows per page, from 1 to 500. The default is 500.
    - `on_bad_row`: "skip" to continue after rows that cannot be read; see `Listing`.
    """

    async def campaign_summary(
        self, campaign_id: str, *, update_summary: bool = False
    ) -> TrackingSummary:
        """Return how often a campaign was sent, opened, clicked and so on.

        Args:
            campaign_id: The campaign.
            update_summary: Whether the service recounts before it answers.

        Raises:
            NotFound: There is no campaign with that ID.

        Source: "Campaign tracking summary report" page of the service's documentation.
        """
        path = path_to(CAMPAIGN + "/reports/summary", campaign_id)
        what = f"tracking summary of campaign {campaign_id}"
        query = {"updateSummary": update_summary}
        return await self._get(TrackingSummary, path, what=what, query=query)

    @_by_campaign
    def campaign_activities(self) -> Report[TrackingActivity]:
        """List everything that happened with a campaign; `activity_type` is the kind of each row.

        Raises:
            NotFound: There is no campaign with that ID. Raised when the listing is iterated.

        Source: The official SDKs; its page of the documentation was not available.
        """
        return TrackingActivity, "", "tracking"

    @_by_campaign
    def campaign_sends(self) -> Report[SendActivity]:
        """List the messages that were sent for a campaign.

        Raises:
            NotFound: There is no campaign with that ID. Raised when the listing is iterated.

        Source: "Campaign tracking, sends" page of the service's documentation.
        """
        return SendActivity, "/sends", "sends"

    @_by_campaign
    def campaign_opens(self) -> Report[OpenActivity]:
        """List when messages of a campaign were opened.

        Raises:
            NotFound: There is no campaign with that ID. Raised when the listing is iterated.

        Source: "Campaign tracking, opens" page of the service's documentation.
        """
        return OpenActivity, "/opens", "opens"

    @_by_campaign
    def campaign_clicks(self) -> Report[ClickActivity]:
        """List the clicks on links of a campaign.

        Raises:
            NotFound: There is no campaign with that ID. Raised when the listing is iterated.

        Source: "Campaign tracking, clicks" page of the service's documentation.
        """
        return ClickActivity, "/clicks", "clicks"

    def campaign_link_clicks(
        self,
        campaign_id: str,
        link_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[ClickActivity]:
        """List the clicks on one link of a campaign.

        Args:
            campaign_id: The campaign.
            link_id: The link: `url_uid` of a campaign's `click_through_details`.
            created_since: Only rows from this time on. Needs a time zone.
            limit: Rows per page, from 1 to 500. The default is 500.
            on_bad_row: "skip" to continue after rows that cannot be read; see `Listing`.

        Raises:
            NotFound: There is no such campaign or link. Raised when the listing is iterated.

        Source: "Campaign tracking, clicks by link" page of the service's documentation.
        """
        path = path_to(CAMPAIGN + "/clicks/{}", campaign_id, link_id)
        what = f"clicks on link {link_id} of campaign {campaign_id}"
        query = {"created_since": created_since}
        return self._list(
            ClickActivity, path, what=what, limit=limit, query=query, on_bad_row=on_bad_row
        )

    @_by_campaign
    def campaign_forwards(self) -> Report[ForwardActivity]:
        """List the messages of a campaign that were forwarded.

        Raises:
            NotFound: There is no campaign with that ID. Raised when the listing is iterated.

        Source: "Campaign tracking, forwards" page of the service's documentation.
        """
        return ForwardActivity, "/forwards", "forwards"

    @_by_campaign
    def campaign_bounces(self) -> Report[BounceActivity]:
        """List the messages of a campaign that bounced, and why.

        Raises:
            NotFound: There is no campaign with that ID. Raised when the listing is iterated.

        Source: "Campaign tracking, bounces" page of the service's documentation.
        """
        return BounceActivity, "/bounces", "bounces"

    @_by_campaign
    def campaign_unsubscribes(self) -> Report[UnsubscribeActivity]:
        """List the readers who unsubscribed because of a campaign, and why.

        Raises:
            NotFound: There is no campaign with that ID. Raised when the listing is iterated.

        Source: "Campaign tracking, unsubscribes" page of the service's documentation.
        """
        return UnsubscribeActivity, "/unsubscribes", "unsubscribes"

    async def contact_summary(
        self, contact_id: str, *, update_summary: bool = False
    ) -> ContactTrackingSummary:
        """Return how often one contact was sent messages, opened, clicked and so on.

        Args:
            contact_id: The contact.
            update_summary: Whether the service recounts before it answers.

        Raises:
            NotFound: There is no contact with that ID.

        Source: "Contact tracking summary report" page of the service's documentation.
        """
        path = path_to(CONTACT + "/reports/summary", contact_id)
        what = f"tracking summary of contact {contact_id}"
        query = {"updateSummary": update_summary}
        return await self._get(ContactTrackingSummary, path, what=what, query=query)

    async def contact_summary_by_campaign(
        self, contact_id: str, *, on_bad_row: OnBadRow = "raise"
    ) -> list[ContactCampaignSummary]:
        """Return the summary of one contact for each campaign sent to it, without unsubscribes.

        Raises:
            NotFound: There is no contact with that ID.

        Source: "Contact tracking summary by campaign" page of the service's documentation.
        """
        path = path_to(CONTACT + "/reports/summaryByCampaign", contact_id)
        what = f"tracking summary of contact {contact_id} by campaign"
        return await self._get_rows(ContactCampaignSummary, path, what=what, on_bad_row=on_bad_row)

    @_by_contact
    def contact_activities(self) -> Report[TrackingActivity]:
        """List everything that happened with one contact, newest first; see `activity_type`.

        Raises:
            NotFound: There is no contact with that ID. Raised when the listing is iterated.

        Source: "Contact tracking, all activities" page of the service's documentation.
        """
        return TrackingActivity, "", "tracking"

    @_by_contact
    def contact_sends(self) -> Report[SendActivity]:
        """List the messages that were sent to one contact.

        Raises:
            NotFound: There is no contact with that ID. Raised when the listing is iterated.

        Source: "Contact tracking, sends" page of the service's documentation.
        """
        return SendActivity, "/sends", "sends"

    @_by_contact
    def contact_opens(self) -> Report[OpenActivity]:
        """List when messages to one contact were opened.

        Raises:
            NotFound: There is no contact with that ID. Raised when the listing is iterated.

        Source: "Contact tracking, opens" page of the service's documentation.
        """
        return OpenActivity, "/opens", "opens"

    @_by_contact
    def contact_clicks(self) -> Report[ClickActivity]:
        """List the clicks on links of messages to one contact.

        Raises:
            NotFound: There is no contact with that ID. Raised when the listing is iterated.

        Source: "Contact tracking, clicks" page of the service's documentation.
        """
        return ClickActivity, "/clicks", "clicks"

    def contact_link_clicks(
        self,
        contact_id: str,
        link_id: str,
        *,
        created_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[ClickActivity]:
        """List the clicks on one link of messages to one contact.

        Args:
            contact_id: The contact.
            link_id: The link: `url_uid` of a campaign's `click_through_details`.
            created_since: Only rows from this time on. Needs a time zone.
            limit: Rows per page, from 1 to 500. The default is 500.
            on_bad_row: "skip" to continue after rows that cannot be read; see `Listing`.

        Raises:
            NotFound: There is no such contact or link. Raised when the listing is iterated.

        Source: The official SDKs; its page of the documentation was not available.
        """
        path = path_to(CONTACT + "/clicks/{}", contact_id, link_id)
        what = f"clicks on link {link_id} of contact {contact_id}"
        query = {"created_since": created_since}
        return self._list(
            ClickActivity, path, what=what, limit=limit, query=query, on_bad_row=on_bad_row
        )

    @_by_contact
    def contact_forwards(self) -> Report[ForwardActivity]:
        """List the messages to one contact that were forwarded.

        Raises:
            NotFound: There is no contact with that ID. Raised when the listing is iterated.

        Source: "Contact tracking, forwards" page of the service's documentation.
        """
        return ForwardActivity, "/forwards", "forwards"

    @_by_contact
    def contact_bounces(self) -> Report[BounceActivity]:
        """List the messages to one contact that bounced, and why.

        Raises:
            NotFound: There is no contact with that ID. Raised when the listing is iterated.

        Source: "Contact tracking, bounces" page of the service's documentation.
        """
        return BounceActivity, "/bounces", "bounces"

    @_by_contact
    def contact_unsubscribes(self) -> Report[UnsubscribeActivity]:
        """List when one contact unsubscribed, and why.

        Raises:
            NotFound: There is no contact with that ID. Raised when the listing is iterated.

        Source: "Contact tracking, unsubscribes" page of the service's documentation.
        """
        return UnsubscribeActivity, "/unsubscribes", "unsubscribes"
