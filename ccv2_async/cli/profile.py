"""The login that `ccv2 login` stores: a file in the user's configuration directory, mode 0600.

It holds a key, a token and the service that they are for. The token goes to no other service, and
with no other key.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.client import BASE_URL
from ccv2_async.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Profile", "forget", "load", "options_from", "path_of_profile", "store"]

_OTHERS = 0o077


@attrs.frozen
class Profile:
    """A stored login.

    Attributes:
        api_key: The application's key.
        access_token: The grant of the account's owner.
        base_url: The service that both are for.
    """

    api_key: str = attrs.field(repr=False)
    access_token: str = attrs.field(repr=False)
    base_url: str


def path_of_profile() -> Path:
    """Return the path of the profile file, whether it exists or not."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    if given:
        base = Path(given)
    elif sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path.home() / ".config"
    return base / "ccv2" / "profile.json"


def store(profile: Profile) -> Path:
    """Write the profile, readable by its owner alone, and return its path.

    Raises:
        OSError: It cannot be written.
    """
    path = path_of_profile()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp creates the file with mode 0600: there is no moment at which others can read it.
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".profile-")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            json.dump(attrs.asdict(profile), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)  # noqa: PTH105  # a plain string
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108  # a plain string
        raise
    return path


def load() -> Profile | None:
    """Return the stored login; None if there is none.

    Raises:
        UsageError: The file can be read by other users, or it is not a profile.
    """
    path = path_of_profile()
    try:
        with path.open(encoding="utf-8") as file:
            exposed = os.name == "posix" and os.fstat(file.fileno()).st_mode & _OTHERS
            content = json.load(file)
        found = Profile(**{name: str(content[name]) for name in attrs.fields_dict(Profile)})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        found = None  # the reason is not shown: it might quote the file
    if found is None:
        raise UsageError(f"{path}: the stored login cannot be read. Run 'ccv2 login' again.")
    if exposed:
        raise UsageError(
            f"{path}: other users may read this file, and it holds a token. Run "
            f"'chmod 600 {path}', or 'ccv2 login' again."
        )
    return found


def forget() -> bool:
    """Delete the stored login; return whether there was one."""
    try:
        path_of_profile().unlink()
    except FileNotFoundError:
        return False
    return True


def options_from(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the client's options that the stored login adds to the environment.

    Raises:
        UsageError: The stored login cannot be used.
    """
    if environment.get("CCV2_ACCESS_TOKEN"):
        return {}
    profile = load()
    if profile is None:
        return {}
    base_url = environment.get("CCV2_BASE_URL") or BASE_URL
    if base_url.rstrip("/") != profile.base_url.rstrip("/"):
        return {}
    key = environment.get("CCV2_API_KEY") or profile.api_key
    if key != profile.api_key:
        raise UsageError(
            "The stored login is for another key than CCV2_API_KEY. Run 'ccv2 login' again, or "
            "unset CCV2_API_KEY."
        )
    return {"api_key": profile.api_key, "access_token": profile.access_token}
