"""A sandbox with an account that is hard to copy: odd names, namesakes, and many pages of rows."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.sandbox import Sandbox
from ccv2_async.sandbox.clock import utc_stamp
from ccv2_async.sandbox.forms import Content
from ccv2_async.sandbox.state.contacts import OWNER

if TYPE_CHECKING:
    from ccv2_async.sandbox.state.campaigns import Campaigns
    from ccv2_async.sandbox.state.contacts import Contacts
    from ccv2_async.sandbox.state.library import Library
    from ccv2_async.sandbox.world import World

_DAY = 86_400.0
ODD_NAMES = (
    *("spring/tulips.png", "../escape.png", "/etc/passwd", "C:\\Users\\menu.pdf", "a:b.png"),
    *("..", ".", "...", ".hidden", "-rf.png", "~.png", "%2F.png", "$HOME.png"),
    *("CON", "nul.png", "aux.pdf", "COM1.png", "LPT9", "con.tar.gz"),
    *("dot at the end.", "space at the end ", " space first.png", "tab\there.png", "line\nend.png"),
    *("nothing\x00here.png", 'a"b<c>d|e?f*g.png', "bell\x07.png"),
    *("🍞.png", "👩‍👩‍👧‍👦.png", "パン.png", "caf\u00e9.png", "cafe\u0301.png", "\u202egnp.exe.png"),
    *("Menu.pdf", "menu.pdf", "MENU.PDF", "ß.png", "ss.png", "SS.png"),
    *("x" * 196 + ".png", "x" * 196 + ".gif", "🍞" * 196 + ".png", "é" * 200, "." + "y" * 199),
    *("library.jsonl", "manifest.json", "trash", "tulips", "Images"),
)
_NAMESAKES = ("IMG_0300.JPG", 3)
_FOLDERS = (
    *(("spring", ""), ("a/b", ""), ("..", ""), ("CON", ""), ("Été: déjà vu", "")),
    *(("tulips", "spring"), ("red", "tulips"), ("..", "spring"), ("dot.", "a/b"), ("x" * 200, "")),
)
_TEXTS = ("Ann", 'Bob "Bobby"', "a,b;c\td", "two\nlines", "=1+1", "Zoë", "🍞", "\\", " spaces ", "")
_CAMPAIGN_NAMES = ("a/b: c", "..", "CON", "x" * 80, "🍞 special", "nul.html", "sale", "SALE")


@attrs.frozen
class Truth:
    """The contents of an account.

    Attributes:
        rows: The number of rows, by data set.
        files: The SHA-256 of each file outside the trash, by id.
        trash: The same of the files in the trash.
        names: The names of both, by id.
        contacts: The number in a note's field that no model knows, by the contact's id.
    """

    rows: dict[str, int]
    files: dict[str, str]
    trash: dict[str, str]
    names: dict[str, str]
    contacts: dict[str, int]


def large_sandbox(seed: int, **settings: Any) -> Sandbox:
    """A sandbox with 300 files, 1,200 contacts, 20 lists, and 30 campaigns, not yet started."""
    options: dict[str, Any] = {"mode": "at_once", "log_size": 200_000, **settings}
    sandbox = Sandbox(seed=seed, **options)
    draw = random.Random(seed)  # noqa: S311  # repeatable
    world = sandbox._world
    now = world.clock.time()
    fill_contacts(world.contacts, draw, now)
    fill_campaigns(world.campaigns, draw, now)
    fill_library(world.library, draw, now)
    return sandbox


def fill_contacts(contacts: Contacts, draw: random.Random, now: float, count: int = 1_200) -> None:
    for number in range(2, 21):
        contacts.create_list(f"List {number}: a/b", "ACTIVE", now - 900 * _DAY)
    ids = list(contacts.lists)
    for number in range(count):
        came = now - draw.randrange(100, 800) * _DAY
        contact = contacts.add(f"contact{number}@example.com", "API", "ACTION_BY_OWNER", came)
        contact.fields = {
            "first_name": _TEXTS[number % len(_TEXTS)],
            "last_name": draw.choice(_TEXTS),
            "custom_fields": [{"name": "CustomField1", "value": draw.choice(_TEXTS)}],
            "notes": [_note(number, came)],
        }
        chosen = draw.sample(ids, draw.randrange(1, 5))
        if number % 2 == 0:
            chosen = ["1", *chosen]  # more readers than one page of a report holds
        contacts.join(contact, chosen, came)
        if number % 40 == 7:
            contacts.opt_out(contact, came + _DAY)
        elif number % 40 == 8:
            contacts.leave(contact, list(contact.lists), came + _DAY)


def _note(number: int, came: float) -> dict[str, Any]:
    """A note with a field that no model knows."""
    dates = dict.fromkeys(("created_date", "modified_date"), utc_stamp(came))
    return {"id": "1", "note": f"Note {number}", **dates, "extra": {"kept": number}}


def fill_campaigns(campaigns: Campaigns, draw: random.Random, now: float, count: int = 30) -> None:
    ids = list(campaigns.contacts.lists)
    for number in range(count):
        sent = now - draw.randrange(1, 90) * _DAY
        made = sent - _DAY
        name = _CAMPAIGN_NAMES[number] if number < len(_CAMPAIGN_NAMES) else f"Campaign {number}"
        fields = {
            "name": name,
            "subject": f"Subject {number}",
            "from_name": "Sandbox Bakery",
            "from_email": OWNER,
            "reply_to_email": OWNER,
            "email_content": f'<p>{name}</p><a href="https://www.example.com/{number}">a</a>'
            f'<a href="https://www.example.com/shop">é 🍞</a>{"<br>" * draw.randrange(2_000)}',
            "text_content": f"<text>{name}\né 🍞</text>",
            "sent_to_contact_lists": [{"id": "1" if number % 7 == 0 else draw.choice(ids)}],
        }
        campaign = campaigns.create(fields, made)
        if number % 10 == 9:
            continue  # a draft
        due = now + 30 * _DAY if number % 10 == 8 else sent
        campaigns.schedule(campaign.id, due, made)
        campaigns.settle(min(due, now))
    campaigns.settle(now)


def fill_library(library: Library, draw: random.Random, now: float, count: int = 300) -> None:
    ids = {"": "0"}
    for name, parent in _FOLDERS:
        made = library.create_folder(name, ids[parent], now - 500 * _DAY)
        ids.setdefault(name, made.id)
    places = ["0", *list(library.folders)]
    names = [*ODD_NAMES]
    names += [f"picture-{number}.png" for number in range(count - len(names) - _NAMESAKES[1])]
    stored = [
        _add_file(
            library, draw, name, ids["spring"] if name in ODD_NAMES else draw.choice(places), now
        )
        for name in names
    ]
    for _ in range(_NAMESAKES[1]):
        same = _add_file(library, draw, _NAMESAKES[0], ids["spring"], now)
        library.rename_file(same, _NAMESAKES[0])  # an upload would have got a numbered name
        stored.append(same)
    for name, row in zip(names, stored, strict=False):
        library.rename_file(row, name)
    for number in range(6):
        _add_file(library, draw, f"gone-{number // 2}.png", draw.choice(places), now)
    library.delete_files(list(library.files)[-6:], now - 2 * _DAY)


def _add_file(library: Library, draw: random.Random, name: str, folder: str, now: float) -> Any:
    content = Content(library.settings.keep_content)
    size = draw.choice((0, 1, 300, 5_000, 70_000, 300_000))
    # No picture begins with "<", as a page does.
    begin = (b"\x89" + draw.randbytes(7)) * min(size, 1)
    content.write(begin + b"x" * max(0, size - 8))
    kind = name.rpartition(".")[2].upper()
    texts = {"file_name": name, "folder_id": folder, "description": f"About {name}"[:100]}
    texts["file_type"] = kind if kind in ("PNG", "GIF", "JPG", "PDF") else "PNG"
    created = now - draw.randrange(40, 600) * _DAY
    stored = library.add_file({**texts, "source": "MyComputer"}, content, created)
    stored.forced = "Active"
    return stored


def truth_of(world: World) -> Truth:
    """Return the current contents of the account."""
    now = world.clock.time()
    library, contacts, campaigns = world.library, world.contacts, world.campaigns
    living = [row for row in campaigns.campaigns.values() if not row.deleted]
    rows = {
        "contacts": len(contacts.contacts),
        "lists": len(contacts.lists),
        "memberships": sum(len(contact.lists) for contact in contacts.contacts.values()),
        "campaigns": len(living),
        "schedules": sum(len(row.schedules) for row in living),
        "tracking": sum(len(campaigns.tracking.by_campaign.get(row.id, ())) for row in living),
        "folders": len(library.folders),
        "library": len(library.live_files(now)),
    }
    return Truth(
        rows,
        files={row.id: row.sha256 for row in library.live_files(now)},
        trash={row.id: row.sha256 for row in library.trash(now)},
        names={row.id: row.name for row in library.files.values()},
        contacts={
            row.id: row.fields["notes"][0]["extra"]["kept"] for row in contacts.contacts.values()
        },
    )
