"""How a model is called: all that decides a row's pixels beside the weights and its spec."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

SINCE: dict[str, Any] = {"geometry": False, "t0": 0.0}
"""Fields that came later, with what they are where they change nothing."""


class CallSettings(BaseModel):
    """How a model is called. Together with the weights and a spec it decides a row's pixels.

    `rows_per_call` and `context_tokens` are the fixed shape of every model call; `threads` are
    those of one worker. With `geometry` the model draws on the structures of a phantom of the row's
    annotation; it starts from that phantom's photograph at time `t0` of the flow, 0 being noise
    alone.
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

    def identity(self) -> dict[str, Any]:
        """All fields as plain JSON values, without those of `SINCE` that change nothing: so folders
        from before them keep their fingerprint."""
        unchanged = {name for name, usual in SINCE.items() if getattr(self, name) == usual}
        return self.model_dump(mode="json", exclude=unchanged)
