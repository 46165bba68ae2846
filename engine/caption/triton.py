"""Captions from a Triton Inference Server over gRPC: bounded calls, tries with jitter, and a
breaker that waits for a server to come back.

The model takes one encoded image, `IMAGE` (BYTES), and answers one text, `CAPTION` (BYTES), as the
repository in deploy/triton does. A row's own faults (an answer that is nonsense, an error that the
model raises, a call that takes too long) cost it a try; a server that is gone costs it none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.caption import CaptionerLost, Manner, Refused, StoredPhotograph, Words
from engine.caption.address import Address, is_proxied, target
from engine.caption.answers import OUTPUT, Nonsense, caption_of
from engine.caption.breaker import Breaker, pause
from engine.schema import UserError

INPUT = "IMAGE"
TRIES = 3
"""How often a photograph is sent before it is given up."""
GONE_TRIES = 12
"""How often a call may find the server gone, which says that it is there, before the same."""
HOPELESS = 64
"""So many photographs given up one after another for want of an answer mean that not they are at
fault."""
PROBE_SECONDS = 5.0
MOST_ANSWER_BYTES = 1 << 20
_GONE = ("StatusCode.UNAVAILABLE", "StatusCode.CANCELLED")
_SLOW = "StatusCode.DEADLINE_EXCEEDED"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TritonBackend:
    """A model on a server; an `engine.caption.Backend`. Its weights are the server's own affair."""

    text: str
    address: Address
    allow_plain: bool = False
    ca: str | None = None
    folder: None = None
    libraries: tuple[str, ...] = ()

    def captioner(self) -> str:
        with closing(self.load(Manner())) as client:
            return f"triton:{self.address.model}@{client.meet()}"

    def weights_sha256(self) -> str:
        return ""

    def calls(self, manner: Manner) -> int:
        return manner.in_flight

    def load(self, manner: Manner) -> TritonCaptioner:
        return TritonCaptioner(self, manner)


