"""Signs: a caption names no structure, place or fault that its phantom does not have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import chain
from random import Random

import numpy as np
import pytest

from engine.phantom.camera import photograph
from engine.phantom.eye import Canvas
from engine.phantom.render import Phantom, draw, stream
from engine.phantom.signs import signs, unmasked_signs
from engine.phantom.words import anatomy, structure
from engine.prose.anatomy import Anatomy
from engine.prose.parse import parse
from engine.prose.phrases import DISEASES as FORMS
from engine.prose.template import caption
from engine.prose.variants import DR
from engine.schema import DISEASES, READABILITY, Annotation

HEALTHY = {label.name: 0 for label in DISEASES} | {label.name: 1 for label in READABILITY}
CAMERAS = ("idrid", "hrf", "skimage", "chase")
EYES = [("dr_grade", grade) for grade in (1, 2, 3, 4)]
EYES += [(label.name, 1) for label in DISEASES if label.name != "dr_grade"]

Holds = Callable[[Phantom], bool]


def has(*kinds: str) -> Holds:
    return lambda phantom: any(kind in phantom.lesions for kind in kinds)


def near(kind: str) -> Holds:
    """The kind lies within a disc diameter of the fovea."""

    def holds(phantom: Phantom) -> bool:
        eye, half = phantom.eye, (len(phantom.image) - 1) / 2
        rows, columns = np.nonzero(phantom.lesions.get(kind, np.zeros((1, 1), bool)))
        places = np.stack([columns, rows], 1) / half - 1
        return bool((np.hypot(*(places - eye.fovea).T) < 1.05 * eye.disc_diameter).any())

    return holds


def trait(name: str, above: float = 0.0) -> Holds:
    return lambda phantom: getattr(phantom.eye.traits, name) > above


def never(_: Phantom) -> bool:
    return False


TRUE: tuple[tuple[str, Holds], ...] = (
    ("new vessels|neovascularisation|neovascularization", has("new vessel")),
    ("venous beading|beaded veins|irregularly dilated", trait("vein_beading")),
    ("loops|in two quadrants", never),
    ("microvascular", has("intraretinal microvascular abnormality")),
    ("superior rim", never),
    ("inferior rim", trait("rim_notch")),
    ("bayoneting", never),
    ("staphyloma", trait("staphyloma")),
    ("Fuchs", has("Fuchs spot")),
    ("lacquer cracks?", has("lacquer crack")),
    ("patchy atrophy|pale atrophy", near("patch of atrophy")),
    ("diffuse yellowish", never),
    ("tilted", trait("disc_tilt", 0.15)),
    ("crescent|conus|ring-shaped", trait("crescent", 0.2)),
    ("disciform|subretinal membrane", never),
    ("subretinal (?:blood|haem|hem)", has("subretinal haemorrhage")),
    ("pigment clumping|pigmentary", near("pigment clump")),
    ("soft drusen|hard and soft|small and large", has("soft druse")),
    ("splinter", has("disc haemorrhage")),
    ("capillaries", never),
    ("sheen|glistening|cellophane-like|film|sheet", has("epiretinal membrane")),
    ("wrinkling|striae|retinal folds", has("retinal fold")),
    ("dragged", never),
    ("copper|silver|focal arteriolar", never),
    ("nicking|nipping|crossing", trait("nicking")),
    ("thickening", has("area of retinal thickening")),
    ("exudates (?:at|reaching|threatening|close|near|encroaching)", near("hard exudate")),
)
"""Words that name a structure, and when they are true."""


@cache
def phantom_of(name: str, value: int, seed: int, **others: int) -> Phantom:
    labels = HEALTHY | {name: value, "eye_side": seed // 4 % 2} | others
    asked = Annotation(**labels, source=CAMERAS[seed % 4])
    return draw(asked, seed, 96, light=False)


def texts_of(
    phantom: Phantom, facts: Callable[[Phantom], Anatomy] = anatomy, count: int = 6
) -> list[str]:
    told = facts(phantom)
    texts = [caption(phantom.annotation, Random(each), told) for each in range(count)]
    for text in texts:
        for label, value in parse(text).items():
            assert phantom.annotation.known()[label] == value, text
    return texts


@pytest.mark.parametrize("facts", [anatomy, structure])
def test_no_caption_names_a_structure_that_was_not_drawn(facts):
    """Fails with captions that choose their signs by the disease alone."""
    told: Counter[str] = Counter()
    for name, value in EYES:
        for seed in range(24):
            phantom = phantom_of(name, value, seed)
            for text in texts_of(phantom, facts):
                for words, holds in TRUE:
                    if found := re.search(words, text):
                        told[words] += 1
                        assert holds(phantom), (
                            f"{name} {value}, seed {seed}: {found[0]!r} in {text}"
                        )
    untold = {words for words, holds in TRUE if holds is not never and not told[words]}
    in_colour_alone = {"staphyloma", "crescent|conus|ring-shaped"}
    assert untold == (in_colour_alone if facts is structure else set())


def test_every_sign_of_the_phrases_is_drawn_at_times_or_known_never_to_be():
    """A sign that is misspelt would never be told."""
    seen: set[str] = set()
    for name, value in EYES:
        for seed in range(24):
            phantom = phantom_of(name, value, seed)
            seen |= signs(phantom) | unmasked_signs(phantom.eye)
    told = [*chain(*DR.values()), *chain(*FORMS.values())]
    patterns = " ".join(chain(*(chain(*variant.signs.values()) for variant in told)))
    named = set(re.findall("<([^>]+)>", patterns))
    never_drawn = {
        "bayoneting", "confluent drusen", "crossing", "diffuse atrophy", "disciform scar",
        "dragged vessels", "engorged capillaries", "focal narrowing", "in two quadrants",
        "new vessel at the arcades", "ring of atrophy", "subretinal membrane", "superior notch",
        "temporal pallor",
        "venous loop", "wiring",
    }  # fmt: skip
    assert named - seen == never_drawn
    assert {"macula", "disc to one side"} <= seen


REASONS = {
    "haze": "media haze|hazy view|lens opacity",
    "defocus": "defocus|blur",
    "darkness": "poor illumination",
    "shadow": "eyelash shadow",
    "reflex": "bright reflex|glare",
}
PARTS = {
    "is_macular_readable": r"macula",
    "is_optic_disc_readable": r"optic disc|disc",
    "is_retinal_region_readable": r"retina|image|Ungradable",
}


@pytest.mark.parametrize("part", PARTS)
def test_the_reason_told_is_the_fault_that_was_drawn(part):
    told: Counter[str] = Counter()
    for seed in range(40):
        phantom = phantom_of(part, 0, seed)
        fault = anatomy(phantom).faults[part]
        for text in texts_of(phantom):
            found = re.search(r"(?:because of|owing to) ([a-z ]+)", text)
            if found:
                told[fault] += 1
                assert re.search(REASONS[fault], found[1]), f"{fault}: {text}"
    assert len(told) == (3 if part == "is_retinal_region_readable" else 2)
    assert min(told.values()) >= 5


def test_the_faults_of_a_models_image_are_unknown_unless_the_phantoms_were_laid_over_it():
    phantom = phantom_of("is_macular_readable", 0, 4)
    assert structure(phantom).faults == {}
    assert structure(phantom, spoilt=True).faults == anatomy(phantom).faults


def test_a_shadow_is_dark_and_a_reflex_bright_in_the_photograph():
    """The fault is known of the seed alone: here it is compared with the picture."""
    faults = set()
    for seed in range(20):
        phantom = phantom_of("is_macular_readable", 0, seed)
        eye = phantom.eye
        even = Canvas(np.full((96, 96, 3), 0.3, np.float32), 48)
        even.masks["field"] = np.full((96, 96), 255, np.uint8)
        image = photograph(even, eye, stream(seed, "camera")).mean(2)
        x, y = np.clip(((eye.fovea + 1) * 48).astype(int), 3, 92)
        here = image[y - 3 : y + 4, x - 3 : x + 4].mean()
        fault = anatomy(phantom).faults["is_macular_readable"]
        if np.abs(eye.fovea).max() < 0.7:
            faults.add(fault)
            assert (here > np.median(image)) == (fault == "reflex"), f"seed {seed}: {fault}"
    assert faults == {"shadow", "reflex"}


OUTSIDE = (219, 719, 927, 1995)
"""Seeds of eyes whose fovea this camera misses, in part or altogether."""


@pytest.mark.parametrize("seed", OUTSIDE)
def test_a_macula_outside_the_field_is_not_described(seed):
    named = 0
    for name, value in (*EYES, ("dr_grade", 0)):
        phantom = phantom_of(name, value, seed)
        assert np.hypot(*phantom.eye.fovea) > 1.05
        for text in texts_of(phantom, count=12):
            assert "foveal reflex" not in text, text
            assert "is_macular_readable" not in parse(text), text
            assert not re.search(r"of the macula\b|both sides|above and below", text), text
            named += parse(text).get(name) == value
    assert named > 60


def test_a_macula_outside_the_field_is_still_called_unreadable_where_it_is():
    eyes = [phantom_of("is_macular_readable", 0, seed) for seed in OUTSIDE]
    stated = [parse(text).get("is_macular_readable") for eye in eyes for text in texts_of(eye)]
    assert stated.count(0) >= 15


def test_a_disc_is_told_on_the_side_on_which_it_lies():
    told: Counter[str] = Counter()
    for seed in range(120):
        phantom = phantom_of("dr_grade", 0, seed)
        columns = np.nonzero(phantom.masks["disc"])[1]
        place = columns.mean() / 95 - 0.5
        for text in texts_of(phantom, count=12):
            for side, sign in (("on the right", 1), ("on the left", -1)):
                if f"{side}, on the nasal" in text:
                    told[side] += 1
                    assert sign * place > 0.095, f"{place:.2f}: {text}"
    assert len(told) == 2


def test_the_calibre_of_a_nicked_vein_is_read_between_its_nicks():
    ratios = [anatomy(phantom_of("is_htr", 1, seed)).artery_vein_ratio or 0 for seed in range(40)]
    healthy = [anatomy(phantom_of("is_htr", 0, seed)).artery_vein_ratio or 0 for seed in range(40)]
    assert max(ratios) < np.median(healthy)
