"""A local stand-in for the service: `async with Sandbox() as sandbox: ...`.

It knows nothing of this package's client: it is written from the service's documentation alone,
so that each honestly tests the other.
"""

from __future__ import annotations

from ccv2_async.sandbox.admin import Admin
from ccv2_async.sandbox.clock import Clock
from ccv2_async.sandbox.log import Entry
from ccv2_async.sandbox.server import ClientOptions, Sandbox
from ccv2_async.sandbox.settings import Settings

__all__ = ["Admin", "ClientOptions", "Clock", "Entry", "Sandbox", "Settings"]
