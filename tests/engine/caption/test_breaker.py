"""The breaker lets calls through while they succeed, and one prober at a time while they fail."""

from __future__ import annotations

import asyncio
import time

import pytest

from engine.caption import CaptionerLost
from engine.caption.breaker import FAILURES, Breaker, pause


class Server:
    """Ready from a probe on, counting them and how many come at once."""

    def __init__(self, ready_from: int) -> None:
        self.ready_from = ready_from
        self.probes = self.inside = self.most = 0

    async def is_ready(self) -> bool:
        self.probes += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0.01)
        self.inside -= 1
        return self.probes >= self.ready_from


def test_it_opens_after_failures_in_a_row_and_closes_when_the_server_is_back():
    server = Server(ready_from=3)
    breaker = Breaker(server.is_ready, patience=30)

    async def story():
        for _ in range(FAILURES - 1):
            breaker.failed("refused")
        await breaker.passing()
        assert not breaker.is_open
        breaker.answered()
        for _ in range(FAILURES):
            breaker.failed("refused")
        assert breaker.is_open
        await asyncio.gather(*(breaker.passing() for _ in range(20)))
        assert not breaker.is_open
        assert (server.probes, server.most) == (3, 1)
        breaker.failed("refused")
        assert breaker.is_open, "half open: one failure is enough"

    asyncio.run(story())


def test_a_server_that_stays_away_is_lost_within_the_patience():
    server = Server(ready_from=10**9)
    breaker = Breaker(server.is_ready, patience=0.5)
    for _ in range(FAILURES):
        breaker.failed("connection refused")

    async def story():
        await asyncio.gather(*(breaker.passing() for _ in range(5)), return_exceptions=False)

    began = time.monotonic()
    with pytest.raises(CaptionerLost, match=r"gone for 0\.5 s: connection refused"):
        asyncio.run(story())
    assert time.monotonic() - began < 5


def test_pauses_grow_and_differ():
    async def story():
        began = time.monotonic()
        await asyncio.gather(*(pause(1) for _ in range(5)))
        return time.monotonic() - began

    assert 0.125 <= asyncio.run(story()) < 0.6
