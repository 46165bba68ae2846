"""What each worker keeps in a ZeRO stage is the paper's arithmetic and what DeepSpeed adds."""

from dataclasses import replace

import pytest
from toy import SETTINGS

from train import memory
from train.memory import BUCKET, GATHERED, WeightCounts, alone, sharded

BILLION = 10**9


def test_alone_a_parameter_has_twenty_bytes_and_its_copy_on_a_cpu():
    kept = alone(WeightCounts(BILLION), SETTINGS, gpu=True)
    assert kept.together(0, gpu=False) == 20e9
    assert alone(WeightCounts(BILLION), SETTINGS, gpu=False).together(0, gpu=False) == 24e9
    assert alone(WeightCounts(BILLION), replace(SETTINGS, ema=0.0), gpu=True).optimiser == 8e9


@pytest.mark.parametrize(
    ("stage", "weights", "gradients", "optimiser"),
    [(0, 4, 4, 12), (1, 4, 4, 16 / 8), (2, 4, 4 / 8, 16 / 8), (3, 4 / 8, 4 / 8, 12 / 8)],
)
def test_a_stage_shares_out_what_it_is_for(stage, weights, gradients, optimiser):
    kept = sharded(WeightCounts(BILLION), SETTINGS, stage, 8, gpu=True)
    whole = 4 * GATHERED if stage == 3 else 0
    assert kept.weights == weights * BILLION + whole
    assert (kept.gradients, kept.optimiser) == (gradients * BILLION, optimiser * BILLION)
    assert kept.buffers == (8 * BUCKET if stage else 0)


def test_every_stage_takes_less_than_the_one_before():
    taken = [
        sharded(WeightCounts(BILLION), SETTINGS, stage, 8, gpu=True).together(0, gpu=True)
        for stage in memory.STAGES
    ]
    assert taken == sorted(taken, reverse=True)


def test_a_pass_and_the_optimisers_step_are_not_there_at_once():
    kept = alone(WeightCounts(BILLION), SETTINGS, gpu=True)
    assert kept.together(0, gpu=True) == kept.together(4 * BILLION, gpu=True) == 24e9
    assert kept.together(5 * BILLION, gpu=True) == 25e9


def test_muon_keeps_one_moment_and_what_is_frozen_neither_gradient_nor_state():
    kept = alone(WeightCounts(BILLION, muon=BILLION // 2), SETTINGS, gpu=True)
    assert kept.optimiser == 10e9
    frozen = sharded(WeightCounts(10**6, frozen=BILLION), SETTINGS, 1, 2, gpu=True)
    assert frozen.weights == 4 * (10**6 + BILLION)
    assert (frozen.gradients, frozen.optimiser) == (4e6, 8e6)


def test_what_is_offloaded_lies_on_the_machine_and_not_on_its_gpu():
    settings = replace(SETTINGS, offload=True)
    for stage in (1, 2, 3):
        kept = sharded(WeightCounts(BILLION), settings, stage, 8, gpu=True)
        assert (kept.optimiser, kept.host) == (0, (16 + 4) * BILLION / 8)
        here = sharded(WeightCounts(BILLION), settings, stage, 8, gpu=False)
        assert (here.optimiser, here.host) == (16 * BILLION / 8, 0)
