"""`bench training`: steps of a denoiser's preset beside a plain loop of diffusers' with the same
network, in one run on this machine.

Rows are drawn at random, of the shapes that a run has with captions as long as they may be. The
plain loop is that of diffusers' examples: its model class as it is, autocast, AdamW, clipping,
`EMAModel`; once on prepared latents and caption states, as a run of ours has them, and once with
autoencoder and text encoder in the loop. Model FLOPs utilisation (Chowdhery et al. 2022, arXiv
2204.02311, appendix B) counts each product once, whether a block is computed again or not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from diffusers import LuminaNextDiT2DModel
from diffusers.models.embeddings import get_2d_rotary_pos_embed_lumina
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from engine import registry, shipped
from engine.models import transformer
from engine.models.classes import read_needs
from engine.models.needs import Needs
from engine.registry.base import BaseRef
from engine.schema import MAX_CAPTION_TOKENS, UserError
from train import denoising, machine
from train.presets import find
from train.settings import Settings, override
from train.stepper import OneProcess, pieces, to_device

WARM = 2
"""Steps before the clock starts."""
PREFIX = "diffusion-"
NOT_MEASURED = ("init", "model.lora", "align", "offload", "zero")
"""Settings that change a step and are in none of the ways: a figure would not be theirs."""

Row = dict[str, Any]
Step = Callable[[], None]


def asked(preset: str, overrides: Mapping[str, str]) -> Settings:
    """The preset's settings as they will be measured; UserError for a preset of another recipe."""
    settings = override(find(preset).settings, overrides)
    if not preset.startswith(PREFIX):
        raise UserError(f"{preset!r}", asked="preset", expected=f"one that begins with {PREFIX}")
    for name in NOT_MEASURED:
        if name in overrides:
            problem = "one process trains new weights, all of them, by the loss alone"
            raise UserError(problem, field=name, expected="none of it")
    return settings


