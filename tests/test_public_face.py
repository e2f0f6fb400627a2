from __future__ import annotations

import subprocess
import sys

import pytest

import ccv2_async
from ccv2_async import errors


@pytest.mark.parametrize("name", ccv2_async.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(ccv2_async, name) is not None


def test_every_exception_is_exported_and_drawn() -> None:
    defined = {
        name
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, errors.ConstantContactError)
    }
    assert defined <= set(errors.__all__)
    assert errors.__doc__ is not None
    assert {
        name for name in defined if f" {name} " not in errors.__doc__.replace("\n", " ")
    } == set()


@pytest.mark.parametrize(
    ("module", "missing", "extra"),
    [
        ("ccv2_async.sandbox", "starlette", "sandbox"),
        ("ccv2_async.sandbox", "uvicorn", "sandbox"),
        ("ccv2_async.workers", "taskiq", "workers"),
        ("ccv2_async.otel", "opentelemetry", "otel"),
    ],
)
def test_importing_without_an_extra_names_the_extra(module: str, missing: str, extra: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import {module}"
    done = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"pip install 'ccv2-async[{extra}]'" in done.stderr.splitlines()[-1]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = ccv2_async.nothing_like_this


def test_importing_the_package_imports_no_http_library() -> None:
    code = "import sys, ccv2_async; print(sorted({'httpx', 'cattrs', 'anyio'} & set(sys.modules)))"
    done = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
