"""`ccv2 login` and `ccv2 logout`: get an access token in the browser, store it, and delete it.

The login is stored in a file in the user's configuration directory, with mode 0600. It holds a key,
a token, and the service that they are for. The token goes to no other service, and with no other
key.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import os
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import attrs
from cyclopts import Parameter

from ccv2_async import OAuthFlow, new_state
from ccv2_async.cli.exits import Exit
from ccv2_async.cli.output import Output
from ccv2_async.cli.running import run
from ccv2_async.client import BASE_URL
from ccv2_async.errors import InvalidField, MissingCredentials, UsageError
from ccv2_async.oauth import BASE_URL as OAUTH_URL

if TYPE_CHECKING:
    from collections.abc import Mapping

_PORT = 8766
_HOST = "127.0.0.1"
_PATIENCE = 300.0
_MOST_HEAD = 16 * 1024
_OTHERS = 0o077
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>ccv2 login</title>'
    "<p>{text}</p></html>"
)


def login(
    *,
    port: int = _PORT,
    no_browser: Annotated[bool, Parameter(negative=())] = False,
) -> Exit:
    """Get an access token by OAuth 2 in the browser, and store it for later commands.

    The key comes from CCV2_API_KEY and its secret from CCV2_CLIENT_SECRET, or you are asked for
    them. Register http://127.0.0.1:8766/ (with your --port) as a redirect URI of the key first.
    The token is stored in a file that only you can read, and used when CCV2_ACCESS_TOKEN is not
    set.

    Args:
        port: The port on 127.0.0.1 that the browser is sent back to.
        no_browser: Do not open a browser; print the address only.
    """
    output = Output(carry_on=True)
    if not 1 <= port <= 65_535:
        raise InvalidField("--port", port, "a number from 1 to 65535")
    redirect = f"http://{_HOST}:{port}/"
    flow = OAuthFlow(
        _asked("CCV2_API_KEY", "API key: "),
        _asked("CCV2_CLIENT_SECRET", "Client secret: "),
        redirect,
        base_url=os.environ.get("CCV2_OAUTH_URL") or OAUTH_URL,
    )
    return run(lambda: _log_in(flow, port, output, browser=not no_browser), output)


def logout() -> Exit:
    """Delete the stored access token from this machine. It stays valid at the service."""
    output = Output(carry_on=True)

    async def forgotten() -> Exit:
        found = delete_profile()
        output.say("Deleted the stored login." if found else "No login is stored.")
        return Exit.OK

    return run(forgotten, output)


def _asked(variable: str, prompt: str) -> str:
    """Return a variable of the environment, or what a person types, unseen."""
    found = os.environ.get(variable, "")
    if not found and sys.stdin is not None and sys.stdin.isatty():
        with contextlib.suppress(EOFError):
            found = getpass.getpass(prompt).strip()
    if not found:
        raise MissingCredentials(f"Set {variable} to log in. Nothing was sent.")
    return found


async def _log_in(flow: OAuthFlow, port: int, output: Output, *, browser: bool) -> Exit:
    state = new_state()
    callback = _Callback(state)
    try:
        server = await asyncio.start_server(callback.serve, _HOST, port)
    except OSError as error:
        raise UsageError(
            f"Port {port} is not free ({error.strerror}). Choose another with --port, and register "
            "it as a redirect URI of the key."
        ) from None
    async with server:
        url = flow.authorize_url(state=state)
        output.say("Open this page, log in as the owner of the account, and allow access:")
        output.line(url)
        if browser:
            await asyncio.to_thread(_open, url)
        try:
            async with asyncio.timeout(_PATIENCE):
                redirect = await callback.redirect
        except TimeoutError:
            raise UsageError(
                f"No answer came from the browser in {_PATIENCE / 60:.0f} minutes. Nothing was "
                "stored; run 'ccv2 login' again."
            ) from None
    token = await flow.exchange_code(redirect, state=state)
    stored = Profile(
        flow.client_id.reveal(), token.access_token, os.environ.get("CCV2_BASE_URL") or BASE_URL
    )
    path = await asyncio.to_thread(store_profile, stored)
    user = redirect.get("username") or "the account"
    output.say(f"Logged in as {user}. The token is stored in {path}.")
    return Exit.OK


def _open(url: str) -> None:
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(url)


@attrs.define
class _Callback:
    """The page on this machine that the browser is sent back to.

    Attributes:
        redirect: The query of the redirect that carries our state.
    """

    _state: str = attrs.field(repr=False)
    redirect: asyncio.Future[Mapping[str, str]] = attrs.field(
        factory=lambda: asyncio.get_running_loop().create_future(), init=False, repr=False
    )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        status, text = "400 Bad Request", "This is not the answer that ccv2 is waiting for."
        with contextlib.suppress(OSError, ValueError, TimeoutError, EOFError):
            async with asyncio.timeout(10.0):
                head = await reader.readuntil(b"\r\n\r\n")
            query = _query_of(head)
            # Any page can call this address; only the one that we sent to knows the state.
            if query is not None and query.get("state") == self._state:
                status, text = "200 OK", "Done. You can close this page and return to the terminal."
                if "code" not in query:
                    text = "Access was not granted. Return to the terminal."
                if not self.redirect.done():
                    self.redirect.set_result(query)
        body = _PAGE.format(text=text).encode()
        with contextlib.suppress(OSError):
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n"
                f"Content-Length: {len(body)}\r\nReferrer-Policy: no-referrer\r\n"
                "Cache-Control: no-store\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        writer.close()


def _query_of(head: bytes) -> Mapping[str, str] | None:
    """Return the query of a GET request; None for another request."""
    method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    target = rest.partition(" ")[0]
    if method != "GET" or len(head) > _MOST_HEAD:
        return None
    return dict(parse_qsl(urlsplit(target).query))


@attrs.frozen
class Profile:
    """A stored login.

    Attributes:
        api_key: The application's key.
        access_token: The grant of the account's owner.
        base_url: The service that both are for.
    """

    api_key: str = attrs.field(repr=False)
    access_token: str = attrs.field(repr=False)
    base_url: str


def path_of_profile() -> Path:
    """Return the path of the profile file, whether it exists or not."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    if given:
        base = Path(given)
    elif sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path.home() / ".config"
    return base / "ccv2" / "profile.json"