def measure(settings: Settings, seconds: float, say: Callable[[str], None]) -> list[Row]:
    """A row for each way to train; `ratio` is the speed over that of the plain loop on prepared
    latents, `mfu` is None where no speed of this machine's GPU is known."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    needs, batch = _needs(settings), _batch(settings)
    flops, peak_flops = flops_of_an_image(settings), machine.peak(device)
    where = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    table: list[Row] = []
    for name, make in _ways(settings, needs, batch, device):
        say(f"{settings.name}: {name}")
        speed, peak = _speed(make(), settings.batch, seconds, device, say)
        table.append(
            {
                "setting": f"{settings.name}: {name}",
                "images_per_s": round(speed, 3),
                "tflops": round(speed * flops / 1e12, 3),
                "mfu": round(speed * flops / peak_flops, 4) if peak_flops else None,
                "peak_mb": peak,
                "ratio": round(speed / table[0]["images_per_s"], 3) if table else 1.0,
                "obtained": where,
            }
        )
    return table


def show(table: list[Row]) -> None:
    """A table on standard output."""
    from rich.console import Console
    from rich.table import Table

    columns = ("setting", "images_per_s", "tflops", "mfu", "peak_mb", "ratio")
    view = Table(*columns, box=None)
    for row in table:
        view.add_row(*("" if row[each] is None else str(row[each]) for each in columns))
    Console().print(view)


def _ways(
    settings: Settings, needs: Needs, batch: dict[str, Tensor], device: torch.device
) -> Iterator[tuple[str, Callable[[], Step]]]:
    yield "plain loop, prepared latents", lambda: _plain(settings, needs, batch, device)
    if settings.model["base"]:
        yield (
            "plain loop, encoders in it",
            lambda: _plain(settings, needs, {**batch, **_unprepared(settings)}, device),
        )
    yield "retinaforge train", lambda: _ours(settings, needs, batch, device)


def _needs(settings: Settings) -> Needs:
    base = settings.model["base"]
    if not base:
        return transformer.own_needs(settings.model["preset"])
    return read_needs(shipped.folder_of(registry.find(BaseRef, base).location))


def _batch(settings: Settings) -> dict[str, Tensor]:
    torch.manual_seed(settings.seed)
    made = denoising.specimen(settings.batch, _needs(settings), settings.data["size"])
    return {n: torch.rand(t.shape) if t.is_floating_point() else t for n, t in made.items()}


def _unprepared(settings: Settings) -> dict[str, Tensor]:
    size, rows = settings.data["size"], settings.batch
    words = torch.randint(5, 100, (rows, MAX_CAPTION_TOKENS))
    return {"pixels": torch.rand(rows, 3, size, size) * 2 - 1, "words": words}


def flops_of_an_image(settings: Settings) -> float:
    """Forward and backward."""
    rows, needs = settings.micro or settings.batch, _needs(settings)
    with torch.device("meta"):
        module = _module(settings, needs)
    size = settings.data["size"]
    return machine.flops(module, denoising.specimen(rows, needs, size)) / rows


def _module(settings: Settings, needs: Needs) -> denoising.Denoising:
    size = settings.data["size"]
    return denoising.new(settings.model["preset"], needs, ("one",), None, size)


def _ours(settings: Settings, needs: Needs, batch: dict[str, Tensor], device: torch.device) -> Step:
    module = _module(settings, needs)
    if settings.model["checkpointing"]:
        transformer.checkpointed(module.transformer)
    stepper = OneProcess(module, settings, device)

    def step() -> None:
        stepper.step(batch, settings.lr)
        stepper.average(settings.ema)

    return step


def _plain(
    settings: Settings, needs: Needs, batch: dict[str, Tensor], device: torch.device
) -> Step:
    model = LuminaNextDiT2DModel.from_config(
        transformer.build(settings.model["preset"], needs).config
    )
    model = model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, betas=settings.betas)
    average = EMAModel(model.parameters(), decay=settings.ema)
    encode = _encoders(settings, device) if "pixels" in batch else lambda piece: piece
    side = batch["latents"].shape[-1] // model.config.patch_size
    rotary = get_2d_rotary_pos_embed_lumina(model.head_dim, side, side).to(device)

    def loss(piece: Mapping[str, Tensor]) -> Tensor:
        latents, noise = piece["latents"], piece["noise"]
        times = piece["times"].view(-1, 1, 1, 1)
        found = model(
            hidden_states=(1 - times) * noise + times * latents,
            timestep=piece["times"],
            encoder_hidden_states=piece["states"],
            encoder_mask=piece["mask"],
            image_rotary_emb=rotary,
            cross_attention_kwargs={},
            return_dict=False,
        )[0]
        return nn.functional.mse_loss(found.float(), (latents - noise).float())

    def step() -> None:
        optimizer.zero_grad()
        for share, piece in pieces(to_device(batch, device), settings.micro):
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                found = loss(encode(piece))
            (found * share).backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip or float("inf"))
        optimizer.step()
        average.step(model.parameters())

    return step


def _encoders(
    settings: Settings, device: torch.device
) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    autoencoder, text = registry.find(BaseRef, settings.model["base"]).load()
    autoencoder, words = (each.to(device).float().eval() for each in (autoencoder, text.model))

    @torch.no_grad()
    def encode(piece: dict[str, Tensor]) -> dict[str, Tensor]:
        autoencoder.encode(piece["pixels"])
        states = words(input_ids=piece["words"]).last_hidden_state
        return {**piece, "states": states}

    return encode


def _speed(
    step: Step, rows: int, seconds: float, device: torch.device, say: Callable[[str], None]
) -> tuple[float, int | None]:
    """Images per second, and on a GPU the most memory that was allocated in MB."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    for number in range(WARM):
        began = time.perf_counter()
        step()
        wait()
        say(f"  step {number + 1} of {WARM} to warm up: {time.perf_counter() - began:.1f} s")
    began, steps = time.perf_counter(), 0
    while not steps or time.perf_counter() - began < seconds:
        step()
        wait()
        steps += 1
    speed = steps * rows / (time.perf_counter() - began)
    peak = torch.cuda.max_memory_allocated() >> 20 if device.type == "cuda" else None
    return speed, peak
