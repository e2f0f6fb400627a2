"""The account that `Sandbox(seed="demo")` starts with: a bakery and its customers.

Everything is the same in every such sandbox. The dates are relative to the sandbox's clock.
"""

from __future__ import annotations

import struct
import tomllib
import unicodedata
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
_STATUSES = {17: "UNCONFIRMED", 51: "REMOVED", 85: "UNCONFIRMED"}


@cache
def _account() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("demo.toml").read_text("utf-8"))


def fill_contacts(contacts: Contacts, now: float) -> None:
    """Add 120 contacts and their lists."""
    steps = {"1": 2}
    for row in _account()["lists"]:
        made = contacts.create_list(row["name"], row["status"], now - 800 * _DAY)
        steps[made.id] = row["every"]
    first_names, last_names = _account()["first_names"], _account()["last_names"]
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
    ids = {known.name: known.id for known in campaigns.contacts.lists.values()}
    for row in _account()["campaigns"]:
        name, subject, days = row["name"], row["subject"], row.get("days")
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
            "sent_to_contact_lists": [{"id": ids[row["list"]]}],
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
    for row in _account()["folders"]:
        ids[row["name"]] = library.create_folder(row["name"], ids[row["parent"]], made).id
    for number, row in enumerate(_account()["files"], 1):
        content = Content(library.settings.keep_content)
        content.write(png(row["color"]) if "color" in row else pdf(row["lines"]))
        texts = {
            "file_name": row["name"],
            "folder_id": ids[row["folder"]],
            "description": row["description"],
            "file_type": row["name"].rpartition(".")[2].upper(),
            "source": "MyComputer",
        }
        stored = library.add_file(texts, content, made + number * _DAY)
        stored.forced = "Active"
        if "trashed" in row:
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
