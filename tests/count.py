"""Count the package's lines of code and its modules; fail if there are more than the limits.

A line of code is a line that is not blank and holds more than a comment or a docstring.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "ccv2_async"
LINES = 29_682
MODULES = 206
"""Limits that only go down, except by what a new operation of the API costs.

Lower them when the package has become smaller.
"""

_NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def lines_of_code(source: str) -> int:
    """Return how many lines of `source` hold code."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        for statement in getattr(node, "body", ()) if _has_docstrings(node) else ():
            if _is_text(statement):
                docstrings.update(range(statement.lineno, (statement.end_lineno or 0) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def _has_docstrings(node: ast.AST) -> bool:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return isinstance(node, kinds)


def _is_text(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    return (
        isinstance(statement, ast.Expr)
        and isinstance(value, ast.Constant)
        and isinstance(value.value, str)
    )


def main() -> int:
    """Print the counts; return 1 if one of them exceeds its limit, else 0."""
    counts = [lines_of_code(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")]
    lines, modules = sum(counts), len(counts)
    print(  # noqa: T201  # its output is the point
        f"{PACKAGE.name}: {lines:,} lines of code in {modules} modules "
        f"(limits: {LINES:,} and {MODULES})"
    )
    return int(lines > LINES or modules > MODULES)


if __name__ == "__main__":
    sys.exit(main())
