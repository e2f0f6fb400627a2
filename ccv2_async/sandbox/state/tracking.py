"""What contacts did with campaigns: invented from the seed."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccv2_async.sandbox.state.contacts import Contact

SEND, OPEN, CLICK = "EMAIL_SEND", "EMAIL_OPEN", "EMAIL_CLICK"
FORWARD, BOUNCE, UNSUBSCRIBE = "EMAIL_FORWARD", "EMAIL_BOUNCE", "EMAIL_UNSUBSCRIBE"
BOUNCE_CODES = {
    "B": "Non-existent address",
    "D": "Undeliverable",
    "F": "Mailbox full",
    "S": "Suspended",
    "V": "Vacation or auto-reply",
    "X": "Other",
    "Z": "Blocked",
}
_LINK = re.compile(r"""href\s*=\s*["'](https?://[^"']+)["']""", re.IGNORECASE)
_STEP = 0.001


@attrs.frozen
class Link:
    """A link in a campaign; `uid` is what reports call it."""

    uid: str
    url: str


@attrs.frozen
class Deed:
    """One event of a contact and a campaign, such as an open or a bounce."""

    kind: str
    campaign_id: str
    contact_id: str
    email: str
    at: float
    link: Link | None = None
    bounce_code: str = ""


def find_links(content: str, campaign_id: str) -> list[Link]:
    """Return the links of a campaign's content, each once."""
    urls = list(dict.fromkeys(_LINK.findall(content)))
    return [Link(f"{campaign_id}{number:02d}", url) for number, url in enumerate(urls, 1)]


def make_deeds(
    seed: int, campaign_id: str, links: list[Link], contact: Contact, sent: float
) -> Iterator[Deed]:
    """Return what one contact does with a campaign sent at `sent`, oldest first."""
    draw = random.Random(f"{seed}:{campaign_id}:{contact.id}")  # noqa: S311 - made-up reports
    moment = sent

    def deed(kind: str, link: Link | None = None, code: str = "") -> Deed:
        nonlocal moment
        moment += _STEP
        return Deed(kind, campaign_id, contact.id, contact.email, moment, link, code)

    yield deed(SEND)
    if draw.random() < 0.04:
        yield deed(BOUNCE, code=draw.choice(sorted(BOUNCE_CODES)))
        return
    for _ in range(draw.choice((0, 0, 1, 1, 2))):
        yield deed(OPEN)
        if links and draw.random() < 0.5:
            yield deed(CLICK, draw.choice(links))
        if draw.random() < 0.05:
            yield deed(FORWARD)
    if draw.random() < 0.02:
        yield deed(UNSUBSCRIBE)


def _no_deeds() -> dict[str, list[Deed]]:
    return {}


@attrs.define
class Tracking:
    """All deeds, by campaign and by contact, oldest first."""

    by_campaign: dict[str, list[Deed]] = attrs.field(factory=_no_deeds)
    by_contact: dict[str, list[Deed]] = attrs.field(factory=_no_deeds)

    def record(self, deed: Deed) -> None:
        """Remember a deed."""
        self.by_campaign.setdefault(deed.campaign_id, []).append(deed)
        self.by_contact.setdefault(deed.contact_id, []).append(deed)
