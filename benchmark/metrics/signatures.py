"""Signs that a comparison cannot be trusted, told from its cells; `docs/sae.md` has the data behind the limits."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from benchmark.signature import Signature

NEAR = 0.1
"""How far two seeds of one encoder must agree beyond what they agree before training. Below it dictionaries trained on
planted data hold 60 % of an atom's direction or less, or fire too seldom to be compared."""


def comparison_signatures(cells: pd.DataFrame, modality: Mapping[str, str]) -> list[Signature]:
    """Return what is wrong with a comparison.

    Args:
        cells: one row per source and target of one sample set and aggregate, with the columns source, target, crossfit,
            low, high and, where SAEs were compared before training too, untrained.
        modality: encoder -> image | text.
    """
    return [*_self_near_chance(cells), *_above_ceiling(cells), *_at_floor(cells), *_modalities(cells, modality)]


def _self_near_chance(cells: pd.DataFrame) -> Iterator[Signature]:
    """Two seeds of one encoder agree hardly more than chance (0), or than they did before training."""
    for cell in _rows(cells[cells.source == cells.target]):
        floor = _floor(cell)
        known = not math.isnan(floor)
        limit = (max(floor, 0.0) if known else 0.0) + NEAR
        if cell["crossfit"] < limit:
            before = f"{floor:.3f} before training" if known else "0 by chance"
            yield Signature(
                "self-near-chance", cell["source"], cell["crossfit"], limit,
                f"two seeds of the same encoder agree on {cell['crossfit']:.3f} only ({before}).",
                "The dictionary is not learned, or its latents fire on too few samples: train longer, lower expansion, "
                "raise k or use more samples before comparing encoders.",
            )  # fmt: skip


def _above_ceiling(cells: pd.DataFrame) -> Iterator[Signature]:
    """Another encoder's features fit better than those of the encoder's own second seed."""
    own = cells[cells.source == cells.target].set_index("source")
    for source, cell in own.iterrows():
        others = cells[(cells.source == source) & (cells.target != source)]
        above = others[others.low > cell.high]
        if len(above):
            best = next(_rows(above.sort_values("crossfit", ascending=False)))
            yield Signature(
                "above-own-ceiling", f"{source} → {best['target']}", best["crossfit"], float(cell.crossfit),
                f"{best['crossfit']:.3f} is more than two seeds of {source} agree on ({cell.crossfit:.3f}).",
                "The source's dictionary changes from seed to seed: train it longer before reading its row.",
            )  # fmt: skip


def _at_floor(cells: pd.DataFrame) -> Iterator[Signature]:
    """Two encoders share no more than before training."""
    for cell in _rows(cells[cells.source != cells.target]):
        floor = _floor(cell)
        if cell["low"] <= floor:
            yield Signature(
                "at-untrained-floor", f"{cell['source']} → {cell['target']}", cell["crossfit"], floor,
                f"{cell['crossfit']:.3f} is within noise of the {floor:.3f} that SAEs before training share.",
                "What is shared there are directions of the activations, not learned features.",
            )  # fmt: skip


def _modalities(cells: pd.DataFrame, modality: Mapping[str, str]) -> Iterator[Signature]:
    """Every encoder that could be otherwise shares more with the other modality than with its own."""
    gaps = []
    others = cells[cells.source != cells.target]
    for source, part in others.groupby("source", sort=False):
        same = part.target.map(modality.get) == modality[str(source)]
        if same.any() and not same.all():
            gaps.append(part.low[~same].mean() - part.high[same].mean())
    if gaps and min(gaps) > 0:
        yield Signature(
            "cross-modal-above-same-modal", "", float(min(gaps)), 0.0,
            f"each of the {len(gaps)} encoders with partners of both modalities shares more with the other modality "
            f"(by {min(gaps):.3f} or more beyond the intervals).",
            "Unusual: check that each image goes with its caption once (duplicates, groups) and the token rules of "
            "the encoders that share little with their own kind.",
        )  # fmt: skip


def _floor(cell: Mapping[str, Any]) -> float:
    return float(cell.get("untrained", math.nan))


def _rows(cells: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in cells.to_dict("records"):
        yield {str(name): value for name, value in row.items()}
