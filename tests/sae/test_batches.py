"""What each epoch shows of stored activations, in which order, and from which step on."""

import numpy as np
import pytest
import torch

from benchmark.sae import TrainConfig, shuffled_batches
from benchmark.sae.batches import draw, mean, n_items, row_not_finite, steps

CONFIG = TrainConfig(learning_rate=2e-3, batch_size=64, epochs=2)


def items(pools, layer, rows):
    """Every vector that a layer may show, one row at a time: the plain form of the definition."""
    found = []
    for row in rows:
        found.append(pools["activations"][layer][row])
        found += list(pools["tokens"][layer][row][: pools["counts"][layer][row]])
    return np.array(found)


def shown(batches, key):
    return np.concatenate([batch[key].numpy() for batch in batches if key in batch])


def in_order(x):
    return x[np.lexsort(x.T)]


def test_every_epoch_shows_every_row_once_in_a_new_order(activations):
    x = {0: np.arange(100, dtype=np.float32)[:, None]}
    seen = [b[0, 0].ravel() for b in shuffled_batches(x, np.arange(10, 75), {0: 0}, CONFIG)]
    epochs = torch.cat(seen[:2]), torch.cat(seen[2:])
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(10, 75))
    assert not torch.equal(*epochs)


def test_an_epoch_shows_every_global_vector_and_every_real_token_once(pools):
    rows, config = np.arange(20, 480, 2), TrainConfig(batch_size=64, epochs=2)
    batches = list(shuffled_batches(rows=rows, order_seeds={0: 0, 1: 7}, config=config, **pools))
    assert len(batches) == steps(n_items(rows, pools["counts"].values()), config)
    for layer in (0, 3, 7):
        wanted = in_order(items(pools, layer, rows))
        assert len(wanted) == n_items(rows, [pools["counts"][layer]])
        for seed in (0, 1):
            found = shown(batches, (layer, seed))
            first, second = np.split(found, 2)
            assert np.array_equal(in_order(first), wanted) and np.array_equal(in_order(second), wanted)
            assert not np.array_equal(first, second)
    assert not np.array_equal(shown(batches, (0, 0)), shown(batches, (0, 1)))


def test_layers_with_the_same_counts_see_the_same_order_and_others_drop_out_of_the_last_steps(pools):
    pools["activations"][3], pools["tokens"][3] = pools["activations"][0] + 1, pools["tokens"][0] + 1
    batches = list(shuffled_batches(rows=np.arange(500), order_seeds={0: 0}, config=CONFIG, **pools))
    assert all(torch.equal(batch[0, 0] + 1, batch[3, 0]) for batch in batches)
    per_epoch = len(batches) // 2
    has = [(7, 0) in batch for batch in batches[:per_epoch]]
    assert sum(has) == steps(n_items(np.arange(500), [pools["counts"][7]]), TrainConfig(batch_size=64))
    assert has == sorted(has, reverse=True) and not all(has)


def test_without_tokens_the_order_is_a_plain_permutation_of_the_rows():
    x = {0: np.arange(100, dtype=np.float32)[:, None]}
    rows, rng = np.arange(5, 95, 3), np.random.default_rng(9)
    batches = list(shuffled_batches(x, rows, {0: 9}, TrainConfig(batch_size=8, epochs=3)))
    wanted = np.concatenate([rng.permutation(rows) for _ in range(3)])
    assert shown(batches, (0, 0)).ravel().tolist() == wanted.tolist()


def test_the_mean_is_over_what_trains(pools):
    rows = np.arange(3, 490)
    for layer in (0, 7):
        wanted = items(pools, layer, rows).mean(0, dtype=np.float64)
        parts = (pools[name][layer] for name in ("tokens", "counts"))
        np.testing.assert_allclose(mean(pools["activations"][layer], rows, *parts), wanted, atol=1e-12)
        plain = pools["activations"][layer][rows].mean(0, dtype=np.float64)
        assert np.array_equal(mean(pools["activations"][layer], rows), plain)


@pytest.mark.parametrize("skip", [0, 1, 7, 28, 29, 30, 40, 57, 58, 60])
def test_skipped_steps_change_nothing_in_those_that_follow(pools, skip):
    arguments = {"rows": np.arange(500), "order_seeds": {0: 0, 1: 1}, "config": CONFIG, **pools}
    wanted = list(shuffled_batches(**arguments))[skip:]
    found = list(shuffled_batches(**arguments, skip=skip))
    assert len(found) == len(wanted)
    for batch, other in zip(found, wanted, strict=True):
        assert list(batch) == list(other) and all(torch.equal(batch[key], other[key]) for key in batch)


@pytest.mark.parametrize("layer", [0, 7])
def test_the_row_of_an_activation_that_is_not_finite_is_found_again(pools, layer):
    token = next(row for row in range(40, 500) if pools["counts"][layer][row])
    for row, array in ((33, pools["activations"][layer]), (token, pools["tokens"][layer][:, 0])):
        kept, array[row, 2] = array[row, 2].copy(), np.inf
        arguments = {"rows": np.arange(500), "order_seeds": {0: 0, 1: 1}, "config": CONFIG, **pools}
        at = next(i for i, batch in enumerate(shuffled_batches(**arguments)) if batch[layer, 1].isinf().any())
        assert row_not_finite(key=(layer, 1), step=at, **arguments) == row
        assert row_not_finite(key=(layer, 1), step=at + 1, **arguments) is None
        array[row, 2] = kept


def test_a_draw_is_of_what_trains_without_repetition_and_always_the_same(pools):
    rows = np.arange(20, 480, 2)
    stored = {"tokens": pools["tokens"][0], "counts": pools["counts"][0]}
    everything, of_row = draw(pools["activations"][0], rows, 10**6, **stored)
    assert np.array_equal(everything, items(pools, 0, rows))
    assert np.array_equal(np.bincount(of_row, minlength=500)[rows], 1 + pools["counts"][0][rows])
    some, of_row = draw(pools["activations"][0], rows, 100, **stored)
    again, _ = draw(pools["activations"][0], rows, 100, **stored)
    assert some.shape == (100, 12) and np.array_equal(some, again)
    assert len(np.unique(some, axis=0)) == 100 and {x.tobytes() for x in some} <= {x.tobytes() for x in everything}
    plain, of_row = draw(pools["activations"][0], rows, 50)
    assert np.array_equal(plain, pools["activations"][0][of_row])
