"""Signals at random moments of a run of 400 rows, of what is done with it, and of training: exit
codes and a sentence as promised, nothing left behind, and in the end what an undisturbed run makes.

RETINAFORGE_SHOTS says how many, RETINAFORGE_SEED which.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.dataset
import pytest
from safetensors.torch import load_file
from shots import Range

from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_into
from engine.stages.outcome import Outcome, to_table
from engine.store.commits import Folder, take_attempt
from engine.store.parts import write_outcomes
from engine.store.plan import write_plan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
SHOTS = int(os.environ.get("RETINAFORGE_SHOTS", "3"))
SEED = int(os.environ.get("RETINAFORGE_SEED", "11"))
ORDER = ("generate", "train", "redrive", "export", "report", "verify")
A_STORY = 20
"""Shots before a story is told to its end, and the next begins."""
ROWS, DEAD, MODEL = 400, range(0, 400, 10), "null:10"


class Story:
    """A data set and a trained model, made by commands that go on from where they ended."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.eyes, self.exported, self.trained = root / "eyes", root / "exported", root / "run"
        generate = f"generate --model {MODEL} --count {ROWS} --workers 1 --out {self.eyes}"
        train = "train segmenter-debug --data phantom:4 --set data.phantoms=1 --set steps=12"
        train += f" --set checkpoint_every=4 --workers 1 --out {self.trained}"
        # What each says when it has come to its end by itself.
        self.commands = {
            "generate": (generate, 3),
            "redrive": (f"redrive {self.eyes} --workers 1", 0),
            "report": (f"report {self.eyes}", 0),
            "export": (f"export {self.eyes} --format imagefolder --out {self.exported}", 0),
            "verify": (f"verify {self.eyes}", 0),
            "train": (train, 0),
        }

    def begin(self) -> None:
        """A folder of 400 planned rows, of which some have failed in an earlier run."""
        shutil.rmtree(self.root, ignore_errors=True)
        plan = plan_into(self.eyes, DrawAsk(model=MODEL), ROWS).plan
        write_plan(self.eyes, plan)
        folder = Folder(self.eyes)
        folder.make()
        attempt = take_attempt(folder, ROWS)
        specs = [plan.recipe.spec(index, plan.fingerprint) for index in DEAD]
        letters = [Outcome(spec, stage="draw", reason="x", attempts=3) for spec in specs]
        write_outcomes(folder, attempt.number, plan.fingerprint, to_table(plan, letters, 0.1))

    def made(self) -> dict[str, object]:
        """Rows, exported files and weights."""
        rows = pyarrow.dataset.dataset(self.eyes / "parts").to_table().to_pylist()
        files = sorted(self.exported.rglob("*.webp"))
        weights = load_file(next(self.trained.rglob("model/*.safetensors")))
        return {
            "rows": sorted(rows, key=lambda row: row["index"]),
            "exported": {str(each.relative_to(self.exported)): each.read_bytes() for each in files},
            "weights": {name: tensor.numpy().tobytes() for name, tensor in weights.items()},
        }

    def litter(self) -> list[Path]:
        return [each for each in self.root.rglob("*") if ".tmp" in each.name]


@pytest.fixture
def field() -> Iterator[Range]:
    field = Range(SEED)
    yield field
    field.close()


def test_whatever_signal_comes_when_it_comes(tmp_path, field):
    usual = Story(tmp_path / "undisturbed")
    usual.begin()
    seconds = {}
    for name, (words, code) in usual.commands.items():
        ended, seconds[name], said = field.run(words.split())
        assert ended == code, said
    expected = usual.made()

    story, wrong = Story(tmp_path / "shot"), []
    targets = list(itertools.islice(itertools.cycle(ORDER), SHOTS))
    for start in range(0, SHOTS, A_STORY):
        story.begin()
        shots = Counter(targets[start : start + A_STORY])
        for name, (words, code) in story.commands.items():
            for _ in range(shots[name]):
                if name == "export":
                    shutil.rmtree(story.exported, ignore_errors=True)
                shot = field.shoot(words.split(), 1.1 * seconds[name])
                print(f"{name}, {shot.told}", flush=True)
                if problem := shot.wrong(code):
                    wrong.append(f"{problem}: {name}, {shot.told}")
            if name == "export":
                shutil.rmtree(story.exported, ignore_errors=True)
            ended, _, said = field.run(words.split())
            assert ended == code, f"{name}: {said}"
        made = story.made()
        for each, what in expected.items():
            assert made[each] == what, each
        assert story.litter() == []
    assert wrong == []
    assert list(field.temporary.iterdir()) == [], "folders of killed commands"
