"""`ccv2 poll`: jobs that were started earlier, here or elsewhere, followed to their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from rich.text import Text

from ccv2_async import errors
from ccv2_async.cli.exits import Exit, heaviest
from ccv2_async.cli.jobs import (
    JobItem,
    Stage,
    exit_of_items,
    follow_all,
    tell_unfinished,
)
from ccv2_async.cli.live import STYLES, shown
from ccv2_async.cli.output import Output, clean
from ccv2_async.cli.running import run
from ccv2_async.cli.service import Service, open_client
from ccv2_async.cli.tables import linked, table
from ccv2_async.cli.totals import Totals

if TYPE_CHECKING:
    from rich.table import Table

    from ccv2_async.cli.jobs import Display
    from ccv2_async.client import ConstantContact

__all__ = ["poll"]

_SHOWN = 24
"""Characters of a token that cannot be used, as messages show it."""


def poll(
    tokens: list[str],
    /,
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Wait for jobs that were started earlier, until each has ended.

    Many tokens are asked for in one request. A sandbox that starts with the command knows no
    jobs: for those, run 'ccv2 sandbox' and set CCV2_BASE_URL.

    Args:
        tokens: What 'ccv2 upload --no-wait' or an interrupted command printed.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json)
    return run(lambda: _Wait(output, service).carry_out(tokens), output)


@attrs.define
class _Wait:
    """One run of the command."""

    output: Output
    service: Service
    tokens: dict[JobItem, str] = attrs.field(factory=dict, init=False)

    async def carry_out(self, tokens: list[str]) -> Exit:
        """Follow the jobs of all tokens that can be used."""
        refused = 0
        async with open_client(self.service) as client:
            for token in dict.fromkeys(tokens):
                refused += not self._take(client, token)
            items = list(self.tokens)
            async with shown(
                items,
                self.output,
                Totals(items, client.budget),
                results_come=self.output.as_json,
            ) as display:
                await follow_all(
                    items,
                    display,
                    told=self._tell_result,
                    interrupted=lambda: self._interrupted(items, display),
                )
        tell_unfinished(items, self.output, sandbox=self.service.sandbox)
        if items and not self.output.as_json:
            self.output.show(_table(items))
        codes = [exit_of_items(items)]
        return heaviest([*codes, Exit.SOME_FAILED] if refused else codes)

    def _take(self, client: ConstantContact, token: str) -> bool:
        """Whether the token can be used."""
        try:
            poller = client.resume(token)
        except errors.TokenError as error:
            self.output.complain(f"{token[:_SHOWN]}...: {error.message}")
            if self.output.as_json:
                self.output.record(_fields(token=token, error=error.message))
            return False
        item = JobItem(f"{poller.kind} {poller.id}", stage=Stage.AT_SERVICE, status=poller.status)
        item.poller = poller
        self.tokens[item] = token
        return True

    def _tell_result(self, item: JobItem) -> None:
        if self.output.as_json:
            self.output.record(_fields_of(item))

    def _interrupted(self, items: list[JobItem], display: Display) -> None:
        display.stop()
        left = [item for item in items if not item.ended]
        tell_unfinished(left, self.output, sandbox=self.service.sandbox)
        for item in left:
            self._tell_result(item)


def _fields(**more: Any) -> dict[str, Any]:
    return {"kind": None, "id": None, "status": None, "url": None, **more}


def _fields_of(item: JobItem) -> dict[str, Any]:
    fields = _fields(status=item.status)
    if item.poller is not None:
        fields |= {"kind": item.poller.kind, "id": item.poller.id, "token": item.poller.token()}
    if item.result is not None:
        fields["url"] = getattr(item.result, "url", None)
    if item.error is not None:
        fields["error"] = item.error.message
    return fields


def _table(items: list[JobItem]) -> Table:
    """The closing table."""
    closing = table("job", "state", "url")
    for item in items:
        closing.add_row(
            item.label,
            Text(clean(item.word), style=STYLES[item.stage]),
            linked(getattr(item.result, "url", None)),
        )
    return closing
