"""Find the certificates for checking https servers, following the environment."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path

import httpx

from ccv2_async.errors import UsageError

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.\d+")  # OpenSSL finds certificates by these names only

_contexts: dict[tuple[object, ...], ssl.SSLContext] = {}


def context_for(verify: ssl.SSLContext | bool) -> ssl.SSLContext:
    """Return the context for a client's https connections.

    Clients with the same settings share one context, because creating one takes about 20 ms.

    Args:
        verify: A context, which is returned unchanged, or True for the certificates of
            `SSL_CERT_FILE`, `SSL_CERT_DIR`, or certifi, or False to skip the check.

    Raises:
        UsageError: An environment variable names certificates that cannot be loaded, or a key log
            that cannot be written. Nothing was sent.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    settings = {name: os.environ.get(name, "") for name in _VARIABLES}
    key = (verify, *settings.values())
    if key not in _contexts:
        _contexts[key] = _make(verify, settings)
    return _contexts[key]


def _make(verify: bool, settings: dict[str, str]) -> ssl.SSLContext:
    checks = {"SSL_CERT_FILE": _flaw_of_file, "SSL_CERT_DIR": _flaw_of_directories}
    source = next((name for name in checks if verify and settings[name]), "")
    flaw = checks[source](settings[source]) if source else ""
    if flaw:
        raise _unusable(source, settings[source], flaw)
    try:
        return httpx.create_ssl_context(verify=verify)
    except ssl.SSLError:  # the file can be read, so its content is wrong
        flaw = "the file contains no certificates in PEM format"
    except (OSError, ValueError) as error:
        flaw = f"it cannot be used ({getattr(error, 'strerror', None) or error})"
        source = "SSLKEYLOGFILE" if settings["SSLKEYLOGFILE"] else source
    if not source:
        raise UsageError("The certifi package's certificates cannot be loaded; reinstall it.")
    raise _unusable(source, settings[source], flaw)


def _flaw_of_file(path: str) -> str:
    """Return why a file of certificates cannot be read, or an empty string."""
    try:
        if not Path(path).exists():
            return "there is no such file"
        if not Path(path).is_file():  # reading a pipe or a device may never end
            return "it is not a file"
        with Path(path).open("rb") as file:
            empty = not file.read(1)
    except (OSError, ValueError) as error:
        return f"it cannot be read ({getattr(error, 'strerror', None) or error})"
    return "the file is empty" if empty else ""


def _flaw_of_directories(paths: str) -> str:
    """Return why a list of directories has no certificates, or an empty string."""
    flaws = [_flaw_of_directory(path) for path in paths.split(os.pathsep)]
    return flaws[0] if all(flaws) else ""


def _flaw_of_directory(path: str) -> str:
    try:
        if not Path(path).is_dir():
            return "there is no such directory"
        if any(_HASHED_NAME.fullmatch(entry.name) for entry in Path(path).iterdir()):
            return ""
    except (OSError, ValueError) as error:
        return f"it cannot be read ({getattr(error, 'strerror', None) or error})"
    return "it contains no certificates under the names that 'openssl rehash' gives them"


def _unusable(variable: str, value: str, flaw: str) -> UsageError:
    return UsageError(
        f"The environment variable {variable} is {value!r}, but {flaw}; correct or unset it."
    )
