"""The objective and its gradients are those of dense float64 autograd, for every option."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.sae import TopKSAE, TrainConfig
from benchmark.sae.objective import objective, prefixes


def dense_loss(sae, x, k, config, dead):
    """All scores, dense codes, autograd: the formulas as the papers write them."""
    m, n = sae.n_latents, len(x)
    scores = (x - sae.b_dec) @ sae.W_enc.T
    active = F.relu(scores if sae.b_enc is None else scores + sae.b_enc)
    if config.selection == "batchtopk":
        top = active.ravel().topk(n * k)
        codes = torch.zeros(n * m, dtype=x.dtype).scatter(0, top.indices, top.values).view(n, m)
    else:
        top = active.topk(k, dim=1)
        codes = torch.zeros_like(active).scatter(1, top.indices, top.values)
    loss = 0
    for size in prefixes(m, config.matryoshka):
        error = F.mse_loss(codes[:, :size] @ sae.W_dec[:size] + sae.b_dec, x)
        loss = loss + error
    if config.aux_k and dead is not None and dead.any():
        residual = (x - codes @ sae.W_dec - sae.b_dec).detach()
        variance, left = ((v - v.mean(0)).square().mean() for v in (x, residual))
        if n > 1 and variance > 1e-28 * x.square().mean() and left > 1e-28 * residual.square().mean():
            latents = dead.nonzero().ravel()
            top = active[:, latents].topk(min(config.aux_k, len(latents)), dim=1)
            aux = torch.zeros_like(active[:, latents]).scatter(1, top.indices, top.values)
            loss = loss + config.aux_coefficient * variance / left * F.mse_loss(aux @ sae.W_dec[latents], residual)
    return loss, error


def gradients(sae, loss):
    sae.zero_grad()
    loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in sae.parameters())]


def same(ours, reference, tolerance):
    for a, b in zip(ours, reference, strict=True):
        torch.testing.assert_close(a.double(), b.double(), rtol=0, atol=tolerance * max(1e-9, float(b.abs().max())))


@st.composite
def cases(draw):
    m = draw(st.integers(1, 80))
    shares = draw(st.lists(st.floats(0.01, 1), max_size=3, unique=True))
    config = TrainConfig(
        selection=draw(st.sampled_from(["topk", "batchtopk"])),
        matryoshka=tuple(sorted(shares)),
        aux_k=draw(st.sampled_from([0, 1, 7, 200])),
        aux_coefficient=draw(st.sampled_from([1 / 32, 3.0])),
    )
    return (
        draw(st.integers(1, 40)), draw(st.integers(1, 24)), m, draw(st.integers(1, m)), config,
        draw(st.booleans()), draw(st.sampled_from([None, 0.0, 0.3, 1.0])), draw(st.integers(0, 99)),
    )  # fmt: skip


def build(n, d, m, k, bias, dead_share, seed):
    torch.manual_seed(seed)
    sae = TopKSAE(d, m, k, seed=seed, encoder_bias=bias).double()
    sae.b_dec.data.normal_()
    if bias:
        sae.b_enc.data.normal_(0, 0.3)
    dead = None if dead_share is None else torch.rand(m) < dead_share
    return sae, torch.randn(n, d, dtype=torch.float64), dead


@settings(max_examples=120, deadline=None, derandomize=True)
@given(case=cases())
def test_loss_and_gradients_equal_dense_float64_autograd_for_every_option(case):
    n, d, m, k, config, bias, dead_share, seed = case
    sae, x, dead = build(n, d, m, k, bias, dead_share, seed)
    ours = objective(sae, x, k, config, dead)
    loss, error = dense_loss(sae, x, k, config, dead)
    same(gradients(sae, ours.loss), gradients(sae, loss), 1e-9)
    torch.testing.assert_close(ours.mse, error.detach())


@settings(max_examples=40, deadline=None, derandomize=True)
@given(case=cases())
def test_the_operators_for_other_devices_give_the_same(case):
    n, d, m, k, config, bias, dead_share, seed = case
    sae, x, dead = build(n, d, m, k, bias, dead_share, seed)
    reference = gradients(sae, objective(sae, x, k, config, dead).loss)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmark.sae.kernels.usable", lambda tensor: False)
        same(gradients(sae, objective(sae, x, k, config, dead).loss), reference, 1e-9)
        patch.setattr("benchmark.sae.products._gathers", lambda tensor: True)
        patch.setattr("benchmark.sae.products.GATHER", 16)
        same(gradients(sae, objective(sae, x, k, config, dead).loss), reference, 1e-9)


ALL = TrainConfig(selection="batchtopk", matryoshka=(0.2, 0.6), aux_k=5)


@pytest.mark.parametrize("config", [TrainConfig(), TrainConfig(aux_k=5), ALL])
@pytest.mark.parametrize(
    "case", ["zero", "constant", "one vector", "zero-variance dimensions", "all dead", "dead rows"]
)
def test_hostile_batches_have_the_gradients_of_float64(case, config):
    sae, x, dead = build(33, 12, 64, 5, True, 0.4, 0)
    if case == "zero":
        x = torch.zeros_like(x)
    elif case == "constant":
        x = torch.full_like(x, 3.0)
    elif case == "one vector":
        x = x[:1]
    elif case == "zero-variance dimensions":
        x[:, ::3] = 2.0
    elif case == "all dead":
        sae.b_enc.data.fill_(-1e3)
    else:
        sae.W_enc.data[::2] = 0
        sae.b_enc.data[::2] = -1
    reference = gradients(sae, dense_loss(sae, x, 5, config, dead)[0])
    single = TopKSAE(12, 64, 5, encoder_bias=True)
    single.load_state_dict(sae.state_dict())
    ours = gradients(single, objective(single, x.float(), 5, config, dead).loss)
    assert all(part.isfinite().all() for part in ours)
    same(ours, reference, 1e-5)


def test_ties_get_a_gradient_of_some_k_of_them():
    sae = TopKSAE(4, 32, 3, seed=0).double()
    sae.W_enc.data[:] = sae.W_enc.data[0]
    x = sae.W_enc.data[:1].repeat(9, 1) + 0.1
    for selection, total in (("topk", 27), ("batchtopk", 27)):
        result = objective(sae, x, 3, TrainConfig(selection=selection))
        sae.zero_grad()
        result.loss.backward()
        value = float(x[0] @ sae.W_enc.data[0])
        slots = sae.W_dec.grad.norm(dim=1) > 0
        assert slots.sum() == result.fired.sum() <= total and value > 0
        assert torch.equal(slots, result.fired)


def test_batchtopk_keeps_n_times_k_scores_wherever_they_are(monkeypatch):
    from benchmark.sae.codes import batch_codes

    sae, x, _ = build(50, 8, 40, 3, True, None, 1)
    x[:10] *= 10
    reference = F.relu((x - sae.b_dec) @ sae.W_enc.T + sae.b_enc).detach()
    wanted = reference.ravel().topk(150).values.sort().values
    for chunk in (7, 1000):
        monkeypatch.setattr("benchmark.sae.codes.CHUNK", chunk)
        values, indices, samples = batch_codes(x, sae.W_enc, sae.b_dec, 3, sae.b_enc)
        torch.testing.assert_close(values.sort().values, wanted)
        torch.testing.assert_close(values, reference[samples, indices])
        assert (samples.diff() >= 0).all()
        counts = torch.bincount(samples, minlength=50)
        assert counts[:10].float().mean() > 2 * counts[10:].float().mean()


def test_auxk_trains_dead_latents_only_and_costs_nothing_while_none_is_dead(monkeypatch):
    sae, x, _ = build(30, 8, 60, 3, False, None, 2)
    sae.W_enc.data[:20] *= 1e-3  # never among the 3 largest
    config, dead = TrainConfig(aux_k=4), torch.arange(60) < 20
    plain = gradients(sae, objective(sae, x, 3, TrainConfig()).loss)
    none = gradients(sae, objective(sae, x, 3, config, torch.zeros(60, dtype=torch.bool)).loss)
    assert all(torch.equal(a, b) for a, b in zip(plain, none, strict=True))
    result = objective(sae, x, 3, config, dead)
    assert not result.fired[:20].any()
    revived = gradients(sae, result.loss)
    assert plain[2][:20].abs().sum() == 0 and revived[2][:20].abs().sum() > 0
    torch.testing.assert_close(plain[2][20:], revived[2][20:])
    rows = []
    from benchmark.sae import codes

    real = codes.top_codes
    monkeypatch.setattr(
        "benchmark.sae.objective.top_codes",
        lambda x, w, *args, **named: rows.append(len(w)) or real(x, w, *args, **named),
    )
    objective(sae, x, 3, config, dead)
    assert rows == [60, 20]


def test_only_latents_with_a_value_above_0_count_as_fired():
    sae, x, _ = build(6, 8, 40, 3, False, None, 0)
    result = objective(sae, x, 40, TrainConfig())
    wanted = ((x - sae.b_dec) @ sae.W_enc.T > 0).any(0)
    assert torch.equal(result.fired, wanted) and not wanted.all()


def test_prefixes_are_rising_and_end_with_the_whole_dictionary():
    assert prefixes(100, ()) == [100]
    assert prefixes(100, (0.1, 0.5)) == [10, 50, 100]
    assert prefixes(100, (0.5, 1.0)) == [50, 100]
    assert prefixes(3, (0.01, 0.02)) == [1, 3]


def test_k_of_the_call_replaces_the_one_of_the_dictionary_and_is_checked():
    sae, x, _ = build(20, 8, 40, 3, False, None, 0)
    wide = TopKSAE(8, 40, 9).double()
    wide.load_state_dict(sae.state_dict())
    a, b = objective(sae, x, 9, TrainConfig()), objective(wide, x, 9, TrainConfig())
    assert a.loss == b.loss and torch.equal(a.fired, b.fired)
    for k in (0, 41):
        with pytest.raises(ValueError, match=f"between 1 and the dictionary's 40 latents, got {k}"):
            objective(sae, x, k, TrainConfig())
    with pytest.raises(ValueError, match=r"\(N, 8\), got \(20, 7\)"):
        objective(sae, x[:, :7], 3, TrainConfig())
