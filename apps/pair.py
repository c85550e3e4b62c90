"""Two encoders side by side: all measures both ways, their seeds, and the features found again most surely."""

from typing import NamedTuple

import pandas as pd

import registry
from apps.data import measures


class Part(NamedTuple):
    """An encoder's part in a comparison."""

    encoder: str
    run_id: str
    """Train run of its first seed, whose features have recorded partners."""


def both_ways(cells: pd.DataFrame, source: str, target: str) -> pd.DataFrame:
    """Return one row per measure of cells, both directions in columns: measure, SOURCE → TARGET, its opposite, meaning.

    The cells are of one sample set and aggregate; `meaning` says what the measure is.
    """
    found = cells.set_index(["source", "target"])
    ways = {f"{a} → {b}": (a, b) for a, b in dict.fromkeys([(source, target), (target, source)])}
    rows: list[dict[str, object]] = []
    for name, (title, text) in measures(cells).items():
        values = {way: found[name].get(place, float("nan")) for way, place in ways.items()}
        if pd.Series(values).notna().any():
            rows.append({"measure": title, **values, "meaning": text})
    return pd.DataFrame(rows)


def seed_pairs(matrix: pd.DataFrame, source: str, target: str) -> pd.DataFrame:
    """Return the rows of a matrix between two encoders, both ways, with `way` ("a → b") as a further column."""
    chosen = ((matrix.source == source) & (matrix.target == target)) | (
        (matrix.source == target) & (matrix.target == source)
    )
    found = matrix[chosen]
    return found.assign(way=found.source + " → " + found.target).reset_index(drop=True)


def layer_runs(runs: pd.DataFrame, suite: str, dataset: str) -> pd.DataFrame:
    """Return the finished comparisons of layers of a suite and dataset, newest first."""
    found = runs[(runs["kind"] == "layers") & (runs["status"] == "FINISHED")]
    return found[(found["suite"] == suite) & (found["dataset"] == dataset)].reset_index(drop=True)


def layer_cells(layers: pd.DataFrame, source: str, target: str) -> list[pd.DataFrame]:
    """Return the cells of each direction between two encoders that `layers.parquet` of a layers run holds."""
    ways = dict.fromkeys([(source, target), (target, source)])
    parts = [layers[(layers["source"] == a) & (layers["target"] == b)] for a, b in ways]
    return [part for part in parts if len(part)]


def matches(
    run_id: str, source: Part, target: Part, *, limit: int, fewest: int = 20, widest: float = 0.2
) -> pd.DataFrame:
    """Return the features of a source whose partner in the target is surest, with the partner, the surest first.

    Features active on fewer samples, or on a larger share of them, say little and are left out on both sides. Columns:
    layer, feature, density, frequency, partner_layer, partner, partner_density, held_out_rho, rho, S. Raises ValueError
    when the compare run recorded no partners of this pair.
    """
    found = registry.feature_partners(run_id, source.encoder, target.encoder)
    own = _telling(source.run_id, found.layer, fewest, widest)
    other = _telling(target.run_id, found.partner_layer, fewest, widest)
    other = other.drop(columns="frequency").add_prefix("partner_")
    other = other.rename(columns={"partner_feature": "partner"})
    found = found.merge(own, on=["layer", "feature"]).merge(other, on=["partner_layer", "partner"])
    found = found.sort_values(["held_out_rho", "layer", "feature"], ascending=[False, True, True], kind="stable")
    columns = [
        "layer", "feature", "density", "frequency", "partner_layer", "partner", "partner_density", "held_out_rho",
        "rho", "S",
    ]  # fmt: skip
    return found[columns].head(limit).reset_index(drop=True)


def _telling(run_id: str, layers: pd.Series, fewest: int, widest: float) -> pd.DataFrame:
    """Return layer, feature, frequency and density of the features that are neither too rare nor too frequent."""
    parts = [registry.feature_summary(run_id, int(layer)).assign(layer=int(layer)) for layer in sorted(set(layers))]
    found = pd.concat(parts)
    chosen = found[(found.frequency >= fewest) & (found.density <= widest)]
    return chosen[["layer", "feature", "frequency", "density"]]


def parts(saes: pd.DataFrame) -> dict[str, Part]:
    """Return encoder -> its part in the comparison with this table of SAEs."""
    first = saes.drop_duplicates("encoder")
    return {str(row["encoder"]): Part(str(row["encoder"]), str(row["run_id"])) for row in first.to_dict("records")}
