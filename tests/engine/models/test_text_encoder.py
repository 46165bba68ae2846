"""Text encoders: captions as states, ours and those that stand in for it."""

from __future__ import annotations

import pytest
import torch
from stand_ins import TEXTS

from engine.models.text_encoder import PretrainedText, tokenize

SHORT, LONG = "drusen", "a pale disc of a right eye"


@pytest.fixture(params=["ours", *TEXTS])
def text(request, pipeline):
    torch.manual_seed(3)
    if request.param == "ours":
        return PretrainedText(pipeline.text_encoder, pipeline.tokenizer)
    return TEXTS[request.param]()


def test_states_have_a_width_and_a_mask_of_the_captions_own_tokens(text):
    states, mask = text.states([SHORT, LONG])
    assert states.shape == (*mask.shape, text.width)
    assert states.isfinite().all()
    assert mask[1].all()
    assert 0 < mask[0].sum() < mask.shape[1]
    assert not states.requires_grad


def test_a_captions_states_are_its_own_whatever_it_is_padded_with(text):
    alone, mask = text.states([SHORT])
    assert mask.all()
    for captions, length in (([SHORT, LONG], None), ([SHORT], 39)):
        states, wide = text.states(captions, length)
        assert wide.shape[1] == (length or wide.shape[1])
        assert torch.allclose(states[0][wide[0]], alone[0], atol=1e-5)


def test_what_is_over_the_length_or_the_models_positions_is_cut_and_told(text):
    words = "retina " * 900
    assert text.states([words], 9)[1].shape == (1, 9)
    assert text.states([words])[1].shape == (1, text.most_tokens)
    assert text.states([SHORT], 10_000)[1].shape == (1, text.most_tokens)
    assert (text.truncated(words, 10_000), text.truncated(SHORT, 16)) == (True, False)
    assert text.truncated(SHORT, 1)


def test_no_caption_at_all_still_gives_numbers(text):
    states, mask = text.states(["", ""])
    assert states.isfinite().all()
    assert mask.shape[1] >= 1


def test_positions_bound_a_caption_and_a_model_without_takes_as_many_as_ours():
    assert {name: make().most_tokens for name, make in TEXTS.items()} == {
        "t5": 256, "clip": 40, "gemma": 256
    }  # fmt: skip


def test_of_a_language_model_the_last_layer_but_one_is_read():
    gemma = TEXTS["gemma"]()
    ids, mask = tokenize(gemma.tokenizer, [SHORT])
    read = gemma.model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
    states, _ = gemma.states([SHORT])
    assert torch.equal(states, read.hidden_states[-2])
    assert not torch.equal(states, read.last_hidden_state)
