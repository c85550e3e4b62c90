"""Moved captions are wrong where they are said to be, and each is still used once."""

import numpy as np
import pytest
from planted import topk

from benchmark.features import DenseFeatures
from benchmark.metrics.mismatches import moved_captions, with_rows_of


def draw(seed=0):
    return np.random.default_rng(seed)


def test_a_share_of_the_captions_changes_places_and_none_is_lost():
    captions = [f"caption {i}" for i in range(1000)]
    moved = moved_captions(captions, np.arange(1000), 0.2, draw())
    assert sorted(moved.source) == list(range(1000)) and moved.wrong.sum() == 200
    assert ((moved.source != np.arange(1000)) == moved.wrong).all()
    again = moved_captions(captions, np.arange(1000), 0.2, draw())
    assert (again.source == moved.source).all()
    assert (moved_captions(captions, np.arange(1000), 0.2, draw(1)).source != moved.source).any()
    nothing = moved_captions(captions, np.arange(1000), 0, draw())
    assert (nothing.source == np.arange(1000)).all() and not nothing.wrong.any()


def test_no_caption_goes_to_a_group_that_has_it():
    rng = draw(3)
    groups = np.repeat(np.arange(60), 5)
    captions = [f"caption {rng.integers(25)}" for _ in groups]  # groups share many
    own = {(g, captions[i]) for i, g in enumerate(groups)}
    moved = moved_captions(captions, groups, 0.5, rng)
    assert sorted(moved.source) == list(range(300))
    right = np.array([(g, captions[s]) in own for g, s in zip(groups, moved.source, strict=True)])
    assert (right == ~moved.wrong).all() and moved.wrong.sum() == 150


def test_captions_that_are_all_the_same_cannot_be_wrong():
    moved = moved_captions(["a"] * 50, np.arange(50), 0.5, draw())
    assert not moved.wrong.any() and sorted(moved.source) == list(range(50))
    with pytest.raises(ValueError, match="between 0 and 1, got 1.5"):
        moved_captions(["a"], np.arange(1), 1.5, draw())


def test_moved_rows_belong_to_the_samples_they_moved_to():
    features = topk(40, 12, 3, seed=0, samples="these", groups=np.arange(40) // 2)
    order = draw().permutation(40)
    for kind in (features, DenseFeatures(features.to_dense(), "these", features.groups)):
        moved = with_rows_of(kind, order)
        assert type(moved) is type(kind) and (moved.to_dense() == features.to_dense()[order]).all()
        assert moved.samples == "these" and (moved.groups == features.groups).all()
