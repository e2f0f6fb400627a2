from __future__ import annotations

from tests.contract.document import PAGE, page
from tests.contract.operations import OPERATIONS


def test_the_table_of_operations_in_the_documentation_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.contract.document"


def test_the_table_of_operations_names_each_method() -> None:
    written = page()
    for operation in OPERATIONS:
        assert f"| `{operation.calls.partition('.')[2]}(" in written
        assert f"`{operation.method} {operation.path}`" in written
