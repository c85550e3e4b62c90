"""SAEs end with the same weights whatever trains beside them, and no more of them are in memory than fit."""

import hashlib

import numpy as np
import pytest

from benchmark.jobs import group_training
from benchmark.jobs.activation_cache import Activations
from benchmark.jobs.configs import TrainJobConfig
from benchmark.jobs.group_training import train_in_groups
from benchmark.jobs.layer_groups import training_bytes
from benchmark.jobs.plan import make_plan
from benchmark.jobs.training_folder import trained_sae
from benchmark.jobs.training_vectors import StoredVectors

WIDTHS, SEEDS = {0: 8, 3: 12, 7: 8, 9: 6}, (0, 1, 2)
ONE = training_bytes(8, 32)
IDS = [f"sample-{i}" for i in range(500)]


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


def digests(folder, keys):
    """Return {(layer, seed): hash of the weights} of finished SAEs."""
    found = {}
    for key in keys:
        sae = trained_sae(folder, *key, "cpu")
        state = b"".join(value.numpy().tobytes() for value in sae.state_dict().values())
        found[key] = hashlib.sha256(state).hexdigest()
    return found


@pytest.fixture
def trained(activations, tmp_path, monkeypatch):
    """Return trained(budget): {(layer, seed): hash of the weights}, loss curves, and the SAEs of each group."""
    config = TrainJobConfig(k=2, n_latents=32, epochs=2, batch_size=64, device="cpu")
    plan, real, together = make_plan(config), group_training.train, []

    def noted(saes, *arguments, **more):
        together.append(list(saes))
        return real(saes, *arguments, **more)

    monkeypatch.setattr(group_training, "train", noted)

    def run(budget):
        together.clear()
        folder = tmp_path / str(budget)
        vectors = StoredVectors("x", activations, np.arange(20, 480, 2), plan.training, IDS)
        logs = train_in_groups(plan, "x", WIDTHS, vectors, SEEDS, budget, folder)
        return digests(folder, logs), {key: log.loss.tolist() for key, log in logs.items()}, list(together)

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


class Stop(Exception):
    """What ends a training in these tests."""


class StoppingVectors(StoredVectors):
    """Stops where it is told to: before one of the batches of one of the groups, counted over all of them."""

    stop = None
    given = 0

    def batches(self, layers, seeds, skip):
        """Give out batches until it is time to stop."""
        for batch in super().batches(layers, seeds, skip):
            if StoppingVectors.given == StoppingVectors.stop:
                raise Stop
            StoppingVectors.given += 1
            yield batch


OPTIONS = ("b_dec=median", "normalize=true", "unit_norm=true", "aux_k=4", "dead_after=100")


@pytest.mark.parametrize(
    ("budget", "later", "stop"),
    [(10**12, 10**12, 0), (10**12, 10**12, 5), (10**12, 3 * ONE, 7), (3 * ONE, 10**12, 20), (ONE, 2 * ONE, 21)],
)
def test_a_stopped_training_goes_on_with_other_memory_to_the_same_saes(
    activations, tmp_path, monkeypatch, budget, later, stop
):
    config = TrainJobConfig(k=2, n_latents=32, epochs=2, batch_size=64, device="cpu", training=OPTIONS)
    plan = make_plan(config)
    vectors = StoppingVectors("x", activations, np.arange(20, 480, 2), plan.training, IDS)

    def run(folder, budget):
        monkeypatch.setattr(StoppingVectors, "given", 0)
        logs = train_in_groups(plan, "x", WIDTHS, vectors, SEEDS, budget, folder)
        return digests(folder, logs), {key: [part.tolist() for part in log] for key, log in logs.items()}

    wanted = run(tmp_path / "whole", 10**12)
    all_batches = StoppingVectors.given
    monkeypatch.setattr(StoppingVectors, "stop", stop)
    with pytest.raises(Stop):
        run(tmp_path / "stopped", budget)
    monkeypatch.setattr(StoppingVectors, "stop", None)
    assert run(tmp_path / "stopped", later) == wanted
    if budget == later == 10**12:
        assert StoppingVectors.given == all_batches - stop
    assert sorted(path.name for path in (tmp_path / "stopped").iterdir()) == sorted(
        f"L{layer:02d}-seed{seed}" for layer in WIDTHS for seed in SEEDS
    )


def test_what_is_finished_is_not_trained_again(trained):
    wanted, curves, groups = trained(3 * ONE)
    assert len(groups) > 1
    found, others, groups = trained(3 * ONE)
    assert (found, others, groups) == (wanted, curves, [])


@pytest.mark.parametrize("options", [(), ("b_dec=mean",)])
def test_an_activation_that_is_not_finite_is_refused_by_encoder_layer_and_sample(activations, tmp_path, options):
    plan = make_plan(TrainJobConfig(k=2, n_latents=32, batch_size=64, device="cpu", training=options))
    activations.pooled[7][222, 3] = np.nan
    vectors = StoredVectors("some-encoder", activations, np.arange(20, 480, 2), plan.training, IDS)
    with pytest.raises(ValueError, match="encoder 'some-encoder', layer 7, sample 'sample-222': .* not finite"):
        train_in_groups(plan, "some-encoder", WIDTHS, vectors, SEEDS, 10**12, tmp_path)


def test_a_loss_that_is_not_finite_says_what_to_do(activations, tmp_path):
    plan = make_plan(TrainJobConfig(k=2, n_latents=32, epochs=9, learning_rate=1e30, device="cpu"))
    vectors = StoredVectors("x", activations, np.arange(20, 480, 2), plan.training, IDS)
    with pytest.raises(
        ValueError, match=r"encoder 'x', layer \d, step \d+: the loss is not finite .*lower learning_rate"
    ):
        train_in_groups(plan, "x", WIDTHS, vectors, SEEDS, 10**12, tmp_path)
