"""What a report shows: finished comparisons, with the spread over pairs of seeds, and examples of shared features."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from benchmark.metrics.caveats import caveats, decimals
from benchmark.metrics.describe import EXTRAS, MEASURES

KINDS = ("vision", "vlm image", "vlm text", "text")
"""Classes of encoders in the paper's order; towers of one vision-language model are two encoders."""
AGGREGATES = {"layer_mean": "All layers", "last": "Last layer"}
SETS = {"heldout": "held-out samples", "train": "training samples", "all": "all samples"}
CELL = ["recorded_on", "aggregate", "source", "target"]
"""What tells the cells of a comparison apart."""
NEEDED = {
    "cells": {*CELL, "n_samples", "n_groups", "seed_pairs", *MEASURES, "low", "high"},
    "matrix": {*CELL, "source_seed", "target_seed", *MEASURES},
    "saes": {"encoder", "kind", "modality", "layer", "seed", "n_latents", "k", "fvu", "dead", "run_id"},
}
"""Columns that a report needs of a compare run's tables."""


Part = dict[tuple[str, str], dict[Hashable, Any]]
"""Cells of one aggregate and sample set: (source, target) -> column -> value."""


@dataclass(frozen=True)
class Example:
    """A sample that activates a feature."""

    caption: str
    """Untrusted text."""
    jpeg: bytes | None
    """Thumbnail of its image."""


@dataclass(frozen=True)
class Concept:
    """A feature of one encoder and its partner in another, with the samples that activate each most."""

    source: str
    target: str
    layer: int
    feature: int
    partner_layer: int
    partner: int
    held_out_rho: float
    density: float
    """Share of the samples on which the feature is active."""
    examples: Sequence[Example]
    partner_examples: Sequence[Example]
    name: str = ""
    """What the command `name` called the feature, "" without a name. Untrusted text: words of captions."""
    partner_name: str = ""


@dataclass(frozen=True)
class Health:
    """A finished health run of the same suite and dataset."""

    run_id: str
    date: str
    checks: pd.DataFrame
    """Its table `health`: check, subject, status, value, limit, where, sentence, advice."""


@dataclass(frozen=True)
class Comparison:
    """A finished compare run."""

    run_id: str
    suite: str
    dataset: str
    date: str
    cells: pd.DataFrame
    """Its cells, with the standard deviation of each measure over pairs of seeds as `MEASURE_sd` (NaN for one pair)."""
    saes: pd.DataFrame
    """One row per SAE."""
    settings: Mapping[str, str] = field(default_factory=dict)
    concepts: Sequence[Concept] = ()
    signatures: Sequence[str] = ()
    """Sentences about its failure signatures."""
    health: Health | None = None

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Class of each encoder (one of `KINDS`), in the order of the classes and within them as compared."""
        rows = self.saes.drop_duplicates("encoder")
        found = {
            str(row["encoder"]): f"vlm {row['modality']}" if row["kind"] == "vlm" else str(row["kind"])
            for row in rows.to_dict("records")
        }
        compared = dict.fromkeys([*self.cells.source, *self.cells.target])
        known = {name: found.get(name, "") for name in compared}
        place = {kind: i for i, kind in enumerate(KINDS)}
        return dict(sorted(known.items(), key=lambda item: place.get(item[1], len(KINDS))))

    @property
    def encoders(self) -> list[str]:
        """Names of the encoders, class after class."""
        return list(self.kinds)

    @property
    def aggregates(self) -> list[str]:
        """How layers were joined, the widest first."""
        return [name for name in AGGREGATES if name in set(self.cells["aggregate"])]

    @property
    def sets(self) -> list[str]:
        """Sample sets that were compared, the one of the headline first."""
        return [str(name) for name in self.cells.recorded_on.unique()]

    def measures(self) -> dict[str, str]:
        """Return column -> title of the measures that it took, the headline first."""
        known = {**MEASURES, **EXTRAS}
        taken = self.cells.columns[self.cells.notna().any()]
        return {name: title for name, (title, _) in known.items() if name in taken}

    def part(self, aggregate: str, recorded_on: str | None = None) -> Part:
        """Return the cells of one aggregate and sample set (default: the headline's) by source and target."""
        chosen = (self.cells["aggregate"] == aggregate) & (self.cells.recorded_on == (recorded_on or self.sets[0]))
        return {(row["source"], row["target"]): row for row in self.cells[chosen].to_dict("records")}

    @property
    def digits(self) -> int:
        """Decimals that the number of independent samples supports."""
        return decimals(self.cells.n_groups)

    @property
    def caveats(self) -> list[str]:
        """Sentences that say why its values must be read with care, if they must."""
        return caveats(self.cells.n_groups, self.cells.chance)


def comparison(
    tables: Mapping[str, pd.DataFrame],
    run_id: str,
    date: str,
    settings: Mapping[str, str] | None = None,
    concepts: Sequence[Concept] = (),
) -> Comparison:
    """Return the comparison whose tables `cells`, `matrix` and `saes` a compare run recorded.

    Raises ValueError for tables without rows or without a column that a report needs.
    """
    for name, columns in NEEDED.items():
        if missing := sorted(columns - set(tables[name].columns)):
            raise ValueError(f"{name}.parquet of run {run_id} lacks {', '.join(missing)}; run the comparison again.")
        if tables[name].empty:
            raise ValueError(f"{name}.parquet of run {run_id} is empty; run the comparison again.")
    cells = tables["cells"]
    first = cells.iloc[0]
    return Comparison(
        run_id, str(first.get("suite", "")), str(first.get("dataset", "")), date,
        with_deviations(cells, tables["matrix"]), tables["saes"], settings or {}, concepts,
    )  # fmt: skip


def with_deviations(cells: pd.DataFrame, matrix: pd.DataFrame) -> pd.DataFrame:
    """Return cells with the standard deviation (n - 1) of each measure over pairs of seeds, NaN for one pair."""
    measures = [name for name in (*MEASURES, *EXTRAS) if name in cells and name in matrix]
    spread = matrix.groupby(CELL)[measures].std(ddof=1)
    return cells.merge(spread.add_suffix("_sd").reset_index(), on=CELL, how="left", validate="one_to_one")


def titles(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a name for each comparison that no other one has: suite and dataset, and the run where they recur."""
    plain = [f"{item.suite}: {item.dataset}" for item in comparisons]
    return [
        title if plain.count(title) == 1 else f"{title} ({item.run_id[:8]})"
        for title, item in zip(plain, comparisons, strict=True)
    ]
