"""What a step takes: counted, measured, and claimed for no machine that is not known."""

import torch
from toy import Regression

from engine.models import transformer
from train import machine
from train.denoising import new, specimen


def test_memory_of_this_process_is_measured():
    before = machine.held(torch.device("cpu"))
    kept = torch.ones(2**26)
    assert machine.held(torch.device("cpu")) - before > 0.9 * 4 * len(kept)


def test_a_cpu_has_no_published_speed():
    assert machine.peak(torch.device("cpu")) == 0.0


def test_products_are_counted_once_and_the_batch_is_left_alone():
    batch = {"x": torch.ones(8, 1), "y": torch.ones(8, 1)}
    # No gradient is asked of the rows themselves.
    assert machine.flops(Regression(16), batch) == 2 * 8 * 16 * (2 + 3)
    assert batch["x"].sum() == 8


def test_blocks_that_are_computed_again_count_once():
    batch = specimen(2, transformer.own_needs("debug"), 64)
    needs = transformer.own_needs("debug")
    plain, again = (new("debug", needs, ("a",), None, 64) for _ in range(2))
    transformer.checkpointed(again.transformer)
    assert machine.flops(again, batch) == machine.flops(plain, batch) > 0
