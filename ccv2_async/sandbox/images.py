"""Width and height of a picture, from the first bytes of its file."""

from __future__ import annotations

import struct

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset(range(0xD0, 0xDA)) | {0x01}


def picture_size(head: bytes) -> tuple[int, int]:
    """Width and height in pixels; (0, 0) for what is not a JPEG, PNG or GIF."""
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR" and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if head[:6] in (b"GIF87a", b"GIF89a") and len(head) >= 10:
        width, height = struct.unpack("<HH", head[6:10])
        return width, height
    if head.startswith(b"\xff\xd8"):
        return _jpeg_size(head)
    return 0, 0


def _jpeg_size(head: bytes) -> tuple[int, int]:
    position = 2
    while position + 9 <= len(head):
        if head[position] != 0xFF:
            return 0, 0
        marker = head[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", head[position + 5 : position + 9])
            return width, height
        elif marker in _JPEG_ALONE:
            position += 2
        else:
            position += 2 + int(struct.unpack(">H", head[position + 2 : position + 4])[0])
    return 0, 0
