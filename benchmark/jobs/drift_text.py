"""What the drift job prints and logs as metrics."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from benchmark import report
from benchmark.jobs.drift_rows import Compared

SHOWN = 6
"""Cells of a variant that are named, those that moved most."""


def headline(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of the widest aggregate."""
    widest = "layer_mean" if "layer_mean" in set(cells["aggregate"]) else "last"
    return cells[cells["aggregate"] == widest]


def metrics(tables: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Return the run's metrics: `drift/MEASURE/VARIANT/...`."""
    found: dict[str, float] = {}
    shown = headline(tables["changes"])
    for variant, part in shown.groupby("variant", sort=False):
        found[f"drift/moved/{_name(variant)}"] = float(part.moved.sum())
        found[f"drift/tested/{_name(variant)}"] = float(part.p_value.notna().sum())
        for row in part[~part.own].to_dict("records"):
            found[f"drift/change/{_name(variant)}/{row['source']}/{row['target']}"] = row["change"]
    for row in tables["correspondence"].to_dict("records"):
        found[f"drift/same_features_{row['pairs']}/{_name(row['variant'])}/{row['encoder']}"] = row["value"]
    for row in tables["delta"].to_dict("records"):
        found[f"drift/delta_change/{_name(row['variant'])}/{row['source']}"] = row["change"]
    return found


def text(compared: Sequence[Compared], tables: Mapping[str, pd.DataFrame], without: str) -> str:
    """Return the answer in words and tables."""
    plain, shown = compared[0], headline(tables["changes"])
    n_seeds = len(plain.material.plan.suite.seeds)
    lines = [
        f"{plain.material.dataset.name} and {report.counted(len(compared) - 1, 'variant')}, "
        f"{len(plain.rows):,} samples each, {report.counted(n_seeds, 'seed')}",
        "Cells of the cross-fitted wMPPC that moved (q <= 0.05 over all tests; null: only seeds and samples differ)",
        report.text_table(
            ("  variant", "moved", "of", "mean change", "mean size", "error", "same samples"),
            [
                (f"  {variant}", f"{part.moved.sum()}", f"{part.p_value.notna().sum()}",
                 f"{part.change[~part.fixed].mean():+.3f}", f"{part.change[~part.fixed].abs().mean():.3f}",
                 f"{part.error[~part.fixed].mean():.3f}", f"{part.n_common.iloc[0]:,}")
                for variant, part in shown.groupby("variant", sort=False)
            ],
        ),
    ]  # fmt: skip
    moved = shown[shown.moved].assign(size=lambda table: table.change.abs())
    for variant, part in moved.groupby("variant", sort=False):
        most = part.sort_values("size", ascending=False).head(SHOWN).to_dict("records")
        cells = "; ".join(
            f"{row['source']} > {row['target']} {row['plain']:.2f} to {row['value']:.2f} "
            f"({row['low']:+.3f} to {row['high']:+.3f})" for row in most
        )  # fmt: skip
        lines.append(f"  {variant}: {cells}")
    if shown.fixed.any():
        lines.append(f"  {shown.fixed.sum()} cells cannot change: their encoders read nothing that differs.")
    if n_seeds == 1:
        lines.append("  One seed tells nothing of the noise of seeds, so no change is tested: use two or more.")
    elif n_seeds == 2:
        lines.append("  Diagonal cells are not tested: two seeds are one pair, whose noise nothing tells.")
    lines += ["", *_same(tables["correspondence"])] if len(tables["correspondence"]) else []
    lines += ["", *_delta(tables["delta"], tables["delta_features"])] if len(tables["delta"]) else []
    return "\n".join([*lines, *([f"\nNo Comparative Sharedness: {without}"] if without else [])])


def _same(table: pd.DataFrame) -> list[str]:
    encoders = list(dict.fromkeys(table.encoder))
    rows = []
    for (variant, pairs), part in table.groupby(["variant", "pairs"], sort=False):
        label = "plain, other seeds (ceiling)" if variant == "plain" else f"{variant}, {pairs} seeds"
        values = part.set_index("encoder").value
        rows.append((f"  {label}", *(f"{values.get(name, float('nan')):.2f}" for name in encoders)))
    return ["Features of the plain data found again on a variant, cross-fitted wMPPC over the samples both have",
            report.text_table(("  pairs", *encoders), rows)]  # fmt: skip


def _delta(delta: pd.DataFrame, features: pd.DataFrame) -> list[str]:
    first = delta.iloc[0]
    lines = ["Comparative Sharedness: S-weighted mean of rho_shared^2 - rho_absent^2, cross-fitted",
             report.text_table(
                 ("  M", "variant", "plain", "there", "change", "interval", "q"),
                 [(f"  {row['source']}", row["variant"], f"{row['plain']:+.3f}", f"{row['value']:+.3f}",
                   f"{row['change']:+.3f}",
                   f"{row['low']:+.3f} to {row['high']:+.3f}" if np.isfinite(row["low"]) else "not known",
                   f"{row['q_value']:.2g}" if np.isfinite(row["q_value"]) else "–")
                  for row in delta.to_dict("records")],
             )]  # fmt: skip
    lines.append(f"  (shared with {first['shared_with']}, absent from {first['absent_from']})")
    if len(features):
        lines += ["Delta of features and their partners on a variant (rank correlation; top 1 % in its top 1 %, 5 %)",
                  report.text_table(
                      ("  M", "variant", "seeds", "correlation", "top 1 %", "top 5 %", "rho of the top"),
                      [(f"  {row['source']}", row["variant"], row["pairs"], f"{row['spearman']:.2f}",
                        f"{row['overlap']:.0%}", f"{row['overlap_5']:.0%}", f"{row['rho']:.2f}")
                       for row in features.to_dict("records")],
                  )]  # fmt: skip
    return lines


def _name(variant: object) -> str:
    """Return a variant's name as metrics may be called."""
    return re.sub(r"[^A-Za-z0-9_. -]", "-", str(variant))
