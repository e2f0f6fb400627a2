"""Change each deciding module in many small ways, and see whether its own tests notice.

`python -m tests.mutation` tries all modules, `python -m tests.mutation settle retry` two of them.
mutmut makes the changes. It changes the code of functions and methods, and leaves tables,
properties, and texts of messages alone. `survivors.toml` lists each change that no test can notice,
with the reason. A further one, or fewer than 95 % noticed in a module, fails the run.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
SURVIVORS = Path(__file__).with_name("survivors.toml")
COPIED = ("ccv2_async", "tests", "benchmarks")
MUST = 0.95

MODULES = {
    "uploads/settle": ["uploads/test_settle.py"],
    "uploads/ledger": ["uploads/test_ledger.py"],
    "uploads/looks": ["uploads/test_looks.py"],
    "uploads/mirror/plan": ["uploads/mirror/test_plan.py"],
    "transport/calls/retry": ["transport/calls/test_retry.py"],
    "transport/calls/responses": [
        "transport/calls/test_responses*.py",
        "resources/test_listing.py",
    ],
    "transport/files/multipart": ["transport/files/test_multipart.py"],
    "transport/quota/budget": [
        "transport/quota/test_budget.py",
        "transport/quota/test_day_count.py",
    ],
    "polling/schedule": ["polling/test_schedule.py"],
    "polling/token": ["polling/test_token.py"],
    "polling/queue": ["polling/test_queue.py", "polling/test_sweep*.py"],
    "polling/sweep": ["polling/test_sweep*.py"],
    "activities/contact_rows": ["activities/test_contact_rows.py", "resources/test_activities.py"],
    "activities/status": ["activities/test_status.py"],
    "backup/datasets": ["backup/test_datasets.py"],
    "backup/estimate": ["backup/test_estimate.py"],
}
"""The modules that decide, and the tests of each."""

CONFIG = """
[tool.mutmut]
source_paths = ["ccv2_async"]
only_mutate = ["ccv2_async/{module}.py"]
also_copy = ["benchmarks"]
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-p", "no:cacheprovider", "--hypothesis-profile=mutation", "--timeout=30"]
# A line that holds a text of several words, which only people read.
do_not_mutate_patterns = ['"[A-Za-z{{;][^"]*[a-z}}:,.] [^"]*"']
use_git_change_detection = false
# A change that makes a loop endless ends after this many seconds more, and times the usual seconds.
timeout_constant = 5.0
timeout_multiplier = 4.0
"""


@attrs.frozen
class Change:
    """One change of the code.

    Attributes:
        function: The function, with its module and class.
        was: The lines that it replaces.
        becomes: The lines in their place.
    """

    function: str
    was: str
    becomes: str


def main() -> int:
    """Try the modules that the command line names; return 1 if a change goes unnoticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="parts of the modules' names; all by default")
    chosen = parser.parse_args().modules
    with SURVIVORS.open("rb") as file:
        rows = tomllib.load(file)["survivor"]
    at_import = {row["function"] for row in rows if row.get("import")}
    listed = {Change(row["function"], row.get("was", ""), row.get("becomes", "")) for row in rows}
    failed = False
    for module, tests in MODULES.items():
        if chosen and not any(word in module for word in chosen):
            continue
        noticed, survivors = _tried(module, tests)
        survivors = [change for change in survivors if change.function not in at_import]
        total = noticed + len(survivors)
        _say(f"{module}: {noticed} of {total} noticed ({noticed / total:.1%})")
        new = [change for change in survivors if change not in listed]
        for change in new:
            _say("[[survivor]]", f"function = '{change.function}'")
            _say(f"was = '''{change.was}'''", f"becomes = '''{change.becomes}'''", 'why = ""')
        failed = failed or bool(new) or noticed / total < MUST
    return 1 if failed else 0


def _tried(module: str, patterns: list[str]) -> tuple[int, list[Change]]:
    """Return how many changes of a module its tests noticed, and those that they did not."""
    tests = [
        f"tests/{path.relative_to(ROOT / 'tests')}"
        for pattern in patterns
        for path in sorted((ROOT / "tests").glob(pattern))
    ]
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        for name in COPIED:
            shutil.copytree(ROOT / name, work / name)
        project = (ROOT / "pyproject.toml").read_text("utf-8")
        (work / "pyproject.toml").write_text(project + CONFIG.format(module=module, tests=tests))
        _mutmut(work, "run", "--max-children", str(os.cpu_count()))
        results = _mutmut(work, "results", "--all", "true")
        found = re.findall(r"^\s*(\S+): (.+)$", results, re.MULTILINE)
        names = [name for name, status in found if status in ("survived", "no tests")]
        diffs = _run(work, "-c", SHOW, f"ccv2_async/{module}.py", *names).split("\0")
        changes = [_change(name, diff) for name, diff in zip(names, diffs, strict=False)]
        return len(found) - len(names), changes


SHOW = """
import sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
for name in sys.argv[2:]:
    print(get_diff_for_mutant(name, path=sys.argv[1]), end="\\0")
"""
"""What `mutmut show` does, for many changes at once: each start of mutmut takes a second."""


def _mutmut(work: Path, *arguments: str) -> str:
    return _run(work, "-m", "mutmut", *arguments)


def _run(work: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    ran = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)  # noqa: S603
    if ran.returncode:
        raise SystemExit((ran.stdout + ran.stderr)[-4000:])
    return ran.stdout


def _change(name: str, diff: str) -> Change:
    """Read a change from mutmut's name of it and its diff."""
    function = re.sub(r"\bx[ǁ_]|__mutmut_\d+$", "", name).replace("ǁ", ".")
    lines = {
        sign: "\n".join(
            line[1:].strip()
            for line in diff.splitlines()
            if line.startswith(sign) and not line.startswith(sign * 3)
        )
        for sign in "-+"
    }
    return Change(function.removeprefix("ccv2_async."), lines["-"], lines["+"])


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
