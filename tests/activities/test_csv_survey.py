from __future__ import annotations

import csv
import io
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccv2_async.activities.csv_survey import (
    BELOW_BYTES,
    Purpose,
    Unfit,
    converted,
    is_address,
    part_name,
    physical_lines,
    split_rows,
    survey,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccv2_async.activities.csv_survey import (
        Survey,
    )

BOM = b"\xef\xbb\xbf"

texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from('",\r\n'),
    max_size=8,
)
rows = st.lists(st.tuples(texts.map(lambda text: f"{text}@example.com"), texts), min_size=1)


def quoted(field: str) -> str:
    return f'"{field.replace(chr(34), chr(34) * 2)}"' if set(field) & set('",\r\n') else field


def written(table: list[tuple[str, str]], end: str) -> bytes:
    return "".join(",".join(map(quoted, row)) + end for row in table).encode()


def blocks(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


def rows_in(found: Survey) -> int:
    return sum(span.rows for span in found.spans)


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))


@given(
    table=rows,
    end=st.sampled_from(["\r\n", "\n", "\r"]),
    marked=st.booleans(),
    most_rows=st.integers(1, 4),
    size=st.integers(1, 64),
)
@example([("@example.com", "\n")], "\r", False, 1, 1)
def test_every_part_has_the_header_and_together_they_have_all_rows(
    table: list[tuple[str, str]], end: str, marked: bool, most_rows: int, size: int
) -> None:
    content = BOM * marked + written([("E-Mail", "First, \r\nName"), *table], end)

    found = survey(blocks(content, size), Purpose.IMPORT, most_rows=most_rows)

    parts = [read(found.header + content[span.start : span.end]) for span in found.spans]
    assert all(part[0] == ["E-Mail", "First, \r\nName"] for part in parts)
    assert [row for part in parts for row in part[1:]] == [list(row) for row in table]
    assert [span.rows for span in found.spans] == [len(part) - 1 for part in parts]
    assert all(1 <= span.rows <= most_rows for span in found.spans)
    assert rows_in(found) == len(table)
    assert found.header_lines == len(list(physical_lines([found.header])))
    for span in found.spans:
        assert span.first_line == len(list(physical_lines([content[: span.start]]))) + 1


@given(sizes=st.lists(st.integers(1, 40)), overhead=st.integers(0, 20), most=st.integers(1, 5))
def test_rows_are_packed_in_order_below_the_limits_and_no_tighter_than_needed(
    sizes: list[int], overhead: int, most: int
) -> None:
    below = 64

    parts = split_rows(sizes, overhead, below_bytes=below, most_rows=most)

    assert [number for part in parts for number in part] == list(range(len(sizes)))
    weights = [overhead + sum(sizes[n] for n in part) + len(part) - 1 for part in parts]
    assert all(weight < below for weight in weights)
    assert all(1 <= len(part) <= most for part in parts)
    for part, weight in zip(parts[:-1], weights, strict=False):
        assert len(part) == most or weight + 1 + sizes[part.stop] >= below


def test_a_row_too_large_for_any_request_is_named_in_the_error() -> None:
    with pytest.raises(Unfit) as caught:
        split_rows([5, 60], 10, below_bytes=64)
    assert caught.value.line == 2


def test_a_part_with_its_header_stays_below_the_byte_limit() -> None:
    header, row = b"Email,Name\n", b"a@example.com,x\n"
    content = header + row * 10

    exact = survey([content], Purpose.IMPORT, below_bytes=len(header) + 5 * len(row))
    wider = survey([content], Purpose.IMPORT, below_bytes=len(header) + 5 * len(row) + 1)

    assert [span.rows for span in exact.spans] == [4, 4, 2]
    assert [span.rows for span in wider.spans] == [5, 5]


