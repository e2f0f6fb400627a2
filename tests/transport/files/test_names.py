"""Names that any disk accepts and that every disk can tell apart."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccv2_async.transport.files import names as names_module
from ccv2_async.transport.files.names import MOST_BYTES, SafeNames, folded

if TYPE_CHECKING:
    from pathlib import Path

UNSAFE = set('<>:"/\\|?*') | {chr(code) for code in range(32)}
DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}
ODD = st.text(st.sampled_from('aAé./\\: ()1\x00\u0301\u202eßİ\u0131~"conCON\ud800\U0001f600'))
NAMES = st.one_of(st.text(), ODD, st.text(max_size=4).map(lambda text: text * 90))


def safe_name(name: str) -> str:
    """Return the name that a file gets in an empty directory."""
    return SafeNames().choose(name, "7")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("photo.jpg", "photo.jpg"),
        ("Sommer 2026 (1).jpg", "Sommer 2026 (1).jpg"),
        ("\U0001f469\u200d\U0001f680 launch.png", "\U0001f469\u200d\U0001f680 launch.png"),
        ("a/b\\c:d.png", "a_b_c_d.png"),
        ("..", "__"),
        (".", "_"),
        ("", "_"),
        (".htaccess", "_htaccess"),
        ("con", "_con"),
        ("Con .txt", "_Con .txt"),
        ("COM1.tar.gz", "_COM1.tar.gz"),
        ("console.txt", "console.txt"),
        ("ends. .", "ends___"),
        ("fi\u202egpj.exe", "fi_gpj.exe"),
        ("e\u0301.png", "\u00e9.png"),
        ("x" * 300 + ".jpeg", "x" * 250 + ".jpeg"),
        ("é" * 200 + ".png", "é" * 125 + ".png"),
        ("x" * 254 + " " + "a" * 20, "x" * 254 + "_"),
    ],
)
def test_a_name_is_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(NAMES)
@example("con.")
@example("." * 300)
@example("CON" + "." * 300)
def test_a_safe_name_is_valid_on_every_disk(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= MOST_BYTES
    assert not UNSAFE & set(safe)
    assert not safe.startswith(".")
    assert safe[-1] not in ". "
    assert safe.partition(".")[0].rstrip(" ").casefold() not in DEVICES
    assert unicodedata.is_normalized("NFC", safe)
    assert safe_name(safe) == safe


@given(NAMES)
def test_names_in_another_case_or_form_are_equal(name: str) -> None:
    for form in ("NFC", "NFD"):
        assert folded(unicodedata.normalize(form, name)) == folded(name)
    assert folded(name.swapcase()) == folded(name) or len(name.swapcase()) != len(name)


@given(st.lists(st.tuples(NAMES, st.text(max_size=80)), max_size=30))
@example([("a.png", "7"), ("a (7).png", "8"), ("A.PNG", "7"), ("a.png", "7")])
def test_no_two_names_in_a_directory_are_equal(rows: list[tuple[str, str]]) -> None:
    names = SafeNames()
    chosen = [names.choose(name, id_) for name, id_ in rows]
    assert len({folded(name) for name in chosen}) == len(rows)
    for name in chosen:
        assert safe_name(name) == name


def test_a_taken_name_gets_the_id_before_its_extension() -> None:
    names = SafeNames(["Photo.JPG"])
    assert names.choose("photo.jpg", "101") == "photo (101).jpg"
    assert names.choose("photo.jpg", "102") == "photo (102).jpg"
    assert names.choose("photo.jpg", "102") == "photo (102 2).jpg"
    assert names.choose("x" * 300 + ".jpg", "-3") == "x" * 251 + ".jpg"
    assert names.choose("x" * 300 + ".jpg", "-4") == "x" * 246 + " (-4).jpg"
    assert names.choose("notes", "a/b") == "notes"
    assert names.choose("notes", "a/b") == "notes (a_b)"


@pytest.mark.parametrize(
    ("coding", "name"), [("ascii", "gr_n _.png"), ("latin-1", "gr\xfcn _.png")]
)
def test_characters_that_the_locale_cannot_encode_become_underscores(
    monkeypatch: pytest.MonkeyPatch, coding: str, name: str
) -> None:
    # A backup raised UnicodeEncodeError.
    monkeypatch.setattr(names_module, "_CODING", coding)
    assert safe_name("gru\u0308n \u2713.png") == name
    assert SafeNames().choose("gr\xfcn \u2713.png", "7") == name


def test_names_whose_ids_look_the_same_are_numbered_without_trying_every_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Each of 2,000 such names tried the numbers of all others, which took 13 s.
    tried: list[str] = []

    def folding(name: str) -> str:
        tried.append(name)
        return folded(name)

    names = SafeNames()
    monkeypatch.setattr(names_module, "folded", folding)
    chosen = [names.choose("a.png", "x" * 64 + str(number)) for number in range(300)]
    assert chosen[-1] == f"a ({'x' * 64} 299).png"
    assert len(set(chosen)) == 300
    assert len(tried) <= 3 * 300


def test_odd_names_can_be_written(tmp_path: Path) -> None:
    names = SafeNames()
    odd = ["a/b.png", "..", "\x00", "CON", "é" * 200, "\ud800.gif", "A.png", "a.png", "."]
    for number, name in enumerate(odd):
        (tmp_path / names.choose(name, str(number))).write_bytes(b"x")
    assert len(os.listdir(tmp_path)) == len(odd)  # noqa: PTH208 - names, as the disk has them
