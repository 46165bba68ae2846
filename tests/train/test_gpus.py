"""GPUs are found by name."""

import pytest

from engine.schema import UserError
from train import gpus
from train.gpus import GPUS, find


def test_a_gpu_is_found_by_its_name_however_it_is_written():
    assert find("H200") is GPUS["h200"]
    assert all(find(name).name == name for name in GPUS)
    with pytest.raises(UserError, match=r"⟨gpu⟩: 'tpu' \(expected one of h200, "):
        find("tpu")


def test_a_device_is_known_by_what_its_driver_calls_it():
    told = {
        "NVIDIA H200": "h200",
        "NVIDIA H100 80GB HBM3": "h100",
        "NVIDIA A100-SXM4-80GB": "a100",
        "NVIDIA A100-SXM4-40GB": "a100-40",
        "NVIDIA L4": "l4",
        "NVIDIA GeForce RTX 4090": "rtx4090",
    }
    assert {device: gpus.known(device).name for device in told} == told
    for unknown in ("NVIDIA L40", "NVIDIA GH200 480GB", "NVIDIA H200 MIG 1g.18gb", "Tesla T4"):
        assert gpus.known(unknown) is None
