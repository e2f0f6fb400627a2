"""`ccv2 login`: the OAuth 2 flow with a simulated browser, and the stored token."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tomllib
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from ccv2_async.cli import profiles
from ccv2_async.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran

TOKEN = "sandbox-token"  # the sandbox's
SECRET = "sandbox-secret"  # the sandbox's


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def stored(api_key: str, access_token: str, base_url: str) -> Path:
    return profiles.store(None, api_key=api_key, access_token=access_token, base_url=base_url)


@pytest.fixture
def alone(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    """A sandbox that the environment names, without a token."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("CCV2_BASE_URL", sandbox.base_url)
    monkeypatch.setenv("CCV2_API_KEY", "sandbox-key")
    monkeypatch.setenv("CCV2_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("CCV2_OAUTH_URL", f"{sandbox.origin}/oauth2")
    monkeypatch.setenv("CCV2_RATE", "0")
    monkeypatch.delenv("CCV2_ACCESS_TOKEN", raising=False)
    return sandbox


@pytest.fixture
def begin(alone: Sandbox) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Starts a login; gives the process and the address that it shows."""
    with ExitStack() as stack:

        def run(**options: str) -> tuple[subprocess.Popen[str], str]:
            port = str(free_port())
            command = [sys.executable, "-m", "ccv2_async.cli", "login", "--no-browser"]
            process = subprocess.Popen(  # noqa: S603  # our own
                [*command, "--port", port],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, **options},
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            return process, process.stdout.readline().strip()

        yield run


def test_a_login_stores_a_token_that_later_commands_use(
    begin: Callable[..., tuple[subprocess.Popen[str], str]],
    ccv2: Callable[..., Ran],
    alone: Sandbox,
) -> None:
    assert "run 'ccv2 login'" in ccv2("files").err
    process, url = begin()
    page = httpx.get(url, follow_redirects=True, trust_env=False)
    assert page.status_code == 200
    assert page.url.host == "127.0.0.1"
    assert "close this page" in page.text
    out, err = process.communicate(timeout=30)
    assert process.returncode == Exit.OK, err
    for secret in (TOKEN, SECRET):
        assert secret not in url + out + err + page.text
    path = profiles.path()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert TOKEN not in repr(profiles.load())
    assert ccv2("files").code == Exit.OK
    assert alone.admin.requests()[-1].status == 200
    assert ccv2("logout").code == Exit.OK
    assert TOKEN not in path.read_text()
    assert ccv2("files").code == Exit.USAGE


def test_a_login_can_go_to_a_profile_of_its_own(
    begin: Callable[..., tuple[subprocess.Popen[str], str]],
    ccv2: Callable[..., Ran],
    alone: Sandbox,
) -> None:
    process, url = begin(CCV2_PROFILE="bakery")
    httpx.get(url, follow_redirects=True, trust_env=False)
    process.communicate(timeout=30)
    assert ccv2("lists").code == Exit.USAGE
    assert ccv2("lists", "--profile", "bakery").code == Exit.OK
    assert ccv2("logout").err == "No login is stored.\n"
    assert ccv2("logout", "--profile", "bakery").err == "Deleted the stored login.\n"
    assert ccv2("lists", "--profile", "bakery").code == Exit.USAGE


def test_connections_without_a_request_neither_delay_a_login_nor_print_anything(
    begin: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    process, url = begin()
    (redirect,) = parse_qs(urlsplit(url).query)["redirect_uri"]
    with ExitStack() as idle:
        for _ in range(3):
            port = urlsplit(redirect).port
            idle.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert httpx.get(url, follow_redirects=True, trust_env=False).status_code == 200
        _, err = process.communicate(timeout=30)
    assert process.returncode == Exit.OK
    assert len(err.splitlines()) == 2, err


def test_only_the_redirect_with_our_state_counts(
    begin: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    process, url = begin()
    query = parse_qs(urlsplit(url).query)
    (redirect,) = query["redirect_uri"]
    for forged in ("?code=evil", "?code=evil&state=guessed", "", "?error=access_denied&state="):
        assert httpx.get(redirect + forged, trust_env=False).status_code == 400
    assert process.poll() is None
    assert httpx.get(url, follow_redirects=True, trust_env=False).status_code == 200
    process.communicate(timeout=30)
    assert process.returncode == Exit.OK


def test_a_request_with_a_very_long_head_is_refused_without_a_traceback(
    begin: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    process, url = begin()
    (redirect,) = parse_qs(urlsplit(url).query)["redirect_uri"]
    headers = {"x-long": "x" * 200_000}
    with suppress(httpx.TransportError):  # it is not read to its end, so the answer may get lost
        httpx.get(redirect, headers=headers, trust_env=False)
    assert httpx.get(url, follow_redirects=True, trust_env=False).status_code == 200
    _, err = process.communicate(timeout=30)
    assert process.returncode == Exit.OK
    assert "Traceback" not in err
    assert "exception" not in err


def test_a_refusal_by_the_owner_is_reported_in_one_sentence(
    begin: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    process, url = begin()
    query = parse_qs(urlsplit(url).query)
    answer = {"error": "access_denied", "state": query["state"][0]}
    page = httpx.get(query["redirect_uri"][0], params=answer, trust_env=False)
    assert "not granted" in page.text
    _, err = process.communicate(timeout=30)
    assert process.returncode == Exit.SOME_FAILED
    assert "access_denied" in err
    assert "Traceback" not in err
    assert not profiles.path().exists()


def test_a_wrong_secret_stores_nothing_and_is_not_shown(
    begin: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    process, url = begin(CCV2_CLIENT_SECRET="wrong-secret-1")
    httpx.get(url, follow_redirects=True, trust_env=False)
    out, err = process.communicate(timeout=30)
    assert process.returncode == Exit.SOME_FAILED
    assert "wrong-secret-1" not in out + err
    assert not profiles.path().exists()


def test_a_login_can_be_interrupted(
    begin: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    process, _ = begin()
    process.send_signal(2)
    _, err = process.communicate(timeout=30)
    assert process.returncode == Exit.INTERRUPTED
    assert "Traceback" not in err


def test_a_stored_token_goes_to_its_own_service_and_key_only(
    alone: Sandbox, ccv2: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored("sandbox-key", TOKEN, "https://api.constantcontact.com/v2")
    assert "No access token" in ccv2("files").err
    assert alone.admin.requests() == []
    stored("another-key", TOKEN, alone.base_url)
    assert "a different key" in ccv2("files").err
    monkeypatch.delenv("CCV2_API_KEY")
    stored("sandbox-key", TOKEN, alone.base_url)
    assert ccv2("files").code == Exit.OK


def test_environment_variables_override_the_stored_login(
    alone: Sandbox, ccv2: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored("another-key", "another-token", alone.base_url)
    monkeypatch.setenv("CCV2_ACCESS_TOKEN", TOKEN)
    assert ccv2("files").code == Exit.OK


@pytest.mark.parametrize("content", ["", "{", "[]", '{"api_key": "k", "token": "secret-7"}'])
def test_a_damaged_profile_is_reported_in_one_sentence(
    alone: Sandbox, ccv2: Callable[..., Ran], content: str
) -> None:
    path = stored("sandbox-key", TOKEN, alone.base_url)
    path.write_text(content)
    ran = ccv2("files")
    assert ran.code == Exit.USAGE
    assert "ccv2 login" in ran.err
    assert "secret-7" not in ran.err


def test_a_profile_that_others_can_read_is_not_used(
    alone: Sandbox, ccv2: Callable[..., Ran]
) -> None:
    path = stored("sandbox-key", TOKEN, alone.base_url)
    path.chmod(0o644)
    ran = ccv2("files")
    assert ran.code == Exit.USAGE
    assert "chmod 600" in ran.err
    assert tomllib.loads(path.read_text())["default"]["access_token"] == TOKEN


def test_a_login_needs_a_key_and_a_secret(
    alone: Sandbox, ccv2: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CCV2_CLIENT_SECRET")
    ran = ccv2("login", "--no-browser")
    assert ran.code == Exit.USAGE
    assert "CCV2_CLIENT_SECRET" in ran.err


@pytest.mark.parametrize(
    ("variables", "arguments", "named"),
    [
        ({}, ["--profile", "a b"], "--profile is 'a b'"),
        ({"CCV2_OAUTH_URL": "no URL"}, [], "CCV2_OAUTH_URL is"),
        ({"CCV2_BASE_URL": "https://me:word@x/v2"}, [], "CCV2_BASE_URL is"),
        ({"CCV2_API_KEY": "a key"}, [], "The API key contains a space"),
    ],
)
@pytest.mark.usefixtures("alone")
def test_what_cannot_be_stored_is_refused_before_the_browser_opens(
    ccv2: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    arguments: list[str],
    named: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ran = ccv2("login", "--no-browser", "--port", str(free_port()), *arguments)
    assert ran.code == Exit.USAGE
    assert named in ran.err
    assert "Open this page" not in ran.err
    assert not profiles.path().exists()


def test_a_profile_changes_beside_unusual_line_breaks(alone: Sandbox) -> None:
    path = stored("key-1", "token-1", alone.base_url)
    others = '# a\u2028b\u0085c\n[other]\nbase_url = "http://x\u2028[default]"\n'
    path.write_text(others, "utf-8")
    stored("key-1", "token-2", alone.base_url)
    stored("key-1", "token-3", alone.base_url)
    assert path.read_text("utf-8").startswith(others + "\n[default]\n")
    assert profiles.load()["default"].access_token == "token-3"
