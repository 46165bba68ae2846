"""A command of ours made ready to run on a cluster: checked here, with the code and the files that
it needs.

What leaves this machine is the four code folders and the files that the command names: never a data
set folder, never what lies in `private`. What a command names it has declared (`serve.declared`).
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.models.card import CARD
from engine.schema import UserError
from engine.stages.code import PACKAGES, ROOT
from serve.declared import Reads, Writes, as_job, parameters
from serve.wording import speaking

NOT_SENT = ("__pycache__", "*.pyc", "private")
PROGRAM = ("python", "-m", "serve.cli")
SHARED = "an absolute path on a file system that all nodes share"


@dataclass(frozen=True)
class Submission:
    """A checked command. `identity` is what the job is known by, `out` the folder that it writes,
    `files` what it reads from beside the code, relative to where the command was given.
    """

    words: tuple[str, ...]
    identity: str
    out: str
    files: tuple[Path, ...]

    @property
    def command(self) -> str:
        """The command as it was given."""
        return shlex.join(self.words)

    @property
    def entrypoint(self) -> str:
        """What the cluster runs."""
        return shlex.join([*PROGRAM, *self.words])

    def pack(self, folder: Path) -> None:
        """Put the code, and the files that the command names, where it names them."""
        ignore = shutil.ignore_patterns(*NOT_SENT)
        for name in PACKAGES:
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        for path in self.files:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, target, ignore=ignore, dirs_exist_ok=True)
            else:
                shutil.copyfile(path, target)


def checked(root: Any, words: Sequence[str]) -> Submission:
    """A command of the command line `root`, with every mistake found that can be found without the
    cluster.

    Raises UserError, or click's own error for flags that do not exist.
    """
    words = tuple(words)[1 if [*words[:1]] == ["retinaforge"] else 0 :]
    context = parsed(root, words)
    command, params = context.command, context.params
    with speaking(command):
        if params.get("address") is not None:
            raise UserError(
                "the job finds its own cluster", asked="address", expected="no such flag"
            )
        files = tuple(_files(command, params))
        name = as_job(command).check(params)
    identity = name or hashlib.sha256(shlex.join(words).encode()).hexdigest()
    return Submission(words, identity, str(params.get("out") or ""), files)


def parsed(root: Any, words: Sequence[str]) -> Any:
    """The context of a command with its flags, read by the command line's own parser and not run.
    Raises UserError for what no cluster runs."""
    command, rest = root, [*words]
    while hasattr(command, "resolve_command"):
        if not rest or rest[0].startswith("-"):
            raise UserError("no command", field="--", expected="for example generate --count 64")
        context = command.context_class(command, info_name="retinaforge")
        _, command, rest = command.resolve_command(context, rest)
    if never := as_job(command).never:
        raise UserError(f"{command.name} is no job: {never}", field="--", expected="another one")
    return command.make_context(command.name, rest)


def _files(command: Any, params: Mapping[str, Any]) -> Iterator[Path]:
    """What travels; UserError for what must not or cannot, and for what Ray would throw away."""
    for name, declared in parameters(command).items():
        for each in declared:
            if isinstance(each, Writes):
                _check_written(each, name, params)
            else:
                yield from _sent(each, name, params[name])


def _check_written(declared: Writes, name: str, params: Mapping[str, Any]) -> None:
    if declared.always and params[name] is None:
        raise UserError("none is given", asked=name, expected=f"one: {SHARED}")
    named = params[declared.into or name] if params[name] else None
    for path in _paths(declared, named):
        code = any(path.resolve().is_relative_to(ROOT / each) for each in PACKAGES)
        if code or not path.is_absolute():
            raise UserError(
                f"{path} would lie in the job's own folder, which Ray throws away",
                asked=name,
                expected=SHARED,
            )


def _sent(declared: Reads, name: str, value: Any) -> Iterator[Path]:
    for path in _paths(declared, value):
        if path.is_absolute():
            continue
        outside = not path.resolve().is_relative_to(Path.cwd().resolve())
        folder = path.is_dir() and not (path / CARD).is_file()
        if outside or folder or not declared.sent or "private" in path.parts:
            raise UserError(f"{path} is not sent to a cluster", asked=name, expected=SHARED)
        if not path.exists():
            raise UserError(f"{path} is not there", asked=name, expected=SHARED)
        yield path


def _paths(declared: Reads | Writes, value: Any) -> Iterator[Path]:
    """The paths that a parameter's value names, or each of its values."""
    for each in value if isinstance(value, list | tuple) else (value,):
        if each is not None and (path := declared.of(str(each))):
            yield Path(path).expanduser()
