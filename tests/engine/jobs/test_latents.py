"""Latents are made once, by whoever comes first, and then only read: on any number of workers the
same bytes, and after any crash only what is still lacking."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from engine.data.example import Example
from engine.data.latents import LatentSettings
from engine.data.phantoms import phantom_examples
from engine.data.sources import read_examples
from engine.jobs.latents import bring_up
from engine.jobs.run import Schedule
from engine.jobs.works import work_in
from engine.models.segmenter import Segmenter
from engine.schema import Annotation, UserError
from engine.stages.failure import RunError
from engine.store.place import StaleAttempt
from engine.store.plan import read_any_plan
from engine.store.verify import verify
from tests.encoding import PLAIN, ask_for, encoded, files, rows_below, set_folders

LABELS = Path(__file__).resolve().parents[4] / "shared/data/labels.csv"


@pytest.fixture
def eyes(tmp_path) -> list[Example]:
    return files(tmp_path / "eyes", 5)


@pytest.fixture
def made(monkeypatch):
    """The photographs that were encoded, in order."""
    seen, real = [], Example.picture

    def picture(self):
        seen.append(self.path.name)
        return real(self)

    monkeypatch.setattr(Example, "picture", picture)
    return seen


def test_latents_are_made_once_and_shared_by_whoever_wants_them(tmp_path, eyes, made, monkeypatch):
    kept, told = encoded(ask_for(tmp_path / "cache", eyes))
    assert (len(made), kept.refused) == (5, ())
    assert (told[-1].committed, told[-1].planned) == (5, 5)
    made.clear()
    again, told = encoded(ask_for(tmp_path / "cache", list(reversed(eyes))))
    assert (made, told) == ([], [])
    assert again.spots == tuple(reversed(kept.spots))
    encoded_eyes = [each.example for each in again.of(list(reversed(eyes)))]
    assert [each.path for each in encoded_eyes] == [each.path for each in reversed(eyes)]
    monkeypatch.setattr("engine.data.example.maker_of", lambda _: 1 / 0)
    assert not any(each.synthetic for each in encoded_eyes)
    assert verify(set_folders(tmp_path / "cache")[0]).exit_code == 0


def test_a_run_with_more_photographs_adds_those_alone(tmp_path, eyes, made):
    encoded(ask_for(tmp_path / "cache", eyes[:3]))
    made.clear()
    more = [*eyes, *phantom_examples("phantom:2")]
    kept, _ = encoded(ask_for(tmp_path / "cache", more))
    assert sorted(made) == ["eye_03.jpg", "eye_04.jpg"]
    assert all(kept.spots)
    assert len(set_folders(tmp_path / "cache")) == 2
    assert len({spot.variant(0).latent.sum() for spot in kept.spots}) == 7


def test_two_names_of_one_photograph_are_encoded_once(tmp_path, eyes, made):
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(eyes[0].path.read_bytes())
    kept, _ = encoded(ask_for(tmp_path / "cache", [eyes[0], Example(copy, Annotation())]))
    assert (len(made), kept.spots[0]) == (1, kept.spots[1])


def test_other_settings_and_weights_never_share(tmp_path, eyes):
    ask = ask_for(tmp_path / "cache", eyes[:1])
    torch.manual_seed(1)
    other = Segmenter(features=(8, 8, 8, 8, 8, 8)).eval()
    asks = [
        ask,
        ask_for(tmp_path / "cache", eyes[:1], LatentSettings(96, 2)),
        ask_for(tmp_path / "cache", eyes[:1], LatentSettings(64, 1, 0.0)),
        ask_for(tmp_path / "cache", eyes[:1], outlined=False),
        replace(ask, segmenter=other, geometry=type(ask.geometry)(other, ask.encode)),
    ]
    kept = [encoded(each)[0] for each in asks]
    assert len({each.spots[0] for each in kept}) == 5
    assert kept[3].spots[0].variant(0).geometry is None
    assert kept[1].spots[0].variant(1).latent.shape == (8, 6, 6)
    # A shelf is of its weights: three settings on one of them.
    assert len({path.parent for path in set_folders(tmp_path / "cache")}) == 3


def test_a_photograph_that_is_none_is_refused_by_every_name_and_not_tried_again(
    tmp_path, eyes, made
):
    eyes[1].path.write_bytes(b"broken")
    alike = tmp_path / "alike.jpg"
    alike.write_bytes(b"broken")
    asked = [*eyes, Example(tmp_path / "gone.jpg", Annotation())]
    kept, told = encoded(ask_for(tmp_path / "cache", asked))
    assert [bool(spot) for spot in kept.spots] == [True, False, True, True, True, False]
    assert (told[-1].dead, len(kept.refused)) == (1, 2)
    assert f"{eyes[1].path}: " in kept.refused[0]
    assert "gone.jpg: No such file" in kept.refused[1]
    made.clear()
    again, told = encoded(ask_for(tmp_path / "cache", [Example(alike, Annotation()), *eyes[2:]]))
    assert (made, told) == ([], [])
    assert again.refused[0].startswith(f"{alike}: ")


def test_a_part_that_was_cut_is_made_again(tmp_path, eyes, made):
    kept, _ = encoded(ask_for(tmp_path / "cache", eyes), part_rows=2)
    before = rows_below(tmp_path / "cache")
    part = Path(kept.spots[0].part)
    with part.open("r+b") as file:
        file.truncate(part.stat().st_size - 9)
    made.clear()
    encoded(ask_for(tmp_path / "cache", eyes))
    assert len(made) in (1, 2)
    assert rows_below(tmp_path / "cache") == before
    assert len(set_folders(tmp_path / "cache")) == 1


def test_a_run_that_broke_is_gone_on_with(tmp_path, eyes, made, monkeypatch):
    from engine.stages import latents as stage

    real, left = stage.encode_example, [3]

    def run_out(*args):
        left[0] -= 1
        if left[0] < 0:
            raise MemoryError("no room")
        return real(*args)

    monkeypatch.setattr(stage, "encode_example", run_out)
    with pytest.raises(MemoryError):
        encoded(ask_for(tmp_path / "cache", eyes), part_rows=1)
    monkeypatch.setattr(stage, "encode_example", real)
    made.clear()
    kept, _ = encoded(ask_for(tmp_path / "cache", eyes))
    assert len(made) == 2
    assert all(kept.spots)
    (root,) = set_folders(tmp_path / "cache")
    assert verify(root).exit_code == 0


def test_what_a_broken_run_wanted_and_nobody_has_any_more_stops_no_other(
    tmp_path, eyes, monkeypatch
):
    from engine.stages import latents as stage

    with monkeypatch.context() as patch:
        patch.setattr(stage, "encode_example", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            encoded(ask_for(tmp_path / "cache", eyes))
    eyes[0].path.unlink()
    kept, _ = encoded(ask_for(tmp_path / "cache", eyes))
    assert [bool(spot) for spot in kept.spots] == [False, True, True, True, True]
    assert len(set_folders(tmp_path / "cache")) == 2


def test_a_newer_run_takes_a_set_over_and_the_older_one_says_so(tmp_path, eyes, monkeypatch):
    from engine.jobs import latents

    def stale(*_):
        raise StaleAttempt("attempt 1 is over")

    ask = ask_for(tmp_path / "cache", eyes)
    monkeypatch.setattr("engine.jobs.run.write_outcomes", stale)
    with pytest.raises(RunError, match="leaves the folder to the newer one"):
        latents.bring_up(ask, Schedule(workers=0), lambda _: None)


def test_of_runs_that_start_together_one_encodes_and_the_others_wait(tmp_path, eyes, made):
    asks, found, waited = [ask_for(tmp_path / "cache", eyes) for _ in range(3)], [], []

    def run(ask):
        found.append(bring_up(ask, Schedule(workers=0), lambda _: None, lambda: waited.append(1)))

    threads = [threading.Thread(target=run, args=(ask,)) for ask in asks]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(made) == 5
    assert {each.spots for each in found} == {found[0].spots}
    assert len(waited) <= 2


def test_a_set_of_latents_is_no_data_set(tmp_path, eyes):
    encoded(ask_for(tmp_path / "cache", eyes[:1]))
    (root,) = set_folders(tmp_path / "cache")
    for reading in (read_any_plan, lambda path: read_examples([str(path)])):
        with pytest.raises(UserError, match="holds latents of photographs"):
            reading(root)
    work = work_in(root, None)
    assert (work.plan.kind, work.plan.photographs) == ("latents", 1)
    assert {path.name for path in root.iterdir()} == {
        *("plan.json", "attempts", "commits", "parts", "dead"),
        next(root.glob("examples-*")).name,
    }


def test_a_disk_that_refuses_is_told_as_the_cache(tmp_path, eyes):
    ask = ask_for(tmp_path / "cache", eyes)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"data\.cache: the cache of encoded photographs cannot"):
        encoded(replace(ask, cache=tmp_path / "file"))


def real_eyes(count: int) -> list[Example]:
    if not LABELS.exists():
        pytest.skip("no photographs in ../shared/data")
    return read_examples([str(LABELS)])[:count]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_bytes_are_the_same_on_any_number_of_workers(tmp_path):
    examples = [*real_eyes(36), *phantom_examples("phantom:4")]
    rows = []
    for workers in (0, 1, 2):
        below = tmp_path / str(workers)
        kept, _ = encoded(ask_for(below, examples, PLAIN), workers=workers)
        assert len(kept.of(examples)) == 40
        assert all(verify(root).exit_code == 0 for root in set_folders(below))
        rows.append(rows_below(below))
    assert rows[0] == rows[1] == rows[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_driver_that_is_killed_costs_what_was_not_committed(tmp_path, workers, made):
    examples = real_eyes(60)
    code = (
        "from tests.encoding import *; from tests.engine.jobs.test_latents import *; import sys\n"
        f"encoded(ask_for(Path({str(tmp_path / 'cache')!r}), real_eyes(60)), "
        f"workers={workers}, part_rows=4)"
    )
    run = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    below = psutil.Process(run.pid)
    end = time.monotonic() + 200
    while not list((tmp_path / "cache").glob("*/*/commits/*.json")):
        assert run.poll() is None, "it ended before it was killed"
        assert time.monotonic() < end
        time.sleep(0.02)
    everybody = [below, *below.children(recursive=True)]
    os.killpg(run.pid, signal.SIGKILL)
    for each in everybody:
        if each.is_running():
            each.kill()
    run.wait()
    before = {each["key"] for each in rows_below_committed(tmp_path / "cache")}
    assert 0 < len(before) < 60
    kept, _ = encoded(ask_for(tmp_path / "cache", examples))
    assert all(kept.spots)
    assert len(made) == len({spot.key for spot in kept.spots}) - len(before)
    (root,) = set_folders(tmp_path / "cache")
    assert verify(root).exit_code == 0


def rows_below_committed(below: Path) -> list[dict]:
    named = {record.stem for record in below.glob("*/*/commits/*.json")}
    for part in below.glob("*/*/parts/*.parquet"):
        if part.stem not in named:
            part.unlink()
    return rows_below(below)
