"""A command of ours as a Ray job: checked here, sent with the code that it needs, followed to its
exit code.

What leaves this machine is the four code folders and the files that the command names: never a data
set folder, never what lies in `private`. The submission id is the plan's fingerprint, so that the
same command finds its own job: while that runs the command attaches to it; afterwards it is sent
again under the next number (`FINGERPRINT-2`), and the folder says what is left to do.
"""

from __future__ import annotations

import asyncio
import hashlib
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import typer

from engine.jobs.asks import DrawAsk, check_count
from engine.jobs.draw import plan_drawing, plan_into
from engine.labels import unknown_name
from engine.schema import UserError
from engine.stages.code import PACKAGES, ROOT
from serve.runs import schedule_of
from serve.wording import speaking

NOT_SENT = ("__pycache__", "*.pyc", "private")
PROGRAM = ("python", "-m", "serve.cli")
DRAWING = ("generate", "phantom")
NOT_JOBS = ("submit", "serve", "doctor")
BUSY = ("PENDING", "RUNNING")
POLL = 1.0
PATIENCE = 60.0
"""Seconds that a cluster may not answer while its job is followed."""
SHARED = "an absolute path on a file system that all nodes share"


@dataclass(frozen=True)
class Work:
    """A checked command. `identity` is what the job is known by, `out` the folder that it writes,
    `files` what it reads from beside the code, relative to where the command was given.
    """

    words: tuple[str, ...]
    identity: str
    out: str
    files: tuple[Path, ...]

    @property
    def command(self) -> str:
        return shlex.join(self.words)

    @property
    def entrypoint(self) -> str:
        return shlex.join([*PROGRAM, *self.words])


class Unreachable(RuntimeError):
    """What has become of a job cannot be asked."""


@dataclass(frozen=True)
class Ended:
    """How a job ended: Ray's word for it and our exit code."""

    status: str
    exit_code: int
    message: str


def checked(words: Sequence[str]) -> Work:
    """The command as a job, with every mistake found that can be found without the cluster.

    Raises UserError, or click's own error for flags that do not exist.
    """
    words = tuple(words)[1 if [*words[:1]] == ["retinaforge"] else 0 :]
    context = _parsed(words)
    with speaking(context.command):
        return _checked(words, context.info_name, context.params)


def _checked(words: tuple[str, ...], name: str, params: Mapping[str, Any]) -> Work:
    if params.get("address") is not None:
        raise UserError("the job finds its own cluster", field="--address", expected="no such flag")
    out = params.get("out")
    if out is not None and not Path(out).is_absolute():
        raise UserError(
            f"{out} would lie in the job's own folder, which Ray throws away",
            field="--out",
            expected=SHARED,
        )
    if name == "train":
        _check_training(params)
    files = tuple(_files(params))
    if name in DRAWING and not params.get("dry_run"):
        identity = _fingerprint(name, params)
    else:
        identity = hashlib.sha256(shlex.join(words).encode()).hexdigest()
    return Work(words, identity, str(out or ""), files)


def _parsed(words: tuple[str, ...]) -> Any:
    """The command with its flags, read by the command line's own parser and not run."""
    from serve.commands import app

    command: Any = typer.main.get_command(app)
    names: list[str] = []
    rest = list(words)
    while hasattr(command, "resolve_command"):
        if not rest or rest[0].startswith("-"):
            raise UserError("no command", field="--", expected="for example generate --count 64")
        context = command.context_class(command, info_name="retinaforge")
        _, command, rest = command.resolve_command(context, rest)
        names.append(command.name)
    if names[0] in NOT_JOBS:
        raise UserError(f"{names[0]} is no job", field="--", expected="a command that ends")
    return command.make_context(" ".join(names), rest)


def _check_training(params: Mapping[str, Any]) -> None:
    """Raise UserError for a preset that is none, and for a run that Ray would throw away."""
    from train.presets import PRESETS

    if params["preset"] not in PRESETS:
        raise UserError(
            unknown_name(params["preset"], tuple(PRESETS)),
            field="PRESET",
            expected=" ".join(PRESETS),
        )
    if params.get("out") is None:
        raise UserError("none is given", field="--out", expected=f"one: {SHARED}")


