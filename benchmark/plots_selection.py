"""Figures of `select`: contributions of pairs, how well wrong pairs are found, and what filtering does to training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BLUE, ORANGE, GREY = "#2166ac", "#e08214", "#4d4d4d"
STYLES = {
    ("contribution", True): ("#2166ac", "o-", "contribution, all encoders"),
    ("agreement", True): ("#67a9cf", "s-", "the same at fixed weights"),
    ("cka", True): ("#1b9e77", "^--", "linear CKA without it, all encoders"),
    ("similarity", False): ("#762a83", "D-", "similarity by the contrastive pair"),
    ("random", True): ("#4d4d4d", "x:", "random order"),
}
"""(score, over all encoders) -> colour, line and label."""
TITLES = {"r1": "recall at 1", "r10": "recall at 10", "mrr": "mean reciprocal rank"}


def contributions(
    scored: NDArray[np.float64], keep: float, example: Mapping[str, NDArray[np.float64]], rate: float, title: str,
    path: Path,
) -> None:  # fmt: skip
    """Write a PNG: contributions as the pairs are, and those of right and wrong pairs after captions have moved."""
    figure, (left, right) = _figure(2, (10.5, 4))
    figure.suptitle(_plain(title))
    # All but the outermost thousandths: single pairs may lie far out, and would leave one bar for all others.
    low, high = np.quantile(np.concatenate([scored, example["contribution"]]), [0.001, 0.999])
    span, bins = (float(low), float(high)), np.linspace(low, high, 61)
    left.hist(np.clip(scored, *span), bins, color=BLUE)
    limit = np.sort(scored)[::-1][max(round(keep * len(scored)) - 1, 0)]
    left.axvline(limit, color=GREY, linestyle="--", label=f"{keep:.0%} of the pairs lie right of it and are kept")
    left.axvline(0, color="black", linewidth=0.8)
    left.set(title="the pairs as they are", xlabel="contribution (N × change of wMPPC)", ylabel="pairs")
    left.set_ylim(top=1.2 * left.get_ylim()[1])
    left.legend(fontsize=8, loc="upper left")
    wrong = example["wrong"] > 0
    for chosen, colour, name in ((~wrong, BLUE, "right pairs"), (wrong, ORANGE, "pairs with another's caption")):
        values = np.clip(example["contribution"][chosen], *span)
        right.hist(values, bins, density=True, color=colour, alpha=0.6, label=f"{name} ({chosen.sum():,})")
    right.axvline(0, color="black", linewidth=0.8)
    right.set(title=f"{rate:.0%} of the captions moved", xlabel="contribution (N × change of wMPPC)", ylabel="density")
    right.set_ylim(top=1.2 * right.get_ylim()[1])
    right.legend(fontsize=8, loc="upper left")
    figure.savefig(path, dpi=120)


def detection(summary: pd.DataFrame, title: str, path: Path) -> None:
    """Write a PNG: AUC of finding moved captions, by share for all encoders, and pair by pair."""
    figure, (left, right) = _figure(2, (11.5, 4.9))
    figure.suptitle(_plain(title))
    for (score, together), (colour, line, label) in STYLES.items():
        part = summary[(summary.score == score) & ((summary.image == "all") == together)]
        for number, (image, rows) in enumerate(part.groupby("image", sort=False)):
            name = label if together else f"{label} {_plain(image)}"
            _line(left, rows, colour, line, name if number < 3 else "")
    left.axhline(0.5, color="black", linewidth=0.8)
    left.set(xlabel="share of captions moved", ylabel="AUC", title="all encoders together", ylim=(0.45, 1.01))
    below = {"fontsize": 8, "loc": "upper center", "bbox_to_anchor": (0.5, -0.14)}  # lines may lie anywhere
    left.legend(ncols=2, **below)
    rate = sorted(summary.rate.unique())[len(summary.rate.unique()) // 2]
    part = summary[(summary.rate == rate) & (summary.image != "all")]
    pairs = part.drop_duplicates(["image", "text"])[["image", "text"]].to_numpy().tolist()
    for score, colour, shift in (("contribution", BLUE, -0.15), ("cka", "#1b9e77", 0.15), ("similarity", "#762a83", 0)):
        rows = part[part.score == score].set_index(["image", "text"])
        at = [i for i, pair in enumerate(pairs) if tuple(pair) in rows.index]
        found = rows.loc[[tuple(pairs[i]) for i in at]]
        spread = np.stack([found.auc - found.auc_low, found.auc_high - found.auc])
        where = np.array(at) + shift
        right.errorbar(found.auc, where, xerr=np.nan_to_num(spread), fmt="o", color=colour, label=score, capsize=2)
    right.axvline(0.5, color="black", linewidth=0.8)
    right.set_yticks(range(len(pairs)), [_plain(" × ".join(pair)) for pair in pairs], fontsize=8)
    right.invert_yaxis()
    right.set(xlabel="AUC", title=f"pair by pair, {rate:.0%} of the captions moved")
    right.legend(ncols=3, **below)
    figure.savefig(path, dpi=120)


def retraining(summary: pd.DataFrame, table: pd.DataFrame, title: str, path: Path) -> None:
    """Write a PNG: held-out retrieval of pairs that were trained on each subset; dots are seeds."""
    figure, panels = _figure(len(TITLES), (11, 3.6))
    figure.suptitle(_plain(title))
    names = summary.subset.tolist()
    for axes, (measure, label) in zip(panels, TITLES.items(), strict=True):
        for i, row in enumerate(summary.to_dict("records")):
            colour = {"random": GREY, "oracle": ORANGE}.get(row["subset"], BLUE)
            axes.barh(i, row[measure], color=colour, alpha=0.55)
            axes.plot(table[table.subset == row["subset"]][measure], [i] * row["draws"], "o", color="black", ms=3)
        axes.set_yticks(range(len(names)), names if axes is panels[0] else [""] * len(names))
        axes.invert_yaxis()
        axes.set(title=label, xlim=(0, None))
        axes.set_xlabel("mean of both directions")
    figure.savefig(path, dpi=120)


def _line(axes: Any, rows: pd.DataFrame, colour: str, line: str, label: str) -> None:
    rows = rows.sort_values("rate")
    axes.plot(rows.rate, rows.auc, line, color=colour, label=label, markersize=4)
    axes.fill_between(rows.rate, rows.auc_low, rows.auc_high, color=colour, alpha=0.15)


def _figure(columns: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(1, columns, i + 1) for i in range(columns)]


def _plain(text: object) -> str:
    # Dollar signs would start matplotlib's mathematics.
    return str(text).replace("$", r"\$")
