"""GPUs are found by name."""

import pytest

from engine.schema import UserError
from train.gpus import GPUS, find


def test_a_gpu_is_found_by_its_name_however_it_is_written():
    assert find("H200") is GPUS["h200"]
    assert all(find(name).name == name for name in GPUS)
    with pytest.raises(UserError, match=r"⟨gpu⟩: 'tpu' \(expected one of h200, "):
        find("tpu")
