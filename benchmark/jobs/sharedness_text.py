"""What the sharedness job prints and logs as metrics."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from benchmark import report
from benchmark.jobs.encoder_groups import Groups
from benchmark.metrics.describe.sharedness import ASSOCIATION_MEASURES

PLANTED = {
    "values": "planted values: captioned above nuisances (AUC)",
    "features": "features of M that tell a captioned factor above the others (AUC)",
    "concepts": "Delta of features against that of the value they follow (rank correlation)",
}
SHOWN = 5
"""Top features that are printed."""


def metrics(result: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Return the run's metrics: means over seeds, `sharedness/MEASURE/M`."""
    found: dict[str, float] = {}
    for name in ("mean_delta", "naive_mean_delta", "positive", "positive_by_chance", "significant", "top_significant"):
        for source, value in result["summary"].groupby("source")[name].mean().items():
            found[f"sharedness/{name}/{source}"] = float(value)
    for (source, way), part in result["agreement"].groupby(["source", "way"]):
        found[f"sharedness/agreement_{way}/{source}"] = float(part.spearman.mean())
        found[f"sharedness/overlap_{way}/{source}"] = float(part.overlap.mean())
    for table, label in (("association", "association"), ("planted", "planted")):
        if len(result.get(table, ())):
            for (source, measure), part in result[table].groupby(["source", "measure"]):
                for column in ("value", "null", "p_value"):
                    suffix = "" if column == "value" else f"_{column}"
                    found[f"sharedness/{label}_{measure}{suffix}/{source}"] = float(part[column].mean())
    return found


def text(groups: Sequence[Groups], result: Mapping[str, pd.DataFrame]) -> str:
    """Return the answer in words and tables."""
    return "\n\n".join(_of_source(each, result) for each in groups)


def _of_source(groups: Groups, result: Mapping[str, pd.DataFrame]) -> str:
    mine = {name: table[table.source == groups.source] for name, table in result.items() if "source" in table}
    rows, n_seeds = mine["summary"], mine["summary"].seed.nunique()
    mean = rows.mean(numeric_only=True)
    lines = [
        f"{groups.source}: shared with {', '.join(groups.shared_with)}, absent from {', '.join(groups.absent_from)} "
        f"({report.counted(int(rows.n_samples.iloc[0]), 'sample')}, {report.counted(n_seeds, 'seed')})",
        f"  S-weighted mean of rho_shared^2 - rho_absent^2, cross-fitted: {mean.mean_delta:+.4f} "
        f"({rows.low.min():+.4f} to {rows.high.max():+.4f} over seeds and samples); naive {mean.naive_mean_delta:+.4f}",
        f"  Delta above 0: {mean.positive:.1%} of the live features (naive {mean.naive_positive:.1%}; "
        f"{mean.positive_by_chance:.1%} naive if every split of these encoders were as good)",
        f"  Delta above 0 beyond the samples' error (q <= 0.05): {mean.significant:.0f} of {mean.live:.0f} features, "
        f"{mean.top_significant:.1f} of the top {mean['top']:.0f}; {mean.top_naive_too:.0%} of the top 1 % is the "
        "naive top 1 % too",
    ]
    best = mine["top"][mine["top"].seed == rows.seed.iloc[0]].head(SHOWN)
    lines.append(report.text_table(
        ("  feature", "Delta, permille of S", "error", "rho shared", "rho absent", "q", "name", "strongest sample"),
        [
            (f"  {row['layer']}/{row['feature']}", f"{1000 * row['delta_share']:.2f}", f"{1000 * row['error']:.2f}",
             f"{row['rho_shared']:.2f}", f"{row['rho_absent']:.2f}", f"{row['q_value']:.2g}", row["name"] or "–",
             " ".join(row["captions"].split(" | ")[0].split())[:60])
            for row in best.to_dict("records")
        ],
    ))  # fmt: skip
    if not (best["name"] != "").any():
        lines.append("  They have no names yet: `name` gives them some, with layers, suite and dataset as here.")
    lines += _agreement(mine["agreement"]) + _association(groups, mine["association"])
    lines += _planted(mine.get("planted", pd.DataFrame()))
    return "\n".join(lines)


def _agreement(table: pd.DataFrame) -> list[str]:
    if not len(table):
        return ["  Agreement over seeds: not known from one seed."]
    lines = ["  Agreement over seeds (rank correlation of Delta; share of the top 1 % that is in the other's top 1 %, "
             "in its top 5 %; by chance 0, 1 %, 5 %):"]  # fmt: skip
    for way, words in (("targets", "same M, other seed of G and H"), ("source", "other seed of all, partners in M")):
        part = table[table.way == way].mean(numeric_only=True)
        lines.append(f"    {words}: {part.spearman:.2f}; {part.overlap:.0%}, {part.overlap_5:.0%}")
    return lines


def _association(groups: Groups, table: pd.DataFrame) -> list[str]:
    lines = [f"  {groups.stands_in}"] if groups.stands_in else []
    if not len(table):
        return lines
    first = table.iloc[0]
    lines.append(f"  Are the features shared with {first['beside']} those shared with {first['shared_with']}? "
                 f"(absent from {first['absent_from']}; null: samples of {first['shuffled']} shuffled)")  # fmt: skip
    for measure, words in ASSOCIATION_MEASURES.items():
        part = table[table.measure == measure]
        if not len(part):
            continue
        spread = f" ({part.low.min():+.2f} to {part.high.max():+.2f})" if part.low.notna().any() else ""
        lines.append(f"    {words}: {part.value.mean():+.2f}{spread}; null {part.null.mean():+.2f} "
                     f"({part.null_low.min():+.2f} to {part.null_high.max():+.2f}), p {_p(part.p_value)}")  # fmt: skip
    lines.append(f"  {verdict(table)}")
    return lines


def verdict(table: pd.DataFrame) -> str:
    """Return in a sentence whether two groups share the same features, by what is beyond the controls at every seed."""
    part = table[table.measure == "beyond"]
    if not len(part):
        return "Too few features are active on enough samples to tell more: compare more samples."
    if (part.low > 0).all() and (part.p_value <= 0.05).all():
        as_correlation = f" ({part.corrected.mean():.2f} as a correlation)" if part.corrected.notna().all() else ""
        return f"They agree beyond what S and H explain{as_correlation}: the interval is above 0 at every seed."
    if ((part.low <= 0) & (part.value < 0.1)).all():
        return "They do not agree beyond what S and H explain: what is beyond is about 0, or below, at every seed."
    return "Whether they agree beyond what S and H explain is open: seeds, or intervals and null, disagree."


def _planted(table: pd.DataFrame) -> list[str]:
    if not len(table):
        return []
    lines = ["  Against the planted factors (null: samples of G shuffled; for the rank correlation, values exchanged):"]
    for measure, words in PLANTED.items():
        part = table[table.measure == measure]
        if len(part):
            lines.append(
                f"    {words}: {part.value.mean():.2f} ({part.low.min():.2f} to {part.high.max():.2f}); null "
                f"{part.null.mean():.2f}, p {_p(part.p_value)}; n = {part.n.mean():.0f} of {part.of.mean():.0f}"
            )
    return lines


def _p(values: pd.Series) -> str:
    low, high = np.min(values), np.max(values)
    return f"{high:.3f}" if low == high else f"{low:.3f} to {high:.3f}"
