"""Figures of matrices: PNG for papers and the MLflow UI, one self-contained HTML page for exploring."""

import html
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd


def heatmaps(
    matrices: Mapping[str, pd.DataFrame],
    title: str,
    path: Path,
    intervals: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]] | None = None,
) -> None:
    """Write a PNG with one annotated heatmap per matrix (sources in rows, targets in columns, values in 0..1).

    intervals: name of a matrix -> lower and upper ends, written under its values.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = max(len(next(iter(matrices.values()))), 3)
    columns = min(len(matrices), 2)
    rows = -(-len(matrices) // columns)
    cell = 0.95 if size <= 12 else 0.6
    figure = Figure(figsize=(columns * (size * cell + 2.2), rows * (size * cell * 0.8 + 1.6)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_plain(title))
    for index, (name, matrix) in enumerate(matrices.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        values = matrix.to_numpy(float)
        image = axes.imshow(values, cmap="viridis", vmin=0, vmax=1, aspect="auto")
        axes.set_title(_plain(name))
        axes.set_xticks(range(len(matrix.columns)), [_plain(c) for c in matrix.columns], rotation=40, ha="right")
        axes.set_yticks(range(len(matrix.index)), [_plain(r) for r in matrix.index])
        axes.set_xlabel("target (where partners are looked for)")
        axes.set_ylabel("source (whose features are looked for)")
        ends = [part.to_numpy(float) for part in (intervals or {}).get(name, ())]
        for (i, j), value in np.ndenumerate(values):
            text = "–" if np.isnan(value) else f"{value:.2f}"
            colour = "black" if np.isnan(value) or value > 0.6 else "white"
            below = bool(ends) and not np.isnan(value)
            font = 9 if size <= 12 else 6
            axes.text(j, i - 0.08 * below, text, ha="center", va="center", color=colour, fontsize=font)
            if below:
                text = " to ".join(f"{part[i, j]:.2f}" for part in ends)
                axes.text(j, i + 0.25, text, ha="center", va="center", color=colour, fontsize=font * 2 / 3)
        figure.colorbar(image, ax=axes, shrink=0.85, label="wMPPC")
    figure.savefig(path, dpi=130)


def interactive(cells: pd.DataFrame, order: list[str], measures: Mapping[str, str], title: str, path: Path) -> None:
    """Write a self-contained HTML page: one heatmap of `cells`, with buttons for the measures (column -> label)."""
    import plotly.graph_objects as go

    indexed = cells.set_index(["source", "target"])

    def matrix(column: str) -> list[list[float | None]]:
        return [[_cell(indexed, source, target, column) for target in order] for source in order]

    names = [html.escape(name) for name in order]
    hover = [
        [
            "<br>".join(
                [f"{html.escape(source)} → {html.escape(target)}"]
                + [f"{label}: {_number(_cell(indexed, source, target, column))}" for column, label in measures.items()]
                + [f"95 % interval: {_number(_cell(indexed, source, target, 'low'))} to "
                   f"{_number(_cell(indexed, source, target, 'high'))}"]
            )
            for target in order
        ]
        for source in order
    ]  # fmt: skip
    figure = go.Figure()
    for index, (column, label) in enumerate(measures.items()):
        values = matrix(column)
        texts = [[_number(value) for value in row] for row in values]
        figure.add_heatmap(
            z=values, x=names, y=names, text=texts, texttemplate="%{text}", hovertext=hover, hoverinfo="text",
            zmin=0, zmax=1, colorscale="Viridis", visible=index == 0, name=label, colorbar={"title": "wMPPC"},
        )  # fmt: skip
    buttons = [
        {"label": label, "method": "restyle", "args": [{"visible": [i == index for i in range(len(measures))]}]}
        for index, label in enumerate(measures.values())
    ]
    # Many buttons side by side would leave the page.
    menu = {"type": "buttons", "direction": "right"} if len(buttons) <= 5 else {"type": "dropdown", "direction": "down"}
    figure.update_layout(
        title=html.escape(title), xaxis_title="target", yaxis_title="source", yaxis_autorange="reversed",
        updatemenus=[{**menu, "x": 0, "y": 1.12, "xanchor": "left", "buttons": buttons}],
        margin={"t": 120}, template="plotly_white",
    )  # fmt: skip
    figure.write_html(path, include_plotlyjs=True, full_html=True)


def _cell(indexed: pd.DataFrame, source: str, target: str, column: str) -> float | None:
    if (source, target) not in indexed.index:
        return None
    value = float(indexed.loc[(source, target), column])  # type: ignore[arg-type]
    return None if np.isnan(value) else value


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _plain(text: str) -> str:
    # Dollar signs would start matplotlib's mathematics.
    return str(text).replace("$", r"\$")
