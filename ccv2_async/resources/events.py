"""Events: plan, publish and cancel them, and see who registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccv2_async.models.arguments import checked_model, one_of
from ccv2_async.models.events import Event, EventStatus, EventStatusPatch, EventSummary, EventWrite
from ccv2_async.models.registrants import Registrant, RegistrantDetail
from ccv2_async.resources.base import path_to, result_of
from ccv2_async.resources.event_sales import EVENT, EventSales
from ccv2_async.transport.calls.retry import Effect

if TYPE_CHECKING:
    from typing import Unpack

    from ccv2_async.resources.changes import EventChanges
    from ccv2_async.resources.listing import Listing, OnBadRow

MOST_ROWS = 50
PATCHABLE = (EventStatus.ACTIVE, EventStatus.CANCELLED)


class Events(EventSales):
    """`client.events`: events, what they sell, and who registered for them.

    The service is reported to have withdrawn these endpoints in 2024: it answers every call
    with 400 `http.status.gone`, which raises `EndpointRetired`. The methods are kept for accounts
    and stand-ins that still serve them.
    """

    def all(
        self, *, limit: int | None = None, on_bad_row: OnBadRow = "raise"
    ) -> Listing[EventSummary]:
        """The events of the account, in brief; `get` has the rest.

        Args:
            limit: Rows in a page, from 1 to 50; the service gives 50 unless asked.
            on_bad_row: "skip" to go on behind rows that cannot be read; see `Listing`.

        Source: "Events collection", GET, of the service's documentation; an SDK for the limit.
        """
        return self._list(
            EventSummary,
            "/eventspot/events",
            what="events",
            limit=limit,
            most=MOST_ROWS,
            on_bad_row=on_bad_row,
        )

    async def get(self, event_id: str) -> Event:
        """One event.

        Raises:
            NotFound: There is no event with that id.

        Source: "Individual events", GET, of the service's documentation.
        """
        return await self._get(Event, path_to(EVENT, event_id), what=f"event {event_id}")

    async def create(self, event: EventWrite) -> Event:
        """A new event, a DRAFT; `publish` opens it.

        Raises:
            Conflict: There is an event of that name already.
            OutcomeUnknown: No answer came; it may exist. Safe to try again: look at `all` first.

        Source: "Events collection", POST, of the service's documentation.
        """
        checked_model(event, EventWrite, "event")
        return await self._create(
            Event, "/eventspot/events", event, what=f"creation of event {event.name}"
        )

    async def update(self, event_id: str, **changes: Unpack[EventChanges]) -> Event:
        """The changed event; what is not given stays as it is, None erases.

        The service replaces the whole event, so it is read first and sent back with the changes:
        two calls. `replace` is the one call, for an event that you have read yourself.

        Args:
            event_id: The event.
            changes: The new values, by the names of `EventWrite`.

        Source: "Individual events", PUT, of the service's documentation.
        """
        path = path_to(EVENT, event_id)
        return await self._update(Event, path, changes, EventWrite, what=f"event {event_id}")

    async def replace(self, event: Event) -> Event:
        """The event as the service keeps it after taking the whole that is given.

        What it leaves out is erased, except for read-only fields; its status is one of those.

        Source: "Individual events", PUT, of the service's documentation.
        """
        checked_model(event, Event, "event")
        return await self._replace(
            Event, path_to(EVENT, event.id), event, what=f"update of event {event.id}"
        )

    async def set_status(self, event_id: str, status: EventStatus | str) -> Event:
        """The event in its new state; `publish` and `cancel` are this, by name.

        Args:
            event_id: The event.
            status: ACTIVE publishes a DRAFT, CANCELLED cancels an ACTIVE one.

        Raises:
            NotFound: There is no event with that id.
            BadRequest: The event's state does not allow it.

        Source: "Individual events", PATCH, of the service's documentation.
        """
        word = one_of("status", status, PATCHABLE)
        answer = await self._write(
            "PATCH",
            path_to(EVENT, event_id),
            [EventStatusPatch(str(word))],
            effect=Effect.IDEMPOTENT,
            what=f"change of event {event_id} to {word}",
        )
        return await result_of(answer, Event)

    async def publish(self, event_id: str) -> Event:
        """The event, once it is ACTIVE and open for registration; it was a DRAFT."""
        return await self.set_status(event_id, EventStatus.ACTIVE)

    async def cancel(self, event_id: str) -> Event:
        """The event, once it is CANCELLED; it was ACTIVE."""
        return await self.set_status(event_id, EventStatus.CANCELLED)

    def registrants(
        self, event_id: str, *, limit: int | None = None, on_bad_row: OnBadRow = "raise"
    ) -> Listing[Registrant]:
        """Who registered for an event, in brief; `get_registrant` has the rest.

        Args:
            event_id: The event.
            limit: Rows in a page; the service does not say how many it gives at most.
            on_bad_row: "skip" to go on behind rows that cannot be read; see `Listing`.

        Raises:
            NotFound: There is no event with that id, when iterated.

        Source: "Registrants collection" page of the service's documentation.
        """
        return self._list(
            Registrant,
            path_to(EVENT + "/registrants", event_id),
            what=f"registrants of event {event_id}",
            limit=limit,
            most=None,
            on_bad_row=on_bad_row,
        )

    async def get_registrant(self, event_id: str, registrant_id: str) -> RegistrantDetail:
        """Everything about one registrant: answers, guests, and what was paid.

        Raises:
            NotFound: There is no such event or registrant.

        Source: "Registrants resource" page of the service's documentation.
        """
        return await self._get(
            RegistrantDetail,
            path_to(EVENT + "/registrants/{}", event_id, registrant_id),
            what=f"registrant {registrant_id} of event {event_id}",
        )
