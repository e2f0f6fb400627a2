"""Where a job stands, whatever the service calls it."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What a status means for whoever waits for the job."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has come to an end."""
        return self is not Outcome.PENDING
