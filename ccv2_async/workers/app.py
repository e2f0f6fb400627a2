"""The workers that the environment describes: `taskiq worker ccv2_async.workers.app:broker`.

Processes that ask for jobs import `workers` from here too, so that both sides read the same
settings.
"""

from __future__ import annotations

from ccv2_async.workers.application import Workers

__all__ = ["broker", "workers"]

workers = Workers()
broker = workers.broker
