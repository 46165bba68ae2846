"""Folders of one classifier or one generator of structures: found by class, loaded for reading."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from engine import registry, shipped
from engine.models.card import read_card, write_card
from engine.registry.classifier import ClassifierRef
from engine.registry.geometry_generator import GeometryGeneratorRef
from engine.schema import UserError

SHIPPED = [(ClassifierRef, "classifier-tiny"), (GeometryGeneratorRef, "geometry-tiny")]
each_family = pytest.mark.parametrize(("family", "name"), SHIPPED, ids=["classifier", "geometry"])


@each_family
def test_a_shipped_one_is_found_by_name_and_read_in_float32(family, name):
    ref = registry.find(family, name)
    assert registry.names(family) == [name]
    network = ref.load()
    assert type(network).__name__ == family.CLASS
    assert {each.dtype for each in network.parameters()} == {torch.float32}
    assert not network.training
    told = ref.describe()
    assert told.card["weights_sha256"] == ref.weights_sha256
    assert told.learned_from["photographs"] + told.learned_from["phantoms"] > 0


@each_family
def test_each_family_refuses_the_other_by_its_own_name(family, name):
    (other,) = {each for _, each in SHIPPED} - {name}
    for place in (other, "gate", "nosuch"):
        with pytest.raises(UserError, match=f"no {family.FAMILY} of that name.*{place}.*{name}"):
            registry.find(family, place)


@each_family
def test_altered_weights_and_another_configuration_are_refused(family, name, tmp_path):
    folder = shutil.copytree(shipped.WEIGHTS / name, tmp_path / "model")
    (weights,) = folder.glob("*.safetensors")
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UserError, match="not those that the model card names"):
        registry.find(family, folder)
    weights.write_bytes(data)
    config = json.loads((folder / "config.json").read_text())
    changes = {"answers": [7]} if family is ClassifierRef else {"widths": [8, 8]}
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    write_card(folder, read_card(folder))
    with pytest.raises(UserError, match=f"{folder}: cannot be loaded.*a {family.FAMILY}"):
        registry.find(family, folder).load()
