"""Our values of what the paper reports, each beside its chance level, and whether they agree.

The paper's values are naive, so ours are compared as naive ones. A naive value has no interval of its own (a bootstrap
of a maximum is biased); it is given the width of the cross-fitted value's, which resamples groups of samples and seeds.
Ours agrees where this interval meets what rounds to the printed value, and is compared at all only where the encoders
and the dataset are the paper's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.catalog import EncoderCard
from benchmark.jobs.encoder_pairs import CROSS, SAME, TOWERS, relation
from benchmark.jobs.experiment import Material
from benchmark.jobs.layer_pairs import LayerMatrices
from benchmark.jobs.layer_values import ALL, LAST, Value, mean_value, value_of
from benchmark.jobs.published import VALUES, Ordering, Published, Roles, comparable
from benchmark.jobs.reproduced_weights import self_value, weight_values

ROUNDING = 1e-6
Matrices = Mapping[tuple[str, str], LayerMatrices]


def published_table(material: Material, matrices: Matrices, who: Roles) -> pd.DataFrame:
    """Return one row per figure of the paper.

    Columns: claim, what, printed (as in the paper), place, above_chance_low and above_chance_high (what is left of the
    printed value above the chance level at COCO's size, which the paper does not show), layers, encoders (who ours is
    of), ours (naive) with low and high, chance (the naive value when samples are shuffled), crossfit with crossfit_low
    and crossfit_high, comparable (the paper's encoders and dataset), agrees (`yes`, `no`, `not comparable`), direction
    (for changes: `same`, `opposite` or `undecided`, whoever the encoders are).
    """
    cards = material.encoders
    between = {key: item for key, item in matrices.items() if not item.own}
    cross = {key: item for key, item in between.items() if _relation(cards, key) in (TOWERS, CROSS)}
    same = {key: item for key, item in between.items() if _relation(cards, key) == SAME}
    vision_text = {
        key: item for key, item in cross.items() if cards[key[0]].kind == "vision" and cards[key[1]].kind == "text"
    }
    tower = who.image.name, who.text.name
    rows: list[dict[str, Any]] = []

    def add(claim: str, layers: str, used: Sequence[tuple[str, str]], value: Value) -> None:
        published = next(item for item in VALUES if item.claim == claim)
        rows.append(_row(published, layers, used, value, material, cards))

    add("self", ALL, [(who.image.name, who.image.name)], self_value(material, who))
    if tower in matrices:
        add("towers", ALL, [tower], value_of(matrices[tower], ALL))
    if cross:
        for claim, choose in (("range_low", min), ("range_high", max)):
            key = choose(cross, key=lambda key: cross[key].naive_overall)
            add(claim, ALL, [key], value_of(cross[key], ALL))
    if vision_text:
        add("vision_text", ALL, list(vision_text), _mean(vision_text, ALL))
    if cross:
        add("cross_all", ALL, list(cross), _mean(cross, ALL))
        add("cross_last", LAST, list(cross), _mean(cross, LAST))
        add("cross_change", "last - all", list(cross), _mean(cross, LAST).minus(_mean(cross, ALL)))
    if same:
        add("same_change", "last - all", list(same), _mean(same, LAST).minus(_mean(same, ALL)))
    if tower in matrices:
        for layers in (LAST, ALL):
            correlation, variation = weight_values(material, who, layers)
            add("weight_correlation", layers, [tower], correlation)
            add("weight_variation", layers, [(who.image.name, who.image.name)], variation)
    return pd.DataFrame(rows)


def ordering_table(matrices: Matrices, found: Sequence[Ordering]) -> pd.DataFrame:
    """Return whether each ordering holds, one row per ordering, direction and layers.

    Columns: claim, source, near, far, stand_in, direction (`from`: the source's features are looked for in the others,
    `to`: theirs in the source), layers, then for naive, calibrated and crossfit the value in near and in far and their
    difference (NAME_near, NAME_far, NAME_difference), low and high of the cross-fitted difference (95 %, draw by draw),
    holds (`yes`: the interval lies above 0, `no`: below, `undecided`).
    """
    rows = []
    for ordering in found:
        for direction in ("from", "to"):
            keys = [
                (ordering.source, other) if direction == "from" else (other, ordering.source)
                for other in (ordering.near, ordering.far)
            ]
            if not all(key in matrices for key in keys):
                continue
            for layers in (ALL, LAST):
                near, far = (value_of(matrices[key], layers) for key in keys)
                low, high = near.minus(far).interval
                row: dict[str, Any] = {**ordering._asdict(), "direction": direction, "layers": layers}
                for name in ("naive", "calibrated", "crossfit"):
                    values = getattr(near, name), getattr(far, name)
                    row |= {f"{name}_near": values[0], f"{name}_far": values[1],
                            f"{name}_difference": values[0] - values[1]}  # fmt: skip
                holds = "yes" if low > 0 else "no" if high < 0 else "undecided"
                rows.append({**row, "low": low, "high": high, "holds": holds})
    return pd.DataFrame(rows)


def _mean(matrices: Matrices, layers: str) -> Value:
    return mean_value([value_of(item, layers) for item in matrices.values()])


def _relation(cards: Mapping[str, EncoderCard], key: tuple[str, str]) -> str:
    return relation(cards[key[0]], cards[key[1]])


def _row(
    published: Published,
    layers: str,
    used: Sequence[tuple[str, str]],
    value: Value,
    material: Material,
    cards: Mapping[str, EncoderCard],
) -> dict[str, Any]:
    names = list(dict.fromkeys(name for key in used for name in key))
    same = comparable(
        published.claim, material.plan.suite.dataset, [cards[name] for name in names], list(cards.values())
    )
    who = f"{names[0]} to {names[1]}" if len(used) == 1 and len(names) == 2 else ", ".join(names)
    return {
        "claim": published.claim, "what": published.what, "printed": published.printed, "place": published.place,
        **dict(zip(("above_chance_low", "above_chance_high"), published.above_chance(), strict=True)),
        "layers": layers, "encoders": who, **agreement(published, value, same),
    }  # fmt: skip


def agreement(published: Published, value: Value, same: bool) -> dict[str, Any]:
    """Return the columns of `published_table` from `ours` on; same: whether it is of the same encoders and data."""
    low, high = value.interval
    # The cross-fitted interval moved to the naive value; a value without draws is exact.
    ends = (value.naive + low - value.crossfit, value.naive + high - value.crossfit)
    ends = ends if np.isfinite(ends).all() else (value.naive, value.naive)
    meets = bool(ends[0] - ROUNDING <= published.high and published.low <= ends[1] + ROUNDING)
    direction = ""
    if published.claim.endswith("_change"):
        direction = "undecided" if low <= 0 <= high else "same" if (low > 0) == (published.low > 0) else "opposite"
    return {
        "ours": value.naive, "low": ends[0], "high": ends[1],
        "chance": value.chance, "crossfit": value.crossfit, "crossfit_low": low, "crossfit_high": high,
        "comparable": same, "agrees": ("yes" if meets else "no") if same else "not comparable",
        "direction": direction,
    }  # fmt: skip
