"""The tables of a report, whatever they are written as: rows of texts, in blocks, under grouped columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd

from benchmark.metrics.describe import EXTRAS, MEASURES
from benchmark.report import counted
from benchmark.reporting.content import AGGREGATES, KINDS, SETS, Comparison, Part, titles

NONE = "–"
DEVIATION = (
    "±: standard deviation over pairs of seeds, which are not independent where they share a seed. "
    "Diagonal: the encoder against itself under another seed, the ceiling."
)
DIRECTION = "Sources, whose features are looked for, in rows; targets, where they are looked for, in columns."


@dataclass(frozen=True)
class Cell:
    """A figure, and its spread."""

    text: str
    spread: str = ""


@dataclass(frozen=True)
class Table:
    """A table of texts.

    `heads` are titles over several columns, (title, columns) from left to right, which cover all columns; `blocks` are
    (title, rows); the first `stubs` columns name a row.
    """

    title: str
    columns: Sequence[str]
    blocks: Sequence[tuple[str, Sequence[Sequence[Cell]]]]
    heads: Sequence[tuple[str, int]] = ()
    stubs: int = 1
    notes: Sequence[str] = ()
    square: bool = False
    """Encoders in rows and columns: names of columns are long and figures short."""


def matrix_table(comparisons: Sequence[Comparison], aggregate: str, measure: str) -> Table:
    """Return the paper's layout: sources in rows, targets in columns, one block of rows for each comparison.

    The columns are the encoders of all comparisons; those that a comparison lacks are empty in its block.
    """
    kinds = _all_kinds(comparisons)
    used = [(name, item) for name, item in zip(titles(comparisons), comparisons, strict=True)
            if aggregate in item.aggregates and measure in item.measures()]  # fmt: skip
    blocks = []
    for name, item in used:
        part = item.part(aggregate)
        rows = [
            [Cell(source), *(_value(part, (source, target), measure, item.digits) for target in kinds)]
            for source in item.encoders
        ]
        blocks.append((f"{name} ({_samples(item)})", rows))
    title, sentence = {**MEASURES, **EXTRAS}[measure]
    heads = [("", 1), *((kind, len(list(group))) for kind, group in groupby(kinds.values()))]
    return Table(
        f"{title}: {AGGREGATES[aggregate].lower()}", ["source", *kinds], blocks, heads,
        notes=[sentence, DIRECTION, DEVIATION], square=True,
    )  # fmt: skip


def pairs_table(item: Comparison, aggregate: str, recorded_on: str) -> Table:
    """Return both directions of every pair of encoders side by side, with all that tells sharing from chance."""
    part = item.part(aggregate, recorded_on)
    shown = {"crossfit": "cross-fitted", "": "95 % interval", "naive": "naive", "chance": "chance",
             "calibrated": "calibrated"}  # fmt: skip

    def direction(a: str, b: str) -> list[Cell]:
        return [
            _value(part, (a, b), measure, item.digits) if measure else _interval(part, (a, b), item.digits)
            for measure in shown
        ]

    def known(a: str, b: str) -> bool:
        return (a, b) in part or (b, a) in part

    names = item.encoders
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if known(a, b)]
    own = [name for name in names if (name, name) in part]
    blocks = [("", [[Cell(a), Cell(b), *direction(a, b), *direction(b, a)] for a, b in pairs])]
    if own:
        empty = [Cell("")] * len(shown)
        blocks.append(("the same encoder under another seed (ceiling)",
                       [[Cell(name), Cell(name), *direction(name, name), *empty] for name in own]))  # fmt: skip
    return Table(
        f"Pairs, both directions: {AGGREGATES[aggregate].lower()}, {SETS.get(recorded_on, recorded_on)}",
        ["A", "B", *shown.values(), *shown.values()], blocks,
        heads=[("", 2), ("A → B", len(shown)), ("B → A", len(shown))], stubs=2,
        notes=["A → B: how much of A is found again in B. ±: standard deviation over pairs of seeds. The interval "
               "resamples groups of samples and seeds."],
    )  # fmt: skip


def side_by_side(comparisons: Sequence[Comparison], aggregate: str) -> Table:
    """Return the values of every source and target with one group of columns for each comparison."""
    kinds = _all_kinds(comparisons)
    measures = {"crossfit": "cross-fitted", "calibrated": "calibrated", "naive": "naive", "chance": "chance"}
    used = [(name, item, item.part(aggregate)) for name, item in zip(titles(comparisons), comparisons, strict=True)
            if aggregate in item.aggregates]  # fmt: skip
    blocks = []
    for source in kinds:
        rows = [
            [Cell(source), Cell(target),
             *(_value(part, (source, target), measure, item.digits) for _, item, part in used for measure in measures)]
            for target in kinds if any((source, target) in part for *_, part in used)
        ]  # fmt: skip
        if rows:
            blocks.append(("", rows))
    return Table(
        f"Suites side by side: {AGGREGATES[aggregate].lower()}",
        ["source", "target", *(title for _ in used for title in measures.values())], blocks,
        heads=[("", 2), *((f"{name} ({_samples(item)})", len(measures)) for name, item, _ in used)], stubs=2,
        notes=["Naive values and chance levels fall with the number of samples: compare datasets by the cross-fitted "
               "values, at equal numbers of samples. ±: standard deviation over pairs of seeds."],
    )  # fmt: skip


def kinds_table(comparisons: Sequence[Comparison], aggregate: str) -> Table:
    """Return the mean cross-fitted value between classes of encoders, over pairs of different encoders."""
    present = [kind for kind in KINDS if any(kind in item.kinds.values() for item in comparisons)]
    blocks = []
    for name, item in zip(titles(comparisons), comparisons, strict=True):
        if aggregate not in item.aggregates:
            continue
        groups: dict[tuple[str, str], list[float]] = {}
        for (source, target), row in item.part(aggregate).items():
            if source != target:
                groups.setdefault((item.kinds[source], item.kinds[target]), []).append(row["crossfit"])
        rows = [
            [Cell(source), *(
                Cell(_number(float(np.mean(found)), item.digits), counted(len(found), "pair"))
                if (found := groups.get((source, target))) else Cell(NONE)
                for target in present
            )]
            for source in present if source in item.kinds.values()
        ]  # fmt: skip
        blocks.append((f"{name} ({_samples(item)})", rows))
    return Table(
        f"Classes of encoders, cross-fitted: {AGGREGATES[aggregate].lower()}", ["source", *present], blocks,
        notes=["Means over the pairs of different encoders of two classes, and how many they are."],
    )  # fmt: skip


def sae_table(item: Comparison) -> Table:
    """Return what the SAEs of every encoder are and how good, as means over layers and seeds."""
    rows = []
    for encoder in item.encoders:
        part = item.saes[item.saes.encoder == encoder]
        if part.empty:
            continue
        layers = sorted(set(part.layer))
        rows.append([
            Cell(encoder), Cell(item.kinds[encoder]),
            Cell(str(layers[0]) if len(layers) == 1 else f"{layers[0]} to {layers[-1]} ({len(layers)})"),
            Cell(str(part.seed.nunique())), Cell(_range(part.n_latents)), Cell(_range(part.k)),
            *(Cell(f"{part[name].mean():.3f}", _spread(part[name], 3)) for name in ("fvu", "dead")),
        ])  # fmt: skip
    return Table(
        "Sparse autoencoders", ["encoder", "class", "layers", "seeds", "features", "k", "FVU", "dead share"],
        [("", rows)], stubs=2,
        notes=["FVU: fraction of variance unexplained (0 is perfect). Dead: active on no sample. Means over layers and "
               "seeds; ±: their standard deviation."],
    )  # fmt: skip


def _all_kinds(comparisons: Sequence[Comparison]) -> dict[str, str]:
    """Return the encoders of all comparisons with their classes, class after class."""
    found: dict[str, str] = {}
    for item in comparisons:
        found = {**item.kinds, **found}
    place = {kind: i for i, kind in enumerate(KINDS)}
    return dict(sorted(found.items(), key=lambda pair: place.get(pair[1], len(KINDS))))


def _samples(item: Comparison) -> str:
    name = item.sets[0]
    n = item.cells[item.cells.recorded_on == name].n_samples.iloc[0]
    return f"{n:,} {SETS.get(name, name)}"


def _value(part: Part, key: tuple[str, str], measure: str, digits: int) -> Cell:
    """Return one figure with its standard deviation over pairs of seeds."""
    if key not in part:
        return Cell(NONE)
    row = part[key]
    spread = row.get(f"{measure}_sd", np.nan)
    return Cell(_number(row[measure], digits), "" if np.isnan(spread) else f"±{spread:.3f}")


def _interval(part: Part, key: tuple[str, str], digits: int) -> Cell:
    if key not in part:
        return Cell(NONE)
    low, high = (_number(part[key][end], digits) for end in ("low", "high"))
    return Cell(f"{low} to {high}")


def _number(value: float, digits: int) -> str:
    if np.isnan(value):
        return NONE
    text = f"{value:.{digits}f}"
    return text.replace("-", "", 1) if float(text) == 0 else text.replace("-", "−")


def _spread(values: pd.Series, digits: int) -> str:
    return f"±{values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
