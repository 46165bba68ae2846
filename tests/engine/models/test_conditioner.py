"""The one reading of a condition: what is asked reaches the context, what is not is a null."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.models.conditioner import Conditioner, source_alone
from engine.models.geometry import PICTURES
from engine.schema import LABEL_NAMES, Annotation

LABELS = len(LABEL_NAMES) + 1
CAPTIONS = ["drusen", ""]
KNOWN = [Annotation(dr_grade=4, source="idrid"), Annotation()]


@pytest.fixture
def conditioner(pipeline) -> Conditioner:
    return pipeline.conditioner


@pytest.fixture
def latents(pipeline) -> torch.Tensor:
    channels = PICTURES * pipeline.transformer.config.in_channels
    return torch.randn(2, channels, 4, 6, generator=torch.Generator().manual_seed(1))


def test_caption_tokens_come_before_label_tokens_and_an_empty_caption_is_out_of_sight(conditioner):
    context = conditioner.read(CAPTIONS, KNOWN, 16)
    assert context.tokens.shape == (2, 16 + LABELS, 64)
    assert context.tokens.isfinite().all()
    assert context.mask[:, 16:].all(), "label tokens, null or not, are always attended"
    assert context.mask[0, :16].any()
    assert not context.mask[1, :16].any()
    blank = conditioner.read([" \n", ""], KNOWN, 16)
    assert not blank.mask[:, :16].any()


def test_a_condition_is_read_alike_however_it_comes(conditioner):
    """Captions that were prepared are assembled by the same code, to the bit."""
    prepared = conditioner.prepare(CAPTIONS, KNOWN)
    later = Conditioner(conditioner.label_encoder, conditioner.geometry_encoder)
    ours, theirs = conditioner.read(CAPTIONS, KNOWN), later.attend(prepared)
    assert all(
        torch.equal(one, other)
        for one, other in zip(vars(ours).values(), vars(theirs).values(), strict=True)
    )


def test_without_a_text_encoder_no_caption_is_read_and_none_is_swallowed(conditioner):
    deaf = replace(conditioner, text=None)
    context = deaf.read(["", ""], KNOWN)
    assert context.mask.sum(1).tolist() == [LABELS, LABELS]
    heard = conditioner.read(["", ""], KNOWN)
    assert torch.equal(context.tokens[:, -LABELS:], heard.tokens[:, -LABELS:])
    with pytest.raises(ValueError, match="no text encoder"):
        deaf.read(CAPTIONS, KNOWN)


def test_geometry_is_of_the_rows_that_are_given_it_and_absent_geometry_is_one_token(
    conditioner, latents
):
    some = conditioner.attend(
        conditioner.prepare(CAPTIONS, KNOWN, geometry=latents, given=torch.tensor([True, False]))
    )
    every = conditioner.read(CAPTIONS, KNOWN, geometry=latents)
    none = conditioner.read(CAPTIONS, KNOWN)
    assert every.patches.shape == (2, 2 * 3, 64)
    assert none.patches.shape == (2, 1, 64)
    assert torch.equal(some.patches[0], every.patches[0])
    assert torch.equal(some.patches[1], none.patches[1].expand(6, -1))
    assert not torch.equal(every.patches[1], some.patches[1])


def test_a_model_without_geometry_reads_none_and_refuses_it(conditioner, latents):
    flat = replace(conditioner, geometry_encoder=None)
    context = flat.read(CAPTIONS, KNOWN)
    assert context.patches is None
    assert context.beside(context).patches is None
    with pytest.raises(ValueError, match="takes no geometry"):
        flat.read(CAPTIONS, KNOWN, geometry=latents)


def test_guidances_other_half_keeps_the_camera_and_the_geometry(conditioner, latents):
    asked = conditioner.read(CAPTIONS, KNOWN, 8, latents)
    free = conditioner.read(["", ""], [source_alone(each) for each in KNOWN], 8, latents)
    pair = asked.beside(free)
    assert pair.tokens.shape == (4, 8 + LABELS, 64)
    assert torch.equal(pair.patches[:2], pair.patches[2:])
    assert torch.equal(asked.tokens[0, -1], free.tokens[0, -1]), "the source is the last token"
    assert not torch.equal(asked.tokens[0, 8], free.tokens[0, 8])
    assert torch.equal(asked.tokens[1, 8:], free.tokens[1, 8:])
