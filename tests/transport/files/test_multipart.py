from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from python_multipart.multipart import MultipartParser, parse_options_header

from ccv2_async.errors import InvalidField
from ccv2_async.transport.files.multipart import (
    FilePart,
    boundary_from,
    escape_name,
    lay_out,
)

if TYPE_CHECKING:
    from ccv2_async.transport.files.multipart import MultipartLayout

BOUNDARY = boundary_from(bytes(range(16)))


class Part(NamedTuple):
    headers: dict[str, bytes]
    data: bytes

    @property
    def options(self) -> dict[bytes, bytes]:
        return parse_options_header(self.headers["content-disposition"])[1]


def decoded(body: bytes, boundary: str = BOUNDARY) -> list[Part]:
    """Parse the form with python-multipart, which is independent of our encoder."""
    parts: list[Part] = []
    field = bytearray()
    value = bytearray()
    ended: list[bool] = []

    def begin() -> None:
        parts.append(Part({}, b""))

    def end_header() -> None:
        parts[-1].headers[field.decode().lower()] = bytes(value)
        field.clear()
        value.clear()

    def data(chunk: bytes, start: int, end: int) -> None:
        parts[-1] = parts[-1]._replace(data=parts[-1].data + chunk[start:end])

    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": begin,
            "on_header_field": lambda chunk, start, end: field.extend(chunk[start:end]),
            "on_header_value": lambda chunk, start, end: value.extend(chunk[start:end]),
            "on_header_end": end_header,
            "on_part_data": data,
            "on_end": lambda: ended.append(True),
        },
        max_header_size=100_000,
    )
    parser.write(body)
    parser.finalize()
    assert ended == [True]
    return parts


def assembled(layout: MultipartLayout, content: bytes) -> bytes:
    return layout.head + content + layout.tail


