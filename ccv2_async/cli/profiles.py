"""The file of profiles: named keys, tokens, and services.

The file is `profiles.toml` in the user's configuration directory. It has a table for each profile.
`ccv2 login` writes one; users write the others. A file that holds a key or a token is used only if
no other user can read it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
from cyclopts import Parameter

from ccv2_async.client import BASE_URL, PER_DAY, rate_of
from ccv2_async.errors import InvalidField, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "default"
"""The profile that is used if no other is named and no token is in the environment."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")

Name = Annotated[str | None, Parameter(name="--profile")]
"""The name of a profile."""


@attrs.frozen
class Profile:
    """One profile. Missing settings come from the environment.

    Attributes:
        api_key: The application's key.
        access_token: The grant of the account's owner.
        base_url: The service.
        rate: Calls per second; 0 means no limit.
    """

    api_key: str | None = attrs.field(default=None, repr=False)
    access_token: str | None = attrs.field(default=None, repr=False)
    base_url: str | None = None
    rate: float | None = None

    @property
    def service(self) -> str | None:
        """The service; a key or a token without one is for the real service."""
        return self.base_url or (BASE_URL if self.api_key or self.access_token else None)

    def options(self) -> dict[str, Any]:
        """Return the client's options."""
        given = attrs.asdict(self) | {"base_url": self.service, "rate": None}
        return {name: value for name, value in given.items() if value} | quota_of(self.rate, "rate")


def quota_of(rate: float | None, where: str) -> dict[str, Any]:
    """Return the client's options for a rate; 0 lifts the quota of the day too.

    Raises:
        InvalidField: It is not a number of 0 or more.
    """
    if rate is None:
        return {}
    return {"per_second": rate_of(str(rate), where), "per_day": PER_DAY if rate else None}


_SETTINGS = tuple(attrs.fields_dict(Profile))


def path() -> Path:
    """Return the path of the file, whether it exists or not."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    below = "Library/Application Support" if sys.platform == "darwin" else ".config"
    try:
        base = Path(given) if given else Path.home() / below
    except RuntimeError:
        raise UsageError("The home directory is not known. Set HOME to it.") from None
    return base / "ccv2" / "profiles.toml"


def load() -> dict[str, Profile]:
    """Return the profiles by their names.

    Raises:
        UsageError: The file cannot be read, is wrong, or can be read by others.
    """
    try:
        mode = path().stat().st_mode
        if not path().is_file():
            raise OSError(0, "it is not a regular file")  # noqa: TRY301  # as others
        tables = tomllib.loads(path().read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path()}: it cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        # The rest of the reason is not shown, because it may quote the file.
        line = re.search(r"line \d+", str(error))
        where = f" ({line[0]})" if line else ""
        raise UsageError(
            f"{path()}: it is not valid TOML{where}. Correct it, or remove it and "
            "run 'ccv2 login' again."
        ) from None
    found = {name: _checked(name, fields) for name, fields in tables.items()}
    if mode & 0o077 and any(each.api_key or each.access_token for each in found.values()):
        raise UsageError(
            f"{path()}: other users can read this file, and it contains a key or a token. Run "
            f"'chmod 600 {shlex.quote(str(path()))}'."
        )
    return found


def _checked(name: str, fields: object) -> Profile:
    if not isinstance(fields, dict):
        raise UsageError(f"{path()}: put {name} under the name of a profile, such as [{DEFAULT}].")
    for setting, value in fields.items():
        if setting not in _SETTINGS:
            known = ", ".join(_SETTINGS)
            raise UsageError(f"{path()}: [{name}]: unknown setting {setting}; use {known}.")
        kind = int | float if setting == "rate" else str
        if not isinstance(value, kind) or isinstance(value, bool) or value == "":
            raise UsageError(f"{path()}: the {setting} of [{name}] has a value of the wrong type.")
    return Profile(**fields)


def options_of(name: str | None, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the client's options that a profile adds to the environment or overrides.

    A profile that is named takes precedence over the environment. Without a name, the default
    profile is used if the environment has no token, and only for its own service and key.

    Args:
        name: The profile that the command line names, or None.
        environment: The variables.

    Raises:
        UsageError: There is no such profile, or it cannot be used.
    """
    if (name := name or environment.get("CCV2_PROFILE") or None) is not None:
        found = load()
        if name not in found:
            known = f"the file has {', '.join(found)}" if found else "the file has none"
            raise UsageError(f"There is no profile {name} in {path()}; {known}.")
        return found[name].options()
    if environment.get("CCV2_ACCESS_TOKEN"):
        return {}
    default = load().get(DEFAULT, Profile())
    wanted = environment.get("CCV2_BASE_URL")
    if wanted and default.service and wanted.rstrip("/") != default.service.rstrip("/"):
        return {}
    key = environment.get("CCV2_API_KEY")
    if key and default.api_key and key != default.api_key:
        raise UsageError(
            f"The profile {DEFAULT} is for a different key than CCV2_API_KEY. Run 'ccv2 login' "
            "again, name another profile with --profile, or unset CCV2_API_KEY."
        )
    if environment.get("CCV2_RATE"):
        default = attrs.evolve(default, rate=None)
    return default.options()


