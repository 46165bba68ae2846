"""The batcher: shapes apart, nobody starves, whoever leaves is not drawn."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from serve.http.batching import Batcher


@dataclass(frozen=True)
class Thing:
    shape: str
    number: int


class Worker:
    """Squares numbers and remembers its batches; a gate can hold it."""

    def __init__(self) -> None:
        self.batches: list[list[Thing]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, things: list[Thing]) -> list[int]:
        self.batches.append(things)
        await self.open.wait()
        if any(thing.number < 0 for thing in things):
            raise ValueError("negative")
        return [thing.number**2 for thing in things]


def test_things_of_one_shape_are_drawn_together_and_never_with_another():
    async def story() -> None:
        worker = Worker()
        batcher = Batcher(worker, rows=4)
        things = [Thing("ab"[number % 2], number) for number in range(10)]
        results = await asyncio.gather(*(batcher.draw(thing) for thing in things))
        assert results == [number**2 for number in range(10)]
        assert [len(batch) for batch in worker.batches] == [4, 4, 1, 1]
        assert all(len({thing.shape for thing in batch}) == 1 for batch in worker.batches)

    asyncio.run(story())


def test_the_shape_that_waited_longest_goes_first():
    async def story() -> None:
        worker = Worker()
        worker.open.clear()
        batcher = Batcher(worker, rows=2, patience=0)
        tasks = [asyncio.create_task(batcher.draw(Thing("a", 0)))]
        await asyncio.sleep(0.02)
        for shape, number in [("a", 1), ("rare", 2), ("a", 3), ("a", 4), ("a", 5)]:
            tasks.append(asyncio.create_task(batcher.draw(Thing(shape, number))))
            await asyncio.sleep(0)
        worker.open.set()
        await asyncio.gather(*tasks)
        numbers = [[thing.number for thing in batch] for batch in worker.batches]
        assert numbers == [[0], [1, 3], [2], [4, 5]]

    asyncio.run(story())


def test_a_cancelled_item_is_not_drawn_and_holds_nobody_up():
    async def story() -> None:
        worker = Worker()
        worker.open.clear()
        batcher = Batcher(worker, rows=1, patience=0)
        first = asyncio.create_task(batcher.draw(Thing("a", 1)))
        await asyncio.sleep(0.02)
        gone = asyncio.create_task(batcher.draw(Thing("b", 2)))
        last = asyncio.create_task(batcher.draw(Thing("a", 3)))
        await asyncio.sleep(0.02)
        gone.cancel()
        first.cancel()
        worker.open.set()
        assert await last == 9
        assert [batch[0].number for batch in worker.batches] == [1, 3]
        assert gone.cancelled()
        assert first.cancelled()

    asyncio.run(story())


def test_work_that_breaks_fails_its_batch_and_no_later_one():
    async def story() -> None:
        batcher = Batcher(Worker(), rows=1, patience=0)
        with pytest.raises(ValueError, match="negative"):
            await batcher.draw(Thing("a", -1))
        assert await batcher.draw(Thing("a", 2)) == 4

    asyncio.run(story())