def test_a_file_is_split_at_the_byte_limit_and_not_one_byte_below() -> None:
    rest = b"a@example.com,\nb@example.com,"
    header = b"Email,Name\n"
    filler = BELOW_BYTES - len(header) - len(rest) - 1
    fields = b"x" * 100_000 + b","
    fitting = header + rest + (fields * (filler // len(fields) + 1))[:filler]
    assert len(fitting) == BELOW_BYTES - 1

    assert len(survey([fitting], Purpose.IMPORT).spans) == 1
    assert len(survey([fitting + b"x"], Purpose.IMPORT).spans) == 2


@pytest.mark.parametrize(
    "heading", ["Email", "EMAIL ADDRESS", "e-mail", '"Email Address"', "email_address", "E-Mail 1"]
)
def test_the_email_column_is_recognized_in_any_spelling(heading: str) -> None:
    content = f"Name,{heading}\nx,a@example.com\n".encode()
    assert rows_in(survey([content], Purpose.IMPORT)) == 1


@pytest.mark.parametrize("mark", [b"", BOM])
@pytest.mark.parametrize("tail", [b"", b"\n", b"\n\n \n", b"\r\n\r\n"])
def test_blank_lines_and_a_byte_order_mark_are_not_rows(mark: bytes, tail: bytes) -> None:
    content = mark + b"a@example.com\n\n  \nb@example.com" + tail

    found = survey([content], Purpose.REMOVAL)

    assert rows_in(found) == 2
    sent = b"".join(content[span.start : span.end] for span in found.spans)
    assert sent.split() == [b"a@example.com", b"b@example.com"]


def test_tabs_separate_columns_if_allowed_and_the_first_line_has_one() -> None:
    content = b"Name\tEmail\nSmith, John\ta@example.com\n"

    assert rows_in(survey([content], Purpose.IMPORT, tabs=True)) == 1
    assert rows_in(survey([b"Name,Email\nx,a@example.com\n"], Purpose.IMPORT, tabs=True)) == 1


@pytest.mark.parametrize(
    ("purpose", "content", "line", "reason"),
    [
        (Purpose.IMPORT, b"", 1, "empty"),
        (Purpose.IMPORT, BOM, 1, "empty"),
        (Purpose.IMPORT, b"Email,Name\n", 1, "no contacts"),
        (Purpose.IMPORT, b"Name,City\nx,y\n", 1, "email column; found 'Name,City'"),
        (Purpose.IMPORT, b"\n\nName\nx\n", 3, "email column"),
        (Purpose.IMPORT, b'Email\na@example.com\n"b@example.com\nc@example.com\n', 3, "quotes"),
        (Purpose.IMPORT, b'Email,Name\na@example.com,"x"y\n', 2, "quotes"),
        (Purpose.IMPORT, b"Email\na@example.com\nM\xfcller\n", 3, "UTF-8"),
        (Purpose.IMPORT, "Email\na@example.com\n".encode("utf-16"), 1, "UTF-16"),
        (Purpose.IMPORT, b"Email\na@exam\0ple.com\n", 2, "NUL"),
        (Purpose.IMPORT, b"PK\x03\x04\x14\x00\x06\x00", 1, "NUL"),
        (Purpose.REMOVAL, b"", 1, "no contacts"),
        (Purpose.REMOVAL, b"\n\n", 2, "no contacts"),
        (Purpose.REMOVAL, b"Email\na@example.com\n", 1, "and no header row"),
        (Purpose.REMOVAL, b"a@example.com\nb@example.com,Bob\n", 2, "has 2 columns"),
        (Purpose.REMOVAL, b"a@example.com\r\nb\r\n", 2, "'b' is not an email address"),
        (Purpose.REMOVAL, b"a@example.com\rb@\r", 2, "'b@' is not an email address"),
        (Purpose.REMOVAL, b'"a@example.com\nb@example.com"\n', 1, "not an email address"),
    ],
)
def test_invalid_content_is_refused_with_its_line_number(
    purpose: Purpose, content: bytes, line: int, reason: str
) -> None:
    with pytest.raises(Unfit) as caught:
        survey([content], purpose)
    assert caught.value.line == line
    assert reason in caught.value.reason


def test_an_error_late_in_the_file_is_found_before_anything_is_sent() -> None:
    content = b"a@example.com\n" * 50_000 + b"oops\n"
    with pytest.raises(Unfit) as caught:
        survey(blocks(content, 4096), Purpose.REMOVAL)
    assert caught.value.line == 50_001


def test_a_single_row_over_the_file_limit_is_refused() -> None:
    row = b"b@example.com," + b"y," * 100
    content = b"Email,Name\na@example.com,x\n" + row + b"\n"
    with pytest.raises(Unfit) as caught:
        survey([content], Purpose.IMPORT, below_bytes=150)
    assert caught.value.line == 3
    assert "150 bytes" in caught.value.reason


def test_a_line_that_never_ends_does_not_fill_the_memory() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 1_000_000

    with pytest.raises(Unfit) as caught:
        survey(endless(), Purpose.REMOVAL)
    assert caught.value.line == 1


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("a@example.com", True),
        (" a.b+c@mail.example.co.uk ", True),
        ("é@exämple.de", True),
        ("a@localhost", False),
        ("a@@example.com", False),
        ("a b@example.com", False),
        ("Al <a@example.com>", False),
        ("a@example.com;b@example.com", False),
        ("a@.com", False),
        ("", False),
    ],
)
def test_only_a_possible_address_counts_as_an_address(text: str, yes: bool) -> None:
    assert is_address(text) is yes


