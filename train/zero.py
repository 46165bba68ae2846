"""One worker of many: the step under DeepSpeed's ZeRO (Rajbhandari et al. 2020, arXiv 1910.02054).

Weights, gradients and AdamW's state are sharded by stage: 0 nothing, 1 the state, 2 gradients
too, 3 weights too. The averaged weights lie beside AdamW's moments as one more state of the same
shards, so that they cost no communication and are gathered by the same call when they are wanted.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus
from deepspeed.utils import (
    safe_get_full_fp32_param,
    safe_get_full_optimizer_state,
    safe_set_full_fp32_param,
    safe_set_full_optimizer_state,
    safe_set_local_fp32_param,
    safe_set_local_optimizer_state,
)
from torch import Tensor, nn

from engine.schema import UserError
from train.memory import BUCKET, GATHERED
from train.optimiser import (
    MuonAdamW,
    begin,
    by_muon,
    make_optimizer,
    orthogonal,
    trained_parameters,
)
from train.settings import Settings
from train.shards import Laid, end_to_end, evenly, of_matrices
from train.stepper import (
    Batch,
    add_means,
    check_names,
    fill,
    pieces,
    to_device,
)

T = TypeVar("T")


def deepspeed_config(settings: Settings, world: int, cuda: bool) -> dict[str, Any]:
    """DeepSpeed's configuration: float32 on CPUs over gloo; on GPUs bf16 products over NCCL.

    Weights stay float32 on a GPU as well, under autocast: times and losses are computed in
    float32 there, and a checkpoint means the same on every machine.
    """
    rows = settings.batch // world
    micro = settings.micro or rows
    # DeepSpeed's own AdamW for CPUs is an extension that it would compile; torch's steps as well.
    offload = {"offload_optimizer": {"device": "cpu", "pin_memory": cuda}}
    return {
        "train_batch_size": settings.batch,
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": rows // micro,
        "gradient_clipping": settings.clip,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": {
            "stage": settings.zero,
            "overlap_comm": cuda,
            "reduce_bucket_size": BUCKET,
            "stage3_max_live_parameters": GATHERED,
            "stage3_max_reuse_distance": GATHERED,
            **(offload if settings.offload else {}),
        },
        "torch_autocast": {"enabled": cuda, "dtype": "bfloat16"},
        # The loop prints; DeepSpeed need not.
        "steps_per_print": 1 << 30,
    }


def together(build: Callable[[], T]) -> T:
    """Build on every worker. A UserError on any of them is raised on all, so that none waits for
    another."""
    built, problem = None, None
    try:
        built = build()
    except UserError as error:
        problem = str(error)
    problems: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(problems, problem)
    for found in problems:
        if found is not None:
            raise UserError(found)
    assert built is not None
    return built


class Sharded:
    """The `Stepper` of many workers; the process group must be up."""

    def __init__(self, module: nn.Module, settings: Settings, device: torch.device) -> None:
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.device = device
        self.settings = settings
        self.shown = module.eval()
        if device.type == "cpu":
            # DeepSpeed would compile a C++ extension on first use, which takes minutes and a
            # compiler; gloo does without.
            deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        trained = copy.deepcopy(module).to(device).train()
        self.engine, *_ = deepspeed.initialize(
            model=trained,
            optimizer=make_optimizer(trained, settings),
            config=deepspeed_config(settings, self.world, device.type == "cuda"),
            dist_init_required=False,
        )
        self.parameters = trained_parameters(self.engine.module)
        self.muon = by_muon(module, settings)
        self.base = self.engine.basic_optimizer
        self._start_state()
        if isinstance(self.base, MuonAdamW) and settings.zero:
            self.base.orthogonal = self._orthogonal

    def step(self, batch: Batch, lr: float) -> dict[str, float]:
        """See `Stepper.step`."""
        for group in self.base.param_groups:
            group["lr"] = lr
        totals: dict[str, Tensor] = {}
        for share, piece in pieces(to_device(batch, self.device), self.settings.micro):
            values = {name: value.float() for name, value in self.engine(piece).items()}
            self.engine.backward(values["loss"].mean())
            norm = self._norm_stage_0() if self.settings.zero == 0 else None
            self.engine.step()
            add_means(totals, values, share)
        means = torch.stack(list(totals.values()))
        dist.all_reduce(means)
        found = dict(zip(totals, (means / self.world).tolist()))
        norm = self.engine.get_global_grad_norm() if norm is None else norm
        return {**found, "grad_norm": float(norm)}

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """See `Stepper.average`: each worker moves its own shard."""
        if self.settings.ema:
            averaged = [self.base.state[shard]["ema"] for shard in self._shards()]
            torch._foreach_lerp_(averaged, self._shards(), 1 - decay)

    def agree(self, flag: bool) -> bool:
        """See `Stepper.agree`."""
        flags = torch.tensor([int(flag)], device=self.device)
        dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        return bool(flags.item())

    @torch.no_grad()
    def read(self, part: str) -> dict[str, Tensor]:
        """See `Stepper.read`: on the other workers only one parameter at a time is whole."""
        whole = {}
        for name, parameter in self._kept(part).items():
            tensor = self._gather(parameter, part)
            if self.rank == 0:
                whole[name] = tensor.detach().cpu()
        if part == "model" and self.rank == 0:
            whole.update({n: b.detach().cpu() for n, b in self._buffers().items()})
        return whole

    @torch.no_grad()
    def write(self, part: str, tensors: Mapping[str, Tensor]) -> None:
        """See `Stepper.write`."""
        buffers, kept = self._buffers() if part == "model" else {}, self._kept(part)
        check_names(part, {**kept, **buffers}, tensors)
        for name, parameter in kept.items():
            self._scatter(parameter, part, tensors[name].to(self.device))
        for name, buffer in buffers.items():
            buffer.copy_(tensors[name])

    def resume(self, step: int) -> None:
        """See `Stepper.resume`."""
        for shard in self._shards():
            self.base.state[shard]["step"].fill_(step)

    def show(self) -> None:
        """See `Stepper.show`."""
        tensors = self.read("ema" if self.settings.ema else "model")
        if self.rank == 0:
            fill(self.shown, {**tensors, **self._buffers()})

    def _kept(self, part: str) -> dict[str, Tensor]:
        """The parameters of which there is such a part."""
        if part == "ema" and not self.settings.ema:
            return {}
        without = self.muon if part == "exp_avg_sq" else ()
        return {name: p for name, p in self.parameters.items() if name not in without}

    def _norm_stage_0(self) -> Tensor:
        """DeepSpeed clips by this norm and tells nobody; gradients are already everyone's mean."""
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        return nn.utils.get_total_norm(gradients)

    def _start_state(self) -> None:
        """Make the state now, where DeepSpeed waits for a step: a checkpoint may come first."""
        groups = self.base.param_groups
        if self.settings.zero == 3:
            groups = [groups[i] for i in self.engine.optimizer.sub_group_to_group_id.values()]
        elif self.settings.zero == 0:
            groups = [group for group in groups for _ in group["params"]]
        for shard, group in zip(self._shards(), groups, strict=True):
            begin(self.base, shard, group["muon"], self.settings)
        if self.settings.zero in (1, 2):
            self.engine.optimizer._lazy_init_hp_params_optimizer_state()

    def _shards(self) -> list[Tensor]:
        """The float32 tensors that this worker's optimiser updates."""
        if self.settings.zero == 0:
            return [p for group in self.base.param_groups for p in group["params"]]
        if self.settings.zero == 3:
            return list(self.engine.optimizer.fp32_partitioned_groups_flat)
        return list(self.engine.optimizer.single_partition_of_fp32_groups)

    def _orthogonal(self, shard: Tensor, direction: Tensor) -> Tensor:
        """See `Orthogonal`; gathered in bf16, in which Muon computes."""
        mine = direction.to(self.device, torch.bfloat16)
        every = [torch.empty_like(mine) for _ in range(self.world)]
        dist.all_gather(every, mine)
        index = next(i for i, each in enumerate(self._shards()) if each is shard)
        found = of_matrices(every, self.rank, self._laid(index, len(mine)), orthogonal)
        return found.to(direction.device)

    def _laid(self, index: int, size: int) -> list[Laid]:
        """The matrices of a shard of `size` numbers."""
        zero = self.engine.optimizer
        if self.settings.zero == 3:
            found = []
            for parameter in zero.fp16_groups[index]:
                _, at, length = zero.grad_position[zero.get_param_id(parameter)]
                found.append(evenly(parameter.ds_shape, at, length, self.world))
            return found
        flat = zero.bit16_groups_flat[index]
        return [
            end_to_end(p.shape, p.storage_offset() - flat.storage_offset(), size, self.world)
            for p in zero.bit16_groups[index]
        ]

    def _gather(self, parameter: Tensor, part: str) -> Tensor:
        if self.settings.zero == 0:
            return parameter if part == "model" else self.base.state[parameter][part]
        if part == "model":
            return safe_get_full_fp32_param(parameter)
        return safe_get_full_optimizer_state(parameter, part)

    def _scatter(self, parameter: Tensor, part: str, value: Tensor) -> None:
        if self.settings.zero == 3:
            self._scatter_stage_3(parameter, part, value)
        elif part == "model":
            parameter.copy_(value)
            if self.settings.zero:
                safe_set_full_fp32_param(parameter, value)
        elif self.settings.zero:
            safe_set_full_optimizer_state(parameter, value, part)
        else:
            self.base.state[parameter][part].copy_(value)

    def _scatter_stage_3(self, parameter: Any, part: str, value: Tensor) -> None:
        """DeepSpeed's own `safe_set_full_*` fail here on a size that the workers do not divide."""
        size = parameter.ds_tensor.numel()
        padded = nn.functional.pad(value.flatten(), (0, size * self.world - value.numel()))
        mine = padded[size * self.rank : size * (self.rank + 1)]
        if part != "model":
            safe_set_local_optimizer_state(parameter, mine, part)
            return
        parameter.ds_tensor.copy_(mine)
        safe_set_local_fp32_param(parameter, mine)
        if parameter.ds_status == ZeroParamStatus.AVAILABLE:
            # Small parameters stay whole on every worker, and are not gathered before the next
            # step.
            parameter.data.copy_(value)

    def _buffers(self) -> dict[str, Tensor]:
        return dict(self.engine.module.named_buffers())
