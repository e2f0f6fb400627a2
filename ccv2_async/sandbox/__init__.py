"""A local stand-in for the service: `async with Sandbox() as sandbox: ...`.

It is written from the service's documentation alone and imports nothing from this package's client,
so that each tests the other.
"""

from __future__ import annotations

try:
    from ccv2_async.sandbox.admin import Admin
    from ccv2_async.sandbox.clock import Clock
    from ccv2_async.sandbox.server import ClientOptions, Sandbox
    from ccv2_async.sandbox.settings import Settings
    from ccv2_async.sandbox.state.gateway import Entry
except ModuleNotFoundError as _error:
    _missing = (_error.name or "").partition(".")[0]
    if _missing not in {"python_multipart", "starlette", "uvicorn"}:
        raise
    raise ModuleNotFoundError(
        f"The sandbox needs packages that are not installed ({_missing} is missing): "
        "pip install 'ccv2-async[sandbox]'",
        name=_error.name,
    ) from None

__all__ = ["Admin", "ClientOptions", "Clock", "Entry", "Sandbox", "Settings"]
