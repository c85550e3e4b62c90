"""The sparse step has the gradients of the dense one."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.sae import TopKSAE


def dense_reconstruction(sae, x):
    """The step as the paper writes it: all activations, all but the k largest set to zero."""
    activations = F.relu(F.linear(x - sae.b_dec, sae.W_enc, sae.b_enc))
    top = activations.topk(sae.k, dim=1)
    return torch.zeros_like(activations).scatter(1, top.indices, top.values) @ sae.W_dec + sae.b_dec


def gradients(sae, x, reconstruct):
    sae.zero_grad()
    x = x.clone().requires_grad_()
    F.mse_loss(reconstruct(sae, x), x.detach()).backward()
    return [tensor.grad.clone() for tensor in (*sae.parameters(), x)]


def same(ours, reference, tolerance):
    for a, b in zip(ours, reference, strict=True):
        torch.testing.assert_close(a.double(), b.double(), rtol=0, atol=tolerance * max(1e-12, float(b.abs().max())))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    n=st.integers(1, 40), d=st.integers(1, 24), m=st.integers(1, 90), k=st.integers(1, 90), bias=st.booleans(),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_gradients_equal_dense_float64_autograd(n, d, m, k, bias, seed):
    torch.manual_seed(seed)
    sae = TopKSAE(d, m, min(k, m), seed=seed, encoder_bias=bias).double()
    sae.b_dec.data.normal_()
    if bias:
        sae.b_enc.data.normal_(0, 0.3)
    x = torch.randn(n, d, dtype=torch.float64)
    same(gradients(sae, x, lambda s, v: s(v)), gradients(sae, x, dense_reconstruction), 1e-9)


@pytest.mark.parametrize("case", ["zero input", "constant input", "huge input", "dead latents", "k = m"])
def test_gradients_of_hostile_inputs_equal_float64(case):
    torch.manual_seed(0)
    d, m, k = 12, 64, 64 if case == "k = m" else 5
    sae = TopKSAE(d, m, k, seed=1)
    x = torch.randn(33, d)
    if case == "zero input":
        x = torch.zeros(33, d)
    elif case == "constant input":
        x = torch.full((33, d), 3.0)
    elif case == "huge input":
        x = x * 1e6
    elif case == "dead latents":
        sae.W_enc.data[::2] = 0
    exact = TopKSAE(d, m, k, seed=1).double()
    exact.load_state_dict(sae.state_dict())
    same(gradients(sae, x, lambda s, v: s(v)), gradients(exact, x.double(), dense_reconstruction), 1e-5)


def test_encode_finds_the_k_largest_activations():
    torch.manual_seed(0)
    for d, m, k in ((8, 64, 5), (8, 61, 5), (8, 64, 9), (8, 640, 80)):
        sae = TopKSAE(d, m, k, seed=0)
        x = torch.randn(50, d)
        values, indices = sae.encode(x)
        activations = F.relu((x - sae.b_dec) @ sae.W_enc.T)
        assert (indices.sort(1).values.diff(dim=1) > 0).all()
        torch.testing.assert_close(values.sort(1).values, activations.topk(k, dim=1).values.sort(1).values)
        torch.testing.assert_close(values, activations.gather(1, indices))


def activations_of(kind, n, d, generator):
    """Batches that make a choice by bfloat16 products hard."""
    x = torch.randn(n, d, generator=generator)
    if kind == "large mean":
        x += 100 * torch.randn(d, generator=generator)
    elif kind == "outlier dimension":
        x[:, 3] *= 300
    elif kind == "few directions":
        x = torch.randn(n, 2, generator=generator) @ torch.randn(2, d, generator=generator)
    elif kind == "zero vectors":
        x[::2] = 0
    elif kind == "one vector repeated":
        x[:] = x[0]
    return x


KINDS = ["gaussian", "large mean", "outlier dimension", "few directions", "zero vectors", "one vector repeated"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [False, True])
def test_the_bfloat16_screen_chooses_what_float32_scores_choose(kind, bias):
    generator = torch.Generator().manual_seed(0)
    n, d, m, k = 150, 48, 400, 8
    sae = TopKSAE(d, m, k, seed=0, encoder_bias=bias)
    sae.W_enc.data *= torch.rand(m, 1, generator=generator) * 3
    sae.W_enc.data[::50] = 0
    if bias:
        sae.b_enc.data.normal_(0, 0.1, generator=generator)
    x = activations_of(kind, n, d, generator)
    exact = F.relu(F.linear((x - sae.b_dec).double(), sae.W_enc.double(), None if not bias else sae.b_enc.double()))
    wanted = exact.topk(k, dim=1).values.sort(1).values.detach()
    scale = float((x.norm(dim=1)[:, None] * sae.W_enc.detach().norm(dim=1)).max())
    for screen in (False, True):
        sae.screen = screen
        values, indices = sae.encode(x)
        torch.testing.assert_close(values.sort(1).values.double(), wanted, rtol=0, atol=3e-7 * scale)
        live = values > 0
        torch.testing.assert_close(values[live].double(), exact.gather(1, indices)[live], rtol=0, atol=3e-7 * scale)
        ordered = torch.where(live, indices, -1 - torch.arange(k)).sort(1).values
        assert (ordered.diff(dim=1) > 0).all(), "a latent was chosen twice"


def test_the_screen_gives_up_where_rounding_hides_too_much():
    from benchmark.sae import codes

    sae, x = TopKSAE(32, 2000, 4, seed=0), torch.randn(100, 32)
    x[:, 0] *= 1e5  # rounding errors of one dimension exceed the scores of all others
    empty = torch.empty(100, 4), torch.empty(100, 4, dtype=torch.int64)
    assert not codes._screened(x, sae.W_enc.data, None, *empty)
    assert codes._screened(torch.randn(100, 32), sae.W_enc.data, None, *empty)


@pytest.mark.parametrize("screen", [False, True])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["x", "W_enc"])
def test_numbers_that_are_not_finite_reach_the_codes_and_the_loss(screen, wrong, where):
    sae, x = TopKSAE(16, 200, 4, seed=0), torch.randn(100, 16)
    sae.screen = screen
    (x if where == "x" else sae.W_enc.data)[7, 2] = wrong
    assert sae.encode(x)[0].isnan().any()
    assert not F.mse_loss(sae(x), x).isfinite()


def train_bits(screen, threads, steps=4):
    torch.set_num_threads(threads)
    sae = TopKSAE(24, 192, 6, seed=3)
    sae.screen = screen
    adam = torch.optim.Adam(sae.parameters(), lr=1e-2, fused=True)
    x = torch.randn(steps, 200, 24, generator=torch.Generator().manual_seed(1))
    for batch in x:
        adam.zero_grad()
        F.mse_loss(sae(batch), batch).backward()
        adam.step()
    return torch.cat([p.detach().ravel() for p in sae.parameters()])


@pytest.mark.parametrize("screen", [False, True])
def test_training_twice_gives_the_same_bits_and_threads_change_rounding_only(screen):
    threads = torch.get_num_threads()
    try:
        once, again, two = train_bits(screen, 1), train_bits(screen, 1), train_bits(screen, 2)
        assert torch.equal(once, again)
        torch.testing.assert_close(once, two, rtol=0, atol=1e-5)
    finally:
        torch.set_num_threads(threads)


def test_other_devices_choose_the_same_latents_in_float32_and_nearly_the_same_by_bfloat16(monkeypatch):
    torch.manual_seed(0)
    sae, x = TopKSAE(64, 1000, 8, seed=0, encoder_bias=True), torch.randn(300, 64) + 5 * torch.randn(64)
    sae.b_enc.data.normal_(0, 0.1)
    scores = F.relu(F.linear(x - sae.b_dec, sae.W_enc, sae.b_enc)).detach()
    wanted = scores.topk(8, dim=1).values.sort(1).values
    monkeypatch.setattr("benchmark.sae.kernels.usable", lambda tensor: False)
    for gathers in (False, True):
        monkeypatch.setattr("benchmark.sae.products._gathers", lambda tensor, gathers=gathers: gathers)
        sae.screen = False
        torch.testing.assert_close(sae.encode(x)[0].sort(1).values, wanted)
        sae.screen = True
        values, indices = sae.encode(x)
        torch.testing.assert_close(values, scores.gather(1, indices), rtol=0, atol=1e-5)
        missed = (values.sort(1).values - wanted).abs().max() / wanted.max()
        assert missed <= 2**-8, "a latent was missed by more than bfloat16 rounding"


def test_gradients_of_the_bfloat16_path_are_exact_for_the_latents_it_chose(monkeypatch):
    torch.manual_seed(0)
    sae, x = TopKSAE(64, 1000, 8, seed=0), torch.randn(200, 64)
    sae.screen = True
    monkeypatch.setattr("benchmark.sae.kernels.usable", lambda tensor: False)
    _, indices = sae.encode(x)
    exact = TopKSAE(64, 1000, 8).double()
    exact.load_state_dict(sae.state_dict())

    def chosen(sae, x):
        activations = F.relu(F.linear(x - sae.b_dec, sae.W_enc))
        codes = torch.zeros_like(activations).scatter(1, indices, activations.gather(1, indices))
        return codes @ sae.W_dec + sae.b_dec

    same(gradients(sae, x, lambda s, v: s(v)), gradients(exact, x.double(), chosen), 1e-5)


def test_gradients_that_somebody_keeps_are_not_written_over():
    sae, x = TopKSAE(8, 64, 3, seed=0), torch.randn(20, 8)
    kept = []
    for scale in (1.0, 2.0, 3.0):
        sae.zero_grad()
        F.mse_loss(sae(scale * x), x).backward()
        kept.append((sae.W_dec.grad, sae.W_dec.grad.clone()))
    assert all(torch.equal(grad, copy) for grad, copy in kept)
    places = {grad.data_ptr() for grad, _ in kept}
    assert len(places) == 3
    del kept
    sae.zero_grad()
    F.mse_loss(sae(x), x).backward()
    once = sae.W_dec.grad.clone()
    assert sae.W_dec.grad.data_ptr() in places, "memory was not used again"
    F.mse_loss(sae(x), x).backward()  # accumulates
    torch.testing.assert_close(sae.W_dec.grad, 2 * once)


def test_an_empty_batch_has_empty_codes():
    values, indices = TopKSAE(8, 64, 3, seed=0).encode(torch.empty(0, 8))
    assert values.shape == indices.shape == (0, 3)


def test_decode_of_encode_is_the_forward_pass():
    sae, x = TopKSAE(6, 40, 3, seed=0), torch.randn(20, 6)
    torch.testing.assert_close(sae.decode(*sae.encode(x)), sae(x))


def test_features_are_the_codes_and_refuse_what_is_not_finite():
    sae, x = TopKSAE(6, 40, 3, seed=0), torch.randn(30, 6)
    values, indices = sae.encode(x)
    dense = torch.zeros(30, 40).scatter(1, indices, values).detach().numpy()
    for form in (x, x.numpy()):
        features = sae.features(form, "ids", np.arange(30) // 2)
        np.testing.assert_allclose(features.to_dense(), dense, atol=1e-6)
        assert features.samples == "ids" and features.k == 3
    x[7, 2] = float("nan")
    with pytest.raises(ValueError, match="sample 7 is not finite"):
        sae.features(x)
    with pytest.raises(ValueError, match=r"\(N, 6\).*\(30, 5\)"):
        sae.features(x[:, :5])


def test_features_without_topk_are_all_activations(monkeypatch):
    monkeypatch.setattr("benchmark.sae.topk.RECORD", 7)
    sae = TopKSAE(6, 10, 3, seed=0).centred(np.full(6, 0.1))
    x = np.random.default_rng(0).standard_normal((30, 6), dtype=np.float32)
    features = sae.features(x, "ids", np.arange(30) // 2, codes="relu")
    wanted = np.maximum((x - 0.1) @ sae.W_enc.detach().numpy().T, 0)
    np.testing.assert_allclose(features.array, wanted, atol=1e-6)
    assert isinstance(features, DenseFeatures) and features.samples == "ids" and features.groups[3] == 1
    topk = sae.features(x)
    assert isinstance(topk, SparseFeatures) and (topk.to_dense() <= features.array + 1e-6).all()
    with pytest.raises(ValueError, match="codes must be one of topk, relu, got 'gelu'"):
        sae.features(x, codes="gelu")


@pytest.mark.parametrize("sizes", [(0, 8, 2), (4, 0, 1), (4, 8, 0), (4, 8, 9)])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ValueError):
        TopKSAE(*sizes)


def test_the_initial_decoder_is_the_encoder_with_rows_of_length_one():
    sae = TopKSAE(10, 30, 2, seed=4)
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(30))
    torch.testing.assert_close(sae.W_dec, F.normalize(sae.W_enc, dim=1))
    assert not sae.b_dec.any() and torch.equal(sae.W_enc, TopKSAE(10, 30, 2, seed=4).W_enc)
    assert not torch.equal(sae.W_enc, TopKSAE(10, 30, 2, seed=5).W_enc)
