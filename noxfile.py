"""The sessions of this project: `nox -l` lists them."""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True

PYTHON = "3.11"
CODE = ("ccv2_async", "tests", "benchmarks", "examples", "docs", "noxfile.py")


@nox.session(python=PYTHON)
def tests(session: nox.Session) -> None:
    """Run the tests and measure branch coverage; arguments narrow them and skip the gate."""
    session.install("-e", ".[test,bench]")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine", "-q")
    report = ["coverage", "report"]
    if session.posargs:
        report.append("--fail-under=0")
    session.run(*report)


@nox.session(python=PYTHON)
def lint(session: nox.Session) -> None:
    """Style, format, and the floors of the house."""
    session.install("-e", ".[lint]")
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)
    session.run("lint-imports")


@nox.session(python=PYTHON)
def types(session: nox.Session) -> None:
    """Strict types, and that everything public has one."""
    # Not editable: completeness is that of the package as its users have it.
    session.install(".[test,bench,lint]", "nox")
    session.run("mypy")
    session.run("basedpyright", "--verifytypes", "ccv2_async", "--ignoreexternal")


@nox.session(python=PYTHON)
def bench(session: nox.Session) -> None:
    """Measure against the peers: `nox -s bench -- --only P1,P2 --quick`."""
    session.install(".[bench]")
    arguments = session.posargs or ["--json", "benchmarks/results/all.json"]
    session.run("python", "-m", "benchmarks", *arguments)


@nox.session(python=PYTHON)
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build/html; a warning is an error."""
    session.install("-e", ".[all,docs]")
    session.run("sphinx-build", "-W", "-b", "html", "docs", "docs/_build/html")


@nox.session(python=PYTHON)
def demo(session: nox.Session) -> None:
    """Upload the example files to the embedded sandbox and follow them to Active."""
    session.install(".[all]")
    session.run("ccv2", "upload", "examples/files", "--sandbox", *session.posargs)
