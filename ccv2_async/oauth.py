"""The OAuth2 server flow, with which an account owner grants an application access.

It does not need a client. Send the owner's browser to `authorize_url`. The service sends it back
to `redirect_uri` with a code, and `exchange_code` exchanges the code for the access token that the
client needs. A token is valid for about ten years and cannot be refreshed.

Source: "OAuth2 server flow" page of the service's documentation.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlencode

import anyio
import attrs
import httpx

from ccv2_async import errors
from ccv2_async.client_options import check_options, checked_origin
from ccv2_async.models.account import AccessToken, TokenInfo
from ccv2_async.models.convert import decode, decode_whole
from ccv2_async.models.validation import is_text
from ccv2_async.secret import Secret, without_arguments
from ccv2_async.transport.calls import responses
from ccv2_async.transport.calls.credentials import Redacting, flaw_of, hide_in_logs
from ccv2_async.transport.calls.outcome import without_frames
from ccv2_async.transport.http.clients import never_connected, users_engine
from ccv2_async.transport.http.engine import close_quietly, open_engine
from ccv2_async.transport.http.messages import read_bounded
from ccv2_async.transport.http.protocol import NothingSent
from ccv2_async.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccv2_async.transport.http.clients import UsersClient
    from ccv2_async.transport.http.engine import Engine

T = TypeVar("T")

BASE_URL = "https://oauth2.constantcontact.com/oauth2"

_MAX_RESPONSE = 64 * 1024
_STEP_SECONDS = {"connect": 10.0, "read": 30.0, "write": 30.0, "pool": 10.0}
_DEADLINE = 60.0
_LONGEST_REASON = 300


def new_state() -> str:
    """Return a random `state`. Keep it in the owner's session until the redirect."""
    return secrets.token_urlsafe(32)


