"""`ccv2 activities`: bulk activities, and waiting for them."""

from __future__ import annotations

from cyclopts import App

from ccv2_async.cli.exits import Exit
from ccv2_async.cli.jobs import counted
from ccv2_async.cli.output import Output, clean
from ccv2_async.cli.running import run
from ccv2_async.cli.service import Service, open_client
from ccv2_async.cli.tables import moment, table
from ccv2_async.cli.waiting import Wait
from ccv2_async.models import (
    ActivityStatus,  # noqa: TC001  # cyclopts reads it at run time
    ActivityType,  # noqa: TC001  # cyclopts reads it at run time
    unstructure,
)

__all__ = ["activities"]

activities: App = App(
    name="activities",
    usage="Usage: ccv2 activities [COMMAND] [OPTIONS]",
    help="List bulk activities, or wait for them.",
)


@activities.default
def list_activities(
    *,
    status: ActivityStatus | None = None,
    type: ActivityType | None = None,  # noqa: A002  # the service's own word
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """List the last 50 bulk activities, or wait for them (see the command below).

    Args:
        status: Only those that stand so.
        type: Only those of this type.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json)

    async def listed() -> Exit:
        async with open_client(service) as client:
            found = await client.activities.all(status=status, type=type)
        rows = table("id", "type", "state", "created", "contacts", "errors")
        for activity in found:
            if output.as_json:
                output.record(unstructure(activity))
            rows.add_row(
                clean(activity.id),
                clean(str(activity.type or "")),
                clean(str(activity.status or "")),
                moment(activity.created_date),
                "" if activity.contact_count is None else f"{activity.contact_count:,}",
                "" if activity.error_count is None else f"{activity.error_count:,}",
            )
        if found and not output.as_json:
            output.show(rows)
        output.say(f"{counted(len(found), 'activity', 'activities')}.")
        return Exit.OK

    return run(listed, output)


@activities.command(usage="Usage: ccv2 activities watch [OPTIONS] [JOBS]")
def watch(
    jobs: list[str] | None = None,
    /,
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Wait for activities until each has ended; for all that go on, unless some are named.

    Args:
        jobs: Tokens, or ids as 'ccv2 activities' lists them.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json)
    return run(
        lambda: Wait(output, service, ids_too=True).carry_out(dict.fromkeys(jobs or (), "")), output
    )