def store(name: str | None, *, trial: bool = False, **settings: str) -> Path:
    """Write settings into a profile, in a file that its owner alone can read; return its path.

    Other settings, other profiles, and comments stay as they are. Processes that do this at the
    same time take turns.

    Args:
        name: The profile; None for the one that CCV2_PROFILE names, or the default one.
        trial: Whether to check only that this is possible: the file keeps its content.
        settings: The settings, by their names in the file; "" removes one.

    Raises:
        UsageError: The file cannot be changed.
        OSError: It cannot be written.
    """
    name = name or os.environ.get("CCV2_PROFILE") or DEFAULT
    if not _NAME.fullmatch(name):
        raise InvalidField("--profile", name, "use only letters, digits, hyphens, and underscores")
    target = Path(os.path.realpath(path()))  # a link stays a link
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The file itself is replaced, so another one has the lock.
    with target.with_name(".profiles.lock").open("ab") as lock:
        with contextlib.suppress(ImportError, OSError):  # a system or a file system without locks
            import fcntl  # noqa: PLC0415  # not on Windows

            fcntl.flock(lock, fcntl.LOCK_EX)
        changes: dict[str, Any] = {key: value or None for key, value in settings.items()}
        expected = attrs.evolve(load().get(name, Profile()), **changes)
        text = _changed(path().read_text("utf-8") if path().exists() else "", name, settings)
        same = False
        with contextlib.suppress(ValueError, TypeError):
            same = Profile(**tomllib.loads(text).get(name, {})) == expected
        if same:
            _replace(target, text, trial=trial)
            return path()
    raise UsageError(f"{path()}: [{name}] cannot be changed. Remove it from the file first.")


def _changed(text: str, name: str, settings: Mapping[str, str]) -> str:
    """Return the text of the file with these settings in a profile."""
    lines = text.split("\n")  # not at other line breaks, which TOML allows in a comment
    header = re.compile(rf"\s*\[\s*{re.escape(name)}\s*\]\s*(#.*)?")
    if not any(map(header.fullmatch, lines)):
        lines.append(f"[{name}]")
    at = next(at for at, line in enumerate(lines) if header.fullmatch(line))
    rest = lines[at + 1 :]
    end = next((end for end, line in enumerate(rest) if line.lstrip().startswith("[")), len(rest))
    kept = [line for line in rest[:end] if line.partition("=")[0].strip() not in settings]
    # A JSON string is a TOML string too.
    new = [
        f"{setting} = {json.dumps(value, ensure_ascii=False)}"
        for setting, value in settings.items()
        if value
    ]
    return "\n".join([*lines[: at + 1], *new, *kept, *rest[end:]]).strip("\n") + "\n"


def _replace(target: Path, text: str, *, trial: bool) -> None:
    # mkstemp creates the file with mode 0600: there is no moment at which others can read it.
    number, temporary = tempfile.mkstemp(dir=target.parent, prefix=".profiles-")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if trial:
            os.unlink(temporary)  # noqa: PTH108  # a plain string
        else:
            os.replace(temporary, target)  # noqa: PTH105  # a plain string
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108  # a plain string
        raise
