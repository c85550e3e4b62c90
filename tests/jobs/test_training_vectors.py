"""What decides when to stop early is not what trains, and is measured as it is said to be."""

import numpy as np
import pytest
import torch

from benchmark.jobs.training_vectors import MOST, evaluator, held_back
from benchmark.sae import TopKSAE


def test_a_tenth_of_the_groups_decides_and_none_of_it_trains():
    groups = np.repeat(np.arange(1000) * 7, 5)
    rows = np.flatnonzero(groups % 2 == 0)
    train, deciding = held_back(rows, groups)
    assert set(train) | set(deciding) == set(rows) and not set(groups[train]) & set(groups[deciding])
    assert len(np.unique(groups[deciding])) == 50
    again = held_back(rows, groups)
    assert np.array_equal(again[0], train) and np.array_equal(again[1], deciding)


def test_few_groups_still_train_and_many_do_not_all_decide():
    train, deciding = held_back(np.arange(4), np.array([0, 0, 1, 1]))
    assert len(train) == len(deciding) == 2
    assert [part.tolist() for part in held_back(np.arange(3), np.zeros(3, int))] == [[0, 1, 2], [0, 1, 2]]
    train, deciding = held_back(np.arange(100_000), np.arange(100_000))
    assert len(train) == 90_000 and len(deciding) == MOST


def test_the_evaluator_gives_the_mean_squared_error_of_its_rows():
    rng = np.random.default_rng(0)
    pooled, sae = {3: rng.standard_normal((50, 6)).astype(np.float32)}, TopKSAE(6, 12, 2, seed=0)
    rows = np.array([4, 9, 30])
    x = torch.from_numpy(pooled[3][rows])
    wanted = float((sae(x).detach() - x).square().mean())
    assert evaluator(pooled, rows)((3, 0), sae) == pytest.approx(wanted)
