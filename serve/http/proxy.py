"""What we make of Ray Serve's own HTTP proxy: its door is bounded, and what it says when the half
that speaks HTTP is gone is in OpenAI's form.

Ray calls `middlewares` in the proxy where the variable VARIABLE names it.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
PATH = "serve.http.proxy.middlewares"
OWN = "/-/"
"""Below it Ray Serve answers for itself."""


def middlewares() -> list[Middleware]:
    """What the proxy puts between itself and its clients, whose door it bounds before it opens."""
    from serve.http.connection import bound

    bound()
    return [Middleware(Worded)]


class Worded:
    """Errors that are no JSON are the proxy's own: they are said anew."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(OWN):
            await self._app(scope, receive, send)
            return
        foreign = False

        async def tell(message: Message) -> None:
            nonlocal foreign
            if message["type"] == "http.response.start":
                kind = Headers(raw=message["headers"]).get("content-type", "")
                foreign = message["status"] >= 400 and not kind.startswith("application/json")
                if foreign:
                    await _lost()(scope, receive, send)
            if not foreign:
                await send(message)

        await self._app(scope, receive, tell)


def _lost() -> ASGIApp:
    from serve.http.app import answer
    from serve.http.contract import Problem

    message = "the server is not ready yet, or is being restarted; try again later"
    return answer(Problem(503, message, kind="server_error", code="unavailable", retry_after=5))
