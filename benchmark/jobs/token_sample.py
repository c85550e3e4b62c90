"""A bounded draw of the vectors that stream by: what training starts from, and what held-out tokens are measured on."""

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.jobs.activation_files import name
from benchmark.jobs.token_stream import TokenEpoch, TokenStream

SAMPLES = 1024
"""Samples that vectors are drawn from: the first ones of the stream's first visit."""
VECTORS = 16_384
"""Vectors drawn of each layer."""


def token_sample(stream: TokenStream, parent: Path, *, tokens_only: bool = False) -> dict[int, NDArray[np.float32]]:
    """Return {layer: (n, d)}, memory-mapped: at most `VECTORS` of what `SAMPLES` samples of a stream give.

    All vectors of these samples are equally likely to be drawn, without replacement; with `tokens_only` the global
    vectors are not among them. A layer's draw depends on no other layer. They are kept in a folder within `parent`,
    which belongs to the encoder and the dataset: a layer that is there already is not encoded again. Raises what
    `TokenEpoch.pieces` raises.
    """
    rows = hashlib.blake2b(np.asarray(stream.rows, "<i8").tobytes(), digest_size=8).hexdigest()
    folder = parent / f"drawn-{'tokens' if tokens_only else 'vectors'}-{rows}"
    missing = [layer for layer in stream.layers if not _path(folder, layer).is_file()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        _write(TokenEpoch(stream.only(missing), 0), folder, tokens_only)
    return {layer: np.load(_path(folder, layer), mmap_mode="r") for layer in stream.layers}


def _write(epoch: TokenEpoch, folder: Path, tokens_only: bool) -> None:
    stream, samples = epoch.stream, min(SAMPLES, len(epoch.stream.rows))
    starts = {layer: np.concatenate([[0], np.cumsum(counts[:samples])]) for layer, counts in epoch.counts.items()}
    drawn = {layer: _draw(starts[layer], tokens_only) for layer in stream.layers}
    partial = {layer: folder / f".{name(layer)}.{os.getpid()}.partial" for layer in stream.layers}
    try:
        files = {
            layer: np.lib.format.open_memmap(
                partial[layer], "w+", np.float32, (len(drawn[layer]), stream.encoder.widths[layer])
            )
            for layer in stream.layers
        }
        with (
            contextlib.closing(epoch.pieces(0)) as pieces,
            tqdm(total=samples, desc=f"sample {stream.encoder.name}", unit="sample", mininterval=0.5) as bar,
        ):
            while bar.n < samples:
                piece = next(pieces)
                for layer, vectors in piece.vectors.items():
                    begin = int(starts[layer][piece.first])
                    low, high = np.searchsorted(drawn[layer], [begin, begin + len(vectors)])
                    files[layer][low:high] = vectors[drawn[layer][low:high] - begin].cpu().numpy()
                bar.update(min(piece.samples, samples - piece.first))
        for layer, file in files.items():
            file.flush()
            partial[layer].replace(_path(folder, layer))
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)


def _draw(starts: NDArray[np.int64], tokens_only: bool) -> NDArray[np.int64]:
    """Return the drawn positions, rising; `starts` (samples + 1,) says where each sample's vectors begin."""
    items = np.arange(starts[-1])
    if tokens_only:
        items = np.delete(items, starts[:-1])  # a sample's global vector comes first
    if len(items) > VECTORS:
        items = np.sort(np.random.default_rng(0).choice(items, VECTORS, replace=False))
    return items


def _path(folder: Path, layer: int) -> Path:
    return folder / f"{name(layer)}.npy"
