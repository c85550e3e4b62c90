"""What one pass over the data stored serves every run that needs no more than it."""

import numpy as np
import pytest
from letters import CARD, FakeTower, contents_of, fake_data

from benchmark.catalog import EncoderCard, read_cards
from benchmark.datasets import load_dataset
from benchmark.encoders import Encoder, load_encoder
from benchmark.jobs import activations
from benchmark.jobs.activation_cache import pass_folder
from benchmark.jobs.activation_files import Layout, Writer
from benchmark.jobs.activations import extract
from benchmark.jobs.plan import ALL_TOKENS


@pytest.fixture(scope="module")
def dataset(workspace):
    return load_dataset("scenes", 150, workspace / ".cache", progress=False)


@pytest.mark.parametrize("kind", ["tiny-image", "tiny-text"])
def test_a_pass_over_more_layers_or_tokens_serves_one_over_fewer(workspace, dataset, tmp_path, kind, monkeypatch):
    encoder = load_encoder(read_cards(EncoderCard, workspace / "cards.yaml")[kind])
    last = encoder.layers[-1:]
    alone = {tokens: extract(encoder, dataset, last, tmp_path / f"alone{tokens}", tokens=tokens) for tokens in (0, 2)}
    extract(encoder, dataset, encoder.layers, tmp_path / "a", tokens=3)
    monkeypatch.setattr(activations, "_fill", None)  # nothing may be encoded from here on
    for tokens in (0, 2):
        assert contents_of(extract(encoder, dataset, last, tmp_path / "a", tokens=tokens)) == contents_of(alone[tokens])
    with pytest.raises(TypeError):
        extract(encoder, dataset, last, tmp_path / "a", tokens=4)
    with pytest.raises(TypeError):
        extract(encoder, dataset, encoder.layers, tmp_path / "alone2", tokens=2)


def test_a_pass_that_stored_every_token_serves_one_that_wants_still_more(workspace, dataset, tmp_path, monkeypatch):
    encoder = load_encoder(read_cards(EncoderCard, workspace / "cards.yaml")["tiny-image"])
    wanted = extract(encoder, dataset, encoder.layers, tmp_path / "a", tokens=1000)
    assert all(0 < stored.shape[1] < 1000 for stored in wanted.tokens.values())
    size = sum(path.stat().st_size for path in (tmp_path / "a").glob("*/*.npy"))
    monkeypatch.setattr(activations, "_fill", None)
    assert contents_of(extract(encoder, dataset, encoder.layers, tmp_path / "a", tokens=4096)) == contents_of(wanted)
    vectors = 1 + next(iter(wanted.tokens.values())).shape[1]
    assert size < 150 * sum(4 * vectors * width + 4 for width in encoder.widths.values()) + 2000 * len(encoder.layers)


def test_an_unfinished_pass_serves_nobody_and_disturbs_nobody(tmp_path):
    data, encoder = fake_data(), Encoder(CARD, FakeTower())
    Writer(pass_folder(tmp_path / "a", [0, 1], 0), Layout(60, {0: 3, 1: 5}, 0, {}, 20)).append(
        {"L00": np.zeros((20, 3), "<f4"), "L01": np.zeros((20, 5), "<f4")}
    )
    assert extract(encoder, data, [0], tmp_path / "a").pooled[0][:, 0].all()


def test_a_pass_that_counted_all_tokens_serves_those_that_need_none_and_no_others(tmp_path, monkeypatch):
    data, encoder = fake_data(), Encoder(CARD, FakeTower())
    others = [len(text) - 1 for text in data.texts]
    plain = extract(encoder, data, [0, 1], tmp_path / "plain")
    found = extract(encoder, data, [0, 1], tmp_path / "a", tokens=ALL_TOKENS)
    assert not found.tokens and all(found.counts[layer].tolist() == others for layer in (0, 1))
    assert not list(tmp_path.rglob("*.tokens.npy"))
    monkeypatch.setattr(activations, "_fill", None)
    assert contents_of(extract(encoder, data, [0, 1], tmp_path / "a")) == contents_of(plain)
    assert contents_of(extract(encoder, data, [0, 1], tmp_path / "a", tokens=ALL_TOKENS)) == contents_of(found)
    for folder, tokens in ((tmp_path / "a", 1), (tmp_path / "plain", ALL_TOKENS)):
        with pytest.raises(TypeError):
            extract(encoder, data, [0, 1], folder, tokens=tokens)


def test_a_pass_that_stored_every_token_knows_how_many_there_are(workspace, dataset, tmp_path, monkeypatch):
    encoder = load_encoder(read_cards(EncoderCard, workspace / "cards.yaml")["tiny-image"])
    stored = extract(encoder, dataset, [0], tmp_path / "many", tokens=1000)
    extract(encoder, dataset, [0], tmp_path / "few", tokens=2)
    monkeypatch.setattr(activations, "_fill", None)
    found = extract(encoder, dataset, [0], tmp_path / "many", tokens=ALL_TOKENS)
    assert np.array_equal(found.counts[0], stored.counts[0]) and not found.tokens
    with pytest.raises(TypeError):
        extract(encoder, dataset, [0], tmp_path / "few", tokens=ALL_TOKENS)
