"""The twenty-seven operations of events and of what belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.areas.event_parts import PART_OPERATIONS
from ccv2_async.sandbox.areas.registrants import REGISTRANT_OPERATIONS
from ccv2_async.sandbox.areas.rows import CREATE, READ, READ_ONE, UPDATE, limit
from ccv2_async.sandbox.clock import utc_stamp
from ccv2_async.sandbox.fields import Field
from ccv2_async.sandbox.operations import Answer, JsonBody, Operation, Shape
from ccv2_async.sandbox.paging import page
from ccv2_async.sandbox.schemas import events as schemas

if TYPE_CHECKING:
    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.state.events import Event

_DEFAULTS: dict[str, Any] = {
    "currency_type": "USD",
    "is_virtual_event": False,
    "is_calendar_displayed": True,
    "is_checkin_available": False,
    "is_map_displayed": True,
    "are_registrants_public": False,
    "theme_name": "Default",
}
_SUMMARY = (
    *("name", "title", "type", "location", "address", "description", "start_date", "end_date"),
    *("time_zone_id", "is_checkin_available"),
)


def _dates(event: Event) -> dict[str, str]:
    moments = {
        "created_date": event.created,
        "active_date": event.active,
        "cancelled_date": event.cancelled,
        "updated_date": event.modified,
    }
    return {name: utc_stamp(moment) for name, moment in moments.items() if moment is not None}


def _show(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        **_DEFAULTS,
        **event.fields,
        "status": event.status,
        "time_zone_description": event.fields["time_zone_id"],
        "registration_url": f"https://events.example.com/register?llr={event.id}",
        "total_registered_count": len(event.registrants),
        **_dates(event),
    }


def _show_summary(event: Event) -> dict[str, Any]:
    fields = {**_DEFAULTS, **event.fields}
    dates = _dates(event)
    return {
        "id": event.id,
        "status": event.status,
        **{name: fields[name] for name in _SUMMARY if name in fields},
        **{name: dates[name] for name in ("created_date", "active_date") if name in dates},
        "event_detail_url": f"https://events.example.com/event?llr={event.id}",
    }


def events_list(call: Call) -> Answer:
    """Summaries of the events, newest first."""
    events = list(call.world.events.events.values())
    return page(call, events[::-1], _show_summary)


def event_create(call: Call) -> Answer:
    """Create a draft."""
    made = call.world.events.create(call.body, call.now)
    return Answer(201, _show(made), {"Location": call.url(f"/eventspot/events/{made.id}")})


def event_get(call: Call) -> Answer:
    """Return one event without null fields."""
    return Answer(200, _show(call.world.events.event(call.ids["eventId"])))


def event_update(call: Call) -> Answer:
    """Replace an event. Missing fields are erased."""
    return Answer(200, _show(call.world.events.change(call.ids["eventId"], call.body, call.now)))


def event_set_status(call: Call) -> Answer:
    """Publish or cancel an event."""
    status = call.body[0]["value"]
    return Answer(200, _show(call.world.events.set_status(call.ids["eventId"], status, call.now)))


_EVENTS = "/eventspot/events"
_EVENT = f"{_EVENTS}/{{eventId}}"
_ONE = Shape("one", schemas.EVENT)
_WRITE = JsonBody.of(schemas.EVENT_WRITE)

OPERATIONS = (
    Operation(
        "events_list",
        "GET",
        _EVENTS,
        events_list,
        READ,
        Shape("page", schemas.EVENT_SUMMARY),
        query={"limit": limit(50, 50)},
    ),
    Operation("event_create", "POST", _EVENTS, event_create, CREATE, _ONE, body=_WRITE),
    Operation("event_get", "GET", _EVENT, event_get, READ_ONE, _ONE),
    Operation("event_update", "PUT", _EVENT, event_update, UPDATE, _ONE, body=_WRITE),
    Operation(
        "event_set_status",
        "PATCH",
        _EVENT,
        event_set_status,
        UPDATE,
        _ONE,
        body=JsonBody.array(
            Field("object", required=True, model=schemas.EVENT_STATUS_PATCH), exactly=1
        ),
    ),
    *PART_OPERATIONS,
    *REGISTRANT_OPERATIONS,
)
