"""SAEs end with the same weights whatever trains beside them, and no more of them are in memory than fit."""

import hashlib

import numpy as np
import pytest

from benchmark.jobs import group_training
from benchmark.jobs.activation_cache import Activations
from benchmark.jobs.configs import TrainJobConfig
from benchmark.jobs.group_training import train_in_groups, trained_sae
from benchmark.jobs.layer_groups import training_bytes
from benchmark.jobs.plan import make_plan

WIDTHS, SEEDS = {0: 8, 3: 12, 7: 8, 9: 6}, (0, 1, 2)
ONE = training_bytes(8, 32)


@pytest.fixture(params=["vectors", "tokens"])
def activations(request):
    """500 rows; with tokens, layers of one stage have the same counts and those of the other fewer slots."""
    rng = np.random.default_rng(0)
    pooled = {layer: rng.standard_normal((500, d)).astype(np.float32) for layer, d in WIDTHS.items()}
    if request.param == "vectors":
        return Activations(pooled, {}, {})
    slots = {0: 3, 3: 3, 7: 1, 9: 1}
    found = rng.integers(0, 4, 500).astype(np.int32)
    tokens = {n: rng.standard_normal((500, slots[n], d)).astype(np.float32) for n, d in WIDTHS.items()}
    return Activations(pooled, tokens, {layer: np.minimum(found, slots[layer]) for layer in WIDTHS})


@pytest.fixture
def trained(activations, tmp_path, monkeypatch):
    """Return trained(budget): {(layer, seed): hash of the weights}, loss curves, and the SAEs of each group."""
    config = TrainJobConfig(k=2, n_latents=32, epochs=2, batch_size=64, device="cpu")
    plan, real, together = make_plan(config), group_training.train, []

    def noted(saes, batches, training):
        together.append(list(saes))
        return real(saes, batches, training)

    monkeypatch.setattr(group_training, "train", noted)

    def run(budget):
        together.clear()
        folder = tmp_path / str(budget)
        rows = np.arange(20, 480, 2)
        losses = train_in_groups(plan, "x", WIDTHS, activations, rows, SEEDS, budget, folder)
        found = {}
        for key in losses:
            sae = trained_sae(folder, *key, "cpu")
            state = b"".join(value.numpy().tobytes() for value in sae.state_dict().values())
            found[key] = hashlib.sha256(state).hexdigest()
        return found, {key: curve.tolist() for key, curve in losses.items()}, list(together)

    return run


@pytest.mark.parametrize("budget", [0, ONE, 2 * ONE, 3 * ONE, 7 * ONE, 9 * ONE])
def test_results_do_not_depend_on_the_groups_bit_for_bit(trained, budget):
    wanted, curves, groups = trained(10**12)
    assert len(groups) == 1 and len(wanted) == 12
    found, others, groups = trained(budget)
    assert found == wanted and others == curves and len(groups) > 1
    for group in groups:
        assert sum(training_bytes(WIDTHS[layer], 32) for layer, _ in group) <= budget or len(group) == 1


def test_a_layer_whose_seeds_do_not_fit_trains_them_in_parts(trained):
    assert trained(2 * ONE)[2][:2] == [[(0, 0), (0, 1)], [(0, 2)]]
    assert trained(0)[2] == [[(layer, seed)] for layer in WIDTHS for seed in SEEDS]


def test_one_bar_counts_the_steps_of_all_groups(trained, activations, capfd):
    _, curves, _ = trained(3 * ONE)
    total = sum(map(len, curves.values()))
    shown = capfd.readouterr().err
    assert f"{total}/{total}" in shown and {part.split(":")[0].strip() for part in shown.split("\r") if part} == {
        "train x"
    }