@attrs.frozen(repr=False, init=False)
class OAuthFlow:
    """The server flow of one application.

    Args:
        client_id: The API key of the application, as a string or a `Secret`.
        client_secret: The secret of the API key, as a string or a `Secret`.
        redirect_uri: The URL to send the owner's browser back to, as registered for the key.
        base_url: The URL of the OAuth2 server.
        http_client: Your own `httpx.AsyncClient` or `httpx2.AsyncClient` to send through. It is
            not closed here.

    Raises:
        MissingCredentials: The key or the secret is missing.
        InvalidField: A URL is not valid.
    """

    client_id: Secret[str]
    client_secret: Secret[str]
    redirect_uri: str
    base_url: str
    http_client: UsersClient | None = attrs.field(repr=False)

    @without_arguments
    def __init__(
        self,
        client_id: str | Secret[str],
        client_secret: str | Secret[str],
        redirect_uri: str,
        *,
        base_url: str = BASE_URL,
        http_client: UsersClient | None = None,
    ) -> None:
        client_id, client_secret = Secret(client_id), Secret(client_secret)
        check_options(base_url=base_url, http_client=http_client)
        if not _is_word(client_id.reveal()) or not _is_word(client_secret.reveal()):
            raise errors.MissingCredentials(
                "The OAuth2 flow needs client_id, the application's API key, and client_secret, "
                "both as text. Nothing was sent."
            )
        if not _is_word(redirect_uri) or "://" not in redirect_uri:
            # Not shown: it may be the secret, given in the wrong place.
            kind = type(redirect_uri)
            raise errors.InvalidField("redirect_uri", kind, "it must be the registered URL")
        origin = checked_origin(base_url)
        self.__attrs_init__(client_id, client_secret, redirect_uri, origin, http_client)

    def __repr__(self) -> str:
        # A traceback may show the flow before its fields are set.
        return "<OAuthFlow>"

    @without_arguments
    def authorize_url(self, *, state: str, sign_up: bool = False, new_user: bool = False) -> str:
        """Return the URL to send the browser of the account owner to. Makes no request.

        Args:
            state: The string that `new_state` returned; the redirect returns it.
            sign_up: Whether the page offers to create an account.
            new_user: Whether the page to create an account comes first.

        Raises:
            InvalidField: `state` is empty or not a string.
        """
        if wrong := _wrong_state(state, "it must be a random string, such as from new_state()"):
            raise wrong
        query = {
            "response_type": "code",
            "client_id": self.client_id.reveal(),
            "redirect_uri": self.redirect_uri,
            "state": state,
        }
        pages = {"oauthSignup": sign_up, "newUser": new_user}
        query |= {name: "true" for name, is_wanted in pages.items() if is_wanted}
        return f"{self.base_url}/oauth/siteowner/authorize?{urlencode(query)}"

    async def exchange_code(self, redirect: Mapping[str, str | None], *, state: str) -> AccessToken:
        """Exchange the code of a redirect for an access token. A code can be used only once.

        Args:
            redirect: The query parameters of the redirect: `code` and `state`, or `error`. Values
                that are not valid text count as missing.
            state: The state that you kept for this owner. It is compared in constant time.

        Raises:
            InvalidField: `redirect` is not a mapping, or `state` is empty or not a string. Nothing
                was sent.
            GrantRefused: The state differs, the owner refused, or the code is not valid. Safe to
                try again: no; start over at `authorize_url`.
            OutcomeUnknown: No conclusive response arrived, and the code may be spent. Safe to try
                again: no; start over at `authorize_url`.
            ConnectFailed: Nothing was sent. Safe to try again: yes, with the same code.
            DecodeError: The response has no token.
        """
        refused = _refusal_of(redirect, state, (self.client_id, self.client_secret))
        code = Secret("" if refused is not None else _text_of(redirect, "code"))
        del redirect, state  # a traceback would show the code in it
        if refused is not None:
            raise refused
        form = _Form(
            "exchange of the code",
            {
                "grant_type": "authorization_code",
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "code": code,
                "redirect_uri": self.redirect_uri,
            },
            once=True,
        )
        token = await self._ask("/oauth/token", form, AccessToken)
        if flaw := flaw_of(token.access_token):
            raise errors.DecodeError(
                f"{form.what}: the token in the response {flaw}. Start over at authorize_url."
            )
        return token

    async def token_info(self, access_token: str | Secret[str]) -> TokenInfo:
        """Return the owner of a token, and the seconds for which it is still valid.

        Raises:
            MissingCredentials: The token is empty. Nothing was sent.
            GrantRefused: The token is not valid.
            ServerError: The server, or a gateway in front of it, failed. Safe to try again: yes.
            TransportError: No complete response arrived. Safe to try again: yes.
            DecodeError: The response is not as expected. Safe to try again: yes.
        """
        access_token = Secret(access_token)
        if not _is_word(access_token.reveal()):
            raise errors.MissingCredentials("access_token is missing. Nothing was sent.")
        unsent = [self.client_id, self.client_secret]
        form = _Form("token information", {"access_token": access_token}, more=unsent)
        return await self._ask("/tokeninfo.htm", form, TokenInfo)

    async def _ask(self, path: str, form: _Form, model: type[T]) -> T:
        response = await self._post(path, form)
        status = response.status
        if not 200 <= status < 300:
            key, said = _reason_of(response, form)
            # A refusal by the OAuth2 server has a key. Pages without one come from gateways.
            unclear = responses.is_failure(status) or status == 429 or (status >= 400 and not key)
            if unclear and form.once:
                raise _unanswered(form, self.base_url, f"status {status}")
            raise _refusal(form.what, status, key, said, unclear=unclear)
        # A token with an error beside it is used: the code is spent.
        decoding = decode if form.once else decode_whole
        try:
            return decoding(model, response.content, what=form.what, redact=None)
        except errors.DecodeError as error:
            names = {field.name for field in attrs.fields(cast("Any", model))}
            where = error.where if error.where in names else ""
        # The message quotes nothing from the response, which may hold a token that was just issued.
        place = f", at {where}" if where else ""
        raise errors.DecodeError(
            f"{form.what}: the OAuth2 server returned {status}, but not the "
            f"expected JSON{place}. {form.advice}",
            where=where,
            status=status,
            safe_to_retry=not form.once,
        )

    async def _post(self, path: str, form: _Form) -> _Response:
        """Return the complete response, or raise one of our errors.

        An error of the HTTP library is never set as the cause, because its frames hold the form.
        """
        url = httpx.URL(self.base_url + path)
        engine: Engine = (
            open_engine(origin=url, hide=form.more.append)
            if self.http_client is None
            else users_engine(self.http_client)
        )
        request = httpx.Request(
            "POST",
            url,
            content=form.encoded(),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": f"ccv2_async/{__version__}",
            },
            extensions={"timeout": _STEP_SECONDS, "hidden": hide_in_logs(form.redacting())},
        )
        try:
            with anyio.fail_after(_DEADLINE):
                return await _exchange(engine, request)
        except (errors.UsageError, anyio.get_cancelled_exc_class()) as error:
            raise without_frames(error)  # noqa: B904  # they hold the form and the response
        except Exception as error:  # noqa: BLE001  # a user's client may raise anything
            failed = _unanswered(form, url.host, type(error).__name__)
            if isinstance(error, NothingSent) or never_connected(error):
                failed = errors.ConnectFailed(
                    f"{form.what}: no connection to {url.host} ({type(error).__name__}). "
                    "Nothing was sent; try again."
                )
        finally:
            await close_quietly(engine)
        raise failed


