"""P13: the cost of structuring a page of library files, relative to `orjson.loads`.

Ours is `decode`, which includes parsing: everything that a listing does after the bytes have
arrived.
"""

from __future__ import annotations

import gc
import statistics
import time
from typing import TYPE_CHECKING, Any

import orjson

from ccv2_async.models import LibraryFile, Page, decode

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 500


def page(rows: int) -> bytes:
    """A page of files as the service writes it: sixteen fields, two dates, a thumbnail."""
    return orjson.dumps(
        {
            "meta": {"pagination": {"next_link": "/v2/library/files?next=b2Zmc2V0PTUwMA"}},
            "results": [
                {
                    "id": str(1000 + number),
                    "name": f"IMG_{number:04}.JPG",
                    "description": f"Picture {number} of the spring menu",
                    "folder": "Images",
                    "folder_id": "-14",
                    "height": 600 + number,
                    "width": 800 + number,
                    "size": 68_825 + number,
                    "url": f"https://files.example.com/fs115/img/{number}.jpg",
                    "source": "MyComputer",
                    "status": "Active",
                    "thumbnail": {
                        "url": f"https://files.example.com/fs115/img/{number}_small.jpg",
                        "height": 150,
                        "width": 200,
                    },
                    "created_date": f"2013-06-19T11:36:{number % 60:02}.000-04:00",
                    "modified_date": f"2013-08-23T12:54:{number % 60:02}.000-04:00",
                    "is_image": True,
                    "file_type": "JPG",
                }
                for number in range(rows)
            ],
        }
    )


def measure(quick: bool) -> dict[str, Any]:
    """Return the case of P13, in microseconds per page. Ours and the peer take turns."""
    content = page(ROWS)
    wanted: Any = Page[LibraryFile]
    read = decode(wanted, content)
    if [file.id for file in read.results] != [
        row["id"] for row in orjson.loads(content)["results"]
    ]:
        raise RuntimeError("the page was not read correctly")

    ours: list[float] = []
    peer: list[float] = []
    for _ in range(10 if quick else 200):
        ours.append(_microseconds(lambda: decode(wanted, content)))
        peer.append(_microseconds(lambda: orjson.loads(content)))
    figures = statistics.median(ours), statistics.median(peer)
    return {
        "cases": [
            {
                "name": f"{ROWS} rows",
                "ours": figures[0],
                "peer": figures[1],
                "ratio": figures[0] / figures[1],
                "ours_values": ours,
                "peer_values": peer,
            }
        ]
    }


def _microseconds(call: Callable[[], object]) -> float:
    gc.collect()  # each turn starts without the other's garbage
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1e6
