"""Training recovers planted dictionaries and does not depend on what is trained beside it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark.sae import (
    PRESETS,
    TopKSAE,
    TrainConfig,
    quality,
    read_sae,
    shuffled_batches,
    start,
    steps,
    train,
    write_sae,
)  # fmt: skip
from benchmark.sae.batches import n_items
from tests.sae import training_runs
from tests.sae.training_runs import EVERYTHING

CONFIG = TrainConfig(learning_rate=2e-3, batch_size=64, epochs=2)


def run(activations, seeds, config=CONFIG, m=48, k=4):
    saes = {(layer, s): TopKSAE(x.shape[1], m, k, seed=s) for layer, x in activations.items() for s in seeds}
    rows = np.arange(len(next(iter(activations.values()))))
    totals = dict.fromkeys(saes, steps(len(rows), config))
    logs = train(saes, shuffled_batches(activations, rows, {s: s for s in seeds}, config), config, totals=totals)
    return saes, {key: log.loss for key, log in logs.items()}


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


def test_training_on_tokens_beside_other_layers_equals_training_alone(pools):
    def trained(layers):
        chosen = {name: {layer: part[layer] for layer in layers} for name, part in pools.items()}
        saes = {(layer, seed): TopKSAE(12, 48, 4, seed=seed) for layer in layers for seed in (0, 1)}
        batches = shuffled_batches(rows=np.arange(500), order_seeds={0: 0, 1: 1}, config=CONFIG, **chosen)
        counts = pools["counts"]
        totals = {key: steps(n_items(np.arange(500), [counts[key[0]]]), CONFIG) for key in saes}
        return saes, {key: log.loss for key, log in train(saes, batches, CONFIG, totals=totals).items()}

    together, losses = trained([0, 3, 7])
    assert len(losses[7, 0]) < len(losses[0, 0]) and all(np.isfinite(curve).all() for curve in losses.values())
    for layer in (0, 7):
        alone, _ = trained([layer])
        for seed in (0, 1):
            for a, b in zip(together[layer, seed].parameters(), alone[layer, seed].parameters(), strict=True):
                assert torch.equal(a, b)


@pytest.mark.parametrize("config", [CONFIG, EVERYTHING], ids=["plain", "everything"])
def test_with_any_option_an_sae_trained_beside_others_equals_one_trained_alone(config):
    together, logs = training_runs.run(config)
    for layer, seed in together:
        alone, log = training_runs.run(config, layers=(layer,), seeds=(seed,))
        key = layer, seed
        for a, b in zip(together[key].parameters(), alone[key].parameters(), strict=True):
            assert torch.equal(a, b)
        for a, b in zip(logs[key], log[key], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("config", [CONFIG, EVERYTHING], ids=["plain", "everything"])
def test_the_same_training_gives_the_same_weights_bit_for_bit(config):
    assert training_runs.digest(*training_runs.run(config)) == training_runs.digest(*training_runs.run(config))


def test_initial_weights_and_order_have_seeds_of_their_own(activations):
    def trained(init, order):
        saes = {(0, 9): TopKSAE(12, 48, 4, seed=init)}
        batches = shuffled_batches({0: activations[0]}, np.arange(500), {9: order}, CONFIG)
        train(saes, batches, CONFIG, totals={(0, 9): 16})
        return saes[0, 9].W_enc.detach()

    assert torch.equal(trained(3, 5), trained(3, 5))
    assert not torch.equal(trained(3, 5), trained(3, 6)) and not torch.equal(trained(3, 5), trained(4, 5))


def test_no_more_batches_are_taken_than_were_promised(activations):
    taken = []

    def batches():
        for step in range(100):
            taken.append(step)
            yield {0: torch.from_numpy(activations[0][:64])}

    logs = train({0: TopKSAE(12, 48, 4, seed=0)}, batches(), CONFIG, totals={0: 7})
    assert len(logs[0].loss) == 7 and len(taken) == 7


def test_an_sae_that_stops_early_leaves_the_others_to_train(activations):
    config = replace(CONFIG, patience=2, evaluate_every=2)
    saes = {(0, seed): TopKSAE(12, 48, 4, seed=seed) for seed in (0, 1)}
    batches = shuffled_batches({0: activations[0]}, np.arange(500), {0: 0, 1: 1}, config)
    values = {(0, 0): iter([3, 4, 5]), (0, 1): iter(range(100, 0, -1))}
    totals = dict.fromkeys(saes, 16)
    logs = train(saes, batches, config, totals=totals, evaluate=lambda key, sae: next(values[key]))
    assert [len(logs[key].loss) for key in saes] == [6, 16]
    start = TopKSAE(12, 48, 4, seed=0).W_enc
    assert not torch.equal(saes[0, 0].W_enc, start) and len(logs[0, 1].evaluations) == 8


def test_settings_that_need_more_than_batches_say_so(activations):
    for config, message in ((TrainConfig(normalize=True), "scale"), (TrainConfig(patience=1), "evaluator")):
        with pytest.raises(ValueError, match=message):
            train({0: TopKSAE(12, 48, 4)}, [], config, totals={0: 1})


def planted(rng, n, d, atoms, k):
    dictionary = rng.standard_normal((atoms, d))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    codes = np.zeros((n, atoms))
    chosen = np.argsort(rng.random((n, atoms)), axis=1)[:, :k]
    np.put_along_axis(codes, chosen, rng.uniform(1, 2, (n, k)), 1)
    return dictionary, (codes @ dictionary).astype(np.float32)


def test_a_planted_dictionary_is_found_by_every_seed():
    dictionary, x = planted(np.random.default_rng(0), 20_000, 64, 256, 8)
    config = replace(PRESETS["robust"], learning_rate=5e-3, epochs=10)
    begin = start(x, config)
    saes = {(0, seed): TopKSAE(64, 512, 8, seed=seed).centred(begin.b_dec) for seed in range(3)}
    batches = shuffled_batches({0: x}, np.arange(len(x)), {seed: seed for seed in range(3)}, config)
    totals = dict.fromkeys(saes, steps(len(x), config))
    train(saes, batches, config, totals=totals, scales=dict.fromkeys(saes, begin.scale))
    for sae in saes.values():
        rows = torch.nn.functional.normalize(sae.W_dec, dim=1).detach().numpy()
        assert (dictionary @ rows.T).max(1).mean() > 0.95


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
