"""Recipes: a sample is its position's alone, labels stay true, and folders load again."""

from __future__ import annotations

import csv
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderDC
from PIL import Image
from transformers import BertModel, PreTrainedTokenizerFast

from engine.diffusion.pipeline import RetinaForgePipeline, SampleSettings
from engine.models.card import CARD, hash_folder, read_card, write_card
from engine.prose.mirror import mirror
from engine.prose.parse import parse
from engine.schema import LABEL_NAMES, Annotation, UserError
from train import autoencoder, diffusion, frozen, text
from train.census import census
from train.conditions import as_seen, hide
from train.presets import PRESETS
from train.settings import override

COLOURS = [(150, 70, 30), (120, 50, 20), (170, 90, 40), (140, 60, 50), (100, 60, 20), (160, 80, 20)]


@pytest.fixture
def photographs(tmp_path) -> Path:
    """Six coloured discs with a bright spot, two of them of one eye, one held out."""
    rows = []
    y, x = np.mgrid[:96, :128]
    for i, colour in enumerate(COLOURS):
        image = np.zeros((96, 128, 3), np.uint8)
        image[(x - 64) ** 2 + (y - 48) ** 2 < 46**2] = colour
        image[(x - 40 - 5 * i) ** 2 + (y - 48) ** 2 < 60] = (250, 220, 120)
        Image.fromarray(image).save(tmp_path / f"{i}.png")
        rows.append(
            {
                "file": f"{i}.png",
                "split": "test" if i == 5 else "train",
                "patient_id": f"eye{max(i, 1)}",
                "source": "clinic",
                "dr_grade": i % 5,
                "eye_side": "" if i == 2 else i % 2,
            }
        )
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path / "labels.csv"


def settings(name, tmp_path=None, **changes):
    changes = {k.replace("__", "."): str(v) for k, v in changes.items()}
    if tmp_path and name.startswith("diffusion"):
        changes.setdefault("data.cache", str(tmp_path / "cache"))
    return override(PRESETS[name].settings, changes)


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


def test_captions_speak_at_random_of_what_no_photograph_knows(recipe):
    assert set(recipe._untaught) == set(LABEL_NAMES) - {"dr_grade", "eye_side"}
    rng = random.Random(0)
    worded = [recipe._with_untaught(Annotation(dr_grade=3), rng) for _ in range(200)]
    assert all(a.dr_grade == 3 and a.eye_side is None for a in worded)
    assert {a.is_gc for a in worded} == {None, 0, 1}


def test_a_mirrored_eye_changes_sides(recipe):
    for encoded in recipe._train:
        for mirrored in (False, True):
            seen, _ = as_seen(encoded.example, mirrored)
            side = encoded.example.annotation.eye_side
            expected = side if side is None or not mirrored else 1 - side
            assert seen.eye_side == expected


@pytest.mark.parametrize(
    ("said", "mirrored"),
    [
        ("Left eye, disc on the left.", "Right eye, disc on the right."),
        ("OD: nasal to the disc, superior arcade", "OS: nasal to the disc, superior arcade"),
        ("right-eye RIGHT", "left-eye LEFT"),
        ("The bright foveal reflex is leftover", "The bright foveal reflex is leftover"),
    ],
)
def test_mirroring_words_swaps_sides_only(said, mirrored):
    assert mirror(said) == mirrored
    assert mirror(mirror(said)) == said


def test_conditions_are_hidden_in_every_combination():
    full = Annotation(**dict.fromkeys(LABEL_NAMES, 1), source="clinic")
    rng = random.Random(0)
    seen = [hide(full, "words", [rng.random() for _ in range(32)]) for _ in range(2000)]
    text_only = sum(bool(t) and not a.known() for a, t in seen)
    labels_only = sum(not t and bool(a.known()) for a, t in seen)
    neither = sum(not t and not a.known() for a, t in seen)
    assert min(text_only, labels_only, neither) > 100
    assert sum(a.source is None for a, _ in seen) > 100
    assert all(a.source == "clinic" or a.source is None for a, _ in seen)


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
    assert set(card["scores"]) == {
        f"loss_{eyes}{given}" for eyes in ("held_out", "train") for given in ("", "_given_geometry")
    }
    loaded = RetinaForgePipeline.from_pretrained(folder, torch_dtype=torch.float32)
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


def test_a_base_without_a_card_is_not_waited_for_either(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(UserError, match="is no file"):
        frozen.folder_of(str(tmp_path))


def test_no_readable_photograph_is_the_users_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(
        UserError, match=r"0 readable training photographs: 1 of 1 .* left out: .*a.png"
    ):
        diffusion.build(settings("diffusion-debug", tmp_path), [str(tmp_path)])


def test_the_autoencoder_improves_on_its_components(photographs, tmp_path):
    recipe = autoencoder.build(settings("autoencoder-debug"), [str(photographs)])
    optimizer = torch.optim.AdamW(
        [p for p in recipe.module.parameters() if p.requires_grad], lr=1e-3
    )
    losses = []
    for step in range(30):
        optimizer.zero_grad()
        loss = recipe.module(recipe.batch(range(4 * step, 4 * step + 4)))["loss"].mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert sum(losses[-8:]) < sum(losses[:8])
    folder = tmp_path / "vae"
    folder.mkdir()
    recipe.export(folder, {})
    assert AutoencoderDC.from_pretrained(folder / "vae").config.latent_channels == 8
    assert recipe.sheet().size == (64, 128)


def test_text_recipe_hides_words_and_asks_for_what_is_stated(tmp_path):
    recipe = text.build(settings("text-debug"), [])
    batch = recipe.batch(range(6))
    hidden = batch["words"] != -100
    assert (batch["ids"][hidden] == recipe.tokenizer.mask_token_id).all()
    assert 0.1 < hidden.float().sum() / batch["mask"].sum() < 0.3
    captions = [recipe._drawn(p)[0] for p in range(6)]
    for row, said in zip(batch["stated"].tolist(), captions, strict=True):
        stated = parse(said)
        for value, name in zip(row, LABEL_NAMES, strict=True):
            assert stated.get(name, value) == value
    losses = recipe.module(batch)
    assert losses["loss"].shape == (6,)
    folder = tmp_path / "text"
    folder.mkdir()
    recipe.export(folder, {})
    assert BertModel.from_pretrained(folder / "text_encoder", add_pooling_layer=False)
    tokens = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")
    assert tokens.decode(tokens("Naïve drusen 12%")["input_ids"], skip_special_tokens=True).strip()


def test_random_annotations_cover_every_value():
    rng = random.Random(0)
    drawn = [text.random_annotation(rng) for _ in range(600)]
    for name in LABEL_NAMES:
        values = {getattr(a, name) for a in drawn}
        assert {None, 0, 1} <= values, name
