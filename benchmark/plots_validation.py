"""Figures of `validate`: estimates against the truth, errors, chance, AUC, and what the weights are worth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ESTIMATES = {
    "naive": ("naive", "#b2182b"),
    "calibrated": ("calibrated", "#e08214"),
    "crossfit": ("cross-fitted", "#2166ac"),
}
"""Column -> (label, colour)."""
RANKINGS = {
    "Delta": ("Δ as defined", "#2166ac", "o-"),
    "Delta, cross-fitted": ("Δ, cross-fitted ρ", "#67a9cf", "s--"),
    "without S": ("without S", "#b2182b", "o-"),
    "without S, cross-fitted": ("without S, cross-fitted ρ", "#ef8a62", "s--"),
}
"""Ranking -> (label, colour, line)."""
WEIGHTS = {"S": "S", "S_norm": "S × decoder norm", "frequency": "frequency"}
DPI = 100


def estimates(grid: pd.DataFrame, path: Path) -> None:
    """Write a PNG: every estimate of plain worlds against the truth, one panel per number of samples."""
    plain = grid[grid.condition == "plain"]
    sizes = sorted(plain.n_samples.unique())
    figure = _figure(2.9 * len(sizes) + 0.3, 3.7)
    top = max(plain[[*ESTIMATES, "truth"]].max().max(), 0.05) * 1.05
    for number, n in enumerate(sizes):
        axes = figure.add_subplot(1, len(sizes), number + 1)
        axes.plot([0, top], [0, top], color="0.75", linewidth=1, zorder=0)
        part = plain[plain.n_samples == n]
        for column, (label, colour) in ESTIMATES.items():
            mean = part.groupby("share")[["truth", column]].mean()
            axes.plot(mean.truth, mean[column], "o-", color=colour, markersize=4, linewidth=1.2, label=label)
        axes.set(xlim=(-0.02, top), ylim=(-0.02, top), title=f"{n:,} samples", xlabel="planted wMPPC")
        axes.set_aspect("equal")
        if number == 0:
            axes.set_ylabel("estimate")
        axes.grid(alpha=0.25)
    _legend_below(figure)
    figure.savefig(path, dpi=DPI)


def errors(grid: pd.DataFrame, path: Path) -> None:
    """Write a PNG: error of every estimate (mean over worlds) by number of samples, and the chance level.

    Plain worlds with the least and the most in common, and weak ones, whose counterparts follow fewer firings.
    """
    plain, weak = grid[grid.condition == "plain"], grid[grid.condition == "weak"]
    shares, sizes = sorted(plain.share.unique()), sorted(plain.n_samples.unique())
    panels = {f"{share:.0%} shared": plain[plain.share == share] for share in (shares[0], shares[-1])}
    for share in sorted(weak.share.unique()):
        panels[f"{share:.0%} shared, fidelity {weak.fidelity.iloc[0]:g}"] = weak[weak.share == share]
    figure = _figure(2.9 * (len(panels) + 1), 3.9)
    for number, (title, part) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels) + 1, number + 1)
        for column, (label, colour) in ESTIMATES.items():
            error = (part[column] - part.truth).groupby(part.n_samples).mean()
            axes.plot(error.index, error, "o-", color=colour, markersize=4, linewidth=1.2, label=label)
        axes.axhspan(-0.02, 0.02, color="0.9", zorder=0)
        axes.axhline(0, color="0.6", linewidth=0.8)
        if number == 0:
            axes.set_ylabel("estimate - truth")
        _samples_axis(axes, title, sizes)
    axes = figure.add_subplot(1, len(panels) + 1, len(panels) + 1)
    for column, label, style in (("chance", "wMPPC", "o-"), ("mppc_chance", "MPPC", "s--")):
        level = plain.groupby("n_samples")[column].mean()
        axes.plot(level.index, level, style, color="0.25", markersize=4, linewidth=1.2, label=label)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    _samples_axis(axes, "chance level", sizes)
    _legend_below(figure)
    figure.savefig(path, dpi=DPI)


def sharedness(grid: pd.DataFrame, path: Path) -> None:
    """Write a PNG: AUC and precision among the top 1 % of every ranking, by number of samples and fidelity."""
    levels, sizes = sorted(grid.fidelity.unique(), reverse=True), sorted(grid.n_samples.unique())
    figure = _figure(4.3 * len(levels) + 0.3, 6.6)
    for row, (column, label) in enumerate((("auc", "AUC"), ("precision", "precision among the top 1 %"))):
        for number, fidelity in enumerate(levels):
            axes = figure.add_subplot(2, len(levels), row * len(levels) + number + 1)
            part = grid[grid.fidelity == fidelity]
            for ranking, (name, colour, style) in RANKINGS.items():
                mean = part[part.ranking == ranking].groupby("n_samples")[column].mean()
                axes.plot(mean.index, mean, style, color=colour, markersize=4, linewidth=1.2, label=name)
            _samples_axis(axes, f"fidelity {fidelity:g}", sizes)
            axes.set_ylim((0.45, 1.02) if column == "auc" else (0, 1.04))
            if number == 0:
                axes.set_ylabel(label)
    _legend_below(figure)
    figure.savefig(path, dpi=DPI)


def concepts(table: pd.DataFrame, auc: pd.DataFrame, path: Path) -> None:
    """Write a PNG: how well single features follow planted values, by factor and encoder, and the AUC per encoder."""
    encoders = list(auc.encoder)
    captioned = table.groupby("factor", sort=False).captioned.first().sort_values(ascending=False, kind="stable")
    mean = table.groupby(["factor", "encoder"]).rho_crossfit.mean().unstack().reindex(captioned.index)[encoders]
    figure = _figure(2.4 + 1.1 * len(encoders), 1.9 + 0.36 * len(mean))
    axes = figure.add_subplot()
    image = axes.imshow(mean, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(mean.to_numpy()):
        axes.text(j, i, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.6 else "white", fontsize=9)
    labels = [f"{row.encoder}\nAUC {row.auc:.2f}" for row in auc.itertuples()]
    axes.set_xticks(range(len(encoders)), [_plain(label) for label in labels], rotation=25, ha="right")
    axes.set_yticks(range(len(mean)), [f"{name}{'' if yes else ' (not captioned)'}" for name, yes in captioned.items()])
    axes.axhline(captioned.sum() - 0.5, color="white", linewidth=2)
    figure.colorbar(image, ax=axes, label="cross-fitted ρ, mean over values")
    figure.savefig(path, dpi=DPI)


def weights(features: pd.DataFrame, path: Path) -> None:
    """Write a PNG: each feature's weight against what it is worth to reconstruction and probes, by weight.

    Of each encoder's first seed, the features that are worth something.
    """
    first = features.seed == features.groupby("encoder").seed.transform("min")
    live = features[first & (features.S > 0) & (features.fvu_loss > 0) & (features.probe_loss > 0)]
    columns = [*WEIGHTS, "fvu_loss", "probe_loss"]
    shares = live[columns] / live.groupby("encoder")[columns].transform("sum")
    encoders = list(dict.fromkeys(live.encoder))
    figure = _figure(9.3, 6.2)
    for row, (loss, label) in enumerate((("fvu_loss", "loss of FVU"), ("probe_loss", "loss of the probes"))):
        for number, (weight, title) in enumerate(WEIGHTS.items()):
            axes = figure.add_subplot(2, len(WEIGHTS), row * len(WEIGHTS) + number + 1)
            for colour, encoder in enumerate(encoders):
                part = shares[live.encoder == encoder]
                axes.plot(part[weight], part[loss], ".", color=f"C{colour}", markersize=2.5,
                          label=_plain(encoder))  # fmt: skip
            axes.set(xscale="log", yscale="log")
            axes.set_ylim(bottom=max(shares[loss].quantile(0.005), 1e-9))
            if row == 1:
                axes.set_xlabel(f"share of {title}")
            if number == 0:
                axes.set_ylabel(f"share of the {label}")
            axes.grid(alpha=0.25)
    _legend_below(figure, markerscale=5)
    figure.savefig(path, dpi=DPI)


def rarity(table: pd.DataFrame, path: Path) -> None:
    """Write a PNG: share of weight and worth, and rho, by decile of how often features fire."""
    figure = _figure(9.5, 4)
    lines = {
        "share of": {"S": ("S", "#2166ac"), "fvu_loss": ("loss of FVU", "#b2182b"),
                     "probe_loss": ("loss of the probes", "#e08214")},
        "mean over features": {"rho": ("ρ", "#762a83"), "rho_crossfit": ("ρ, cross-fitted", "#1b7837")},
    }  # fmt: skip
    for number, (label, columns) in enumerate(lines.items()):
        axes = figure.add_subplot(1, 2, number + 1)
        for column, (name, colour) in columns.items():
            axes.plot(table.decile, table[column], "o-", color=colour, markersize=4, linewidth=1.2, label=name)
        axes.set(xlabel="decile of features by how often they fire (1: rarest)", ylabel=label, ylim=(0, None))
        axes.set_xticks(table.decile)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=DPI)


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _legend_below(figure: Any, **more: Any) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, **more)


def _samples_axis(axes: Any, title: str, sizes: Sequence[int]) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(sizes, [f"{n / 1000:g}k" for n in sizes])
    axes.set(title=title, xlabel="samples")
    axes.grid(alpha=0.25)


def _plain(text: str) -> str:
    # Dollar signs would start matplotlib's mathematics.
    return str(text).replace("$", r"\$")
