"""Figures of `sweep`: agreement, FVU and dead share against k, one line per expansion."""

import html
from pathlib import Path
from typing import Any

import pandas as pd

PANELS = {
    "self": "self-value (between seeds)",
    "cross": "cross-value (between encoders)",
    "fvu": "FVU (dashed: PCA with k components)",
    "dead": "share of dead latents",
}
"""Column -> title."""
COLOURS = ("#2166ac", "#1b9e77", "#e08214", "#b2182b", "#762a83", "#4d4d4d")


def lines(table: pd.DataFrame, title: str, path: Path) -> None:
    """Write a PNG with one panel for each measure of the cells; bands are 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title.replace("$", r"\$"))
    ks = sorted(table.k.unique().tolist())  # evenly spaced: they are powers of 2, mostly
    for number, (column, label) in enumerate(PANELS.items()):
        axes = figure.add_subplot(2, 2, number + 1)
        for colour, expansion, part in _by_expansion(table):
            x = [ks.index(k) for k in part.k]
            axes.plot(x, part[column], "o-", color=colour, markersize=4, label=f"expansion {expansion}")
            if f"{column}_low" in part:
                axes.fill_between(x, part[f"{column}_low"], part[f"{column}_high"], color=colour, alpha=0.15)
        if column == "fvu":
            pca = table.groupby("k").pca_fvu.mean()
            axes.plot(range(len(ks)), pca, "--", color="0.5")
        axes.set_xticks(range(len(ks)), list(map(str, ks)))
        axes.set(title=label, xlabel="k (active latents a sample)")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
        if number == 0:
            axes.legend()
    figure.savefig(path, dpi=110)


def interactive(table: pd.DataFrame, title: str, path: Path) -> None:
    """Write the same as a self-contained HTML page."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=2, subplot_titles=list(PANELS.values()))
    for number, column in enumerate(PANELS):
        place = {"row": number // 2 + 1, "col": number % 2 + 1}
        for colour, expansion, part in _by_expansion(table):
            bars: dict[str, Any] = {}
            if f"{column}_low" in part:
                up, down = part[f"{column}_high"] - part[column], part[column] - part[f"{column}_low"]
                bars = {"error_y": {"array": up.to_list(), "arrayminus": down.to_list()}}
            figure.add_trace(
                go.Scatter(
                    x=part.k.astype(str).to_list(), y=part[column].to_list(),
                    mode="lines+markers", name=f"expansion {expansion}",
                    legendgroup=str(expansion), showlegend=number == 0, line={"color": colour}, **bars,
                ),
                **place,
            )  # fmt: skip
        if column == "fvu":
            pca = table.groupby("k").pca_fvu.mean()
            figure.add_trace(
                go.Scatter(
                    x=pca.index.astype(str).to_list(),
                    y=pca.to_list(),
                    mode="lines",
                    name="PCA",
                    line={"color": "grey", "dash": "dash"},
                ),
                **place,
            )
    figure.update_xaxes(type="category", title="k")
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(title=html.escape(title), template="plotly_white", height=800)
    figure.write_html(path, include_plotlyjs=True, full_html=True)


def _by_expansion(table: pd.DataFrame) -> list[tuple[str, int, pd.DataFrame]]:
    """Return (colour, expansion, its cells by k), smallest expansion first."""
    groups = table.sort_values("k").groupby("expansion")
    return [(COLOURS[i % len(COLOURS)], int(str(e)), part) for i, (e, part) in enumerate(groups)]
