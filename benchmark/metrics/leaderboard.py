"""The leaderboard: how much an encoder shares with each class of encoders, with intervals and groups of equals.

All figures rest on the cross-fitted value. Intervals resample seeds of every encoder and groups of samples jointly for
all pairs, so a difference between two encoders has an interval too.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import erfc, sqrt
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

CLASSES = ("text", "vision", "vlm")
LEVEL = 0.05
"""Error rate, over all pairs of encoders together, of the groups of equals."""
Floats = NDArray[np.float64]
Drawn = Mapping[tuple, Floats]
"""(sample set, aggregate, (source, seed), (target, seed)) -> resampled cross-fitted values (R,)."""


def leaderboard(table: pd.DataFrame, draws: Drawn, kinds: Mapping[str, str], seed: int = 0) -> pd.DataFrame:
    """Return the leaderboard of a comparison, tidy: one row per sample set, aggregate, encoder, seed and column.

    Args:
        table: one row per sample set, aggregate, source, target and their seeds, with the value in `crossfit`; an
            encoder is compared with itself only across seeds.
        draws: of each row, resampled values; draw r resamples the same groups of samples in all rows.
        kinds: encoder -> text | vision | vlm.
        seed: of the resampling of seeds.

    Returns:
        Columns recorded_on, aggregate, encoder, seed ("": all of them), column (a key of `metrics.describe.BOARD`),
        value, low, high (95 %) and group, see `groups_of_equals` ("" for single seeds).
    """
    parts = []
    for key, part in table.groupby(["recorded_on", "aggregate"], sort=False):
        name, aggregate = cast(tuple[str, str], key)
        board = _board(part, draws, kinds, np.random.default_rng(seed))
        board.insert(0, "recorded_on", name)
        board.insert(1, "aggregate", aggregate)
        parts.append(board)
    return pd.concat(parts, ignore_index=True)


def _board(part: pd.DataFrame, draws: Drawn, kinds: Mapping[str, str], rng: np.random.Generator) -> pd.DataFrame:
    encoders = list(dict.fromkeys([*part.source, *part.target]))
    seeds = {name: sorted({*part.source_seed[part.source == name], *part.target_seed[part.target == name]})
             for name in encoders}  # fmt: skip
    blocks = _blocks(part, draws, seeds)
    resamples = next(iter(blocks.values()))[1].shape[-1]
    weights = {name: _seed_weights(len(found), resamples, rng) for name, found in seeds.items()}
    whole = {name: np.full((1, len(found)), 1 / len(found)) for name, found in seeds.items()}

    def cells(values: int, left: Mapping[str, Floats], right: Mapping[str, Floats]) -> dict[tuple[str, str], Floats]:
        return {pair: _mean(block[values], left[pair[0]], right[pair[1]]) for pair, block in blocks.items()}

    rows, drawn = [], {}
    point, spread = cells(0, whole, whole), cells(1, weights, weights)
    for name in encoders:
        for column, value, sampled in _figures(name, encoders, kinds, point, spread):
            drawn[column, name] = value, sampled
            rows.append(_row(name, "", column, value, sampled))
    for name in encoders:
        for i, one in enumerate(seeds[name]):
            alone = {name: np.eye(len(seeds[name]))[i : i + 1]}
            fixed = {name: np.repeat(alone[name], resamples, 0)}
            point = cells(0, whole | alone, whole) | _into(cells(0, whole, whole | alone), name)
            spread = cells(1, weights | fixed, weights) | _into(cells(1, weights, weights | fixed), name)
            for column, value, sampled in _figures(name, encoders, kinds, point, spread):
                rows.append(_row(name, str(one), column, value, sampled))
    board = pd.DataFrame(rows)
    board["group"] = ""
    for column in board.column.unique():
        having = [name for name in encoders if (column, name) in drawn]
        found = groups_of_equals(
            [drawn[column, name][0] for name in having], np.stack([drawn[column, name][1] for name in having])
        )
        for name, text in zip(having, found, strict=True):
            board.loc[(board.column == column) & (board.encoder == name) & (board.seed == ""), "group"] = text
    return board


def _into(cells: Mapping[tuple[str, str], Floats], name: str) -> dict[tuple[str, str], Floats]:
    """Return the cells from others to an encoder: of its own, both sides cannot be one seed."""
    return {pair: value for pair, value in cells.items() if pair[1] == name and pair[0] != name}


def _blocks(
    part: pd.DataFrame, draws: Drawn, seeds: Mapping[str, Sequence[int]]
) -> dict[tuple[str, str], tuple[Floats, Floats]]:
    """Return of each pair the values (S, T, 1) and draws (S, T, R) by seeds of source and target, NaN where absent."""
    found: dict[tuple[str, str], tuple[Floats, Floats]] = {}
    for row in part.to_dict("records"):
        source, target = (row["source"], row["source_seed"]), (row["target"], row["target_seed"])
        drawn, pair = draws[row["recorded_on"], row["aggregate"], source, target], (row["source"], row["target"])
        if pair not in found:
            shape = len(seeds[pair[0]]), len(seeds[pair[1]])
            found[pair] = np.full((*shape, 1), np.nan), np.full((*shape, len(drawn)), np.nan)
        place = seeds[pair[0]].index(source[1]), seeds[pair[1]].index(target[1])
        found[pair][0][place], found[pair][1][place] = row["crossfit"], drawn
    return found


def _seed_weights(count: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Return how often each seed is drawn, as a share: (R, S)."""
    return rng.multinomial(count, np.full(count, 1 / count), resamples) / count


