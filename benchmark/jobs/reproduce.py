"""The reproduce job: the first experiments of arXiv 2507.18512, on its encoders or on what stands in for them.

(a) the matrix of all encoders, all layers and last layers, with the paper's figures beside ours and the two orderings
that its reviewers found odd; (b) the layers of a vision encoder against its own under other seeds; (c) the ten features
of the contrastive image encoder that are found most in the text-only and least in the vision-only encoder.

Artifacts, tables as CSV and Parquet: `published` and `orderings` (`reproduced_values`), `pairs`, `layers` and
`diagonal` (`layer_summary`, `layer_pairs`; the last two of the vision encoder), `features` and `top_features`
(`distinguishing`); and `matrix.png`, `layers-VISION-VISION.png`, `top_features.png`.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark import report
from benchmark.errors import InputError
from benchmark.jobs.distinguishing import feature_table, pictures, top_table
from benchmark.jobs.experiment import Findings, Material, run_experiment
from benchmark.jobs.experiment_configs import ReproduceConfig
from benchmark.jobs.layer_pairs import cell_table, layer_matrices
from benchmark.jobs.layer_summary import Matrices, diagonal_sentences, diagonal_table, pair_table
from benchmark.jobs.layer_values import ALL, LAST, value_of
from benchmark.jobs.layers import cautions, draw, require_layers
from benchmark.jobs.plan import make_plan
from benchmark.jobs.published import CHANCE_AT_COCO, DATASETS, Roles, orderings, roles
from benchmark.jobs.reproduced_values import ordering_table, published_table
from benchmark.jobs.results import raise_failures

VERSION = 2
SIGNIFICANT = 0.05
"""Share of false discoveries among the features that count as found."""


def reproduce(config: ReproduceConfig) -> int:
    """Run the `reproduce` command; returns its exit code."""
    plan = make_plan(config)
    require_layers(plan, "reproduce")
    if len(plan.suite.seeds) < 2:
        raise InputError("reproduce compares an encoder's layers with its own under another seed; give two seeds.")
    who = roles(plan.encoders, config.image, config.vision, config.language)
    named = {part: card.name for part, card in who._asdict().items()}
    return run_experiment("reproduce", [plan], partial(answer, who=who), version=VERSION, settings=named, named=True)


def answer(materials: Sequence[Material], folder: Path, *, who: Roles) -> Findings:
    """Do the three experiments, write tables and figures into the folder, and return what they come to."""
    import registry

    (material,) = materials
    missing = [card.name for card in who if card.name not in material.encoders]
    if missing:
        raise_failures(material.failed, complete=len(material.encoders))
    cards = material.encoders
    matrices = layer_matrices(material, {frozenset(pair) for pair in itertools.product(cards, repeat=2)})
    vision = who.vision.name
    own = {(vision, vision): matrices[vision, vision]}
    features = feature_table(material, who.image.name, who.language.name, vision)
    first = who.image.name, material.plan.suite.seeds[0]
    features = registry.with_names(features, material.run_of(*first).run_id, typology="typology")
    tables = {
        "published": published_table(material, matrices, who),
        "orderings": ordering_table(matrices, orderings(list(cards.values()), who)),
        "pairs": pair_table(matrices, cards), "layers": cell_table(own), "diagonal": diagonal_table(own),
        "features": features, "top_features": top_table(material, features),
    }  # fmt: skip
    for name, table in tables.items():
        report.write(table, folder / name)
    _draw(material, matrices, who, tables["top_features"], folder)
    return Findings(_text(material, who, tables), _metrics(tables))


def _draw(material: Material, matrices: Matrices, who: Roles, top: pd.DataFrame, folder: Path) -> None:
    from benchmark import plots
    from benchmark.plots_features import feature_sheet

    order = list(material.encoders)
    title = f"{material.dataset.name}, {len(material.compared):,} {material.plan.suite.report_on[0]} samples"
    shown: dict[str, pd.DataFrame] = {}
    ends: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {}
    for layers, words in ((ALL, "all layers"), (LAST, "last layers")):
        values = {key: value_of(item, layers) for key, item in matrices.items()}
        shown[f"Cross-fitted wMPPC, {words}"] = _wide({key: value.crossfit for key, value in values.items()}, order)
        low, high = (_wide({key: value.interval[end] for key, value in values.items()}, order) for end in (0, 1))
        ends[f"Cross-fitted wMPPC, {words}"] = low, high
        chance = [value.chance for value in values.values() if np.isfinite(value.chance)]
        levels = f" (chance {min(chance):.2f} to {max(chance):.2f})" if chance else ""
        name = f"Naive wMPPC, {words}{levels}"
        shown[name] = _wide({key: value.naive for key, value in values.items()}, order)
    plots.heatmaps(shown, title, folder / "matrix.png", ends)
    vision = who.vision.name
    draw({(vision, vision): matrices[vision, vision]}, material, folder)
    images = pictures(material, top)
    feature_sheet(
        [_entry(row, images[row["feature"]], who) for row in top.to_dict("records")],
        f"{who.image.name}: the {len(top)} features found most in {who.language.name} and least in {vision} ({title})",
        folder / "top_features.png",
    )


def _wide(values: Mapping[tuple[str, str], float], order: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(np.nan, index=list(order), columns=list(order))
    for (source, target), value in values.items():
        table.loc[source, target] = value
    return table


def _entry(row: Mapping[Any, Any], images: Sequence[bytes], who: Roles) -> Any:
    from benchmark.plots_features import Entry

    def side(name: str, encoder: str) -> str:
        chance = f", chance {row[f'expected_{name}']:.2f}, q {row[f'q_{name}']:.3f}" if f"q_{name}" in row else ""
        return f"{encoder}: rho {row[f'rho_{name}']:.2f} (held out {row[f'held_out_{name}']:.2f}{chance})"

    name = f": {row['name']} ({row['typology']})" if row["name"] else ""
    return Entry(
        f"{row['rank']}. layer {row['layer']}, feature {row['feature']}{name}",
        [
            f"S {row['S_share']:.2%} of all, active on {row['density']:.1%} of samples",
            side("shared", who.language.name),
            side("absent", who.vision.name),
        ],
        [row["caption_1"], row["caption_2"]],
        images,
    )


def _text(material: Material, who: Roles, tables: Mapping[str, pd.DataFrame]) -> str:
    lines = [
        f"{material.dataset.name}: {report.counted(len(material.compared), 'sample')} compared, "
        f"{report.counted(len(material.plan.suite.seeds), 'seed')}",
        *_stand_ins(material, who),
        "", "(a) The paper's figures and ours (naive, as the paper's; 95 % intervals)", "",
        _published_text(tables["published"]), "",
        f"Above chance: the paper's value less the {CHANCE_AT_COCO[0]:.3f} to {CHANCE_AT_COCO[1]:.3f} that features "
        "with nothing in common reach at COCO's size, as a part of what is left to 1. Chance: ours, at this size.",
        "", "Orderings that the paper's reviewers found odd (cross-fitted)", *_ordering_sentences(tables["orderings"]),
        "", f"(b) Layers of {who.vision.name}", *diagonal_sentences(tables["diagonal"]),
        "", f"(c) Features of {who.image.name} that {who.language.name} has and {who.vision.name} has not",
        *_feature_sentences(tables["features"], tables["top_features"]), "", *cautions(material, tables["pairs"]),
    ]  # fmt: skip
    return "\n".join(lines)


def _stand_ins(material: Material, who: Roles) -> Iterable[str]:
    parts = [f"{name} for {part}" for part, name in who.stand_ins.items()]
    if parts:
        yield f"Stand-ins: {', '.join(parts)}. Their values are no test of the paper's; directions are a weak one."
    if material.plan.suite.dataset not in DATASETS:
        yield f"The paper's figures are of COCO; {material.dataset.name} is other data."


def _published_text(table: pd.DataFrame) -> str:
    def number(value: float) -> str:
        return "–" if np.isnan(value) else f"{value:.3f}"

    rows = []
    for row in table.to_dict("records"):
        interval = f" ({row['low']:.3f} to {row['high']:.3f})" if row["high"] > row["low"] else ""
        rows.append([
            row["what"], row["layers"], row["printed"],
            f"{row['above_chance_low']:.3f} to {row['above_chance_high']:.3f}" if row["above_chance_low"] >= 0 else "–",
            number(row["ours"]) + interval, number(row["chance"]),
            number(row["crossfit"]), row["agrees"] + (f"; direction: {row['direction']}" if row["direction"] else ""),
        ])  # fmt: skip
    return report.text_table(
        ["what", "layers", "paper", "above chance", "ours", "chance", "cross-fitted", "agrees"], rows
    )


def _ordering_sentences(table: pd.DataFrame) -> Iterable[str]:
    words = {"yes": "holds", "no": "does not hold", "undecided": "is undecided"}
    ways = table.set_index(["claim", "source", "near", "far", "layers", "direction"]).holds
    for row in table[table.direction == "from"].to_dict("records"):
        key = tuple(row[name] for name in ("claim", "source", "near", "far", "layers"))
        back = words[ways[(*key, "to")]]
        if row["layers"] == ALL:
            yield f"{row['claim']}" + (f" [{row['stand_in']}]" if row["stand_in"] else "")
        calibrated = row["calibrated_difference"]
        above = "" if np.isnan(calibrated) else f", calibrated {calibrated:+.3f}"
        yield (
            f"  {row['layers']} layers: {words[row['holds']]}; {row['near']} {row['crossfit_near']:.3f}, {row['far']} "
            f"{row['crossfit_far']:.3f}, difference {row['crossfit_difference']:+.3f} ({row['low']:+.3f} to "
            f"{row['high']:+.3f}); naive {row['naive_difference']:+.3f}{above}; into {row['source']} instead of from "
            f"it: {back}"
        )


def _feature_sentences(features: pd.DataFrame, top: pd.DataFrame) -> Iterable[str]:
    yield (
        f"{(features.delta > 0).mean():.0%} of {len(features):,} active features have a positive Delta (half would, if "
        f"both encoders were no different). The first {len(top)}:"
    )
    for row in top.to_dict("records"):
        q = f", q {row['q_shared']:.3f}" if "q_shared" in row else ""
        name = f", {row['name']} ({row['typology']})" if row["name"] else ""
        again = f"; next seed: rho {row['again_rho']:.2f}, top {row['again_rank']:.1%}" if "again" in row else ""
        yield (
            f"{row['rank']:>2}. feature {row['feature']}{name}: rho {row['rho_shared']:.2f} (held out "
            f"{row['held_out_shared']:.2f}{q}) against {row['rho_absent']:.2f}{again}; {row['caption_1']!r}"
        )
    if not (features["name"] != "").any():
        yield "They have no names yet: `name` gives them some, with layers (here: all), suite and dataset as here."
    if "q_absent" in top:
        found = int((top.q_absent <= SIGNIFICANT).sum())
        yield (
            f"{found} of these {len(top)} are found beyond chance (q up to {SIGNIFICANT}) on the side that should lack "
            "them too: Delta ranks by degree, it does not say that a feature is absent."
        )


def _metrics(tables: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    found: dict[str, float] = {"n_samples": float(tables["pairs"].n_samples.iloc[0])}
    for row in tables["published"].to_dict("records"):
        where = f"{row['claim']}/{row['layers'].replace(' ', '')}"
        found |= {f"reproduce/{name}/{where}": row[name] for name in ("ours", "chance", "crossfit")}
    for row in tables["orderings"].to_dict("records"):
        where = f"{row['source']}/{row['near']}/{row['far']}/{row['direction']}/{row['layers']}"
        found[f"reproduce/nearer/{where}"] = row["crossfit_difference"]
    for row in tables["diagonal"].to_dict("records"):
        found[f"reproduce/diagonal_{row['measure']}/{row['encoder']}/{row['rows'].replace(' ', '')}"] = row["value"]
    found["reproduce/positive_delta"] = float((tables["features"].delta > 0).mean())
    return found
