"""Figures of Comparative Sharedness: all features of M, the key finding against its nulls, and planted values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

DPI = 110
PLAIN, SIGNIFICANT, BEST = "0.72", "#2166ac", "#b2182b"


def scatter(features: pd.DataFrame, groups: Mapping[str, tuple[str, str]], title: str, path: Path) -> None:
    """Write a PNG: cross-fitted rho to G against that to H of every live feature, one panel per M (first seed).

    groups: M -> names of G and of H.
    """
    figure = _figure(5.2 * len(groups), 5.2)
    figure.suptitle(_plain(title))
    for number, (source, (shared, absent)) in enumerate(groups.items()):
        table = features[(features.source == source) & features.live]
        table = table[table.seed == table.seed.iloc[0]]
        axes = figure.add_subplot(1, len(groups), number + 1)
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, zorder=0)
        size = 4 + 900 * table.S_share
        significant = table.q_value <= 0.05
        for chosen, colour, label in (
            (~significant, PLAIN, "other live features"),
            (significant, SIGNIFICANT, "Δ > 0 beyond its error, q ≤ 0.05"),
        ):
            axes.scatter(table.rho_absent[chosen], table.rho_shared[chosen], s=size[chosen], color=colour, alpha=0.65,
                         linewidth=0, label=f"{label} ({chosen.sum()})")  # fmt: skip
        best = table[table.top]
        axes.scatter(best.rho_absent, best.rho_shared, s=size[table.top] + 40, facecolors="none", edgecolors=BEST,
                     linewidth=1.4, label=f"top 1 % by Δ ({len(best)})")  # fmt: skip
        axes.set(xlim=(-0.02, 1), ylim=(-0.02, 1), aspect="equal", title=_plain(source),
                 xlabel=_plain(f"highest ρ over {absent}"), ylabel=_plain(f"lowest ρ over {shared}"))  # fmt: skip
        axes.legend(loc="upper right", fontsize=8, title="cross-fitted; area ∝ S", title_fontsize=8)
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=DPI)


def association(table: pd.DataFrame, title: str, path: Path) -> None:
    """Write a PNG: every measure of agreement of two groups against the range of its null, by M and seed."""
    names = {
        "delta": "Spearman's ρ\nof the two Δ", "theta": "the same,\nwithout S",
        "overlap": "overlap of\nthe top 1 %", "partial": "partial rank\ncorrelation of ρ",
        "beyond": "beyond S and H,\nfree of errors",
    }  # fmt: skip
    sources = list(dict.fromkeys(table.source))
    figure = _figure(1.5 + 5.2 * len(sources), 4.2)
    figure.suptitle(_plain(title))
    for number, source in enumerate(sources):
        part = table[table.source == source]
        axes = figure.add_subplot(1, len(sources), number + 1)
        seeds = list(dict.fromkeys(part.seed))
        labels = {"null": "null, 95 %", "interval": "95 % interval", "value": "observed, one point a seed"}
        for i, measure in enumerate(names):
            for j, row in enumerate(part[part.measure == measure].to_dict("records")):
                x = i + (j - (len(seeds) - 1) / 2) * 0.6 / len(seeds)
                axes.vlines(
                    x, row["null_low"], row["null_high"], color=PLAIN, linewidth=7, label=labels.pop("null", None)
                )
                if np.isfinite(row["low"]):
                    label = labels.pop("interval", None)
                    axes.vlines(x, row["low"], row["high"], color=BEST, linewidth=1.5, label=label)
                axes.plot(x, row["value"], "o", color=BEST, markersize=5, label=labels.pop("value", None))
        first = part.iloc[0]
        axes.axhline(0, color="0.6", linewidth=0.8)
        axes.set_xticks(range(len(names)), list(names.values()), fontsize=8)
        axes.set(ylim=(-0.35, 1.08), title=_plain(f"{source}: {first.shared_with} and {first.beside}"))
        axes.set_ylabel("agreement")
        axes.legend(fontsize=8, loc="lower left")
        axes.grid(axis="y", alpha=0.25)
    figure.savefig(path, dpi=DPI)


def planted(table: pd.DataFrame, title: str, path: Path) -> None:
    """Write a PNG: rho_shared^2 - rho_absent^2 of every planted value by factor, for an encoder that knows them all."""
    sources = list(dict.fromkeys(table.source))
    factors = list(table.groupby("factor").captioned.first().sort_values(ascending=False, kind="stable").index)
    figure = _figure(5.4 * len(sources), 1.4 + 0.34 * len(factors))
    figure.suptitle(_plain(title))
    for number, source in enumerate(sources):
        axes = figure.add_subplot(1, len(sources), number + 1)
        part = table[table.source == source].groupby(["factor", "value", "captioned"], as_index=False).theta.mean()
        for y, factor in enumerate(factors):
            values = part[part.factor == factor]
            colour = SIGNIFICANT if values.captioned.iloc[0] else "0.45"
            axes.scatter(values.theta, np.full(len(values), y), s=26, color=colour, alpha=0.7, linewidth=0)
            axes.plot(values.theta.mean(), y, "|", color=colour, markersize=16, markeredgewidth=2)
        labels = [f"{f}{'' if part[part.factor == f].captioned.iloc[0] else ' (not captioned)'}" for f in factors]
        axes.set_yticks(range(len(factors)), labels, fontsize=9)
        axes.invert_yaxis()
        axes.axvline(0, color="0.6", linewidth=0.8)
        axes.set_xlabel(
            "ρ² to G - ρ² to H of each planted value, cross-fitted\n(mean over seeds; bars: means of values)",
            fontsize=9,
        )
        axes.set_title(_plain(f"G and H of {source}"))
        axes.grid(axis="x", alpha=0.25)
    figure.savefig(path, dpi=DPI)


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _plain(text: str) -> str:
    # Dollar signs would start matplotlib's mathematics.
    return str(text).replace("$", r"\$")
