"""What tells of the quality on tokens is a bounded draw of real tokens of the right samples, without global vectors."""

from collections import Counter

import numpy as np
import pytest
from letters import CARD, FakeTower, fake_data

from benchmark.encoders import Encoder
from benchmark.jobs import heldout_tokens as module
from benchmark.jobs.activations import extract
from benchmark.jobs.heldout_tokens import TokenQuality, heldout_tokens
from benchmark.jobs.plan import ALL_TOKENS
from benchmark.sae import TopKSAE, quality

ROWS = np.arange(1, 60, 4)


def read(tokens, folder):
    data, encoder = fake_data(), Encoder(CARD, FakeTower())
    data.fingerprint = "letters"
    found = extract(encoder, data, [0, 1], folder, tokens=tokens)
    return data, heldout_tokens(encoder, data, found, ROWS, folder)


@pytest.mark.parametrize("tokens", [ALL_TOKENS, 64])
def test_all_tokens_but_the_global_one_are_drawn_where_they_are_few(tmp_path, tokens):
    data, drawn = read(tokens, tmp_path)
    for layer in (0, 1):
        found = "".join(map(chr, drawn(layer)[:, 0].astype(int)))
        assert Counter(found) == Counter("".join(data.texts[row][1:] for row in ROWS))
        assert (drawn(layer)[:, 2] == layer).all()


def test_no_more_stored_tokens_are_drawn_than_stated(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "VECTORS", 7)
    _, drawn = read(3, tmp_path)
    assert drawn(1).shape == (7, 5) and np.array_equal(drawn(1), drawn(1)) and drawn(1).all(1).any()


def test_nothing_is_told_of_tokens_where_none_trains(tmp_path):
    assert read(0, tmp_path)[1] is None
    assert TokenQuality(None).of(0, TopKSAE(4, 8, 2)) == {}
    assert TokenQuality(lambda layer: np.empty((0, 4), np.float32)).of(0, TopKSAE(4, 8, 2)) == {}


def test_the_figures_are_those_of_the_tokens_whichever_seed_comes_first():
    rng = np.random.default_rng(0)
    tokens = {layer: rng.standard_normal((300, 4)).astype(np.float32) for layer in (0, 1)}
    found = TokenQuality(tokens.__getitem__)
    for layer, seed in ((0, 0), (1, 0), (0, 1)):
        sae = TopKSAE(4, 8, 2, seed=seed)
        alone = quality(sae, tokens[layer], sae.features(tokens[layer]))
        wanted = {f"{name}_tokens": getattr(alone, name) for name in ("fvu", "pca_fvu", "l0", "dead")}
        assert found.of(layer, sae) == wanted
    assert 0 < wanted["pca_fvu_tokens"] < 1 and 0 < wanted["l0_tokens"] <= 2
