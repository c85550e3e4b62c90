"""The tokens that train SAEs are real, drawn uniformly, and depend on nothing but the sample."""

import numpy as np
import pytest
import torch
from letters import CARD, FakeTower, fake_data

from benchmark.catalog import EncoderCard, read_cards
from benchmark.datasets import load_dataset
from benchmark.encoders import Encoder, load_encoder
from benchmark.jobs.activations import extract
from benchmark.jobs.token_draw import _split_mix, draw, id_keys, take
from benchmark.sae import TopKSAE, TrainConfig, shuffled_batches, train


def masks(n, length, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.arange(length) < rng.integers(0, length + 1, n)[:, None])


def gaps(some, others):
    """Distances of all pairs, without the rounding of the fast form."""
    return torch.cdist(some, others, compute_mode="donot_use_mm_for_euclid_dist")


def test_the_generator_is_split_mix():
    """First outputs for seed 1234567, as published with the reference implementation."""
    step = 0x9E3779B97F4A7C15 - (1 << 64)
    state = torch.tensor([1234567 + 0]) + step * torch.arange(1, 4)
    wanted = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert _split_mix(state).tolist() == [value >> 1 for value in wanted]


def test_drawn_positions_are_real_and_distinct_and_all_of_few():
    allowed = masks(300, 20)
    positions, counts = draw(id_keys([str(i) for i in range(300)]), allowed, 6)
    assert positions.shape == (300, 6) and torch.equal(counts, allowed.sum(1).clamp(max=6))
    for row in range(300):
        drawn = positions[row, : counts[row]].tolist()
        assert len(set(drawn)) == len(drawn) and allowed[row, drawn].all()


def test_every_position_is_drawn_equally_often_and_every_pair_too():
    n, length, most = 20_000, 7, 3
    positions, _ = draw(id_keys([f"sample {i}" for i in range(n)]), torch.ones(n, length, dtype=torch.bool), most)
    seen = torch.zeros(n, length).scatter(1, positions, 1.0)
    share, pairs = seen.mean(0), seen.T @ seen / n
    assert (share - most / length).abs().max() < 0.015  # four standard deviations
    upper = torch.triu(torch.ones(length, length), 1).bool()
    assert (pairs[upper] - most * (most - 1) / (length * (length - 1))).abs().max() < 0.012


def test_a_draw_depends_on_the_id_and_the_number_of_positions_only():
    ids = [f"sample {i}" for i in range(50)]
    allowed = masks(50, 12, seed=1)
    positions, counts = draw(id_keys(ids), allowed, 4)
    wider = torch.nn.functional.pad(allowed, (0, 30))
    order = np.random.default_rng(0).permutation(50)
    again, _ = draw(id_keys([ids[i] for i in order]), wider[order], 4)
    left = torch.nn.functional.pad(allowed, (3, 0))
    moved, _ = draw(id_keys(ids), left, 4)
    for place, row in enumerate(order):
        drawn = positions[row, : counts[row]]
        assert torch.equal(again[place, : counts[row]], drawn)
        assert torch.equal(moved[row, : counts[row]], drawn + 3)
    other, _ = draw(id_keys([id_ + "x" for id_ in ids]), allowed, 4)
    assert not torch.equal(other, positions)


def test_what_is_left_out_is_replaced_by_zeros():
    tokens = torch.full((2, 3, 4), torch.nan)
    tokens[0, :2], tokens[1, 1] = 1.0, 2.0
    allowed = torch.tensor([[1, 1, 0], [0, 1, 0]]).bool()
    found = take(tokens, *draw(id_keys(["a", "b"]), allowed, 5))
    assert found.shape == (2, 5, 4) and found[0, :2].eq(1).all() and found[1, 0].eq(2).all()
    assert found[0, 2:].eq(0).all() and found[1, 1:].eq(0).all()


