"""The director's chair: look into the sandbox and decide what happens to whom.

The same is offered twice: as methods, for the process that runs the sandbox, and as requests
below `/__sandbox__`, for everybody else.

======  ======================  ===============================================================
method  path                    what it does
======  ======================  ===============================================================
POST    /reset                  forgets everything but the settings
GET     /state                  files, folders and counts
GET     /requests               the request log; `method` and `path` choose
GET     /faults                 the faults that are still armed
POST    /faults                 arms a fault: `{"kind": .., ...}`
DELETE  /faults                 disarms all faults
GET     /clock                  the time, in seconds since 1970
POST    /clock                  moves the time forward: `{"advance": seconds}`
GET     /settings               the settings
POST    /settings               changes settings
POST    /contacts               puts contacts on a list: `{"count": .., "list_id": ..}`
POST    /addresses              confirms an address of the account: `{"email_address": ..}`
POST    /files/{id}/status      sets a file's status: `{"status": ..}`
GET     /files/{id}/content     a file's bytes, while they are held
======  ======================  ===============================================================

Bodies are JSON, and `Content-Type` says so; web pages are kept out, see `guard`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import attrs
import orjson
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ccv2_async.sandbox.faults import make_fault
from ccv2_async.sandbox.gateway import API
from ccv2_async.sandbox.problems import Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from ccv2_async.sandbox.faults import FaultFields, FaultKind
    from ccv2_async.sandbox.log import Entry
    from ccv2_async.sandbox.settings import SettingChanges
    from ccv2_async.sandbox.world import World

PREFIX = "/__sandbox__"
_T = TypeVar("_T")


class Admin:
    """Looks into a sandbox and steers it. Every method may be called from any thread.

    Args:
        world: The state of the sandbox.
        run: Calls a function where the sandbox runs, and returns its result.
    """

    def __init__(self, world: World, run: Callable[[Callable[[], Any]], Any]) -> None:
        self._world = world
        self._run = run

    def _do(self, action: Callable[[], _T]) -> _T:
        result: _T = self._run(action)
        return result

    def reset(self) -> None:
        """Forget everything but the settings."""
        self._do(self._world.reset)

    def state(self) -> dict[str, Any]:
        """Files, folders and counts, as plain data."""
        return self._do(self._world.snapshot)

    def files(self) -> list[dict[str, Any]]:
        """The library's files, oldest first: id, name, size, sha256, status, folder_id and more."""
        return self._do(self._world.snapshot_files)

    def content(self, file_id: str) -> bytes | None:
        """A file's bytes, while they are held."""
        return self._do(lambda: self._world.library.content(file_id))

    def set_status(self, file_id: str, status: str | None) -> None:
        """Hold a file at a status, whatever its plan says; None lets go again."""

        def change() -> None:
            self._world.library.file(file_id).forced = status

        self._do(change)

    def add_contacts(
        self,
        count: int,
        list_id: str = "1",
        *,
        opt_in_source: str = "ACTION_BY_OWNER",
        status: str = "ACTIVE",
    ) -> None:
        """Put contacts on a list: `contact1@example.com` and so on.

        Args:
            count: How many contacts.
            list_id: The list.
            opt_in_source: Who put them there, such as `ACTION_BY_SYSTEM`.
            status: Their status, such as `UNCONFIRMED`.
        """

        def add() -> None:
            contacts, now = self._world.contacts, self._world.clock.time()
            contacts.contact_list(list_id)
            for number in range(1, count + 1):
                email = f"contact{number}@example.com"
                contact = contacts.add(email, "API", opt_in_source, now)
                contact.opt_in_source, contact.status = opt_in_source, status
                contact.fields.setdefault("first_name", f"Contact {number}")
                contacts.join(contact, [list_id], now)

        self._do(add)

    def confirm_address(self, email: str) -> None:
        """Confirm one of the account's addresses, as its owner would from the mail."""

        def confirm() -> None:
            self._world.account.addresses[email] = "CONFIRMED"

        self._do(confirm)

    def requests(self, method: str | None = None, path: str = "*") -> list[Entry]:
        """The API requests so far, oldest first; `path` is below `/v2`, `*` stands for anything."""

        def wanted(entry: Entry) -> bool:
            below = entry.path.removeprefix(API)
            return method in (None, entry.method) and fnmatchcase(below, path)

        return self._do(lambda: self._world.log.entries(wanted))

    def fault(
        self,
        kind: FaultKind,
        method: str | None = None,
        path: str = "*",
        **fields: Unpack[FaultFields],
    ) -> None:
        """Arm a fault for the next requests that match; `faults` lists kinds and fields.

        Args:
            kind: What happens.
            method: The HTTP method that it strikes; None for any.
            path: The path that it strikes, below `/v2`; `*` stands for anything.
            fields: `times`, `skip`, `chance`, and what the kind takes.

        Raises:
            ValueError: There is no such kind, or no such field.
        """
        fault = make_fault(kind, method=method, path=path, **fields)
        self._do(lambda: self._world.faults.add(kind, fault))

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults that are still armed."""
        return self._do(self._world.faults.pending)

    def assert_faults_struck(self) -> None:
        """Check that each fault has struck at least once.

        Raises:
            AssertionError: One has not: no request matched it, or too few did. Names them.
        """
        unused = self._do(self._world.faults.unused)
        if unused:
            listed = ", ".join(
                f"{label} ({fault.method or 'any method'} {fault.path})" for label, fault in unused
            )
            raise AssertionError(f"These faults never struck: {listed}.")

    def clear_faults(self) -> None:
        """Disarm all faults."""
        self._do(self._world.faults.clear)

    def time(self) -> float:
        """Seconds since 1970 on the sandbox's clock."""
        return self._do(self._world.clock.time)

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock forward."""
        self._do(lambda: self._world.clock.advance(seconds))

    def settings(self) -> dict[str, Any]:
        """The settings, without the credentials."""
        hidden = ("api_key", "access_token", "client_secret")
        shown = self._do(lambda: attrs.asdict(self._world.settings))
        return {name: value for name, value in shown.items() if name not in hidden}

    def configure(self, **changes: Unpack[SettingChanges]) -> None:
        """Change settings from now on.

        Raises:
            TypeError: There is no such setting.
        """
        self._do(lambda: self._world.configure(dict(changes)))


def admin_routes(world: World) -> list[Route]:
    """The admin path's routes."""
    here = Admin(world, lambda action: action())
    served: list[tuple[str, str, Callable[[Admin, Request], Awaitable[Any]]]] = [
        ("POST", "/reset", _reset),
        ("GET", "/state", _state),
        ("GET", "/requests", _requests),
        ("GET", "/faults", _faults),
        ("POST", "/faults", _arm),
        ("DELETE", "/faults", _disarm),
        ("GET", "/clock", _clock),
        ("POST", "/clock", _advance),
        ("GET", "/settings", _settings),
        ("POST", "/settings", _configure),
        ("POST", "/contacts", _add_contacts),
        ("POST", "/addresses", _confirm),
        ("POST", "/files/{id}/status", _set_status),
        ("GET", "/files/{id}/content", _content),
    ]
    return [
        Route(PREFIX + path, _served(here, handler), methods=[method])
        for method, path, handler in served
    ]


