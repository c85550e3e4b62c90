"""The figure of `consistency`: cells and alignment by dataset, kinds of shared features, and dictionaries elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

COLOURS = ("#2166ac", "#e08214", "#1b9e77", "#b2182b", "#762a83", "#4d4d4d", "#a6761d")


def figure(tables: Mapping[str, pd.DataFrame], modality: Mapping[str, str], title: str, path: Path) -> None:
    """Write a PNG with five or six panels.

    Args:
        tables: those of `jobs.consistency`.
        modality: of each encoder.
        title: of the figure.
        path: of the PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(16, 9.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title.replace("$", r"\$"))
    axes = [axis for row in np.ravel(figure.subfigures(2, 1)) for axis in row.subplots(1, 3)]
    names = list(modality)
    first = tables["differences"].iloc[0]
    pair = str(first["first"]), str(first["second"])
    chosen = tables["differences"]
    chosen = chosen[(chosen["first"] == pair[0]) & (chosen["second"] == pair[1])]
    _cells(axes[0], chosen, pair, modality)
    _differences(axes[1], chosen, pair, names)
    _alignment(axes[2], tables["datasets"])
    _types(axes[3], tables["typology"])
    _partners(axes[4], tables["partners"])
    _top(axes[5], tables["transfer"])
    figure.savefig(path, dpi=110)


def _cells(axes: Any, part: pd.DataFrame, pair: tuple[str, str], modality: Mapping[str, str]) -> None:
    """Draw every cell under both datasets; 95 % bars are those of the difference, on the vertical axis."""
    crossing = np.array([modality[s] != modality[t] for s, t in zip(part.source, part.target, strict=True)])
    for kind, colour, label in ((~crossing, COLOURS[0], "within a modality"), (crossing, COLOURS[1], "image and text")):
        own = part[kind]
        if len(own):
            axes.errorbar(
                own.first_value, own.second_value, 1.96 * own.error, fmt="o", color=colour, markersize=5, capsize=2,
                linewidth=1, label=label,
            )  # fmt: skip
    top = 1.08 * max(part.first_value.max(), part.second_value.max(), 0.05)
    axes.plot([0, top], [0, top], "--", color="0.5", linewidth=1, label="equal")
    axes.set(title="Cells (cross-fitted wMPPC; bars: 95 % of the difference)", xlabel=_plain(pair[0]),
             ylabel=_plain(pair[1]), xlim=(0, top), ylim=(0, top))  # fmt: skip
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="lower right")