def store_profile(profile: Profile) -> Path:
    """Write the profile, readable by its owner alone, and return its path.

    Raises:
        OSError: It cannot be written.
    """
    path = path_of_profile()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp creates the file with mode 0600: there is no moment at which others can read it.
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".profile-")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            json.dump(attrs.asdict(profile), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)  # noqa: PTH105  # a plain string
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108  # a plain string
        raise
    return path


def load_profile() -> Profile | None:
    """Return the stored login; None if there is none.

    Raises:
        UsageError: The file can be read by other users, or it is not a profile.
    """
    path = path_of_profile()
    try:
        with path.open(encoding="utf-8") as file:
            exposed = os.name == "posix" and os.fstat(file.fileno()).st_mode & _OTHERS
            content = json.load(file)
        found = Profile(**{name: str(content[name]) for name in attrs.fields_dict(Profile)})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        found = None  # the reason is not shown: it might quote the file
    if found is None:
        raise UsageError(f"{path}: the stored login cannot be read. Run 'ccv2 login' again.")
    if exposed:
        raise UsageError(
            f"{path}: other users may read this file, and it holds a token. Run "
            f"'chmod 600 {path}', or 'ccv2 login' again."
        )
    return found


def delete_profile() -> bool:
    """Delete the stored login; return whether there was one."""
    try:
        path_of_profile().unlink()
    except FileNotFoundError:
        return False
    return True


def stored_credentials(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the client's options that the stored login adds to the environment.

    Raises:
        UsageError: The stored login cannot be used.
    """
    if environment.get("CCV2_ACCESS_TOKEN"):
        return {}
    profile = load_profile()
    if profile is None:
        return {}
    base_url = environment.get("CCV2_BASE_URL") or BASE_URL
    if base_url.rstrip("/") != profile.base_url.rstrip("/"):
        return {}
    key = environment.get("CCV2_API_KEY") or profile.api_key
    if key != profile.api_key:
        raise UsageError(
            "The stored login is for another key than CCV2_API_KEY. Run 'ccv2 login' again, or "
            "unset CCV2_API_KEY."
        )
    return {"api_key": profile.api_key, "access_token": profile.access_token}
