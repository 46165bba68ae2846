"""A submission as a Ray job: sent unless it runs already, followed to its exit code.

The submission id is what the submission is known by, so that the same command finds its own job:
while that runs the command attaches to it; afterwards it is sent again under the next number
(`FINGERPRINT-2`), and the folder says what is left to do.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.schema import UserError
from serve.submission import Submission

BUSY = ("PENDING", "RUNNING")
POLL = 1.0
PATIENCE = 60.0
"""Seconds that a cluster may not answer while its job is followed."""


class Unreachable(RuntimeError):
    """What has become of a job cannot be asked."""


@dataclass(frozen=True)
class Ended:
    """How a job ended: Ray's word for it and our exit code."""

    status: str
    exit_code: int
    message: str


def submit(client: Any, submission: Submission, tell: Callable[[str], None]) -> str:
    """Send the command unless its job runs already; the submission id."""
    while True:
        jobs = client.list_jobs()
        if running := _running(jobs, submission):
            tell(f"job {running} is running already; attached")
            return running
        number = 1 + max(_numbers(jobs, submission), default=0)
        name = submission.identity if number == 1 else f"{submission.identity}-{number}"
        with tempfile.TemporaryDirectory() as folder:
            submission.pack(Path(folder))
            try:
                client.submit_job(
                    entrypoint=submission.entrypoint,
                    submission_id=name,
                    # The command only leads: it takes no processor, so a head without any runs it.
                    entrypoint_num_cpus=0,
                    runtime_env={"working_dir": folder},
                    metadata={"command": submission.command, "out": submission.out},
                )
            except RuntimeError as error:
                if "already exists" not in str(error):
                    raise
                continue  # Somebody was faster with the same command.
        tell(f"job {name} submitted")
        return name


def _running(jobs: Sequence[Any], submission: Submission) -> str | None:
    """The job that is at this command, by whatever name and however it was sent. Raises UserError
    for one that is at work in the same folder with other words.
    """
    busy = [each for each in jobs if str(each.status) in BUSY and each.submission_id]
    for each in busy:
        if each.entrypoint == submission.entrypoint:
            return each.submission_id
    for each in busy:
        known = each.metadata or {}
        if submission.out and known.get("out") == submission.out:
            raise UserError(
                f"job {each.submission_id} is at work in {submission.out} with other flags: "
                f"{known.get('command')}",
                field="--out",
                expected="to wait for its end, or `ray job stop` it first",
            )
    return None


def _numbers(jobs: Sequence[Any], submission: Submission) -> Iterator[int]:
    """Of the jobs of this identity so far."""
    for job in jobs:
        name, _, number = (job.submission_id or "").partition("-")
        if name == submission.identity and (number or "1").isdigit():
            yield int(number or "1")


def followed(client: Any, name: str, tell: Callable[[str], None]) -> Ended:
    """Tell the job's output until it ends, and how it ended. Raises Unreachable."""
    from aiohttp import ClientError

    async def follow() -> None:
        async for text in client.tail_job_logs(name):
            tell(text)

    while True:
        try:
            asyncio.run(follow())
        except (RuntimeError, OSError, ClientError):
            # The line to the log broke; the job has not, and its status is asked for below.
            time.sleep(POLL)
        info = _info(client, name)
        if str(info.status) not in BUSY:
            return _ended(info)
        time.sleep(POLL)


def _info(client: Any, name: str) -> Any:
    """What the cluster says of a job; a tunnel may be away for a while. Raises Unreachable."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return client.get_job_info(name)
        except OSError as error:
            if time.monotonic() > end:
                raise Unreachable("the cluster answers no more") from error
            time.sleep(POLL)
        except RuntimeError as error:
            raise Unreachable(f"the cluster knows no job {name} any more") from error


def _ended(info: Any) -> Ended:
    """Ray knows only whether a command succeeded; the driver's own code says how it did not."""
    code = info.driver_exit_code
    known = code if code in (0, 1, 2, 3) else 1
    status = str(getattr(info.status, "value", info.status))
    return Ended(status, known, info.message or "")
