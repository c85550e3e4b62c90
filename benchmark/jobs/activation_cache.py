"""Finished activations in the cache: found again for fewer layers or tokens, and what is never finished removed.

`.cache/activations/ENCODER-KEY/` holds everything of one encoder, precision and set of samples, in one folder for
each pass over the data: passes differ in layers and tokens.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.jobs.abandoned import remove_abandoned
from benchmark.jobs.activation_files import file_of, name, read_progress, undamaged
from benchmark.jobs.keys import content_key
from benchmark.jobs.plan import ALL_TOKENS


@dataclass(frozen=True)
class Activations:
    """One encoder's activations over N samples, memory-mapped; keys are layers, shallow to deep."""

    pooled: dict[int, NDArray[np.float32]]
    """(N, d): every sample's global vector."""
    tokens: dict[int, NDArray[np.float32]]
    """(N, S, d): up to S of every sample's other real tokens, zeros behind them; empty without stored tokens."""
    counts: dict[int, NDArray[np.int32]]
    """(N,): how many tokens of each sample are stored, or with ALL_TOKENS how many it has; empty without tokens."""


def pass_folder(folder: Path, layers: Sequence[int], tokens: int) -> Path:
    """Return the folder of the pass over these layers with this many tokens."""
    stored = "-all" if tokens == ALL_TOKENS else f"{tokens:04d}"
    return folder / f"tokens{stored}-layers{len(layers):02d}-{content_key({'layers': list(layers)})[:8]}"


def find_activations(folder: Path, layers: Sequence[int], n_samples: int, tokens: int = 0) -> Activations | None:
    """Return the activations of these layers from a finished pass over at least them, or None.

    A pass that stored more tokens gives the first `tokens` of each sample: the same ones that a pass with fewer draws.
    With ALL_TOKENS the tokens are only counted.
    """
    with contextlib.suppress(OSError):  # nothing there, or removed meanwhile
        for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
            found = read_activations(inner, layers, n_samples, tokens)
            if found is not None:
                return found
    return None


def read_activations(inner: Path, layers: Sequence[int], n_samples: int, tokens: int = 0) -> Activations | None:
    """Return the activations of some layers from one pass's folder; None where it does not hold them, whole."""
    done = read_progress(inner)
    if done is None or done[0] != n_samples or done[1].n_samples != n_samples:
        return None
    layout = done[1]
    if not set(layers) <= set(layout.widths):
        return None
    # A layer with fewer slots than tokens were wanted stores all that it has; without stored tokens there are no slots.
    whole = all(layout.slots.get(layer, 0) < layout.tokens for layer in layers)
    if tokens == ALL_TOKENS and not (whole or layout.tokens == ALL_TOKENS):
        return None
    if tokens > max(layout.tokens, 0) and not whole:
        return None

    parts = [""] + ["tokens"] * (tokens > 0) + ["counts"] * bool(tokens)
    if not undamaged(inner, [name(layer, part) for layer in layers for part in parts], *done):
        return None
    most = None if tokens == ALL_TOKENS else tokens

    def array(layer: int, part: str = "") -> NDArray[Any]:
        return np.load(file_of(inner, name(layer, part)), mmap_mode="r")

    try:
        return Activations(
            {layer: array(layer) for layer in layers},
            {layer: array(layer, "tokens")[:, :tokens] for layer in layers} if tokens > 0 else {},
            {layer: np.clip(array(layer, "counts"), 0, most) for layer in layers} if tokens else {},
        )
    except (OSError, ValueError, EOFError):
        return None


def remove_unfinished(parent: Path) -> None:
    """Remove unfinished passes that nobody has written to for 30 days; younger ones can still be gone on with."""
    remove_abandoned(parent.glob("*/*/"), lambda inner: inner.parent, _is_finished)


def _is_finished(inner: Path) -> bool:
    done = read_progress(inner)
    return done is not None and done[0] == done[1].n_samples
