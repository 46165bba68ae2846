"""The painter: geometry to a photograph, and nothing else to begin from."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from calls import settings, specs

from engine import registry
from engine.models.plain import bare
from engine.phantom import render
from engine.prose.parse import parse
from engine.registry import SamplerRef
from engine.schema import Annotation, UserError

PARTLY_KNOWN = Annotation(dr_grade=3, is_gc=1, source="hrf")


def test_a_gan_paints_the_phantom_of_a_row_and_keeps_its_masks(gan_folder):
    ref = registry.find(SamplerRef, str(gan_folder))
    assert (ref.FAMILY, ref.size, ref.sources, ref.usual.steps) == ("gan", 64, ("hrf",), 1)
    with pytest.raises(UserError, match="⟨guidance⟩: 9: gan is drawn without a solver"):
        ref.check_solver("none", 1, 9.0)
    assert (ref.takes_geometry, ref.solvers) == (True, ("none",))
    with pytest.raises(UserError, match="draws on nothing but"):
        ref.check_start(geometry=False, t0=0.0)
    with pytest.raises(UserError, match="⟨t0⟩"):
        ref.check_start(geometry=True, t0=0.5)
    sampler = ref.load(settings(geometry=True))
    rows = [spec.model_copy(update={"annotation": PARTLY_KNOWN}) for spec in specs(2)]
    drawn = sampler.draw(rows)
    for row, each in zip(rows, drawn, strict=True):
        phantom = render.draw(row.annotation, row.seed, 64)
        assert all(
            np.array_equal(each.masks[f"mask_{n}"], phantom.masks[n]) for n in ("disc", "vein")
        )
        assert each.annotation.labels() == {
            **PARTLY_KNOWN.labels(),
            "eye_side": phantom.annotation.eye_side,
        }
    assert not np.array_equal(drawn[0].image, drawn[1].image)
    assert np.array_equal(sampler.draw(rows[1:])[0].image, drawn[1].image)


def test_a_caption_tells_the_geometry_that_was_drawn_and_not_the_prompt(gan_folder):
    sampler = registry.find(SamplerRef, str(gan_folder)).load(settings(geometry=True))
    named = 0
    for spec in specs(40):
        asked = Annotation(source="hrf", is_gc=spec.index % 2)
        row = spec.model_copy(update={"annotation": asked, "prompt": "a macaw on a bicycle"})
        drawn = sampler.draw([row])[0]
        assert "macaw" not in drawn.caption
        assert parse(drawn.caption).items() <= drawn.annotation.labels().items()
        told = re.search(r"cup-to-disc ratio of (?:about )?(0\.\d+)", drawn.caption)
        if told:
            eye = render.draw(asked, row.seed, 64).eye
            named += 1
            assert abs(float(told[1]) - eye.traits.cup_disc_ratio) < 0.011
    assert named > 5


def test_a_refiner_starts_from_the_picture_of_a_rows_phantom(refiner_folder):
    ref = registry.find(SamplerRef, str(refiner_folder))
    assert (ref.FAMILY, ref.size, ref.sources, ref.usual.steps) == ("gan", 64, ("hrf",), 1)
    rows = [spec.model_copy(update={"annotation": PARTLY_KNOWN}) for spec in specs(3)]
    drawn = ref.load(settings(geometry=True, rows_per_call=2)).draw(rows)
    for row, each in zip(rows, drawn, strict=True):
        phantom = render.draw(row.annotation, row.seed, 64)
        assert np.array_equal(each.masks["mask_lesion"], phantom.masks["lesion"])
        plain = bare(phantom.image, *(phantom.masks[name] for name in ("vessel", "lesion")))
        change = np.abs(each.image.astype(int) - plain)
        assert 0 < change.mean() < change.max() <= 0.4 * 127.5 + 1
        assert not change[~phantom.masks["field"]].any()
    alone = ref.load(settings(geometry=True)).draw(rows[2:])[0]
    assert np.abs(alone.image.astype(int) - drawn[2].image).max() <= 1


def test_what_is_asked_to_be_unreadable_of_a_gan_is_made_so(gan_folder):
    ref = registry.find(SamplerRef, str(gan_folder))
    sampler = ref.load(settings(geometry=True))
    images = {}
    for label in ("", "is_optic_disc_readable", "is_macular_readable"):
        asked = Annotation(source="hrf", eye_side=0, **({label: 0} if label else {}))
        drawn = sampler.draw([specs(1)[0].model_copy(update={"annotation": asked})])[0]
        images[label] = drawn.image.astype(int)
    disc = np.abs(images["is_optic_disc_readable"] - images[""])
    macula = np.abs(images["is_macular_readable"] - images[""])
    assert disc[:, 40:].mean() > 2 * disc[:, :20].mean()
    assert macula[20:44, 20:44].mean() > 2 * macula[:, 52:].mean()


def test_a_gan_with_other_weights_than_its_card_names_is_refused(gan_folder):
    (gan_folder / "model_card.json").write_text(json.dumps({"weights_sha256": "0" * 64}))
    with pytest.raises(UserError, match="not those that the model card names"):
        registry.find(SamplerRef, str(gan_folder))
