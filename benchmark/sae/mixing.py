"""Training on more vectors than fit the memory: a buffer that mixes what a stream of samples gives.

Samples come in a shuffled order, each with all its vectors (its tokens). A layer's stream of vectors is cut into blocks
that fit the buffer, and every SAE sees the vectors of a block in an order of its own. Blocks are whole batches, so no
batch is short but the last of an epoch. They follow from the numbers of vectors alone, never from what trains beside an
SAE or from this machine's memory, and each one's order has a generator of its own: training can go on at any step.
"""

import contextlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

BLOCK_BYTES = 128 << 20
"""Bytes of a layer's buffer: a constant, as it decides which vectors are mixed, hence what comes out of training."""
FLOAT = 4


class Piece(NamedTuple):
    """What samples that follow each other in an epoch give at each layer."""

    first: int
    """Position of the first of these samples in the epoch."""
    samples: int
    vectors: Mapping[int, torch.Tensor]
    """(n, d) by layer: all vectors of these samples, sample after sample."""


class Epoch(Protocol):
    """One visit of all training samples, in an order of the epoch's own."""

    @property
    def counts(self) -> Mapping[int, NDArray[np.integer]]:
        """By layer: how many vectors each sample gives, in the order of the visit; at least 1."""

    def pieces(self, first: int) -> Generator[Piece]:
        """Yield the pieces of the epoch in order, from the one that holds the sample at position `first` on."""


