from __future__ import annotations

import pytest

from ccv2_async import errors
from ccv2_async.text import one_line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "menu.pdf",
        "Menü — été.pdf",
        "東京",
        "👩\u200d💻.png",
        "\u0645\u06cc\u200c\u062e\u0648",
        "a\xa0b",
    ],
)
def test_printable_text_is_unchanged(text: str) -> None:
    assert one_line(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb", r"a\r\nb"),
        ("\x1b[31mred\x9b0m", r"\x1b[31mred\x9b0m"),
        ("a\x00\x7f", r"a\x00\x7f"),
        ("gnp.\u202eexe", r"gnp.\u202eexe"),
        ("a\u2066b\u2069", r"a\u2066b\u2069"),
        ("a\u2028b\u2029c\x85", r"a\u2028b\u2029c\x85"),
        ("a\u200bb\ufeff\u00ad", r"a\u200bb\ufeff\xad"),
        ("key\u200dkey", r"key\u200dkey"),
        ("é\u200d", r"é\u200d"),
        ("é\u200d\u200dé", r"é\u200d\u200dé"),
        ("\udcff.png", r"\udcff.png"),
    ],
)
def test_control_characters_and_line_breaks_are_escaped(text: str, shown: str) -> None:
    assert one_line(text) == shown
    assert one_line(shown) == shown


def test_every_message_is_one_printable_line() -> None:
    bad = "x\r\nINFO forged\x1b]0;title\x07\u202e\udcff"
    for error in (
        errors.ConstantContactError(bad),
        errors.FileRefused(bad, "it is a directory"),
        errors.APIError(bad, status=400, errors=(("k", bad),)),
        errors.DecodeError(bad, excerpt=bad),
        errors.JobError(bad, id="1", status=bad),
    ):
        for shown in (str(error), error.message, *map(str, error.args)):
            assert "forged" in shown
            assert shown.isprintable()
            shown.encode()
