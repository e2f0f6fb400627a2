"""Waiting for jobs that are named by tokens, or activities by their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ccv2_async import errors
from ccv2_async.cli.exits import Exit, heaviest
from ccv2_async.cli.jobs import JobItem, Stage, exit_of_items, follow_all, tell_unfinished
from ccv2_async.cli.live import shown
from ccv2_async.cli.reports import job_fields, job_table, tell_rows
from ccv2_async.cli.service import open_client
from ccv2_async.cli.totals import Totals
from ccv2_async.cli.wording import told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccv2_async.cli.jobs import Display
    from ccv2_async.cli.output import Output
    from ccv2_async.cli.service import Service
    from ccv2_async.client import ConstantContact
    from ccv2_async.polling.poller import ActivityPoller, UploadPoller

__all__ = ["TOKEN", "Wait"]

TOKEN = "ccv2p"  # noqa: S105  # how every token begins
_SHOWN = 24
"""Characters of a token that cannot be used, as messages show it."""


@attrs.define
class Wait:
    """One run of a command that waits for jobs.

    Attributes:
        output: Where it is told.
        service: The options of the command.
        ids_too: Whether anything but a token is the id of an activity.
    """

    output: Output
    service: Service
    ids_too: bool = False
    items: list[JobItem] = attrs.field(factory=list, init=False)

    async def carry_out(self, names: Mapping[str, str]) -> Exit:
        """Follow the jobs of all tokens or ids that can be used; of none, all that go on.

        Args:
            names: Tokens or ids, each with what messages call its job; "" for its kind and id.
        """
        refused = False
        async with open_client(self.service) as client:
            for name, label in (names or await self._going_on(client)).items():
                refused |= not await self._take(client, name, label)
            totals = Totals(self.items, client.budget)
            async with shown(
                self.items, self.output, totals, results_come=self.output.as_json
            ) as display:
                await follow_all(
                    self.items,
                    display,
                    told=self._tell_result,
                    interrupted=lambda: self._interrupted(display),
                )
        tell_unfinished(self.items, self.output, sandbox=self.service.sandbox)
        if self.items and not self.output.as_json:
            for item in self.items:
                tell_rows(item, self.output)
            self.output.show(job_table(self.items))
        codes = [exit_of_items(self.items)]
        return heaviest([*codes, Exit.SOME_FAILED] if refused else codes)

    async def _going_on(self, client: ConstantContact) -> dict[str, str]:
        activities = await client.activities.all()
        ids = [activity.id for activity in activities if not activity.outcome.is_terminal]
        if not ids:
            self.output.say("No activity is going on.")
        return dict.fromkeys(ids, "")

    async def _take(self, client: ConstantContact, name: str, label: str) -> bool:
        """Take up a job; return whether it can be followed."""
        try:
            poller = await self._poller_of(client, name)
        except (errors.TokenError, errors.NotFound, errors.InvalidField) as error:
            sentence = told(error)
            shown_name = f"{name[:_SHOWN]}..." if len(name) > _SHOWN else name
            self.output.complain(f"{label or shown_name}: {sentence}")
            if self.output.as_json:
                key = "id" if self.ids_too and not name.startswith(TOKEN) else "token"
                self.output.record(
                    {"kind": None, "id": None, "status": None, key: name, "error": sentence}
                )
            return False
        item = JobItem(
            label or f"{poller.kind} {poller.id}", stage=Stage.AT_SERVICE, status=poller.status
        )
        item.poller, item.id = poller, poller.id
        self.items.append(item)
        return True

    async def _poller_of(self, client: ConstantContact, name: str) -> UploadPoller | ActivityPoller:
        if not self.ids_too or name.startswith(TOKEN):
            return client.resume(name)
        await client.activities.get(name)  # a wrong id is told at once, not after a wait
        return client.resume_activity(name)

    def _tell_result(self, item: JobItem) -> None:
        if self.output.as_json:
            self.output.record(job_fields(item))

    def _interrupted(self, display: Display) -> None:
        display.stop()
        left = [item for item in self.items if not item.ended]
        tell_unfinished(left, self.output, sandbox=self.service.sandbox)
        for item in left:
            self._tell_result(item)
