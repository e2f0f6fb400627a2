"""Events: plan, publish and cancel them, and see who registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccv2_async.models.events import Event, EventStatus, EventStatusPatch, EventSummary, EventWrite
from ccv2_async.models.registrants import Registrant, RegistrantDetail
from ccv2_async.models.validation import checked_model, one_of
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

    The service reportedly withdrew these endpoints in 2024. It answers every call with 400
    `http.status.gone`, which raises `EndpointRetired`. The methods remain for accounts and test
    servers that still serve them.
    """

    def all(
        self, *, limit: int | None = None, on_bad_row: OnBadRow = "raise"
    ) -> Listing[EventSummary]:
        """List the events of the account in brief; `get` returns all details.

        Args:
            limit: Rows in a page, from 1 to 50. The default is 50.
            on_bad_row: "skip" to continue after rows that cannot be read; see `Listing`.

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
        """Return one event.

        Raises:
            NotFound: There is no event with that id.

        Source: "Individual events", GET, of the service's documentation.
        """
        return await self._get(Event, path_to(EVENT, event_id), what=f"event {event_id}")

    async def create(self, event: EventWrite) -> Event:
        """Create an event as a DRAFT; `publish` opens it.

        Raises:
            Conflict: There is already an event with that name.
            OutcomeUnknown: No answer came; it may exist. Safe to try again: look at `all` first.

        Source: "Events collection", POST, of the service's documentation.
        """
        checked_model(event, EventWrite, "event")
        return await self._create(
            Event, "/eventspot/events", event, what=f"creation of event {event.name}"
        )

    async def update(self, event_id: str, **changes: Unpack[EventChanges]) -> Event:
        """Change fields of an event, and return the result.

        A field that is not given keeps its value, and None erases it. This makes two calls: it
        reads the event and sends it back with the changes. If you have read it yourself, `replace`
        makes one call.

        Args:
            event_id: The event.
            changes: The new values, by the names of `EventWrite`.

        Source: "Individual events", PUT, of the service's documentation.
        """
        path = path_to(EVENT, event_id)
        return await self._update(Event, path, changes, EventWrite, what=f"event {event_id}")

    async def replace(self, event: Event) -> Event:
        """Replace an event, and return what the service stored.

        Fields that are None are erased, except for read-only fields, such as the status.

        Source: "Individual events", PUT, of the service's documentation.
        """
        checked_model(event, Event, "event")
        return await self._replace(
            Event, path_to(EVENT, event.id), event, what=f"update of event {event.id}"
        )

    async def set_status(self, event_id: str, status: EventStatus | str) -> Event:
        """Change the status of an event; `publish` and `cancel` do this by name.

        Args:
            event_id: The event.
            status: ACTIVE publishes a DRAFT; CANCELLED cancels an ACTIVE event.

        Raises:
            NotFound: There is no event with that id.
            BadRequest: The status of the event does not allow it.

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
        """Open a DRAFT event for registration, and return it. It is ACTIVE then."""
        return await self.set_status(event_id, EventStatus.ACTIVE)

    async def cancel(self, event_id: str) -> Event:
        """Cancel an ACTIVE event, and return it. It is CANCELLED then."""
        return await self.set_status(event_id, EventStatus.CANCELLED)

    def registrants(
        self, event_id: str, *, limit: int | None = None, on_bad_row: OnBadRow = "raise"
    ) -> Listing[Registrant]:
        """List who registered for an event in brief; `get_registrant` returns all details.

        Args:
            event_id: The event.
            limit: Rows in a page. The service does not document a maximum.
            on_bad_row: "skip" to continue after rows that cannot be read; see `Listing`.

        Raises:
            NotFound: There is no event with that id. Raised when the listing is iterated.

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
        """Return all details of one registrant: answers, guests and payments.

        Raises:
            NotFound: There is no such event or registrant.

        Source: "Registrants resource" page of the service's documentation.
        """
        return await self._get(
            RegistrantDetail,
            path_to(EVENT + "/registrants/{}", event_id, registrant_id),
            what=f"registrant {registrant_id} of event {event_id}",
        )
