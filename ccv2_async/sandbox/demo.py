"""The account that `Sandbox(seed="demo")` starts with: a bakery and its customers.

Everything is the same in every such sandbox. The dates are relative to the sandbox's clock.
"""

from __future__ import annotations

import struct
import unicodedata
import zlib
from typing import TYPE_CHECKING

from ccv2_async.sandbox.clock import utc_stamp
from ccv2_async.sandbox.forms import Content
from ccv2_async.sandbox.state.activities import ADD, Outcome, Work
from ccv2_async.sandbox.state.contacts import OWNER

if TYPE_CHECKING:
    from ccv2_async.sandbox.state.activities import Activities
    from ccv2_async.sandbox.state.campaigns import Campaigns
    from ccv2_async.sandbox.state.contacts import Contacts
    from ccv2_async.sandbox.state.events import Events
    from ccv2_async.sandbox.state.library import Library

_DAY = 86_400.0
_FIRST_NAMES = "Amara Bruno Chloé Dmitri Elena Farid Grace Hiro Inés Jonas Keiko Liam"
_LAST_NAMES = "Abbott Brandt Castillo Dubois Eriksen Fischer Grant Haddad Ivanova Jensen"
# The lists by name: their status, and n if every n-th contact is on them.
_LISTS = {
    "Newsletter": ("ACTIVE", 1),
    "Wholesale customers": ("ACTIVE", 6),
    "Cake decorating class": ("ACTIVE", 4),
    "Holiday orders": ("ACTIVE", 3),
    "Customers until 2019": ("HIDDEN", 10),
}
_STATUSES = {17: "UNCONFIRMED", 51: "REMOVED", 85: "UNCONFIRMED"}
# The campaigns by name: subject, list, and the days until they are sent; None for a draft.
_CAMPAIGNS: dict[str, tuple[str, str, int | None]] = {
    "Autumn menu": ("Pumpkin is back", "Newsletter", -80),
    "New opening hours": ("We now open at six", "Newsletter", -66),
    "Wholesale prices: what changes": ("Your price list", "Wholesale customers", -45),
    "Class 3/4: sugar flowers": ("Saturday's class", "Cake decorating class", -31),
    "Holiday orders": ("Order your stollen", "Holiday orders", -12),
    "Weekend special": ("Two loaves for one", "Newsletter", -3),
    "Winter menu": ("Spice, cream, and cardamom", "Newsletter", 9),
    "Spring menu": ("Rhubarb!", "Newsletter", None),
}
_FOLDERS = {"Logos": "", "Products": "", "Bread": "Products", "Cakes": "Products", "Prices": ""}
# The files: folder, name, description, and the color of a picture or the text of a document.
_FILES = (
    ("Logos", "logo.png", "Logo", "8a4b2a"),
    ("Logos", "logo-dark.png", "Logo on dark paper", "2b1a12"),
    ("Bread", "rye.png", "Rye loaf", "5b3a21"),
    ("Bread", "baguette.png", "Baguettes", "d9a35b"),
    ("Bread", "sourdough.png", "Sourdough", "b98552"),
    ("Bread", "special.png", "Special of the week", "e4c590"),
    ("Cakes", "cheesecake.png", "Cheesecake", "f6e7b4"),
    ("Cakes", "red velvet.png", "Red velvet", "a3212f"),
    ("Cakes", "pistachio.png", "Pistachio", "93b56b"),
    ("Cakes", "special.png", "Special of the week", "c9738c"),
    ("Prices", "wholesale.pdf", "Wholesale prices", "Rye 3.20|Baguette 1.10|Sourdough 4.00"),
    ("Prices", "retail.pdf", "Retail prices", "Rye 4.50|Baguette 1.80|Sourdough 5.60"),
    ("", "shop window.png", "Our shop", "7fa7c4"),
    ("", "menu.pdf", "Menu", "Breakfast from six|Soup from eleven|Cake all day"),
    ("", "old menu.pdf", "Last year's menu", "Breakfast from seven|Cake all day"),
)
_TRASHED = "old menu.pdf"


