"""The draw of vectors is of the right samples, bounded, kept on the disk, and the same whatever is drawn beside it."""

from collections import Counter

import numpy as np
import pytest
from letters import CARD, FakeTower, fake_data

from benchmark.encoders import Encoder
from benchmark.jobs import extraction_sizes, token_sample
from benchmark.jobs.activations import extract
from benchmark.jobs.plan import ALL_TOKENS
from benchmark.jobs.token_stream import TokenStream

ROWS = np.arange(0, 60, 3)


@pytest.fixture
def stream(monkeypatch, tmp_path):
    monkeypatch.setattr(extraction_sizes, "SMALL_BATCH", (4, 1 << 30))
    data = fake_data()
    data.fingerprint = "letters"
    encoder = Encoder(CARD, FakeTower())
    counts = extract(encoder, data, [0, 1], tmp_path / "a", tokens=ALL_TOKENS).counts
    return TokenStream(encoder, data, ROWS, counts, [0, 1])


def letters(found):
    return Counter("".join(map(chr, found[:, 0].astype(int))))


def test_few_vectors_are_all_taken_and_kept(stream, tmp_path):
    found = token_sample.token_sample(stream, tmp_path / "draws")
    for layer in (0, 1):
        assert letters(found[layer]) == Counter("".join(stream.dataset.texts[row] for row in ROWS))
        assert (found[layer][:, 2] == layer).all() and isinstance(found[layer], np.memmap)
    stream.encoder._tower.sizes.clear()
    again = token_sample.token_sample(stream, tmp_path / "draws")
    assert not stream.encoder._tower.sizes and np.array_equal(again[0], found[0])
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("damage", ["bit", "truncated", "empty"])
def test_a_damaged_draw_is_drawn_again_and_said_to_be(stream, tmp_path, caplog, damage):
    wanted = {layer: np.array(x) for layer, x in token_sample.token_sample(stream, tmp_path / "draws").items()}
    (file,) = tmp_path.glob("draws/*/L01-*.npy")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes({"bit": content, "truncated": content[:-4], "empty": b""}[damage])
    for _ in range(2):
        found = token_sample.token_sample(stream, tmp_path / "draws")
        assert all(np.array_equal(found[layer], wanted[layer]) for layer in (0, 1))
    assert caplog.text.count("is damaged") == 1 and str(file) in caplog.text


def test_global_vectors_can_be_left_out(stream, tmp_path):
    found = token_sample.token_sample(stream, tmp_path / "draws", tokens_only=True)
    assert letters(found[0]) == Counter("".join(stream.dataset.texts[row][1:] for row in ROWS))
    assert len(token_sample.token_sample(stream, tmp_path / "draws")[0]) == len(found[0]) + len(ROWS)


def test_more_are_drawn_from_the_first_samples_and_no_more_are_encoded(stream, tmp_path, monkeypatch):
    monkeypatch.setattr(token_sample, "SAMPLES", 10)
    monkeypatch.setattr(token_sample, "VECTORS", 20)
    stream.encoder._tower.sizes.clear()
    found = token_sample.token_sample(stream, tmp_path / "draws")
    assert sum(stream.encoder._tower.sizes) <= 20  # up to three batches that wait, and the one at work
    first = np.concatenate(stream.visit(0))[:10]
    assert len(found[0]) == 20
    assert letters(found[0]) <= Counter("".join(stream.dataset.texts[row] for row in first))


def test_a_layers_draw_depends_on_no_other_layer_and_other_samples_give_another(stream, tmp_path, monkeypatch):
    monkeypatch.setattr(token_sample, "VECTORS", 20)
    both = token_sample.token_sample(stream, tmp_path / "both")
    alone = token_sample.token_sample(stream.only([1]), tmp_path / "alone")
    assert np.array_equal(both[1], alone[1])
    rest = TokenStream(
        stream.encoder, stream.dataset, ROWS + 1, {n: counts - 1 for n, counts in stream.counts.items()}, [1]
    )
    assert not np.array_equal(token_sample.token_sample(rest, tmp_path / "alone")[1], alone[1])


def test_the_draw_of_tokens_from_samples_that_have_none_is_empty(tmp_path):
    data = fake_data(12)
    data.fingerprint, data.texts = "short", ["a"] * 12
    encoder = Encoder(CARD, FakeTower())
    counts = extract(encoder, data, [0], tmp_path / "a", tokens=ALL_TOKENS).counts
    stream = TokenStream(encoder, data, np.arange(12), counts, [0])
    assert token_sample.token_sample(stream, tmp_path, tokens_only=True)[0].shape == (0, 3)
    assert len(token_sample.token_sample(stream, tmp_path)[0]) == 12
