"""A model that answers nonsense, of a kind that the image's bytes choose."""

import hashlib

import numpy as np
import triton_python_backend_utils as pb_utils

KINDS = (
    [b"\xff\xfe not UTF-8 \xc0"],
    [b""],
    [b" \n "],
    [b"a caption without end " * 400],
    [b"two captions", b"for one photograph"],
    [b"bells \x07 and \x00 ends"],
    [b"1234 5678 %%"],
    None,
)
"""None raises."""


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        file = pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy().reshape(-1)[0]
        kind = KINDS[hashlib.sha256(file).digest()[0] % len(KINDS)]
        if kind is None:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("the model is confused"))
        answer = np.array([kind], dtype=object)
        return pb_utils.InferenceResponse([pb_utils.Tensor("CAPTION", answer)])
