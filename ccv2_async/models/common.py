"""What every part of the service answers alike."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  # read at run time by the converter
from typing import Any

import attrs

__all__ = [
    "ErrorItem",
]


@attrs.frozen(weakref_slot=False)
class ErrorItem:
    """One fault of a refused request. Match on the key, never on the message.

    Source: supported-methods, errors.

    Attributes:
        error_key: The service's own key, such as `json.email.invalid`.
        error_message: The fault in words.
        extra: What the service sent beyond the fields above.
    """

    error_key: str | None = attrs.field(default=None, metadata={"aliases": ("error_code",)})
    error_message: str | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False, kw_only=True)
