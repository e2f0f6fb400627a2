"""The base class of the resource groups: one method for each kind of operation."""

from __future__ import annotations

import inspect
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Required,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
)
from urllib.parse import unquote

import attrs

from ccv2_async.errors import ActivityFailed, ConstantContactError, DecodeError, InvalidField
from ccv2_async.models import validation
from ccv2_async.models.convert import encode_body
from ccv2_async.resources.listing import Listing, checked_on_bad_row, good_rows
from ccv2_async.transport.calls.call import Call, carried_out, confirmed, parsed
from ccv2_async.transport.calls.responses import segment
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.files.body import BytesBody

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from ccv2_async.resources.listing import OnBadRow
    from ccv2_async.transport.calls.call import Response
    from ccv2_async.transport.calls.session import Session

    Query: TypeAlias = Mapping[str, object] | None

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")
M = TypeVar("M")


@attrs.frozen
class Endpoint(Generic[T]):
    """An endpoint, such as that of campaigns or of the fees of an event.

    Attributes:
        model: The model of the service's responses.
        written: The model of a new one.
        path: The path of the collection.
        name: Its name, for messages.
        argument: The name of the argument that takes one.
        owner: The name of its parent, for messages; "" for the account.
        sendable: Returns the model in the form that the service accepts; None sends it unchanged.
    """

    model: type[T]
    written: type[Any]
    path: str
    name: str
    argument: str = ""
    owner: str = ""
    sendable: Callable[[Any], Any] | None = None

    def place(self, *ids: str) -> tuple[str, str]:
        """Return the path of one thing, and its name for messages.

        Args:
            ids: The IDs of its parents, then its own.
        """
        path = path_to(self.path + "/{}", *ids)  # it validates the IDs
        owned = f" of {self.owner} {ids[-2]}" if self.owner else ""
        return path, f"{self.name} {ids[-1]}{owned}"

    def checked(self, value: object, model: type[Any]) -> Any:
        """Return the value of the argument in the form that the service accepts.

        Raises:
            InvalidField: It is not an instance of the model. Nothing was sent.
        """
        checked = validation.checked_model(value, model, self.argument, written=True)
        return self.sendable(checked) if self.sendable else checked


class _Writing(TypedDict, total=False):
    """The arguments that `Resource._create` and `Resource._replace` pass on to `_write`."""

    what: Required[str]
    query: Query
    checked: bool