def whatwg(name: str) -> str:
    """Escape a name as the standard describes it."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


HOSTILE = [
    '"',
    "\r\n",
    "\r",
    "\n",
    ";",
    '; filename="evil"',
    '"\r\nContent-Type: text/html\r\n\r\n<script>',
    f"\r\n--{BOUNDARY}--\r\n",
    f"--{BOUNDARY}",
    "🎉",
    "\u202e",
    "\u200f",
    "%22",
    "é",
    " ",
    "=",
    "*",
]
plain_characters = st.characters(
    exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="\\"
)
names = st.lists(st.sampled_from(HOSTILE) | plain_characters, min_size=1).map("".join)
values = st.lists(
    st.sampled_from([*HOSTILE[:7], "\r\n--", f"\r\n--{BOUNDARY[:-1]}", "--", BOUNDARY[1:]])
    | st.characters(exclude_categories=["Cs"])
).map("".join)
contents = st.binary(max_size=300) | st.sampled_from([b"", b"\r\n", b"--", b"\r\n--ccv2-"])


@given(
    before=st.lists(st.tuples(names, values), max_size=4),
    after=st.lists(st.tuples(names, values), max_size=4),
    name=names,
    filename=st.none() | names,
    content=contents,
)
@example(
    before=[("n" * 1000, "v" * 1000)],
    after=[("🎉" * 1000, "")],
    name="\u202e" * 1000,
    filename='"' * 1000,
    content=b"",
)
def test_an_independent_decoder_finds_the_same_fields_in_the_same_order(
    before: list[tuple[str, str]],
    after: list[tuple[str, str]],
    name: str,
    filename: str | None,
    content: bytes,
) -> None:
    texts = [value for _, value in before + after]
    assume(not any(BOUNDARY in text for text in texts))
    if filename is not None:
        assume(filename.split("/")[-1] not in {"", ".", ".."})
    layout = lay_out(
        [*before, FilePart(name, filename, "image/png"), *after],
        boundary=BOUNDARY,
    )

    body = assembled(layout, content)
    parts = decoded(body)

    assert len(body) == layout.length(len(content))
    assert [part.options[b"name"].decode() for part in parts] == [
        whatwg(field) for field in [*(n for n, _ in before), name, *(n for n, _ in after)]
    ]
    file = parts.pop(len(before))
    assert [part.data.decode() for part in parts] == texts
    assert all(set(part.headers) == {"content-disposition"} for part in parts)
    assert all(set(part.options) == {b"name"} for part in parts)
    assert file.data == content
    assert file.headers["content-type"] == b"image/png"
    sent = file.options.get(b"filename")
    if filename is None:
        assert sent is None
    else:
        assert sent is not None
        assert sent.decode() == whatwg(filename.split("/")[-1])


@pytest.mark.parametrize("char", ["\x00", "\x0b", "\x1b", "\x7f", "\x85", "\u2028", "\\"])
def test_line_breaks_and_quotes_in_names_are_percent_encoded(char: str) -> None:
    escaped = f"a{quote(char)}"
    layout = lay_out([(f"a{char}", char), FilePart("data")], boundary=BOUNDARY)

    text, file = decoded(assembled(layout, b"x"))

    assert text.options == {b"name": escaped.encode()}
    assert text.data.decode() == char
    assert file.options == {b"name": b"data"}


@given(st.text())
def test_an_escaped_name_has_no_quote_control_character_or_backslash(name: str) -> None:
    escaped = escape_name(name)

    assert len(escaped.splitlines()) <= 1
    assert not set(escaped) & {'"', "\\", *map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))}
    escaped.encode()


@pytest.mark.parametrize(
    ("given_name", "sent"),
    [
        ("/etc/passwd", b"passwd"),
        ("..\\..\\boot.ini", b"boot.ini"),
        ("C:\\Users\\me/menu.pdf", b"menu.pdf"),
        ("/\\x", b"x"),
        ("été 🎉.png", "été 🎉.png".encode()),
        ("\udcff.png", "\ufffd.png".encode()),
    ],
)
def test_a_file_name_is_sent_without_its_directory_as_raw_utf8(
    given_name: str, sent: bytes
) -> None:
    layout = lay_out([FilePart("data", given_name)], boundary=BOUNDARY)

    (part,) = decoded(assembled(layout, b"x"))

    assert part.options == {b"name": b"data", b"filename": sent}


def test_the_form_has_the_bytes_that_the_official_clients_send() -> None:
    layout = lay_out(
        [("file_name", "a.png"), ("description", ""), FilePart("data", "a.png", "image/png")],
        boundary="b",
    )

    assert layout.content_type == "multipart/form-data; boundary=b"
    assert assembled(layout, b"DATA") == (
        b'--b\r\nContent-Disposition: form-data; name="file_name"\r\n\r\na.png\r\n'
        b'--b\r\nContent-Disposition: form-data; name="description"\r\n\r\n\r\n'
        b'--b\r\nContent-Disposition: form-data; name="data"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\nDATA\r\n--b--\r\n"
    )


def test_fields_may_follow_the_file() -> None:
    layout = lay_out([FilePart("data"), ("folder_id", "-14")], boundary="b")

    assert [part.data for part in decoded(assembled(layout, b"x"), "b")] == [b"x", b"-14"]


@pytest.mark.parametrize("filename", ["", "/", "a/", "a\\", "..", "a/..", "."])
def test_a_name_that_is_only_a_directory_is_refused(filename: str) -> None:
    with pytest.raises(InvalidField, match=r"file_name .* the name of a file.* Nothing was sent"):
        lay_out([FilePart("data", filename)], boundary=BOUNDARY)


@pytest.mark.parametrize(
    "content_type", ["", "image", "image/png\r\nX: y", 'text/plain; a="é"', "image/png;\r\n a=b"]
)
def test_a_malformed_media_type_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidField, match="content_type"):
        lay_out([FilePart("data", "a", content_type)], boundary=BOUNDARY)


def test_a_media_type_with_a_parameter_is_sent() -> None:
    layout = lay_out([FilePart("data", "a", "text/csv; charset=utf-8")], boundary=BOUNDARY)

    assert decoded(assembled(layout, b""))[0].headers["content-type"] == b"text/csv; charset=utf-8"


def test_a_field_without_a_name_is_refused() -> None:
    with pytest.raises(InvalidField, match="needs a name"):
        lay_out([("", "x"), FilePart("data")], boundary=BOUNDARY)


def test_a_value_that_contains_the_boundary_is_refused() -> None:
    with pytest.raises(InvalidField, match="boundary"):
        lay_out([("a", f"x{BOUNDARY}x"), FilePart("data")], boundary=BOUNDARY)


@pytest.mark.parametrize("boundary", ["", "a b", "a\r\n", 'a"', "a" * 71, "é"])
def test_a_boundary_with_invalid_characters_is_refused(boundary: str) -> None:
    with pytest.raises(ValueError, match="not a boundary"):
        lay_out([FilePart("data")], boundary=boundary)


def test_a_form_has_exactly_one_file() -> None:
    with pytest.raises(ValueError, match="needs a file"):
        lay_out([("a", "b")], boundary=BOUNDARY)
    with pytest.raises(ValueError, match="only one file"):
        lay_out([FilePart("a"), FilePart("b")], boundary=BOUNDARY)


@given(st.binary(min_size=16, max_size=80))
def test_a_boundary_contains_all_its_randomness(random_bytes: bytes) -> None:
    boundary = boundary_from(random_bytes)
    assert boundary == f"ccv2-{random_bytes[:32].hex()}"

    assert random_bytes[:16].hex() in boundary
    assert len(boundary) <= 70
    lay_out([FilePart("data")], boundary=boundary)


def test_a_boundary_needs_at_least_128_random_bits() -> None:
    with pytest.raises(ValueError, match="16 random bytes"):
        boundary_from(b"x" * 15)
