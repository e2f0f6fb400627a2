"""The reference and the promises page name only what exists, and omit nothing."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from enum import Enum
from pathlib import Path

import pytest

from ccv2_async import models

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "reference" / "models").glob("*.rst"))
ENTRY = re.compile(r"^\.\. auto\w+:: (?:[\w.]+\.)?(\w+)$((?:\n   :.*)*)", re.MULTILINE)
ENTRIES = [match for page in PAGES for match in ENTRY.finditer(page.read_text("utf-8"))]


def test_every_model_is_on_one_page() -> None:
    assert Counter(match[1] for match in ENTRIES) == Counter(models.__all__)


def test_every_models_page_is_in_the_table_of_contents() -> None:
    contents = (DOCS / "reference" / "models.rst").read_text("utf-8")
    assert re.findall(r"^   models/(\w+)$", contents, re.MULTILINE)
    assert sorted(re.findall(r"^   models/(\w+)$", contents, re.MULTILINE)) == [
        page.stem for page in PAGES
    ]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry[1]))
def test_the_members_of_an_enumeration_are_listed(entry: re.Match[str]) -> None:
    value = getattr(models, entry[1])
    listed = ":undoc-members:" in entry[2]
    assert listed == (inspect.isclass(value) and issubclass(value, Enum))


def test_every_test_on_the_page_of_promises_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", (DOCS / "promises.md").read_text("utf-8")))
    assert named
    assert {name for name in named if not (DOCS.parent / name).is_file()} == set()