def fill_contacts(contacts: Contacts, now: float) -> None:
    """Add 120 contacts and their lists."""
    steps = {"1": 2}
    for name, (status, step) in _LISTS.items():
        steps[contacts.create_list(name, status, now - 800 * _DAY).id] = step
    first_names, last_names = _FIRST_NAMES.split(), _LAST_NAMES.split()
    for number in range(len(first_names) * len(last_names)):
        turn, first = divmod(number, len(first_names))
        names = (first_names[first], last_names[(turn + first) % len(last_names)])
        ascii_names = unicodedata.normalize("NFD", ".".join(names)).encode("ascii", "ignore")
        came = now - (700 - 5 * number) * _DAY
        email = f"{ascii_names.decode().lower()}@example.com"
        contact = contacts.add(email, "Site Owner", "ACTION_BY_OWNER", came)
        contact.status = _STATUSES.get(number, "ACTIVE")
        street = {"line1": f"{number + 1} Mill Lane", "city": "Anytown", "postal_code": "11111"}
        contact.fields = {
            "first_name": names[0],
            "last_name": names[1],
            "home_phone": f"555-01{number:02}",
            "addresses": [{"address_type": "PERSONAL", "country_code": "us", **street}],
            "custom_fields": [{"name": "CustomField1", "value": f"Card {1000 + number}"}],
        }
        if contact.status != "REMOVED":
            on = [list_id for list_id, step in steps.items() if number % step == 0]
            contacts.join(contact, on, came)


def fill_campaigns(campaigns: Campaigns, now: float) -> None:
    """Add sent campaigns with their reports, a scheduled one, and a draft."""
    ids = {row.name: row.id for row in campaigns.contacts.lists.values()}
    for name, (subject, list_name, days) in _CAMPAIGNS.items():
        due = now + (days or 0) * _DAY
        made = now - _DAY if days is None else min(now, due) - _DAY
        link = f"https://www.example.com/{name.partition(' ')[0].lower()}"
        fields = {
            "name": name,
            "subject": subject,
            "from_name": "Sandbox Bakery",
            "from_email": OWNER,
            "reply_to_email": OWNER,
            "greeting_name": "FIRST_NAME",
            "email_content": f'<html><body><h1>{subject}</h1><p><a href="{link}">Read more</a> or '
            '<a href="https://www.example.com/shop">order now</a>.</p></body></html>',
            "text_content": f"<text>{subject}: {link}</text>",
            "sent_to_contact_lists": [{"id": ids[list_name]}],
        }
        campaign = campaigns.create(fields, made)
        if days is not None:
            campaigns.schedule(campaign.id, due, made)
        campaigns.settle(min(now, due))
    campaigns.settle(now)


def fill_library(library: Library, now: float) -> None:
    """Add folders with pictures and documents, and one file in the trash."""
    made = now - 400 * _DAY
    ids = {"": "0"}
    for name, parent in _FOLDERS.items():
        ids[name] = library.create_folder(name, ids[parent], made).id
    for number, (folder, name, description, inside) in enumerate(_FILES, 1):
        kind = name.rpartition(".")[2].upper()
        content = Content(library.settings.keep_content)
        content.write(png(inside) if kind == "PNG" else pdf(inside.split("|")))
        texts = {"file_name": name, "folder_id": ids[folder], "description": description}
        texts |= {"file_type": kind, "source": "MyComputer"}
        stored = library.add_file(texts, content, made + number * _DAY)
        stored.forced = "Active"
        if name == _TRASHED:
            library.delete_files([stored.id], now - _DAY)


def fill_jobs(activities: Activities, events: Events, now: float) -> None:
    """Add a finished import and an event with registrants."""
    made = now - 10 * _DAY
    activity = activities.begin(ADD, "", made, Work())
    activity.end, activity.outcome, activity.work = "COMPLETE", Outcome(25), None
    activity.finished = made + 60
    name = "Cake decorating class"
    fields = {
        "name": name,
        "title": name,
        "type": "CLASSES_WORKSHOPS",
        "start_date": utc_stamp(now + 20 * _DAY),
        "end_date": utc_stamp(now + 21 * _DAY),
        "time_zone_id": "US/Eastern",
        "contact": {"name": "Mary Jane Doe", "email_address": OWNER},
    }
    events.set_status(events.create(fields, made).id, "ACTIVE", made)


def png(color: str, width: int = 60, height: int = 40) -> bytes:
    """Return a picture of one color, such as `8a4b2a`."""
    rows = (b"\0" + bytes.fromhex(color) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def pdf(lines: list[str]) -> bytes:
    """Return a document of one page with these lines of ASCII."""
    text = " ".join(["BT /F1 18 Tf 72 700 Td 24 TL", *(f"({line}) Tj T*" for line in lines), "ET"])
    page = "/Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
    bodies = (
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<<{page}/Resources<</Font<</F1 5 0 R>>>>>>",
        f"<</Length {len(text)}>>stream\n{text}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    written, table = "%PDF-1.4\n", "0000000000 65535 f \n"
    for number, body in enumerate(bodies, 1):
        table += f"{len(written):010} 00000 n \n"
        written += f"{number} 0 obj\n{body}\nendobj\n"
    end = f"trailer<</Size 6/Root 1 0 R>>\nstartxref\n{len(written)}\n%%EOF\n"
    return f"{written}xref\n0 6\n{table}{end}".encode("ascii")
