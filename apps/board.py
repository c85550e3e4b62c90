"""The leaderboard's data: comparisons' leaderboards, other measures beside them, and the quality of the SAEs."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from apps.data import run_label
from benchmark.metrics.describe import BOARD

SHARES = {"share_text": "text", "share_vision": "vision", "share_vlm": "vlm"}
"""Columns that are means over the targets of one class."""
PLACE = ["run_id", "suite", "dataset", "codes", "recorded_on", "aggregate", "encoder"]
ABOUT = ["kind", "modality", "family", "size", "n_latents", "k"]
QUALITY = ["fvu", "dead"]


def comparisons(runs: pd.DataFrame) -> dict[str, str]:
    """Return the compare runs that ended with their tables, run id -> label: first the newest of a suite and dataset.

    A run that failed in part has its tables too; `runs` is the table of all runs, newest first. Older runs have the
    date and the start of their id in their labels.
    """
    ended = runs[(runs.kind == "compare") & runs.status.isin(["FINISHED", "FAILED"])]
    ended = ended[(ended.status == "FINISHED") | (ended.failed != "")]
    older = ended.duplicated(["suite", "dataset"])
    labels = {run["run_id"]: f"{run['suite']} · {run['dataset']}" for run in ended[~older].to_dict("records")}
    return labels | {run["run_id"]: run_label(run) for run in ended[older].to_dict("records")}


def wide(board: pd.DataFrame, saes: pd.DataFrame, seed: str = "") -> pd.DataFrame:
    """Return one row per sample set, aggregate and encoder of a comparison.

    Args:
        board: its leaderboard, tidy (see `benchmark.metrics.leaderboard`), with the column run_id.
        saes: its table of SAEs.
        seed: "": figures over all seeds.

    Returns:
        Columns run_id, suite, dataset, codes, recorded_on, aggregate, encoder, what the encoder is (kind, modality,
        family, size, n_latents, k), of every column of `BOARD` its value, NAME_low, NAME_high and NAME_group, and
        fvu and dead, means over SAEs, with their standard deviation over seeds in NAME_sd.
    """
    rows = board[board.seed == seed]
    parts = [
        rows.pivot(index=PLACE, columns="column", values=value).add_suffix(end)
        for value, end in (("value", ""), ("low", "_low"), ("high", "_high"), ("group", "_group"))
    ]
    found = pd.concat(parts, axis=1).reset_index()
    for column in BOARD:
        for end in ("", "_low", "_high", "_group"):
            if f"{column}{end}" not in found:
                found[f"{column}{end}"] = "" if end == "_group" else float("nan")
    chosen = saes if seed == "" else saes[saes.seed.astype(str) == seed]
    return found.merge(_about(chosen), on="encoder", how="left", validate="many_to_one")


def _about(saes: pd.DataFrame) -> pd.DataFrame:
    """Return what the encoders of a table of SAEs are, and how good their SAEs are."""
    saes = saes.assign(size=saes.get("size", ""))
    of_encoder = saes.groupby(["encoder", "seed"], sort=False)[QUALITY].mean().groupby("encoder", sort=False)
    quality = pd.concat([of_encoder.mean(), of_encoder.std().add_suffix("_sd")], axis=1).reset_index()
    return saes.drop_duplicates("encoder")[["encoder", *ABOUT]].merge(quality, on="encoder")


def with_measure(found: pd.DataFrame, cells: pd.DataFrame, kinds: Mapping[str, str], measure: str) -> pd.DataFrame:
    """Return the table of `wide` with another measure in place of the cross-fitted value, without its intervals.

    `cells` are the comparison's, one row per source, target, aggregate and sample set; `kinds` is encoder -> class.
    """
    keys = ["recorded_on", "aggregate"]
    others = cells[cells.source != cells.target]
    out = others.groupby([*keys, "source"])[measure].mean()
    into = others.groupby([*keys, "target"])[measure].mean()
    columns = {
        **{name: others[others.target.map(kinds.get) == kind].groupby([*keys, "source"])[measure].mean()
           for name, kind in SHARES.items()},
        "share": out, "found": into, "asymmetry": out.rename_axis([*keys, "target"]) - into,
        "stability": cells[cells.source == cells.target].groupby([*keys, "source"])[measure].mean(),
    }  # fmt: skip
    place = pd.MultiIndex.from_frame(found[[*keys, "encoder"]])
    filled = {name: series.reindex(place.set_names(series.index.names)).to_numpy() for name, series in columns.items()}
    blank = {f"{name}{end}": float("nan") for name in columns for end in ("_low", "_high")}
    return found.assign(**filled, **blank, **{f"{name}_group": "" for name in columns})


def display(found: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Return the table of `wide` as it is read: every figure of `BOARD` that is known, its interval as text, its group.

    Columns: suite and dataset where there are several, run_id where one of them has several runs, encoder, kind,
    modality; NAME, NAME_interval, NAME_group of each figure (without the last two where they are not known); quality
    and what else is known of the encoders.
    """
    shown, order = found.copy(), ["encoder", "kind", "modality"]
    data_sets = len(found[["suite", "dataset"]].drop_duplicates())
    if found["run_id"].nunique() > data_sets:
        order = ["run_id", *order]
    if data_sets > 1:
        order = ["suite", "dataset", *order]
    for name in dict.fromkeys(["share", *BOARD]):  # first what the rows are ordered by
        if found[name].isna().all():
            continue
        order.append(name)
        if found[f"{name}_low"].notna().any():
            ends = found[[f"{name}_low", f"{name}_high"]].to_numpy()
            shown[f"{name}_interval"] = [
                "" if math.isnan(low) else f"{low:.{digits}f} to {high:.{digits}f}" for low, high in ends
            ]
            order.append(f"{name}_interval")
        if (found[f"{name}_group"].fillna("") != "").any():
            order.append(f"{name}_group")
    order += ["fvu", "fvu_sd", "dead", "dead_sd"]
    return shown[order + [name for name in ("family", "size", "n_latents", "k", "codes") if (shown[name] != "").any()]]


