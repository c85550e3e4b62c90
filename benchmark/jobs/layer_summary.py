"""What matrices of layers come to: a row for each pair of encoders, where their mass lies, how diagonal they are."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.catalog import EncoderCard
from benchmark.jobs.encoder_pairs import CROSS, RELATIONS, TOWERS, relation
from benchmark.jobs.layer_pairs import LayerMatrices, calibrated
from benchmark.metrics.concentration import AXES, Diagonal, late_cells, maximum_within, share_within

Array = NDArray[np.float64]
Matrices = Mapping[tuple[str, str], LayerMatrices]
MIDDLE = 0.5
"""Depth that parts early from late layers."""
MEASURES = ("on", "off", "contrast", "share", "hits")


def pair_table(matrices: Matrices, cards: Mapping[str, EncoderCard]) -> pd.DataFrame:
    """Return one row per source and target.

    Columns: source, target, relation (see `encoder_pairs.RELATIONS`), all_layers with all_low and all_high (the
    cross-fitted value of all layers together, 95 %), last, last_low, last_high (deepest layer against deepest),
    difference, difference_low, difference_high (last minus all layers, draw by draw), naive_all, chance_all,
    calibrated_all, naive_last, chance_last, calibrated_last, source_layer and target_layer of the highest cross-fitted
    cell, highest (its value), seed_pairs, n_samples, n_groups.
    """
    rows = []
    for (source, target), found in matrices.items():
        whole, last = found.drawn("overall"), found.drawn("cells")[:, -1, -1]
        cells, naive, chance = found.cells, found.naive, found.null("cell_null")
        chance_all = found.null("overall_null")
        a, b = np.unravel_index(int(cells.argmax()), cells.shape)
        row: dict[str, Any] = {
            "source": source, "target": target, "relation": relation(cards[source], cards[target]),
            **_with_interval("all_layers", "all", found.overall, whole),
            **_with_interval("last", "last", float(cells[-1, -1]), last),
            **_with_interval("difference", "difference", float(cells[-1, -1]) - found.overall, last - whole),
            "naive_all": found.naive_overall, "chance_all": float(chance_all),
            "calibrated_all": float(calibrated(np.array(found.naive_overall), chance_all)),
            "naive_last": float(naive[-1, -1]), "chance_last": float(chance[-1, -1]),
            "calibrated_last": float(calibrated(naive, chance)[-1, -1]),
            "source_layer": found.source_layers[a], "target_layer": found.target_layers[b],
            "highest": float(cells[a, b]),
            "seed_pairs": len(found.fits), "n_samples": found.n_samples, "n_groups": found.n_groups,
        }  # fmt: skip
        rows.append(row)
    return pd.DataFrame(rows)


def concentration_table(matrices: Matrices, cards: Mapping[str, EncoderCard]) -> pd.DataFrame:
    """Return how much of every image-text matrix lies in the last quarter of the layers, and means over relations.

    One row per source, target (empty for means over all pairs of a relation), what and axis. Columns: source, target,
    relation, what, axis (the last quarter of the source's layers, of the target's, or of both), value, low and high
    (95 %), flat (the share that a flat matrix gives: of the cells), chance (the same share of shuffled naive values).
    what: `cells` (share of the sum of the cross-fitted cells), `parts` (share of the cross-fitted value of all layers
    together that is due to these source layers and to partners in these target layers), `maximum` (share of the
    resampled matrices whose highest cell is there; it has no interval).
    """
    rows: list[dict[str, Any]] = []
    drawn: dict[tuple[str, str, str], list[tuple[dict[str, Any], Array]]] = {}
    for (source, target), found in matrices.items():
        related = relation(cards[source], cards[target])
        if related not in (TOWERS, CROSS):
            continue
        values = {"cells": (found.cells, "cell_null"), "parts": (found.parts, "part_null")}
        for axis in AXES:
            chosen = late_cells(*found.depths, axis)
            here = {"source": source, "target": target, "relation": related, "axis": axis}
            flat = float(chosen.mean())
            for what, (value, null) in values.items():
                draws = share_within(found.drawn(what), chosen)
                row = {
                    **here, "what": what, **_interval(float(share_within(value, chosen)), draws),
                    "flat": flat, "chance": float(share_within(found.null(null), chosen)),
                }  # fmt: skip
                rows.append(row)
                drawn.setdefault((related, what, axis), []).append((row, draws))
            inside = float(maximum_within(found.drawn("cells"), chosen).mean())
            rows.append({**here, "what": "maximum", "value": inside, "low": np.nan, "high": np.nan, "flat": flat,
                         "chance": np.nan})  # fmt: skip
    for (related, what, side), members in drawn.items():
        mean = {name: float(np.mean([row[name] for row, _ in members])) for name in ("value", "flat", "chance")}
        interval = _interval(mean["value"], np.mean([draws for _, draws in members], axis=0))
        rows.append({"source": "", "target": "", "relation": related, "axis": side, "what": what, **mean, **interval})
    columns = ["source", "target", "relation", "what", "axis", "value", "low", "high", "flat", "chance"]
    return pd.DataFrame(rows, columns=columns)


def diagonal_table(matrices: Matrices) -> pd.DataFrame:
    """Return how far each encoder's layers find themselves, and not other layers, under another seed.

    One row per encoder, rows and measure. Columns: encoder, rows (`all`, `early`: layers of depth below 0.5, `late`:
    the others, `late - early`), measure, value, low and high (95 %), flat (what a flat matrix gives). measure: `on` and
    `off` (mean cross-fitted value on and off the diagonal), `contrast` (their difference), `share` (mean over source
    layers of the diagonal's share of the row), `hits` (share of source layers whose best target layer is the same).
    """
    out = []
    for (encoder, _), found in ((key, item) for key, item in matrices.items() if item.own):
        depth = found.depths[0]
        if len(depth) < 2:
            continue
        chosen = {"all": np.ones(len(depth), bool), "early": depth < MIDDLE, "late": depth >= MIDDLE}
        values = {name: _diagonal(found.cells, rows) for name, rows in chosen.items()}
        draws = {name: _diagonal(found.drawn("cells"), rows) for name, rows in chosen.items()}
        for part in (values, draws):
            part["late - early"] = {name: part["late"][name] - part["early"][name] for name in MEASURES}
        for name, measures in values.items():
            for measure in MEASURES:
                flat = {"contrast": 0.0, "share": 1 / len(depth), "hits": 1 / len(depth)}.get(measure, np.nan)
                out.append({
                    "encoder": encoder, "rows": name, "measure": measure,
                    **_interval(float(measures[measure]), draws[name][measure]),
                    "flat": (np.nan if measure in ("on", "off") else 0.0) if name == "late - early" else flat,
                })  # fmt: skip
    return pd.DataFrame(out, columns=["encoder", "rows", "measure", "value", "low", "high", "flat"])


def verdict(row: Mapping[Any, Any]) -> str:
    """Return whether a share lies above what flat and shuffled matrices give, below, or neither, by its interval."""
    levels = [level for level in (row["flat"], row["chance"]) if np.isfinite(level)]
    if row["low"] > max(levels):
        return "more than"
    return "less than" if row["high"] < min(levels) else "not clearly more or less than"


def concentration_sentences(table: pd.DataFrame) -> Iterable[str]:
    """Yield where cross-modal alignment lies, one sentence per relation, from the means of `concentration_table`."""
    means = table[(table.source == "") & (table.axis == "target") & (table.what == "parts")]
    for row in means.to_dict("records"):
        yield (
            f"{RELATIONS[row['relation']].capitalize()}: {row['value']:.0%} ({row['low']:.0%} to {row['high']:.0%}) of "
            f"the cross-fitted value of all layers comes from partners in the last quarter of the target's layers, "
            f"{verdict(row)} chance ({row['chance']:.0%}) and a flat matrix ({row['flat']:.0%}) give."
        )


def diagonal_sentences(table: pd.DataFrame) -> Iterable[str]:
    """Yield how diagonal the matrix of each encoder with itself is, early against late, from `diagonal_table`."""
    for encoder, part in table.groupby("encoder", sort=False):
        rows = {(row["rows"], row["measure"]): row for row in part.to_dict("records")}
        early, late, change = (rows[name, "contrast"] for name in ("early", "late", "late - early"))
        hits = rows["all", "hits"]
        yield (
            f"{encoder} with itself: {hits['value']:.0%} of its layers find themselves (chance {hits['flat']:.0%}); "
            f"the diagonal is above the other cells by {early['value']:.3f} in early and {late['value']:.3f} in late "
            f"layers (difference {change['value']:+.3f}, 95 % {change['low']:+.3f} to {change['high']:+.3f})."
        )


def _diagonal(values: Array, rows: NDArray[np.bool_]) -> dict[str, Array]:
    found = Diagonal(values, rows)
    return {"on": found.on(), "off": found.off(), "contrast": found.on() - found.off(), "share": found.share(),
            "hits": found.hits()}  # fmt: skip


def _interval(value: float, draws: Array) -> dict[str, float]:
    low, high = np.nanquantile(draws, [0.025, 0.975]) if np.isfinite(draws).any() else (np.nan, np.nan)
    return {"value": value, "low": float(low), "high": float(high)}


def _with_interval(name: str, stem: str, value: float, draws: Array) -> dict[str, float]:
    found = _interval(value, draws)
    return {name: value, f"{stem}_low": found["low"], f"{stem}_high": found["high"]}
