"""Decoder directions of two seeds."""

import numpy as np
import pytest

from benchmark.metrics import match_decoders, pw_mcc, shared_latents


def unit(m, d, seed):
    x = np.random.default_rng(seed).normal(size=(m, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_a_permuted_and_rescaled_dictionary_is_found_again():
    w = unit(30, 16, 0)
    order = np.random.default_rng(1).permutation(30)
    found = match_decoders(w, 7.5 * w[order])
    np.testing.assert_array_equal(order[found.partner], np.arange(30))
    np.testing.assert_allclose(found.cosine, 1)
    assert found.share() == 1.0 and pw_mcc([w, w[order], 2 * w]) == pytest.approx(1)


def test_half_of_a_dictionary_planted_in_another_is_the_share_that_matches():
    w, other = unit(40, 256, 0), unit(40, 256, 1)
    mixed = np.concatenate([w[:20], other[20:]])[::-1]
    assert match_decoders(w, mixed).share(0.7) == 0.5


def test_opposite_directions_do_not_match():
    assert match_decoders([[1.0, 0.0]], [[-1.0, 0.0]]).share(0) == 0


def test_a_smaller_dictionary_leaves_directions_without_partner():
    w = unit(10, 64, 0)
    found = match_decoders(w, w[:4])
    np.testing.assert_array_equal(found.partner[:4], np.arange(4))
    assert (found.partner[4:] == -1).all() and np.isnan(found.cosine[4:]).all() and found.share() == 0.4


def test_pw_mcc_of_two_by_two_dictionaries_is_the_better_of_both_pairings():
    a, b = np.eye(2), np.array([[0.6, 0.8], [1.0, 0.0]])
    assert pw_mcc([a, b]) == pytest.approx((1.0 + 0.8) / 2)
    assert pw_mcc([a, b, a]) == pytest.approx((0.9 + 1.0 + 0.9) / 3)


def test_rows_of_zeros_and_huge_rows_are_harmless():
    found = match_decoders([[0.0, 0.0], [1e300, 0.0]], [[1e-300, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(found.cosine, [0, 1])


@pytest.mark.parametrize("wrong", [[[np.nan, 1.0]], [1.0, 2.0], np.zeros((0, 2))])
def test_arrays_that_are_no_decoders_are_refused(wrong):
    with pytest.raises(ValueError, match="decoder"):
        match_decoders(wrong, [[1.0, 0.0]])


def test_decoders_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="widths"):
        match_decoders(unit(3, 4, 0), unit(3, 5, 0))
    with pytest.raises(ValueError, match="two or more"):
        pw_mcc([unit(3, 4, 0)])


def test_a_latent_is_shared_where_encoder_and_decoder_choose_the_same_close_partner():
    w, v = unit(40, 256, 0), unit(40, 256, 1)
    order = np.random.default_rng(2).permutation(40)
    decoder, encoder = w[order], v[order].copy()
    encoder[:10] = unit(10, 256, 3)  # these read another direction
    found = shared_latents(match_decoders(decoder, w), match_decoders(encoder, v))
    np.testing.assert_array_equal(found, np.arange(40) >= 10)
    swapped = w.copy()
    swapped[[0, 1]] = swapped[[1, 0]]  # decoders agree with latents that encoders do not
    assert shared_latents(match_decoders(w, swapped), match_decoders(v, v)).sum() == 38
    with pytest.raises(ValueError, match="do not fit"):
        shared_latents(match_decoders(w, w), match_decoders(w[:3], w))
