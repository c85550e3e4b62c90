"""All vectors of the training samples, as `train_in_groups` asks for them: encoded every epoch, mixed in a buffer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.jobs.token_sample import token_sample
from benchmark.jobs.token_stream import TokenStream
from benchmark.sae import NotFinite, TrainConfig, steps
from benchmark.sae.mixing import buffer_bytes, mixed_batches


@dataclass(frozen=True)
class StreamedVectors:
    """The `TrainingVectors` of all tokens: each epoch of each group of SAEs is a pass over the training samples."""

    stream: TokenStream
    """Of the training samples, at all layers."""
    config: TrainConfig
    folder: Path
    """Of the encoder and dataset, where a draw of the vectors is kept."""

    def steps(self, layer: int) -> int:
        """Return the number of a layer's batches in all epochs."""
        return steps(self._total(layer), self.config)

    def held_bytes(self, layer: int) -> int:
        """Return the bytes of a layer's mixing buffer."""
        return buffer_bytes(self._total(layer), self.stream.encoder.widths[layer], self.config.batch_size)

    def means(self, layers: Sequence[int]) -> dict[int, NDArray[np.float64]]:
        """Return the mean (d,) of each layer's draw."""
        return {layer: vectors.mean(0, dtype=np.float64) for layer, vectors in self.start_vectors(layers)}

    def start_vectors(self, layers: Sequence[int]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield (layer, (n, d)): a draw of what some of the samples give."""
        yield from token_sample(self.stream.only(layers), self.folder).items()

    def batches(
        self, layers: Sequence[int], orders: Mapping[int, int], skip: int
    ) -> Iterator[dict[tuple[int, int], torch.Tensor]]:
        """Yield batches of the mixing buffer; see `mixed_batches`."""
        stream = self.stream.only(layers)
        return mixed_batches(
            (stream.epoch(number) for number in range(self.config.epochs)),
            {layer: stream.encoder.widths[layer] for layer in layers}, orders,
            self.config.batch_size, skip=skip,
        )  # fmt: skip

    def sample(self, error: NotFinite, layers: Sequence[int], orders: Mapping[int, int]) -> str | None:
        """Return None: the stream refuses what is not finite itself, and names the sample."""
        return None

    def _total(self, layer: int) -> int:
        return int(self.stream.counts[layer][self.stream.rows].sum())
