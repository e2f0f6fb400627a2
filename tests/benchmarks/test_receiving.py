from __future__ import annotations

import itertools
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.receiving import BadBodyError, Receipt, UploadBody

BOUNDARY = b"3c6e-boundary"
FILE = bytes(range(256)) * 9


def form(content: bytes = FILE, end: bytes = b"--" + BOUNDARY + b"--\r\n") -> bytes:
    head = b"Content-Disposition: form-data; name="
    return b"".join(
        (
            b"--" + BOUNDARY + b"\r\n" + head + b'"file_name"\r\n\r\nmenu.pdf\r\n',
            b"--" + BOUNDARY + b"\r\n" + head + b'"description"\r\n\r\n\r\n',
            b"--" + BOUNDARY + b"\r\n" + head + b'"data"; filename="menu.pdf"\r\n',
            b"Content-Type: application/pdf\r\n\r\n" + content + b"\r\n" + end,
        )
    )


def read(body: bytes, cuts: list[int] | None = None) -> Receipt:
    reader = UploadBody(BOUNDARY, len(body))
    edges = sorted({0, len(body), *(cuts or [])})
    for start, stop in itertools.pairwise(edges):
        taken = reader.feed(memoryview(body)[start:stop])
        assert taken == stop - start
    assert reader.complete
    return reader.receipt()


@given(st.lists(st.integers(0, len(form())), max_size=20), st.binary(max_size=600))
def test_the_receipt_does_not_depend_on_how_the_body_is_split(
    cuts: list[int], content: bytes
) -> None:
    body = form(content)
    inside = [cut for cut in cuts if cut < len(body)]
    assert read(body, inside) == Receipt("menu.pdf", len(content), zlib.crc32(content))


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_one_changed_byte_changes_the_receipt(place: int, change: int) -> None:
    spoilt = bytearray(FILE)
    spoilt[place] ^= change
    assert read(form(bytes(spoilt))) != read(form())


@pytest.mark.parametrize("end", [b"", b"--" + BOUNDARY + b"\r\n", b"--other-boundary--\r\n"])
def test_a_form_that_does_not_end_with_its_boundary_is_refused(end: bytes) -> None:
    with pytest.raises(BadBodyError, match="does not end"):
        read(form(end=end))


def test_a_form_without_a_file_part_is_refused() -> None:
    with pytest.raises(BadBodyError, match="no file part"):
        read(b"--" + BOUNDARY + b"--\r\n")


def test_only_the_announced_length_is_read() -> None:
    body = form()
    reader = UploadBody(BOUNDARY, len(body))
    assert reader.feed(memoryview(body + b"GET / HTTP/1.1\r\n")) == len(body)
    assert reader.receipt() == read(body)
