"""The figure of `stability`: agreement of seeds by encoder and frequency, rankings, and what can be trusted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

COLOURS = ("#2166ac", "#e08214", "#1b9e77", "#b2182b", "#762a83", "#4d4d4d", "#a6761d")
VARIES = {"both": "weights and order", "init": "initial weights alone", "order": "order of samples alone"}
PUBLISHED = {"Llama-3-8B, 131k latents": 0.30, "Pythia-160m MLP": 0.53}
"""Share of latents that two seeds have in common by encoder and decoder (arXiv 2501.16615)."""


def figure(
    table: pd.DataFrame, deciles: pd.DataFrame, extra: Mapping[str, pd.DataFrame], title: str, path: Path
) -> None:
    """Write a PNG with two rows of panels; the last layer of every encoder.

    Args:
        table, deciles, extra: the tables of `jobs.stability`.
        title: of the figure.
        path: of the PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    last = table[table.layer == table.groupby("encoder").layer.transform("max")]
    names = list(dict.fromkeys(last.encoder))
    panels = 6 if "cell_ranks" in extra else 3
    figure: Any = Figure(figsize=(16, 4.4 * panels // 3 + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title.replace("$", r"\$"))
    # A row each, so that long names beside the panels of one leave the other as wide as it can be.
    axes = [axis for row in np.ravel(figure.subfigures(panels // 3, 1)) for axis in row.subplots(1, 3)]
    _agreement(axes[0], last, names)
    _decoders(axes[1], last, names)
    _by_decile(axes[2], deciles[deciles.layer == deciles.groupby("encoder").layer.transform("max")], names)
    if panels == 6:
        _ranks(axes[3], extra["cell_ranks"])
        _components(axes[4], extra["components"])
        _smallest(axes[5], extra["smallest_difference"])
    figure.savefig(path, dpi=110)


def _bars(names: list[str], groups: list[str]) -> tuple[np.ndarray, float]:
    return np.arange(len(names), dtype=float), 0.8 / len(groups)


def _agreement(axes: Any, table: pd.DataFrame, names: list[str]) -> None:
    kinds = [varies for varies in VARIES if varies in set(table.varies)]
    x, width = _bars(names, kinds)
    for i, varies in enumerate(kinds):
        part = table[table.varies == varies].set_index("encoder").reindex(names)
        at = x + (i - (len(kinds) - 1) / 2) * width
        ends = np.abs(part[["low", "high"]].to_numpy().T - part.crossfit.to_numpy())
        axes.bar(at, part.crossfit, width * 0.92, color=COLOURS[i], label=VARIES[varies])
        axes.errorbar(at, part.crossfit, ends, fmt="none", color="black", capsize=2, linewidth=1)
        for column, style, label in (("untrained_crossfit", "-", "untrained"), ("chance", ":", "chance (naive)")):
            axes.hlines(
                part[column], at - width / 2, at + width / 2, color="black", linestyle=style, linewidth=1.4,
                label=label if i == 0 else None,
            )  # fmt: skip
    axes.set(title="Two seeds of one encoder", ylabel="cross-fitted wMPPC", ylim=(0, 1.25))
    axes.set_yticks(np.linspace(0, 1, 6))
    _named(axes, names)
    axes.legend(fontsize=8, ncols=2, loc="upper left", title="seeds vary", title_fontsize=8)


def _decoders(axes: Any, table: pd.DataFrame, names: list[str]) -> None:
    both = table[table.varies == "both"].set_index("encoder").reindex(names)
    shown = {
        "decoder_shared_live": "decoder row", "both_shared_live": "decoder and encoder row",
        "untrained_decoder_shared": "decoder row, untrained",
    }  # fmt: skip
    x, width = _bars(names, list(shown))
    for i, (column, label) in enumerate(shown.items()):
        axes.bar(x + (i - 1) * width, both[column], width * 0.92, color=(*COLOURS[:2], "0.6")[i], label=label)
    for (name, share), style in zip(PUBLISHED.items(), ("--", ":"), strict=True):
        axes.axhline(share, color="0.25", linestyle=style, linewidth=1, label=f"published: {name}")
    axes.set(title="Latents that two seeds share (cosine > 0.7)", ylabel="share of live latents", ylim=(0, 1.35))
    axes.set_yticks(np.linspace(0, 1, 6))
    _named(axes, names)
    axes.legend(fontsize=7.5, ncols=2, loc="upper left", columnspacing=1)


def _by_decile(axes: Any, deciles: pd.DataFrame, names: list[str]) -> None:
    for i, name in enumerate(names):
        part = deciles[(deciles.encoder == name) & (deciles.varies == "both")]
        axes.plot(part.decile, part.correlation, "o-", markersize=3, color=COLOURS[i % len(COLOURS)], label=name)
    axes.set(
        title="By how often features fire", xlabel="decile of activation frequency (1: rarest)",
        ylabel="held-out correlation with the other seed", ylim=(0, 1),
    )  # fmt: skip
    axes.set_xticks(range(1, 11))
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)


def _ranks(axes: Any, cells: pd.DataFrame) -> None:
    seeds = [column for column in cells if str(column).startswith("seed_")]
    y = np.arange(len(cells))[::-1]
    for i, column in enumerate(seeds):
        axes.plot(
            cells[column], y, "o", markersize=4, alpha=0.8, color=COLOURS[i % len(COLOURS)],
            label=str(column).replace("_", " "),
        )  # fmt: skip
    axes.plot(cells.crossfit, y, "|", color="black", markersize=9, label="mean, all pairs of seeds")
    if len(cells) <= 30:
        labels = [f"{row.source} → {row.target}".replace("$", r"\$") for row in cells.itertuples()]
        axes.set_yticks(y, labels, fontsize=7)
    axes.set(title="Cells under each seed", xlabel="cross-fitted wMPPC")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, loc="lower right")


def _components(axes: Any, table: pd.DataFrame) -> None:
    table = table[table.encoder == ""]
    y = np.arange(len(table))[::-1]
    axes.barh(y, table.sd, color=COLOURS[0])
    for at, sd, share in zip(y, table.sd, table["share"], strict=True):
        axes.text(sd, at, f" {sd:.4f} ({share:.1%})", va="center", fontsize=8)
    axes.set_yticks(y, table["what"])
    axes.set(
        title="What a cell varies with (one seed a side)", xlabel="standard deviation of cross-fitted wMPPC",
        xlim=(0, 1.45 * max(float(table.sd.max()), 1e-9)),
    )  # fmt: skip
    axes.locator_params(axis="x", nbins=5)


def _smallest(axes: Any, table: pd.DataFrame) -> None:
    axes.plot(table.seeds, table.smallest_difference, "o-", color=COLOURS[3])
    axes.fill_between(table.seeds, table.low, table.high, color=COLOURS[3], alpha=0.15, label="its 95 % interval")
    for row in table.itertuples():
        axes.annotate(f"{row.smallest_difference:.3f}", (row.seeds, row.smallest_difference), (3, 5),
                      textcoords="offset points", fontsize=8)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(list(table.seeds), [str(seeds) for seeds in table.seeds])
    axes.minorticks_off()
    axes.set(
        title="Smallest difference of two cells to trust (95 %)", xlabel="seeds of each encoder",
        ylabel="difference of cross-fitted wMPPC",
        ylim=(0, 1.15 * max(float(table[["smallest_difference", "high"]].max().max()), 1e-9)),
    )  # fmt: skip
    axes.grid(alpha=0.25)


def _named(axes: Any, names: list[str]) -> None:
    axes.set_xticks(range(len(names)), [name.replace("$", r"\$") for name in names], rotation=25, ha="right")