@attrs.frozen
class _Form:
    what: str
    fields: Mapping[str, str | Secret[str]]
    once: bool = False
    more: list[Secret[str]] = attrs.field(factory=list)  # secrets that are not sent

    @property
    def advice(self) -> str:
        """The advice for messages when no conclusive response arrived."""
        return "The code may be spent; start over at authorize_url." if self.once else "Try again."

    def encoded(self) -> bytes:
        """Return the form as it is sent."""
        return urlencode(
            {
                name: value.reveal() if isinstance(value, Secret) else value
                for name, value in self.fields.items()
            }
        ).encode("ascii")

    def redacting(self) -> Redacting:
        """Return an object that removes the secrets from text."""
        secrets = [*self.fields.values(), *self.more]
        return Redacting([value for value in secrets if isinstance(value, Secret)])


@attrs.frozen
class _Response:
    status: int
    # These may hold a token that was just issued, and tracebacks show every `repr`.
    headers: Mapping[str, str] = attrs.field(repr=False)
    content: bytes = attrs.field(repr=False)


def _reason_of(response: _Response, form: _Form) -> tuple[str, str]:
    """Return the error of the OAuth2 server and its description.

    Other responses, such as plain text or a page, are left out: they may hold a token that was just
    issued.
    """
    found = responses.parse_errors(response.content, response.headers, form.redacting().clean)
    return next(((key, said) for key, said in found if key), ("", ""))


def _is_word(value: object) -> bool:
    return is_text(value) and value != ""


def _wrong_state(state: object, rule: str) -> errors.InvalidField | None:
    """Return the error for a state that is empty or not a string; it does not show the state."""
    if _is_word(state):
        return None
    return errors.InvalidField("state", state if state == "" else type(state), rule)


def _text_of(redirect: Mapping[str, str | None], name: str) -> str:
    """Return a parameter of the redirect; "" if it is missing or not valid text."""
    value = redirect.get(name)
    return value if is_text(value) else ""


def _refusal_of(
    redirect: object, state: str, hidden: Sequence[Secret[str]]
) -> errors.ConstantContactError | None:
    """Return the error for a redirect, or None if it has a code and the right state.

    The error shows none of the secrets in `hidden`.
    """
    if not isinstance(redirect, Mapping):
        rule = "it must be a mapping of the query parameters, not the URL itself"
        return errors.InvalidField("redirect", type(redirect), rule)
    if wrong := _wrong_state(state, "it must be the state that was kept for this owner"):
        return wrong
    if not hmac.compare_digest(_text_of(redirect, "state").encode(), state.encode()):
        return errors.GrantRefused(
            "authorization: the state of the redirect is not the one that was kept for this "
            "owner, so the redirect may be forged. Nothing was sent; start over at authorize_url.",
            status=None,
            errors=(("state_mismatch", ""),),
        )
    if _text_of(redirect, "code"):
        return None
    said = (_text_of(redirect, name) for name in ("error", "error_description"))
    clean = Redacting(hidden).clean
    return _refusal("authorization", None, *(clean(text, _LONGEST_REASON) for text in said))


def _refusal(
    what: str, status: int | None, key: str, said: str, *, unclear: bool = False
) -> errors.ConstantContactError:
    reason = ": ".join(part for part in (key, said) if part) or "no reason given"
    if unclear:
        return errors.ServerError(
            f"{what}: the OAuth2 server returned {status} ({reason}). Try again later.",
            status=status,
            errors=((key, said),),
        )
    if status is not None and 300 <= status < 400:
        return errors.UnexpectedRedirect(
            f"{what}: the OAuth2 server returned {status}, a redirect. It was not followed.",
            status=status,
        )
    answered = "was not granted" if status is None else f"was refused with {status}"
    return errors.GrantRefused(
        f"{what} {answered} ({reason}). Start over at authorize_url.",
        status=status,
        errors=((key or "no_code", said),),
    )


def _unanswered(form: _Form, host: str, reason: str) -> errors.ConstantContactError:
    message = f"{form.what}: no conclusive response arrived from {host} ({reason})."
    if form.once:
        return errors.OutcomeUnknown(f"{message} {form.advice}")
    return errors.ConnectionLost(f"{message} {form.advice}", sent="wholly")


async def _exchange(engine: Engine, request: httpx.Request) -> _Response:
    response, content = await engine.send(request), b""
    try:
        with suppress(errors.DecodeError):  # the status is enough
            content = await read_bounded(response, _MAX_RESPONSE, "")
    finally:
        await close_quietly(response)
    return _Response(response.status_code, response.headers, content)
