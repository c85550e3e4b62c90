"""All real tokens of the training samples stream into training, once an epoch, wherever a visit begins."""

from collections import Counter

import numpy as np
import pytest
import torch
from letters import CARD, FakeTower, fake_data

from benchmark.catalog import EncoderCard, read_cards
from benchmark.datasets import load_dataset
from benchmark.encoders import Encoder, load_encoder
from benchmark.jobs import extraction_sizes, token_stream
from benchmark.jobs.activations import extract
from benchmark.jobs.plan import ALL_TOKENS
from benchmark.jobs.token_stream import TokenStream
from benchmark.sae.mixing import mixed_batches


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setattr(extraction_sizes, "SMALL_BATCH", (4, 1 << 30))
    monkeypatch.setattr(token_stream, "SORTED", 3)
    found = fake_data()
    found.fingerprint = "letters"
    return found


def streamed(data, tmp_path, rows=None, tower=None, layers=(0, 1)):
    encoder = Encoder(CARD, tower or FakeTower())
    counts = extract(encoder, data, list(layers), tmp_path / "a", tokens=ALL_TOKENS).counts
    return TokenStream(encoder, data, np.arange(len(data)) if rows is None else rows, counts, layers)


def test_a_visit_gives_every_letter_of_every_training_caption_once_and_no_padding(data, tmp_path):
    """Letters are tokens and the first is the global one: it comes first and only once."""
    rows = np.arange(1, 60, 2)
    stream = streamed(data, tmp_path, rows)
    for number in (0, 1):
        epoch, position = stream.epoch(number), 0
        order = np.concatenate(epoch.batches)
        assert sorted(order) == rows.tolist()
        for piece in epoch.pieces(0):
            assert piece.first == position
            position += piece.samples
            text = "".join(data.texts[row] for row in order[piece.first : position])
            for layer in (0, 1):
                assert "".join(map(chr, piece.vectors[layer][:, 0].int().tolist())) == text
                assert (piece.vectors[layer][:, 2] == layer).all()
        assert position == len(rows)
        assert epoch.counts[0].tolist() == [len(data.texts[row]) for row in order]


def test_epochs_have_orders_of_their_own_that_follow_from_the_samples(data, tmp_path):
    stream, again = streamed(data, tmp_path), streamed(data, tmp_path)
    orders = [np.concatenate(stream.visit(number)).tolist() for number in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    assert orders == [np.concatenate(again.visit(number)).tolist() for number in range(3)]
    data.fingerprint = "others"
    assert np.concatenate(stream.visit(0)).tolist() not in orders


def test_captions_of_a_batch_are_of_like_length_and_batches_come_in_no_order_of_length(data, tmp_path):
    lengths = [[len(data.texts[row]) for row in rows] for rows in streamed(data, tmp_path).visit(0)]
    spread = np.mean([max(found) - min(found) for found in lengths])
    assert spread < 4 and not all(a[0] <= b[0] for a, b in zip(lengths, lengths[1:], strict=False))


@pytest.mark.parametrize("first", [0, 5, 31, 59])
def test_a_visit_that_begins_later_gives_the_same_pieces_without_the_earlier_ones(data, tmp_path, first):
    tower = FakeTower()
    stream = streamed(data, tmp_path, tower=tower)
    whole = list(stream.epoch(1).pieces(0))
    tower.sizes.clear()
    later = list(stream.epoch(1).pieces(first))
    wanted = [piece for piece in whole if piece.first + piece.samples > first]
    assert [(p.first, p.samples) for p in later] == [(p.first, p.samples) for p in wanted]
    assert sum(tower.sizes) == sum(p.samples for p in wanted)
    for one, other in zip(later, wanted, strict=True):
        assert all(torch.equal(one.vectors[layer], other.vectors[layer]) for layer in (0, 1))


def test_layers_do_not_change_what_another_layer_gives(data, tmp_path):
    whole, one = list(streamed(data, tmp_path).epoch(0).pieces(0)), streamed(data, tmp_path, layers=(1,))
    for a, b in zip(one.epoch(0).pieces(0), whole, strict=True):
        assert set(a.vectors) == {1} and torch.equal(a.vectors[1], b.vectors[1])


def test_batches_too_large_for_the_device_give_the_same_batches_of_training(data, tmp_path):
    found = []
    for fits in (10**9, 2):
        stream = streamed(data, tmp_path, tower=FakeTower())
        stream.encoder._tower.fits = fits
        steps = mixed_batches([stream.epoch(0)], {0: 3, 1: 5}, {0: 0}, 16, block_bytes=1000)
        found.append([{key: x.clone() for key, x in step.items()} for step in steps])
    for one, other in zip(*found, strict=True):
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_all_that_trains_is_in_the_batches(data, tmp_path):
    stream = streamed(data, tmp_path)
    steps = mixed_batches([stream.epoch(0)], {0: 3}, {0: 0, 1: 1}, 16, block_bytes=600)
    shown = {seed: Counter() for seed in (0, 1)}
    for step in steps:
        for (_, seed), x in step.items():
            shown[seed].update("".join(map(chr, x[:, 0].int().tolist())))
    assert shown[0] == shown[1] == Counter("".join(data.texts))


def test_a_token_that_is_not_finite_is_refused_with_its_sample(data, tmp_path):
    stream = streamed(data, tmp_path)
    real, bad = stream.encoder.forward, data.texts.index(max(data.texts, key=len))

    def broken(inputs, layers):
        outputs = real(inputs, layers)
        text = [ord(letter) for letter in data.texts[bad]]
        for row, ids in enumerate(inputs["input_ids"]):
            if ids[: len(text)].tolist() == text:
                outputs[1].tokens[row, 2] = float("inf")
        return outputs

    stream.encoder.forward = broken
    with pytest.raises(ValueError, match=rf"encoder 'fake', layer 1: sample 'id-{bad}' is not finite"):
        list(stream.epoch(0).pieces(0))


@pytest.mark.parametrize("name", ["tiny-vit", "tiny-text", "tiny-bert"])
def test_real_encoders_give_each_samples_tokens(workspace, tmp_path, name):
    dataset = load_dataset("scenes", 60, workspace / ".cache", progress=False)
    encoder = load_encoder(read_cards(EncoderCard, workspace / "cards.yaml")[name])
    counts = extract(encoder, dataset, encoder.layers, tmp_path / "a", tokens=ALL_TOKENS).counts
    stream = TokenStream(encoder, dataset, np.flatnonzero(~dataset.heldout), counts, encoder.layers)
    epoch = stream.epoch(0)
    order = np.concatenate(epoch.batches)
    for piece in epoch.pieces(0):
        at = 0
        for place in range(piece.first, piece.first + piece.samples):
            sample = dataset[int(order[place])]
            alone = encoder.run([sample.image if encoder.modality == "image" else sample.caption])
            for layer in encoder.layers:
                n = int(epoch.counts[layer][place])
                found, output = piece.vectors[layer][at : at + n], alone[layer]
                assert n == int(output.mask.sum())
                np.testing.assert_allclose(found[0], output.pooled[0], atol=1e-5)
                np.testing.assert_allclose(found.sum(0), output.tokens[output.mask].sum(0), atol=2e-4)
            at += n
