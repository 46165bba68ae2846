"""One photograph's latents: those of its augmented copies, under a key of all that decides them."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from engine.data.contents import Content
from engine.data.latents import (
    LatentSettings,
    Spot,
    encode_example,
    key_of,
    rules_of,
    weights_of,
    writable_cache,
)
from engine.data.outlines import read_square
from engine.data.phantoms import phantom_examples
from engine.data.transforms import augment, draw_augmentation
from engine.models.geometry import Outlines
from engine.models.patches import encoder_of
from engine.schema import UserError
from engine.store.forms import LATENTS
from tests.encoding import PLAIN, networks

KEY = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def encode():
    return encoder_of(networks()[0])


@pytest.fixture(scope="module")
def row(encode):
    (example,) = phantom_examples("phantom:1")
    outlines = Outlines(networks()[1], encode)
    return example, encode_example(example, KEY, encode, LatentSettings(64, 3), outlines)


def write(path, rows):
    columns = {name: [each.get(name) for each in rows] for name in LATENTS.schema.names}
    pq.write_table(pa.table(columns, schema=LATENTS.schema), path, row_group_size=LATENTS.group)
    return str(path)


def test_a_copy_is_the_eye_as_its_key_says_it_is_changed(row, encode, tmp_path):
    example, columns = row
    assert (columns["shape"], columns["geometry_shape"]) == ([3, 8, 4, 4], [3, 40, 4, 4])
    image = torch.from_numpy(read_square(example, 64)[0].copy()).permute(2, 0, 1) / 127.5 - 1
    generator = torch.Generator().manual_seed(int(KEY[:15], 16))
    spot = Spot(write(tmp_path / "part", [columns]), 0, KEY)
    for number in range(3):
        change, copy = draw_augmentation(generator, 1.0), spot.variant(number)
        assert copy.mirrored == change.mirrored
        assert torch.equal(copy.latent, encode(augment(image, change)[None])[0].half().float())
        assert copy.geometry.shape == (40, 4, 4)
    assert not torch.equal(spot.variant(0).latent, spot.variant(1).latent)


def test_without_an_outliner_there_is_no_geometry(encode, tmp_path):
    (example,) = phantom_examples("phantom:1")
    columns = encode_example(example, KEY, encode, PLAIN, None)
    assert Spot(write(tmp_path / "part", [columns]), 0, KEY).variant(1).geometry is None


def test_only_the_row_that_is_asked_for_is_read(row, tmp_path):
    rows = [{**row[1], "key": f"{number:032x}"} for number in range(5)]
    part = write(tmp_path / "part", rows)
    assert pq.ParquetFile(part).num_row_groups == 5
    assert torch.equal(Spot(part, 3, rows[3]["key"]).variant(0).latent, first(rows[3]))
    with pytest.raises(UserError, match="holds another photograph there"):
        Spot(part, 2, rows[3]["key"]).variant(0)
    for at, name in ((9, part), (0, str(tmp_path / "gone"))):
        with pytest.raises(UserError, match="the same command makes latents anew"):
            Spot(name, at, KEY).variant(0)


def first(columns):
    halves = np.frombuffer(columns["latents"], "<f2").reshape(columns["shape"])
    return torch.from_numpy(halves[0].astype(np.float32))


def test_whatever_decides_latents_is_in_their_key(encode):
    outlines = Outlines(networks()[1], encode)
    rules = rules_of(encode, PLAIN, outlines)
    content = Content("ab", (("mask_disc", "cd"),))
    keys = {
        key_of(rules, content),
        key_of(rules, Content("ab")),
        key_of(rules, Content("aa", content.masks)),
        key_of(rules_of(encode, PLAIN, None), content),
        key_of(rules_of(encode, LatentSettings(96, 2), outlines), content),
        key_of(rules_of(encode, LatentSettings(64, 2, 0.5), outlines), content),
    }
    assert len(keys) == 6
    assert json.loads(rules)[1] == encode.key
    assert weights_of(encode, outlines) != weights_of(encode, None)


def test_other_weights_are_another_encoder(encode):
    vae, _ = networks()
    before = vae.encoder.conv_out.bias.clone()
    with torch.no_grad():
        vae.encoder.conv_out.bias += 1
        other = encoder_of(vae)
        vae.encoder.conv_out.bias.copy_(before)
    assert other.key != encode.key == encoder_of(vae).key


def test_a_cache_may_not_be_there_yet_but_must_be_writable(tmp_path):
    assert writable_cache(str(tmp_path / "a/b")) == tmp_path / "a/b"
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"data\.cache: the cache of encoded photographs cannot"):
        writable_cache(str(tmp_path / "file/cache"))
