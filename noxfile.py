"""The sessions of this project: `nox -l` lists them."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True

PYTHON = "3.11"
OTHERS = ("3.12", "3.13")
CODE = ("ccv2_async", "tests", "benchmarks", "examples", "docs", "noxfile.py")
PROJECT = nox.project.load_toml("pyproject.toml")

FAST = (
    "tests/test_client_options.py", "tests/test_oauth.py", "tests/test_observe.py",
    "tests/test_otel.py", "tests/test_public_face.py", "tests/test_pytest_plugin.py",
    "tests/test_webhooks.py", "tests/cli/test_app.py", "tests/models",
    "tests/polling/test_poller.py", "tests/polling/test_token.py",
    "tests/resources/test_contacts.py", "tests/resources/test_library.py",
    "tests/sandbox/areas/test_library.py", "tests/sandbox/test_server.py",
    "tests/transport/files/test_body.py", "tests/transport/http",
    *sorted(map(str, Path("tests/uploads").glob("test_*.py"))), "tests/uploads/many/test_run.py",
    "tests/workers/test_stores.py",
)  # fmt: skip
"""Tests that take a few minutes and touch every dependency."""

PARALLEL = ("-n", "3", "--dist", "worksteal")
"""Run three tests at a time, as many of them wait for a process or a clock. Arguments of a session
replace this, so `--pdb` works there."""

MEMORY = Path("/dev/shm")  # noqa: S108  # no file is opened there by a name that others know
ROOM = 4 * 1024**3
"""Bytes of memory that temporary files may need."""

EXTRAS = {
    "": ("ccv2_async.ConstantContact", "ccv2_async.models.LibraryFile", "ccv2_async.webhooks"),
    "cli": ("ccv2_async.cli.main",),
    "sandbox": ("ccv2_async.sandbox.Sandbox", "ccv2_async.sandbox.page.app.make_page"),
    "httpx2": ("ccv2_async.ConstantContact", "httpx2"),
    "redis": ("ccv2_async.transport.quota.shared.SharedBudget", "redis", "limits"),
    "workers": ("ccv2_async.workers", "ccv2_async.workers.queue"),
    "otel": ("ccv2_async.otel.Tracing",),
    "examples": ("ccv2_async.sandbox.Sandbox", "fastapi"),
    "all": ("ccv2_async.cli.main", "ccv2_async.sandbox.Sandbox", "ccv2_async.otel.Tracing"),
}
"""What can be imported with each extra, installed alone."""

VERSION_FILE = Path("ccv2_async/version.py")

PINS = "constraints.txt"
"""The versions that all sessions but `interpreter`, `lowest`, and `package` install."""

LIMITS = {".whl": 1_000_000, ".gz": 2_500_000}
"""The maximum size of a distribution in bytes."""


def groups(*names: str) -> list[str]:
    """Return the requirements of dependency groups. An old pip cannot install groups itself."""
    return list(nox.project.dependency_groups(PROJECT, *names))


def temporary() -> dict[str, str]:
    """Return the environment that keeps temporary files in memory, if there is room for them.

    The journals of a thousand backups spend most of their time waiting for the disk.
    """
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return {}
    return {"TMPDIR": str(MEMORY)} if shutil.disk_usage(MEMORY).free > ROOM else {}


@nox.session(python=PYTHON)
def tests(session: nox.Session) -> None:
    """Run the tests and measure branch coverage. With arguments, any coverage passes."""
    session.install("-e", ".[all,examples]", *groups("test", "docs", "bench"), "-c", PINS)
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *(session.posargs or PARALLEL), env=temporary())
    session.run("coverage", "combine", "-q")
    report = ["coverage", "report"]
    if session.posargs:
        report.append("--fail-under=0")
    session.run(*report)


@nox.session(python=[PYTHON, *OTHERS])
def interpreter(session: nox.Session) -> None:
    """Run the fast tests on one interpreter with the newest dependencies; `-- tests` runs all."""
    session.install("-e", ".[all,examples]", *groups("test", "docs", "bench"))
    arguments = session.posargs or (*PARALLEL, *FAST)
    session.run("python", "-m", "pytest", *arguments, env=temporary())


@nox.session(python=PYTHON)
def lowest(session: nox.Session) -> None:
    """Run the fast tests with the lowest versions that pyproject.toml allows."""
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text("".join(f"{pin}\n" for pin in lowest_pins()), "utf-8")
    session.install(
        "-e", ".[all,examples]", *groups("test", "docs", "bench"), "-c", str(constraints)
    )
    arguments = session.posargs or (*PARALLEL, *FAST)
    session.run("python", "-m", "pytest", *arguments, env=temporary())


def lowest_pins() -> list[str]:
    """Return `name==version` for the lower bound of each dependency, extra, and group."""
    project = PROJECT["project"]
    texts = [*project["dependencies"], *groups("test", "docs", "bench")]
    for extra in project["optional-dependencies"].values():
        texts += extra
    bounds: dict[str, Version] = {}
    for requirement in map(Requirement, texts):
        name = canonicalize_name(requirement.name)
        if name == project["name"]:
            continue
        lower = [Version(s.version) for s in requirement.specifier if s.operator == ">="]
        bounds[name] = max([*lower, bounds.get(name, Version("0"))])
    return [f"{name}=={version}" for name, version in sorted(bounds.items())]


@nox.session(python=PYTHON)
def package(session: nox.Session) -> None:
    """Build wheel and sdist, install the wheel with each extra alone, and import from it."""
    session.install("build")
    home = Path(session.create_tmp()).resolve()
    built = home / "dist"
    session.run("python", "-m", "build", "--outdir", str(built))
    [version] = re.findall(r'^__version__ = "(.+)"$', VERSION_FILE.read_text("utf-8"), re.MULTILINE)
    [wheel] = built.glob(f"*-{version}-*.whl")
    [sdist] = built.glob(f"*-{version}.tar.gz")
    for file in (wheel, sdist):
        size, limit = file.stat().st_size, LIMITS[file.suffix]
        session.log(f"{file.name}: {size:,} bytes of at most {limit:,}")
        if size > limit:
            session.error(f"{file.name} is too large")
    for extra, promised in EXTRAS.items():
        place = home / (extra or "plain")
        session.run("python", "-m", "venv", "--clear", str(place))
        python = str(place / "bin" / "python")
        wanted = f"{wheel}[{extra}]" if extra else str(wheel)
        session.run(python, "-m", "pip", "install", "-q", wanted, external=True)
        check = f"import pkgutil; [pkgutil.resolve_name(name) for name in {promised!r}]"
        # Outside of the checkout, so that the installed package is imported.
        with session.chdir(home):
            session.run(python, "-W", "error", "-c", check, external=True)
            session.run(python, "-m", "pip", "check", external=True)


@nox.session(python=PYTHON)
def lint(session: nox.Session) -> None:
    """Check style, format, import contracts, and the size of the package."""
    session.install(*groups("lint"), "-c", PINS)
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)
    session.run("lint-imports")
    session.run("python", "tests/count.py")


@nox.session(python=PYTHON)
def types(session: nox.Session) -> None:
    """Check types strictly, and check that all public names are typed."""
    # Not editable, so that the check sees the package as it is installed for users.
    session.install(".[all,examples]", *groups("test", "docs", "bench", "lint"), "nox", "-c", PINS)
    session.run("mypy")
    session.run("basedpyright", "--verifytypes", "ccv2_async", "--ignoreexternal")
    session.run("basedpyright", "tests/typing")


@nox.session(python=PYTHON, reuse_venv=False)
def pin(session: nox.Session) -> None:
    """Write the newest versions of everything that CI installs to constraints.txt."""
    session.install(".[all,examples]", *groups("test", "docs", "bench", "lint", "mutation"), "nox")
    frozen = session.run("pip", "freeze", "--exclude", "ccv2-async", silent=True)
    head = "# The versions that CI installs; `nox -s pin` writes this file.\n"
    Path(PINS).write_text(f"{head}{frozen}", "utf-8")


@nox.session(python=PYTHON)
def bench(session: nox.Session) -> None:
    """Measure against other clients: `nox -s bench -- --only P1,P2 --quick`."""
    session.install(".[all]", *groups("bench"), "-c", PINS)
    arguments = session.posargs or ["--json", "benchmarks/results/all.json"]
    session.run("python", "-m", "benchmarks", *arguments)


@nox.session(python=PYTHON)
def mutation(session: nox.Session) -> None:
    """Change the modules that make decisions, and check that tests notice: `-- settle retry`."""
    session.install("-e", ".[all]", *groups("test", "mutation"), "-c", PINS)
    session.run("python", "-m", "tests.mutation", *session.posargs)


@nox.session(python=PYTHON)
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build/html; a warning is an error."""
    session.install("-e", ".[all]", *groups("docs"), "-c", PINS)
    session.run("sphinx-build", "-W", "-b", "html", "docs", "docs/_build/html")


@nox.session(python=PYTHON)
def demo(session: nox.Session) -> None:
    """Upload the example files to the embedded sandbox and follow them to Active."""
    session.install(".[all]")
    session.run("ccv2", "upload", "examples/files", "--sandbox", *session.posargs)