def _differences(axes: Any, part: pd.DataFrame, pair: tuple[str, str], names: list[str]) -> None:
    matrix = part.pivot(index="source", columns="target", values="difference").reindex(index=names, columns=names)
    told = part.pivot(index="source", columns="target", values="resolved").reindex(index=names, columns=names)
    values = matrix.to_numpy(float)
    limit = max(float(np.nanmax(np.abs(values))), 1e-9)
    image = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if not np.isnan(value):
            colour = "white" if abs(value) > 0.6 * limit else "black"
            star = "*" if told.iloc[i, j] else ""
            axes.text(j, i, f"{value:+.3f}{star}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(names)), [_plain(name) for name in names], rotation=25, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), [_plain(name) for name in names], fontsize=8)
    axes.set(title=f"{_plain(pair[1])} minus {_plain(pair[0])} (*: 95 % interval excludes 0)", xlabel="target",
             ylabel="source")  # fmt: skip
    axes.figure.colorbar(image, ax=axes, shrink=0.85, label="difference of wMPPC")


def _alignment(axes: Any, datasets: pd.DataFrame) -> None:
    y = np.arange(len(datasets))[::-1]
    ends = np.abs(datasets[["low", "high"]].to_numpy().T - datasets.alignment.to_numpy())
    axes.errorbar(datasets.alignment, y, xerr=ends, fmt="o", color=COLOURS[0], capsize=3, label="alignment, 95 %")
    for column, marker, label in (
        ("chance", "|", "chance (naive)"), ("untrained", "x", "untrained"), ("ceiling", "d", "ceiling (seeds)"),
    ):  # fmt: skip
        axes.plot(datasets[column], y, marker, color="0.35", markersize=8, linestyle="none", label=label)
    axes.set_yticks(y, [_plain(name) for name in datasets.dataset])
    axes.set(title="Cross-modal alignment", xlabel="mean cross-fitted wMPPC", xlim=(0, 1),
             ylim=(-0.6, len(datasets) + 0.3))  # fmt: skip
    axes.grid(alpha=0.25, axis="x")
    axes.legend(fontsize=8, ncols=2, loc="upper center")


def _types(axes: Any, typology: pd.DataFrame) -> None:
    axes.set(title="Features with a positive Delta", ylabel="share of the weight S", ylim=(0, 1.2))
    if typology.empty:
        return
    names = list(dict.fromkeys(typology.encoder))
    datasets = list(dict.fromkeys(typology.dataset))
    width = 0.8 / len(datasets)
    for i, dataset in enumerate(datasets):
        part = typology[typology.dataset == dataset].set_index("encoder").reindex(names)
        at = np.arange(len(names)) + (i - (len(datasets) - 1) / 2) * width
        ends = np.abs(part[["weighted_share_low", "weighted_share_high"]].to_numpy().T - part.weighted_share.to_numpy())
        axes.bar(at, part.weighted_share, width * 0.92, color=COLOURS[i % len(COLOURS)], label=_plain(dataset))
        axes.errorbar(at, part.weighted_share, ends, fmt="none", color="black", capsize=2, linewidth=1)
        axes.hlines(part.weighted_share_by_chance, at - width / 2, at + width / 2, color="black", linestyle=":",
                    label="by chance" if i == 0 else None)  # fmt: skip
    kinds = typology.drop_duplicates("encoder").set_index("encoder")
    labels = [f"{_plain(name)}\n{kinds.shared_with[name]}, not {kinds.absent_from[name]}" for name in names]
    axes.set_xticks(range(len(names)), labels, fontsize=7.5, rotation=15)
    axes.legend(fontsize=8, ncols=3, loc="upper left")


def _partners(axes: Any, partners: pd.DataFrame) -> None:
    shown = {"own": "where trained", "refitted": "elsewhere, partners chosen anew", "kept": "elsewhere, same partners"}
    ways = partners.groupby(["trained_on", "applied_to"], sort=False)
    for i, (column, label) in enumerate(shown.items()):
        axes.bar(np.arange(len(ways)) + (i - 1) * 0.27, ways[column].mean(), 0.25, color=COLOURS[i], label=label)
    means = ways[list(shown)].mean().reset_index()
    labels = [f"{_plain(on)} →\n{_plain(to)}" for on, to in zip(means.trained_on, means.applied_to, strict=True)]
    axes.set_xticks(range(len(means)), labels, fontsize=8)
    axes.set(title="One dictionary on two datasets", ylabel="wMPPC between encoders (held out)")
    axes.set_ylim(0, 1.3 * max(float(means[list(shown)].to_numpy().max()), 0.05))
    axes.legend(fontsize=8)


def _top(axes: Any, transfer: pd.DataFrame) -> None:
    axes.set(title="Top 1 % by Delta: still on top elsewhere", ylabel="share of the features", ylim=(0, 1.2))
    if "share" not in transfer:
        return
    part = transfer[transfer["share"].notna()].groupby(["encoder", "trained_on", "applied_to"], sort=False)[
        ["share", "share_by_chance", "split_half"]
    ].mean().reset_index()  # fmt: skip
    names = list(dict.fromkeys(part.encoder))
    ways = list(dict.fromkeys(zip(part.trained_on, part.applied_to, strict=True)))
    width = 0.8 / len(ways)
    for i, (on, to) in enumerate(ways):
        own = part[(part.trained_on == on) & (part.applied_to == to)].set_index("encoder").reindex(names)
        at = np.arange(len(names)) + (i - (len(ways) - 1) / 2) * width
        axes.bar(at, own["share"], width * 0.92, color=COLOURS[i % len(COLOURS)], label=f"{_plain(on)} → {_plain(to)}")
        for column, style, label in (("share_by_chance", ":", "by chance given S"),
                                     ("split_half", "-", "halves of one dataset")):  # fmt: skip
            axes.hlines(own[column], at - width / 2, at + width / 2, color="black", linestyle=style, linewidth=1.3,
                        label=label if i == 0 else None)  # fmt: skip
    axes.set_xticks(range(len(names)), [_plain(name) for name in names], fontsize=8, rotation=15)
    axes.legend(fontsize=8, ncols=2, loc="upper left")


def _plain(text: object) -> str:
    # Dollar signs would start matplotlib's mathematics.
    return str(text).replace("$", r"\$")
