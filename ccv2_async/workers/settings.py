"""The settings of workers, from arguments or from the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.activities.status import ACTIVITY
from ccv2_async.client import BASE_URL, PER_DAY, PER_SECOND, flag_of, rate_of
from ccv2_async.errors import InvalidField
from ccv2_async.secret import without_arguments
from ccv2_async.transport.quota.shared import MARGIN
from ccv2_async.uploads.status import UPLOAD
from ccv2_async.workers.stores import IN_MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

DAY = 86_400.0


def _number(text: str, name: str, kind: type[float] = float, of: str = "number of seconds") -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InvalidField(name, text, f"it must be a {of}") from None


def _whole(text: str, name: str) -> Any:
    return _number(text, name, int, "whole number")


def _env(
    name: str, default: Any, read: Callable[[str, str], Any] | None = None, **options: Any
) -> Any:
    """Return a setting with its environment variable and the function that reads the variable."""
    return attrs.field(default=default, metadata={"env": name, "read": read}, **options)


def _seconds(name: str, default: float) -> Any:
    return _env(name, default, _number, validator=_above_zero)


def _above_zero(_: object, field: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < float("inf"):
        raise InvalidField(field.name, value, "it must be a number above 0")


def _checked_roots(
    roots: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None,
) -> tuple[str, ...] | None:
    """Return the real paths of directories; an empty list is refused."""
    if roots is None:
        return None
    listed = [roots] if isinstance(roots, str | os.PathLike) else list(roots)
    if not (paths := tuple(os.path.realpath(path) for path in listed if os.fspath(path))):
        raise InvalidField("roots", roots, "it must name one or more directories")
    return paths


@attrs.frozen(kw_only=True)
class WorkerSettings:
    """The settings of workers. Each has an environment variable.

    Attributes:
        api_key: The application's key: `CCV2_API_KEY`.
        access_token: The account's access token: `CCV2_ACCESS_TOKEN`.
        base_url: The URL of the API: `CCV2_BASE_URL`.
        roots: `CCV2_WORKER_ROOTS`: the directories below which a worker may read files; a list of
            paths, separated by colons in the variable (semicolons on Windows). Symbolic links are
            followed first. By default, a worker reads any file that it can open.
        redis_url: `CCV2_REDIS_URL`: the Redis in which all workers share the queue, the jobs, and
            the quota. Without it, everything stays in this process.
        store: `CCV2_WORKER_STORE`: without Redis, the file that keeps the jobs after the process
            has ended. By default, jobs are kept in memory.
        namespace: `CCV2_WORKER_NAMESPACE`: the prefix of all names in Redis. Workers of other
            accounts that use the same Redis need a different one.
        per_second: `CCV2_RATE`: the key's calls per second, over all workers; 0 lifts the limit.
        per_day: `CCV2_RATE_PER_DAY`: the key's calls per day (UTC), over all workers; 0 lifts the
            limit.
        trust_env: `CCV2_TRUST_ENV`: whether the environment's proxies are used; 0 means no.
        quota_margin: `CCV2_QUOTA_MARGIN`: seconds; see `SharedBudget`.
        concurrency: `CCV2_WORKER_CONCURRENCY`: files that one worker sends at a time.
        sweep_seconds: `CCV2_SWEEP_SECONDS`: seconds from one round over all open jobs to the next.
        lease_seconds: `CCV2_LEASE_SECONDS`: how long a job is left alone after its worker dies.
        redeliver_seconds: `CCV2_REDELIVER_SECONDS`: seconds after which a message that a worker
            took and did not acknowledge goes to another worker.
        upload_deadline: `CCV2_UPLOAD_DEADLINE`: seconds from acceptance to giving up on an upload.
        activity_deadline: `CCV2_ACTIVITY_DEADLINE`: the same for a bulk activity.
        keep_seconds: `CCV2_WORKER_KEEP`: seconds for which settled jobs are kept, and their keys
            known; 0 keeps them forever.
    """

    api_key: str = _env("CCV2_API_KEY", "", repr=False)
    access_token: str = _env("CCV2_ACCESS_TOKEN", "", repr=False)
    base_url: str = _env("CCV2_BASE_URL", BASE_URL)
    roots: tuple[str, ...] | None = attrs.field(
        default=None,
        converter=_checked_roots,
        metadata={"env": "CCV2_WORKER_ROOTS", "read": lambda text, _: text.split(os.pathsep)},
    )
    redis_url: str | None = _env("CCV2_REDIS_URL", None, repr=False)
    store: str = _env("CCV2_WORKER_STORE", IN_MEMORY)
    namespace: str = _env("CCV2_WORKER_NAMESPACE", "ccv2")
    per_second: float | None = _env("CCV2_RATE", PER_SECOND, rate_of)
    per_day: int | None = _env(
        "CCV2_RATE_PER_DAY", PER_DAY, lambda text, name: _whole(text, name) or None
    )
    trust_env: bool = _env("CCV2_TRUST_ENV", True, flag_of)  # its default
    quota_margin: float = _env("CCV2_QUOTA_MARGIN", MARGIN, _number)
    concurrency: int = _env("CCV2_WORKER_CONCURRENCY", 8, _whole, validator=_above_zero)
    sweep_seconds: float = _seconds("CCV2_SWEEP_SECONDS", 5.0)
    lease_seconds: float = _seconds("CCV2_LEASE_SECONDS", 30.0)
    redeliver_seconds: float = _seconds("CCV2_REDELIVER_SECONDS", 60.0)
    upload_deadline: float = _seconds("CCV2_UPLOAD_DEADLINE", UPLOAD.deadline)
    activity_deadline: float = _seconds("CCV2_ACTIVITY_DEADLINE", ACTIVITY.deadline)
    keep_seconds: float = _env("CCV2_WORKER_KEEP", 14 * DAY, _number)

    @classmethod
    @without_arguments
    def from_env(cls, environment: Mapping[str, str] | None = None, **given: Any) -> WorkerSettings:
        """Return the settings from the environment; settings in `given` take precedence.

        Args:
            environment: The variables. The default is the environment of the process.
            given: Settings by name.

        Raises:
            InvalidField: A variable must be a number, but is not.
        """
        variables = os.environ if environment is None else environment
        found: dict[str, Any] = {}
        for field in attrs.fields(cls):
            name, read = field.metadata["env"], field.metadata["read"]
            if text := variables.get(name, "").strip():
                found[field.name] = text if read is None else read(text, name)
        if found.get("per_second", 1.0) is None and "per_day" not in found:
            found["per_day"] = None  # CCV2_RATE=0 lifts the whole quota
        return cls(**{**found, **given})


WorkerSettings.__init__ = without_arguments(WorkerSettings.__init__)  # type: ignore[method-assign]
