"""FVU and its baselines over whole sets of samples, against plain NumPy and values that are known."""

import numpy as np
import pytest
import torch

from benchmark.sae import TopKSAE
from benchmark.sae import reconstruction as module
from benchmark.sae.reconstruction import baseline, reconstruction


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return (rng.standard_normal((300, 6)) @ rng.standard_normal((6, 6)) + 40).astype(np.float32)


def silent(x, b_dec):
    """An SAE that answers every sample with b_dec."""
    sae = TopKSAE(x.shape[1], 12, 2, seed=0)
    with torch.no_grad():
        sae.W_dec.zero_()
    return sae.centred(np.asarray(b_dec))


def test_predicting_the_mean_gives_fvu_1_exactly():
    x = np.random.default_rng(1).integers(-50, 50, (256, 5)).astype(np.float32)
    x = np.concatenate([x, -x]) + 3  # the mean is 3, in float32 too
    sae = silent(x, np.full(5, 3.0))
    found = reconstruction(sae, x, sae.features(x))
    assert found.fvu == 1 and found.explained_variance == 0 and found.offset == 0


def test_predicting_a_mean_that_float32_rounds_gives_fvu_1_to_rounding(x):
    sae = silent(x, x.mean(0, dtype=np.float64))
    assert reconstruction(sae, x, sae.features(x)).fvu == pytest.approx(1, abs=1e-12)


def test_the_offset_is_what_a_better_b_dec_would_remove(x):
    shift = np.arange(6.0)
    mean = x.mean(0, dtype=np.float64)
    sae = silent(x, mean + shift)
    found = reconstruction(sae, x, sae.features(x))
    wanted = len(x) * (shift**2).sum() / ((x - mean) ** 2).sum()
    assert found.offset == pytest.approx(wanted, rel=1e-5) and found.fvu == pytest.approx(1 + wanted, rel=1e-5)


def test_figures_are_those_of_the_definition_on_a_trained_size_of_dictionary(x):
    sae = TopKSAE(6, 40, 4, seed=1).centred(x.mean(0))
    residual = x - sae(torch.from_numpy(x)).detach().numpy().astype(np.float64)
    variance = ((x - x.mean(0, dtype=np.float64)) ** 2).sum()
    found = reconstruction(sae, x, sae.features(x))
    assert found.fvu == pytest.approx((residual**2).sum() / variance, rel=1e-6)
    assert found.offset == pytest.approx(len(x) * (residual.mean(0) ** 2).sum() / variance, rel=1e-4)


def test_blocks_change_nothing_and_a_mean_of_ratios_would(x, monkeypatch):
    x[:40] *= 3  # batches of different variance
    sae = TopKSAE(6, 40, 4, seed=1).centred(x.mean(0))
    features = sae.features(x)
    whole = reconstruction(sae, x, features)
    monkeypatch.setattr(module, "BLOCK", 7)
    np.testing.assert_allclose(reconstruction(sae, x, features), whole, rtol=1e-10)
    parts = [reconstruction(sae, x[i : i + 20], features.take(np.arange(i, i + 20))).fvu for i in range(0, 300, 20)]
    assert abs(np.mean(parts) - whole.fvu) > 0.01


def test_rows_of_a_memory_mapped_file_are_those_rows(x, tmp_path):
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    sae, rows = TopKSAE(6, 40, 4, seed=1), np.arange(299, 0, -3)
    features = sae.features(x).take(rows)
    assert reconstruction(sae, mapped, features, rows=rows) == reconstruction(sae, x[rows], features)


def test_pca_is_that_of_a_singular_value_decomposition(x):
    base = baseline(x)
    centred = x - x.mean(0, dtype=np.float64)
    squares = np.linalg.svd(centred, compute_uv=False) ** 2
    np.testing.assert_allclose(base.mean, x.mean(0, dtype=np.float64), rtol=1e-12)
    for k in range(7):
        assert base.pca_fvu(k) == pytest.approx(squares[k:].sum() / squares.sum(), abs=1e-12)
    assert base.pca_fvu(0) == 1 and base.pca_fvu(6) == base.pca_fvu(100) == 0


def test_pca_keeps_its_digits_where_the_mean_is_far_from_zero():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((500, 4)) * [4, 2, 1, 0.5]
    squares = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
    assert baseline(x + 1e7).pca_fvu(2) == pytest.approx(squares[2:].sum() / squares.sum(), rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3])
def test_equal_activations_have_no_variance_to_explain(value):
    x = np.full((100, 3), value, np.float32)
    sae = TopKSAE(3, 9, 2, seed=0)
    assert np.isnan(reconstruction(sae, x, sae.features(x))).all()
    assert np.isnan(baseline(x).pca_fvu(1))


def test_what_does_not_fit_is_refused(x):
    sae = TopKSAE(6, 40, 4)
    with pytest.raises(ValueError, match="299 samples"):
        reconstruction(sae, x, sae.features(x[:-1]))
    with pytest.raises(ValueError, match="40 latents"):
        reconstruction(TopKSAE(6, 30, 4), x, sae.features(x))
    with pytest.raises(ValueError, match="no sample"):
        baseline(x[:0])
