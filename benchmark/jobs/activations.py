"""One pass over the data per encoder: every sample's vectors at each wanted layer, written once and in order."""

import contextlib
import shutil
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.datasets import PairedDataset
from benchmark.encoders import Encoder
from benchmark.errors import WorkError
from benchmark.jobs.activation_cache import (
    Activations,
    find_activations,
    pass_folder,
    read_activations,
    remove_unfinished,
)
from benchmark.jobs.activation_files import Layout, Writer, name
from benchmark.jobs.extraction_sizes import batch_and_shard, token_slots
from benchmark.jobs.locks import locked
from benchmark.jobs.model_runs import ModelRuns, model_threads, not_finite
from benchmark.jobs.prefetch import Inputs, Rows, batches, prepared
from benchmark.jobs.token_draw import draw, id_keys, take


def extract(
    encoder: Encoder, dataset: PairedDataset, layers: list[int], folder: Path, *, tokens: int = 0
) -> Activations:
    """Run an encoder once over a dataset and return its activations at some layers, memory-mapped.

    `folder` is the encoder's own, for one precision and these samples; each pass has a folder within. A finished pass
    over at least these layers, with at least these tokens, is used again. (Captions then may have stood in other
    batches than a pass of its own would have made, which changes vectors by rounding.)

    Images are decoded and preprocessed in threads while the model works; captions are encoded in order of length
    within shards. Vectors are appended to one file per layer, shard by shard, in the dataset's order. A process that
    was killed at any moment is followed by one that goes on behind the last finished shard, which is a minute or two
    of work, and writes the same bytes; while another process writes to the folder, this one waits for it. A batch that
    does not fit a GPU is halved, and later batches with it.

    `tokens` above 0 stores up to that many tokens of every sample and layer beside the global vector, for training on
    them: drawn uniformly and without replacement from the real ones (never padding) by a generator that depends only
    on the sample's id and on their number, hence the same positions at all layers of a plain model and in every stage
    of a hierarchical one its own. The global token itself is not among them where it is a token (rules cls, eot and
    last): its vector is stored anyway and always trains. This bounds the disk, 4 bytes * N * (S + 1) * d a layer
    (COCO's 118,287 images, 16 tokens, d = 768: 6.2 GB a layer; all 197 tokens of ViT-B/16 would be 72 GB), and the
    memory, whatever the size of a stage's feature map. S is `tokens`, or what a layer can have if that is less: the
    196 other tokens of ViT-B/16, the 49 of Swin's last stage, the 76 of a CLIP caption; asking for more takes no more.
    ALL_TOKENS stores none and counts those that each sample has: they train as they stream by (see `token_stream`).

    Raises WorkError when the cache cannot be written, or the disk or the device's memory is too small, and ValueError
    for a vector that is not finite, naming encoder, layer and sample.
    """
    found = find_activations(folder, layers, len(dataset), tokens)
    if found is not None:
        return found
    with locked(folder, f"extracting {folder.name}"):
        found = find_activations(folder, layers, len(dataset), tokens)
        if found is not None:  # another process was done meanwhile
            return found
        inner = pass_folder(folder, layers, tokens)
        try:
            remove_unfinished(folder.parent)
            try:
                _fill(encoder, dataset, layers, inner, tokens)
            except ValueError:  # these samples can never be finished
                shutil.rmtree(inner, ignore_errors=True)
                raise
        except OSError as error:
            raise WorkError(
                f"the activations of '{encoder.name}' cannot be finished in {folder.parent}: {error}; what is done is "
                "kept and a further run goes on behind it."
            ) from None
        again = read_activations(inner, layers, len(dataset), tokens)
    if again is None:
        raise WorkError(f"the activations in {inner} cannot be read back; is the disk full?")
    return again


