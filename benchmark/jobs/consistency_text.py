"""What `consistency` prints: how aligned each dataset is, how their matrices and kinds of features differ."""

from collections.abc import Mapping

import pandas as pd

from benchmark.metrics.caveats import caveats
from benchmark.report import text_table


def sentences(tables: Mapping[str, pd.DataFrame], n_samples: int, seeds: int) -> str:
    """Return the whole text, from the tables of the command."""
    parts = [
        [f"{n_samples:,} compared samples of each dataset, one a group; {seeds} seeds."],
        _ranking(tables["datasets"], tables["agreement"]),
        _matrices(tables["agreement"], seeds),
        _types(tables["typology"], tables["typology_differences"]),
        _transfer(tables["transfer"], tables["partners"]),
    ]
    text = "\n\n".join("\n".join(part) for part in parts if part)
    cautions = caveats(tables["cells"].n_groups, tables["cells"].chance)
    return text + "".join(f"\nCAUTION: {caution}" for caution in cautions)


def _ranking(datasets: pd.DataFrame, agreement: pd.DataFrame) -> list[str]:
    if datasets.alignment.isna().all():
        return ["No two encoders are of different modalities, so datasets are not ranked by cross-modal alignment."]
    rows = [
        (row["dataset"], f"{row['alignment']:.3f}", f"{row['low']:.3f} to {row['high']:.3f}", _n(row["chance"]),
         _n(row["untrained"]), _n(row["ceiling"]), _n(row["relative"]))
        for row in datasets.to_dict("records")
    ]  # fmt: skip
    lines = [
        "Cross-modal alignment: mean cross-fitted wMPPC of the cells between an image and a text encoder (chance: of",
        "the naive value; ceiling: seeds of one encoder; relative: to the geometric mean of both encoders' ceilings)",
        text_table(("dataset", "alignment", "95 % interval", "chance", "untrained", "ceiling", "relative"), rows),
    ]
    for row in agreement.to_dict("records"):
        told = "resolved" if row["alignment_resolved"] else "not resolved: their order may be chance"
        lines.append(
            f"{row['second']} minus {row['first']}: {row['alignment_difference']:+.3f} [{row['alignment_low']:+.3f}, "
            f"{row['alignment_high']:+.3f}], {told}."
        )
    if len(agreement) > 1:
        lines.append(f"These intervals hold together at 95 % (each at 1 - 0.05/{len(agreement)}).")
    return lines


def _matrices(agreement: pd.DataFrame, seeds: int) -> list[str]:
    lines = ["Matrices of two datasets (cells off the diagonal)"]
    rows = [
        (f"{row['first']}, {row['second']}",
         f"{row['mean_difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]", f"{row['rms']:.3f}",
         f"{row['sd_beyond_noise']:.3f}", f"{row['resolved_cells']} of {row['cells']}", f"{_n(row['correlation'], 2)}",
         _n(row["p_value"]), _n(row["between_seeds"], 2), _n(row["kendall_tau"], 2))
        for row in agreement.to_dict("records")
    ]  # fmt: skip
    header = (
        "datasets", "mean difference", "rms", "sd beyond noise", "cells resolved", "correlation", "p (Mantel)",
        "between seeds", "tau of ranks",
    )  # fmt: skip
    lines.append(text_table(header, rows))
    lines.append("One cell in twenty would be resolved if nothing differed; between seeds: the same correlation of two "
                 f"seeds' matrices within a dataset ({seeds} seeds).")  # fmt: skip
    return lines


def _types(typology: pd.DataFrame, differences: pd.DataFrame) -> list[str]:
    if typology.empty:
        return ["No encoder has encoders of two other kinds beside it, so kinds of shared features are not compared."]
    rows = [
        (row["encoder"], f"{row['shared_with']}, not {row['absent_from']}", row["dataset"],
         *(text for name in ("weighted_share", "share") for text in (
             f"{row[name]:.3f} [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]", f"{row[f'{name}_by_chance']:.3f}"
         )), str(row["order"]))
        for row in typology.sort_values("encoder", kind="stable").to_dict("records")
    ]  # fmt: skip
    header = ("encoder", "shared with", "dataset", "by weight", "chance", "of live features", "chance", "rank")
    lines = ["Share of features with a positive Delta (held-out correlations), by weight S and by number",
             text_table(header, rows)]  # fmt: skip
    for (first, second), part in differences.groupby(["first", "second"], sort=False):
        told = [
            f"{row['encoder']} {row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
            for row in part[part.resolved].to_dict("records")
        ]
        lines.append(
            f"{second} minus {first}, by weight: {len(told)} of {len(part)} resolved" + ": " * bool(told)
            + "; ".join(told) + "."
        )  # fmt: skip
    return lines


def _transfer(transfer: pd.DataFrame, partners: pd.DataFrame) -> list[str]:
    lines = [
        "One dictionary on two datasets: values between encoders (cross-fitted; kept: partners chosen on the first)"
    ]
    rows = [
        (f"{on} → {to}", f"{part.own.mean():.3f}", f"{part.refitted.mean():.3f}", f"{part.kept.mean():.3f}")
        for (on, to), part in partners.groupby(["trained_on", "applied_to"], sort=False)
    ]
    lines.append(text_table(("trained on → applied to", "own", "refitted there", "kept there"), rows))
    if "share" not in transfer:
        return lines
    of_encoders = [
        (f"{on} → {to}", str(encoder), f"{part.fvu.mean():.3f}", f"{part.fvu_there.mean():.3f}",
         _n(part["share"].mean(), 2), _n(part.share_by_chance.mean(), 2),
         f"{(part.p_value <= 0.05).sum()} of {len(part)}", _n(part.split_half.mean(), 2))
        for (on, to, encoder), part in transfer.groupby(["trained_on", "applied_to", "encoder"], sort=False)
        if part["share"].notna().any()
    ]  # fmt: skip
    header = ("trained on → applied to", "encoder", "FVU", "FVU there", "top 1 % still on top", "by chance given S",
              "seeds at p <= 0.05", "two halves of the first")  # fmt: skip
    return [*lines, "", text_table(header, of_encoders)]


def _n(value: float, digits: int = 3) -> str:
    return "–" if pd.isna(value) else f"{value:.{digits}f}"
