from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, get_args

import pytest

from ccv2_async import ConstantContact
from ccv2_async.observe import Event
from ccv2_async.pytest_plugin import _HastyClock
from ccv2_async.sandbox import Sandbox
from tests.docs.blocks import Block, blocks_of
from tests.docs.running import (
    ROOT,
    SHOWN_REDIS,
    Reader,
    logging_as_it_was,
    make_files,
    redis_server,
)

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES_WITH_BLOCKS = [page for page in PAGES if "_build" not in page.parts and blocks_of(page)]
MOST_NOT_RUN = 6


@pytest.mark.timeout(240)  # a page starts a dozen programs, on a machine that may be busy
@pytest.mark.parametrize("page", PAGES_WITH_BLOCKS, ids=lambda page: page.stem)
async def test_a_reader_can_follow_the_page_from_top_to_end(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page.read_text("utf-8")  # noqa: ASYNC240  # a test may block
    # Jobs of workers are due by the time of day, which nothing hastens.
    haste = "ccv2_async.workers" not in text
    make_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    if haste:
        monkeypatch.setattr("ccv2_async.clock.SystemClock", _HastyClock)
    blocks = [block for block in blocks_of(page) if block.reason is None]
    needs_redis = [block for block in blocks if SHOWN_REDIS in block.code]
    with contextlib.ExitStack() as stack:
        stack.enter_context(logging_as_it_was())
        sandbox = stack.enter_context(
            Sandbox(mode="looks", looks=2 if "Processing\n" in text else 0, seed=0)
        )
        sandbox.admin.add_contacts(3)
        reader = Reader(tmp_path, sandbox, haste=haste)
        stack.callback(reader.leave)
        if needs_redis:
            reader.redis_url = stack.enter_context(redis_server(tmp_path))
        for name, value in reader.environment.items():
            if name.startswith("CCV2_"):
                monkeypatch.setenv(name, value)
        async with ConstantContact.from_env() as client:
            for block in blocks:
                # What the first page tells: these two are there without an import.
                reader.names |= {"ConstantContact": ConstantContact, "cc": client}
                if reader.redis_url or block not in needs_redis:
                    await reader.follow(block)
            await reader.run_tests()
        assert not reader.saved, "these files are saved and never run"
    if needs_redis and not reader.redis_url:
        pytest.skip(f"no redis-server here: not run are {', '.join(map(str, needs_redis))}")


def test_only_a_few_blocks_are_not_run() -> None:
    left_out = [block for page in PAGES_WITH_BLOCKS for block in blocks_of(page) if block.reason]
    assert len(left_out) <= MOST_NOT_RUN, [str(block) for block in left_out]


def test_the_pages_contain_code_blocks() -> None:
    assert {"README", "first-ten-minutes"} <= {page.stem for page in PAGES_WITH_BLOCKS}


def test_the_page_on_events_describes_every_event() -> None:
    page = (ROOT / "docs" / "howto" / "observe.md").read_text("utf-8")
    told = {event.__name__ for event in get_args(Event)}
    assert {name for name in told if f"observe.{name}`" not in page} == set()


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
