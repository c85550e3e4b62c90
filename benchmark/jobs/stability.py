"""The command `stability`: how far results depend on the seed, and which differences can be trusted.

Tables it leaves (CSV and Parquet), one row per ...

- `stability`: encoder, layer and what the seeds vary (both; init: initial weights alone; order: that of samples alone).
  Means over pairs of seeds of the columns of `seed_pairs`, low and high of the cross-fitted one (seeds and groups
  resampled), untrained_... (the first two seeds before training), and mean, _sd, _min, _max of fvu and dead over seeds.
- `seed_pairs`: the same and ordered pair of seeds; crossfit, naive, chance, calibrated, p_value; decoder_shared (share
  of latents with a one-to-one partner at a cosine above 0.7), both_shared (encoder and decoder), mcc (mean cosine of
  partners), and each over live latents alone (_live).
- `deciles`: the same and decile of activation frequency (1 the rarest): frequency, share of the weight, held-out
  correlation, decoder_cosine, decoder_shared, both_shared, features.
- `thresholds`: encoder, layer, varies and threshold (a cosine, 0.30 to 0.95 in steps of 0.05): decoder_shared_live, the
  share of one seed's live latents whose one-to-one (Hungarian) partner in the other seed's dictionary is closer than
  that, mean over ordered pairs of seeds; untrained, the same of all latents of the first two seeds' initial weights
  (empty for `order`, whose seeds share them).
- `top_features`: encoder and ordered pair of seeds, `cell_ranks`: cell, `rank_agreement`: ranking, `components`:
  component of a cell's variance, `smallest_difference`: number of seeds; see `stability_board`.
- `saes`: SAE, with `varies`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark import report
from benchmark.errors import InputError
from benchmark.jobs.experiment import Findings, Material, run_experiment
from benchmark.jobs.experiment_configs import StabilityConfig
from benchmark.jobs.plan import Plan, make_plan
from benchmark.jobs.results import sae_table
from benchmark.jobs.stability_board import agreement_of_ranks, board, cell_ranks, top_lists, variance
from benchmark.jobs.stability_pairs import THRESHOLDS, Layer, SeedPairs, Untrained, seed_pairs, spread, untrained_pairs
from benchmark.jobs.stability_text import sentences

VARIES = ("both", "init", "order")
METRICS = ("crossfit", "low", "high", "decoder_shared_live", "both_shared_live", "mcc", "fvu_sd", "dead_sd")
"""Columns of `stability` that are metrics, `stability/COLUMN/VARIES/ENCODER` (its last layer)."""


def stability(config: StabilityConfig) -> int:
    """Run the `stability` command; returns its exit code."""
    plans = stability_plans(config)
    return run_experiment("stability", plans, answer, version=2, settings={"separate": config.separate})


def stability_plans(config: StabilityConfig) -> list[Plan]:
    """Return the plan of seeds that vary both, and of those that vary initial weights and order alone.

    Raises InputError for fewer than two seeds, and for init_seed or order_seed, which the command sets itself.
    """
    if config.init_seed is not None or config.order_seed is not None:
        raise InputError("stability sets init_seed and order_seed itself; leave them out.")
    plan = make_plan(config)
    if len(plan.suite.seeds) < 2:
        raise InputError("stability compares seeds of one encoder; give two or more (five say more).")
    if not config.separate:
        return [plan]
    first = plan.suite.seeds[0]
    return [plan, make_plan(replace(config, order_seed=first)), make_plan(replace(config, init_seed=first))]


def answer(materials: Sequence[Material], folder: Path) -> Findings:
    """Write the tables and the figure; see the module."""
    from benchmark import plots_stability

    varied = dict(zip(VARIES, materials, strict=False))
    pairs = {varies: seed_pairs(material, varies) for varies, material in varied.items()}
    before = untrained_pairs(materials[0])
    table = _table(varied, pairs, before)
    parts = None
    extra: dict[str, pd.DataFrame] = {}
    if len(materials[0].encoders) > 1:
        found = board(materials[0])
        parts, extra["components"], extra["smallest_difference"] = variance(found)
        kinds = {name: card.kind for name, card in materials[0].encoders.items()}
        extra["cell_ranks"], extra["rank_agreement"] = cell_ranks(found), agreement_of_ranks(found, kinds)
        extra["top_features"] = top_lists(materials[0], found)
    saes = pd.concat([sae_table(material.trained).assign(varies=varies) for varies, material in varied.items()])
    tables = {
        "stability": table, "seed_pairs": pd.concat([part.pairs for part in pairs.values()]),
        "deciles": pd.concat([part.deciles for part in pairs.values()]),
        "thresholds": _thresholds(pairs, before), "saes": saes, **extra,
    }  # fmt: skip
    for name, frame in tables.items():
        report.write(frame.reset_index(drop=True), folder / name)
    suite = materials[0].plan.suite
    title = (
        f"{suite.name}: {materials[0].dataset.name}, {len(suite.seeds)} seeds, "
        f"{len(materials[0].compared):,} {suite.report_on[0]} samples"
    )
    plots_stability.figure(table, tables["deciles"], extra, title, folder / "stability.png")
    text = sentences(tables, parts, len(suite.seeds))
    (folder / "stability.txt").write_text(text + "\n", encoding="utf-8")
    metrics = {
        f"stability/{column}/{row['varies']}/{row['encoder']}": row[column]
        for row in table.sort_values("layer").to_dict("records")
        for column in METRICS
    }
    if parts is not None:
        metrics |= {
            "stability/smallest_difference": parts.smallest_difference(len(suite.seeds)),
            **{f"stability/sd/{name}": value**0.5 for name, value in parts._asdict().items()},
        }
        for row in extra["rank_agreement"].to_dict("records"):
            for name in ("tau", "low", "high", "same_order"):
                metrics[f"stability/rank_{name}/{row['ranking']}"] = row[name]
    top = extra.get("top_features", pd.DataFrame())
    for encoder, part in top.groupby("encoder") if len(top) else ():
        metrics[f"stability/top_agreement/{encoder}"] = float(part["share"].mean())
    return Findings(text, metrics)


def _table(varied: dict[str, Material], pairs: dict[str, SeedPairs], before: dict[Layer, Untrained]) -> pd.DataFrame:
    """Return one row per encoder, layer and what the seeds vary."""
    rows: list[dict[str, Any]] = []
    for varies, material in varied.items():
        quality = spread(sae_table(material.trained), {"fvu": "fvu", "dead": "dead"})
        for key, means in pairs[varies].means.items():
            if key not in before:  # it failed where both vary
                continue
            # Equal initial weights agree before training by construction, which is no floor.
            floor = before[key].figures
            if varies == "order":
                floor = dict.fromkeys(floor, np.nan)
            rows.append({
                "encoder": key[0], "layer": key[1], "varies": varies, "seeds": len(material.plan.suite.seeds),
                **means, **floor, **quality[key],
            })  # fmt: skip
    order = {name: i for i, name in enumerate(varied["both"].encoders)}
    rows.sort(key=lambda row: (order[row["encoder"]], row["layer"]))
    return pd.DataFrame(rows)


def _thresholds(pairs: dict[str, SeedPairs], before: dict[Layer, Untrained]) -> pd.DataFrame:
    """Return one row per encoder, layer, what the seeds vary and threshold."""
    floor = pd.DataFrame(
        [
            {"encoder": encoder, "layer": layer, "threshold": at, "untrained": share}
            for (encoder, layer), found in before.items()
            for at, share in zip(THRESHOLDS, found.shares, strict=True)
        ]
    )
    # An encoder that failed where both vary has no floor, and no row, as in `_table`.
    table = pd.concat([part.thresholds for part in pairs.values()]).merge(floor, how="inner")
    table["untrained"] = table.untrained.mask(table.varies == "order")
    return table