class Resource:
    """A group of operations; the methods of its subclasses are the public API."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def _get(
        self, model: type[T], path: str, ids: Sequence[str] = (), *, what: str, query: Query = None
    ) -> T:
        """Return one object.

        Raises:
            DecodeError: Its ID is not the last of `ids`. Safe to try again: yes.
        """
        call = Call("GET", path, Effect.SAFE, what, query=validation.query_of(query))
        return await self._session.read(call, lambda response: response.read(model, *ids[-1:]))

    async def _get_rows(
        self, model: type[T], path: str, *, what: str, on_bad_row: OnBadRow, query: Query = None
    ) -> list[T]:
        """Return the rows of a list that comes in one response, without pages.

        Raises:
            UnreadableRow: A row cannot be read, and `on_bad_row` is "raise".
        """
        checked_on_bad_row(on_bad_row)
        call = Call("GET", path, Effect.SAFE, what, query=validation.query_of(query))
        page = await self._session.read(call, lambda response: response.rows(model))
        return await good_rows(page.results, what, on_bad_row)

    async def _write(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        effect: Effect,
        what: str,
        query: Query = None,
        checked: bool = False,
        bare: bool = False,
    ) -> Response:
        """Make a call that changes something, and return the response.

        `body` is a model or plain JSON. Models are validated before they are sent. The service
        answers a `bare` call with an empty body.

        Raises:
            InvalidField: The service would refuse a value. Nothing was sent.
            DecodeError: Something other than the service answered; see `confirmed`.
            OutcomeUnknown: The same, for a call that adds something.
        """

        def encode(body: object) -> BytesBody:
            for part in body if isinstance(body, list) else (body,):
                if attrs.has(type(part)) and not checked:
                    validation.check(part)
            return BytesBody(encode_body(body))

        with self._session.deadline(self._session.seconds):  # encoding and sending are one call
            encoded = await self._session.encoded(encode, body, what) if body is not None else None
            call = Call(method, path, effect, what, query=validation.query_of(query), body=encoded)
            response = await self._session.send(call)
        return await confirmed(response, effect, bare=path if bare else "")

    async def _create(
        self, model: type[T], path: str, body: object, **options: Unpack[_Writing]
    ) -> T:
        """Create something by POST, and return it.

        The call is not repeated blindly, because a repeat could create a duplicate.
        """
        response = await self._write("POST", path, body, effect=Effect.ADDITIVE, **options)
        return await result_of(response, model)

    async def _replace(
        self, model: type[T], path: str, body: object, **options: Unpack[_Writing]
    ) -> T:
        """Replace something by PUT, and return what the service stored."""
        response = await self._write("PUT", path, body, effect=Effect.IDEMPOTENT, **options)
        return await result_of(response, model, unquote(path.rpartition("/")[2]))

    # `ids` are the IDs of a resource's parents, then its own ID.

    async def _one(self, endpoint: Endpoint[T], *ids: str, query: Query = None) -> T:
        """Return one thing."""
        path, what = endpoint.place(*ids)
        return await self._get(endpoint.model, path, ids, what=what, query=query)

    async def _all_of(self, endpoint: Endpoint[T], *ids: str, on_bad_row: OnBadRow) -> list[T]:
        """Return all things at the endpoint below the parents with these IDs."""
        path, what = path_to(endpoint.path, *ids), f"{endpoint.name}s of {endpoint.owner} {ids[-1]}"
        return await self._get_rows(endpoint.model, path, what=what, on_bad_row=on_bad_row)

    async def _update(
        self, endpoint: Endpoint[T], changes: Mapping[str, Any], *ids: str, query: Query = None
    ) -> T:
        """Read something, change a few of its fields, and replace it by PUT.

        Only the changes are validated. The other fields are sent back unchanged, even values that
        no enumeration has.

        Raises:
            InvalidField: See `checked_changes`. Nothing was sent.
        """
        path, what = endpoint.place(*ids) if ids else (endpoint.path, endpoint.name)
        checked = validation.checked_changes(changes, endpoint.written)
        before: Any = await self._get(endpoint.model, path, ids, what=what)
        after = attrs.evolve(before, **checked)
        body = endpoint.sendable(after) if endpoint.sendable else after
        what = f"update of {what}"
        return await self._replace(endpoint.model, path, body, what=what, query=query, checked=True)

    async def _create_one(self, endpoint: Endpoint[T], new: object, *ids: str) -> T:
        """Create a resource under the parents that its path names, and return it.

        Raises:
            InvalidField: It is not an instance of the model. Nothing was sent.
        """
        body, path = endpoint.checked(new, endpoint.written), path_to(endpoint.path, *ids)
        if endpoint.owner:
            article = "an" if endpoint.name[0] in "ai" else "a"
            of = f"{article} {endpoint.name} of {endpoint.owner} {ids[-1]}"
        else:
            of = f"{endpoint.name} {body.name}"
        return await self._create(endpoint.model, path, body, what=f"creation of {of}")

    async def _replace_one(
        self, endpoint: Endpoint[T], whole: Any, *ids: str, query: Query = None
    ) -> T:
        """Replace one thing by PUT, and return what the service stored."""
        body = endpoint.checked(whole, endpoint.model)
        path, what = endpoint.place(*ids, whole.id)
        what = f"update of {what}"
        return await self._replace(endpoint.model, path, body, what=what, query=query)

    async def _delete_one(self, endpoint: Endpoint[Any], *ids: str) -> None:
        """Delete one thing."""
        path, what = endpoint.place(*ids)
        await self._delete(path, what=f"deletion of {what}")

    async def _delete(self, path: str, *, what: str) -> None:
        """Delete something. The response is empty."""
        await self._write("DELETE", path, effect=Effect.IDEMPOTENT, what=what, bare=True)

    def _list(
        self,
        model: type[T],
        path: str,
        *,
        what: str,
        limit: int | None = None,
        most: int | None = 500,
        query: Query = None,
        on_bad_row: OnBadRow = "raise",
        only: Callable[[T], bool] | None = None,
    ) -> Listing[T]:
        """Return a listing of rows in pages. No request is made before it is iterated.

        `only` says of a row whether the query asks for it.
        """
        rows = validation.checked_limit(limit, most)
        shown = validation.query_of({"limit": rows, **(query or {})})
        return Listing(self._session, model, path, shown, what, on_bad_row=on_bad_row, only=only)


async def result_of(response: Response, model: type[T], own_id: object = "") -> T:
    """Return the resource that a call created or changed, from its response.

    Raises:
        DecodeError: The response cannot be read, or its ID is not `own_id`. The service carried out
            the call, and the message says so. Safe to try again: no.
    """
    with carried_out(response.status):
        return await parsed(response, lambda response: response.read(model, own_id))


async def result_rows(response: Response, model: type[T], on_bad_row: OnBadRow) -> list[T]:
    """Return the rows that a call changed, from its response.

    Raises:
        UnreadableRow: A row cannot be read, and `on_bad_row` is "raise".
        DecodeError: As for `result_of`.
    """
    with carried_out(response.status):
        page = await parsed(response, lambda response: response.rows(model))
        return await good_rows(page.results, response.what, on_bad_row)


def path_to(template: str, *ids: str) -> str:
    """Return `template` with the percent-encoded IDs in place of each `{}`.

    Raises:
        InvalidField: An ID is empty or would change the path. Nothing was sent.
    """
    return template.format(*(segment(validation.checked_id(id_)) for id_ in ids))


def served_path(what: str, template: str, *ids: str) -> str:
    """Return `path_to` of IDs from the service.

    Raises:
        DecodeError: An ID cannot be part of a path. Safe to try again: yes.
    """
    try:
        return path_to(template, *ids)
    except InvalidField as error:
        message = f"{what}: the ID {error.value} is not valid."
        raise DecodeError(message, safe_to_retry=True) from None


def waits_for(
    begin: Callable[Concatenate[S, P], Coroutine[Any, Any, Awaitable[T]]],
) -> Callable[[Callable[[S], type[T]]], Callable[Concatenate[S, P], Coroutine[Any, Any, T]]]:
    """Return a decorator that makes a method that waits for the job that `begin` starts.

    The method takes the arguments of `begin`. The decorated function provides its name, its
    docstring, and the model that it returns. No error after the start is safe to try again. It
    says how to resume the job; of a cancellation, a note does.
    """

    def decorate(
        named: Callable[[S], type[T]],
    ) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
        async def method(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            job: Any = await begin(self, *args, **kwargs)
            try:
                result: T = await job
            except BaseException as error:
                tokens = ", ".join(part.token() for part in getattr(job, "parts", (job,)))
                text = f"The job was started: resume it with {tokens} instead of calling again."
                if not isinstance(error, ConstantContactError):
                    error.add_note(text)
                    raise
                # The message of a failed activity already says what to do.
                if not (getattr(error, "token", "") or isinstance(error, ActivityFailed)):
                    error.extend(text)
                error.safe_to_retry = False
                raise
            return result

        returned = inspect.signature(named).return_annotation
        return dressed(method, named, begin, returned.removeprefix("type[").removesuffix("]"))

    return decorate


def dressed(method: M, named: Any, signed: Any, returned: str) -> M:
    """Return the method with the name and docstring of one function and the signature of another.

    Args:
        method: The method.
        named: Gives the name and the docstring.
        signed: Gives the arguments.
        returned: The annotation of what the method returns.
    """
    made = cast("Any", method)
    made.__name__, made.__qualname__ = named.__name__, named.__qualname__
    made.__module__, made.__doc__ = named.__module__, named.__doc__
    made.__signature__ = inspect.signature(signed).replace(return_annotation=returned)
    made.__annotations__ = {**signed.__annotations__, "return": returned}
    return method
