"""The `health` command: every sign that a suite's comparison cannot be trusted, checked encoder by encoder.

The table `health` of a run has one row per check and subject (an encoder, or `data`): check, subject, status (ok, warn,
fail; unknown where it cannot be checked), value, limit, where, sentence, advice. `values` has the cross-fitted values
of every source layer with every target, which the checks of modalities look at, and `own` those between seeds.

An unhealthy suite is an answer, not a failure of the command: it ends with exit code 0 all the same. Programs read the
tag `health` (ok, warn or fail), the tags `health_fail` and `health_warn` (names of checks) or the metrics.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmark import report
from benchmark.health import FAIL, OK, STATUSES, WARN, Check, checks_with, sentences, worst
from benchmark.jobs.experiment import Findings, Material, run_experiment
from benchmark.jobs.experiment_configs import HealthConfig
from benchmark.jobs.health_values import DATA, data_checks, feature_checks, layer_values, own_values
from benchmark.jobs.pair_similarity import contrastive_pairs
from benchmark.jobs.plan import make_plan
from benchmark.jobs.results import sae_table
from benchmark.metrics.health_checks import comparison_checks
from benchmark.sae.health_checks import sae_checks

VERSION = 1


def health(config: HealthConfig) -> int:
    """Run the `health` command; returns its exit code."""
    return run_experiment("health", [make_plan(config)], _answer, version=VERSION)


def _answer(materials: Sequence[Material], folder: Path) -> Findings:
    (material,) = materials
    cards = material.encoders
    saes = sae_table(material.trained)
    values, own = layer_values(material), own_values(material)
    found = [*data_checks(material), *_trained(material)]
    for name in cards:
        part = saes[saes.encoder == name].select_dtypes("number").to_dict("records")
        found += sae_checks([{str(k): float(v) for k, v in row.items()} for row in part], name)
        found += feature_checks(material, name)
    twins = [(a.name, b.name) for a, b in contrastive_pairs(list(cards.values()))]
    found += comparison_checks(values, own, {name: card.modality for name, card in cards.items()}, twins)
    table = pd.DataFrame(found, columns=list(Check._fields)).astype({"value": float, "limit": float})
    for name, frame in (("health", table), ("values", values), ("own", own)):
        report.write(frame, folder / name)
    counts = {f"health/{status}": float((table.status == status).sum()) for status in STATUSES}
    tags = {
        "health": worst(found),
        "health_fail": ",".join(checks_with(found, FAIL)) or "none",
        "health_warn": ",".join(checks_with(found, WARN)) or "none",
    }
    return Findings(_text(found, [DATA, *cards, *material.failed]), counts, tags)


def _trained(material: Material) -> list[Check]:
    """Return the check `trains`: an encoder without SAEs fails, with what stopped it; other checks are silent of it."""
    nan = float("nan")
    advice = "If all its vectors are nearly the same, check its token rule; its FAILED run has the whole error."
    return [
        *(Check("trains", name, OK, nan, nan, "", "", "") for name in material.encoders),
        *(Check("trains", name, FAIL, nan, nan, "", error, advice) for name, error in material.failed.items()),
    ]


def _text(found: Sequence[Check], subjects: Sequence[str]) -> str:
    """Return a table of statuses, and a line for whatever is not ok."""
    by_place = {(item.check, item.subject): item.status for item in found}
    checks = list(dict.fromkeys(item.check for item in found))
    rows = [[check, *(by_place.get((check, name), "") for name in subjects)] for check in checks]
    return "\n".join([
        report.text_table(["check", *subjects], rows), *sentences(found), f"\nHealth of the suite: {worst(found)}."
    ])  # fmt: skip
