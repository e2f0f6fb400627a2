from __future__ import annotations

from tests.count import lines_of_code

SOURCE = '''"""A docstring.

It has three lines."""

# a comment
CODE = (
    1,  # and a comment beside code

    2,
)


def function():
    """Do nothing."""
    TEXT = """
    not a docstring
    """


"""A description of a constant."""
'''


def test_blanks_comments_and_docstrings_are_not_counted() -> None:
    assert lines_of_code(SOURCE) == 4 + 1 + 3
