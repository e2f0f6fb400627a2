from __future__ import annotations

import struct

import pytest

from ccv2_async.sandbox.state.library import picture_size


def jpeg(*segments: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(segments)


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


FRAME = segment(0xC2, struct.pack(">BHHB", 8, 600, 800, 3) + b"\x00" * 9)


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", 7, 9), (7, 9)),
        (b"GIF89a" + struct.pack("<HH", 12, 34), (12, 34)),
        (jpeg(FRAME), (800, 600)),
        (jpeg(segment(0xE1, b"exif" * 500), segment(0xDB, b"q"), FRAME), (800, 600)),
        (jpeg(b"\xff", FRAME), (800, 600)),
        (jpeg(b"\xff\x01", FRAME), (800, 600)),
        (jpeg(segment(0xE1, b"exif" * 500)), (0, 0)),
        (jpeg(b"garbage that is no segment"), (0, 0)),
        (b"%PDF-1.7", (0, 0)),
        (b"\x89PNG\r\n\x1a\n", (0, 0)),
        (b"", (0, 0)),
    ],
)
def test_the_size_of_an_image_is_read_from_its_header(head: bytes, size: tuple[int, int]) -> None:
    assert picture_size(head) == size