def _mean(block: Floats, left: Floats, right: Floats) -> Floats:
    """Return the weighted mean (R,) over seeds of a block (S, T, R); NaN where no pair of drawn seeds has a value."""
    there = ~np.isnan(block)
    weight = np.einsum("rs,rt,str->r", left, right, there.astype(float))
    total = np.einsum("rs,rt,str->r", left, right, np.where(there, block, 0.0))
    return np.divide(total, weight, out=np.full(len(total), np.nan), where=weight > 0)


def _figures(
    name: str,
    encoders: Sequence[str],
    kinds: Mapping[str, str],
    point: Mapping[tuple[str, str], Floats],
    spread: Mapping[tuple[str, str], Floats],
) -> Iterator[tuple[str, float, Floats]]:
    """Yield column, value and draws of an encoder; columns that nothing was compared for are left out."""

    def mean(pairs: Sequence[tuple[str, str]]) -> tuple[float, Floats] | None:
        known = [pair for pair in pairs if pair in point]
        if not known:
            return None
        return float(np.mean([point[pair][0] for pair in known])), np.mean([spread[pair] for pair in known], axis=0)

    others = [other for other in encoders if other != name]
    out, into = mean([(name, other) for other in others]), mean([(other, name) for other in others])
    wanted = {
        **{f"share_{kind}": mean([(name, other) for other in others if kinds.get(other) == kind]) for kind in CLASSES},
        "share": out, "found": into,
        "asymmetry": (out[0] - into[0], out[1] - into[1]) if out and into else None,
        "stability": mean([(name, name)]),
    }  # fmt: skip
    for column, found in wanted.items():
        if found is not None:
            yield column, *found


def _row(encoder: str, seed: str, column: str, value: float, draws: Floats) -> dict[str, object]:
    known = draws[~np.isnan(draws)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return {"encoder": encoder, "seed": seed, "column": column, "value": value, "low": low, "high": high}


def groups_of_equals(values: ArrayLike, draws: ArrayLike) -> list[str]:
    """Return the groups of values (n,), "1 2" for one in the first and second: two differ unless they share a group.

    draws (n, R) are joint resamples of them. A difference is judged by its standard deviation over draws (two-sided
    normal), at `LEVEL` over all pairs by Holm's method; the groups are those of the compact letter display (Piepho
    2004, insert and absorb), the highest values first. NaN values get "".
    """
    value, drawn = np.asarray(values, np.float64), np.asarray(draws, np.float64)
    order = [int(i) for i in np.argsort(-value, kind="stable") if np.isfinite(value[i])]
    pairs = list(combinations(order, 2))
    p = np.array([_p_value(value[i] - value[j], drawn[i] - drawn[j]) for i, j in pairs])
    sets = [set(order)] if order else []
    for rank, index in enumerate(np.argsort(p, kind="stable")):
        if p[index] > LEVEL / (len(pairs) - rank):
            break
        i, j = pairs[index]
        split = [part - {one} for part in sets if {i, j} <= part for one in (i, j)]
        kept = [part for part in sets if not {i, j} <= part]
        for part in sorted(split, key=len, reverse=True):
            if part and not any(part <= other for other in kept):
                kept.append(part)
        sets = kept
    place = {index: rank for rank, index in enumerate(order)}
    sets.sort(key=lambda part: sorted(place[i] for i in part))
    return [" ".join(str(k + 1) for k, part in enumerate(sets) if i in part) for i in range(len(value))]


def _p_value(difference: float, draws: Floats) -> float:
    """Return the two-sided p-value of a difference whose draws scatter around it as it scatters around the truth."""
    known = draws[~np.isnan(draws)]
    deviation = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    if deviation == 0:
        return 1.0 if difference == 0 else 0.0
    return erfc(abs(difference) / deviation / sqrt(2))
