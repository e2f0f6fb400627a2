"""Control the sandbox: inspect its state, set faults, move its clock.

The process that runs the sandbox calls methods; other processes send requests below
`/__sandbox__`.

======  ======================  ===============================================================
method  path                    what it does
======  ======================  ===============================================================
POST    /reset                  starts over; only the settings are kept
GET     /state                  files, folders and counts
GET     /saved                  the whole account, in the form of a file for `--seed` and `--state`
POST    /saved                  replaces the account with such a file
GET     /requests               the request log; `method` and `path` filter it
GET     /faults                 the faults that are still armed
POST    /faults                 arms a fault: `{"kind": .., ...}`
DELETE  /faults                 disarms all faults
DELETE  /faults/{id}            disarms one fault
GET     /clock                  the time, in seconds since 1970
POST    /clock                  moves the time forward: `{"advance": seconds}`
GET     /settings               the settings
POST    /settings               changes settings
POST    /contacts               puts contacts on a list: `{"count": .., "list_id": ..}`
POST    /addresses              confirms an address of the account: `{"email_address": ..}`
GET     /downloads              the log of requests for file contents
POST    /expire                 expires the URLs of files: `{"status": ..}`; records get new ones
POST    /files/{id}/status      sets a file's status: `{"status": ..}`
GET     /files/{id}/content     a file's bytes, while they are in memory
======  ======================  ===============================================================

Bodies are JSON, and `Content-Type` must say so; web pages are kept out, see `app`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import attrs
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from ccv2_async.sandbox.dispatch import JSON_LIMIT, read_json
from ccv2_async.sandbox.faults import make_fault
from ccv2_async.sandbox.gateway import API
from ccv2_async.sandbox.responses import APIResponse, Refusal
from ccv2_async.sandbox.settings import check_value

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from ccv2_async.sandbox.faults import FaultFields, FaultKind
    from ccv2_async.sandbox.settings import SettingChanges
    from ccv2_async.sandbox.state.gateway import Entry
    from ccv2_async.sandbox.world import World

PREFIX = "/__sandbox__"
_SAVED_LIMIT = 256 * 1024 * 1024
_MOST_CONTACTS = 1_000_000
_T = TypeVar("_T")


class Admin:
    """Inspects and controls a sandbox. Every method may be called from any thread.

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
        """Reset everything except the settings, and start with the data of the seed."""
        self._do(self._world.reset)

    def state(self) -> dict[str, Any]:
        """Return files, folders and counts, as plain data."""
        return self._do(self._world.snapshot)

    def save(self) -> dict[str, Any]:
        """Return the whole account, as JSON.

        Written to a file, it is a seed, `Sandbox(seed=path)`, and a file for `Sandbox(state=path)`.
        Settings, faults, the log, and the counts of the quota are not in it. Parts and fields that
        you leave out have the values of an empty account.
        """
        return self._do(self._world.save)

    def load(self, saved: dict[str, Any]) -> None:
        """Replace the account with one that `save` returned. Faults and the log are cleared.

        Raises:
            ValueError: It is not such an account, or it has a later version. Nothing was changed.
        """
        self._do(lambda: self._world.load(saved))

    def files(self) -> list[dict[str, Any]]:
        """Return the library's files, oldest first: ID, name, size, sha256, status and more."""
        return self._do(self._world.snapshot_files)

    def content(self, file_id: str) -> bytes | None:
        """Return a file's bytes; None if they are no longer in memory."""
        return self._do(lambda: self._world.library.content(file_id))

    def set_status(self, file_id: str, status: str | None) -> None:
        """Keep a file at a status, regardless of its plan; None releases it."""
        check_value("status", status, str | None)
        self._do(lambda: setattr(self._world.library.file(file_id), "forced", status))

    def add_contacts(
        self,
        count: int,
        list_id: str = "1",
        *,
        opt_in_source: str = "ACTION_BY_OWNER",
        status: str = "ACTIVE",
    ) -> None:
        """Add contacts to a list: `contact1@example.com` and so on.

        Args:
            count: The number of contacts.
            list_id: The list.
            opt_in_source: The person who added them, such as `ACTION_BY_SYSTEM`.
            status: Their status, such as `UNCONFIRMED`.

        Raises:
            ValueError: A value is not valid.
        """
        check_value("count", count, int)
        if not 0 <= count <= _MOST_CONTACTS:
            raise ValueError(f"count must be from 0 to {_MOST_CONTACTS:,}.")
        for name, text in (("opt_in_source", opt_in_source), ("status", status)):
            check_value(name, text, str)

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
        """Confirm an address of the account, as its owner would from the email."""
        check_value("email_address", email, str)
        self._do(lambda: self._world.account.addresses.update({email: "CONFIRMED"}))

    def requests(self, method: str | None = None, path: str = "*") -> list[Entry]:
        """Return the API requests, oldest first. `path` is below `/v2`; `*` stands for anything."""

        def wanted(entry: Entry) -> bool:
            below = entry.path.removeprefix(API)
            return method in (None, entry.method) and fnmatchcase(below, path)

        return self._do(lambda: self._world.log.entries(wanted))

    def downloads(self) -> list[Entry]:
        """Return the requests for file contents, oldest first."""
        return self._do(self._world.downloads.entries)

    def expire_urls(self, status: int = 404) -> None:
        """Expire the URLs of all files. Records that are read again have new URLs.

        Args:
            status: The response to an old URL.
        """

        def expire() -> None:
            library = self._world.library
            library.links, library.expired_status = library.links + 1, status

        self._do(expire)

    def fault(
        self,
        kind: FaultKind,
        method: str | None = None,
        path: str = "*",
        **fields: Unpack[FaultFields],
    ) -> None:
        """Arm a fault for the next requests that match; `faults` lists kinds and fields.

        Args:
            kind: The kind of fault, or a ready-made response.
            method: The HTTP method that it applies to; None for any.
            path: The path that it applies to, below `/v2`; `*` stands for anything.
                `/content/*` stands for file contents, which no other path matches.
            fields: `times`, `skip`, `chance`, and the fields of the kind.

        Raises:
            ValueError: The kind or a field is unknown, or a field has a wrong value.
        """
        fault = make_fault(kind, method=method, path=path, **fields)
        self._do(lambda: self._world.faults.add(kind, fault))

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults that are still armed."""
        return self._do(self._world.faults.pending)

    def assert_faults_struck(self) -> None:
        """Check that each fault has been applied at least once.

        Raises:
            AssertionError: No request matched one of them, or too few did. The message names them.
        """
        if unused := self._do(self._world.faults.unused):
            listed = ", ".join(
                f"{label} ({fault.method or 'any method'} {fault.path})" for label, fault in unused
            )
            raise AssertionError(f"These faults were never applied: {listed}.")

    def disarm(self, fault_id: str) -> None:
        """Disarm the fault with this `id`, as `faults` returns it."""
        self._do(lambda: self._world.faults.remove(fault_id))

    def clear_faults(self) -> None:
        """Disarm all faults."""
        self._do(self._world.faults.clear)

    def time(self) -> float:
        """Return the seconds since 1970 on the sandbox's clock."""
        return self._do(self._world.clock.time)

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock forward."""
        self._do(lambda: self._world.clock.advance(seconds))

    def settings(self) -> dict[str, Any]:
        """Return the settings without the credentials."""
        hidden = ("api_key", "access_token", "client_secret")
        shown = self._do(lambda: attrs.asdict(self._world.settings))
        if isinstance(shown["seed"], Path):
            shown["seed"] = str(shown["seed"])
        return {name: value for name, value in shown.items() if name not in hidden}

    def configure(self, **changes: Unpack[SettingChanges]) -> None:
        """Change settings from now on.

        Raises:
            TypeError: A setting is unknown.
            ValueError: A setting has a wrong value.
        """
        self._do(lambda: self._world.configure(dict(changes)))


def admin_routes(world: World) -> list[Route]:
    """Return the routes of the admin path."""
    admin = Admin(world, lambda action: action())
    return [
        Route(PREFIX + path, _served(partial(handler, admin)), methods=[method])
        for (method, path), handler in _SERVED.items()
    ]


def _served(handler: Callable[..., Any]) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        query = request.query_params
        filters = {name: query[name] for name in ("method", "path") if name in query}
        reads = request.method == "POST" and not request.url.path.endswith("/reset")
        try:
            limit = _SAVED_LIMIT if request.url.path.endswith("/saved") else JSON_LIMIT
            body = await read_json(request, limit) if reads else {}
            answer = handler(**request.path_params, **filters, **body)
        except ClientDisconnect:
            return Response()
        except (ValueError, TypeError, KeyError) as error:
            raise Refusal(400, str(error)) from None
        return answer if isinstance(answer, Response) else APIResponse(body=answer)

    return serve


def _advance(admin: Admin, advance: float) -> dict[str, float]:
    admin.advance(advance)
    return {"time": admin.time()}


def _configure(admin: Admin, **changes: Any) -> dict[str, Any]:
    admin.configure(**changes)
    return admin.settings()


def _content(admin: Admin, file_id: str) -> Response:
    if (data := admin.content(file_id)) is None:
        raise Refusal(404, "The content does not exist, or it is no longer in memory.")
    return Response(
        data, media_type="application/octet-stream", headers={"X-Content-Type-Options": "nosniff"}
    )


_SERVED: dict[tuple[str, str], Callable[..., Any]] = {
    ("POST", "/reset"): Admin.reset,
    ("GET", "/state"): Admin.state,
    ("GET", "/saved"): Admin.save,
    ("POST", "/saved"): lambda admin, **saved: admin.load(saved),
    ("GET", "/requests"): Admin.requests,
    ("GET", "/downloads"): Admin.downloads,
    ("POST", "/expire"): Admin.expire_urls,
    ("GET", "/faults"): Admin.faults,
    ("POST", "/faults"): Admin.fault,
    ("DELETE", "/faults"): Admin.clear_faults,
    ("DELETE", "/faults/{fault_id}"): Admin.disarm,
    ("GET", "/clock"): lambda admin: {"time": admin.time()},
    ("POST", "/clock"): _advance,
    ("GET", "/settings"): Admin.settings,
    ("POST", "/settings"): _configure,
    ("POST", "/contacts"): Admin.add_contacts,
    ("POST", "/addresses"): lambda admin, email_address: admin.confirm_address(email_address),
    ("POST", "/files/{file_id}/status"): Admin.set_status,
    ("GET", "/files/{file_id}/content"): _content,
}
