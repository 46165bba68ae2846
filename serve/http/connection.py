"""What a client may hold of Ray Serve's own HTTP proxy before anybody has asked for its token.

The proxy runs uvicorn, whose usual reader of requests keeps a head of any size for any time, and
Ray hands it no setting against that. `bound` puts a stricter reader in its place.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import HTTP_PROTOCOLS, Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

HEAD_BYTES = 64 << 10
"""Above it a head that has not ended is refused; the read in which it ends may bring more."""
HEAD_SECONDS = 20.0
MOST_CONNECTIONS = 2048
FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"


def bound() -> None:
    """Every uvicorn server that this process makes from now on reads through a `Connection`."""
    HTTP_PROTOCOLS["auto"] = f"{__name__}:{Connection.__name__}"


class Connection(H11Protocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        config.h11_max_incomplete_event_size = HEAD_BYTES
        super().__init__(config, server_state, app_state, _loop)
        # Nothing here speaks over one, and it has bounds of its own.
        self.ws_protocol_class = None
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.write(FULL)
            transport.close()
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        if self._late is None and self._idle:
            self._await_head()
        super().data_received(data)
        if not self._idle:
            self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    @property
    def _idle(self) -> bool:
        """No request is being answered: what comes is a head, or a body that nobody awaits."""
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        """Give up the connection where no whole head comes in time, whatever else comes."""
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
