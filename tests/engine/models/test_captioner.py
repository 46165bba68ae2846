"""The captioner: what it measures, what its decoder is told, and that its two ways of reading words
agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from engine.models.captioner import SIDE, Captioner, build, layers_of, measure, worded
from engine.models.segmenter import SEGMENTS, Segmenter
from engine.schema import LABELS
from train.text import learn_tokens

VALUES = [label.highest + 1 for label in LABELS] + [2]


@pytest.fixture(scope="module")
def network() -> Captioner:
    torch.manual_seed(1)
    made = build("debug", 300, "segmenter", "0" * 64).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return made


def shown(rows: int = 1):
    generator = torch.Generator().manual_seed(3)
    squares = torch.rand(rows, 3, 128, 128, generator=generator) * 2 - 1
    return squares, torch.rand(rows, len(SEGMENTS), 128, 128, generator=generator)


@torch.no_grad()
def test_words_one_by_one_are_those_of_the_whole_text(network):
    squares, outlines = shown()
    words = network.write(squares[0], outlines[0], begin=2, end=3)
    assert 1 < len(words) < network.config.positions
    memory = network.memory(network.look(squares, outlines))
    ids = torch.tensor([[2, *words]])
    logits = network(memory, ids, torch.ones_like(ids))
    assert logits.shape == (1, ids.shape[1], 300)
    assert logits[0, :-1].argmax(1).tolist() == words


@torch.no_grad()
def test_later_words_change_no_earlier_ones(network):
    memory = network.memory(network.look(*shown()))
    ids = torch.tensor([[2, 10, 11, 12, 13]])
    changed = ids.clone()
    changed[0, 3:] = 40
    one, other = (network(memory, each, torch.ones_like(each)) for each in (ids, changed))
    assert torch.allclose(one[:, :3], other[:, :3], atol=1e-5)
    assert not torch.allclose(one[:, 3:], other[:, 3:], atol=1e-2)


@torch.no_grad()
def test_the_decoder_hears_told_labels_instead_of_guesses(network):
    seen = network.look(*shown(2))
    assert [guess.shape for guess in seen.labels] == [(2, count) for count in VALUES]
    guessed = network.memory(seen)
    unknown = torch.full((2, len(VALUES)), -1)
    assert torch.equal(network.memory(seen, unknown), guessed)
    told = unknown.clone()
    told[0, 0] = 4
    heard = network.memory(seen, told)
    assert torch.equal(heard[1], guessed[1])
    places = seen.places.shape[1]
    differ = (heard[0] != guessed[0]).any(1)
    assert differ.nonzero().flatten().tolist() == [places]


def test_measures_are_shares_and_places_of_outlines():
    outlines = torch.zeros(2, len(SEGMENTS), 128, 128)
    outlines[1, SEGMENTS.index("bright_lesion"), :32, :32] = 1.0
    none, some = measure(outlines)
    assert none.numel() == 4 * len(SEGMENTS) + 2 * 16
    assert none.std() < 1e-5
    grown = (some > none).nonzero().flatten().tolist()
    bright = SEGMENTS.index("bright_lesion")
    by_structure = [kind * len(SEGMENTS) + bright for kind in range(4)]
    assert grown == [*by_structure, 4 * len(SEGMENTS) + 16]


def test_a_folder_keeps_words_and_limits(network, tmp_path):
    squares, outlines = shown()
    network.save_pretrained(tmp_path)
    again = Captioner.from_pretrained(tmp_path).eval()
    assert again.config.segmenter_sha256 == "0" * 64
    assert again.write(squares[0], outlines[0], 2, 3) == network.write(
        squares[0], outlines[0], 2, 3
    )
    # A text that does not end is cut where positions do.
    assert len(again.write(squares[0], outlines[0], 2, end=-1)) == again.config.positions - 1


def test_sentences_begin_with_capitals():
    class Says(Captioner):
        def write(self, *_):
            return ids

    tokenizer = learn_tokens(["there is no glaucoma", "colour fundus photograph"], 300)
    text = "colour fundus photograph. there is no glaucoma."
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    segmenter = Segmenter(features=(4, 4, 4, 4, 4, 4)).eval()
    layers = layers_of(np.asarray(Image.new("RGB", (SIDE, SIDE), "red")), segmenter)
    assert layers.shape == (3 + len(SEGMENTS), SIDE, SIDE)
    assert layers[:3].reshape(3, -1).T.tolist()[0] == [255, 0, 0]
    words = worded(Says(widths=(4, 8, 8, 8), width=8, heads=2, inner=8), tokenizer, layers)
    assert words == "Colour fundus photograph. There is no glaucoma."
