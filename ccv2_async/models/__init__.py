"""The resources of the service as immutable attrs classes, and their conversion from and to JSON.

Fields that the service may leave out are None; collections are tuples; IDs are strings; dates have
a time zone. A value that an enumeration does not know stays a plain string.

The public names are those in the `__all__` of the modules below. Modules are imported one after
another until the requested name is found, so that importing the package stays quick.
"""

# ruff: noqa: F403  # the lists of names are in the modules

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ccv2_async.models.account import *
    from ccv2_async.models.activities import *
    from ccv2_async.models.base import *
    from ccv2_async.models.campaigns import *
    from ccv2_async.models.contacts import *
    from ccv2_async.models.convert import *
    from ccv2_async.models.event_sales import *
    from ccv2_async.models.events import *
    from ccv2_async.models.library import *
    from ccv2_async.models.registrants import *
    from ccv2_async.models.tracking import *
    from ccv2_async.models.validation import *

    __all__: list[str]
else:
    _MODULES = (
        *("library", "activities", "base", "convert", "validation", "contacts"),
        *("campaigns", "tracking", "account", "events", "event_sales", "registrants"),
    )

    def __getattr__(name: str) -> Any:
        """Return a public name from the module that lists it."""
        if name == "__all__":
            return sorted(name for module in _MODULES for name in _load(module).__all__)
        # `from ccv2_async.models import hooks` asks here before it imports the module.
        if not name.startswith("_") and find_spec(f"{__name__}.{name}") is None:
            for module in map(_load, _MODULES):
                if name in module.__all__:
                    value = globals()[name] = getattr(module, name)
                    return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        """Return the public names."""
        return __getattr__("__all__")

    def _load(module: str) -> Any:
        return import_module(f"{__name__}.{module}")