def block_edges(total: int, width: int, batch_size: int, block_bytes: int = BLOCK_BYTES) -> NDArray[np.int64]:
    """Return where the blocks of a stream of `total` vectors of some width begin, and `total`: (blocks + 1,).

    Blocks are multiples of `batch_size` vectors and differ by at most one batch, so that the last one mixes as well as
    the others; they take up to `block_bytes`, or one batch if that is larger.
    """
    most = max(1, block_bytes // (FLOAT * width * batch_size))
    batches = -(-total // batch_size)
    blocks = -(-batches // most)
    edges = np.arange(blocks + 1) * batches // max(blocks, 1) * batch_size
    edges[-1] = total
    return edges


def buffer_bytes(total: int, width: int, batch_size: int, block_bytes: int = BLOCK_BYTES) -> int:
    """Return the bytes of one layer's buffer in `mixed_batches`."""
    return FLOAT * width * int(np.diff(block_edges(total, width, batch_size, block_bytes)).max(initial=0))


def mixed_batches(
    epochs: Iterable[Epoch],
    widths: Mapping[int, int],
    order_seeds: Mapping[int, int],
    batch_size: int,
    *,
    skip: int = 0,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[dict[tuple[int, int], torch.Tensor]]:
    """Yield batches {(layer, seed): (batch_size, d)} of all vectors of every epoch; only its last batch may be smaller.

    A block is read when all its vectors have come, each seed drawing its own order of them from (order seed, epoch,
    block). Layers with as many vectors and the same width step together; others (the stages of a hierarchical model)
    take turns, block by block, and one with fewer vectors has fewer steps. What a layer and seed see does not depend on
    what else is asked for. Held at a time: `buffer_bytes` of each layer, one piece, one batch of each SAE.

    Args:
        epochs: the visits of the samples, in order.
        widths: {layer: d} of the layers to train on.
        order_seeds: {seed: seed of its orders}.
        batch_size: vectors of a batch.
        skip: batches to leave out at the start, as many as an earlier call yielded; the samples of blocks that lie
            wholly among them are not asked for.
        block_bytes: most bytes of a layer's buffer; another number gives other batches.

    Raises:
        ValueError: a piece holds another number of vectors than `counts` said, or an epoch ends early.
    """
    buffers: dict[int, torch.Tensor] = {}
    for number, epoch in enumerate(epochs):
        counts = {layer: np.asarray(epoch.counts[layer]) for layer in widths}
        tracks = _tracks(counts, widths, batch_size, block_bytes)
        # Blocks in the order in which they become full, whatever the pieces.
        blocks = sorted((track.ends_in(b), t, b) for t, track in enumerate(tracks) for b in range(track.n_blocks))
        todo: deque[tuple[_Track, int]] = deque()
        for _, t, block in blocks:
            steps = tracks[t].steps(block)
            if skip >= steps:
                skip -= steps
                tracks[t].block = block + 1
            else:
                todo.append((tracks[t], skip))
                skip = 0
        if not todo:
            continue
        with contextlib.closing(epoch.pieces(min(track.begins_in(track.block) for track, _ in todo))) as pieces:
            for piece in pieces:
                while todo and todo[0][0].is_full_after(piece):
                    track, done = todo.popleft()
                    track.fill(piece, buffers)
                    yield from track.batches(buffers, order_seeds, number, done)
                    track.next_block()
                for track in tracks:
                    track.fill(piece, buffers)
                del piece  # or it would be held while the next one is made
        if todo:
            raise ValueError(f"epoch {number} ended before all its vectors had come.")


class _Track:
    """The layers that have the same vectors and blocks, and the block that is being filled."""

    def __init__(self, layers: dict[int, int], counts: NDArray[np.integer], edges: NDArray[np.int64], batch: int):
        self.layers, self.edges, self.batch = layers, edges, batch
        self.starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        """(samples + 1,): where each sample's vectors begin in the stream."""
        self.block, self.filled = 0, 0

    @property
    def n_blocks(self) -> int:
        return len(self.edges) - 1

    def steps(self, block: int) -> int:
        """Return the batches of a block."""
        return -(-int(self.edges[block + 1] - self.edges[block]) // self.batch)

    def begins_in(self, block: int) -> int:
        """Return the position of the sample that holds the first vector of a block."""
        return self._sample(int(self.edges[block]))

    def ends_in(self, block: int) -> int:
        """Return the position of the sample that holds the last vector of a block."""
        return self._sample(int(self.edges[block + 1]) - 1)

    def _sample(self, vector: int) -> int:
        return int(np.searchsorted(self.starts, vector, side="right")) - 1

    def is_full_after(self, piece: Piece) -> bool:
        """Whether a piece holds the last vector of the present block."""
        return bool(self.starts[piece.first + piece.samples] >= self.edges[self.block + 1])

    def next_block(self) -> None:
        """Begin the next block."""
        self.block, self.filled = self.block + 1, 0

    def fill(self, piece: Piece, buffers: dict[int, torch.Tensor]) -> None:
        """Copy what of a piece belongs to the present block and is not there yet."""
        if self.block == self.n_blocks:
            return
        low, high = (int(edge) for edge in self.edges[self.block : self.block + 2])
        begin, end = int(self.starts[piece.first]), int(self.starts[piece.first + piece.samples])
        start, stop = low + self.filled, min(high, end)
        if start >= stop:
            return
        if begin > start:
            raise ValueError(f"the samples before sample {piece.first} of the epoch never came.")
        for layer, width in self.layers.items():
            vectors = piece.vectors[layer]
            if vectors.shape != (end - begin, width):
                raise ValueError(
                    f"layer {layer}: samples {piece.first} to {piece.first + piece.samples - 1} of the epoch gave "
                    f"vectors of shape {tuple(vectors.shape)}, but {(end - begin, width)} were announced."
                )
            if layer not in buffers:
                most = int(np.diff(self.edges).max())
                buffers[layer] = torch.empty(most, width, dtype=vectors.dtype, device=vectors.device)
            buffers[layer][start - low : stop - low].copy_(vectors[start - begin : stop - begin])
        self.filled = stop - low

    def batches(
        self, buffers: dict[int, torch.Tensor], order_seeds: Mapping[int, int], epoch: int, done: int
    ) -> Iterator[dict[tuple[int, int], torch.Tensor]]:
        """Yield the batches of the present block behind the first `done`."""
        size = int(self.edges[self.block + 1] - self.edges[self.block])
        device = buffers[next(iter(self.layers))].device
        orders = {
            seed: torch.from_numpy(np.random.default_rng([own, epoch, self.block]).permutation(size)).to(device)
            for seed, own in order_seeds.items()
        }
        for start in range(done * self.batch, size, self.batch):
            chosen = {seed: order[start : start + self.batch] for seed, order in orders.items()}
            yield {
                (layer, seed): buffers[layer].index_select(0, rows)
                for layer in self.layers
                for seed, rows in chosen.items()
            }


def _tracks(
    counts: Mapping[int, NDArray[np.integer]], widths: Mapping[int, int], batch_size: int, block_bytes: int
) -> list[_Track]:
    found: dict[tuple[int, bytes], _Track] = {}
    for layer, width in widths.items():
        key = width, counts[layer].tobytes()
        if key not in found:
            edges = block_edges(int(counts[layer].sum()), width, batch_size, block_bytes)
            found[key] = _Track({}, counts[layer], edges, batch_size)
        found[key].layers[layer] = width
    return list(found.values())
