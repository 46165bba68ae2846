"""What went wrong on the cluster, in words that a user can act on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from engine.schema import UserError
from engine.stages.call import FatalError
from engine.store.place import StaleAttempt

FATAL = re.compile(r"^\S*FatalError: (.*)$", re.MULTILINE)
STALE = re.compile(r"^\S*StaleAttempt: (.*)$", re.MULTILINE)
USER = re.compile(r"^\S*UserError: (.*)$", re.MULTILINE)


class RunError(RuntimeError):
    """The run stopped, and why; what is committed stays, and the same command goes
    on from there.
    """


def cause_of(error: BaseException) -> BaseException:
    """The cause that lies in a Ray error, as this module's callers know it; the error itself where
    it is a fault of ours, so that its traceback is seen.
    """
    from ray.data.exceptions import ExecutionTimeoutError
    from ray.exceptions import RayError, RayTaskError

    for cause in _causes(error):
        if told := FATAL.search(str(cause)):
            # An actor that dies while it is made leaves its error as text only.
            return RunError(told.group(1))
        if told := STALE.search(str(cause)):
            return StaleAttempt(told.group(1))
        if isinstance(cause, RayError):
            continue
        if isinstance(cause, StaleAttempt | OSError | UserError):
            return cause
        if isinstance(cause, FatalError):
            return RunError(str(cause))
        if isinstance(cause, ExecutionTimeoutError):
            waited = str(cause).partition(" (timeout")[0]
            return RunError(f"no worker could start or end a part: {waited}. Repeat it later")
    if isinstance(error, RayError) and not isinstance(error, RayTaskError):
        if told := USER.search(str(error)):
            return UserError(told.group(1))
        return RunError(f"Ray gave up: {str(error).strip().splitlines()[0]}")
    return error


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    queue: list[BaseException | None] = [error]
    while queue:
        each = queue.pop(0)
        if each is not None and each not in seen:
            seen.append(each)
            yield each
            queue += [getattr(each, "cause", None), each.__cause__, each.__context__]


def disk_trouble(error: OSError, root: Path) -> str:
    """What to tell of an error of the operating system while `root` was written."""
    if isinstance(error, ConnectionError | TimeoutError):
        return f"the cluster is lost: {error}. What is committed is safe: repeat the command later"
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"cannot write to {root}: {reason}. What is committed is safe: repeat the command later"
