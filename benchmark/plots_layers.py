"""Heatmaps of layers against layers: source depth upwards, target depth to the right, a line through the best cells."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ANNOTATED = 6
"""Layers up to which every cell's value is written."""


class Panel(NamedTuple):
    """One heatmap."""

    title: str
    values: NDArray[np.float64]
    """(La, Lb); NaN cells stay empty."""
    label: str
    """Of the colours, with the unit."""


class Row(NamedTuple):
    """The panels of one direction."""

    source: str
    target: str
    source_layers: Sequence[int]
    target_layers: Sequence[int]
    panels: Sequence[Panel]


def layer_heatmaps(rows: Sequence[Row], title: str, path: Path, note: str = "") -> None:
    """Write a PNG with a row of heatmaps for each direction; the line joins each source layer's highest cell.

    Panels of one label share their colours. Axes are normalised: 0 is an encoder's first block, 1 its deepest chosen
    one, so that encoders of different length line up.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(len(row.panels) for row in rows)
    figure = Figure(figsize=(4.7 * columns, 4.1 * len(rows) + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_plain(title))
    if note:
        figure.supxlabel(_plain(note), fontsize=9)
    tops = _tops(rows)
    for r, row in enumerate(rows):
        for c, panel in enumerate(row.panels):
            axes = figure.add_subplot(len(rows), columns, r * columns + c + 1)
            x, y = _edges(row.target_layers), _edges(row.source_layers)
            image = axes.pcolormesh(x, y, panel.values, cmap="viridis", vmin=0, vmax=tops[panel.label])
            centres = _depth(row.target_layers), _depth(row.source_layers)
            best = np.nanargmax(panel.values, axis=1)
            axes.plot(centres[0][best], centres[1], "-", color="white", linewidth=3)
            axes.plot(centres[0][best], centres[1], "o-", color="#d62728", markersize=4, linewidth=1.5)
            if max(panel.values.shape) <= ANNOTATED:
                for (i, j), value in np.ndenumerate(panel.values):
                    dark = value < 0.6 * tops[panel.label]
                    axes.annotate(
                        f"{value:.2f}", (centres[0][j], centres[1][i]), (-15, 8), textcoords="offset points",
                        ha="center", va="bottom", fontsize=8, color="white" if dark else "black",
                    )  # fmt: skip
            axes.set_title(_plain(panel.title), fontsize=10)
            axes.set_xlabel(f"{_plain(row.target)}: depth of target layer (block)", fontsize=9)
            axes.set_ylabel(f"{_plain(row.source)}: depth of source layer (block)", fontsize=9)
            axes.set_xticks(*_ticks(row.target_layers, "\n"))
            axes.set_yticks(*_ticks(row.source_layers, " "))
            figure.colorbar(image, ax=axes, shrink=0.9, label=panel.label)
    figure.savefig(path, dpi=120)


def _tops(rows: Sequence[Row]) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for row in rows:
        for panel in row.panels:
            found[panel.label] = max(found.get(panel.label, 0.01), float(np.nanmax(panel.values)))
    return found


def _depth(layers: Sequence[int]) -> NDArray[np.float64]:
    return np.asarray(layers, float) / max(layers[-1], 1)


def _edges(layers: Sequence[int]) -> NDArray[np.float64]:
    centres = _depth(layers)
    if len(centres) == 1:
        return centres[0] + np.array([-0.5, 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def _ticks(layers: Sequence[int], between: str) -> tuple[NDArray[np.float64], list[str]]:
    last = len(layers) - 1
    shown = sorted({round(place) for place in np.linspace(0, last, min(last, 4) + 1)})
    return _depth(layers)[shown], [f"{_depth(layers)[i]:.2f}{between}({layers[i]})" for i in shown]


def _plain(text: str) -> str:
    return text.replace("$", r"\$")
