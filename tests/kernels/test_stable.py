"""Torch's switches for rows that do not depend on their place, and that they are put back."""

from __future__ import annotations

import pytest
import torch

from kernels.stable import batch_stable


def switches():
    matmul = torch.backends.cuda.matmul
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.benchmark,
        matmul.allow_bf16_reduced_precision_reduction,
        matmul.allow_bf16_reduced_precision_reduction_split_k,
        matmul.allow_fp16_reduced_precision_reduction_split_k,
    )


def test_no_sum_is_split_inside_and_all_is_as_before_after_an_error(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    before = switches()

    def fail():
        with batch_stable():
            assert switches() == (True, True, False, False, False, False, False)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert switches() == before


def test_the_workspace_of_cublas_is_fixed_unless_the_user_says_otherwise(monkeypatch):
    import os

    for said, expected in ((None, ":4096:8"), (":16:8", ":16:8")):
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", said or "")
        if said is None:
            monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
        with batch_stable():
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == expected
