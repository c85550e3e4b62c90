"""Batches of raw samples, decoded and preprocessed in threads while the model works on earlier ones."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.cores import cores
from benchmark.datasets import PairedDataset
from benchmark.encoders import Encoder

Inputs = dict[str, torch.Tensor]
Rows = NDArray[np.int64]

CHUNK = 16
"""Images that one thread prepares at a time."""
AHEAD = 3
"""Batches that wait prepared, or in preparation, beside the one that the model works on: what bounds the memory."""
LETTERS = 256
"""Mean bytes of a caption up to which batches of captions are full; longer ones make smaller batches."""


def batches(lengths: Sequence[int] | None, rows: range, size: int, shard: int) -> Iterator[Rows]:
    """Split rows into batches of at most `size`; no batch crosses the end of a shard of `shard` rows.

    With the `lengths` of captions in bytes (None: images) the rows of a shard are taken in order of length, so that
    batches hold little padding, and batches of long captions are smaller. `rows` begins at the start of a shard: the
    batches of a shard do not depend on where an earlier process stopped.
    """
    for start in range(rows.start, rows.stop, shard):
        order = np.arange(start, min(start + shard, rows.stop))
        if lengths is None:
            yield from (order[first : first + size] for first in range(0, len(order), size))
            continue
        order = order[np.argsort([lengths[int(row)] for row in order], kind="stable")]
        first = 0
        while first < len(order):
            stop = first + 1
            # The caption that comes last is the longest: the others are padded to it.
            while (
                stop < min(first + size, len(order))
                and (stop + 1 - first) * lengths[int(order[stop])] <= size * LETTERS
            ):
                stop += 1
            yield order[first:stop]
            first = stop


def prepared(encoder: Encoder, dataset: PairedDataset, plan: Iterable[Rows]) -> Generator[tuple[Rows, Inputs]]:
    """Yield (rows, inputs on the encoder's device) of all batches in order."""
    text = encoder.modality == "text"
    captions = dataset.captions() if text else []

    def prepare(rows: Rows) -> Inputs:
        batch = [captions[i] for i in rows] if text else [dataset[int(i)].image for i in rows]
        inputs = encoder.preprocess(batch)
        # Copies from pinned memory run beside the model's work.
        return {key: value.pin_memory() for key, value in inputs.items()} if encoder.device.type == "cuda" else inputs

    pool = ThreadPoolExecutor(max(2, cores()))
    waiting: deque[tuple[Rows, list[Future[Inputs]]]] = deque()

    def next_batch() -> tuple[Rows, Inputs]:
        rows, parts = waiting.popleft()
        return rows, _joined([part.result() for part in parts], encoder.device) or prepare(rows)

    try:
        for rows in plan:
            chunks = [rows] if text else [rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)]
            waiting.append((rows, [pool.submit(prepare, chunk) for chunk in chunks]))
            if len(waiting) > AHEAD:
                yield next_batch()
        while waiting:
            yield next_batch()
    finally:
        pool.shutdown(cancel_futures=True)


def _joined(parts: list[Inputs], device: torch.device) -> Inputs | None:
    """Return the chunks of a batch as one on the device, or None where a processor gave them different shapes."""
    shapes = [{key: value.shape[1:] for key, value in part.items()} for part in parts]
    if any(shape != shapes[0] for shape in shapes):
        return None
    moved = {key: [part[key].to(device, non_blocking=True) for part in parts] for key in parts[0]}
    return {key: values[0] if len(values) == 1 else torch.cat(values) for key, values in moved.items()}
