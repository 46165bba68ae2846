"""Published weights are read by name: the network computes what theirs did, and no code runs."""

from __future__ import annotations

import pickle
import re

import pytest
import torch
from lumina import DIM, HEADS, checkpoint
from torch.nn import functional as F

from engine.models import transformer
from engine.models.conditioner import Context
from engine.models.published import (
    TIME_SCALE,
    denoiser_of,
    published_name,
    read_published,
)
from engine.schema import UserError

CHANNELS, TEXT = 4, 48


def written(tmp_path, tensors):
    path = tmp_path / "consolidated.00-of-01.pth"
    torch.save(tensors, path)
    return path


def rms(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * weight


class Theirs:
    """The equations of Next-DiT (arXiv 2406.18583, section 2) on weights by their names."""

    def __init__(self, tensors):
        self.w = tensors

    def linear(self, x, name):
        return F.linear(x, self.w[f"{name}.weight"], self.w.get(f"{name}.bias"))

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def __call__(self, image, time, text, mask):
        rows, channels, high, wide = image.shape
        grid = image.view(rows, channels, high // 2, 2, wide // 2, 2)
        x = self.linear(grid.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2), "x_embedder")
        waves = time[:, None] * 10000 ** -(torch.arange(128) / 128)
        t = F.silu(self.linear(torch.cat([waves.cos(), waves.sin()], -1), "t_embedder.mlp.0"))
        pooled = (text * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        told = self.linear(self.norm(pooled, "cap_embedder.0"), "cap_embedder.1")
        c = F.silu(self.linear(t, "t_embedder.mlp.2") + told)
        turns = self.turns(high // 2, wide // 2)
        for i in range(len({n.split(".")[1] for n in self.w if n.startswith("layers.")})):
            x = self.block(x, c, text, mask, turns, f"layers.{i}.")
        x = F.layer_norm(x, x.shape[-1:], eps=1e-6)
        x = x * (1 + self.linear(c, "final_layer.adaLN_modulation.1"))[:, None]
        x = self.linear(x, "final_layer.linear").view(rows, high // 2, wide // 2, 2, 2, -1)
        return x.permute(0, 5, 1, 3, 2, 4).reshape(rows, -1, high, wide)[:, :channels]

    def turns(self, high, wide):
        width = DIM // HEADS
        speeds = 10000 ** -(torch.arange(0, width, 4) / width)
        down, right = torch.arange(high)[:, None] * speeds, torch.arange(wide)[:, None] * speeds
        both = torch.stack(
            [down[:, None].expand(-1, wide, -1), right[None].expand(high, -1, -1)], -1
        )
        angle = both.flatten(2).flatten(0, 1)
        return torch.polar(torch.ones_like(angle), angle)[None, :, None]

    def heads(self, x, turns=None):
        x = x.unflatten(-1, (-1, DIM // HEADS))
        if turns is not None:
            turned = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2)) * turns
            x = torch.view_as_real(turned).flatten(3)
        return x.repeat_interleave(HEADS // x.shape[2], 2).transpose(1, 2)

    def block(self, x, c, text, mask, turns, at):
        scale, gate, scale2, gate2 = self.linear(c, f"{at}adaLN_modulation.1")[:, None].chunk(4, -1)
        a, w = f"{at}attention.", self.w
        y = rms(x, w[f"{at}attention_norm1.weight"]) * (1 + scale)
        said = rms(text, w[f"{at}attention_y_norm.weight"])
        q = self.heads(self.norm(self.linear(y, f"{a}wq"), f"{a}q_norm"), turns)
        k = self.heads(self.norm(self.linear(y, f"{a}wk"), f"{a}k_norm"), turns)
        seen = F.scaled_dot_product_attention(q, k, self.heads(self.linear(y, f"{a}wv")))
        k = self.heads(self.norm(self.linear(said, f"{a}wk_y"), f"{a}ky_norm"))
        v = self.heads(self.linear(said, f"{a}wv_y"))
        read = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
        both = seen + read * w[f"{a}gate"].tanh().view(1, -1, 1, 1)
        out = self.linear(both.transpose(1, 2).flatten(2), f"{a}wo")
        x = x + gate.tanh() * rms(out, w[f"{at}attention_norm2.weight"])
        y = rms(x, w[f"{at}ffn_norm1.weight"]) * (1 + scale2)
        f = f"{at}feed_forward."
        inner = F.silu(self.linear(y, f"{f}w1")) * self.linear(y, f"{f}w3")
        return x + gate2.tanh() * rms(self.linear(inner, f"{f}w2"), w[f"{at}ffn_norm2.weight"])


@torch.no_grad()
def test_the_network_gives_what_the_published_equations_give(tmp_path):
    tensors = checkpoint()
    file = written(tmp_path, tensors)
    model = denoiser_of(read_published(file), 64, 8, file)
    torch.manual_seed(1)
    image, text, times = torch.randn(2, CHANNELS, 8, 4), torch.randn(2, 5, TEXT), torch.rand(2)
    mask = torch.ones(2, 5, dtype=torch.bool)
    mask[1, 3:] = False
    found = transformer.velocity(model, image, times, Context(text, mask), None, TIME_SCALE)
    expected = Theirs(tensors)(image, times, text, mask)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)


def test_every_weight_goes_there_and_back_to_the_bit(tmp_path):
    tensors = {name: tensor.bfloat16() for name, tensor in checkpoint(layers=3).items()}
    file = written(tmp_path, tensors)
    model = denoiser_of(read_published(file), 64, 8, file)
    back = {}
    for name, tensor in model.state_dict().items():
        theirs = published_name(name)
        assert torch.equal(back.setdefault(theirs, tensor), tensor)
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
    assert model.config.learn_sigma


def test_the_full_size_has_the_published_names_and_shapes():
    with torch.device("meta"):
        model = transformer.build("retinalogos-2b")
        names = {published_name(name): t.shape for name, t in model.state_dict().items()}
        small = {re.sub(r"layers\.\d+", "layers.0", name) for name in checkpoint(1)}
    assert {re.sub(r"layers\.\d+", "layers.0", name) for name in names} == small
    assert names["layers.23.attention.wk.weight"] == (576, 2304)
    assert names["layers.23.attention.wv_y.weight"] == (576, 2048)
    assert names["layers.23.feed_forward.w1.weight"] == (6144, 2304)
    assert names["layers.23.adaLN_modulation.1.weight"] == (9216, 1024)
    assert names["x_embedder.weight"] == (2304, 16)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop("layers.1.attention.ky_norm.bias"), r"layers.1.attention.ky_norm.bias: "),
        (lambda t: t.pop("x_embedder.weight"), "x_embedder.weight: this weight is missing"),
        (lambda t: t.update(more=torch.ones(1)), "more: a weight that the network does not have"),
        (
            lambda t: t.update({"layers.1.feed_forward.w1.weight": torch.ones(255, DIM)}),
            r"w1.weight: has shape \(255, 64\) \(expected \(256, 64\)",
        ),
        (lambda t: t.update({"layers.0.attention.gate": torch.ones(5)}), "5 heads do not divide"),
        (lambda t: t.update(step=3), "step: no tensor"),
        (lambda t: t.update(pad_token=torch.ones(DIM).int()), r"pad_token: numbers of torch.int32"),
        (lambda t: t.update(pad_token=torch.ones(1).expand(1 << 40)), "more than it does"),
    ],
)
def test_a_checkpoint_of_another_layout_is_refused_by_name(tmp_path, change, told):
    tensors = checkpoint()
    change(tensors)
    file = written(tmp_path, tensors)
    with pytest.raises(UserError, match=told):
        denoiser_of(read_published(file), 64, 8, file)


class Hostile:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda path: torch.save({"a": Hostile()}, path), "could run code .* asks for exec"),
        (lambda path: path.write_bytes(pickle.dumps(Hostile())), "(?i)cannot be read|run code"),
        (lambda path: path.write_bytes(b"PK\3\4 cut"), "cannot be read"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: torch.save([torch.ones(1)], path), "holds no tensors by name"),
    ],
)
def test_what_is_no_checkpoint_is_refused_and_never_run(tmp_path, write, told):
    path = tmp_path / "consolidated.pth"
    write(path)
    with pytest.raises(UserError, match=told):
        read_published(path)
