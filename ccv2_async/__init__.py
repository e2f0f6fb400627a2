"""Asyncio client library for the Constant Contact v2 REST API.

Uploads are streamed from disk, long-running jobs are awaited through pollers, and a local sandbox
of the service stands in for it in tests. Start with `ConstantContact`.
"""

from ccv2_async.client import ConstantContact
from ccv2_async.version import __version__

__all__ = ["ConstantContact", "__version__"]
