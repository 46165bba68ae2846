"""A circuit breaker: after a few failures in a row nobody calls, until the server says that it is
ready."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from engine.caption import CaptionerLost

FAILURES = 5
"""In a row, after which nobody calls any more."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 4.0


async def pause(failures: int) -> None:
    """Wait before another try: twice as long after each failure, half to one and a half times that,
    so that callers who failed together do not come back together.
    """
    usual = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 8))
    await asyncio.sleep(usual * random.uniform(0.5, 1.5))


class Breaker:
    """Between many callers and one server, which `is_ready` asks. A server that is gone for
    `patience` seconds is lost.
    """

    def __init__(self, is_ready: Callable[[], Awaitable[bool]], patience: float) -> None:
        self._is_ready = is_ready
        self._patience = patience
        self._failures = 0
        self._reason = ""
        self._probing = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether callers have to wait."""
        return self._failures >= FAILURES

    def answered(self) -> None:
        """The server has answered, whatever it said."""
        self._failures = 0

    def failed(self, reason: str) -> None:
        """A call found no server, or no answer in time."""
        self._failures += 1
        self._reason = reason

    async def passing(self) -> None:
        """Return at once while calls succeed; else wait until the server is ready. Raises
        CaptionerLost.
        """
        while self.is_open:
            async with self._probing:
                if self.is_open:
                    await self.until_ready(self._reason)

    async def until_ready(self, reason: str) -> None:
        """Ask the server until it is ready; `reason` says why. Raises CaptionerLost."""
        began, probes = time.monotonic(), 0
        while not await self._is_ready():
            if time.monotonic() - began > self._patience:
                raise CaptionerLost(
                    f"the caption server has been gone for {self._patience:g} s: {reason}"
                )
            probes += 1
            await pause(probes)
        # Half open: the next failure opens it again.
        self._failures = min(self._failures, FAILURES - 1)
