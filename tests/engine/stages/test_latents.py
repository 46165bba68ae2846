"""The stage that encodes, without a cluster: rows, dead letters, limits, and nodes that differ."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
import torch

from engine.data.latent_sets import SEGMENTER, VAE, standing, table_of
from engine.models.patches import encoder_of
from engine.stages.call import FatalError
from engine.stages.latents import CHANGED, Encode, LatentActor, load_encoder
from engine.stages.limits import PartLimits
from engine.store.commits import Folder, take_attempt
from engine.store.forms import LATENTS
from engine.store.latent_plan import LatentPlan
from engine.store.parts import outcome_schema
from engine.store.plan import plan_of
from tests.encoding import ask_for, encoded, files, networks, rows_below, set_folders


@pytest.fixture
def root(tmp_path):
    """A set of four photographs that is encoded."""
    encoded(ask_for(tmp_path / "cache", files(tmp_path / "eyes", 4)))
    (root,) = set_folders(tmp_path / "cache")
    return root


@pytest.fixture
def actor(root):
    """actor(**limits): a worker of the set's next run."""
    number = take_attempt(Folder(root), 4).number
    return lambda **limits: LatentActor(str(root), number, PartLimits(**limits))


def chunk(*ranges):
    return pa.table({"chunk": [json.dumps(ranges)]})


def test_rows_are_those_of_the_run_and_threads_are_as_before(root, actor):
    torch.set_num_threads(2)
    table = actor()(chunk((1, 4)))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert table.schema.equals(outcome_schema(LATENTS))
    assert table["index"].to_pylist() == [1, 2, 3]
    known = {row["key"]: row for row in rows_below(root.parent.parent)}
    for row in table.to_pylist():
        assert {name: row[name] for name in known[row["key"]]} == known[row["key"]]


def test_a_part_closes_early(actor):
    assert actor(bytes=1)(chunk((0, 4))).num_rows == 1


def test_a_photograph_that_changed_or_broke_is_a_dead_letter_and_costs_no_other(root, tmp_path):
    changed = tmp_path / "eyes/eye_01.jpg"
    changed.write_bytes(b"another")
    number = take_attempt(Folder(root), 4).number
    rows = LatentActor(str(root), number, PartLimits())(chunk((0, 4))).to_pylist()
    (letter,) = [row for row in rows if row["stage"]]
    assert (letter["stage"], letter["latents"]) == (CHANGED, None)
    assert "eye_01.jpg: changed since it was listed" in letter["reason"]


def test_what_this_node_does_not_see_stops_the_run(root, actor, tmp_path):
    (tmp_path / "eyes/eye_02.jpg").unlink()
    with pytest.raises(FatalError, match=r"eye_02\.jpg: it lies on no shared storage"):
        actor()(chunk((0, 4)))


def test_weights_that_are_not_the_plans_encode_nothing(root):
    plan = plan_of(Folder(root))
    assert isinstance(plan, LatentPlan)
    encode, outlines = load_encoder(root.parent, plan.outlined)
    vae, _ = networks()
    assert encode.key == encoder_of(vae).key
    assert standing(root.parent).lacking == {}
    for others in ((encode, None), (_other(), outlines)):
        with pytest.raises(FatalError, match="would make other latents than were planned"):
            Encode(plan, table_of(root, plan), *others)


def _other():
    vae, _ = networks()
    kept = vae.encoder.conv_out.bias.clone()
    with torch.no_grad():
        vae.encoder.conv_out.bias += 1
        other = encoder_of(vae)
        vae.encoder.conv_out.bias.copy_(kept)
    return other


def test_weights_lie_beside_the_set(root):
    assert {path.name for path in root.parent.iterdir()} == {VAE, SEGMENTER, ".lock", root.name}
    encoder, outlines = load_encoder(root.parent, outlined=False)
    assert outlines is None
    assert encoder.key
