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
    activations = F.relu((x - sae.b_dec) @ sae.W_enc.T)
    top = activations.topk(sae.k, dim=1)
    return torch.zeros_like(activations).scatter(1, top.indices, top.values) @ sae.W_dec + sae.b_dec


def gradients(sae, x, reconstruct):
    sae.zero_grad()
    x = x.clone().requires_grad_()
    F.mse_loss(reconstruct(sae, x), x.detach()).backward()
    return [tensor.grad.clone() for tensor in (sae.W_enc, sae.W_dec, sae.b_dec, x)]


def same(ours, reference, tolerance):
    for a, b in zip(ours, reference, strict=True):
        torch.testing.assert_close(a.double(), b.double(), rtol=0, atol=tolerance * max(1e-12, float(b.abs().max())))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(n=st.integers(1, 40), d=st.integers(1, 24), m=st.integers(1, 90), k=st.integers(1, 90), seed=st.integers(0, 99))
def test_gradients_equal_dense_float64_autograd(n, d, m, k, seed):
    torch.manual_seed(seed)
    sae = TopKSAE(d, m, min(k, m), seed=seed).double()
    sae.b_dec.data.normal_()
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