def _served(
    admin: Admin, handler: Callable[[Admin, Request], Awaitable[Any]]
) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        try:
            answer = await handler(admin, request)
        except Refusal as problem:
            return JSONResponse(problem.body(), problem.status)
        except (ValueError, TypeError, KeyError) as error:
            return JSONResponse(Refusal(400, str(error)).body(), 400)
        if isinstance(answer, Response):
            return answer
        return Response(orjson.dumps(answer, default=_plain), media_type="application/json")

    return serve


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        return attrs.asdict(value)
    raise TypeError(type(value).__name__)


async def _json(request: Request) -> dict[str, Any]:
    body = orjson.loads(await request.body())
    if not isinstance(body, dict):
        raise TypeError("An object is expected.")
    return body


async def _reset(admin: Admin, _request: Request) -> None:
    admin.reset()


async def _state(admin: Admin, _request: Request) -> Any:
    return admin.state()


async def _requests(admin: Admin, request: Request) -> Any:
    query = request.query_params
    return admin.requests(query.get("method"), query.get("path", "*"))


async def _faults(admin: Admin, _request: Request) -> Any:
    return admin.faults()


async def _arm(admin: Admin, request: Request) -> None:
    admin.fault(**await _json(request))


async def _disarm(admin: Admin, _request: Request) -> None:
    admin.clear_faults()


async def _clock(admin: Admin, _request: Request) -> Any:
    return {"time": admin.time()}


async def _advance(admin: Admin, request: Request) -> Any:
    admin.advance((await _json(request))["advance"])
    return {"time": admin.time()}


async def _settings(admin: Admin, _request: Request) -> Any:
    return admin.settings()


async def _configure(admin: Admin, request: Request) -> Any:
    admin.configure(**await _json(request))
    return admin.settings()


async def _add_contacts(admin: Admin, request: Request) -> None:
    admin.add_contacts(**await _json(request))


async def _confirm(admin: Admin, request: Request) -> None:
    admin.confirm_address((await _json(request))["email_address"])


async def _set_status(admin: Admin, request: Request) -> None:
    admin.set_status(request.path_params["id"], (await _json(request))["status"])


async def _content(admin: Admin, request: Request) -> Response:
    data = admin.content(request.path_params["id"])
    if data is None:
        raise Refusal(404, "There is no such content, or it is no longer held.")
    return Response(
        data,
        media_type="application/octet-stream",
        headers={"X-Content-Type-Options": "nosniff"},
    )
