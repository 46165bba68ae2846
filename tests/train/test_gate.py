"""The gate network's recipe: what is planted is true, samples are their position's alone, and a
finished folder judges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from engine import registry
from engine.data.discs import find_disc
from engine.data.planted import FAULTS, Shown, copy_of, disguise, move, spoil
from engine.features import Observer
from engine.gates.quality import QualityLimits, judge
from engine.phantom.render import draw
from engine.registry.gate import GateRef
from engine.schema import Annotation, UserError
from train.gate import build, nt_xent
from train.presets import PRESETS
from train.settings import override


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eyes")
    for seed in range(4):
        phantom = draw(Annotation(source="idrid"), seed, 160)
        Image.fromarray(phantom.image).save(folder / f"{seed}.png")
    return folder


@pytest.fixture(scope="module")
def recipe(data):
    return build(PRESETS["gate-debug"].settings, [str(data)])


@pytest.fixture(scope="module")
def phantom():
    return draw(Annotation(source="idrid"), 3, 192)


def centre(mask):
    rows, columns = np.nonzero(mask)
    return (columns.mean() + 0.5) / mask.shape[1], (rows.mean() + 0.5) / mask.shape[0]


def test_a_batch_is_its_positions_however_it_is_cut(recipe):
    whole = recipe.batch(range(8))
    halves = [recipe.batch(range(4)), recipe.batch(range(4, 8))]
    for name, tensor in whole.items():
        assert torch.equal(tensor, torch.cat([h[name] for h in halves])), name


def test_no_eye_is_twice_in_a_batch(recipe):
    for batch in range(6):
        eyes = [recipe._eye(batch * 4 + i) for i in range(4)]
        assert len(set(eyes)) == 4


def test_loss_is_small_where_views_of_an_eye_agree():
    apart = torch.eye(8)[:, None].expand(8, 2, 8)
    mixed = torch.stack([torch.eye(8), torch.eye(8).roll(1, 0)], 1)
    assert nt_xent(apart).max() < 0.01
    assert nt_xent(mixed).min() > 5


def test_the_disc_moves_with_the_picture(phantom):
    disc = centre(phantom.masks["disc"])
    shown = move(Shown(phantom.image, discs=(disc,)), 8, 1.1, (0.03, -0.02), True)
    mask = np.repeat(phantom.masks["disc"][..., None].astype(np.uint8) * 255, 3, 2)
    moved = move(Shown(mask), 8, 1.1, (0.03, -0.02), True).image[..., 0] > 127
    assert np.allclose(shown.discs[0], centre(moved), atol=0.01)


def test_faults_say_what_they_did(phantom):
    disc = centre(phantom.masks["disc"])
    shown = Shown(phantom.image, discs=(disc,))
    rng = np.random.default_rng(0)
    for kind in FAULTS:
        spoilt = spoil(kind, shown, rng)
        assert spoilt.image.shape == phantom.image.shape
        assert not np.array_equal(spoilt.image, phantom.image), kind
        assert spoilt.readable != (1, 1, 1, 1) or kind == "two discs"
    assert spoil("no disc", shown, rng).discs == ()
    assert len(spoil("two discs", shown, rng).discs) == 2
    with pytest.raises(ValueError, match="unknown"):
        spoil("no disc", Shown(phantom.image), rng)


def test_a_disguise_keeps_the_place_of_things():
    rng = np.random.default_rng(0)
    apart = []
    for seed in range(8):
        phantom = draw(Annotation(source="idrid"), seed, 256)
        assert copy_of(phantom.image, rng).shape == phantom.image.shape
        where = find_disc(disguise(phantom.image, rng))
        if where is not None:
            apart.append(np.hypot(*np.subtract(where, centre(phantom.masks["disc"]))))
    assert len(apart) >= 4, "where it is unsure it says so, and mostly it is sure"
    assert sum(a >= 0.08 for a in apart) <= 1, "a disc behind dense haze may be taken for another"


def test_micro_batches_are_refused(data):
    with pytest.raises(UserError, match="micro"):
        build(override(PRESETS["gate-debug"].settings, {"micro": "2"}), [str(data)])


def test_photographs_labelled_unreadable_set_no_limit(data, tmp_path):
    """They teach what unreadable looks like."""
    limits = []
    for name, more in (("good", ""), ("all", "black.png,train,0\n")):
        folder = tmp_path / name
        folder.mkdir()
        for file in data.glob("*.png"):
            (folder / file.name).write_bytes(file.read_bytes())
        Image.new("RGB", (160, 160), (3, 2, 1)).save(folder / "black.png")
        rows = "".join(f"{seed}.png,train,1\n" for seed in range(4))
        (folder / "eyes.csv").write_text(f"file,split,is_fundus\n{rows}{more}")
        torch.manual_seed(0)
        recipe = build(PRESETS["gate-debug"].settings, [str(folder / "eyes.csv")])
        recipe.export(folder / "model", {})
        limits.append(QualityLimits.read(folder / "model"))
    assert limits[0] == limits[1]
    assert limits[0].dark > 0.02


def test_where_nothing_is_readable_nothing_sets_limits(data, tmp_path):
    rows = "".join(f"{data}/{seed}.png,0\n" for seed in range(4))
    (tmp_path / "eyes.csv").write_text(f"file,is_fundus\n{rows}")
    with pytest.raises(UserError, match="no photograph is labelled readable"):
        build(PRESETS["gate-debug"].settings, [str(tmp_path / "eyes.csv")])


def test_a_finished_folder_judges(recipe, tmp_path, phantom):
    loss = recipe.module(recipe.batch(range(4)))["loss"]
    assert loss.shape == (4,)
    loss.mean().backward()
    recipe.export(tmp_path, {"preset": "gate-debug"})
    seen = Observer(registry.examine(GateRef, tmp_path).load()).look(phantom.image)
    assert np.linalg.norm(seen.features) == pytest.approx(1, abs=1e-3)
    _, score = judge(seen, Annotation(), QualityLimits.read(tmp_path))
    assert 0 < score <= 1
