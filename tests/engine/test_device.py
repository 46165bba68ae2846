"""What a process may compute on is told from the machine itself, and its errors from each other."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from engine import device
from engine.schema import UserError

CUDA = torch.cuda.is_available()


def told_by(call):
    """What a call raises."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - which one is what the test asks
        call()
    return raised.value


def in_a_process(code):
    """What this code prints in a process of its own."""
    command = [sys.executable, "-c", f"import os, sys\nfrom engine import device\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_best_device_that_is_there_is_chosen():
    assert device.choose_device(None) == ("cuda" if CUDA else "cpu")
    assert device.choose_device("cpu") == "cpu"
    if CUDA:
        assert device.choose_device("cuda") == "cuda"
    else:
        with pytest.raises(UserError, match=r"⟨device⟩: .*no CUDA device \(expected cpu"):
            device.choose_device("cuda")


@pytest.mark.parametrize("wanted", ["", "gpu", "CUDA", "cuda:0", " cpu"])
def test_a_device_of_another_name_is_refused(wanted):
    with pytest.raises(UserError, match=r"⟨device⟩: unknown device .*expected cpu or cuda"):
        device.choose_device(wanted)


def test_half_precision_is_for_cuda_alone():
    assert device.choose_dtype(None, "cpu") == "float32"
    assert device.choose_dtype(None, "cuda") == "bfloat16"
    assert device.choose_dtype("float16", "cuda") == "float16"
    for wanted in ("float16", "bfloat16", "float64", ""):
        with pytest.raises(UserError, match=r"⟨dtype⟩: .* on cpu \(expected float32"):
            device.choose_dtype(wanted, "cpu")
    for offered in device.DTYPES.values():
        assert all(isinstance(getattr(torch, name), torch.dtype) for name in offered)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_that_is_held_to_one_core_counts_one():
    held = "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\nprint(device.cpu_count())"
    assert in_a_process(held) == "1"


@pytest.mark.parametrize(
    ("quota", "most"),
    [("50000 100000", 1), ("199999 100000", 1), ("max 100000", None), ("", None), ("1", None)],
)
def test_a_quota_of_the_control_group_is_kept_and_what_is_none_holds_nobody(
    tmp_path, monkeypatch, quota, most
):
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    monkeypatch.setattr(device, "Path", lambda path: tmp_path / os.path.basename(path))
    every = len(os.sched_getaffinity(0))
    assert device.cpu_count() == (most or every)
    (tmp_path / "cpu.max").unlink()
    assert device.cpu_count() == every


def test_threads_are_as_many_as_told():
    before = torch.get_num_threads()
    try:
        for threads in (2, 1, 1):
            device.use_threads(threads)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_who_needs_no_torch_does_not_wait_for_it():
    code = "device.choose_device('cpu'); device.cpu_count(); device.release_memory()"
    assert in_a_process(f"{code}\nprint('torch' in sys.modules)") == "False"


SMALLER_MAY_PASS = [
    told_by(lambda: torch.empty(1 << 50, dtype=torch.uint8)),
    told_by(lambda: np.zeros(1 << 50, np.uint8)),
    told_by(lambda: bytearray(1 << 62)),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
]
LOST = [
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: unspecified launch failure"),
]
OTHER = [
    told_by(lambda: torch.zeros(2) + torch.zeros(3)),
    ValueError("CUDA error: quoted by somebody else"),
]


@pytest.mark.parametrize(
    ("error", "memory", "lost"),
    [(error, True, False) for error in SMALLER_MAY_PASS]
    + [(error, False, True) for error in LOST]
    + [(error, False, False) for error in OTHER],
    ids=lambda each: type(each).__name__,
)
def test_want_of_memory_a_lost_device_and_all_else_are_told_apart(error, memory, lost):
    assert device.is_out_of_memory(error) is memory
    assert device.is_broken(error) is lost
