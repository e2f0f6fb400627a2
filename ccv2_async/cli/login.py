"""`ccv2 login`, `ccv2 logout`, and `ccv2 profile`: get an access token, store it, and delete it.

The login is stored as a profile (see `profiles`): a key, a token, and the service that they are
for. The token is sent only to that service, and only with that key.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import sys
import webbrowser
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import attrs

from ccv2_async import ConstantContact, OAuthFlow, Secret, new_state
from ccv2_async.cli import profiles
from ccv2_async.cli.exits import Exit
from ccv2_async.cli.listings import show_rows
from ccv2_async.cli.output import Output
from ccv2_async.cli.profiles import Name
from ccv2_async.cli.running import run
from ccv2_async.cli.service import Flag, group
from ccv2_async.client import BASE_URL
from ccv2_async.errors import InvalidField, MissingCredentials, UsageError
from ccv2_async.oauth import BASE_URL as OAUTH_URL
from ccv2_async.tasks import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cyclopts import App

profile: App = group("profile", "List the profiles. A profile is a named account.")

_PORT = 8766
_HOST = "127.0.0.1"
_PATIENCE = 300.0
_MOST_HEAD = 16 * 1024
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>ccv2 login</title>'
    "<p>{text}</p></html>"
)


def login(*, profile: Name = None, port: int = _PORT, no_browser: Flag = False) -> Exit:
    """Get an access token with OAuth 2 in the browser, and store it for later commands.

    The key comes from CCV2_API_KEY and its secret from CCV2_CLIENT_SECRET; if one is not set, you
    are asked for it. Register http://127.0.0.1:8766/ (with your --port) as a redirect URI of the
    key first. The token is stored in a file that only you can read, under the name of a profile.
    The profile 'default' is used when CCV2_ACCESS_TOKEN is not set; see 'ccv2 profile list'.

    Args:
        profile: The profile; by default the one that CCV2_PROFILE names, or 'default'.
        port: The port on 127.0.0.1 that the browser is sent back to.
        no_browser: Do not open a browser; only print the address.
    """
    output = Output(carry_on=True)
    if not 1 <= port <= 65_535:
        raise InvalidField("--port", port, "it must be from 1 to 65535")
    redirect = f"http://{_HOST}:{port}/"
    key = Secret(_asked("CCV2_API_KEY", "API key: "))
    secret = Secret(_asked("CCV2_CLIENT_SECRET", "Client secret: "))
    # What would be refused at the end is refused now: a code can be used only once.
    base_url = os.environ.get("CCV2_BASE_URL") or BASE_URL
    ConstantContact(api_key=key, access_token=key, base_url=base_url)  # refuses what is wrong
    oauth_url = os.environ.get("CCV2_OAUTH_URL") or OAUTH_URL

    async def log_in() -> Exit:
        flow = OAuthFlow(key, secret, redirect, base_url=oauth_url)
        await in_thread(lambda: _store(flow, profile, "unknown", trial=True))
        return await _log_in(flow, port, output, profile, browser=not no_browser)

    return run(log_in, output, names={"base_url": "CCV2_OAUTH_URL"})


def logout(*, profile: Name = None) -> Exit:
    """Delete the stored access token from this machine. The service still accepts it.

    Args:
        profile: The profile; by default the one that CCV2_PROFILE names, or 'default'.
    """
    output = Output(carry_on=True)

    async def forgotten() -> Exit:
        name = profile or os.environ.get("CCV2_PROFILE") or profiles.DEFAULT
        known = profiles.load().get(name)
        if known is None or known.access_token is None:
            output.say("No login is stored.")
        else:
            profiles.store(name, access_token="")
            output.say("Deleted the stored login.")
        return Exit.OK

    return run(forgotten, output)


def _without_user(url: str | None) -> str | None:
    return url and url.rpartition("@")[2]


@attrs.frozen
class _Row:
    """The fields of a profile that are shown: never its key or its token."""

    name: str
    used: bool
    key: bool
    token: bool
    service: str | None = attrs.field(converter=_without_user)


@profile.default
@profile.command(name="list")
def list_profiles(*, json: Flag = False, csv: Flag = False) -> Exit:
    """List the profiles, and show which one is used. Needs no network; shows no secrets.

    Args:
        json: Print one JSON object per line to stdout.
        csv: Print CSV to stdout, with a header.
    """
    output = Output(as_json=json, as_csv=csv)
    unnamed = "" if os.environ.get("CCV2_ACCESS_TOKEN") else profiles.DEFAULT
    used = os.environ.get("CCV2_PROFILE") or unnamed

    async def rows(**_: object) -> list[_Row]:
        return [
            _Row(name, name == used, bool(each.api_key), bool(each.access_token), each.service)
            for name, each in profiles.load().items()
        ]

    async def listed() -> Exit:
        columns = {name: name for name in attrs.fields_dict(_Row)}
        code = await show_rows(output, rows, "profile", columns)
        output.say(f"The profiles are in {profiles.path()}.")
        if not profiles.load():
            output.say(
                'To add one, write a table to this file, such as [bakery] with api_key = "..." and '
                'access_token = "...", or run "ccv2 login --profile bakery".'
            )
        return code

    return run(listed, output)


def _asked(variable: str, prompt: str) -> str:
    """Return an environment variable, or ask for its value without showing it."""
    found = os.environ.get(variable, "")
    if not found and sys.stdin is not None and sys.stdin.isatty():
        with contextlib.suppress(EOFError):
            found = getpass.getpass(prompt).strip()
    if not found:
        raise MissingCredentials(f"Set {variable} to log in. Nothing was sent.")
    return found


async def _log_in(
    flow: OAuthFlow, port: int, output: Output, profile: str | None, *, browser: bool
) -> Exit:
    state = new_state()
    callback = _Callback(state)
    try:
        server = await asyncio.start_server(callback.connected, _HOST, port)
    except OSError as error:
        raise UsageError(
            f"Port {port} is in use ({error.strerror}). Choose another with --port, and register "
            "it as a redirect URI of the key."
        ) from None
    async with server:
        url = flow.authorize_url(state=state)
        output.say("Open this page, log in as the owner of the account, and allow access:")
        output.line(url)
        if browser:
            await in_thread(open_browser, url)
        try:
            async with asyncio.timeout(_PATIENCE):
                redirect = await callback.redirect
        except TimeoutError:
            raise UsageError(
                f"The browser did not respond within {_PATIENCE / 60:.0f} minutes. Nothing was "
                "stored; run 'ccv2 login' again."
            ) from None
        finally:
            callback.close()
    token = await flow.exchange_code(redirect, state=state)
    path = await in_thread(lambda: _store(flow, profile, token.access_token))
    user = redirect.get("username") or "the account"
    output.say(f"Logged in as {user}. The token is stored in {path}.")
    return Exit.OK


def _store(flow: OAuthFlow, name: str | None, token: str, *, trial: bool = False) -> Path:
    return profiles.store(
        name,
        trial=trial,
        api_key=flow.client_id.reveal(),
        access_token=token,
        base_url=os.environ.get("CCV2_BASE_URL") or BASE_URL,
    )


def open_browser(url: str) -> None:
    """Open a page in the user's browser, if there is one."""
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

    _answers: set[asyncio.Task[None]] = attrs.field(factory=set, init=False, repr=False)

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the request of a new connection. A browser also opens some without a request."""
        task = asyncio.create_task(self._answer(reader, writer))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)
        task.add_done_callback(lambda _: writer.close())

    def close(self) -> None:
        """Close the connections whose request has not arrived."""
        for task in self._answers:
            task.cancel()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        status, text = "400 Bad Request", "This is not the response that ccv2 is waiting for."
        with contextlib.suppress(OSError, ValueError, EOFError, asyncio.LimitOverrunError):
            async with asyncio.timeout(10.0):
                head = await reader.readuntil(b"\r\n\r\n")
            query = _query_of(head)
            # Any page can call this address, but only the page that we opened knows the state.
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


def _query_of(head: bytes) -> Mapping[str, str] | None:
    """Return the query of a GET request; None for another request."""
    method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    target = rest.partition(" ")[0]
    if method != "GET" or len(head) > _MOST_HEAD:
        return None
    return dict(parse_qsl(urlsplit(target).query))
