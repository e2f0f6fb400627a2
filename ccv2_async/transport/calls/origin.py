"""The configured origin: where credentials go, and nowhere else."""

from __future__ import annotations

import ipaddress
import logging
from urllib.parse import urlsplit

import httpx

from ccv2_async.errors import InvalidField

logger: logging.Logger = logging.getLogger("ccv2_async")


def checked_origin(url: str) -> str:
    """The base URL without a trailing slash; one that would send secrets in clear is warned of.

    Args:
        url: Where the API lives, such as `https://api.constantcontact.com/v2`.

    Raises:
        InvalidField: It is no http or https URL, or holds credentials, a query or a fragment.
    """
    rule = "a URL such as https://api.constantcontact.com/v2, without user, query or fragment"
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        raise InvalidField("base_url", url, rule) from None
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or not port_is_fine
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
        or not url.isprintable()
        or " " in url
    ):
        raise InvalidField("base_url", parts._replace(netloc=parts.hostname or "").geturl(), rule)
    try:
        _ = httpx.URL(url).host  # which knows more of names of hosts
    except (httpx.InvalidURL, ValueError):
        raise InvalidField("base_url", url, rule) from None
    if parts.scheme == "http" and not _stays_here(parts.hostname):
        logger.warning(
            "The base URL is http, so the key and the token go to %s unencrypted; use https.",
            parts.hostname,
        )
    return url.rstrip("/")


def _stays_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
