"""How the workers of one machine find each other: through a file of theirs, and then over loopback.

Ray Train lets the first worker listen for the others on every address of the machine, and torch's
gloo listens where the machine's name leads. Neither asks who comes.
"""

from __future__ import annotations

import os
import sys
import uuid
from dataclasses import dataclass
from typing import Any

import ray
from ray.train.torch import TorchConfig
from ray.train.torch import config as torch_config

LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"


@dataclass
class OneMachine(TorchConfig):
    """Ray Train's way to set torch up, for workers that share `folder` and no network."""

    folder: str = ""

    @property
    def backend_cls(self) -> type:
        return _OnLoopback


class _OnLoopback(torch_config._TorchBackend):
    def on_start(self, worker_group: Any, backend_config: OneMachine) -> None:
        """Every worker joins the process group; one that replaces another meets elsewhere."""
        worker_group.execute(torch_config._set_torch_distributed_env_vars)
        place = f"file://{backend_config.folder}/{uuid.uuid4().hex}"
        ray.get(
            [
                worker_group.execute_single_async(
                    rank, _join, backend_config.backend, rank, len(worker_group), place
                )
                for rank in range(len(worker_group))
            ]
        )


def _join(backend: str, rank: int, world: int, place: str) -> None:
    os.environ.update(GLOO_SOCKET_IFNAME=LOOPBACK, NCCL_SOCKET_IFNAME=LOOPBACK)
    torch_config._setup_torch_process_group(backend, rank, world, place)
