"""Training recovers planted dictionaries and does not depend on what is trained beside it."""

import numpy as np
import pytest
import torch

from benchmark.sae import TopKSAE, TrainConfig, quality, read_sae, shuffled_batches, train, write_sae
from benchmark.sae.trainer import mean, n_items, steps

CONFIG = TrainConfig(learning_rate=2e-3, batch_size=64, epochs=2)


def run(activations, seeds, config=CONFIG, m=48, k=4):
    saes = {(layer, s): TopKSAE(x.shape[1], m, k, seed=s) for layer, x in activations.items() for s in seeds}
    rows = np.arange(len(next(iter(activations.values()))))
    losses = train(saes, shuffled_batches(activations, rows, {s: s for s in seeds}, config), config)
    return saes, losses


@pytest.fixture
def activations():
    rng = np.random.default_rng(0)
    return {layer: rng.standard_normal((500, 12)).astype(np.float32) for layer in (0, 3)}


def test_saes_trained_together_equal_saes_trained_alone_bit_for_bit(activations):
    together, _ = run(activations, [0, 1, 2])
    for layer, x in activations.items():
        for seed in (0, 2):
            alone, _ = run({layer: x}, [seed])
            for a, b in zip(together[layer, seed].parameters(), alone[layer, seed].parameters(), strict=True):
                assert torch.equal(a, b)


def test_seeds_draw_their_own_weights_and_order(activations):
    saes, losses = run(activations, [0, 1])
    assert not torch.equal(saes[0, 0].W_enc, saes[0, 1].W_enc)
    batches = shuffled_batches(activations, np.arange(500), {0: 0, 1: 1}, CONFIG)
    first = next(batches)
    assert not torch.equal(first[0, 0], first[0, 1])
    assert len(losses[0, 0]) == steps(500, CONFIG) == 16


def test_every_epoch_shows_every_row_once_in_a_new_order(activations):
    x = {0: np.arange(100, dtype=np.float32)[:, None]}
    seen = [b[0, 0].ravel() for b in shuffled_batches(x, np.arange(10, 75), {0: 0}, CONFIG)]
    epochs = torch.cat(seen[:2]), torch.cat(seen[2:])
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(10, 75))
    assert not torch.equal(*epochs)


@pytest.fixture
def pools(activations):
    """Two layers of 500 rows with up to 3 tokens, NaN behind the real ones; a third layer has fewer."""
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 4, 500).astype(np.int32)
    counts = {0: counts, 3: counts.copy(), 7: np.minimum(counts, 1)}
    activations[7] = rng.standard_normal((500, 12)).astype(np.float32)
    tokens = {layer: rng.standard_normal((500, 3, 12)).astype(np.float32) for layer in counts}
    for layer, stored in counts.items():
        tokens[layer][np.arange(3) >= stored[:, None]] = np.nan
    return {"activations": activations, "tokens": tokens, "counts": counts}


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


def test_training_on_tokens_beside_other_layers_equals_training_alone(pools):
    def trained(layers):
        chosen = {name: {layer: part[layer] for layer in layers} for name, part in pools.items()}
        saes = {(layer, seed): TopKSAE(12, 48, 4, seed=seed) for layer in layers for seed in (0, 1)}
        batches = shuffled_batches(rows=np.arange(500), order_seeds={0: 0, 1: 1}, config=CONFIG, **chosen)
        return saes, train(saes, batches, CONFIG)

    together, losses = trained([0, 3, 7])
    assert len(losses[7, 0]) < len(losses[0, 0]) and all(np.isfinite(curve).all() for curve in losses.values())
    for layer in (0, 7):
        alone, _ = trained([layer])
        for seed in (0, 1):
            for a, b in zip(together[layer, seed].parameters(), alone[layer, seed].parameters(), strict=True):
                assert torch.equal(a, b)


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


def planted(rng, n, d, atoms, k):
    dictionary = rng.standard_normal((atoms, d))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    codes = np.zeros((n, atoms))
    chosen = np.argsort(rng.random((n, atoms)), axis=1)[:, :k]
    np.put_along_axis(codes, chosen, rng.uniform(1, 2, (n, k)), 1)
    return dictionary, (codes @ dictionary).astype(np.float32)


def test_a_planted_dictionary_is_found():
    rng = np.random.default_rng(0)
    dictionary, x = planted(rng, 12000, 32, 48, 3)
    config = TrainConfig(learning_rate=3e-3, batch_size=256, epochs=12)
    saes, _ = run({0: x}, [0, 1], config, m=96, k=3)
    for sae in saes.values():
        rows = torch.nn.functional.normalize(sae.W_dec, dim=1).detach().numpy()
        assert (dictionary @ rows.T).max(1).mean() > 0.9


def test_loss_falls_and_quality_says_so(activations):
    rng = np.random.default_rng(1)
    _, x = planted(rng, 2000, 16, 24, 2)
    before = TopKSAE(16, 48, 4, seed=0)
    saes, losses = run({0: x}, [0], TrainConfig(learning_rate=3e-3, batch_size=128, epochs=8))
    after = saes[0, 0]
    assert losses[0, 0][-5:].mean() < losses[0, 0][:5].mean() / 2
    untrained, trained = (quality(sae, x, sae.features(x)) for sae in (before, after))
    assert trained.fvu < untrained.fvu / 2 and 0 <= trained.fvu < 0.5


def test_predicting_the_mean_leaves_all_variance_unexplained():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((300, 5)) + 7).astype(np.float32)
    sae = TopKSAE(5, 20, 3, seed=0)
    sae.W_dec.data.zero_()
    found = quality(sae.centred(x.mean(0, dtype=np.float64)), x, sae.features(x))
    assert found.fvu == pytest.approx(1, abs=1e-6)
    exact = x - sae(torch.from_numpy(x)).detach().numpy()
    assert found.fvu == pytest.approx((exact**2).sum() / ((x - x.mean(0)) ** 2).sum(), rel=1e-6)
    assert found.l0 == pytest.approx((sae.features(x).values > 0).sum(1).mean())


def test_activations_that_are_not_finite_are_refused_by_name(activations):
    activations[3][17, 2] = np.inf
    with pytest.raises(ValueError, match=r"SAE \(3, 0\): the activation is not finite"):
        run(activations, [0])


def test_an_sae_survives_its_files_bit_for_bit(tmp_path):
    sae = TopKSAE(7, 21, 3, seed=2)
    write_sae(sae, tmp_path)
    again = read_sae(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(sae.parameters(), again.parameters(), strict=True))
    assert (again.d, again.n_latents, again.k) == (7, 21, 3)


@pytest.mark.parametrize("damage", ["truncated", "sizes", "missing", "config"])
def test_damaged_files_are_refused_in_one_sentence(tmp_path, damage):
    write_sae(TopKSAE(7, 21, 3), tmp_path)
    if damage == "truncated":
        (tmp_path / "model.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[:200])
    elif damage == "sizes":
        (tmp_path / "config.json").write_text('{"d": 7, "n_latents": 1000000000000, "k": 3}')
    elif damage == "missing":
        (tmp_path / "model.safetensors").unlink()
    else:
        (tmp_path / "config.json").write_text("no json")
    with pytest.raises(ValueError, match=str(tmp_path)):
        read_sae(tmp_path)
