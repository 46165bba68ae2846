"""Folders of one network: gate, segmenter and captioner are verified alike before loading."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from engine import registry, shipped
from engine.models.card import CARD, read_card, write_card
from engine.registry.captioner import CaptionerRef
from engine.registry.gate import GateRef
from engine.registry.segmenter import SegmenterRef
from engine.schema import UserError

WEIGHTS = "diffusion_pytorch_model.safetensors"
FAMILIES = (GateRef, SegmenterRef, CaptionerRef)
each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.FAMILY)


@pytest.fixture
def copy(tmp_path):
    """copy(family): a copy of this checkout's model of a family."""
    return lambda family: shutil.copytree(shipped.WEIGHTS / family.FAMILY, tmp_path / "model")


@each_family
def test_a_copy_is_found_by_its_path_and_is_the_same_model(copy, family):
    folder = copy(family)
    ref, own = registry.find(family, folder), registry.find(family, family.FAMILY)
    assert ref.weights_sha256 == own.weights_sha256 == read_card(folder)["weights_sha256"]
    assert (own.location, own.folder) == (family.FAMILY, shipped.WEIGHTS / family.FAMILY)
    assert ref.describe().card == own.describe().card


@each_family
def test_altered_cut_and_pickled_weights_are_refused(copy, family):
    folder = copy(family)
    file, data = folder / WEIGHTS, (folder / WEIGHTS).read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UserError, match=f"{CARD}: weights_sha256: .*not those"):
        registry.find(family, folder)
    file.write_bytes(data[:-9])
    with pytest.raises(UserError, match="cannot be opened"):
        registry.find(family, folder)
    file.rename(folder / "diffusion_pytorch_model.bin")
    with pytest.raises(UserError, match=r"\.bin: pickled weights"):
        registry.find(family, folder)


@each_family
def test_a_configuration_that_asks_for_more_than_its_weights_is_refused(copy, family):
    folder = copy(family)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "layers": 10**6}))
    write_card(folder, read_card(folder))
    with pytest.raises(UserError, match="layers: more than the weights"):
        registry.find(family, folder)


@each_family
def test_another_class_is_none_of_the_family(copy, family):
    folder = copy(family)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "_class_name": "UNet2DModel"}))
    with pytest.raises(UserError, match=r"of that name|holds no gate|no captioner here"):
        registry.find(family, folder)
    (folder / "config.json").write_text(json.dumps({"_class_name": "UNet", "was": family.CLASS}))
    with pytest.raises(UserError, match="another architecture: UNet"):
        registry.find(family, folder)


def test_a_gate_without_its_limits_is_none(copy):
    folder = copy(GateRef)
    (folder / "limits.json").unlink()
    with pytest.raises(UserError, match="holds no gate network"):
        registry.find(GateRef, folder)


def test_what_the_libraries_stumble_over_is_told(copy):
    folder = copy(SegmenterRef)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "features": [8, 8, 8, 8, 8, 8]}))
    write_card(folder, read_card(folder))
    ref = registry.find(SegmenterRef, folder)
    with pytest.raises(UserError, match=r"cannot be loaded: .*expected a segmenter"):
        ref.load()


def test_a_loaded_segmenter_and_gate_work_in_float32():
    segmenter = registry.find(SegmenterRef, "segmenter").load()
    masks = segmenter.masks(np.zeros((64, 64, 3), np.uint8))
    assert {"vessel", "disc", "field"} <= {*masks}
    network = registry.find(GateRef, "gate").load()
    assert {each.dtype for each in network.parameters()} == {torch.float32}
    assert not network.training


def test_a_captioner_brings_the_segmenter_that_it_learned_with(copy):
    ref = registry.find(CaptionerRef, shipped.CAPTIONER)
    assert ref.segmenter == registry.find(SegmenterRef, "segmenter")
    network, limits, segmenter = ref.load()
    assert limits.cameras.keys() == {*network.config.cameras}
    assert not segmenter.training
    folder = copy(CaptionerRef)
    config = json.loads((folder / "config.json").read_text())
    for changes in ({"segmenter_sha256": "0" * 64}, {"segmenter": "nosuch"}, {"segmenter": "gate"}):
        (folder / "config.json").write_text(json.dumps({**config, **changes}))
        write_card(folder, read_card(folder))
        with pytest.raises(UserError, match="another segmenter than the one here"):
            registry.find(CaptionerRef, folder)


def test_a_captioner_is_called_as_its_very_folder(copy):
    folder = copy(CaptionerRef)
    assert registry.find(CaptionerRef, folder.parent).name == "model"
