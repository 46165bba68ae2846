"""The text recipe: words are hidden, stated labels asked for, and its folder loads again."""

from __future__ import annotations

import random

from discs import settings
from transformers import BertModel, PreTrainedTokenizerFast

from engine.prose.parse import parse
from engine.schema import LABEL_NAMES
from train import text


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
