from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ccv2_async import ConstantContact
from ccv2_async.pytest_plugin import _HastyClock
from ccv2_async.sandbox import Sandbox
from tests.docs.blocks import Block, blocks_of
from tests.docs.running import ROOT, Reader, make_files

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES_WITH_BLOCKS = [page for page in PAGES if "_build" not in page.parts and blocks_of(page)]
MOST_NOT_RUN = 6


@pytest.mark.parametrize("page", PAGES_WITH_BLOCKS, ids=lambda page: page.stem)
async def test_a_reader_can_follow_the_page_from_top_to_end(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ccv2_async.client.SystemClock", _HastyClock)
    with Sandbox(mode="looks", looks=2) as sandbox:
        sandbox.admin.add_contacts(3)
        reader = Reader(tmp_path, sandbox)
        for name, value in reader.environment.items():
            if name.startswith("CCV2_"):
                monkeypatch.setenv(name, value)
        async with ConstantContact.from_env() as client:
            for block in blocks_of(page):
                # What the first page tells: these two are there without an import.
                reader.names |= {"ConstantContact": ConstantContact, "cc": client}
                if block.reason is None:
                    await reader.follow(block)
            await reader.run_tests()
        assert not reader.saved, "these files are saved and never run"


def test_few_blocks_are_not_run() -> None:
    left_out = [block for page in PAGES_WITH_BLOCKS for block in blocks_of(page) if block.reason]
    assert len(left_out) <= MOST_NOT_RUN, [str(block) for block in left_out]


def test_the_pages_hold_code_at_all() -> None:
    assert {"README", "first-ten-minutes"} <= {page.stem for page in PAGES_WITH_BLOCKS}


def test_a_block_knows_its_line_its_output_and_why_it_is_not_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Words.\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n\n"
        "```sh\n# not run in the tests: it needs an account\nccv2 files\n```\n\n"
        "```python\n# first.py\n```\n\nWords.\n\n```text\nno output of first.py\n```\n",
        "utf-8",
    )
    shown, left_out, saved = blocks_of(page)
    assert shown == Block(page, 4, "python", "print(1)\n", output="1\n")
    assert left_out.reason == "it needs an account"
    assert saved.file_name == "first.py"
    assert saved.output is None
