"""The half of the server that speaks HTTP: OpenAI's image API, health, and the gallery page.

A plain ASGI application over a door through which images are asked for; it knows nothing of Ray and
holds no model.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.registry import SamplerRef
from engine.store.plan import Plan
from serve.http.auth import is_loopback, opens
from serve.http.contract import ImageRequest, Problem, answered, asked, model_body, refused
from serve.http.sampler import Item, Painted

log = logging.getLogger(__name__)

GALLERY = Path(__file__).parent / "gallery"
PAGES = {"/": "index.html", "/gallery.css": "gallery.css", "/gallery.js": "gallery.js"}
MOST_BYTES = 64 << 10
BODY_SECONDS = 10.0
"""How long a client may take to send a body: until then it holds a place of the ingress."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
TOLD = {
    # FastAPI says so of what is no UTF-8, too deep, or a number too long.
    400: ("the body cannot be read as JSON", "invalid_json"),
    404: ("no such address", "not_found"),
    405: ("not with this method", "method_not_allowed"),
}


@dataclass(frozen=True)
class Desk:
    """What the HTTP half is made with. `draw` gives the picture of an item; it raises Busy where
    the queue is full, Lost where nothing can be drawn. Without `token_sha256` anybody on this
    machine may ask.
    """

    plan: Plan
    ref: SamplerRef
    draw: Callable[[Item], Awaitable[Painted]]
    token_sha256: str | None = None
    timeout: float = 300.0
    retry_after: int = 5


class Busy(Exception):
    """The queue is full."""


class Lost(Exception):
    """The half that draws is gone, or can draw no more."""


def build(desk: Desk) -> FastAPI:
    """The ASGI application."""
    # Without FastAPI's own pages, which load scripts from elsewhere, and the schema they read.
    app = FastAPI(title="RetinaForge", docs_url=None, redoc_url=None, openapi_url=None)
    started = int(time.time())

    @app.post("/v1/images/generations")
    async def generations(body: ImageRequest) -> Any:
        items = asked(body, desk.plan, desk.ref)
        return answered(items, await _pictures(desk, items), desk.plan, int(time.time()))

    @app.get("/v1/models")
    async def models() -> Any:
        return {"object": "list", "data": [model_body(desk.plan, desk.ref, started)]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> Any:
        if name != desk.ref.name:
            raise Problem(404, f"no model {name!r} here", param="model", code="model_not_found")
        return model_body(desk.plan, desk.ref, started)

    @app.get("/healthz")
    async def healthz() -> Any:
        return {"status": "ok", "model": desk.ref.name}

    _add_pages(app)
    _tell_problems(app)
    app.add_middleware(_Guard, token_sha256=desk.token_sha256)
    return app


async def _pictures(desk: Desk, items: Sequence[Item]) -> list[Painted]:
    """The pictures of a whole request; where one cannot even be queued the others are given up."""
    tasks = [asyncio.ensure_future(desk.draw(item)) for item in items]
    try:
        async with asyncio.timeout(desk.timeout):
            return await asyncio.gather(*tasks)
    except Busy as error:
        raise Problem(
            429,
            "too many images are waiting; try again later",
            kind="rate_limit_error",
            code="queue_full",
            retry_after=desk.retry_after,
        ) from error
    except Lost as error:
        log.exception("the sampler is lost")
        message = "the model is being restarted; try again later"
        raise Problem(503, message, kind="server_error", code="unavailable") from error
    except TimeoutError as error:
        message = f"not drawn within {desk.timeout:g} seconds"
        raise Problem(504, message, kind="server_error", code="timeout") from error
    finally:
        for task in tasks:
            task.cancel()


def _add_pages(app: FastAPI) -> None:
    for path, name in PAGES.items():

        def page(file: Path = GALLERY / name) -> FileResponse:
            return FileResponse(file, headers=HEADERS)

        app.add_api_route(path, page, include_in_schema=False, response_class=FileResponse)


def _tell_problems(app: FastAPI) -> None:
    """Every error in OpenAI's form."""

    @app.exception_handler(Problem)
    async def told(request: Request, error: Problem) -> JSONResponse:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(refused(error.errors()[0]))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        message, code = TOLD.get(error.status_code, (str(error.detail), None))
        return answer(Problem(error.status_code, message, code=code))

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> JSONResponse:
        return answer(Problem(500, "an error of the server", kind="server_error", code="fault"))


def answer(problem: Problem) -> JSONResponse:
    headers = dict(HEADERS)
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem.body, problem.status, headers)


class _Guard:
    """Before anything is read: the token on every `/v1/` address, and the name by which an open
    server is called. Then, where there is one to read, a body of bounded size in bounded time.
    """

    def __init__(self, app: ASGIApp, token_sha256: str | None) -> None:
        self._app = app
        self._sha256 = token_sha256

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope["path"], Headers(scope=scope))
            if scope["method"] == "POST" and scope["path"].startswith("/v1/"):
                receive = _replay(await _body(receive), receive)
        except Problem as problem:
            await answer(problem)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, path: str, headers: Headers) -> None:
        """Raise Problem for a request that may not come in."""
        if self._sha256 is None:
            # A page from elsewhere could point its own name here (DNS rebinding), and no number.
            if not is_loopback(re.sub(r":\d*$", "", headers.get("host", "")).strip("[]")):
                message = "without a token only the names of this machine itself are answered"
                raise Problem(403, message, code="foreign_host")
        elif path.startswith("/v1/") and not opens(headers.get("authorization"), self._sha256):
            raise Problem(401, "a valid token is needed", code="invalid_api_key")


async def _body(receive: Receive) -> bytes:
    """The whole body. Raises Problem for one that is too large, before it is in memory, and for one
    that does not come.
    """
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                body += message.get("body", b"")
                if len(body) > MOST_BYTES:
                    raise Problem(413, f"a body of more than {MOST_BYTES} bytes", code="too_large")
                if message["type"] != "http.request" or not message.get("more_body"):
                    return body
    except TimeoutError as error:
        late = f"the body did not come within {BODY_SECONDS:g} seconds"
        raise Problem(408, late, code="timeout") from error


def _replay(body: bytes, receive: Receive) -> Receive:
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return first.pop() if first else await receive()

    return again
