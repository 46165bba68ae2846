"""The towers' recipe: samples are their position's alone, captions and phantoms teach, a finished
folder is a scorer, and towers of others may stand in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, ResNetConfig, ResNetModel

from engine import registry, shipped
from engine.data.phantoms import phantom_examples
from engine.evaluate.area import plain_area
from engine.evaluate.questions import QUESTIONS, answered
from engine.phantom.render import draw
from engine.registry.scorer import ScorerRef
from engine.registry.towers import TowersRef
from engine.schema import Annotation, UserError
from train.launch import run_training
from train.practice import seen
from train.presets import PRESETS
from train.settings import override
from train.visionclip import build, plan

DEBUG = PRESETS["visionclip-debug"].settings


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a debug run on twelve phantoms."""
    out = tmp_path_factory.mktemp("runs") / "towers"
    return run_training("visionclip-debug", ["phantom:12"], 0, {}, out, False, lambda _: None)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Folders of a text tower with its tokenizer and of an image tower, as their library saves
    them."""
    folder, tiny = tmp_path_factory.mktemp("hf"), {"hidden_size": 16, "intermediate_size": 16}
    tokenizer = PreTrainedTokenizerFast.from_pretrained(shipped.folder_of("tiny") / "tokenizer")
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 40}
    BertModel(BertConfig(vocab_size=len(tokenizer), **tiny, **layers)).save_pretrained(
        folder / "text"
    )
    tokenizer.save_pretrained(folder / "text")
    sizes = {"embedding_size": 4, "hidden_sizes": [4, 4], "depths": [1, 1]}
    ResNetModel(ResNetConfig(**sizes)).save_pretrained(folder / "image")
    return folder


def test_a_batch_is_its_positions_however_it_is_cut():
    recipe = build(DEBUG, ["phantom:8"])
    whole = recipe.batch(range(4))
    halves = [recipe.batch(range(2)), recipe.batch(range(2, 4))]
    for name in ("images", "said", "known"):
        assert torch.equal(whole[name], torch.cat([half[name] for half in halves])), name
    assert set(recipe.module(whole)) == {"loss"}
    assert recipe.module(whole)["loss"].shape == (4,)


def test_a_finished_folder_is_a_scorer_whose_card_tells_what_taught_it(finished):
    found = registry.find(ScorerRef, finished)
    assert isinstance(found, TowersRef)
    card = found.describe().card
    assert (card["data"]["phantoms"], card["data"]["photographs"]) == (12, 0)
    scorer = found.load()
    words = scorer.words(["There is no glaucoma.", "Severe NPDR."])
    assert words.shape == (2, 8)
    assert torch.allclose(words.norm(dim=1), torch.ones(2), atol=1e-5)
    point = scorer.picture(Image.fromarray(phantom_examples("phantom:1")[0].draw(48).image))
    assert (words @ point).shape == (2,)
    (finished / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="model card names"):
        registry.find(ScorerRef, finished)


def test_towers_of_others_stand_in_and_travel_with_the_folder(others, tmp_path):
    settings = override(
        DEBUG,
        {"model.text": f"hf:{others / 'text'}", "model.image": f"hf:{others / 'image'}"},
    )
    recipe = build(settings, ["phantom:4"])
    theirs = BertModel.from_pretrained(others / "text").embeddings.word_embeddings.weight
    ours = recipe.module.towers.text_tower.embeddings.word_embeddings.weight
    assert torch.equal(ours, theirs)
    assert recipe.batch(range(2))["ids"].shape[1] <= 40
    (folder := tmp_path / "model").mkdir()
    recipe.export(folder, {})
    scorer = registry.find(ScorerRef, folder).load()
    assert scorer.words(["Severe NPDR."]).shape == (1, 8)


def test_held_out_eyes_are_asked_in_words(tmp_path):
    lines = ["file,split,source,dr_grade"]
    for number, example in enumerate(phantom_examples("phantom:28")):
        Image.fromarray(example.draw(32).image).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{'test' if number % 2 else 'train'},idrid,{number // 2 % 3}")
    (tmp_path / "eyes.csv").write_text("\n".join(lines))
    recipe = build(DEBUG, [str(tmp_path / "eyes.csv")])
    scores = recipe.score()
    assert {"idrid_dr", "idrid_grade"} <= set(scores)
    assert 0 <= scores["idrid_dr"] <= 1
    assert "idrid_gc" not in scores


def test_the_shipped_towers_tell_ill_phantoms_from_well_ones():
    towers = registry.find(ScorerRef, "visionclip-tiny").load()
    eyes = [draw(Annotation(dr_grade=4 * (n % 2)), 900 + n, 256).image for n in range(16)]
    points = towers.pictures(seen(eyes, towers.network.config.side))
    said = answered(towers, points, QUESTIONS[0])
    assert plain_area(np.arange(16) % 2, said) > 0.7


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"data.size": "40"}, "data.size"),
        ({"model.preset": "huge"}, "model.preset"),
        ({"model.text": "bert"}, "model.text"),
    ],
)
def test_wrong_settings_are_named(changed, field):
    with pytest.raises(UserError, match=field):
        plan(override(DEBUG, changed), ["phantom:4"])


def test_a_folder_without_a_tower_is_named(tmp_path):
    settings = override(DEBUG, {"model.image": f"hf:{tmp_path}"})
    with pytest.raises(UserError, match=r"model\.image"):
        build(settings, ["phantom:4"])