def test_parts_have_distinct_names_that_keep_the_extension() -> None:
    assert part_name("gone.txt", 1, 1) == "gone.txt"
    assert part_name("gone.old.txt", 2, 3) == "gone.old-part2.txt"
    assert part_name("gone", 2, 3) == "gone-part2"


UMLAUT = "Email;Vorname\nrené@example.com;Zoë\n"


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (
            b"Email,Name\nann@example.com,Ren\xe9\n",
            2,
            "(byte 0xE9). If 'le.com,Ren\xe9' looks right",
        ),
        (b"Email,Name\nann@example.com,Ren\xe9\n", 2, "pass cp1252, a Windows encoding"),
        (UMLAUT.encode("utf-16"), 1, "the file is UTF-16; pass utf-16 as its encoding"),
        (UMLAUT.encode("utf-16-le"), 1, "the file is UTF-16-LE; pass utf-16-le"),
        (UMLAUT.encode("utf-16-be"), 1, "the file is UTF-16-BE; pass utf-16-be"),
        (UMLAUT.encode("utf-32"), 1, "the file is UTF-32; pass utf-32"),
        (UMLAUT.encode(), 1, "semicolons, but the service accepts only commas. Pass ';'"),
        (b"Email\tName\nann@example.com\tAnn\n", 1, "Pass a tab as the delimiter"),
        (b"Nom,Courriel\nAnn,ann@example.com\n", 1, "Rename 'Courriel' to Email Address"),
        (b"ann@example.com,Ann\n", 1, "which is a contact. Put a line such as Email Address"),
        (b"Nom,Prenom\nAnn,Lee\n", 1, "must be the email column; found 'Nom,Prenom'"),
        (b"Nom,Prenom\n", 1, "must be the email column; found 'Nom,Prenom'"),
    ],
)
def test_a_messy_file_is_refused_with_what_was_found_and_what_to_do(
    content: bytes, line: int, reason: str
) -> None:
    with pytest.raises(Unfit) as caught:
        survey([content], Purpose.IMPORT)
    assert caught.value.line == line
    assert reason in caught.value.reason


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-8-sig", "latin-1"])
def test_a_file_is_converted_and_keeps_its_lines(encoding: str) -> None:
    text = 'Email;Name\r\n\r\nann@example.com;"Zoë, or\n""Z"""\r\nbob@example.com;Bob'
    content = converted(text.encode(encoding), encoding, ";")
    lines = ["Email,Name", "", 'ann@example.com,"Zoë, or\n""Z"""', "bob@example.com,Bob", ""]
    assert content.decode() == "\r\n".join(lines)
    assert rows_in(survey([content], Purpose.IMPORT)) == 2
    assert converted(text.encode(encoding), encoding, None) == text.encode()


@given(
    table=rows, delimiter=st.sampled_from(";\t|:"), encoding=st.sampled_from(["utf-8", "utf-16"])
)
def test_converting_keeps_every_value(
    table: list[tuple[str, str]], delimiter: str, encoding: str
) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows(table)
    again = converted(out.getvalue().encode(encoding), encoding, delimiter)
    assert read(again) == [list(row) for row in table]


def test_other_threads_run_while_a_large_file_is_converted() -> None:
    content = b"Email;Name\n" + b"a@example.com;x\n" * 300_000
    with ThreadPoolExecutor(1) as pool:
        begun = last = time.perf_counter()
        longest = 0.0
        converting = pool.submit(converted, content, None, ";")
        while not converting.done():
            time.sleep(0.001)
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    assert longest < (last - begun) / 2


def test_the_line_for_excel_that_names_the_delimiter_is_left_out() -> None:
    found = survey([converted(b"sep=;\r\nEmail;Name\r\na@b.cc;x\r\n", None, ";")], Purpose.IMPORT)
    assert (found.header, found.header_lines, found.spans[0].first_line) == (
        b"Email,Name\r\n",
        1,
        3,
    )


@pytest.mark.parametrize(
    ("content", "encoding", "line", "reason"),
    [
        (b"Email;Name\na@b.cc;Zo\xeb\n", None, 2, "it is not UTF-8 (byte 0xEB)"),
        (b"Email;Name\na@b.cc;\x81\n", "cp1252", 2, "it is not cp1252 (byte 0x81); pass another"),
        (b"Email;Name\n", "utf-16", 1, "it is not utf-16"),
        (b"Email;Name\na@b.cc;\\x\n", "unicode_escape", 2, "it is not unicode_escape"),
        (b'Email;Name\na@b.cc;"x"y\n', None, 2, "check its quotes"),
    ],
)
def test_a_file_that_cannot_be_converted_is_refused_with_its_line(
    content: bytes, encoding: str | None, line: int, reason: str
) -> None:
    with pytest.raises(Unfit) as caught:
        converted(content, encoding, ";")
    assert caught.value.line == line
    assert reason in caught.value.reason
