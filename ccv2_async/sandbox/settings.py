"""The settings of a sandbox and their defaults."""

from __future__ import annotations

import builtins
import re
import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

Seed = int | Literal["demo"] | Path | None
Mode = Literal["at_once", "looks", "seconds", "lognormal"]
ExportLink = Literal["absolute", "relative", "other_host"]

DEMO: Final = "demo"
"""The seed of a sandbox that starts with data."""

GROUPS = {
    "library": "library",
    "activities": "activities",
    "lists": "lists",
    "contacts": "contacts",
    "campaigns": "emailmarketing",
    "events": "eventspot",
    "account": "account",
}
"""The groups of operations that can be retired, each with the first word of its paths."""


_OPERATION = re.compile(r"(DELETE|GET|PATCH|POST|PUT) /\S+")

LONGEST = 1e9
"""The longest time in seconds, about 30 years: dates stay within the calendar."""

_LARGEST = 2**53
"""The largest integer that JSON carries exactly."""


def check_value(name: str, value: object, kind: Any) -> None:
    """Raise `ValueError` if a value from outside does not match an annotation."""
    if not _fits(value, kind):
        choices = ", ".join(typing.get_args(kind)) if typing.get_origin(kind) is Literal else ""
        rule = f"one of {choices}" if choices else f"a valid {getattr(kind, '__name__', kind)}"
        raise ValueError(f"{name} cannot be {value!r:.80}: it must be {rule}.")


def _fits(value: Any, kind: Any) -> bool:
    args = typing.get_args(kind)
    match typing.get_origin(kind):
        case types.UnionType | typing.Union:
            return any(_fits(value, arg) for arg in args)
        case typing.Literal:
            return value in args
        case builtins.tuple:
            return isinstance(value, tuple) and all(_fits(item, args[0]) for item in value)
        case builtins.dict:
            pairs = value.items() if isinstance(value, dict) else [(None, None)]
            return all(_fits(key, args[0]) and _fits(item, args[1]) for key, item in pairs)
    if kind in (int, float):
        numbers = int if kind is int else int | float
        most = _LARGEST if kind is int else LONGEST
        return isinstance(value, numbers) and not isinstance(value, bool) and abs(value) <= most
    return isinstance(value, kind)


def check_fields(instance: Any) -> None:
    """Raise `ValueError` if a field of an instance does not match its annotation."""
    for name, kind in typing.get_type_hints(type(instance)).items():
        check_value(name, getattr(instance, name), kind)


# The minimum and the maximum of a number. The largest registrants and the slowest speed keep the
# sandbox quick, and its dates within the calendar.
_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("looks", "max_upload_size", "keep_content", "log_size"), (0, _LARGEST)),
    **dict.fromkeys(("per_second", "per_day", "max_jobs"), (0, _LARGEST)),
    **dict.fromkeys(("job_size", "job_addresses"), (0, _LARGEST)),
    "registrants": (0, 10_000),
    "seconds": (0, LONGEST),
    "listing_lag": (0, LONGEST),
    "sigma": (0, 100),
    "speed": (1e-6, LONGEST),
}


def _known_groups(_settings: object, _field: object, groups: tuple[str, ...]) -> None:
    for group in groups:
        if group not in GROUPS and _OPERATION.fullmatch(group) is None:
            raise ValueError(
                f"{group!r} cannot be retired; choose from {', '.join(GROUPS)}, or name an "
                "operation, such as 'POST /lists' or 'GET /contacts/*'."
            )


def _as_latency(latency: Any) -> Any:
    """Return a range as a tuple, including one from JSON."""
    return tuple(latency) if isinstance(latency, list) else latency


def _in_order(_settings: object, _field: object, latency: object) -> None:
    ends = latency if isinstance(latency, tuple) else (latency, latency)
    if not _fits(ends, tuple[float, ...]) or len(ends) != 2 or not 0 <= ends[0] <= ends[1]:
        raise ValueError(f"latency cannot be {latency!r:.80}: pass seconds, or a (min, max) pair.")


def _known_seed(_settings: object, _field: object, seed: object) -> None:
    if seed not in (None, DEMO) and not isinstance(seed, int | Path):
        raise ValueError(f"seed cannot be {seed!r:.80}: use an integer, {DEMO!r}, or a Path.")