def _files(params: Mapping[str, Any]) -> Iterator[Path]:
    """Files named by relative paths, which travel; UserError for what must not or cannot travel."""
    for name, value in params.items():
        for each in value if isinstance(value, list | tuple) else (value,):
            text = isinstance(each, str) and name in ("model", "data", "images", "backend")
            if name == "out" or not (isinstance(each, Path) or text):
                continue
            if name == "backend" and not str(each).startswith("local:"):
                continue
            path = Path(str(each).removeprefix("local:")) if name == "backend" else Path(each)
            named = isinstance(each, str) and name == "model" and not path.exists()
            if path.is_absolute() or named:
                continue
            is_model = (path / "model_card.json").is_file()
            outside = not path.resolve().is_relative_to(Path.cwd().resolve())
            # A table of `--data` would travel without the photographs that it names.
            kept = name in ("reference", "data", "backend") or {"private"} & {*path.parts}
            if outside or kept or (path.is_dir() and not is_model):
                raise UserError(
                    f"{path} is not sent to a cluster", field=f"--{name}", expected=SHARED
                )
            if not path.exists():
                raise UserError(f"{path} is not there", field=f"--{name}", expected=SHARED)
            yield path


def _fingerprint(name: str, params: Mapping[str, Any]) -> str:
    """That of the plan which the flags stand for, made by the checks that the job itself makes."""
    known = {each.name for each in fields(DrawAsk)} - {"address"}
    given = {key: value for key, value in params.items() if key in known}
    if name == "phantom":
        given |= {"model": "phantom", "gates": "none"}
    schedule_of(params.get("workers"), params.get("batch"), None, params.get("needs"))
    ask = DrawAsk(**given, elsewhere=True)
    out, count = Path(params["out"]), params["count"]
    if out.is_dir():
        return plan_into(out, ask, count).plan.fingerprint
    # The folder's file system may be mounted on the cluster alone.
    check_count(out, count)
    return plan_drawing(ask).plan.fingerprint


def submit(client: Any, work: Work, tell: Callable[[str], None]) -> str:
    """Send the command unless its job runs already; the submission id."""
    while True:
        jobs = client.list_jobs()
        if running := _running(jobs, work):
            tell(f"job {running} is running already; attached")
            return running
        number = 1 + max(_numbers(jobs, work), default=0)
        name = work.identity if number == 1 else f"{work.identity}-{number}"
        with tempfile.TemporaryDirectory() as folder:
            _pack(work, Path(folder))
            try:
                client.submit_job(
                    entrypoint=work.entrypoint,
                    submission_id=name,
                    # The command only leads: it takes no processor, so a head without any runs it.
                    entrypoint_num_cpus=0,
                    runtime_env={"working_dir": folder},
                    metadata={"command": work.command, "out": work.out},
                )
            except RuntimeError as error:
                if "already exists" not in str(error):
                    raise
                continue  # Somebody was faster with the same command.
        tell(f"job {name} submitted")
        return name


def _running(jobs: Sequence[Any], work: Work) -> str | None:
    """The job that is at this command, by whatever name and however it was sent. Raises UserError
    for one that is at work in the same folder with other words.
    """
    busy = [each for each in jobs if str(each.status) in BUSY and each.submission_id]
    for each in busy:
        if each.entrypoint == work.entrypoint:
            return each.submission_id
    for each in busy:
        known = each.metadata or {}
        if work.out and known.get("out") == work.out:
            raise UserError(
                f"job {each.submission_id} is at work in {work.out} with other flags: "
                f"{known.get('command')}",
                field="--out",
                expected="to wait for its end, or `ray job stop` it first",
            )
    return None


def _numbers(jobs: Sequence[Any], work: Work) -> Iterator[int]:
    """Of the jobs of this identity so far."""
    for job in jobs:
        name, _, number = (job.submission_id or "").partition("-")
        if name == work.identity and (number or "1").isdigit():
            yield int(number or "1")


def _pack(work: Work, folder: Path) -> None:
    """The code, and the files that the command names, where it names them."""
    ignore = shutil.ignore_patterns(*NOT_SENT)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for path in work.files:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, ignore=ignore, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, target)


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
