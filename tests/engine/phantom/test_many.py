"""Specs of the default mix, every one of them drawn; RETINAFORGE_SPECS asks for more of them."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from engine.phantom.render import draw
from engine.seeds import row_random, row_seed
from engine.specs.mix import default_mix

COUNT = int(os.environ.get("RETINAFORGE_SPECS", "1000"))
SIZE, SHARE = 64, 250


def faults(first: int, count: int = SHARE) -> list[str]:
    """What is wrong with phantoms first .. first + count - 1."""
    mix, found = default_mix(), []
    for index in range(first, first + count):
        asked = mix.draw(index, row_random(11, index, "labels"))
        with np.errstate(all="raise", under="ignore"):
            phantom = draw(asked, row_seed(11, index), SIZE)
        masks = phantom.masks
        known = phantom.annotation.known()
        if phantom.image.shape != (SIZE, SIZE, 3) or not masks["field"].any():
            found.append(f"{index}: no picture")
        if any(known[name] != value for name, value in asked.known().items()):
            found.append(f"{index}: not what was asked")
        if known["is_fundus"] and not masks["disc"].any():
            found.append(f"{index}: no disc")
        if (masks["cup"] & ~masks["disc"]).any() or (masks["lesion"] & ~masks["field"]).any():
            found.append(f"{index}: a mask leaves what holds it")
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_specs_are_drawn_without_a_fault():
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        found = [fault for some in pool.map(faults, range(0, COUNT, SHARE)) for fault in some]
    assert found == []


def test_the_first_of_them_are_drawn_without_a_fault():
    assert faults(0, 40) == []
