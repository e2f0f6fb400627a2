from __future__ import annotations

from ccv2_async.cli import app as command_line
from tests.docs.command import PAGE, commands_of, page


def test_the_command_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.docs.command"


def test_the_command_page_lists_every_command_and_option() -> None:
    written = page()
    commands = list(commands_of(command_line.app, ()))
    assert len(commands) > 15
    for words, app in commands:
        _, _, rest = written.partition(f"## `ccv2 {' '.join(words)}`\n")
        assert rest
        for argument in app.assemble_argument_collection(parse_docstring=True):
            assert not argument.show or f"`{argument.name}" in written
