"""The local captioner behind Triton's Python backend: it words what `--backend local` words, in the
same words, since it is the same code from this checkout.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

CHECKOUT = Path(__file__).resolve().parents[5]


class TritonPythonModel:
    """What the backend looks for by this name."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the captioner; what this raises the server tells in its log, and does not serve."""
        sys.path.insert(0, str(CHECKOUT))
        from engine.caption.local import LocalCaptioner
        from engine.shipped import CAPTIONER

        folder = json.loads(args["model_config"])["parameters"]["folder"]["string_value"]
        self._captioner = LocalCaptioner(Path(folder) if folder else CAPTIONER)

    def execute(self, requests: list[Any]) -> list[Any]:
        """A response for each request: (rows, 1) encoded images to as many captions."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        from engine.data.example import UnreadableImage, decode

        files = pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy()
        try:
            words = [self._captioner.words(decode(file, "IMAGE")) for file in files.reshape(-1)]
        except UnreadableImage as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        answer = np.array([text.encode() for text in words], dtype=object).reshape(files.shape)
        return pb_utils.InferenceResponse([pb_utils.Tensor("CAPTION", answer)])