def test_padding_never_trains_an_sae_and_the_global_token_is_not_stored_twice(tmp_path):
    """The fake tower's padding is NaN: one such vector would end training."""
    data = fake_data()
    found = extract(Encoder(CARD, FakeTower(widths=(3, 3))), data, [0, 1], tmp_path / "a", tokens=4)
    for row, text in enumerate(data.texts):
        count = found.counts[0][row]
        assert count == min(4, len(text) - 1) == found.counts[1][row]
        places = found.tokens[0][row][:count, 1].astype(int).tolist()
        assert len(set(places)) == count and 0 not in places and found.pooled[0][row, 1] == 0
        assert found.tokens[1][row][:count, 1].astype(int).tolist() == places, "the same tokens at all layers"
        assert found.tokens[0][row][:count, 0].tolist() == [ord(text[place]) for place in places]
        assert not found.tokens[0][row][count:].any()
    config = TrainConfig(batch_size=32)
    batches = shuffled_batches(
        found.pooled, np.arange(60), {0: 0}, config, tokens=found.tokens, counts=found.counts
    )  # fmt: skip
    saes = {(layer, 0): TopKSAE(3, 12, 2, seed=0) for layer in (0, 1)}
    logs = train(saes, batches, config, totals=dict.fromkeys(saes, 99))
    assert all(len(log.loss) and np.isfinite(log.loss).all() for log in logs.values())


def test_with_as_many_slots_as_tokens_everything_real_is_stored_once(tmp_path):
    data = fake_data()
    found = extract(Encoder(CARD, FakeTower()), data, [0], tmp_path / "a", tokens=11)
    stored = found.tokens[0][np.arange(11) < found.counts[0][:, None]]
    letters = [*map(int, found.pooled[0][:, 0]), *map(int, stored[:, 0])]
    assert sorted(letters) == sorted(map(ord, "".join(data.texts)))


@pytest.mark.parametrize("kind", ["tiny-image", "tiny-text"])
def test_stored_tokens_are_those_of_the_encoder(workspace, tmp_path, kind):
    dataset = load_dataset("scenes", 20, workspace / ".cache", progress=False)
    encoder = load_encoder(read_cards(EncoderCard, workspace / "cards.yaml")[kind])
    found = extract(encoder, dataset, encoder.layers, tmp_path / "a", tokens=3)
    for i in (0, 7, 19):
        alone = encoder.run([dataset[i].image if kind == "tiny-image" else dataset[i].caption])
        for layer, output in alone.items():
            real = output.tokens[0][output.mask[0]]
            distance = gaps(torch.from_numpy(np.array(found.tokens[layer][i])), real)
            assert found.counts[layer][i] == 3 and distance.min(1).values.max() < 1e-4
            assert distance.argmin(1).unique().numel() == 3
            assert gaps(torch.from_numpy(np.array(found.tokens[layer][i])), output.pooled).min() > 1e-4


def test_stages_of_a_hierarchical_encoder_draw_from_their_own_tokens(builders, tmp_path):
    small = {"depths": (1, 1, 1, 1), "dims": (4, 8, 12, 16)}
    builders.timm(tmp_path / "convnext", "convnext_atto", **small)
    card = EncoderCard(
        name="convnext",
        library="timm",
        source=str(tmp_path / "convnext"),
        modality="image",
        kind="vision",
        token="mean",
    )
    dataset = load_dataset("scenes", 12, tmp_path / "cache", progress=False)
    encoder = load_encoder(card)
    found = extract(encoder, dataset, encoder.layers, tmp_path / "a", tokens=20)
    stored = [found.tokens[layer].shape for layer in encoder.layers]
    assert stored == [(12, 20, 4), (12, 16, 8), (12, 4, 12), (12, 1, 16)], "no room for tokens that a stage lacks"
    assert [found.counts[layer].tolist() for layer in encoder.layers] == [[n] * 12 for n in (20, 16, 4, 1)]
    output = encoder.run([dataset[3].image])
    for layer, counts in found.counts.items():
        stored = torch.from_numpy(np.array(found.tokens[layer][3][: counts[3]]))
        distance = gaps(stored, output[layer].tokens[0])
        assert distance.min(1).values.max() < 1e-4
    config = TrainConfig(batch_size=16)
    saes = {(layer, 0): TopKSAE(width, 32, 2, seed=0) for layer, width in encoder.widths.items()}
    batches = shuffled_batches(
        found.pooled, np.arange(12), {0: 0}, config, tokens=found.tokens, counts=found.counts
    )  # fmt: skip
    logs = train(saes, batches, config, totals=dict.fromkeys(saes, 99))
    assert [len(log.loss) for log in logs.values()] == [16, 13, 4, 2]
