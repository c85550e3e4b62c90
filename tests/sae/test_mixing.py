"""The mixing buffer shows every vector once an epoch, in bounded memory, and nothing depends on what else is asked."""

import gc
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.sae.mixing import BLOCK_BYTES, Piece, block_edges, buffer_bytes, mixed_batches

WIDTHS = {0: 2, 1: 2, 5: 3}


class FakeEpoch:
    """Samples whose vectors tell layer, sample and slot; `sizes` samples a piece."""

    def __init__(self, number, counts, sizes=3):
        rng = np.random.default_rng(number)
        self.order = rng.permutation(len(next(iter(counts.values()))))
        self.counts = {layer: count[self.order] for layer, count in counts.items()}
        self.sizes, self.asked = sizes, []

    def vectors(self, layer, sample, count):
        slots = torch.arange(count, dtype=torch.float32)
        columns = [torch.full_like(slots, float(sample)), slots, torch.full_like(slots, float(layer))]
        return torch.stack(columns, 1)[:, : WIDTHS[layer]]

    def pieces(self, first):
        for start in range(first // self.sizes * self.sizes, len(self.order), self.sizes):
            chosen = self.order[start : start + self.sizes]
            self.asked += chosen.tolist()
            yield Piece(
                start,
                len(chosen),
                {
                    layer: torch.cat(
                        [
                            self.vectors(layer, sample, int(count))
                            for sample, count in zip(chosen, counts[start:], strict=False)
                        ]
                    )
                    for layer, counts in self.counts.items()
                },
            )


def counts_of(n=40, seed=0, layers=(0, 1, 5)):
    """Layers 0 and 1 have the same counts, layer 5 fewer vectors, as a later stage."""
    rng = np.random.default_rng(seed)
    many = rng.integers(1, 9, n)
    return {layer: many if layer < 5 else (many + 2) // 3 for layer in layers}


def run(counts, *, seeds=(0, 1), epochs=2, batch=8, block_bytes=300, skip=0, sizes=3, layers=None):
    made = [FakeEpoch(number, counts, sizes) for number in range(epochs)]
    widths = {layer: WIDTHS[layer] for layer in layers or counts}
    found = mixed_batches(made, widths, {seed: seed for seed in seeds}, batch, skip=skip, block_bytes=block_bytes)
    return [{key: x.clone() for key, x in step.items()} for step in found], made


def shown(steps, key):
    return [step[key] for step in steps if key in step]


def equal(one, other):
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a) for a, b in zip(one, other, strict=True)
    )


def test_every_vector_is_shown_once_an_epoch_to_every_layer_and_seed():
    counts = counts_of()
    steps, _ = run(counts)
    for layer, count in counts.items():
        wanted = {(sample, slot) for sample, most in enumerate(count) for slot in range(most)}
        for seed in (0, 1):
            found = Counter(tuple(row[:2]) for x in shown(steps, (layer, seed)) for row in x.int().tolist())
            assert set(found) == wanted and set(found.values()) == {2}


