"""The workers configured by the environment: `taskiq worker ccv2_async.workers.app:broker`.

Processes that submit jobs import `workers` from here too, so that both sides use the same settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccv2_async.workers.application import Workers
from ccv2_async.workers.queue import ends_taskiq_on_errors

if TYPE_CHECKING:
    from taskiq import AsyncBroker

__all__ = ["broker", "workers"]

with ends_taskiq_on_errors():
    workers: Workers = Workers()
broker: AsyncBroker = workers.broker
