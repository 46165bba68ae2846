"""Both halves as Ray Serve deployments: many HTTP ingresses may stand before a few samplers.

`build` is what `serve deploy` and a RayService import; `running` is the same for the time of
`retinaforge serve`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException
from ray.serve.handle import DeploymentHandle

from engine import cpu, registry, shipped
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import Drawing, plan_drawing
from engine.profile import NONE
from engine.registry import SamplerRef
from engine.schema import UserError
from engine.stages.node import check_cpu
from engine.store.plan import Plan
from serve.http.auth import of_environment
from serve.http.contract import MOST_IMAGES
from serve.http.sampler import Item, Painted, Studio, painter_of, rows_of

INGRESS_CALLS = 1024
"""Requests at once in one ingress. They only wait there; the sampler's queue is the bound."""
CALLS_AHEAD = 2
"""Batches that a replica holds beside the one being drawn, so that shapes find their like."""
DRAIN_SECONDS = 10.0
END_SECONDS = 15.0
"""How long Ray Serve may take to end before its processes are ended with the cluster."""
NAME = "retinaforge"
OPEN = "open"
ADVERTISED = "For further information visit"


class Setting(BaseModel):
    """What is served, and how; the `args` of a Serve config file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = shipped.DEFAULT
    device: str | None = None
    decoder: str | None = None
    gates: str | None = None
    reference: Path | None = None
    rows_per_call: int | None = Field(default=None, ge=1, le=256)
    profile: str | None = NONE
    replicas: int = Field(default=1, ge=1)
    queue: int = Field(default=64, ge=MOST_IMAGES)
    timeout: float = Field(default=300.0, gt=0)
    token_sha256: str = Field(pattern="^([0-9a-f]{64}|open)$")

    def plan(self, address: str | None = None) -> Drawing:
        """What `generate --address` would plan for a new folder: a `device` is then that of the
        cluster's nodes and not of this one. Raises UserError.
        """
        ask = DrawAsk(
            model=self.model,
            device=self.device,
            decoder=self.decoder,
            gates=self.gates,
            reference=self.reference,
            rows_per_call=self.rows_per_call,
            address=address,
            profile=self.profile,
            any_size=True,
        )
        return plan_drawing(ask)


class SamplerReplica:
    """The deployment that draws: one model on one processor or GPU."""

    def __init__(self, plan: str) -> None:
        _open_no_port()
        planned = Plan.model_validate_json(plan)
        check_cpu(planned)
        self._studio = Studio(lambda: painter_of(planned), rows_of(planned))

    async def draw(self, item: Item) -> Painted:
        """The picture of one item, drawn together with others of its shape."""
        return await self._studio.draw(item)

    def check_health(self) -> None:
        """Ray Serve replaces a replica that raises here."""
        self._studio.check()

    def __del__(self) -> None:
        if hasattr(self, "_studio"):
            self._studio.close()


@serve.ingress()
class Ingress:
    """The deployment that speaks HTTP: it holds no model."""

    def __init__(self, sampler: DeploymentHandle, plan: str, setting: str) -> None:
        _open_no_port()
        self._draw = sampler.draw
        self._plan = Plan.model_validate_json(plan)
        self._setting = Setting.model_validate_json(setting)

    def __serve_build_asgi_app__(self) -> Any:
        from serve.http.app import Desk, build

        setting = self._setting
        ref = registry.find(SamplerRef, self._plan.model_location)
        seconds = ref.expected_seconds(self._plan.settings, ref.size)
        desk = Desk(
            plan=self._plan,
            ref=ref,
            draw=self._ask,
            token_sha256=None if setting.token_sha256 == OPEN else setting.token_sha256,
            timeout=setting.timeout,
            retry_after=max(1, min(60, math.ceil(seconds * setting.queue / setting.replicas / 4))),
        )
        return build(desk)

    async def _ask(self, item: Item) -> Painted:
        from serve.http.app import Busy, Lost

        try:
            return await self._draw.remote(item)
        except BackPressureError as error:
            raise Busy from error
        except (RayError, RayServeException, DeploymentUnavailableError) as error:
            raise Lost from error


def _open_no_port() -> None:
    """Keep the replica that this is called in from listening for other replicas.

    Ray Serve has it take pickled calls from whoever reaches any address of the machine, without a
    token; calls come through Ray itself unless a cluster is set to the other way.
    """
    from ray.serve._private import constants, replica

    if not (constants.RAY_SERVE_USE_GRPC_BY_DEFAULT or constants.RAY_SERVE_PROXY_USE_GRPC):
        replica.add_port_to_grpc_server = lambda server, address: 0


def application(setting: Setting, plan: Plan) -> serve.Application:
    """The ingress bound to its samplers, which draw what `setting` planned."""
    on_gpu = plan.settings.device == "cuda"
    text = plan.model_dump_json()
    sampler = serve.deployment(
        SamplerReplica,
        name="Sampler",
        num_replicas=setting.replicas,
        ray_actor_options={
            "num_cpus": 1,
            "num_gpus": int(on_gpu),
            "runtime_env": {"env_vars": cpu.environment(plan.versions)},
        },
        max_ongoing_requests=(1 + CALLS_AHEAD) * rows_of(plan),
        max_queued_requests=setting.queue,
        graceful_shutdown_timeout_s=DRAIN_SECONDS,
    ).bind(text)
    return serve.deployment(
        Ingress,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=INGRESS_CALLS,
        graceful_shutdown_timeout_s=DRAIN_SECONDS,
    ).bind(sampler, text, setting.model_dump_json())


def build(args: dict[str, Any]) -> serve.Application:
    """What a Serve config file names as `import_path: serve.http.service:build`.

    `args` are the fields of `Setting`; without `token_sha256` the token is RETINAFORGE_TOKEN of the
    environment, as a cluster's secrets bring it. Who may reach such a server is not known here, so
    none is left open. Raises UserError.
    """
    token = of_environment()
    known = {"token_sha256": token.sha256} if token else {}
    if {**known, **args}.get("token_sha256") in (None, OPEN):
        expected = "the SHA-256 of one, or RETINAFORGE_TOKEN in the environment"
        raise UserError(
            "a server of a cluster needs a token", field="token_sha256", expected=expected
        )
    setting = Setting.model_validate({**known, **args})
    # Serve imports this on a node that may be without the GPU of those that will draw.
    return application(setting, setting.plan("auto" if setting.device else None).plan)


@contextmanager
def running(app: serve.Application, host: str, port: int, timeout: float) -> Iterator[None]:
    """The application on the cluster that this process has joined, for the time of a `with`:
    answering when it begins, gone when it has ended.

    Raises UserError where the model cannot be loaded, and where others use Ray Serve there.
    """
    _quieten()
    if others := sorted(serve.status().applications):
        raise UserError(
            f"this cluster serves {', '.join(others)} already",
            asked="address",
            expected="`serve deploy` with a config file, which leaves them in place",
        )
    try:
        serve.start(
            proxy_location="HeadOnly",
            # Our own time-out comes first and answers in words.
            http_options={"host": host, "port": port, "request_timeout_s": timeout + 30},
            logging_config={"log_level": "WARNING", "enable_access_log": False},
        )
        serve.run(app, name=NAME, route_prefix="/")
        yield
    except RuntimeError as error:
        if "deploying" not in str(error).lower():
            raise
        raise UserError(f"the model did not start: {_why()}", asked="model") from error
    finally:
        _end()


def _why() -> str:
    """Why a deployment failed."""
    found = serve.status().applications[NAME].deployments.values()
    return last_words("\n".join(each.message for each in found))


def last_words(trace: str) -> str:
    """The last line of a traceback, the error itself, without pydantic's advertisement below it."""
    lines = [line.strip() for line in trace.strip().splitlines()]
    return next(
        (line for line in reversed(lines) if line and not line.startswith(ADVERTISED)), "no reason"
    )


def _end() -> None:
    """Let what the samplers hold come to its end. A signal to the whole process group has ended Ray
    itself, and then there is nobody to wait for.
    """
    head = ray.get_runtime_context().gcs_address

    def end() -> None:
        # `shutdown` alone drops what is being drawn. `delete` waits for that, though not for images
        # that still queue: ingress and sampler close together, and Serve has no order for them.
        with contextlib.suppress(RuntimeError, RayError, RayServeException):
            serve.delete(NAME)
        serve.shutdown()

    ending = threading.Thread(target=end, daemon=True)
    last = time.monotonic() + END_SECONDS
    # Ray prints that its controller has died, which is what was asked for.
    with contextlib.redirect_stdout(io.StringIO()):
        ending.start()
        while ending.is_alive() and time.monotonic() < last and _listens(head):
            ending.join(0.5)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def _quieten() -> None:
    # Ray Serve tells every step of its start on standard error; ours is one line.
    os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
