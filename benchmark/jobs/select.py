"""The `select` command: what each image-text pair adds to cross-modal wMPPC, and whether that finds wrong pairs.

Tables of a run, as CSV and Parquet:

- `samples`: one row per compared sample. row, id, group, caption (cut); contribution (mean of image_to_text and
  text_to_image, each N times the change of the mean cross-modal wMPPC when the sample is left out); agreement (the same
  at fixed weights S); group_contribution (N times the change without the whole group, a sample of it); spread (standard
  deviation of contribution over pairs of seeds); rank, group_rank (1: the highest); keep.
- `pairs`: one row per image encoder, text encoder and their seeds: the cross-fitted values both ways with intervals,
  and under the first seeds the naive values with their chance levels.
- `injections`: one row per score (of a pair of encoders, or of `all`), rate of moved captions and draw: auc, precision.
- `detection`: the same, means over draws with 95 % intervals.
- `retraining`, `retrained` (retrain=true): one row per seed and subset; means over seeds with intervals, and the
  difference to a random subset of the same seed (gain).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from benchmark import plots_selection, report
from benchmark.errors import InputError
from benchmark.jobs.experiment import Findings, Material, run_experiment
from benchmark.jobs.experiment_configs import SelectConfig
from benchmark.jobs.feature_samples import cut
from benchmark.jobs.health_values import own_values
from benchmark.jobs.plan import Plan, make_plan
from benchmark.jobs.results import raise_failures
from benchmark.jobs.selection_injection import ALL, Baselines, captions_of, injected, summarised
from benchmark.jobs.selection_scores import PARTS, Scored, cross_pairs, ranked, scores
from benchmark.jobs.thumbnails import thumbnails
from benchmark.reporting.content import SETS
from benchmark.reporting.pairs_page import ShownPair, page

VERSION = 1
SHOWN = 35
"""Best and worst pairs on the page, each."""


def select(config: SelectConfig) -> int:
    """Run the `select` command; returns its exit code."""
    plan = make_plan(config)
    _check(config, plan)
    settings = {"keep": config.keep, "rates": list(config.rates), "draws": config.draws, "retrain": config.retrain}

    def answer(materials: Sequence[Material], folder: Path) -> Findings:
        return _answer(config, materials[0], folder)

    return run_experiment("select", [plan], answer, version=VERSION, settings=settings)


def _check(config: SelectConfig, plan: Plan) -> None:
    modalities = {card.modality for card in plan.encoders}
    if modalities != {"image", "text"}:
        given = ", ".join(f"{card.name} ({card.modality})" for card in plan.encoders)
        raise InputError(f"select needs at least one image and one text encoder, got {given}.")
    if not 0 < config.keep < 1:
        raise InputError(f"keep must lie between 0 and 1, got {config.keep}.")
    if config.draws < 1:
        raise InputError(f"draws must be at least 1, got {config.draws}.")
    if not config.rates or len(set(config.rates)) < len(config.rates) or not all(0 < r < 1 for r in config.rates):
        raise InputError(f"rates must be different shares between 0 and 1, got {','.join(map(str, config.rates))}.")


def _answer(config: SelectConfig, material: Material, folder: Path) -> Findings:
    if not cross_pairs(material):
        raise_failures(material.failed, complete=len(material.encoders))
    if config.retrain:
        from benchmark.jobs.selection_retraining import check_retraining

        check_retraining(material)
    plan, dataset, rows = material.plan, material.dataset, material.compared
    captions = captions_of(dataset, rows)
    found = scores(material)
    table = ranked(found.samples, config.keep)
    about = {
        "row": rows, "id": [dataset.ids[i] for i in rows], "group": dataset.groups[rows],
        "caption": [cut(text) for text in captions],
    }  # fmt: skip
    samples = pd.concat([pd.DataFrame(about), table], axis=1)
    report.write(samples, folder / "samples")
    report.write(found.pairs, folder / "pairs")
    baselines = Baselines(material)
    injections, example = injected(material, baselines, config.rates, config.draws)
    report.write(injections, folder / "injections")
    name = f"{plan.suite.name}: {dataset.name}, {len(rows):,} {SETS[plan.suite.report_on[0]]}"
    middle = sorted(config.rates)[len(config.rates) // 2]
    plots_selection.contributions(
        table.contribution.to_numpy(), config.keep, example, middle, name, folder / "contributions.png"
    )
    (folder / "pairs.html").write_text(_page(material, samples, name), encoding="utf-8")
    ceiling = float(own_values(material).value.mean())
    values, reliability = {**_values(found), "ceiling": ceiling}, _reliability(found)
    texts, metrics = [_value_text(found, values)], {**values, **reliability}
    texts.append(_reliability_text(reliability))
    if len(injections):
        summary = summarised(injections, ["image", "text", "score", "rate"], ["auc", "precision"])
        report.write(summary, folder / "detection")
        plots_selection.detection(summary, name, folder / "detection.png")
        texts.append(_detection_text(summary))
        for row in summary[summary.image == ALL].to_dict("records"):
            metrics[f"auc/{row['score']}/{row['rate']:g}"] = row["auc"]
    else:
        texts.append("No caption is wrong beside another image (all read the same): wrong pairs cannot be planted.")
    if config.retrain:
        text, more = _retrain(material, baselines, name, folder)
        texts.append(text)
        metrics |= more
    metrics |= {"n_samples": float(len(rows)), "kept": float(table.keep.sum())}
    return Findings("\n\n".join(texts), {f"select/{key}": value for key, value in metrics.items()})


def _values(found: Scored) -> dict[str, float]:
    return {
        "wmppc_crossfit": float(found.pairs[list(PARTS)].to_numpy().mean()),
        "low": found.interval[0], "high": found.interval[1],
        **{name: float(found.pairs[name].mean()) for name in PARTS},
        "chance": float(found.pairs[[f"{name}_chance" for name in PARTS]].mean().mean()),
        "naive": float(found.pairs[[f"{name}_naive" for name in PARTS]].mean().mean()),
    }  # fmt: skip


def _value_text(found: Scored, values: dict[str, float]) -> str:
    contribution, ceiling = found.samples.contribution, ""
    if np.isfinite(values["ceiling"]):
        ceiling = f"Two seeds of one encoder agree on {values['ceiling']:.3f}, the ceiling. "
    return (
        f"Mean cross-modal wMPPC, cross-fitted: {values['wmppc_crossfit']:.3f} ({values['low']:.3f} to "
        f"{values['high']:.3f} when groups of samples are resampled; naive {values['naive']:.3f} at a chance level of "
        f"{values['chance']:.3f}); image to text {values['image_to_text']:.3f}, text to image "
        f"{values['text_to_image']:.3f}. {ceiling}{(contribution < 0).mean():.0%} of the {len(contribution):,} pairs "
        "lower it."
    )


def _reliability(found: Scored) -> dict[str, float]:
    """Return Spearman correlations of contributions: under other seeds, and by pairs without a common encoder."""

    def mean(pairs: list) -> float:
        return float(np.mean([spearmanr(a, b).statistic for a, b in pairs])) if pairs else float("nan")

    seeds = [(a, b) for i, a in enumerate(found.of_seeds) for b in found.of_seeds[i + 1 :]]
    names = list(found.of_encoders)
    apart = [
        (found.of_encoders[p], found.of_encoders[q])
        for i, p in enumerate(names) for q in names[i + 1 :] if not set(p) & set(q)
    ]  # fmt: skip
    return {"spearman_seeds": mean(seeds), "spearman_encoders": mean(apart)}


def _reliability_text(found: dict[str, float]) -> str:
    sentences = []
    if np.isfinite(found["spearman_seeds"]):
        sentences.append(f"under other seeds of the SAEs {found['spearman_seeds']:.2f}")
    if np.isfinite(found["spearman_encoders"]):
        sentences.append(f"by two pairs of encoders that share none {found['spearman_encoders']:.2f}")
    if not sentences:
        return "One seed and no two pairs of different encoders: how reliable the ranking is cannot be told."
    return f"Spearman correlation of contributions, {', '.join(sentences)} (0: nothing in common)."


def _detection_text(summary: pd.DataFrame) -> str:
    shown = summary[(summary.image == ALL) | (summary.score.isin(["contribution", "similarity"]))]
    shown = shown.assign(encoders=[
        "all" if a == ALL else f"{a} × {b}" for a, b in zip(shown.image, shown.text, strict=True)
    ])  # fmt: skip
    rates = sorted(summary.rate.unique())
    lines = []
    for (encoders, score), part in shown.groupby(["encoders", "score"], sort=False):
        by_rate = {row["rate"]: row for row in part.to_dict("records")}
        lines.append([
            str(encoders), str(score),
            *(f"{row['auc']:.3f} ({row['auc_low']:.3f}–{row['auc_high']:.3f})" if (row := by_rate.get(rate)) else "–"
              for rate in rates),
        ])  # fmt: skip
    return (
        "AUC of finding pairs with another sample's caption, by share of captions moved (random order: 0.5; 95 % "
        "intervals of the mean over draws)\n"
        + report.text_table(["encoders", "score", *(f"{rate:g}" for rate in rates)], lines)
    )


def _retrain(material: Material, baselines: Baselines, name: str, folder: Path) -> tuple[str, dict[str, float]]:
    from benchmark.jobs.selection_retraining import EPOCHS, RATE, retrained

    measures = list(plots_selection.TITLES)
    table = retrained(material, baselines)
    random = table[table.subset == "random"].set_index("seed")
    for measure in measures:
        table[f"{measure}_gain"] = table[measure] - table.seed.map(random[measure])
    every = [*measures, *(f"{measure}_gain" for measure in measures)]
    summary = summarised(table, ["subset"], ["size", "wrong", *every])
    report.write(table, folder / "retraining")
    report.write(summary, folder / "retrained")
    plots_selection.retraining(summary, table, f"{name}; {RATE:.0%} of the captions moved", folder / "retraining.png")
    lines = [
        [row["subset"], f"{row['size']:,.0f}", f"{row['wrong']:.2f}",
         *(f"{row[m]:.3f} ({row[f'{m}_low']:.3f}–{row[f'{m}_high']:.3f})" for m in measures),
         f"{row['r10_gain']:+.3f} ({row['r10_gain_low']:+.3f} to {row['r10_gain_high']:+.3f})"]
        for row in summary.to_dict("records")
    ]  # fmt: skip
    tested = int(table.tested.iloc[0])
    text = (
        f"Retrieval among {tested:,} others (by chance: recall {1 / tested:.3f} at 1, {10 / tested:.3f} at 10) by "
        f"a small contrastive pair trained for {EPOCHS} passes on each subset, {RATE:.0%} of the captions moved (means "
        f"over {summary.draws.max()} seeds, 95 % intervals)\n"
        + report.text_table(["subset", "pairs", "wrong", *plots_selection.TITLES.values(), "r10 over random"], lines)
    )
    metrics = {f"retrained/{row['subset']}/{m}": row[m] for row in summary.to_dict("records") for m in measures}
    return text, {key.replace(",", "").replace(" ", "_"): value for key, value in metrics.items()}


def _page(material: Material, samples: pd.DataFrame, name: str) -> str:
    dataset = material.dataset
    order = samples.sort_values("rank", kind="stable")
    some = min(SHOWN, len(order) // 2)
    parts = {"Lowest contributions": order.iloc[::-1][:some], "Highest contributions": order[:some]}
    words = {
        "Lowest contributions": "Where features of the image fire and their partners in the caption do not, or the "
        "other way round: wrong pairs, and right ones whose concepts the SAEs do not share.",
        "Highest contributions": "Whose features and partners fire together.",
    }
    small: dict[int, bytes] = {}
    numbers = dataset.image_numbers if dataset.has_images else None
    if numbers is not None:
        wanted = [int(row) for part in parts.values() for row in part.row]
        small = thumbnails(dataset, {int(numbers[row]): row for row in wanted})
    sections = [
        (title, words[title], [
            ShownPair(
                row["caption"], None if numbers is None else small[int(numbers[row["row"]])],
                f"{row['contribution']:+.2f} (rank {row['rank']:,})",
            )
            for row in part.to_dict("records")
        ])
        for title, part in parts.items()
    ]  # fmt: skip
    return page("Image-text pairs by contribution to cross-modal wMPPC", name, sections)
