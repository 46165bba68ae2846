"""What a client may ask for and what it is told: the OpenAI image API as its official client speaks
it, with our own fields beside it (seed, labels, steps, guidance), and every mistake in OpenAI's
error form.
"""

from __future__ import annotations

import base64
import math
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from engine.labels import label_value, unknown_name
from engine.prose.parse import parse
from engine.registry import SamplerRef
from engine.schema import LABEL_NAMES, LABELS, Annotation, UserError, worded
from engine.store.plan import Plan
from serve.http.sampler import Item, Painted

MOST_IMAGES = 8
MOST_LETTERS = 4000
MOST_STEPS = 100
MOST_GUIDANCE = 30.0
MOST_ENLARGED = 2
"""A request may ask for so many times the side that the model learned."""
SEEDS = 2**53
"""Seeds that are drawn for a client lie below this: JavaScript reads larger numbers wrong."""
SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")


class ImageRequest(BaseModel):
    """The body of `POST /v1/images/generations`. A field that nobody knows is an error.

    `quality`, `background`, `moderation`, `stream` and `user` are the official client's own: they
    may be sent, as long as they ask for nothing that this server would not do.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    prompt: str | None = Field(default=None, max_length=MOST_LETTERS)
    model: str | None = None
    n: int | None = Field(default=None, ge=1, le=MOST_IMAGES)
    size: str | None = None
    response_format: str | None = None
    output_format: Literal["png", "webp", "jpeg"] | None = None
    seed: int | None = Field(default=None, ge=0, lt=2**64)
    labels: dict[str, Any] | None = None
    steps: int | None = Field(default=None, ge=0, le=MOST_STEPS)
    guidance: float | None = Field(default=None, ge=0, le=MOST_GUIDANCE)
    quality: Literal["auto"] | None = None
    background: Literal["auto", "opaque"] | None = None
    moderation: Literal["auto"] | None = None
    stream: Literal[False] | None = None
    user: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _names_are_text(cls, body: Any) -> Any:
        """Names are told back, and half a UTF-16 pair can be written in no answer."""
        told = [body, body.get("labels")] if isinstance(body, dict) else []
        try:
            "".join(name for each in told if isinstance(each, dict) for name in each).encode()
        except UnicodeEncodeError as error:
            raise PydanticCustomError("no_text", "a name that is no valid Unicode") from error
        return body


class Problem(Exception):
    """Why a request is not answered with images, as the client reads it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after
        self.error = {"message": message, "type": kind, "param": param, "code": code}

    @property
    def body(self) -> dict[str, Any]:
        """OpenAI's error form."""
        return {"error": self.error}


def asked(request: ImageRequest, plan: Plan, ref: SamplerRef) -> list[Item]:
    """The images that a request asks for. Raises Problem for what the model cannot do.

    Image i of a request with a seed is row i of `generate` with that `--seed` and a prompts file of
    this one prompt and these labels.
    """
    # Whoever asks for a model need not know that a level's student draws in its stead.
    taught = Path(plan.level.model).name if plan.level else ref.name
    if request.model not in (None, ref.name, taught):
        raise Problem(
            404, f"no model {request.model!r} here, only {ref.name}",
            param="model", code="model_not_found",
        )  # fmt: skip
    if request.response_format not in (None, "b64_json"):
        message = f"{request.response_format!r}: images are kept nowhere, so only b64_json"
        raise Problem(400, message, param="response_format", code="unsupported_value")
    labels = _labels(request, ref)
    prompt = (request.prompt or "").strip()
    if not prompt and not labels:
        raise Problem(400, "an image needs a prompt, or labels", param="prompt", code="missing")
    annotation = Annotation.model_validate({**parse(prompt), **labels})
    steps, guidance = _effort(request, plan, ref)
    seed = secrets.randbelow(SEEDS) if request.seed is None else request.seed
    return [
        Item(
            annotation=annotation,
            prompt=prompt or None,
            seed=seed,
            index=index,
            size=_size(request.size, ref),
            steps=steps,
            guidance=guidance,
            image_format=request.output_format or "png",
        )
        for index in range(request.n or 1)
    ]


def _labels(request: ImageRequest, ref: SamplerRef) -> dict[str, Any]:
    """The labels that were given apart from the prompt, `source` among them."""
    given: dict[str, Any] = {}
    for name, value in (request.labels or {}).items():
        try:
            if name == "source":
                if not isinstance(value, str | None):
                    raise UserError(f"{value!r} is no source", expected="a name, or null")
                ref.check_sources([value] if value else [])
                given[name] = value or None
            elif name in LABEL_NAMES and isinstance(value, str | float):
                # A table's cell may be "2" or 2.0; here every number is one of JSON's.
                expected = "a number without a point, or null"
                raise UserError(f"{value!r} is not a whole number", expected=expected)
            elif name in LABEL_NAMES:
                given[name] = label_value(name, value)
            else:
                raise UserError(unknown_name(name, (*LABEL_NAMES, "source")))
        except UserError as error:
            raise _unfit(error, f"labels.{name}") from error
    return given


