"""The layers job: which layers of two encoders share features, and where cross-modal alignment concentrates.

Artifacts: `layers` (every cell), `pairs` (a row for each source and target), `concentration` (the share of the last
quarter) and `diagonal` (encoders with themselves), each as CSV and Parquet, described where they are made
(`layer_pairs`, `layer_summary`), and a PNG with heatmaps for each pair of encoders.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark import report
from benchmark.catalog import EncoderCard
from benchmark.errors import InputError
from benchmark.jobs.encoder_pairs import CROSS, TOWERS, relation
from benchmark.jobs.experiment import Findings, Material, run_experiment
from benchmark.jobs.experiment_configs import LayersConfig
from benchmark.jobs.layer_pairs import LayerMatrices, Names, calibrated, cell_table, layer_matrices
from benchmark.jobs.layer_summary import (
    Matrices,
    concentration_sentences,
    concentration_table,
    diagonal_sentences,
    diagonal_table,
    pair_table,
)
from benchmark.jobs.plan import Plan, make_plan
from benchmark.jobs.results import raise_failures
from benchmark.metrics.caveats import caveats

if TYPE_CHECKING:
    from benchmark.plots_layers import Row

VERSION = 1


def compare_layers(config: LayersConfig) -> int:
    """Run the `layers` command; returns its exit code."""
    plan = make_plan(config)
    _check(plan)
    return run_experiment("layers", [plan], answer, version=VERSION)


def answer(materials: Sequence[Material], folder: Path) -> Findings:
    """Compare the layers, write tables and heatmaps into the folder, and return what they come to."""
    (material,) = materials
    pairs = wanted_pairs(list(material.encoders.values()), len(material.plan.suite.seeds))
    if not pairs:
        raise_failures(material.failed, complete=len(material.encoders))
    matrices = layer_matrices(material, pairs)
    shallow = sorted({found.source for found in matrices.values() if len(found.source_layers) < 2})
    if shallow:
        raise InputError(f"layers needs two layers or more of each encoder, but {', '.join(shallow)} has one.")
    cards = material.encoders
    tables = {
        "layers": cell_table(matrices), "pairs": pair_table(matrices, cards),
        "concentration": concentration_table(matrices, cards), "diagonal": diagonal_table(matrices),
    }  # fmt: skip
    for name, table in tables.items():
        report.write(table, folder / name)
    draw(matrices, material, folder)
    return Findings(_text(material, tables), _metrics(tables))


def wanted_pairs(cards: Sequence[EncoderCard], seeds: int) -> set[Names]:
    """Return what is compared: image with text encoders (two encoders: these), and each with itself if seeds allow."""
    chosen = [
        frozenset((a.name, b.name))
        for a, b in itertools.combinations(cards, 2)
        if len(cards) == 2 or relation(a, b) in (TOWERS, CROSS)
    ]
    return {*chosen, *(frozenset([card.name]) for card in cards if seeds > 1)}


def require_layers(plan: Plan, command: str) -> None:
    """Raise InputError unless several layers are asked for."""
    if plan.layers != "all" and (plan.layers == "last" or len(plan.layers) < 2):
        raise InputError(
            f"{command} compares layers with each other: set layers to all or to two block indices or more."
        )


def _check(plan: Plan) -> None:
    require_layers(plan, "layers")
    if len(plan.encoders) == 1 and len(plan.suite.seeds) < 2:
        raise InputError(
            f"encoder '{plan.encoders[0].name}' alone is compared with itself across seeds; give two seeds or more."
        )
    if not wanted_pairs(plan.encoders, len(plan.suite.seeds)):
        raise InputError(
            "among more than two encoders, layers of an image encoder are compared with those of a text encoder, and "
            "each encoder's with its own across seeds; give both modalities, two encoders, or two seeds."
        )


def draw(matrices: Matrices, material: Material, folder: Path) -> None:
    """Write `layers-SOURCE-TARGET.png` with both directions of each pair of encoders, or of an encoder with itself."""
    from benchmark.plots_layers import layer_heatmaps

    for (source, target), found in matrices.items():
        if (folder / _figure(target, source)).exists():
            continue
        ways = [found] if found.own else [found, matrices[target, source]]
        who = f"{source} with itself across seeds" if found.own else f"{source} and {target}"
        layer_heatmaps(
            [heatmap_row(way, matrices) for way in ways],
            f"{who}: {material.dataset.name}, {report.counted(found.n_samples, 'sample')}, "
            f"{report.counted(len(found.fits), 'pair')} of seeds",
            folder / _figure(source, target),
            "Line: each source layer's best target layer. Parts add up to the cross-fitted value of all layers.",
        )


def _figure(source: str, target: str) -> str:
    return f"layers-{source}-{target}.png"


def heatmap_row(found: LayerMatrices, matrices: Matrices) -> "Row":
    """Return the panels of one direction: cells cross-fitted and above chance, and parts of all layers together."""
    from benchmark.plots_layers import Panel, Row

    chance, own = found.null("cell_null"), matrices.get((found.source, found.source))
    low, high = np.quantile(found.drawn("cells"), [0.025, 0.975], axis=0)
    about = f"95 % within ±{(high - low).max() / 2:.3f}"
    if own and not found.own:
        ceiling = np.diagonal(own.cells)
        about += f"; ceiling {ceiling.min():.2f} to {ceiling.max():.2f}"
    panels = [Panel(f"{found.source} → {found.target}, cross-fitted\n{about}", found.cells, "wMPPC")]
    if np.isfinite(chance).all():
        levels = f"naive, calibrated\nchance {chance.min():.2f} to {chance.max():.2f}"
        panels.append(Panel(levels, calibrated(found.naive, chance), "wMPPC"))
    panels.append(Panel(f"parts of the {found.overall:.2f} of all layers together", found.parts, "part of wMPPC"))
    return Row(found.source, found.target, found.source_layers, found.target_layers, panels)


def _text(material: Material, tables: Mapping[str, pd.DataFrame]) -> str:
    pairs, late = tables["pairs"], {}
    for row in tables["concentration"].query("what == 'parts' and axis == 'target'").to_dict("records"):
        late[row["source"], row["target"]] = f"{row['value']:.0%} ({row['low']:.0%} to {row['high']:.0%})"
    shown = [
        [
            row["source"], row["target"], row["relation"],
            f"{row['all_layers']:.3f} ({row['all_low']:.3f} to {row['all_high']:.3f})",
            f"{row['last']:.3f} ({row['last_low']:.3f} to {row['last_high']:.3f})",
            f"{row['chance_all']:.3f}, {row['chance_last']:.3f}",
            f"{row['source_layer']} and {row['target_layer']}: {row['highest']:.3f}",
            late.get((row["source"], row["target"]), ""),
        ]
        for row in pairs.to_dict("records")
    ]  # fmt: skip
    header = [
        "source",
        "target",
        "pair",
        "all layers (95 %)",
        "last layer (95 %)",
        "chance of both",
        "highest cell",
        "in last quarter",
    ]
    lines = [
        f"Cross-fitted wMPPC, {report.counted(int(pairs.n_samples.iloc[0]), 'sample')} of {material.dataset.name}; "
        "all layers: each source layer against all target layers together; in last quarter: what of it is due to "
        "partners in the last quarter of the target's layers",
        "", report.text_table(header, shown), "", *concentration_sentences(tables["concentration"]),
        *diagonal_sentences(tables["diagonal"]), *cautions(material, pairs),
    ]  # fmt: skip
    return "\n".join(lines)


def cautions(material: Material, pairs: pd.DataFrame) -> Iterable[str]:
    """Yield what limits the figures of `pair_table`."""
    seeds = len(material.plan.suite.seeds)
    if seeds < 5:
        yield f"Intervals resample samples and {report.counted(seeds, 'seed')}: they hardly show how much seeds matter."
    for caveat in caveats(pairs.n_groups, pairs.chance_all):
        yield f"CAUTION: {caveat}"


def _metrics(tables: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    found: dict[str, float] = {"n_samples": float(tables["pairs"].n_samples.iloc[0])}
    for row in tables["pairs"].to_dict("records"):
        where = f"{row['source']}/{row['target']}"
        names = ("all_layers", "last", "chance_all", "chance_last", "calibrated_all", "highest")
        found |= {f"layers/{name}/{where}": row[name] for name in names}
    for row in tables["concentration"].to_dict("records"):
        where = f"{row['source']}/{row['target']}" if row["source"] else f"mean/{row['relation']}"
        found[f"layers/last_quarter_{row['what']}_{row['axis']}/{where}"] = row["value"]
    for row in tables["diagonal"].to_dict("records"):
        found[f"layers/diagonal_{row['measure']}/{row['encoder']}/{row['rows'].replace(' ', '')}"] = row["value"]
    return found
