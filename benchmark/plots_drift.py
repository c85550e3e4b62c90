"""Figures of drift: how every cell of the matrix moved, and whether features are found again on variants."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

DPI = 110


def changes(table: pd.DataFrame, encoders: Sequence[str], title: str, path: Path) -> None:
    """Write a PNG: a heatmap a variant of how the cross-fitted wMPPC changed; bold cells moved (q <= 0.05)."""
    widest = "layer_mean" if "layer_mean" in set(table["aggregate"]) else "last"
    table = table[table["aggregate"] == widest]
    variants = list(dict.fromkeys(table.variant))
    columns = 2 if len(variants) in (2, 4) else min(len(variants), 3)
    rows, size = -(-len(variants) // columns), len(encoders)
    cell = max(0.35, min(0.85, 9 / size))
    figure = _figure(columns * (size * cell + 1.0) + 2.2, rows * (size * cell * 0.8 + 0.9) + 1.6)
    figure.suptitle(_plain(title))
    limit = max(float(table.change.abs().max()), 0.05)
    image = None
    for number, variant in enumerate(variants):
        axes = figure.add_subplot(rows, columns, number + 1)
        part = table[table.variant == variant].set_index(["source", "target"])
        matrix = part.change.unstack().reindex(index=encoders, columns=encoders)
        image = axes.imshow(matrix.to_numpy(float), cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto")
        for i, source in enumerate(encoders):
            for j, target in enumerate(encoders):
                if (source, target) not in part.index:
                    axes.text(j, i, "–", ha="center", va="center", fontsize=8)
                    continue
                row = part.loc[(source, target)]
                words = "=" if row["fixed"] else f"{row['change']:+.2f}".replace("-0.00", "+0.00")
                dark = abs(row["change"]) > 0.62 * limit
                axes.text(j, i, words, ha="center", va="center", fontsize=9 if size <= 8 else 6,
                          color="white" if dark else "black", weight="bold" if row["moved"] else "normal")  # fmt: skip
                if row["moved"]:
                    axes.add_patch(_frame(j, i))
        moved, tested = int(part.moved.sum()), int(part.p_value.notna().sum())
        axes.set_title(_plain(f"{variant}: {moved} of {tested} moved"), fontsize=10)
        left, bottom = number % columns == 0, number + columns >= len(variants)
        axes.set_xticks(range(size), [_plain(name) for name in encoders] if bottom else [], rotation=40, ha="right")
        axes.set_yticks(range(size), [_plain(name) for name in encoders] if left else [])
    figure.supxlabel("target", fontsize=10)
    figure.supylabel("source", fontsize=10)
    figure.colorbar(image, ax=figure.axes, shrink=0.7, label="change of cross-fitted wMPPC; framed: q ≤ 0.05")
    figure.savefig(path, dpi=DPI)


def correspondence(table: pd.DataFrame, title: str, path: Path) -> None:
    """Write a PNG: how much of each encoder's features is found again on a variant, against other seeds alone."""
    encoders, variants = list(dict.fromkeys(table.encoder)), list(dict.fromkeys(table.variant))
    figure = _figure(2.2 + 1.5 * len(encoders), 4.3)
    axes = figure.add_subplot()
    colours = ["0.25", "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"]
    width = 0.8 / max(len(variants), 1)
    for number, variant in enumerate(variants):
        for i, encoder in enumerate(encoders):
            part = table[(table.variant == variant) & (table.encoder == encoder)].set_index("pairs")
            x = i + (number - (len(variants) - 1) / 2) * width
            colour = colours[number % len(colours)]
            for pairs, marker in (("other", "o"), ("same", "^")):
                if pairs in part.index:
                    row = part.loc[pairs]
                    axes.vlines(x, row["low"], row["high"], color=colour, linewidth=1.5)
                    axes.plot(x, row["value"], marker, color=colour, markersize=6,
                              markerfacecolor=colour if pairs == "other" else "white")  # fmt: skip
                    axes.plot(x, row["chance"], "_", color=colour, markersize=8)
        axes.plot([], [], "s", color=colours[number % len(colours)],
                  label="plain (ceiling)" if variant == "plain" else _plain(variant))  # fmt: skip
    axes.plot([], [], "o", color="0.5", label="other seeds")
    axes.plot([], [], "^", color="0.5", markerfacecolor="white", label="same seeds")
    axes.plot([], [], "_", color="0.5", label="chance level (naive)")
    axes.set_xticks(range(len(encoders)), [_plain(name) for name in encoders])
    axes.set(ylim=(0, 1.02), ylabel="cross-fitted wMPPC, plain to variant")
    axes.set_title(_plain(f"{title}: features found again"), fontsize=10)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(path, dpi=DPI)


def _frame(x: float, y: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, fill=False, edgecolor="black", linewidth=1.4)


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _plain(text: str) -> str:
    # Dollar signs would start matplotlib's mathematics.
    return str(text).replace("$", r"\$")
