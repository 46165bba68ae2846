"""A matrix is whole again from the shards of ZeRO's workers, and goes back into them."""

import pytest
import torch

from train.shards import end_to_end, evenly, of_matrices

SHAPES = [torch.Size(shape) for shape in ((3, 5), (1, 2), (4, 4))]
WORLD = 3


def matrices():
    return [torch.arange(shape.numel()).view(shape) + 100.0 * i for i, shape in enumerate(SHAPES)]


def cut_end_to_end():
    flat = torch.cat([matrix.flatten() for matrix in matrices()])
    flat = torch.nn.functional.pad(flat, (0, -len(flat) % WORLD))
    size, begins, laid = len(flat) // WORLD, 0, []
    for shape in SHAPES:
        laid.append(end_to_end(shape, begins, size, WORLD))
        begins += shape.numel()
    return list(flat.split(size)), laid


def cut_evenly():
    parts, laid, at = [[] for _ in range(WORLD)], [], 0
    for matrix in matrices():
        flat = torch.nn.functional.pad(matrix.flatten(), (0, -matrix.numel() % WORLD))
        for part, run in zip(parts, flat.chunk(WORLD)):
            part.append(run)
        laid.append(evenly(matrix.shape, at, len(flat) // WORLD, WORLD))
        at += len(flat) // WORLD
    return [torch.cat(part) for part in parts], laid


@pytest.mark.parametrize("cut", [cut_end_to_end, cut_evenly])
def test_what_is_made_of_whole_matrices_comes_back_in_slices(cut):
    shards, laid = cut()
    seen = []

    def negated(matrix):
        seen.append(matrix)
        return -matrix

    for rank, shard in enumerate(shards):
        found = of_matrices(shards, rank, laid, negated)
        assert torch.equal(found, -shard)
    for matrix in seen:
        assert any(torch.equal(matrix, one) for one in matrices())


def test_a_matrix_of_which_a_worker_holds_nothing_is_left_to_the_others():
    shards, laid = cut_end_to_end()
    seen = []
    of_matrices(shards, 0, laid, lambda matrix: seen.append(matrix.shape) or matrix)
    assert seen == [SHAPES[0]]
