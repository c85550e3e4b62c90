"""One pass over the data per encoder: every sample's global vector at each wanted layer, in memory-mapped files."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.datasets import PairedDataset
from benchmark.encoders import Encoder
from benchmark.errors import WorkError

BATCH = 128
DONE = "done.json"

Activations = dict[int, NDArray[np.float32]]


def read_activations(folder: Path, layers: list[int], n_samples: int) -> Activations | None:
    """Return finished activations {layer: (N, d)} of a folder, memory-mapped, or None."""
    try:
        done = json.loads((folder / DONE).read_text())["n_samples"]
        arrays = {layer: np.load(_path(folder, layer), mmap_mode="r") for layer in layers}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return arrays if done == n_samples and all(len(array) == n_samples for array in arrays.values()) else None


def extract(encoder: Encoder, dataset: PairedDataset, layers: list[int], folder: Path) -> Activations:
    """Run an encoder once over a dataset and return {layer: (N, d)} float32 global vectors, memory-mapped.

    Images are decoded and preprocessed in threads while the model works; captions are encoded in order of length, so
    that batches hold little padding. A finished folder is used again. Raises WorkError when the disk is full and
    ValueError for a vector that is not finite, naming encoder, layer and sample.
    """
    found = read_activations(folder, layers, len(dataset))
    if found is not None:
        return found
    _remove_abandoned(folder.parent)
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        arrays = {layer: _reserved(_path(partial, layer), (len(dataset), encoder.widths[layer])) for layer in layers}
        bar = tqdm(total=len(dataset), desc=f"encode {encoder.name}", unit="sample", mininterval=0.5)
        for rows, inputs in _prepared(encoder, dataset):
            outputs = encoder.forward(inputs, layers)
            for layer, output in outputs.items():
                pooled = output.pooled.float().cpu().numpy()
                if not np.isfinite(pooled).all():
                    sample = dataset.ids[rows[int(np.argmax(~np.isfinite(pooled).all(1)))]]
                    raise ValueError(f"encoder '{encoder.name}', layer {layer}: sample '{sample}' is not finite.")
                arrays[layer][rows] = pooled
            bar.update(len(rows))
        bar.close()
        for array in arrays.values():
            array.flush()
        (partial / DONE).write_text(json.dumps({"n_samples": len(dataset)}))
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    except OSError as error:
        found = read_activations(folder, layers, len(dataset))
        if found is not None:  # another process was done first
            return found
        raise WorkError(f"the activations of '{encoder.name}' cannot be written to {folder.parent}: {error}.") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    again = read_activations(folder, layers, len(dataset))
    if again is None:
        raise WorkError(f"the activations in {folder} cannot be read back; is the disk full?")
    return again


def _remove_abandoned(parent: Path) -> None:
    """Remove what killed processes left unfinished and nobody has written to for a day."""
    for partial in parent.glob("*.partial"):
        with contextlib.suppress(OSError):  # another process finished it meanwhile
            written = max(path.stat().st_mtime for path in [partial, *partial.glob("*")])
            if time.time() - written > 86400:
                shutil.rmtree(partial, ignore_errors=True)


def _prepared(encoder: Encoder, dataset: PairedDataset) -> Iterator[tuple[NDArray[np.int64], dict[str, Any]]]:
    """Yield (rows, inputs) of all samples, with a few batches prepared ahead."""
    text = encoder.modality == "text"
    captions = dataset.captions() if text else []
    order = np.argsort([len(c) for c in captions], kind="stable") if text else np.arange(len(dataset))

    def prepare(rows: NDArray[np.int64]) -> dict[str, Any]:
        batch = [captions[i] for i in rows] if text else [dataset[int(i)].image for i in rows]
        return encoder.preprocess(batch)

    workers = max(2, torch.get_num_threads())
    with ThreadPoolExecutor(workers) as pool:
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        waiting = [pool.submit(prepare, rows) for rows in batches[: 2 * workers]]
        for i, rows in enumerate(batches):
            inputs = waiting.pop(0).result()
            if i + 2 * workers < len(batches):
                waiting.append(pool.submit(prepare, batches[i + 2 * workers]))
            yield rows, inputs


def _reserved(path: Path, shape: tuple[int, int]) -> np.memmap:
    """Return a new memory-mapped array whose disk space is taken already.

    Writing into a hole of a full disk would end the process without a word.
    """
    array: np.memmap = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    else:
        array[:] = 0
        array.flush()
    return array


def _path(folder: Path, layer: int) -> Path:
    return folder / f"L{layer:02d}.npy"
