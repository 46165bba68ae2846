"""Where the stages run: Ray inside this process, or a cluster by address; and how many workers that
carries.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from engine import device
from engine.schema import UserError
from engine.stages import embedded
from engine.stages.code import NOT_SHIPPED, ROOT, job_config

TOKEN = "RAY_AUTH_MODE=token and its token in RAY_AUTH_TOKEN or ~/.ray/auth_token"
NODES_WAIT = 24 * 3600
"""Seconds that a run waits for a machine of a cluster; Ray Data's own half hour is soon over where
spot machines are scarce.
"""
LISTEN_WAIT = 10.0
"""Seconds in which a head's port must take a connection."""


@contextmanager
def cluster(address: str | None, workers: int | None) -> Iterator[None]:
    """Ray for the time of a run: the one that this process has, that of `address` or RAY_ADDRESS,
    or one of its own.

    Raises UserError if no cluster answers at the address, or nothing can be started here.
    """
    _quieten(joins(address))
    import ray

    if ray.is_initialized():
        yield
    elif joins(address):
        _join(ray, address_of(address))
        try:
            yield
        finally:
            ray.shutdown()
    else:
        with embedded.embedded(workers):
            yield


def check(address: str | None) -> None:
    """Raise UserError where no Ray can be joined (at an address or RAY_ADDRESS) or started: before
    anything else is done for a run there."""
    address = address_of(address)
    if not address:
        embedded.check()
        return
    if address.startswith("http"):
        raise UserError(
            f"{address} takes jobs and no drivers",
            asked="address",
            expected="HOST:6379 on a machine of the cluster; elsewhere `retinaforge submit`",
        )
    if not _answers(address):
        raise _silent(address)


def address_of(address: str | None) -> str:
    """The address of the cluster to join, or nothing."""
    address = address or os.environ.get("RAY_ADDRESS") or ""
    return "" if address == "local" else address


def joins(address: str | None) -> bool:
    """Whether a run at this address joins a cluster that others started (and may scale)."""
    import ray

    return not ray.is_initialized() and bool(address_of(address))


def worker_count(
    wanted: int | None, needs: Mapping[str, float], joined: bool, threads: int = 1
) -> int:
    """Workers of a run on the running cluster, each of which takes `needs` (a GPU, say): as many as
    fit, at most as many as wanted; where no number is wanted, a processor for each of their
    `threads`.

    A joined cluster may grow, and tells nobody how far: there `wanted` is obeyed, and the workers
    that do not fit yet wait for nodes. Raises UserError where none fits and no number was given.
    """
    import ray

    resources = ray.cluster_resources()
    if joined and wanted is not None:
        return wanted
    scarce = {name: amount for name, amount in needs.items() if name != "CPU"}
    for name, amount in scarce.items():
        if resources.get(name, 0) < amount:
            hope = "; ⟨workers⟩ N waits for an autoscaler to bring them" if joined else ""
            raise UserError(
                f"each worker takes {amount:g} {name} and this cluster has "
                f"{resources.get(name, 0):g} now{hope}",
                asked="workers" if joined else "device",
            )
    if scarce:
        room = min(int(resources[name] / amount) for name, amount in scarce.items())
        return min(wanted or room, room)
    room = max(1, int(resources.get("CPU", 1)))
    if wanted is not None:
        return min(wanted, room)
    memory = int(resources.get("memory", device.WORKER_MEMORY))
    return max(1, min(room // threads, memory // device.WORKER_MEMORY))


def default_workers(gpu: bool, threads: int = 1) -> int:
    """Workers that an embedded Ray would run on this machine."""
    if gpu:
        import torch

        return max(1, torch.cuda.device_count())
    return max(1, min(device.cpu_count() // threads, device.free_memory() // device.WORKER_MEMORY))


def _quieten(joined: bool) -> None:
    # Hospitals' machines report to nobody.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if joined:
        os.environ.setdefault("RAY_DATA_EXECUTION_NO_PROGRESS_TIMEOUT_S", str(NODES_WAIT))
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray.data  # noqa: F401  (sets up the loggers that are quietened here)

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)


def _join(ray: Any, address: str) -> None:
    """Connect, and ship this checkout only to a cluster whose nodes do not have it."""
    check(address)
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        with embedded.quiet_start():
            ray.init(address=address, job_config=job_config(), **quiet)
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise _silent(address) from error
    if not _knows_us(ray):
        ray.shutdown()
        shipped = {"working_dir": str(ROOT), "excludes": NOT_SHIPPED}
        ray.init(address=address, job_config=job_config(), runtime_env=shipped, **quiet)


def _answers(address: str) -> bool:
    """Whether anything listens at HOST:PORT: Ray itself would try in silence for minutes. Which
    cluster `auto` is, is Ray's own to find. Raises UserError for what is no address.
    """
    if address == "auto":
        return True
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        raise UserError(
            f"{address!r} is no address of a cluster", asked="address", expected="HOST:6379"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=LISTEN_WAIT).close()
    except (OSError, OverflowError):
        return False
    return True


def _silent(address: str) -> UserError:
    return UserError(
        f"no Ray cluster answers at {address}",
        asked="address",
        expected=f"HOST:6379 of a running head; if it wants a token, {TOKEN}",
    )


def _knows_us(ray: Any) -> bool:
    def look() -> bool:
        from importlib.util import find_spec

        return find_spec("engine") is not None

    return bool(ray.get(ray.remote(num_cpus=0)(look).remote()))


def has_gpu() -> bool:
    """Whether the running cluster holds a GPU now."""
    import ray

    return bool(ray.cluster_resources().get("GPU", 0))
