"""How workers are set up: by arguments, or by the environment alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.activities.status import ACTIVITY
from ccv2_async.client import BASE_URL, PER_DAY, PER_SECOND, flag_of, rate_of
from ccv2_async.errors import InvalidField
from ccv2_async.transport.quota.shared import MARGIN
from ccv2_async.uploads.status import UPLOAD
from ccv2_async.workers.sqlite_store import IN_MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DAY = 86_400.0


def _env(default: Any, name: str, **options: Any) -> Any:
    return attrs.field(default=default, metadata={"env": name}, **options)


def _above_zero(_: object, field: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < float("inf"):
        raise InvalidField(field.name, value, "a number above 0")


def _checked_roots(
    roots: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None,
) -> tuple[str, ...] | None:
    """Return the real paths of directories; none at all would be a worker that reads nothing."""
    if roots is None:
        return None
    listed = [roots] if isinstance(roots, str | os.PathLike) else list(roots)
    paths = tuple(os.path.realpath(path) for path in listed if os.fspath(path))
    if not paths:
        raise InvalidField("roots", roots, "one or more directories")
    return paths


@attrs.frozen(kw_only=True)
class WorkerSettings:
    """How workers are set up; each has a variable of the environment.

    Attributes:
        api_key: The application's key: `CCV2_API_KEY`.
        access_token: The account owner's grant: `CCV2_ACCESS_TOKEN`.
        base_url: Where the API lives: `CCV2_BASE_URL`.
        roots: `CCV2_WORKER_ROOTS`: the directories whose files, and those below, a worker may read;
            a list of paths, separated by colons in the variable (semicolons on Windows). Symbolic
            links are followed first. Unless given, a worker reads any file that it can open.
        redis_url: `CCV2_REDIS_URL`: where queue, jobs and quota are shared by all workers. Without
            it everything stays in this process.
        store: `CCV2_WORKER_STORE`: without Redis, the file that keeps the jobs beyond the end of
            the process; they are kept in memory unless given.
        namespace: `CCV2_WORKER_NAMESPACE`: what all names in Redis begin with. Workers of other
            accounts that use the same Redis need another one.
        per_second: `CCV2_RATE`: the key's calls a second, over all workers; 0 lifts the limit.
        per_day: `CCV2_RATE_PER_DAY`: the key's calls a day (UTC), over all workers; 0 lifts it.
        trust_env: `CCV2_TRUST_ENV`: whether the environment's proxies are used; 0 for no.
        quota_margin: `CCV2_QUOTA_MARGIN`: seconds, see `SharedBudget`.
        concurrency: `CCV2_WORKER_CONCURRENCY`: files that one worker sends at once.
        sweep_seconds: `CCV2_SWEEP_SECONDS`: seconds from one round over all open jobs to the next.
        lease_seconds: `CCV2_LEASE_SECONDS`: for how long a job is left alone when its worker dies.
        redeliver_seconds: `CCV2_REDELIVER_SECONDS`: after how long a message that a worker took
            and did not acknowledge goes to another.
        upload_deadline: `CCV2_UPLOAD_DEADLINE`: seconds from acceptance to giving up an upload.
        activity_deadline: `CCV2_ACTIVITY_DEADLINE`: the same for a bulk activity.
        keep_seconds: `CCV2_WORKER_KEEP`: seconds for which settled jobs are kept, and their keys
            known; 0 keeps them for ever.
    """

    api_key: str = _env("", "CCV2_API_KEY", repr=False)
    access_token: str = _env("", "CCV2_ACCESS_TOKEN", repr=False)
    base_url: str = _env(BASE_URL, "CCV2_BASE_URL")
    roots: tuple[str, ...] | None = attrs.field(
        default=None, converter=_checked_roots, metadata={"env": "CCV2_WORKER_ROOTS"}
    )
    redis_url: str | None = _env(None, "CCV2_REDIS_URL", repr=False)
    store: str = _env(IN_MEMORY, "CCV2_WORKER_STORE")
    namespace: str = _env("ccv2", "CCV2_WORKER_NAMESPACE")
    per_second: float | None = _env(PER_SECOND, "CCV2_RATE")
    per_day: int | None = _env(PER_DAY, "CCV2_RATE_PER_DAY")
    trust_env: bool = _env(True, "CCV2_TRUST_ENV")  # its default
    quota_margin: float = _env(MARGIN, "CCV2_QUOTA_MARGIN")
    concurrency: int = _env(8, "CCV2_WORKER_CONCURRENCY", validator=_above_zero)
    sweep_seconds: float = _env(5.0, "CCV2_SWEEP_SECONDS", validator=_above_zero)
    lease_seconds: float = _env(30.0, "CCV2_LEASE_SECONDS", validator=_above_zero)
    redeliver_seconds: float = _env(60.0, "CCV2_REDELIVER_SECONDS", validator=_above_zero)
    upload_deadline: float = _env(UPLOAD.deadline, "CCV2_UPLOAD_DEADLINE", validator=_above_zero)
    activity_deadline: float = _env(
        ACTIVITY.deadline, "CCV2_ACTIVITY_DEADLINE", validator=_above_zero
    )
    keep_seconds: float = _env(14 * DAY, "CCV2_WORKER_KEEP")

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **given: Any) -> WorkerSettings:
        """The settings of the environment; what is given goes before them.

        Args:
            environment: The variables; those of the process unless given.
            given: Settings by name.

        Raises:
            InvalidField: A variable has to be a number and is not.
        """
        variables = os.environ if environment is None else environment
        found: dict[str, Any] = {}
        for field in attrs.fields(cls):
            name = field.metadata["env"]
            text = variables.get(name, "").strip()
            if text:
                found[field.name] = _READ.get(field.name, _text)(text, name)
        if found.get("per_second", 1.0) is None and "per_day" not in found:
            found["per_day"] = None  # CCV2_RATE=0 lifts the quota as a whole
        return cls(**{**found, **given})


def _text(text: str, _: str) -> str:
    return text


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidField(name, text, "a number of seconds") from None


def _whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidField(name, text, "a whole number") from None


_READ: Mapping[str, Any] = {
    "roots": lambda text, _: text.split(os.pathsep),
    "per_second": rate_of,
    "trust_env": flag_of,
    "per_day": lambda text, name: _whole(text, name) or None,
    "concurrency": _whole,
    **dict.fromkeys(
        (
            "quota_margin",
            "sweep_seconds",
            "lease_seconds",
            "redeliver_seconds",
            "upload_deadline",
            "activity_deadline",
            "keep_seconds",
        ),
        _number,
    ),
}
