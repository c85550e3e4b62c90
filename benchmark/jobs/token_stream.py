"""All tokens of the training samples as a stream: the encoder runs again in every epoch, and nothing is stored.

`extract` has recorded the global vectors and counted the tokens; what streams here goes through the mixing buffer of
`benchmark.sae.mixing` into training.
"""

import contextlib
import hashlib
from collections.abc import Generator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.datasets import PairedDataset
from benchmark.encoders import Encoder
from benchmark.jobs.extraction_sizes import batch_and_shard
from benchmark.jobs.model_runs import ModelRuns, model_threads, not_finite
from benchmark.jobs.prefetch import Inputs, Rows, batches, prepared
from benchmark.sae.mixing import Piece

SORTED = 16
"""Batches of captions that are sorted by length together, so that they hold little padding."""


class TokenStream:
    """The vectors of some samples at some layers: of each sample its global one, and all of its other real tokens.

    What `extract` would record as a sample's global vector (equal but for rounding, as captions stand in other batches)
    comes first; the token that is the global vector itself is not shown twice, padding never.
    """

    def __init__(
        self,
        encoder: Encoder,
        dataset: PairedDataset,
        rows: NDArray[np.int64],
        counts: Mapping[int, NDArray[np.integer]],
        layers: Sequence[int],
    ) -> None:
        """Prepare to stream the samples `rows`; `counts` (N,) by layer are those of `extract` with ALL_TOKENS."""
        self.encoder, self.dataset, self.rows, self.layers = encoder, dataset, rows, list(layers)
        self.counts = {layer: 1 + np.asarray(counts[layer]).astype(np.int64) for layer in self.layers}
        """(N,) by layer: vectors of each sample of the dataset."""
        self._captions = dataset.captions() if encoder.modality == "text" else None
        # Decided by the encoder and the captions alone, not by the layers that are asked for, as it decides rounding.
        self.batch, _ = batch_and_shard(encoder, self._captions, 4 * sum(encoder.widths.values()))

    def only(self, layers: Sequence[int]) -> "TokenStream":
        """Return the stream of some of the layers."""
        counts = {layer: self.counts[layer] - 1 for layer in layers}
        return TokenStream(self.encoder, self.dataset, self.rows, counts, layers)

    def epoch(self, number: int) -> "TokenEpoch":
        """Return one visit of the samples; each has an order of its own."""
        return TokenEpoch(self, number)

    def visit(self, number: int) -> list[Rows]:
        """Return the batches of an epoch: a permutation that follows from the dataset's samples and the epoch.

        Captions are sorted by length within runs of batches; then the batches are shuffled.
        """
        text = f"visit {number} of {self.dataset.fingerprint}".encode()
        rng = np.random.default_rng(list(hashlib.blake2b(text, digest_size=16).digest()))
        order = rng.permutation(self.rows)
        lengths = None
        if self._captions is not None:
            lengths = [len(self._captions[row].encode("utf-8", "replace")) for row in order]
        found = [order[part] for part in batches(lengths, range(len(order)), self.batch, SORTED * self.batch)]
        return [found[i] for i in rng.permutation(len(found))]


class TokenEpoch:
    """One visit of a stream's samples; see `benchmark.sae.mixing.Epoch`."""

    def __init__(self, stream: TokenStream, number: int) -> None:
        self.stream = stream
        self.batches = stream.visit(number)
        order = np.concatenate(self.batches)
        self.counts = {layer: counts[order] for layer, counts in stream.counts.items()}
        """(samples,) by layer: vectors of each sample, in the order of the visit."""

    def pieces(self, first: int) -> Generator[Piece]:
        """Run the encoder over the batches of the epoch, from the one that holds the sample at position `first` on.

        Inputs are prepared in threads while the consumer trains. Raises ValueError for a vector that is not finite,
        naming encoder, layer and sample, and WorkError where a single sample does not fit the device.
        """
        stream = self.stream
        ends = np.cumsum([len(rows) for rows in self.batches])
        skipped = int(np.searchsorted(ends, first, side="right"))
        position = int(ends[skipped - 1]) if skipped else 0
        runs = ModelRuns(stream.encoder)
        with contextlib.closing(prepared(stream.encoder, stream.dataset, self.batches[skipped:])) as ready:
            for rows, inputs in ready:
                with model_threads(stream.encoder):
                    parts = runs.parts(rows, inputs, self._read)
                for samples, vectors in parts:
                    yield Piece(position, samples, vectors)
                    position += samples

    @torch.no_grad()
    def _read(self, rows: Rows, inputs: Inputs) -> tuple[int, dict[int, torch.Tensor]]:
        """Return the number of samples and {layer: (n, d)}: each sample's global vector and its other real tokens."""
        encoder, found = self.stream.encoder, {}
        outputs = encoder.forward(inputs, self.stream.layers)
        for layer in self.stream.layers:
            output = outputs.pop(layer)  # each layer's states make room for the next one's vectors
            shown = torch.nn.functional.pad(encoder.other_tokens(inputs, output), (1, 0), value=True)
            vectors = torch.cat([output.pooled[:, None], output.tokens], dim=1)[shown]
            finite = torch.isfinite(vectors).all(1)
            if not bool(finite.all()):
                sample = int(shown.nonzero()[~finite][0, 0])
                raise not_finite(encoder, layer, self.stream.dataset.ids[rows[sample]])
            announced = int(self.stream.counts[layer][rows].sum())
            if len(vectors) != announced:
                raise ValueError(
                    f"encoder '{encoder.name}', layer {layer}: {len(rows)} samples gave {len(vectors)} vectors, where "
                    f"extraction had counted {announced}; delete .cache/activations and start again."
                )
            found[layer] = vectors
        return len(rows), found
