"""What a camera frames is found again in its photographs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.phantom.cameras import CAMERAS, Camera
from engine.phantom.framing import View, frame
from engine.phantom.render import draw
from engine.schema import Annotation


def views(camera: Camera, count: int = 8, known: bool = True) -> list[View]:
    eyes = [
        draw(Annotation(source="clinic"), seed, 256, cameras={"clinic": camera})
        for seed in range(count)
    ]
    return [
        View(
            eye.image,
            eye.masks["disc"],
            eye.masks["fovea"],
            eye.annotation.eye_side if known else None,
        )
        for eye in eyes
    ]


@pytest.mark.parametrize("name", ["idrid", "hrf", "chase"])
def test_field_disc_and_colour_of_a_camera(name):
    camera = CAMERAS[name]
    found = frame(views(camera, known=name != "hrf"))
    assert abs(found.half_height - camera.half_height) < 0.02
    if camera.tab is None:
        assert found.tab is None
    else:
        assert abs(found.tab - camera.tab) < 4
    assert abs(found.disc_diameter / camera.disc_diameter - 1) < 0.15
    assert np.allclose(found.disc_place, camera.disc_place, atol=0.1)
    assert np.allclose(found.colour, camera.colour, atol=0.17)


def test_more_light_lost_is_measured_as_more():
    weak, strong = (
        frame(views(replace(CAMERAS["hrf"], vignette=each, law=None))) for each in (0.15, 0.6)
    )
    assert weak.vignette + 0.2 < strong.vignette


def test_black_pictures_have_a_middling_camera():
    black = np.zeros((256, 256, 3), np.uint8)
    nothing = np.zeros((256, 256), bool)
    grey = black + np.uint8(90)
    found = frame([View(grey, nothing, nothing)] * 2 + [View(black, nothing, nothing)])
    usual = CAMERAS["phantom"]
    assert (found.disc_diameter, found.disc_place) == (usual.disc_diameter, usual.disc_place)
    assert (found.half_height, found.tab) == (1.0, None)
