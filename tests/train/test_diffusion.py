"""The diffusion recipe: a sample is its position's alone, and its folder loads again."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from discs import discs, settings

from engine import registry
from engine.diffusion.pipeline import RetinaForgePipeline, SampleSettings
from engine.models.card import CARD, hash_folder, read_card, write_card
from engine.models.folder import examine
from engine.models.naming import LIKENESSES
from engine.models.refiner import Refiner
from engine.registry import SamplerRef
from engine.schema import LABEL_NAMES, Annotation, UserError
from train import diffusion
from train.census import census
from train.presets import PRESETS


@pytest.fixture
def photographs(tmp_path) -> Path:
    return discs(tmp_path)


@pytest.fixture
def recipe(photographs, tmp_path):
    return diffusion.build(settings("diffusion-debug", tmp_path), [str(photographs)])


def test_a_batch_is_its_positions_however_it_is_cut(recipe):
    whole = recipe.batch(range(8))
    halves = [recipe.batch(range(4)), recipe.batch(range(4, 8))]
    for name in ("latents", "noise", "times", "labels"):
        assert torch.equal(whole[name], torch.cat([h[name] for h in halves])), name
    assert not torch.equal(whole["noise"][0], whole["noise"][1])


def test_loss_of_a_row_does_not_depend_on_its_neighbours_padding(recipe):
    torch.manual_seed(0)
    for parameter in recipe.module.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    whole = recipe.module(recipe.batch(range(6)))["loss"]
    alone = torch.cat([recipe.module(recipe.batch([p]))["loss"] for p in range(6)])
    assert torch.allclose(whole, alone, atol=1e-5)


def test_every_eye_comes_once_an_epoch_in_another_order(recipe):
    epochs = [[recipe._eye(e * 4 + i) for i in range(4)] for e in range(6)]
    assert all(sorted(epoch) == [0, 1, 2, 3] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_the_held_out_eye_does_not_teach(recipe):
    assert "5.png" not in {e.example.path.name for e in recipe._train}
    assert [e.example.path.name for e in recipe._held_out] == ["5.png"]


def test_what_is_held_out_is_the_same_each_time_and_teaches_nothing(recipe):
    batches = list(recipe.held_out())
    assert [float(batch["times"][0]) for batch in batches] == pytest.approx(
        [0.1, 0.3, 0.5, 0.7, 0.9]
    )
    taught = recipe.batch(range(4))
    assert {name: each.dtype for name, each in batches[0].items()} == {
        name: each.dtype for name, each in taught.items()
    }
    assert len({float(batch["noise"].sum()) for batch in batches}) == 5
    again = list(recipe.held_out())
    assert all(torch.equal(b[name], a[name]) for a, b in zip(again, batches) for name in a)


def test_no_photograph_held_out_is_told_before_any_is_read(tmp_path):
    how = settings("diffusion-debug", tmp_path, held_out_every=5)
    with pytest.raises(UserError, match=r"held_out_every: .* as no photograph is held out"):
        diffusion.DiffusionRecipe(how, ["phantom:3"])


def test_captions_speak_at_random_of_what_no_photograph_knows(recipe):
    assert set(recipe._untaught) == set(LABEL_NAMES) - {"dr_grade", "eye_side"}
    rng = random.Random(0)
    worded = [recipe._with_untaught(Annotation(dr_grade=3), rng) for _ in range(200)]
    assert all(a.dr_grade == 3 and a.eye_side is None for a in worded)
    assert {a.is_gc for a in worded} == {None, 0, 1}


def test_export_is_a_pipeline_folder_bound_to_its_card(recipe, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    recipe.export(
        folder, {"preset": "diffusion-debug", "steps": 3, "scores": recipe.score(few=True)}
    )
    card = json.loads((folder / CARD).read_text())
    assert card["steps"] == 3
    assert card["weights_sha256"] == hash_folder(folder)
    of = {"photographs": 5, "eyes": 4, "sources": {"clinic": 5}, "phantoms": 0}
    of |= {"synthetic": 0, "drawn_by": {}}
    assert card["data"] == of
    assert card["real_examples_per_label"]["dr_grade"] == 5
    assert card["real_examples_per_label"]["eye_side"] == 4
    assert len(set(card["image_hashes"])) == 5
    assert len((folder / LIKENESSES).read_text().split()) == 5
    assert set(card["scores"]) == {
        f"loss_{eyes}{given}" for eyes in ("held_out", "train") for given in ("", "_given_geometry")
    }
    loaded = RetinaForgePipeline.from_pretrained(folder, dtype=torch.float32)
    image = loaded.sample([""], [Annotation(dr_grade=1)], [3], SampleSettings(size=64, steps=2))
    assert image.shape == (1, 64, 64, 3)


def test_phantoms_teach_beside_photographs_and_are_counted_apart(photographs, tmp_path):
    how = settings("diffusion-debug", tmp_path, data__phantoms=0.5)
    recipe = diffusion.build(how, [str(photographs), "phantom:3"])
    sources = [recipe.module.label_encoder.config.sources[i] for i in (0, 1)]
    assert sources == ["clinic", "phantom"]
    seen = recipe.batch(range(24))["labels"][:, -1].tolist()
    assert {0, 1} <= set(seen)
    told = census(list(recipe._encoded), 64)
    assert (told["data"]["photographs"], told["data"]["phantoms"]) == (5, 3)
    assert told["real_examples_per_label"]["is_pm"] == 0
    assert told["phantom_examples_per_label"]["is_pm"] == 3


def test_a_refiner_goes_into_the_folder_and_stays_in_what_goes_on_from_it(photographs, tmp_path):
    refiner, model = tmp_path / "refiner", tmp_path / "model"
    Refiner(widths=(8, 8), fine=4, size=64, sources=("one",)).save_pretrained(refiner)
    write_card(refiner, {})
    table = [str(photographs)]
    with_it = settings("diffusion-debug", tmp_path, model__refiner=str(refiner))
    model.mkdir()
    diffusion.build(with_it, table).export(model, {})
    assert examine(model).takes_geometry
    again = diffusion.build(settings("diffusion-debug", tmp_path, init=model), table).pipeline()
    ours = Refiner.from_pretrained(refiner).state_dict()
    for name, weight in again.refiner.state_dict().items():
        assert torch.allclose(weight.float(), ours[name], atol=1e-3), name
    wrong = settings("diffusion-debug", tmp_path, model__refiner="segmenter")
    with pytest.raises(UserError, match="segmenter"):
        diffusion.build(wrong, table).pipeline()


def test_going_on_from_a_finished_folder_keeps_its_weights(recipe, photographs, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    with torch.no_grad():
        for parameter in recipe.module.parameters():
            parameter.add_(0.25)
    recipe.export(folder, {})
    again = diffusion.build(settings("diffusion-debug", tmp_path, init=folder), [str(photographs)])
    (tmp_path / "child").mkdir()
    again.export(tmp_path / "child", {})
    configs = [p.read_text() for p in (tmp_path / "child").rglob("*.json")]
    assert not any(str(tmp_path) in text for text in configs), (
        "a model folder names no machine's path"
    )
    ours, theirs = recipe.module.state_dict(), again.module.state_dict()
    assert all(torch.allclose(ours[k], theirs[k], atol=2e-3) for k in ours)
    assert again.module.spread == recipe.module.spread
    plain = json.loads((folder / "model_index.json").read_text())
    del plain["latent_spread"]
    (folder / "model_index.json").write_text(json.dumps(plain))
    write_card(folder, read_card(folder))
    older = diffusion.build(settings("diffusion-debug", tmp_path, init=folder), [str(photographs)])
    assert older.module.spread is None, "a model that predicts velocities goes on doing so"


def test_a_folder_remembers_where_it_learned_positions(recipe, photographs, tmp_path):
    first, grown = tmp_path / "first", tmp_path / "grown"
    for folder in (first, grown):
        folder.mkdir()
    with torch.no_grad():
        for parameter in recipe.module.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
    recipe.export(first, {})
    larger = settings("diffusion-debug", tmp_path, init=first, data__size=128)
    again = diffusion.build(larger, [str(photographs)])
    again.export(grown, {})
    ref = registry.find(SamplerRef, str(grown))
    assert (ref.size, again.module.native_side) == (128, 4)
    assert ref.flops_per_step == 4 * registry.find(SamplerRef, str(first)).flops_per_step

    def drawn(folder, size):
        loaded = RetinaForgePipeline.from_pretrained(folder, dtype=torch.float32)
        return loaded.sample([""], [Annotation()], [3], SampleSettings(size=size, steps=2))

    # Nothing was learned since, so what differs would be how it is called.
    assert all((drawn(first, size) == drawn(grown, size)).all() for size in (64, 128))
    older = json.loads((first / "model_index.json").read_text())
    del older["native_side"]
    (first / "model_index.json").write_text(json.dumps(older))
    write_card(first, read_card(first))
    assert (drawn(first, 64) == drawn(grown, 64)).all()
    assert not (drawn(first, 128) == drawn(grown, 128)).all(), "an older folder draws as it did"
    assert diffusion.build(larger, [str(photographs)]).module.native_side == 4, "its card tells"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("diffusion-debug", {"data__size": 17}),
        ("diffusion-debug", {"data__variants": 0}),
        ("diffusion-debug", {"model__preset": "nope"}),
        ("autoencoder-debug", {"data__crop": 40}),
        ("autoencoder-debug", {"model__preset": "nope"}),
        ("text-debug", {"data__vocabulary": 10}),
    ],
)
def test_a_recipes_own_settings_are_checked(photographs, name, changes):
    field = next(iter(changes)).replace("__", ".")
    with pytest.raises(UserError, match=field):
        PRESETS[name].build(settings(name, **changes), [str(photographs)])


def test_the_hash_of_a_folder_covers_all_that_decides_pixels(recipe, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    recipe.export(folder, {})
    before = hash_folder(folder)
    for name in ("vae/config.json", "tokenizer/tokenizer.json", "label_encoder/config.json"):
        path = folder / name
        original = path.read_bytes()
        path.write_bytes(original + b" ")
        assert hash_folder(folder) != before, name
        path.write_bytes(original)
    (folder / "private" / "more.json").write_text("{}")
    assert hash_folder(folder) == before


def test_no_readable_photograph_is_the_users_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(
        UserError, match=r"0 readable training photographs: 1 of 1 .* left out: .*a.png"
    ):
        diffusion.build(settings("diffusion-debug", tmp_path), [str(tmp_path)])
