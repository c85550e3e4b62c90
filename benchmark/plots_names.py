"""The figure of the `name` command: how many features have a name, how well names detect, what they stand for."""

from pathlib import Path

import numpy as np
import pandas as pd

COLOURS = {
    "object": "#0072B2", "colour": "#D55E00", "relation": "#009E73", "place": "#E69F00", "count": "#CC79A7",
    "attribute": "#56B4E9", "other": "#999999", "unknown": "#DDDDDD",
}  # fmt: skip
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""
NAMED, CHANCE = "#0072B2", "#999999"


def naming_figure(names: pd.DataFrame, summary: pd.DataFrame, counts: pd.DataFrame, title: str, path: Path) -> None:
    """Write a PNG with three panels, one row an encoder.

    Left: share of the nameable features with a name, and under shuffled samples; middle: AUC of detection on held-out
    samples over named features (box: quartiles, whiskers: 5 to 95 %), and its mean for names of shuffled samples;
    right: kinds of names. Seeds and layers of an encoder are pooled.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    encoders = list(dict.fromkeys(summary.encoder))
    at = np.arange(len(encoders))[::-1]
    figure = Figure(figsize=(13, 0.55 * len(encoders) + 2.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title.replace("$", r"\$"))
    share, detect, kinds = figure.subplots(1, 3, sharey=True, width_ratios=[1, 1.1, 1.4])
    means = summary.groupby("encoder")[["named_share", "shuffled_share", "auc_shuffled"]].mean().loc[encoders]
    share.barh(at + 0.18, means.named_share, 0.36, color=NAMED, label="samples as they are")
    share.barh(at - 0.18, means.shuffled_share, 0.36, color=CHANCE, label="samples shuffled")
    share.set(xlim=(0, 1), xlabel="share of nameable features with a name", title="Named")
    named = names[(names["name"] != "") & names.auc.notna()]
    values = [named.auc[named.encoder == encoder].to_numpy() for encoder in encoders]
    detect.boxplot(
        values, positions=at, orientation="horizontal", widths=0.5, whis=(5, 95), showfliers=False, manage_ticks=False,
        patch_artist=True, boxprops={"facecolor": "#BBD7EA", "edgecolor": NAMED}, medianprops={"color": "black"},
    )  # fmt: skip
    detect.plot(means.auc_shuffled, at, "D", color=CHANCE, label="names of shuffled samples, mean")
    detect.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    detect.set(
        xlim=(0.4, 1), xlabel="AUC: caption holds the name, feature fires", title="Detection on held-out samples"
    )
    left = np.zeros(len(encoders))
    if len(counts):
        table = counts.groupby(["encoder", "typology"]).share.mean().unstack().reindex(encoders).fillna(0)
        for kind in (kind for kind in COLOURS if kind in table):
            kinds.barh(at, table[kind], 0.6, left=left, color=COLOURS[kind], label=kind)
            left += table[kind].to_numpy()
    kinds.set(xlim=(0, 1), xlabel="share of named features", title="What the names stand for")
    share.set_yticks(at, [encoder.replace("$", r"\$") for encoder in encoders])
    below = -0.55 / (0.55 * len(encoders) + 0.7)  # half an inch under the axes, however high they are
    for axes, columns in ((share, 1), (detect, 1), (kinds, 4)):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, below), ncols=columns,
                        fontsize=8, frameon=False)  # fmt: skip
    figure.savefig(path, dpi=130)