class TritonCaptioner:
    """A client of one model; it calls nobody before it is asked to. Raises UserError for an address
    where photographs may not go.
    """

    def __init__(self, backend: TritonBackend, manner: Manner) -> None:
        self.at_once = manner.in_flight
        self._address, self._manner = backend.address, manner
        self._shape: list[int] = []
        self._loop = asyncio.new_event_loop()
        self._failures: Any
        self._client, self._failures = self._loop.run_until_complete(_connect(backend))
        self._room = asyncio.Semaphore(manner.in_flight)
        self._breaker = Breaker(self._is_ready, manner.patience)
        self._given_up = 0

    def meet(self) -> str:
        """The model's versions on the server. Raises UserError where no server answers, and for a
        model that is not there or takes other tensors.
        """
        return self._loop.run_until_complete(self._meet())

    def caption(self, pictures: Sequence[StoredPhotograph]) -> list[Words | Refused]:
        """See `engine.caption.LoadedCaptioner`; raises UserError as `meet` does."""
        return self._loop.run_until_complete(self._all(pictures))

    def close(self) -> None:
        """Leave the server."""
        self._loop.run_until_complete(self._client.close())
        self._loop.close()

    async def _all(self, pictures: Sequence[StoredPhotograph]) -> list[Words | Refused]:
        if not self._shape:
            await self._breaker.until_ready("it has not answered yet")
            await self._meet()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(picture.file)) for picture in pictures]
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _one(self, file: bytes) -> Words | Refused:
        async with self._room:
            return await self._tried(file)

    async def _tried(self, file: bytes) -> Words | Refused:
        """The caption, or the reason of the last try."""
        reason, tries, gone = "", 0, 0
        while tries < TRIES and gone < GONE_TRIES:
            await self._breaker.passing()
            try:
                caption = caption_of(await self._ask(file))
            except Nonsense as error:
                self._breaker.answered()
                reason, tries = f"nonsense: {error}", tries + 1
            except self._failures as error:
                is_gone = error.status() in _GONE
                tries, gone = tries + (not is_gone), gone + is_gone
                reason = _worded(error, self._manner.timeout)
                if is_gone or error.status() == _SLOW:
                    self._breaker.failed(reason)
                else:
                    self._breaker.answered()
            else:
                self._breaker.answered()
                self._given_up = 0
                return Words(caption, tries + gone + 1)
            await pause(tries + gone)
        self._give_up(reason)
        return Refused(reason, tries + gone)

    def _give_up(self, reason: str) -> None:
        log.warning("given up: %s", reason)
        self._given_up += 0 if reason.startswith("nonsense") else 1
        if self._given_up >= HOPELESS:
            raise CaptionerLost(f"{HOPELESS} photographs one after another had no answer: {reason}")

    async def _ask(self, file: bytes) -> Any:
        from tritonclient.grpc import InferInput, InferRequestedOutput

        image = InferInput(INPUT, self._shape, "BYTES")
        image.set_data_from_numpy(np.array([file], dtype=object).reshape(self._shape))
        return await self._client.infer(
            self._address.model,
            [image],
            outputs=[InferRequestedOutput(OUTPUT)],
            client_timeout=self._manner.timeout,
        )

    async def _is_ready(self) -> bool:
        try:
            return await self._client.is_model_ready(
                self._address.model, client_timeout=PROBE_SECONDS
            )
        except self._failures:
            return False

    async def _meet(self) -> str:
        address = self._address
        try:
            found = await self._client.get_model_metadata(
                address.model, client_timeout=PROBE_SECONDS
            )
        except self._failures as error:
            raise await self._absent(error) from error
        tensors = [(t.name, t.datatype) for t in (*found.inputs, *found.outputs)]
        if tensors != [(INPUT, "BYTES"), (OUTPUT, "BYTES")]:
            told = ", ".join(f"{name} {kind}" for name, kind in tensors)
            raise UserError(
                f"the model {address.model} takes and gives {told}",
                asked="backend",
                expected=f"{INPUT} BYTES and {OUTPUT} BYTES, as deploy/triton has them",
            )
        self._shape = [1 for _ in found.inputs[0].shape]
        return ",".join(found.versions)

    async def _absent(self, error: Any) -> UserError:
        """Why there is no metadata: no server, or no such model on it."""
        address = self._address
        if error.status() in (*_GONE, _SLOW):
            return no_server(address, error.message())
        try:
            index = await self._client.get_model_repository_index(client_timeout=PROBE_SECONDS)
            names = [model.name for model in index.models if model.state == "READY"]
        except self._failures:
            names = []
        return UserError(
            f"the server has no model {address.model}",
            asked="backend",
            expected=" or ".join(sorted(names)) or "a model that it serves",
        )


def no_server(address: Address, why: str) -> UserError:
    """What to say where nobody answers."""
    return UserError(
        f"no Triton server answers at {address.host}:{address.port}: {why}",
        asked="backend",
        expected="one that is up, such as `make triton-serve` starts",
    )


async def _connect(backend: TritonBackend) -> tuple[Any, Any]:
    """A client and the class of its errors; nothing is sent yet. Raises UserError, also where the
    library is missing."""
    where = target(backend.address, backend.allow_plain)
    try:
        from tritonclient.grpc.aio import InferenceServerClient
        from tritonclient.utils import InferenceServerException
    except ImportError as error:
        raise UserError(
            "the backend triton needs the Python package tritonclient",
            asked="backend",
            expected="the extra `captions` (pip install -e '.[captions]'), or ⟨backend⟩ local",
        ) from error
    options = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", MOST_ANSWER_BYTES),
        # A proxy of the environment would be handed photographs that are to stay here.
        ("grpc.enable_http_proxy", int(is_proxied(backend.address, backend.allow_plain))),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
    try:
        client = InferenceServerClient(
            where, ssl=backend.address.tls, root_certificates=backend.ca, channel_args=options
        )
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=backend.ca, asked="ca") from error
    return client, InferenceServerException


def _worded(error: Any, timeout: float) -> str:
    if error.status() == _SLOW:
        return f"no answer within {timeout:g} s"
    return f"the server said: {error.message()}"[:500]
