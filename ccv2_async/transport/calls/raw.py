"""Call any path of the API, including one that no method of the client covers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import httpx

from ccv2_async.errors import InvalidField
from ccv2_async.models.convert import encode_body
from ccv2_async.models.validation import one_of, query_of
from ccv2_async.transport.calls.call import Call, carried_out, parsed
from ccv2_async.transport.calls.download import target_of
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.files.body import BytesBody
from ccv2_async.transport.quota.budget import checked_lane

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccv2_async.transport.calls.call import Response
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.quota import Lane

# A repeated POST or PATCH may do something twice; see the table in `retry`.
_EFFECTS = {
    "GET": Effect.SAFE,
    "PUT": Effect.IDEMPOTENT,
    "DELETE": Effect.IDEMPOTENT,
    "POST": Effect.ADDITIVE,
    "PATCH": Effect.ADDITIVE,
}
_PATH_RULE = "it must be a path such as /contacts?limit=5, or a URL below the base URL"


@attrs.frozen
class RawResponse:
    """A successful response from the service, unparsed and parsed.

    Attributes:
        status: The HTTP status, from 200 to 299.
        headers: The headers, in lower case, without secrets.
        content: The body, without secrets.
        data: The parsed body if it is JSON; otherwise None.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    content: bytes = attrs.field(repr=False)
    data: Any = attrs.field(repr=False)


async def send_raw(
    session: Session,
    method: str,
    path: str,
    *,
    query: Mapping[str, object] | None,
    json: object,
    lane: Lane,
) -> RawResponse:
    """Make a call, and return the response; `ConstantContact.request` describes the arguments."""
    verb = one_of("method", "" if method is None else method, _EFFECTS) or ""
    if json is not None and verb == "GET":
        raise InvalidField("json", json, "leave it out; a GET has no body")
    below, pairs = _checked_path(path, session.base_url)
    what, pairs = f"{verb} {below}", pairs + query_of(query)
    with session.deadline(session.seconds):  # encoding and sending are one call
        body = None if json is None else BytesBody(await session.encoded(encode_body, json, what))
        call = Call(verb, below, _EFFECTS[verb], what, pairs, body, lane=checked_lane(lane))
        if call.effect is Effect.SAFE:
            return await session.read(call, _response)
        response = await session.send(call)
    with carried_out(response.status):
        return await parsed(response, _response)


def _checked_path(path: object, base_url: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the path below the base URL, and the query.

    Raises:
        InvalidField: The path leads elsewhere. Nothing was sent.
    """
    # A query may hold a token, so the message leaves it out.
    shown = path.partition("?")[0] if isinstance(path, str) else path
    base = httpx.URL(base_url).raw_path.decode("ascii").rstrip("/")
    link = path if isinstance(path, str) else ""
    try:
        target = target_of(base + link if link.startswith("/") else link, base_url)
    except ValueError as why:
        raise InvalidField("path", shown, f"{_PATH_RULE}; {why}") from None
    below = target.path.removeprefix(base)
    if not target.own or not target.path.startswith(f"{base}/") or below.startswith("//"):
        raise InvalidField("path", shown, f"{_PATH_RULE}; credentials are sent only there")
    return below, target.query


def _response(response: Response) -> RawResponse:
    return RawResponse(response.status, response.headers, response.content, response.plain())
