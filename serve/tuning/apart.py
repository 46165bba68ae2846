"""A process that holds one plan's model and draws rows when it is told to, so that two ways to draw
can take turns on one machine, each with its own threads, instructions and memory."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from engine import cpu
from engine.schema import worded
from engine.stages import embedded
from engine.stages.draw import Draw, loaded, model_of
from engine.store.plan import Plan
from serve.tuning.search import Untried

STATUS = Path("/proc/self/status")
Answer = TypeVar("Answer")
_held: list[Draw] = []


@dataclass(frozen=True)
class DrawnTurn:
    """Rows drawn: the seconds that it took, and the files of the images that came out, by row. A
    row whose first picture a gate refused is left out: another try is another eye."""

    seconds: float
    images: dict[int, bytes] = field(default_factory=dict)
    failed: int = 0


class Apart:
    """A plan's model in a process of its own. Raises Untried where it cannot be loaded there or its
    process dies."""

    def __init__(self, plan: Plan) -> None:
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin)
        # What libraries print there, from its first import on, is for nobody: errors are answers.
        with embedded.quiet_start(), _environment(cpu.environment(plan.versions)):
            self._ask(_load, plan.model_dump_json())

    def draw(self, start: int, stop: int) -> DrawnTurn:
        """Rows start..stop, drawn, judged and encoded."""
        return self._ask(_draw, start, stop)

    def peak_mb(self) -> int:
        """The most memory that the process has had: the GPU's, where the model is on one."""
        return self._ask(_peak_mb)

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _ask(self, what: Callable[..., Answer], *how: object) -> Answer:
        try:
            return self._pool.submit(what, *how).result()
        except BrokenProcessPool as error:
            raise Untried("its process died (for want of memory, perhaps)") from error
        except (RuntimeError, ValueError, OSError, MemoryError) as error:
            raise Untried(worded(str(error)).split("\n")[0][:300]) from error


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """These variables for whatever is started within."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin() -> None:
    """Ctrl-C is for whoever started this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _load(text: str) -> None:
    plan = Plan.model_validate_json(text)
    _held[:] = [loaded(plan, model_of(plan))]
    _reset_gpu()


def _draw(start: int, stop: int) -> DrawnTurn:
    began = time.perf_counter()
    outcomes = list(_held[0].outcomes([(start, stop)]))
    seconds = time.perf_counter() - began
    images = {o.spec.index: o.image for o in outcomes if o.stage is None and o.attempts == 1}
    return DrawnTurn(seconds, images, sum(outcome.stage is not None for outcome in outcomes))


def _peak_mb() -> int:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return int(torch.cuda.max_memory_allocated()) >> 20
    if STATUS.exists():
        # What the system counts for a child is the parent's too, up to its own first program.
        lines = STATUS.read_text().splitlines()
        return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _reset_gpu() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