def _size(text: str | None, ref: SamplerRef) -> int:
    """The side in pixels of "256x256"; the model's own where none is asked for."""
    if text in (None, "auto"):
        return ref.size
    found = SIZE.fullmatch(text or "")
    if found is None or found[1] != found[2]:
        message = f"{text!r} is no square such as {ref.size}x{ref.size}"
        raise Problem(400, message, param="size", code="invalid_value")
    side = int(found[1])
    try:
        if side > MOST_ENLARGED * ref.size:
            raise UserError(f"{side} px", expected=f"at most {MOST_ENLARGED * ref.size} px")
        ref.check_size(side)
    except UserError as error:
        raise _unfit(error, "size") from error
    return side


def _effort(request: ImageRequest, plan: Plan, ref: SamplerRef) -> tuple[int, float]:
    """Steps and guidance: the model's own where none are asked for."""
    usual = plan.settings
    steps = usual.steps if request.steps is None else request.steps
    guidance = usual.guidance if request.guidance is None else request.guidance
    param = "guidance" if request.steps in (None, usual.steps) else "steps"
    try:
        if not math.isfinite(guidance):
            raise UserError(f"{guidance}", expected=f"0 to {MOST_GUIDANCE:g}")
        if steps < 1 and usual.steps >= 1:
            raise UserError(f"{steps}", expected=f"1 to {MOST_STEPS}")
        ref.check_solver(usual.solver, steps, guidance)
    except UserError as error:
        raise _unfit(error, param) from error
    return steps, guidance


def _unfit(error: UserError, param: str) -> Problem:
    """A mistake that the engine found, which speaks of cells."""
    message = worded(error.problem).replace("or empty for", "or null for")
    return Problem(400, f"{param}: {message}", param=param, code="invalid_value")


def refused(found: Mapping[str, Any]) -> Problem:
    """A mistake that pydantic found in a body: `type`, `loc` and `msg` of its error."""
    kind, place, message = found["type"], found["loc"], found["msg"]
    if kind == "json_invalid":
        why = f"{found['ctx']['error']} (at letter {place[-1]})"
        return Problem(400, f"the body is no JSON: {why}", code="invalid_json")
    if kind == "no_text":
        return Problem(400, message, code="invalid_value")
    if len(place) == 1:
        message = "the body must be a JSON object, sent as Content-Type: application/json"
        return Problem(400, message, code="invalid_value")
    param = ".".join(map(str, place[1:]))
    if kind == "extra_forbidden":
        message = unknown_name(param, tuple(ImageRequest.model_fields))
        return Problem(400, message, param=param, code="unknown_parameter")
    return Problem(400, f"{param}: {message}", param=param, code="invalid_value")


def answered(items: Sequence[Item], pictures: Sequence[Painted], plan: Plan, now: int) -> Any:
    """The body of an answer. Raises Problem where no image came out at all.

    An image that failed among others stands in its place as `{"error": …}` without `b64_json`.
    """
    failed = [picture for picture in pictures if not picture.image]
    if len(failed) == len(pictures):
        raise _failed(failed[0])
    first = items[0]
    return {
        "created": now,
        "data": [_entry(item, picture) for item, picture in zip(items, pictures, strict=True)],
        "size": f"{first.size}x{first.size}",
        "output_format": first.image_format,
        "model": plan.model,
        "weights_sha256": plan.weights_sha256,
        "seed": first.seed,
        "steps": first.steps,
        "guidance": first.guidance,
        "synthetic": plan.source_type,
    }


def _entry(item: Item, picture: Painted) -> dict[str, Any]:
    told: dict[str, Any] = {
        "index": item.index,
        "attempts": picture.attempts,
        # A string: the number has 64 bits, which JavaScript's have not.
        "image_seed": str(picture.seed),
        "labels": picture.annotation.model_dump(exclude_none=True),
    }
    if not picture.image:
        return {"b64_json": None, **told, **_failed(picture).body}
    if item.prompt is None:
        told["revised_prompt"] = picture.prompt
    if picture.truncated:
        told["prompt_truncated"] = True
    return {"b64_json": base64.b64encode(picture.image).decode(), **told}


def _failed(picture: Painted) -> Problem:
    if picture.stage == "gate":
        message = (
            f"the gates refused all {picture.attempts} images drawn of this seed: {picture.reason}"
        )
        return Problem(422, message, kind="image_generation_user_error", code="refused_by_gate")
    message = f"drawing failed after {picture.attempts} tries: {picture.reason}"
    return Problem(500, message, kind="server_error", code="draw_failed")


def model_body(plan: Plan, ref: SamplerRef, created: int) -> dict[str, Any]:
    """One entry of `GET /v1/models`: OpenAI's four fields, then what the model can be asked for."""
    return {
        "id": ref.name,
        "object": "model",
        "created": created,
        "owned_by": "retinaforge",
        "kind": ref.FAMILY,
        "weights_sha256": ref.weights_sha256,
        "size": ref.size,
        "multiple_of": ref.patch_px,
        "steps": plan.settings.steps,
        "guidance": plan.settings.guidance,
        "solver": plan.settings.solver,
        "gates": list(plan.gates),
        "reads_prompts": ref.reads_prompts,
        "phantom_only": list(ref.phantom_only),
        "sources": None if ref.sources is None else list(ref.sources),
        "labels": [
            {"name": label.name, "highest": label.highest, "meaning": label.meaning}
            for label in LABELS
        ],
    }
