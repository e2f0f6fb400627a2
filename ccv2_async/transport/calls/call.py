"""An API call before it is signed, and its response once it is read."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from ccv2_async import errors
from ccv2_async.models.convert import decode_one, decode_plain, decode_rows, decode_whole, is_large
from ccv2_async.tasks import in_thread
from ccv2_async.text import described, one_line
from ccv2_async.transport.calls.responses import from_elsewhere, parse_errors, refusal, time_of
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.quota import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ccv2_async.models.convert import BadRow, Page
    from ccv2_async.transport.files.body import Body

T = TypeVar("T")
R = TypeVar("R")

MAX_RESPONSE = 16 * 1024 * 1024
# Room for a hundred statuses with very long descriptions.
MAX_STATUS_RESPONSE = 1024 * 1024
CALL_DEADLINE = 120.0
UPLOAD_DEADLINE = 900.0
LONGEST_EXCERPT = 4096


@attrs.frozen
class Timeouts:
    """How long each step of a call may take, in seconds; None for no limit.

    Attributes:
        connect: Until a connection is made, including TLS.
        read: Between two pieces of a response.
        write: Until the connection takes the next block.
    """

    connect: float | None = 10.0
    read: float | None = 60.0
    write: float | None = 60.0

    def as_extension(self) -> dict[str, float | None]:
        """Return the time limits in the form that httpx transports expect."""
        return attrs.asdict(self) | {"pool": self.connect}


@attrs.frozen
class Call:
    """One API call, before it is signed.

    Attributes:
        method: The HTTP method.
        path: The path below the base URL, percent-encoded, such as `/library/files/7`.
        effect: What the call does to the account. It decides whether the call may be repeated.
        what: What the call does, for messages, such as "upload of menu.pdf".
        query: Names and values, not yet encoded.
        body: The request body, or None.
        lane: The lane of the call, which decides its place when calls wait for the quota.
        deadline: The seconds from the first attempt to the complete response, including retries.
            The wait for the quota before the first attempt does not count.
        max_response: The size limit of the unpacked response in bytes.
        accept: The Accept header.
        from_root: Whether the path is relative to the host instead of the base URL.
    """

    method: str
    path: str
    effect: Effect
    what: str
    query: tuple[tuple[str, str], ...] = ()
    body: Body | None = None
    lane: Lane = Lane.INTERACTIVE
    deadline: float | None = CALL_DEADLINE
    max_response: int = MAX_RESPONSE
    accept: str = "application/json"
    from_root: bool = False


@attrs.frozen
class Response:
    """The complete response to a successful call."""

    status: int
    # A server may echo the key anywhere, and tracebacks with local variables show every `repr`.
    headers: Mapping[str, str] = attrs.field(repr=False)
    content: bytes = attrs.field(repr=False)
    what: str
    redact: Callable[[str, int], str] = attrs.field(repr=False, eq=False)
    flaw: str = ""
    # How many earlier attempts of the same call were sent in full and may have been carried out.
    doubtful: int = 0

    def read(self, model: type[T], asked: object = "") -> T:
        """Return the body as a model.

        Args:
            model: The model.
            asked: The ID that was asked for, if any.

        Raises:
            DecodeError: It does not fit the model, has none of its fields, is an error, or has
                another ID; the message names the place.
        """
        found = self._decoded(partial(decode_whole, model))
        if asked and (own := getattr(found, "id", None)) is not None:
            self.require_id(str(asked), str(own))
        return found

    def require_id(self, asked: str, own: str) -> None:
        """Check that the ID in the body is the one that was asked for.

        Raises:
            DecodeError: It is another one.
        """
        # A call with the UUID of the newer API may get the number of the same object.
        is_uuid = len(asked) == 36 and own.isdecimal()
        if not is_uuid and asked.casefold() != own.casefold():
            reason = f"the service returned another one, with the ID {self.redact(own, 80)!r}"
            raise errors.DecodeError.from_parts(self.what, reason, where="id", status=self.status)

    def rows(self, model: type[T], *, paged: bool = False) -> Page[T | BadRow]:
        """Return the body as a list, with a `BadRow` for each row that cannot be read.

        Raises:
            DecodeError: It is not a list of the expected kind.
        """
        return self._decoded(partial(decode_rows, model, paged=paged))

    def one(self, model: type[T]) -> T | BadRow:
        """Return the body as a model, or as a `BadRow` if it is JSON that does not fit.

        Raises:
            DecodeError: It is not JSON.
        """
        return self._decoded(partial(decode_one, model))

    @property
    def date(self) -> float | None:
        """The service's own time; see `time_of`."""
        return time_of(self.headers)

    def plain(self) -> Any:
        """Return the body as parsed JSON; None if it is empty or not declared as JSON.

        Raises:
            DecodeError: It is declared as JSON but cannot be read.
        """
        if not self.flaw and (not self.content or self._not_json() is not None):
            return None
        return self._decoded(decode_plain)

    def from_service(self, effect: Effect, *, bare: str = "") -> Response:
        """Return the response to a change if the service sent it: JSON or nothing.

        A page is not, and neither is an error with a status of success. If the response names what
        was added in a header, its body does not matter.

        Args:
            effect: What the call does.
            bare: The path, if the service answers the call with an empty body. Then no JSON of a
                gateway, such as `{"success": false}`, counts, and no record of another object.

        Raises:
            DecodeError: Something else answered a PUT or DELETE. Safe to try again: yes.
            OutcomeUnknown: Something else answered a call that adds something.
        """
        adds = effect is Effect.ADDITIVE
        named = self.headers.get("location") or self.headers.get("id")
        start = self.content.lstrip()[:1]
        is_page = start == b"<" or self._not_json() is not None
        try:
            document = self._decoded(decode_plain) if start and not (adds and named) else []
            if from_elsewhere(document, bare=bare):
                found = parse_errors(self.content, {}, self.redact)
                reason = refusal(self.status, found, self.what).reason
                raise errors.DecodeError.from_parts(self.what, reason, status=self.status)
        except errors.DecodeError as page:
            if adds and not is_page and page.excerpt:  # cut off; its reader says what that means
                return self
            page.extend("Something other than the service answered, such as a login page.")
            if adds:
                advice = f"{page.message} Check the account before you send the call again."
                sends = self.doubtful + 1
                raise errors.OutcomeUnknown(advice, reason=page.reason, sends=sends) from None
            page.safe_to_retry = True
            raise
        return self

    def _decoded(self, decoding: Callable[..., R]) -> R:
        if self.flaw:
            raise errors.OutcomeUnknown(
                f"{self.what}: the service returned {self.status}, so it was carried out, but the "
                f"response {self.flaw}. It was not sent again; read the result from the account."
            )
        if refused := self._not_json():
            raise refused
        try:
            return decoding(self.content, what=self.what, redact=self.redact)
        except errors.DecodeError as error:
            error.status = self.status
            raise

    def _not_json(self) -> errors.DecodeError | None:
        kind = self.headers.get("content-type", "")
        is_json = "json" in kind.lower() and "problem" not in kind.lower()  # RFC 9457: an error
        if not self.content or not kind or is_json:
            return None
        text = self.content[:LONGEST_EXCERPT].decode("utf-8", "replace")
        excerpt = one_line(self.redact(text, 80))
        found = f"{self.redact(kind, 80)!r} instead of JSON: {excerpt!r}"
        return errors.DecodeError.from_parts(
            self.what,
            f"the service returned {self.status} with {found}",
            excerpt=excerpt,
            status=self.status,
        )


@contextmanager
def carried_out(status: int) -> Iterator[None]:
    """Add to a `DecodeError` about the response to a change that it was carried out."""
    try:
        yield
    except errors.DecodeError as error:
        error.extend(
            f"The service returned {status}, so the call was carried out. Do not send it again; "
            "read the result from the account."
        )
        error.safe_to_retry = False
        raise


async def confirmed(response: Response, effect: Effect, *, bare: str = "") -> Response:
    """Return the response to a change if the service sent it, without blocking the event loop.

    For the arguments and errors, see `Response.from_service`.
    """
    return await parsed(response, lambda sent: sent.from_service(effect, bare=bare))


async def parsed(response: Response, parse: Callable[[Response], R]) -> R:
    """Return `parse(response)`, computed in a thread if the response is large.

    Raises:
        DecodeError: The response has a shape that `parse` does not know.
    """
    try:
        return await in_thread(parse, response) if is_large(response.content) else parse(response)
    except errors.ConstantContactError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever an odd shape leads to
        odd = response.redact(described(error), 200)
    reason = f"the service returned {response.status} in an unknown format ({odd})"
    raise errors.DecodeError.from_parts(response.what, reason, status=response.status)
