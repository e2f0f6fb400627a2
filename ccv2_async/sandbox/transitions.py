"""The course of a job from acceptance to its end: a plan that is made when it begins.

==================  ==========================================================================
name begins with    what happens to an uploaded file
==================  ==========================================================================
``virus``           VirusFound
``fail``            Failed
``deleted``         Deleted, as if it was moved to the trash while it was processed
``slow``            Active, after ten times the time or looks
``stuck``           never leaves Processing
``late``            Active, but unknown to the first two status requests
``strange``         Active, after a status that is in no documentation (Quarantined)
anything else       Active
==================  ==========================================================================

The same names work for the `file_name` of a bulk activity: ``fail`` ends in ERROR,
``cancelled`` in CANCELLED, ``slow`` and ``stuck`` as above.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from ccv2_async.sandbox.settings import Settings

SLOW = 10
LATE_LOOKS = 2
NEVER = math.inf


@attrs.frozen
class Script:
    """The course of a job, as chosen by its name.

    Attributes:
        end: The last status.
        factor: Multiplies processing time and looks.
        hidden_looks: Status requests that do not find the job yet.
        stages: The statuses on the way, each for the same time.
    """

    end: str
    factor: float = 1.0
    hidden_looks: int = 0
    stages: tuple[str, ...] = ("Uploaded", "Processing", "Processing", "Processing")


_RUNNING = ("PENDING", "QUEUED", "RUNNING", "RUNNING")
_QUARANTINED = ("Uploaded", "Quarantined", "Quarantined", "Quarantined")


_UPLOADS = {
    "virus": Script("VirusFound"),
    "fail": Script("Failed"),
    "deleted": Script("Deleted"),
    "slow": Script("Active", factor=SLOW),
    "stuck": Script("Active", factor=NEVER),
    "late": Script("Active", hidden_looks=LATE_LOOKS),
    "strange": Script("Active", stages=_QUARANTINED),
}
_ACTIVITIES = {
    "fail": Script("ERROR", stages=_RUNNING),
    "cancelled": Script("CANCELLED", stages=_RUNNING),
    "slow": Script("COMPLETE", factor=SLOW, stages=_RUNNING),
    "stuck": Script("COMPLETE", factor=NEVER, stages=_RUNNING),
}


def upload_script(name: str, *, infected: bool) -> Script:
    """Return the script of an upload with this name."""
    script = _scripted(_UPLOADS, name) or Script("Active")
    return attrs.evolve(script, end="VirusFound") if infected else script


def activity_script(name: str) -> Script:
    """Return the script of a bulk activity with this file name."""
    return _scripted(_ACTIVITIES, name) or Script("COMPLETE", stages=_RUNNING)


def _scripted(table: dict[str, Script], name: str) -> Script | None:
    lowered = name.casefold()
    return next((script for prefix, script in table.items() if lowered.startswith(prefix)), None)


@attrs.frozen
class Plan:
    """The times at which a job changes its status.

    Attributes:
        script: The script of the job.
        begun: The time at which it was accepted.
        seconds: The time it takes; None if that depends on the number of looks.
        looks: The number of status requests that find it unfinished; None if that depends on the
            time.
    """

    script: Script
    begun: float
    seconds: float | None = None
    looks: float | None = None

    def known(self, looks: int) -> bool:
        """Return whether a status request finds it, after `looks` earlier ones."""
        return looks >= self.script.hidden_looks

    def status(self, now: float, looks: int) -> str:
        """Return the status at `now`, after `looks` earlier status requests."""
        done = self.progress(now, looks)
        stages = self.script.stages
        return self.script.end if done >= 1.0 else stages[int(done * len(stages))]

    def progress(self, now: float, looks: int) -> float:
        """Return its progress: 1.0 or more is the end."""
        if self.seconds is not None:
            gone, whole = now - self.begun, self.seconds
        else:
            gone, whole = max(0, looks - self.script.hidden_looks), self.looks or 0.0
        return 1.0 if whole <= 0 else gone / whole

    def due(self) -> float | None:
        """Return the time when it ends; None if that depends on the number of looks."""
        return None if self.seconds is None else self.begun + self.seconds


def plan_job(settings: Settings, script: Script, *, key: str, now: float) -> Plan:
    """Return the plan of a job that begins now. `key` and the seed decide the random values."""
    if settings.mode in ("at_once", "looks"):
        whole = settings.looks if settings.mode == "looks" else 0
        if script.factor == NEVER:
            return Plan(script, now, looks=NEVER)
        return Plan(script, now, looks=whole * script.factor)
    seconds = settings.seconds
    if settings.mode == "lognormal":
        draw = random.Random(f"{settings.draw_seed}:{key}")  # noqa: S311 - simulated durations
        seconds = draw.lognormvariate(math.log(seconds), settings.sigma)
    return Plan(script, now, seconds=seconds * script.factor / settings.speed)


def ended(plan: Plan, status: str, now: float) -> Plan:
    """Return a plan that has ended with a status."""
    return Plan(attrs.evolve(plan.script, end=status), now, seconds=0.0)
