"""The autoencoder's encoder as one convolution, where it is one."""

from __future__ import annotations

import torch
from stand_ins import kl

from engine.data.transforms import to_tensor
from engine.models import principal_components
from engine.models.autoencoder import autoencoder_of
from engine.models.patches import encoder_of


def test_an_encoder_of_components_is_one_convolution_and_another_is_called(photographs):
    vae = principal_components.build("debug").eval()
    images = torch.stack([to_tensor(p) for p in photographs[:3]])
    principal_components.start_from_components(vae, images)
    called = []
    vae.encoder.register_forward_hook(lambda *_: called.append(1))
    fast = encoder_of(vae)
    asked = vae.encode(images).latent.detach() * vae.config.scaling_factor
    called.clear()
    assert torch.allclose(fast(images), asked, atol=1e-3 * float(asked.detach().abs().max()))
    assert not called
    torch.nn.init.normal_(vae.encoder.conv_out.weight, std=0.1)
    slow = encoder_of(vae)
    called.clear()
    assert torch.equal(slow(images), vae.encode(images).latent.detach() * vae.config.scaling_factor)
    assert called
    assert slow.key != fast.key


@torch.no_grad()
def test_a_kl_encoder_is_called(photographs):
    vae = kl()
    images = torch.stack([to_tensor(p.resize((64, 64))) for p in photographs[:2]])
    encode = encoder_of(vae)
    assert torch.equal(encode(images), autoencoder_of(vae).encode(images))
    assert encode.key == autoencoder_of(vae).key
