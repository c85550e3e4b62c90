"""A bounded draw of the vectors that stream by: what training starts from, and what held-out tokens are measured on."""

import contextlib
import hashlib
import logging
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.jobs.activation_files import name
from benchmark.jobs.token_stream import TokenEpoch, TokenStream

LOG = logging.getLogger("benchmark")
SAMPLES = 1024
"""Samples that vectors are drawn from: the first ones of the stream's first visit."""
VECTORS = 16_384
"""Vectors drawn of each layer."""


def token_sample(stream: TokenStream, parent: Path, *, tokens_only: bool = False) -> dict[int, NDArray[np.float32]]:
    """Return {layer: (n, d)}, memory-mapped: at most `VECTORS` of what `SAMPLES` samples of a stream give.

    All vectors of these samples are equally likely to be drawn, without replacement; with `tokens_only` the global
    vectors are not among them. A layer's draw depends on no other layer. They are kept in a folder within `parent`,
    which belongs to the encoder and the dataset: a layer that is there already, undamaged, is not encoded again. Raises
    what `TokenEpoch.pieces` raises.
    """
    rows = hashlib.blake2b(np.asarray(stream.rows, "<i8").tobytes(), digest_size=8).hexdigest()
    folder = parent / f"drawn-{'tokens' if tokens_only else 'vectors'}-{rows}"
    kept = {layer: path for layer in stream.layers if (path := _kept(folder, layer)) is not None}
    missing = [layer for layer in stream.layers if layer not in kept]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        kept |= _write(TokenEpoch(stream.only(missing), 0), folder, tokens_only)
    return {layer: np.load(kept[layer], mmap_mode="r") for layer in stream.layers}


def _kept(folder: Path, layer: int) -> Path | None:
    """Return the file of a layer's draw, whose name holds the digest of its content; a damaged one is removed."""
    for path in folder.glob(f"{name(layer)}-*.npy"):
        if path == _path(path, folder, layer):
            return path
        LOG.warning("%s is damaged; its vectors are drawn again.", path)
        path.unlink(missing_ok=True)
    return None


def _write(epoch: TokenEpoch, folder: Path, tokens_only: bool) -> dict[int, Path]:
    """Write the draws of an epoch's layers; returns their files."""
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
        for file in files.values():
            file.flush()
        return {layer: path.replace(_path(path, folder, layer)) for layer, path in partial.items()}
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


def _path(file: Path, folder: Path, layer: int) -> Path:
    """Return where a layer's draw with the content of a file belongs."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    return folder / f"{name(layer)}-{digest}.npy"
