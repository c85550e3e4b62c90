"""Every option does to one SAE what its sentence says."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmark.errors import InputError
from benchmark.sae import NotFinite, TopKSAE, TrainConfig
from benchmark.sae import learner as module
from benchmark.sae.learner import Learner
from benchmark.sae.schedule import learning_rate

CONFIG = TrainConfig(learning_rate=1e-2, batch_size=32)


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(32, 8, generator=generator) + 2 for _ in range(20)]


def trained(batches, config=CONFIG, *, scale=1.0, **sizes):
    """Return a learner after all its batches."""
    found = Learner("a", TopKSAE(8, 24, 3, seed=0, **sizes), config, len(batches), scale)
    for at, batch in enumerate(batches):
        found.step(batch, at)
    return found


@pytest.mark.parametrize("scale", [0.25, 8.0, 3.7])
@pytest.mark.parametrize("bias", [False, True])
def test_a_scaled_training_gives_an_sae_of_the_activations_as_they_are(batches, scale, bias):
    learner = trained(batches, scale=scale, encoder_bias=bias)
    inside = copy.deepcopy(learner.sae)
    learner.finish()
    x = torch.cat(batches)
    values, indices = (part.detach() for part in learner.sae.encode(x))
    wanted, at = (part.detach() for part in inside.encode(x * scale))
    order, other = indices.argsort(1), at.argsort(1)
    assert torch.equal(indices.gather(1, order), at.gather(1, other))
    exact = {"rtol": 0, "atol": 0} if scale in (0.25, 8.0) else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(values.gather(1, order), wanted.gather(1, other) / scale, **exact)
    torch.testing.assert_close(learner.sae(x), inside(x * scale) / scale, rtol=1e-4, atol=1e-5)


def test_a_scaled_training_is_the_training_of_scaled_activations(batches):
    plain = trained([4 * batch for batch in batches])
    scaled = trained(batches, scale=4.0)
    for a, b in zip(plain.sae.parameters(), scaled.sae.parameters(), strict=True):
        assert torch.equal(a, b)
    losses = plain.finish().loss, scaled.finish().loss
    np.testing.assert_allclose(losses[0] / 16, losses[1], rtol=1e-6)


def test_unit_norm_keeps_rows_at_length_1_and_gives_adam_no_gradient_along_them(batches, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 7)
    learner = Learner("a", TopKSAE(8, 24, 3, seed=0), replace(CONFIG, unit_norm=True), 20)
    step, radial = learner.adam.step, []

    def noted():
        weight = learner.sae.W_dec.detach()
        weight.grad = learner.sae.W_dec.grad
        radial.append(float((weight.grad * weight).sum(1).abs().max()) / float(weight.grad.abs().max()))
        step()

    monkeypatch.setattr(learner.adam, "step", noted)
    for at, batch in enumerate(batches):
        learner.step(batch, at)
        torch.testing.assert_close(learner.sae.W_dec.norm(dim=1), torch.ones(24))
    assert max(radial) < 1e-5
    assert trained(batches).sae.W_dec.norm(dim=1).sub(1).abs().max() > 1e-2, "without the option they do not stay"


def test_the_step_size_is_the_schedules(batches, monkeypatch):
    config = replace(CONFIG, warmup=0.2, decay=0.5)
    learner = Learner("a", TopKSAE(8, 24, 3, seed=0), config, 20)
    used = []
    step = learner.adam.step
    monkeypatch.setattr(learner.adam, "step", lambda: (used.append(learner.adam.param_groups[0]["lr"]), step()))
    for at, batch in enumerate(batches):
        learner.step(batch, at)
    assert used == [learning_rate(at, 20, config) for at in range(20)]
    assert learner.finish().learning_rate.tolist() == np.float32(used).tolist()


def test_k_falls_while_it_trains_and_is_k_afterwards(batches, monkeypatch):
    used = []
    real = module.objective
    monkeypatch.setattr(module, "objective", lambda sae, x, k, *more: (used.append(k), real(sae, x, k, *more))[1])
    learner = trained(batches, replace(CONFIG, k_start=13, k_anneal=0.5))
    assert used == [13, 12, 11, 10, 9, 8, 7, 6, 5, 4] + 10 * [3]
    assert learner.sae.encode(batches[0])[0].shape == (32, 3)
    with pytest.raises(InputError, match="k_start = 2 must lie between k = 3"):
        trained(batches, replace(CONFIG, k_start=2, k_anneal=0.5))


def silent(config):
    """Return a learner half of whose latents cannot fire."""
    sae = TopKSAE(8, 24, 3, seed=0, encoder_bias=True)
    with torch.no_grad():
        sae.b_enc[12:] = -50
    return Learner("a", sae, config, 20)


def test_latents_count_as_dead_after_so_many_vectors_without_firing(batches):
    learner = silent(replace(CONFIG, dead_after=5 * 32))
    for at, batch in enumerate(batches):
        learner.step(batch, at)
    log = learner.finish()
    assert log.dead[:, 0].tolist() == list(range(1, 21))
    assert (log.dead[:4, 1] == 0).all() and (log.dead[4:, 1] >= 0.5).all()
    assert learner.idle[12:].tolist() == [640] * 12 and learner.idle[:12].min() < 64


def test_dead_latents_are_told_to_the_objective_only_where_it_revives_them(batches, monkeypatch):
    told = []
    real = module.objective
    monkeypatch.setattr(module, "objective", lambda *a: (told.append(a[4]), real(*a))[1])
    for aux_k in (0, 4):
        told.clear()
        learner = silent(replace(CONFIG, dead_after=5 * 32, aux_k=aux_k))
        for at, batch in enumerate(batches[:7]):
            learner.step(batch, at)
        if aux_k:
            assert [int(dead.sum()) >= 12 for dead in told] == 5 * [False] + 2 * [True]
        else:
            assert told == [None] * 7


def test_the_curve_of_dead_latents_has_a_bounded_number_of_points(batches, monkeypatch):
    monkeypatch.setattr(module, "DEAD_POINTS", 3)
    assert trained(batches).finish().dead[:, 0].tolist() == [7, 14, 20]


def evaluated(batches, values, config):
    """Return a learner, evaluated after every step with these values, and its weights after each."""
    learner, weights, found = Learner("a", TopKSAE(8, 24, 3, seed=0), config, 20, 2.0), [], iter(values)
    for at, batch in enumerate(batches):
        if learner.done:
            break
        learner.step(batch, at)
        learner.evaluate(lambda key, sae: next(found))
        weights.append(copy.deepcopy(learner.sae.state_dict()))
    return learner, weights


def test_an_early_stop_keeps_the_best_weights(batches):
    values = [5, 4, 4.5, 3, 3, float("nan"), 3.5, 1]
    learner, weights = evaluated(batches, values, replace(CONFIG, patience=3))
    assert learner.steps == 7 and learner.stopped
    log = learner.finish()
    np.testing.assert_array_equal(log.evaluations, [[i + 1, value] for i, value in enumerate(values[:7])])
    assert torch.equal(learner.sae.W_enc, weights[3]["W_enc"])
    assert torch.equal(learner.sae.b_dec, weights[3]["b_dec"] / 2)


def test_without_patience_evaluations_are_only_noted(batches):
    learner, weights = evaluated(batches, range(20), CONFIG)
    assert learner.steps == 20 and len(learner.finish().evaluations) == 20
    assert torch.equal(learner.sae.W_enc, weights[-1]["W_enc"])


def test_an_evaluator_sees_the_sae_of_the_activations_as_they_are(batches):
    learner = trained(batches, scale=3.7)
    before = copy.deepcopy(learner.sae.state_dict())
    seen = []
    learner.evaluate(lambda key, sae: seen.append((key, sae.b_dec.clone(), sae.W_enc.clone())) or 0.0)
    assert all(torch.equal(value, before[name]) for name, value in learner.sae.state_dict().items())
    learner.finish()
    assert (
        seen[0][0] == "a" and torch.equal(seen[0][1], learner.sae.b_dec) and torch.equal(seen[0][2], learner.sae.W_enc)
    )


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_an_activation_that_is_not_finite_is_refused_at_once(batches, wrong):
    learner = Learner("a", TopKSAE(8, 24, 3, seed=0), CONFIG, 20)
    batches[3][5, 2] = wrong
    with pytest.raises(NotFinite, match="SAE a: the activation is not finite at step 3.") as error:
        for at, batch in enumerate(batches):
            learner.step(batch, at)
    assert (error.value.key, error.value.step, error.value.what) == ("a", 3, "activation")


@pytest.mark.parametrize("what", ["activation", "loss"])
def test_where_reading_waits_the_error_comes_later_and_names_the_step(batches, monkeypatch, what):
    learner = Learner("a", TopKSAE(8, 24, 3, seed=0), CONFIG, 20)
    learner.device = SimpleNamespace(type="mps")
    real = module.objective

    def objective(sae, x, *more):
        found = real(sae, batches[0], *more)
        return found._replace(mse=found.mse * float("nan")) if what == "loss" and x is batches[3] else found

    monkeypatch.setattr(module, "objective", objective)
    monkeypatch.setattr(module, "WATCH", 8)
    if what == "activation":
        batches[3][5, 2] = float("inf")
    for at in range(7):
        learner.step(batches[at], 100 + at)
    with pytest.raises(NotFinite, match=f"SAE a: the {what} is not finite at step 103."):
        learner.step(batches[7], 107)


def test_a_learner_is_done_after_its_steps_and_leaves_no_gradients(batches):
    learner = trained(batches)
    assert learner.done and not learner.stopped
    learner.finish()
    assert all(parameter.grad is None for parameter in learner.sae.parameters())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("step", [0, 1, 11])
def test_a_restored_learner_goes_on_bit_for_bit(batches, bias, step):
    config = replace(CONFIG, unit_norm=True, aux_k=4, dead_after=64, patience=50, decay=0.5)

    def advance(learner, first, last):
        for at in range(first, last):
            learner.step(batches[at], at)
            learner.evaluate(lambda key, sae: float(sae.W_enc[0, 0]))
        return learner

    def fresh(seed):
        return Learner("a", TopKSAE(8, 24, 3, seed=seed, encoder_bias=bias), config, 20, 1.7)

    wanted = advance(fresh(0), 0, 20)
    again = fresh(1)
    again.restore(*advance(fresh(0), 0, step).state())
    advance(again, step, 20)
    for a, b in zip(wanted.finish(), again.finish(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(torch.equal(a, b) for a, b in zip(wanted.sae.parameters(), again.sae.parameters(), strict=True))
