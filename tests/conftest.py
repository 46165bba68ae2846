"""What every test shares: one thread, so that tests beside each other do not fight over cores, and
plans of models that lie in this checkout.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from engine.store.plan import Plan

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Whoever runs the tests may have a profile of this machine.
os.environ["RETINAFORGE_PROFILE"] = "none"
# Whoever starts the tests in the background may have them, and all that they start, ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def plan_of() -> Callable[..., Plan]:
    """plan_of("null", size=8, settings={…}, **fields): a plan of a model in this checkout."""
    # The models' libraries are looked up here, after the environment above is set.
    from engine import registry
    from engine.call import CallSettings
    from engine.registry import SamplerRef
    from engine.specs import recipe_from
    from engine.store.plan import Plan
    from engine.store.versions import library_versions

    usual = CallSettings(
        solver="none",
        steps=0,
        guidance=0.0,
        guidance_interval=(0.0, 1.0),
        shift=1.0,
        dtype="float32",
        attention="none",
        device="cpu",
        rows_per_call=1,
        context_tokens=0,
        threads=1,
    )

    def make(
        model: str = "null", size: int = 8, settings: dict[str, Any] | None = None, **fields: Any
    ) -> Plan:
        ref = registry.find(SamplerRef, model)
        own = {
            "recipe": recipe_from(seed=0, size=size),
            "model": ref.name,
            "model_location": ref.location,
            "weights_sha256": ref.weights_sha256,
            "settings": usual.model_copy(update=settings or {}),
            "image_format": "webp",
            "versions": library_versions(ref.libraries),
        }
        return Plan(**{**own, **fields}).sealed()

    return make


@pytest.fixture
def plan(plan_of: Callable[..., Plan]) -> Plan:
    """The null model's plan."""
    return plan_of()
