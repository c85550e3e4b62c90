"""Checks of a comparison, encoder by encoder: seeds of one encoder, encoders of one modality, and both modalities.

They look at cross-fitted values of single source layers against all layers of a target, with 95 % intervals.
"""

import math
from collections.abc import Collection, Mapping

import pandas as pd

from benchmark.health import FAIL, OK, WARN, Check, unknown
from benchmark.metrics.signatures import NEAR

LEAST_SAME = 0.05
"""An encoder whose best partner of its own modality reaches no more than this shares next to nothing with it."""
SELF_ADVICE = (
    "The dictionary is not learned, or its latents fire on too few samples: train longer, lower expansion, raise k or "
    "use more samples before comparing encoders."
)
SAME_ADVICE = (
    "Encoders that see the same input should share something: check the token rule and the SAEs' dead latents and FVU, "
    "train longer, and use more samples."
)
CROSS_ADVICE = (
    "Unusual: check that each image goes with its caption once (duplicates, groups) and the token rules of the "
    "encoders that share little with their own kind."
)


def comparison_checks(
    values: pd.DataFrame,
    own: pd.DataFrame,
    modality: Mapping[str, str],
    twins: Collection[tuple[str, str]] = (),
) -> list[Check]:
    """Return the checks `self-near-chance`, `same-modality-near-zero` and `cross-modal-above-same-modal`.

    Args:
        values: one row per source, layer of it and target, which differ: source, layer, target, value, low, high.
        own: one row per encoder that was compared with itself under another seed: source, value, floor (the same before
            training, NaN if not taken).
        modality: encoder -> image | text, for every encoder that is to be checked.
        twins: (image encoder, text encoder) of each contrastive pair: trained to share, so not counted as a partner of
            the other modality.
    """
    paired = {name: {b for pair in twins if name in pair for b in pair} for name in modality}
    gaps = {name: _gaps(values[values.source == name], name, modality, paired[name]) for name in modality}
    found = []
    for name in modality:
        found += [_self(own[own.source == name], name), _same(values[values.source == name], name, modality)]
    known = {name: gap for name, gap in gaps.items() if gap is not None and len(gap)}
    everywhere = bool(known) and all((gap.surely > 0).all() for gap in known.values())
    return [*found, *(_cross(gaps[name], name, everywhere) for name in modality)]


def _self(rows: pd.DataFrame, name: str) -> Check:
    check = "self-near-chance"
    if rows.empty:
        return unknown(check, name, "there is one seed only.", "Train two seeds or more to know the ceiling.")
    value, floor = float(rows.value.iloc[0]), float(rows.floor.iloc[0])
    beside = "0 by chance" if math.isnan(floor) else f"{floor:.3f} before training"
    limit = NEAR if math.isnan(floor) else max(floor, 0.0) + NEAR
    sentence = f"two seeds agree on {value:.3f} ({beside})."
    if value < limit:
        return Check(check, name, FAIL, value, limit, "last layer", sentence, SELF_ADVICE)
    return Check(check, name, OK, value, limit, "last layer", sentence, "")


def _same(rows: pd.DataFrame, name: str, modality: Mapping[str, str]) -> Check:
    check, kind = "same-modality-near-zero", modality[name]
    rows = rows[rows.target.map(modality.get) == kind]
    if rows.empty:
        return unknown(check, name, f"there is no other {kind} encoder.", f"Add a second {kind} encoder to know.")
    layer, target, value, low, high = rows.sort_values("value")[["layer", "target", "value", "low", "high"]].iloc[-1]
    sentence = f"shares at most {value:.3f} ({low:.3f} to {high:.3f}) with another {kind} encoder, {target}."
    where = f"layer {layer}, {target}"
    if low <= 0:
        return Check(check, name, FAIL, float(value), 0.0, where, sentence, SAME_ADVICE)
    if value < LEAST_SAME:
        return Check(check, name, WARN, float(value), LEAST_SAME, where, sentence, SAME_ADVICE)
    return Check(check, name, OK, float(value), LEAST_SAME, where, sentence, "")


def _gaps(rows: pd.DataFrame, name: str, modality: Mapping[str, str], twins: Collection[str]) -> pd.DataFrame | None:
    """Return per layer by how much the best partner of the other modality is above the best of its own.

    Columns: layer, gap, surely (the same between the intervals' near ends), target. None without partners of both.
    """
    same = rows.target.map(modality.get) == modality[name]
    sides = [rows[~same & ~rows.target.isin(list(twins))], rows[same]]
    if any(side.empty for side in sides):
        return None
    cross, own = (side.sort_values("value").drop_duplicates("layer", keep="last") for side in sides)
    both = cross.merge(own, on="layer", suffixes=("", "_own")).sort_values("layer")
    return both.assign(gap=both.value - both.value_own, surely=both.low - both.high_own)


def _cross(gaps: pd.DataFrame | None, name: str, everywhere: bool) -> Check:
    """Judge one encoder: it fails if all encoders that could share more with the other modality do, on all layers."""
    check = "cross-modal-above-same-modal"
    if gaps is None:
        sentence = "it has no partners of both modalities, beside a tower it was trained with."
        return unknown(check, name, sentence, "Add encoders of both modalities to know.")
    layer, target, gap = gaps.sort_values("gap")[["layer", "target", "gap"]].iloc[0]
    where, layers = f"layer {layer}, {target}", "its layer" if len(gaps) == 1 else f"all {len(gaps)} layers"
    if not (gaps.surely > 0).all():
        one = "its layer" if len(gaps) == 1 else "a layer"
        sentence = f"on {one} its own modality is as near as the other one, or nearer (difference {gap:+.3f})."
        return Check(check, name, OK, float(gap), 0.0, where, sentence, "")
    others = ", as every encoder that can be told" if everywhere else ", unlike other encoders"
    sentence = f"on {layers} it shares more with the other modality than with its own (by {gap:.3f} or more){others}."
    return Check(check, name, FAIL if everywhere else WARN, float(gap), 0.0, where, sentence, CROSS_ADVICE)