def side_by_side(
    table: pd.DataFrame, known: Mapping[str, tuple[str, str]]
) -> tuple[pd.DataFrame, dict[str, tuple[str, str]]]:
    """Return rows of `display` turned: a row for each figure among `known`, a column for each encoder.

    Columns: figure, the encoders (with what tells them apart where one stands twice), and meaning, which says what the
    figure is. The second table has the columns' titles and tooltips.
    """
    apart = [name for name in ("suite", "dataset", "run_id") if name in table]
    names = [
        " · ".join([row["encoder"], *(row[name][:8] if name == "run_id" else row[name] for name in apart if twice)])
        for row, twice in zip(table.to_dict("records"), table["encoder"].duplicated(keep=False), strict=True)
    ]
    shown = [name for name in known if name in table]
    turned = table[shown].set_axis(names).T.set_axis([known[name][0] for name in shown])
    turned = turned.rename_axis("figure").reset_index().assign(meaning=[known[name][1] for name in shown])
    words = {
        "figure": ("Figure", "What is compared; the last column says what it is."),
        **{name: (name, "The figures of this encoder.") for name in names},
    }
    return turned, words


def options(found: pd.DataFrame, column: str) -> list[str]:
    """Return the different values of a column as texts, in their order, without empty ones."""
    return [str(value) for value in found[column].dropna().unique() if str(value) != ""]


def intervals(found: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return a long table of some columns for a chart: encoder, dataset, kind, column, value, low, high, group."""
    parts = [
        found.assign(
            column=column, value=found[column], low=found[f"{column}_low"], high=found[f"{column}_high"],
            group=found[f"{column}_group"],
        )
        for column in columns
    ]  # fmt: skip
    keep = ["encoder", "suite", "dataset", "kind", "column", "value", "low", "high", "group"]
    return pd.concat(parts, ignore_index=True)[keep].dropna(subset="value")
