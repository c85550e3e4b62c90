"""Tokens of held-out samples: on them, apart from the recorded vectors, is told how well an SAE reconstructs tokens."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.datasets import PairedDataset
from benchmark.encoders import Encoder
from benchmark.jobs.activation_cache import Activations
from benchmark.jobs.token_sample import VECTORS, token_sample
from benchmark.jobs.token_stream import TokenStream
from benchmark.sae import TopKSAE, quality
from benchmark.sae.reconstruction import Baseline, baseline

FIGURES = ("fvu", "pca_fvu", "l0", "dead")
"""What of `quality` is told of tokens too."""


def heldout_tokens(
    encoder: Encoder | None, dataset: PairedDataset, found: Activations, rows: NDArray[np.int64], folder: Path
) -> Callable[[int], NDArray[np.float32]] | None:
    """Return what gives a layer's draw of tokens of some samples, (n, d), always the same; never global vectors.

    `found` is what `extract` put into `folder`. At most `VECTORS` tokens are drawn: of all those that are stored, or,
    where they stream by, of those of `token_sample`. None where no token trains.
    """
    if found.tokens:
        return lambda layer: _stored(found.tokens[layer], np.asarray(found.counts[layer]), rows)
    if not found.counts or encoder is None:
        return None
    stream = TokenStream(encoder, dataset, rows, found.counts, list(found.pooled))
    return token_sample(stream, folder, tokens_only=True).__getitem__


def _stored(tokens: NDArray[np.float32], counts: NDArray[np.int32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    places = np.argwhere(np.arange(tokens.shape[1]) < counts[rows][:, None])
    if len(places) > VECTORS:
        places = places[np.sort(np.random.default_rng(0).choice(len(places), VECTORS, replace=False))]
    return np.asarray(tokens[rows[places[:, 0]], places[:, 1]])


class TokenQuality:
    """How well SAEs reconstruct a layer's draw of tokens; what they are measured against serves all seeds."""

    def __init__(self, tokens: Callable[[int], NDArray[np.float32]] | None) -> None:
        """Take what gives a layer's draw of tokens (n, d), see `heldout_tokens`."""
        self._tokens = tokens
        self._baselines: dict[int, Baseline] = {}

    def of(self, layer: int, sae: TopKSAE) -> dict[str, float]:
        """Return the figures of a layer's SAE, their names ending in `_tokens`; none without tokens."""
        drawn = self._tokens(layer) if self._tokens else np.empty(0)
        if not len(drawn):
            return {}
        if layer not in self._baselines:
            self._baselines[layer] = baseline(drawn)
        found = quality(sae, drawn, sae.features(drawn), measured_against=self._baselines[layer])._asdict()
        return {f"{name}_tokens": found[name] for name in FIGURES}
