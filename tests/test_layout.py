"""The tests of a module are found by its name: `a/b.py` has `tests/a/test_b*.py`."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "ccv2_async"
MODULES = [
    path.relative_to(PACKAGE).with_suffix("")
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.stem not in {"__init__", "__main__", "version"}
]
ELSEWHERE = {
    "activities/contact_*": "resources/test_activities.py",
    "backup/*": "backup/test_run.py",  # whole backups
    "cli/*": "cli/test_app.py",  # the tests of the command run whole commands
    "clock": "support/clocks.py",  # every test runs on a clock
    "errors": "test_public_face.py",
    "models/*": "models/test_every_model.py",  # models are declarations
    "polling/look": "polling/test_sweep.py",
    "resources/base": "contract/test_contract.py",
    "sandbox/*": "contract/test_contract.py",  # each handler is tested through its operations
    "transport/calls/call": "transport/calls/test_session_table.py",
    "transport/calls/instrumentation": "test_observe.py",
    "transport/calls/outage": "uploads/many/test_run_outage.py",
    "transport/calls/outcome": "transport/calls/test_session_responses.py",
    "transport/files/databases": "uploads/many/test_journal.py",
    "transport/calls/signing": "transport/calls/test_credentials.py",
    "transport/files/reading": "transport/files/test_sources.py",
    "transport/http/messages": "transport/calls/test_session_responses.py",
    "transport/http/proxies": "transport/http/test_clients.py",
    "transport/quota/redis_*": "transport/quota/test_shared.py",
    "uploads/many/results": "uploads/many/test_run.py",
    "uploads/status": "polling/test_poller.py",
    "workers/queue": "workers/test_stores.py",
    "workers/redis_store": "workers/test_stores.py",
    "workers/settings": "workers/test_application.py",
    "workers/sweeping": "workers/test_application.py",
}
"""Modules without a test file of their own, as patterns, and the file that tests them."""


def own_tests(module: Path) -> list[Path]:
    """Return the test files with the name of a module, and of no module with a longer name."""
    longer = [
        other.name
        for other in MODULES
        if other.parent == module.parent and other.name.startswith(f"{module.name}_")
    ]
    return [
        path
        for path in (TESTS / module.parent).glob("test_*.py")
        if f"{path.stem}_".startswith(f"test_{module.name}_")
        and not any(f"{path.stem}_".startswith(f"test_{name}_") for name in longer)
    ]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_the_tests_of_a_module_are_found_by_its_name(module: Path) -> None:
    elsewhere = [file for pattern, file in ELSEWHERE.items() if fnmatch(str(module), pattern)]
    assert own_tests(module) or elsewhere, "write its tests, or name the file that has them"


@pytest.mark.parametrize("file", sorted(set(ELSEWHERE.values())))
def test_the_files_that_test_other_modules_exist(file: str) -> None:
    assert (TESTS / file).is_file()
