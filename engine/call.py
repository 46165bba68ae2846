"""How a model is called: all that decides a row's pixels beside the weights and its spec."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

SINCE: dict[str, Any] = {
    "geometry": False,
    "t0": 0.0,
    "structures": None,
    "decoder": None,
    "fused": False,
    "batch_stable": False,
}
"""Fields that came later, with what they are where they change nothing."""


class Structures(BaseModel):
    """Whose anatomy rows are drawn on, where it is not a phantom's own: that which a generator
    makes (`gan`), or that of photographs in a table (`real`). `location` says where generator or
    table lie, `sha256` is the hash of all that they tell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["gan", "real"]
    location: str
    sha256: str


class LightDecoder(BaseModel):
    """What draws latents in place of the decoder of the model's own autoencoder. `location` says
    where it lies, `sha256` is the hash of its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    location: str
    sha256: str


class LevelTaken(BaseModel):
    """Which level a plan's call is: of which model it is one (by its location), and the hash of all
    its levels' evidence when the plan was made. A student of that model may be who is called."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: str
    model: str
    weights_sha256: str


class CallSettings(BaseModel):
    """How a model is called. Together with the weights and a spec it decides a row's pixels.

    `rows_per_call` and `context_tokens` are the fixed shape of every model call; `threads` are
    those of one worker. With `geometry` the model draws on the structures of a phantom of the row's
    annotation, whose anatomy is its own or that of `structures`; it starts from that phantom's
    photograph at time `t0` of the flow, 0 being noise alone. What it has drawn becomes a picture by
    its own autoencoder's decoder, or by `decoder`. With `fused`, what lies between the products of
    the denoiser is computed by our Triton kernels. With `batch_stable`, a row is the same to the
    bit wherever it stands in a call on a GPU, too (on a CPU it always is).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    solver: str
    steps: int
    guidance: float
    guidance_interval: tuple[float, float]
    shift: float
    dtype: str
    attention: str
    device: str
    rows_per_call: int
    context_tokens: int
    threads: int
    geometry: bool = False
    t0: float = 0.0
    structures: Structures | None = None
    decoder: LightDecoder | None = None
    fused: bool = False
    batch_stable: bool = False

    def identity(self) -> dict[str, Any]:
        """All fields as plain JSON values, without those of `SINCE` that change nothing: so folders
        from before them keep their fingerprint."""
        unchanged = {name for name, usual in SINCE.items() if getattr(self, name) == usual}
        whole = self.model_dump(mode="json", exclude=unchanged)
        for name in ("structures", "decoder"):
            if name in whole:
                del whole[name]["location"]
        return whole
