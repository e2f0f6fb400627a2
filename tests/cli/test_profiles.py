"""Profiles: which one is used, and what keeps their secrets."""

from __future__ import annotations

import csv
import os
import stat
from threading import Thread
from typing import IO, TYPE_CHECKING

import pytest

from ccv2_async.cli import profiles
from ccv2_async.cli.exits import Exit
from ccv2_async.errors import InvalidField, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran

TOKEN = "sandbox-token"
VARIABLES = ("CCV2_API_KEY", "CCV2_ACCESS_TOKEN", "CCV2_BASE_URL", "CCV2_RATE", "CCV2_PROFILE")


def write(text: str, mode: int = 0o600) -> Path:
    path = profiles.path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def bakery(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox that only the profile `bakery` names."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    write(
        f'[bakery] # shop\napi_key = "sandbox-key"\naccess_token = "{TOKEN}"\n'
        f'base_url = "{sandbox.base_url}"\nrate = 0\n\n[other]\nrate = 2.5\n'
    )
    return sandbox


def test_a_profile_is_chosen_by_option_or_by_variable(
    ccv2: Callable[..., Ran], bakery: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No API key" in ccv2("lists").err
    assert ccv2("lists", "--profile", "bakery").code == Exit.OK
    monkeypatch.setenv("CCV2_PROFILE", "bakery")
    assert ccv2("lists").code == Exit.OK
    assert "No API key" in ccv2("lists", "--profile", "other").err
    assert len(bakery.admin.requests()) == 2


def test_a_named_profile_comes_before_the_environment(
    ccv2: Callable[..., Ran], bakery: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCV2_API_KEY", "another-key")
    monkeypatch.setenv("CCV2_ACCESS_TOKEN", "another-token")
    monkeypatch.setenv("CCV2_BASE_URL", "http://127.0.0.1:9/v2")
    assert ccv2("lists", "--profile", "bakery").code == Exit.OK


def test_missing_profile_settings_come_from_the_environment(
    ccv2: Callable[..., Ran], bakery: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without a key or a token in it, the file may be read by all.
    write(f'[bakery]\nbase_url = "{bakery.base_url}"\nrate = 0\n', 0o644)
    monkeypatch.setenv("CCV2_API_KEY", "sandbox-key")
    monkeypatch.setenv("CCV2_ACCESS_TOKEN", TOKEN)
    assert ccv2("lists", "--profile", "bakery").code == Exit.OK


@pytest.mark.parametrize("setting", ["api_key", "access_token"])
def test_a_secret_without_a_service_goes_to_the_real_one_only(
    monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    environment = {"CCV2_BASE_URL": "http://127.0.0.1:9/v2", "CCV2_API_KEY": "key"}
    write(f'[x]\n{setting} = "key"\n[default]\n{setting} = "key"\n')
    options = profiles.options_of("x", environment)
    assert options == {setting: "key", "base_url": "https://api.constantcontact.com/v2"}
    assert profiles.options_of(None, environment) == {}


def test_the_default_profile_comes_after_the_environment() -> None:
    write('[default]\napi_key = "k"\naccess_token = "t"\nbase_url = "http://x/v2"\nrate = 0\n')
    options = {"api_key": "k", "access_token": "t", "base_url": "http://x/v2"}
    unlimited = {"per_second": None, "per_day": None}
    assert profiles.options_of(None, {}) == options | unlimited
    assert profiles.options_of(None, {"CCV2_RATE": "1"}) == options
    assert profiles.options_of(None, {"CCV2_ACCESS_TOKEN": "mine"}) == {}
    with pytest.raises(UsageError, match="a different key"):
        profiles.options_of(None, {"CCV2_API_KEY": "mine"})


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('api_key = "secret-7"\n', "put api_key under the name of a profile, such as [default]"),
        ('[bakery]\napi_kye = "secret-7"\n', "[bakery]: unknown setting api_kye; use api_key"),
        ("[bakery]\nrate = true\n", "the rate of [bakery] has a value of the wrong type"),
        ('[bakery]\naccess_token = "secret-7\n', "it is not valid TOML (line 2)"),
        ("[other]\n", "There is no profile bakery in "),
        ("", "There is no profile bakery in "),
    ],
)
def test_a_wrong_file_is_reported_in_one_sentence_without_its_secrets(
    ccv2: Callable[..., Ran], bakery: Sandbox, text: str, part: str
) -> None:
    path = write(text)
    ran = ccv2("lists", "--profile", "bakery")
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert part in ran.err
    assert str(path) in ran.err
    assert "secret-7" not in ran.err
    assert bakery.admin.requests() == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_with_secrets_that_others_can_read_is_refused(
    ccv2: Callable[..., Ran], bakery: Sandbox, mode: int
) -> None:
    path = profiles.path()
    path.chmod(mode)
    for command in (("lists", "--profile", "bakery"), ("profile", "list"), ("logout",)):
        ran = ccv2(*command)
        assert ran.code == Exit.USAGE
        assert f"Run 'chmod 600 {path}'." in ran.err
    assert bakery.admin.requests() == []
    path.chmod(0o600)
    assert ccv2("lists", "--profile", "bakery").code == Exit.OK


def test_a_pipe_in_place_of_the_file_is_refused_and_not_waited_for() -> None:
    path = write("")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UsageError, match="it is not a regular file"):
        profiles.load()


def test_profiles_are_listed_without_their_secrets(
    ccv2: Callable[..., Ran], bakery: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCV2_PROFILE", "other")
    ran = ccv2("profile", "list")
    assert ran.code == Exit.OK
    header, first, second = ran.out.splitlines()
    assert header.split() == ["name", "used", "key", "token", "service"]
    assert first.split() == ["bakery", "no", "yes", "yes", bakery.base_url]
    assert second.split() == ["other", "yes", "no", "no"]
    assert ran.err.splitlines() == ["2 profiles.", f"The profiles are in {profiles.path()}."]
    rows = list(csv.DictReader(ccv2("profile", "--csv").out.splitlines()))
    assert [row["token"] for row in rows] == ["true", "false"]
    assert [row["used"] for row in ccv2("profile", "list", "--json").rows] == [False, True]
    assert TOKEN not in ran.out + ran.err
    write('[default]\nbase_url = "https://user:geheim@proxy.example/v2"\n')
    assert "geheim" not in ccv2("profile").out


def test_an_empty_list_of_profiles_says_how_to_add_one(ccv2: Callable[..., Ran]) -> None:
    ran = ccv2("profile")
    assert ran.code == Exit.OK
    assert f"The profiles are in {profiles.path()}." in ran.err
    assert 'write a table to this file, such as [bakery] with api_key = "..."' in ran.err


def test_a_token_of_the_environment_comes_before_the_default_profile(
    ccv2: Callable[..., Ran], bakery: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("[default]\nrate = 0\n")
    assert [row["used"] for row in ccv2("profile", "--json").rows] == [True]
    monkeypatch.setenv("CCV2_ACCESS_TOKEN", TOKEN)
    assert [row["used"] for row in ccv2("profile", "--json").rows] == [False]


def test_storing_keeps_comments_and_the_rest_of_the_file() -> None:
    text = (
        '# mine\n[a]\nbase_url = "x" # kept?\n\n[ b ] # second\n# note\nrate = 1\n'
        'access_token = "old"\n\n["c d"]\nrate = 2\n'
    )
    path = write(text)
    profiles.store("b", access_token='n"e\\w', api_key="é")
    assert path.read_text() == text.replace(
        "# note\n", 'access_token = "n\\"e\\\\w"\napi_key = "é"\n# note\n'
    ).replace('access_token = "old"\n', "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    profiles.store("b", access_token="")
    assert profiles.load()["b"] == profiles.Profile(api_key="é", rate=1)
    assert profiles.load()["c d"] == profiles.Profile(rate=2)
    profiles.store("new", access_token="t")
    assert path.read_text().endswith('rate = 2\n\n[new]\naccess_token = "t"\n')


def test_profiles_that_are_stored_at_the_same_time_are_all_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replace, threads = profiles._replace, []

    def replace_while_another_is_stored(target: Path, text: str, *, trial: bool) -> None:
        monkeypatch.setattr(profiles, "_replace", replace)
        other = Thread(target=profiles.store, args=("b",), kwargs={"access_token": "2"})
        other.start()
        threads.append(other)
        other.join(0.3)  # without a lock, it is done by then
        replace(target, text, trial=trial)

    monkeypatch.setattr(profiles, "_replace", replace_while_another_is_stored)
    profiles.store("a", access_token="1")
    threads[0].join()
    stored = {name: profile.access_token for name, profile in profiles.load().items()}
    assert stored == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    "text", ["b = {rate = 1}\n", '["b"]\nrate = 1\n', '[b]\n"access_token" = "x"\n']
)
def test_a_profile_in_an_unusual_form_is_left_as_it_is(text: str) -> None:
    path = write(text)
    with pytest.raises(UsageError, match=r"\[b\] cannot be changed"):
        profiles.store("b", access_token="t")
    assert path.read_text() == text


@pytest.mark.parametrize("name", ["a b", "a.b", "ä", "]"])
def test_the_name_of_a_new_profile_is_checked(name: str) -> None:
    with pytest.raises(InvalidField, match="--profile"):
        profiles.store(name, access_token="t")
    assert not profiles.path().exists()


@pytest.mark.usefixtures("bakery")
def test_without_a_home_directory_one_sentence_says_what_to_set(
    ccv2: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", classmethod(unknown))
    for command in ("lists", "profile", "logout"):
        ran = ccv2(command)
        assert ran.code == Exit.USAGE
        assert ran.err == "The home directory is not known. Set HOME to it.\n"


@pytest.mark.usefixtures("bakery")
def test_a_login_is_deleted_from_the_file_that_a_link_points_to(
    ccv2: Callable[..., Ran], tmp_path: Path
) -> None:
    link, file = profiles.path(), tmp_path / "dotfiles.toml"
    link.rename(file)
    link.symlink_to(file)
    assert ccv2("logout", "--profile", "bakery").code == Exit.OK
    assert TOKEN not in file.read_text()
    assert link.is_symlink()


@pytest.mark.usefixtures("bakery")
def test_a_login_is_stored_through_a_link_in_a_directory_that_is_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, file = profiles.path(), tmp_path / "dotfiles" / "profiles.toml"
    file.parent.mkdir()
    link.rename(file)
    link.symlink_to(file)
    before = sorted(link.parent.iterdir())
    other = tmp_path / "other" / "ccv2"
    other.mkdir(parents=True)
    (other / "profiles.toml").symlink_to(file)
    locked = []

    def note(lock: IO[bytes], _: int) -> None:
        locked.append(os.fstat(lock.fileno()).st_ino)

    monkeypatch.setattr("fcntl.flock", note)
    profiles.store("first", access_token="t")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    profiles.store("second", access_token="t")
    assert {"first", "second"} <= {*profiles.load()}
    assert sorted(link.parent.iterdir()) == before
    assert locked[0] == locked[1]


@pytest.mark.usefixtures("bakery")
def test_a_file_of_deep_arrays_is_refused(ccv2: Callable[..., Ran]) -> None:
    write("a = " + "[" * 100_000)
    ran = ccv2("profile")
    assert (ran.code, "it is not valid TOML. Correct it" in ran.err) == (Exit.USAGE, True)