def _fill(encoder: Encoder, dataset: PairedDataset, layers: list[int], inner: Path, tokens: int) -> None:
    widths, slots = {layer: encoder.widths[layer] for layer in layers}, token_slots(encoder, layers, tokens)
    captions = dataset.captions() if encoder.modality == "text" else None
    row_bytes = Layout(0, widths, tokens, slots, 1).row_bytes
    size, shard = batch_and_shard(encoder, captions, row_bytes)
    writer = Writer(inner, Layout(len(dataset), widths, tokens, slots, shard))
    lengths = None if captions is None else [len(caption.encode("utf-8", "replace")) for caption in captions]
    plan = batches(lengths, range(writer.rows, len(dataset)), size, shard)
    reader = _Reader(encoder, dataset, layers, slots)
    written: Future[None] | None = None
    with (
        model_threads(encoder),
        contextlib.closing(writer),
        ThreadPoolExecutor(1) as disk,
        contextlib.closing(reader.vectors(plan)) as vectors,
        tqdm(
            total=len(dataset),
            initial=writer.rows,
            desc=f"encode {encoder.name}",
            unit="sample",
            mininterval=0.5,
        ) as bar,
    ):
        for start in range(writer.rows, len(dataset), shard):
            rows = min(shard, len(dataset) - start)
            block = {array: np.zeros((rows, *shape), kind) for array, (shape, kind) in writer.layout.arrays.items()}
            filled = 0
            while filled < rows:
                chosen, found = next(vectors)
                for array, values in found.items():
                    block[array][chosen - start] = values
                filled += len(chosen)
                bar.update(len(chosen))
            if written is not None:
                written.result()
            written = disk.submit(writer.append, block)
        if written is not None:
            written.result()


class _Reader:
    """Runs the model on batches and brings back what is stored of them."""

    def __init__(self, encoder: Encoder, dataset: PairedDataset, layers: list[int], slots: dict[int, int]) -> None:
        self.encoder, self.dataset, self.layers, self.slots = encoder, dataset, layers, slots
        self.runs = ModelRuns(encoder)
        self.keys = id_keys(dataset.ids) if slots else torch.empty(0)

    def vectors(self, plan: Iterator[Rows]) -> Generator[tuple[Rows, dict[str, NDArray[Any]]]]:
        """Yield (rows, {array: values}) of all batches in order.

        A batch's results are fetched after the next batch was started: a GPU works meanwhile.
        """
        before: tuple[Rows, list[dict[str, torch.Tensor]]] | None = None
        with contextlib.closing(prepared(self.encoder, self.dataset, plan)) as ready:
            for rows, inputs in ready:
                started = rows, self.runs.parts(rows, inputs, self._run)
                if before is not None:
                    yield self._fetched(*before)
                before = started
        if before is not None:
            yield self._fetched(*before)

    # Inference mode saves autograd's bookkeeping; the results leave as NumPy arrays, so nobody can need it.
    @torch.inference_mode()
    def _run(self, rows: Rows, inputs: Inputs) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        drawn: dict[tuple[int, int], tuple[torch.Tensor | None, torch.Tensor]] = {}
        for layer, output in self.encoder.forward(inputs, self.layers).items():
            found[name(layer)] = output.pooled
            if self.slots:
                shape = output.tokens.shape[1], self.slots[layer]
                if shape not in drawn:  # layers of the same length have the same mask
                    allowed = self.encoder.other_tokens(inputs, output)
                    drawn[shape] = (
                        draw(self.keys[rows].to(allowed.device), allowed, self.slots[layer])
                        if self.slots[layer]
                        else (None, allowed.sum(1))
                    )
                positions, counts = drawn[shape]
                if positions is not None:
                    found[name(layer, "tokens")] = take(output.tokens, positions, counts)
                found[name(layer, "counts")] = counts
        return found

    def _fetched(self, rows: Rows, parts: list[dict[str, torch.Tensor]]) -> tuple[Rows, dict[str, NDArray[Any]]]:
        values = {array: np.concatenate([part[array].cpu().numpy() for part in parts]) for array in parts[0]}
        for layer in self.layers:
            for array in (name(layer), name(layer, "tokens")):
                finite = np.isfinite(values[array]).reshape(len(rows), -1).all(1) if array in values else np.ones(1)
                if not finite.all():
                    raise not_finite(self.encoder, layer, self.dataset.ids[rows[int(np.argmin(finite))]])
        return rows, values
