"""The ASGI application: the API below `/v2`, its OpenAPI document, and the admin path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from ccv2_async.sandbox.admin import admin_routes
from ccv2_async.sandbox.answers import Answer, Refusal
from ccv2_async.sandbox.areas import (
    account,
    activities,
    campaigns,
    contacts,
    event_parts,
    events,
    library,
    tracking,
)
from ccv2_async.sandbox.content import content_routes
from ccv2_async.sandbox.dispatch import Endpoint
from ccv2_async.sandbox.gateway import API, Gateway
from ccv2_async.sandbox.oauth import oauth_routes
from ccv2_async.sandbox.openapi import openapi_document

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ccv2_async.sandbox.operations import Operation
    from ccv2_async.sandbox.world import World

OPERATIONS: tuple[Operation, ...] = (
    *library.OPERATIONS,
    *activities.OPERATIONS,
    *contacts.OPERATIONS,
    *campaigns.OPERATIONS,
    *tracking.OPERATIONS,
    *events.OPERATIONS,
    *event_parts.OPERATIONS,
    *account.OPERATIONS,
)


def make_app(world: World) -> Starlette:
    """Return the application that serves one sandbox."""
    paths: dict[str, list[Operation]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, []).append(operation)
    routes = [
        Route(API + path, Endpoint(operations, world), name=path)
        for path, operations in paths.items()
    ]
    app = Starlette(
        routes=[
            *routes,
            Route("/openapi.json", _openapi),
            *content_routes(world),
            *activities.export_routes(world),
            *admin_routes(world),
            *oauth_routes(world),
        ],
        middleware=[Middleware(Gateway, world=world)],
        exception_handlers=dict.fromkeys((HTTPException, Refusal, Exception), _refuse),
    )
    app.router.redirect_slashes = False
    return app


async def _openapi(_request: Request) -> Response:
    return Answer(body=openapi_document(OPERATIONS))


async def _refuse(_request: Request, problem: Exception) -> Response:
    if isinstance(problem, HTTPException):
        problem = Refusal(problem.status_code, "There is nothing here.")
    elif not isinstance(problem, Refusal):
        problem = Refusal(500, "The sandbox failed; see its log.")
    return problem.answer()
