"""Images that wait are drawn together where they have the same shape, and each gets its own result.

Plain asyncio, so that the server's replicas and tests share it. Which neighbours an image has
decides nothing about it: a model call has one fixed shape and short ones are padded.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Shaped(Protocol):
    """What can be drawn together with others of its shape."""

    @property
    def shape(self) -> Hashable: ...


T = TypeVar("T", bound=Shaped)
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Gathers items by shape and calls `work` with at most `rows` of one shape, one call at a time.

    The shape whose first item has waited longest goes first, so that no shape starves.
    """

    def __init__(
        self, work: Callable[[list[T]], Awaitable[list[R]]], rows: int, patience: float = 0.01
    ) -> None:
        """`patience` is how many seconds a batch with room left waits for more items."""
        self._work = work
        self._rows = rows
        self._patience = patience
        self._numbers = itertools.count()
        self._waiting: dict[Hashable, deque[tuple[int, T, asyncio.Future[R]]]] = {}
        self._runner: asyncio.Task[None] | None = None

    async def draw(self, item: T) -> R:
        """The result of one item. Whoever is cancelled while waiting leaves the queue."""
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        queue = self._waiting.setdefault(item.shape, deque())
        queue.append((next(self._numbers), item, result))
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        return await result

    async def _run(self) -> None:
        while batch := await self._next():
            items = [item for item, _ in batch]
            try:
                for (_, result), value in zip(batch, await self._work(items), strict=True):
                    if not result.done():
                        result.set_result(value)
            except Exception as error:
                for _, result in batch:
                    if not result.done():
                        result.set_exception(error)

    async def _next(self) -> list[tuple[T, asyncio.Future[R]]]:
        """The next batch of one shape; empty where nothing waits."""
        shape = self._oldest()
        if shape is not None and len(self._waiting[shape]) < self._rows:
            await asyncio.sleep(self._patience)
            shape = self._oldest()
        if shape is None:
            return []
        queue = self._waiting[shape]
        batch = [queue.popleft()[1:] for _ in range(min(self._rows, len(queue)))]
        if not queue:
            del self._waiting[shape]
        return batch

    def _oldest(self) -> Hashable | None:
        """The shape that has waited longest, after those who left are gone."""
        for shape, queue in [*self._waiting.items()]:
            kept = deque(entry for entry in queue if not entry[2].done())
            if kept:
                self._waiting[shape] = kept
            else:
                del self._waiting[shape]
        return min(self._waiting, key=lambda shape: self._waiting[shape][0][0], default=None)
