"""How every cell of the wMPPC matrix changes from the plain data to each variant."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.jobs.drift_rows import Compared
from benchmark.jobs.matrix import Draws, compare_pairs
from benchmark.jobs.memory import memory_budget
from benchmark.metrics.drift import Change, change_between, freedom, judge

SET = "matched"
"""What the sample set is called."""


class Pairs(NamedTuple):
    """All pairs of seeds of one dataset."""

    table: pd.DataFrame
    draws: Mapping[tuple, Draws]


def matrices(compared: Sequence[Compared], encoders: Sequence[str]) -> dict[str, Pairs]:
    """Return the comparison of all encoders and seeds on each dataset, by the dataset's name."""
    found = {}
    for each in compared:
        suite = replace(each.material.plan.suite, untrained=False, paper_code=False)
        sides = {side: recorded for side, recorded in each.material.sides.items() if side[0] in encoders}
        found[each.name] = Pairs(*compare_pairs(suite, sides, {SET: each.rows}, budget=memory_budget("cpu")))
    return found


def changed_cells(pairs: Mapping[str, Pairs], compared: Sequence[Compared], encoders: Sequence[str]) -> pd.DataFrame:
    """Return one row per variant, aggregate, source and target.

    Columns: variant, aggregate, source, target, own (an encoder against itself under another seed), plain and value
    (cross-fitted wMPPC on either, means over pairs of seeds), change, low, high (95 %), error, p_value, q_value (over
    all tests of the table), fixed (nothing that was measured differs, as of text encoders when images change), moved
    (q_value up to 0.05), plain_chance, chance (levels of the naive value), n_samples, n_common (samples in both).

    The null: the cell is the same on both datasets, and seeds and samples make the difference; see metrics.drift. Noise
    of seeds is pooled over all cells of two encoders, and over those of an encoder with itself (from three seeds on).
    """
    plain, first = pairs[compared[0].name], compared[0]
    rows, found, kinds = [], [], []
    modality = {name: card.modality for name, card in first.material.encoders.items()}
    for other in compared[1:]:
        there = pairs[other.name]
        common, same = len(set(first.ids) & set(other.ids)), unchanged(first, other)
        for (aggregate, source, target), part in plain.table.groupby(["aggregate", "source", "target"], sort=False):
            key = (str(aggregate), str(source), str(target))
            one, drawn = _cell(plain, key)
            two, drawn_there = _cell(there, key)
            change = change_between(one, two, drawn_there - drawn, own=source == target)
            if {modality[str(source)], modality[str(target)]} <= same:  # training again differs by rounding
                change = change._replace(fixed=True)
            again = there.table[(there.table["aggregate"] == aggregate) & (there.table.source == source)
                                & (there.table.target == target)]  # fmt: skip
            found.append(change)
            kinds.append(f"{aggregate} {'own' if source == target else 'other'}")
            rows.append({
                "variant": other.name, "aggregate": aggregate, "source": source, "target": target,
                "own": source == target, "plain": float(np.nanmean(one)), "value": float(np.nanmean(two)),
                "plain_chance": part.chance.mean(), "chance": again.chance.mean(),
                "n_samples": len(other.rows), "n_common": common,
            })  # fmt: skip
    n_seeds = len(set(plain.table.source_seed))
    degrees = freedom(len(encoders), n_seeds, len(compared) - 1)
    return judged_table(pd.DataFrame(rows), found, kinds, dict.fromkeys(kinds, degrees))


def unchanged(one: Compared, other: Compared) -> set[str]:
    """Return which modalities of two datasets hold the very same: all samples, and their captions or all of them."""
    a, b = one.material.dataset, other.material.dataset
    if a.fingerprint != b.fingerprint:
        return set()
    if a.content_hash == b.content_hash:
        return {"image", "text"}
    return {"text"} if a.has_captions and b.has_captions and a.captions() == b.captions() else set()


def judged_table(table: pd.DataFrame, found: list[Change], kinds: list[str], degrees: dict[str, float]) -> pd.DataFrame:
    """Return the table with what became of its changes: change, low, high, error, p_value, q_value, fixed, moved."""
    judged = judge(found, kinds, degrees)
    change = np.array([each.change for each in found])
    return table.assign(
        change=change, low=change - judged.half_width, high=change + judged.half_width, error=judged.error,
        p_value=judged.p_value, q_value=judged.q_value, fixed=[each.fixed for each in found],
        moved=judged.q_value <= 0.05,
    )  # fmt: skip


def _cell(pairs: Pairs, key: tuple[str, str, str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the cross-fitted values (S, T) of a cell and the resampled ones (R, S, T), NaN where there are none."""
    aggregate, source, target = key
    table = pairs.table
    part = table[(table["aggregate"] == aggregate) & (table.source == source) & (table.target == target)]
    seeds = sorted(set(table.source_seed) | set(table.target_seed))
    values, drawn = np.full((len(seeds), len(seeds)), np.nan), None
    for row in part.to_dict("records"):
        s, t = row["source_seed"], row["target_seed"]
        draws = pairs.draws[SET, aggregate, (source, s), (target, t)]
        if drawn is None:
            drawn = np.full((len(draws), len(seeds), len(seeds)), np.nan)
        values[seeds.index(s), seeds.index(t)] = row["crossfit"]
        drawn[:, seeds.index(s), seeds.index(t)] = draws
    assert drawn is not None  # every cell of the table has a row
    return values, drawn
