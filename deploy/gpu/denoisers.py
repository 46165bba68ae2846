"""The denoisers of our presets on a GPU: whole drawings, the place of a row in its batch, and a
step of training. Weights are drawn by chance: speed follows from the shapes.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC, LuminaNextDiT2DModel
from diffusers.utils import logging
from session import Check, Scale, seconds

from engine.diffusion.guidance import guided
from engine.diffusion.loss import rectified_flow_loss
from engine.diffusion.solvers import solve
from engine.models import transformer
from kernels import backends
from kernels.image_out import image_out
from kernels.stable import batch_stable

ROOT = Path(__file__).resolve().parents[2]
LABEL_TOKENS, TOKENS = 17, 273


def denoiser(scale: Scale, preset: str, plain: bool) -> Any:
    """One drawn by chance, all of whose blocks do something; plain: diffusers' own blocks."""
    torch.manual_seed(3)
    logging.set_verbosity_error()
    model = transformer.build(preset)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    if plain:
        theirs = LuminaNextDiT2DModel.from_config(model.config)
        theirs.load_state_dict(model.state_dict())
        model = theirs
    return model.to(scale.device, getattr(torch, scale.dtype)).eval()


def given(
    model: Any, scale: Scale, size: int, rows: int, seed: int = 1
) -> tuple[torch.Tensor, Condition]:
    """Noise (B, C, h, w) and a context, two thirds of whose caption are in sight."""
    at = torch.Generator().manual_seed(seed)
    config, dtype = model.config, getattr(torch, scale.dtype)
    noise = torch.randn(rows, config.in_channels, size // 16, size // 16, generator=at)
    tokens = torch.randn(rows, TOKENS, config.cross_attention_dim, generator=at)
    mask = torch.rand(rows, TOKENS, generator=at) < 0.66
    mask[:, -LABEL_TOKENS:] = True
    context = Condition(tokens.to(scale.device, dtype), mask.to(scale.device))
    return noise.to(scale.device, dtype), context


@dataclass(frozen=True)
class Condition:
    """What a denoiser attends to: tokens (B, T, C), and mask (B, T), true where one is in sight."""

    tokens: torch.Tensor
    mask: torch.Tensor
    patches: None = None

    def some(self, rows: slice) -> Condition:
        """That of some rows."""
        return Condition(self.tokens[rows], self.mask[rows])

    def twice(self) -> Condition:
        """For both halves of guidance."""
        return Condition(self.tokens.repeat(2, 1, 1), self.mask.repeat(2, 1))


def draw(
    model: Any, vae: Any, noise: torch.Tensor, context: Condition, solver: str, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents (B, C, h, w) and pictures (B, H, W, 3) uint8: guided steps from noise, both halves in
    one call, decoded. vae: None where the latents fit none."""
    both = context.twice()

    def conditioned(latents: torch.Tensor, moment: float, pair: bool) -> torch.Tensor:
        x = latents.repeat(2, 1, 1, 1) if pair else latents
        times = torch.full((len(x),), moment, device=x.device, dtype=x.dtype)
        return transformer.velocity(model, x, times, both if pair else context)

    latents = solve(solver, guided(conditioned, 3.0), noise, steps)
    if vae is None:
        return latents, image_out(latents[:, :3])
    return latents, image_out(vae.decode(latents / vae.config.scaling_factor).sample)


def ways(scale: Scale) -> list[tuple[str, str, int, str, bool]]:
    """(name, solver, steps, attention, fused), the plain diffusers way first."""
    found = [
        ("plain", "euler", scale.plain_steps, "sdpa", False),
        ("16 steps", "dpmpp", min(16, scale.plain_steps), "sdpa", False),
    ]
    if scale.dry:
        return found
    return [
        *found,
        ("16 steps, fused", "dpmpp", 16, "sdpa", True),
        ("16 steps, triton", "dpmpp", 16, "triton", True),
        ("4 steps, fused", "euler", 4, "sdpa", True),
    ]


def decoder(scale: Scale) -> Any:
    """That of `tiny`; None for the rehearsal, whose latents have other channels."""
    if scale.dry:
        return None
    folder = ROOT / "engine/weights/tiny/vae"
    vae = AutoencoderDC.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    return vae.to(scale.device, getattr(torch, scale.dtype)).eval()


def sampling(check: Check) -> None:
    """Whole drawings. Their speed follows from the shape, so weights by chance tell it; what few
    steps do to the pictures they do not tell."""
    scale, vae = check.scale, decoder(check.scale)
    for preset in scale.models:
        models = {plain: denoiser(scale, preset, plain) for plain in (True, False)}
        for size in scale.sizes:
            rows, first = scale.batch[size], None
            for name, solver, steps, attends, fused in ways(scale):
                setting = f"{preset} {size} px: {name}"
                if check.late(f"sampling {setting}", 20):
                    return
                model = models[name == "plain"]
                call = partial(
                    draw, model, vae, *given(model, scale, size, rows), solver=solver, steps=steps
                )
                with (
                    check.part(setting), torch.inference_mode(), backends.override(attends, fused)
                ):  # fmt: skip
                    rate = rows / seconds(call, 1)
                    first = first or rate
                    figures = {"images_per_s": rate, "ratio": rate / first}
                    check.add("sampling", setting, **figures, steps=steps, batch=rows)


def stability(check: Check) -> None:
    """Whether a row is the same to the bit among other rows and in another place of a call of the
    same shape, and what that costs. In a call of another shape it is only looked at."""
    scale = check.scale
    preset, size = scale.models[-1], scale.sizes[0]
    model, vae = denoiser(scale, preset, plain=False), decoder(scale)
    usual = None
    for name in ("usual", "batch-stable"):
        if check.late(f"stability, {name}", 20):
            return
        stable = name != "usual"
        attends = "triton" if stable and not scale.dry else "sdpa"
        switches = batch_stable() if stable else nullcontext()
        with torch.inference_mode(), switches, backends.override(attends):
            at = partial(draw, model, vae, solver="dpmpp", steps=min(4, scale.plain_steps))
            differing, took = _moved(at, *given(model, scale, size, 4 if scale.dry else 8), scale)
        usual = usual or took
        figures = {f"differing_{key}": count for key, count in differing.items()}
        check.add("stability", f"{preset} {size} px: {name}", **figures, price=took / usual - 1)
        if stable and (differing["latents"] or differing["bytes"]):
            check.faults.append("stability: a row changed with its place in the batch")


def _moved(
    at: Any, noise: torch.Tensor, context: Condition, scale: Scale
) -> tuple[dict[str, int], float]:
    """How many numbers of row 1 differ when it stands last among other rows, and in a call of half
    as many; and the seconds of a call."""
    rows = len(noise)
    others, tokens, mask = torch.randn_like(noise), torch.randn_like(context.tokens), context.mask
    others[-1], tokens[-1] = noise[1], context.tokens[1]
    of_others = Condition(tokens, torch.cat([mask[2:], mask[:2]]))
    own = at(noise=noise, context=context)
    moved = at(noise=others, context=of_others)
    fewer = at(noise=noise[: rows // 2], context=context.some(slice(rows // 2)))
    differing = {
        "latents": int((own[0][1] != moved[0][-1]).sum()),
        "bytes": int((own[1][1] != moved[1][-1]).sum()),
        "bytes_in_a_smaller_call": int((own[1][1] != fewer[1][1]).sum()),
    }
    return differing, seconds(partial(at, noise=noise, context=context), scale.rounds)


def training(check: Check) -> None:
    """A step of AdamW on rectified flow, blocks by diffusers and by our processors."""
    scale = check.scale
    size = scale.sizes[0]
    for preset in scale.models:
        first = None
        for name in ("plain", "ours"):
            if check.late(f"training {preset}, {name}", 20):
                return
            model = denoiser(scale, preset, name == "plain").float().train()
            call = partial(_step, model, scale, size, torch.optim.AdamW(model.parameters(), 1e-5))
            if scale.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            rate = scale.batch[size] / seconds(call, scale.rounds)
            first = first or rate
            memory = torch.cuda.max_memory_allocated() / 1e9 if scale.device == "cuda" else 0.0
            check.add(
                "training", f"{preset} {size} px: {name}", images_per_s=rate,
                ratio=rate / first, memory_gb=memory, batch=scale.batch[size],
            )  # fmt: skip


def _step(model: Any, scale: Scale, size: int, optimiser: Any) -> None:
    images, context = given(model, scale, size, scale.batch[size])
    noise, times = torch.randn_like(images), torch.rand(len(images), device=images.device)
    velocity = partial(transformer.velocity, model, context=context)
    with torch.autocast(scale.device, torch.bfloat16, enabled=not scale.dry):
        loss = rectified_flow_loss(velocity, images, noise, times.to(images)).mean()
    loss.backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
