"""Features are read when they are compared, and no more of them are in memory than allowed."""

import itertools

import numpy as np
import pytest

from benchmark.errors import InputError
from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.jobs.sides import Recorded, in_blocks, loaded_pairs
from benchmark.metrics.prepared import prepare


@pytest.mark.parametrize("budget", [1, 2, 3, 4, 5, 7, 11, 99])
def test_every_pair_is_in_one_block_and_no_block_is_over_the_budget(budget):
    sizes = {(name, 0): size for name, size in zip("abcdefg", (1, 2, 1, 1, 3, 1, 2), strict=True)}
    pairs = list(itertools.combinations(sizes, 2))
    blocks = list(in_blocks(pairs, sizes, budget))
    assert sorted(pair for block in blocks for pair in block) == sorted(pairs)
    two_largest = 5
    for block in blocks:
        assert sum(sizes[side] for side in {side for pair in block for side in pair}) <= max(budget, two_largest)
    if budget >= sum(sizes.values()):
        assert blocks == [pairs]


def test_each_side_is_read_few_times():
    sizes = {(str(i), 0): 1 for i in range(12)}
    held, read = set(), 0
    for block in in_blocks(list(itertools.combinations(sizes, 2)), sizes, 8):
        wanted = {side for pair in block for side in pair}
        read, held = read + len(wanted - held), wanted
    assert read <= 24  # three groups of four: each of the three pairs of groups, one group kept from pair to pair


@pytest.fixture
def sides(tmp_path):
    rng = np.random.default_rng(0)
    found = {}
    for name in "abc":
        path = tmp_path / f"{name}.safetensors"
        SparseFeatures(rng.random((50, 30)).argsort(1)[:, :4], rng.random((50, 4)), 30).rounded().save(path)
        found[name, 0] = Recorded({3: path}, 50)
    return found


def test_what_is_no_longer_compared_is_let_go(sides, monkeypatch):
    read = []
    load = Recorded.load
    monkeypatch.setattr(Recorded, "load", lambda self, *more: read.append(self) or load(self, *more))
    pairs = list(itertools.combinations(sides, 2))
    seen = [pair[:2] for pair in loaded_pairs(pairs, sides, np.arange(50), min_count=0, budget=1 << 30)]
    assert seen == pairs and len(read) == 3
    read.clear()
    found = list(loaded_pairs(pairs, sides, np.arange(50), min_count=0, budget=1))
    assert sorted(pair[:2] for pair in found) == sorted(pairs) and 3 < len(read) <= 5
    whole = sum(side.size(50) for side in sides.values())
    for budget, fits in ((whole, False), (2 * whole, True)):  # comparing two of three sides takes as much again
        read.clear()
        list(loaded_pairs(pairs, sides, np.arange(50), min_count=0, budget=budget))
        assert (len(read) == 3) is fits


@pytest.mark.parametrize("kind", [SparseFeatures, DenseFeatures])
def test_the_size_is_not_less_than_what_features_take(kind, tmp_path):
    rng = np.random.default_rng(0)
    array = np.where(rng.random((400, 64)) < 0.3, rng.random((400, 64)), 0)
    features = kind.from_dense(array).rounded()
    features.save(tmp_path / "f")
    side = Recorded({0: tmp_path / "f"}, 400)
    taken = side.load(np.arange(200))[0]
    if kind is SparseFeatures:
        kept = prepare(taken)
        bytes_ = sum(x.nbytes for x in (taken.indices, taken.values, kept.rows, kept.vals))
    else:
        bytes_ = taken.array.nbytes
    assert bytes_ <= side.size(200) < 4 * bytes_


def test_a_filter_that_leaves_nothing_is_refused(sides):
    with pytest.raises(InputError, match="min_count = 51 leaves no feature of layer 3"):
        sides["a", 0].load(np.arange(50), 51)
