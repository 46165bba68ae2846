"""Couples of a teacher: what they are, that they are made once, and that they are whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine import registry, shipped
from engine.diffusion.pipeline import RetinaForgePipeline
from engine.registry.diffusion import PipelineRef
from engine.schema import Annotation
from train.couples import SHARD, Couples, Teaching

DEBUG = shipped.folder_of("debug")


@pytest.fixture(scope="module")
def teacher() -> RetinaForgePipeline:
    return RetinaForgePipeline.from_pretrained(DEBUG, dtype=torch.float32, local_files_only=True)


@pytest.fixture(scope="module")
def teaching() -> Teaching:
    sha256 = registry.find(PipelineRef, "debug").weights_sha256
    return Teaching(sha256, 3, 2.0, 0.4, (64, 32), 0, ("idrid", "hrf"))


@pytest.fixture(scope="module")
def made(teacher, teaching, tmp_path_factory) -> Couples:
    couples = Couples(tmp_path_factory.mktemp("cache"), teaching)
    couples.make(teacher, DEBUG, 2, lambda line: None)
    return couples


def test_a_couple_is_where_the_teacher_begins_and_where_it_ends(made, teacher, teaching):
    from engine.diffusion.pipeline import SampleSettings
    from engine.models.grounds import PhantomGeometry, stacked

    annotation, words, seed = teaching.asked(3)
    row = made.row(0, 3)
    assert (row["annotation"], row["caption"]) == (annotation, words)
    given = stacked([PhantomGeometry().ground(annotation, seed, 64, True)], False, True)
    how = SampleSettings(size=64, steps=3, guidance=2.0, t0=0.4)
    ended = teacher.drawn([words], [annotation], [seed], how, **given)[0]
    torch.testing.assert_close(row["ended"], ended, atol=2e-2, rtol=1e-2)
    begin = teacher.begin(given["start"], 0.4).latents
    begun = (0.4 * begin + 0.6 * teacher.noise([seed], 64))[0]
    torch.testing.assert_close(row["begun"], begun, atol=5e-3, rtol=1e-3)
    assert row["geometry"] is None


def test_files_have_the_sizes_by_turns(made):
    assert made.row(0, 0)["begun"].shape == (8, 4, 4)
    assert made.row(1, SHARD - 1)["ended"].shape == (8, 2, 2)


def test_what_is_there_is_not_made_again_and_what_was_cut_short_is(made, teacher):
    before = {shard: made.file(shard).stat().st_mtime_ns for shard in range(2)}
    whole = made.file(1).read_bytes()
    made.file(1).unlink()
    said: list[str] = []
    made.make(teacher, DEBUG, 2, said.append)
    assert made.file(0).stat().st_mtime_ns == before[0]
    assert made.file(1).read_bytes() == whole
    assert said == ["drew couple 16 of 16"]
    assert {each.suffix for each in made.folder.iterdir()} == {".safetensors"}


@pytest.mark.parametrize(
    "change",
    [{"teacher": "0" * 64}, {"steps": 4}, {"guidance": 1.0}, {"t0": 0.5}, {"sizes": (64,)}],
)
def test_another_teaching_has_other_couples(made, teaching, tmp_path, change):
    other = Couples(made.folder.parent, replace(teaching, **change))
    assert other.folder != made.folder
    assert Couples(tmp_path, teaching).folder.name == made.folder.name


def test_rows_are_of_every_kind(teaching):
    asked = [teaching.asked(number) for number in range(300)]
    assert asked == [teaching.asked(number) for number in range(300)]
    assert {each.source for each, _, _ in asked} == {"idrid", "hrf", None}
    assert 20 < sum(not words for _, words, _ in asked) < 80
    known = {name for each, _, _ in asked for name in each.known()}
    assert known >= set(Annotation().labels())
    assert len({seed for _, _, seed in asked}) == 300