def test_only_the_last_batch_of_an_epoch_is_short():
    counts = counts_of()
    steps, _ = run(counts)
    for layer, count in counts.items():
        sizes, total = [len(x) for x in shown(steps, (layer, 0))], int(count.sum())
        assert sizes == [*[8] * (total // 8), total % 8] * 2


def test_each_seed_draws_its_own_order_and_layers_of_a_seed_share_it():
    steps, _ = run(counts_of())
    assert all(torch.equal(a, b) for a, b in zip(shown(steps, (0, 0)), shown(steps, (1, 0)), strict=True))
    same = [torch.equal(a, b) for a, b in zip(shown(steps, (0, 0)), shown(steps, (0, 1)), strict=True)]
    assert sum(same) <= 1


@pytest.mark.parametrize(("layers", "seeds"), [((0,), (1,)), ((5,), (0, 1)), ((1, 5), (0,))])
def test_an_sae_sees_alone_what_it_sees_beside_others(layers, seeds):
    counts = counts_of()
    together, _ = run(counts)
    alone, _ = run(counts, layers=layers, seeds=seeds)
    for key in [(layer, seed) for layer in layers for seed in seeds]:
        assert all(torch.equal(a, b) for a, b in zip(shown(alone, key), shown(together, key), strict=True))


@given(
    sizes=st.integers(1, 50), n=st.integers(1, 30), batch=st.integers(1, 40), block=st.integers(1, 4000),
    seed=st.integers(0, 99), skip=st.integers(0, 60),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_whatever_the_sizes_batches_do_not_depend_on_the_pieces_and_go_on_at_any_step(
    sizes, n, batch, block, seed, skip
):
    counts = counts_of(n, seed)
    whole, _ = run(counts, batch=batch, block_bytes=block)
    others, _ = run(counts, batch=batch, block_bytes=block, sizes=sizes)
    assert equal(whole, others)
    later, _ = run(counts, batch=batch, block_bytes=block, sizes=sizes, skip=skip)
    assert equal(later, whole[skip:])


def test_samples_of_finished_blocks_are_not_asked_for_again():
    counts = counts_of(200)
    whole, made = run(counts, epochs=1)
    assert len(made[0].asked) == 200
    _, made = run(counts, epochs=1, skip=len(whole) - 3)
    assert 0 < len(made[0].asked) < 40
    _, made = run(counts, skip=len(whole) + 1)
    assert not made[0].asked and len(made[1].asked) >= 197


@pytest.mark.parametrize(("total", "width", "batch"), [(1, 1, 1), (10, 3, 4), (99_999, 64, 256), (16_385, 1024, 256)])
def test_blocks_are_even_whole_batches_that_fit_the_buffer(total, width, batch):
    edges = block_edges(total, width, batch, 1 << 20)
    sizes = np.diff(edges)
    assert edges[0] == 0 and edges[-1] == total and (sizes > 0).all()
    assert (sizes[:-1] % batch == 0).all() and (4 * width * sizes <= max(1 << 20, 4 * width * batch)).all()
    assert -(-sizes.max() // batch) - -(-sizes.min() // batch) <= 1


def held_bytes():
    gc.collect()
    tensors = [x for x in gc.get_objects() if type(x) is torch.Tensor and x.dtype == torch.float32]
    return sum(x.numel() * x.element_size() for x in tensors)


def test_the_buffers_are_all_that_is_held_between_batches():
    """Tensors alive at any batch: a buffer of each layer, the piece, and the batch itself."""
    counts, batch, block = {0: np.full(300, 50), 1: np.full(300, 50)}, 16, 4 * 2 * 1000
    epochs = [FakeEpoch(number, counts, sizes=2) for number in range(2)]
    before, peaks = held_bytes(), []
    for number, step in enumerate(mixed_batches(epochs, {0: 2, 1: 2}, {0: 0, 1: 1}, batch, block_bytes=block)):
        if number % 50 == 0:
            peaks.append(held_bytes() - before)
        del step
    most = buffer_bytes(15_000, 2, batch, block)
    assert most <= block
    piece, step = 2 * 100 * 2 * 4, 4 * batch * 2 * 4  # of two layers; of two layers and two seeds
    assert 2 * most <= max(peaks) <= 2 * most + piece + step


def test_the_buffer_of_a_wide_layer_takes_what_is_stated():
    assert buffer_bytes(10**9, 1024, 256) == BLOCK_BYTES
    assert buffer_bytes(10, 1024, 256) == 4 * 1024 * 10


def test_a_stream_that_does_not_keep_its_word_is_refused():
    counts = counts_of()
    epoch = FakeEpoch(0, counts)
    epoch.counts = {layer: count + (layer == 5) for layer, count in epoch.counts.items()}
    real = FakeEpoch(0, counts)
    epoch.pieces = real.pieces
    with pytest.raises(ValueError, match="layer 5: samples 0 to 2 of the epoch gave vectors of shape .* announced"):
        list(mixed_batches([epoch], WIDTHS, {0: 0}, 8))
    short = FakeEpoch(0, counts)
    short.pieces = lambda first: (piece for piece in list(real.pieces(first))[:-1])
    with pytest.raises(ValueError, match="epoch 0 ended before all its vectors had come"):
        list(mixed_batches([short], WIDTHS, {0: 0}, 8))
    gap = FakeEpoch(0, counts)
    gap.pieces = lambda first: (piece for piece in list(real.pieces(first))[1:])
    with pytest.raises(ValueError, match="samples before sample 3 of the epoch never came"):
        list(mixed_batches([gap], WIDTHS, {0: 0}, 8))