@attrs.frozen
class Settings:
    """The settings of a sandbox.

    Attributes:
        api_key: The only application key it accepts.
        access_token: The only bearer token it accepts.
        client_secret: The secret of the key, for the OAuth2 flow below `/oauth2`.
        mode: When a job ends: `at_once`, after `looks` status requests, after `seconds`, or
            after a time drawn from a log-normal distribution.
        looks: Status requests that find the job still running (mode `looks`).
        seconds: Processing time (mode `seconds`), or its median (mode `lognormal`).
        sigma: Spread of the log-normal distribution.
        speed: Divides every processing time; 10 makes the sandbox ten times as fast.
        seed: The source of everything random, including IDs, so that a run can be repeated. Without
            one, each sandbox starts its IDs at a random number, so tokens and journals of another
            sandbox match none of its files; everything else is the same as with 0. With "demo", the
            sandbox starts with data: 120 contacts on six lists, campaigns with reports, folders
            with files, an event, and a finished job. With a `Path`, it starts with the state in
            that file; see `Admin.save`.
        max_upload_size: Largest file in bytes. The service's response to a larger one is not
            documented; the sandbox answers 413.
        keep_content: Total bytes of uploaded content held in memory for tests; the oldest are
            dropped first. Sizes and digests are always kept.
        log_size: Requests held in the log; the oldest are dropped first.
        info_as_list: Answer `library/info` as an array of one object, as one SDK's samples do.
        unknown_as_null: Answer an upload status request without a known ID with `null` instead of
            `[]`.
        per_second: Calls a key may make in any second; None for no limit.
        per_day: Calls a key may make in a day (UTC); None for no limit.
        latency: Minimum seconds from a request to its response, or the bounds of a range from which
            each delay is drawn. They pass on the sandbox's clock.
        quota_headers: Send `X-Mashery-Error-Code` and `Retry-After` with quota refusals.
        registrants: People who sign up for an event once it is published.
        max_jobs: Unfinished bulk activities that are allowed before another one gets 429.
        job_size: Maximum size in bytes of a bulk activity's request or file.
        job_addresses: Maximum number of addresses in a removal.
        errors_as_text: Show an activity's errors as text (`Line 2: ...`), not as objects.
        listing_lag: Seconds until a new file shows in listings; its status is known immediately.
        date_offset: Seconds that the `Date` header is ahead of the sandbox's clock.
        created_offset: Seconds that dates of files are ahead of the sandbox's clock.
        composed_names: Store file names in Unicode's composed form (NFC), regardless of how they
            were sent.
        export_link: The form in which an export's `file_name` names its CSV: an `absolute` URL, one
            `relative` to the API's host, or on an `other_host` that takes no credentials.
        retired: Operations that the service has withdrawn: groups, such as `"events"`, or single
            operations, such as `"GET /contacts/*"`, where `*` stands for anything. Every call for
            them, for a group with any method, gets 400 `http.status.gone`. The service announced it
            for POST and PUT of events from 2024-04-01 and for GET from 2024-06-01. The sandbox
            simulates the state since then, without dates; it is an assumption that PATCH and DELETE
            behave the same.
    """

    api_key: str = "sandbox-key"
    access_token: str = "sandbox-token"  # noqa: S105 - public on purpose: it opens nothing
    client_secret: str = "sandbox-secret"  # noqa: S105 - public on purpose: it opens nothing
    mode: Mode = "looks"
    looks: int = 2
    seconds: float = 8.0
    sigma: float = 0.6
    speed: float = 1.0
    seed: Seed = attrs.field(default=None, validator=_known_seed)
    max_upload_size: int = 5_242_880
    keep_content: int = 64 * 1024 * 1024
    log_size: int = 20_000
    info_as_list: bool = False
    unknown_as_null: bool = False
    per_second: int | None = None
    per_day: int | None = None
    latency: float | tuple[float, ...] = attrs.field(
        default=0.0, converter=_as_latency, validator=_in_order
    )
    quota_headers: bool = True
    registrants: int = 3
    max_jobs: int | None = None
    job_size: int = 4_000_000
    job_addresses: int = 20_000
    errors_as_text: bool = False
    listing_lag: float = 0.0
    date_offset: float = 0.0
    created_offset: float = 0.0
    composed_names: bool = False
    export_link: ExportLink = "absolute"
    retired: tuple[str, ...] = attrs.field(
        default=(), converter=tuple[str, ...], validator=_known_groups
    )

    def __attrs_post_init__(self) -> None:
        check_fields(self)
        for name, (least, most) in _RANGES.items():
            if (value := getattr(self, name)) is not None and not least <= value <= most:
                raise ValueError(
                    f"{name} cannot be {value!r}: it must be from {least:g} to {most:g}."
                )

    @property
    def draw_seed(self) -> int:
        """The seed of everything random except IDs."""
        return self.seed if isinstance(self.seed, int) else 0


class SettingChanges(TypedDict, total=False):
    """Settings by name; see `Settings`."""

    api_key: str
    access_token: str
    client_secret: str
    mode: Mode
    looks: int
    seconds: float
    sigma: float
    speed: float
    seed: Seed
    max_upload_size: int
    keep_content: int
    log_size: int
    info_as_list: bool
    unknown_as_null: bool
    per_second: int | None
    per_day: int | None
    latency: float | tuple[float, ...]
    quota_headers: bool
    registrants: int
    max_jobs: int | None
    job_size: int
    job_addresses: int
    errors_as_text: bool
    listing_lag: float
    date_offset: float
    created_offset: float
    composed_names: bool
    export_link: ExportLink
    retired: Iterable[str]
