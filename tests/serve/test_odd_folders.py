"""Whatever stands in a data set folder in the place of whatever file: every command ends, with an
exit code of the contract and a sentence.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.jobs import run as running
from engine.publish.card import write_card
from engine.publish.report import write_report
from engine.registry.null import NullSampler
from engine.schema import UserError
from engine.stages.draw import Draw
from engine.stages.outcome import Outcome, to_table
from engine.stages.watch import standing
from engine.store.commits import Folder, close_attempt, take_attempt
from engine.store.parts import write_outcomes
from engine.store.plan import Plan, write_plan
from engine.store.verify import missing_rows, verify
from serve.commands import app

ROWS = 12
DEEP = b"[" * 100_000

FILES = {
    "plan": "plan.json",
    "attempt": "attempts/000001.json",
    "closed": "attempts/000001.closed",
    "record": "commits/*.json",
    "part": "parts/*.parquet",
    "dead": "dead/*.parquet",
    "card": "README.md",
    "croissant": "croissant.json",
    "page": "report/index.html",
    "private": "private/*.parquet",
}
FOLDERS = ("attempts", "commits", "parts", "dead", "report", "report/images", "private")


def replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def fault(path: Path) -> None:
        path.unlink()
        make(path)

    return fault


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def mangled(find: bytes, put: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes().replace(find, put, 1)) and None


def huge(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(3 << 30)


FAULTS: dict[str, Callable[[Path], None]] = {
    "gone": Path.unlink,
    "empty": replaced(Path.touch),
    "cut": truncated,
    "a folder": replaced(lambda path: (path / "mine").mkdir(parents=True)),
    "a pipe": replaced(os.mkfifo),
    "a link to itself": replaced(lambda path: path.symlink_to(path)),
    "a link to nowhere": replaced(lambda path: path.symlink_to("/nowhere/at all")),
    "a device": replaced(lambda path: path.symlink_to("/dev/zero")),
    "a list": replaced(lambda path: path.write_text("[]")),
    "null": replaced(lambda path: path.write_text("null")),
    "deep": replaced(lambda path: path.write_bytes(DEEP)),
    "not text": replaced(lambda path: path.write_bytes(b"\xff\xfe\x00" * 50)),
    "NaN": mangled(b"1", b"NaN"),
    "minus": mangled(b":1", b":-1"),
    "out of range": mangled(b"1", b"1" * 400),
    "other type": mangled(b":", b': {"x": []}, "more":'),
    "larger than can be": huge,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder of twelve rows, one of them given up, with cards, report and something private."""
    from engine.jobs.asks import DrawAsk
    from engine.jobs.draw import plan_into

    root = tmp_path_factory.mktemp("odd") / "o"
    plan = plan_into(root, DrawAsk(model="null"), ROWS).plan
    write_plan(root, plan)
    folder = Folder(root)
    folder.make()
    number = take_attempt(folder, ROWS).number
    draw = Draw(plan, NullSampler(0))
    for start, stop in ((0, 6), (6, 11)):
        write_outcomes(folder, number, plan.fingerprint, draw.table([(start, stop)]))
    lost = Outcome(plan.recipe.spec(11, plan.fingerprint), stage="draw", reason="x", attempts=3)
    write_outcomes(folder, number, plan.fingerprint, to_table(plan, [lost], 0.1))
    (folder.root / "private").mkdir()
    (folder.root / "private" / "000001-x.parquet").write_bytes(b"who knows")
    write_card(folder, number, plan, ROWS, ROWS - 1, 1)
    close_attempt(folder, number)
    write_report(root)
    assert verify(root).exit_code == 3
    return root


@pytest.fixture
def odd(whole, tmp_path, monkeypatch):
    """A copy; runs draw what is missing in this process, without Ray."""

    def drawn(folder, work, attempt, schedule, tell):
        assert isinstance(work.plan, Plan)
        while missing := missing_rows(folder, attempt.count):
            table = Draw(work.plan, NullSampler(0)).table(missing)
            write_outcomes(folder, attempt.number, work.plan.fingerprint, table)
        return standing(folder)

    monkeypatch.setattr(running, "_make_missing", drawn)
    return Path(shutil.copytree(whole, tmp_path / "o"))


def code(*arguments: object) -> int:
    """The exit code, as `main` picks it; anything else that is raised is a traceback."""
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    error = done.exception
    if isinstance(error, UserError):
        assert str(error)
        return 2
    if isinstance(error, OSError) and error.errno:
        return 1
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return done.exit_code


def told(root: Path, tmp_path: Path) -> dict[str, int]:
    """Exit codes of every command; `again` is `verify` after the command that wrote the folder."""
    return {
        "verify": code("verify", root),
        "report": code("report", root, "--no-one-eye"),
        "export": code("export", root, "--format", "imagefolder", "--out", tmp_path / "x"),
        "generate": code("generate", "--count", ROWS, "--out", root),
        "redrive": code("redrive", root),
        "again": code("verify", root),
    }


IN_THE_WAY = "a folder"
"""It may hold what someone wants to keep: no run deletes it."""


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", FILES)
def test_every_command_ends_with_a_sentence(odd, tmp_path, kind, fault):
    path = next(odd.glob(FILES[kind]))
    before = path.read_bytes()
    FAULTS[fault](path)
    changed = not path.is_file() or path.read_bytes()[: 1 << 20] != before
    found = told(odd, tmp_path)
    assert all(each in (0, 1, 2, 3) for each in found.values()), found
    if kind in ("plan", "attempt"):
        # Without these nobody knows what the rows should be.
        assert not changed or found["verify"] in (1, 2), found
    elif kind in ("record", "part", "dead"):
        assert not changed or found["verify"] == 1, found
        mended = fault != IN_THE_WAY
        assert found["generate"] in ((0, 3) if mended else (2,)), found
        # A redrive voids dead letters, so what stands there in the place of one is past.
        assert found["again"] == (0 if mended or kind == "dead" else 1), found
    elif kind in ("card", "croissant") and fault != IN_THE_WAY:
        assert found["generate"] == 3, found
        assert found["again"] == 0, found
    elif kind == "page" and fault != IN_THE_WAY:
        assert found["report"] == 0, found


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_in_the_place_of_a_folder_is_told(odd, tmp_path, name):
    shutil.rmtree(odd / name)
    (odd / name).write_text("no folder")
    found = told(odd, tmp_path)
    assert all(each in (0, 1, 2, 3) for each in found.values()), found
    if name in ("attempts", "commits", "parts", "dead"):
        assert found["generate"] == 2, found
