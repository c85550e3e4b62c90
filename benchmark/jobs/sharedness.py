"""The sharedness job: which features of M encoders G share and encoders H lack, and what they are.

Artifacts: `features` (one row per feature of M and seed, with its name: sharedness_features.feature_table), `summary`
(one per M and seed), `partners` (with name and partner_name), `agreement` (between seeds), `association` (one per M,
seed and measure: do two groups share the same features?), `top` (the top 1 % with what activates them), and on data
with planted factors `planted` and `planted_values`. All are CSV and Parquet. Figures: sharedness.png, association.png,
top.png, planted.png; a page: top.html.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmark import report
from benchmark.catalog import EncoderCard
from benchmark.errors import InputError, unknown
from benchmark.features import Features, SparseFeatures
from benchmark.jobs.encoder_groups import Groups, groups_of, members, with_named
from benchmark.jobs.experiment import Findings, Material, run_experiment
from benchmark.jobs.experiment_configs import SharednessConfig
from benchmark.jobs.plan import Plan, make_plan
from benchmark.jobs.results import raise_failures
from benchmark.jobs.sharedness_association import association_table
from benchmark.jobs.sharedness_examples import top_table, write_pages
from benchmark.jobs.sharedness_features import Load, agreement, feature_table, partner_table, summary
from benchmark.jobs.sharedness_planted import planted_tables
from benchmark.jobs.sharedness_text import metrics, text
from benchmark.jobs.validation_factors import NUISANCES, planted_factors

VERSION = 2
QUESTIONS = {
    "text-vs-vision": (("vlm",), ("text",), ("vision",)),
    "vlm-vs-vision": (("vlm",), ("vlm",), ("vision",)),
}
"""Question -> M, G and H."""
NONE = "none"


def sharedness(config: SharednessConfig) -> int:
    """Run the `sharedness` command; returns its exit code."""
    plan, asked = questions(config)
    settings = {
        "shared_with": [",".join(each.shared_with) for each in asked],
        "absent_from": [",".join(each.absent_from) for each in asked],
        "beside": [",".join(each.beside) for each in asked], "source": [each.source for each in asked],
    }  # fmt: skip

    def answer(materials: Sequence[Material], folder: Path) -> Findings:
        return _answer(materials[0], asked, folder)

    return run_experiment("sharedness", [plan], answer, version=VERSION, settings=settings, named=True)


def questions(config: SharednessConfig) -> tuple[Plan, list[Groups]]:
    """Return the plan with the encoders that are needed, and the groups of each M.

    Raises InputError for an unknown question, encoder or class, and for groups that cannot be compared.
    """
    if config.question not in QUESTIONS:
        raise unknown("question", config.question, QUESTIONS)
    plan = make_plan(config)
    asked = dict(zip(("source", "shared_with", "absent_from"), QUESTIONS[config.question], strict=True))
    asked |= {name: given for name in asked if (given := getattr(config, name))}
    beside = config.beside or next(g for name, (_, g, _) in QUESTIONS.items() if name != config.question)
    beside = () if beside == (NONE,) else beside
    cards = with_named(plan.encoders, [*asked["source"], *asked["shared_with"], *asked["absent_from"], *beside])
    sources = members(asked["source"], cards)
    if not sources:
        raise InputError(
            f"source={','.join(asked['source'])} names no encoder among {', '.join(card.name for card in cards)}; "
            "name an encoder, or add one with `encoders`."
        )
    by_name = {card.name: card for card in cards}
    if config.question == "vlm-vs-vision" and not config.shared_with and len(_vlm_images(cards)) < 2:
        raise InputError(
            f"question=vlm-vs-vision needs two VLM image encoders, and the suite '{plan.suite.name}' has "
            f"{', '.join(_vlm_images(cards)) or 'none'}; add one with `encoders`, or name another group with "
            "`shared_with`."
        )
    found = [
        groups_of(by_name[name], cards, asked["shared_with"], asked["absent_from"], beside) for name in sources
    ]  # fmt: skip
    needed = {
        name for each in found for name in (each.source, *each.shared_with, *each.absent_from, *each.beside)
    }  # fmt: skip
    return replace(plan, encoders=tuple(card for card in cards if card.name in needed)), found


def _vlm_images(cards: Sequence[EncoderCard]) -> list[str]:
    return [card.name for card in cards if (card.kind, card.modality) == ("vlm", "image")]


def complete(material: Material, asked: Sequence[Groups]) -> list[Groups]:
    """Return the groups without encoders that failed; raises WorkError where M, G or H is left without any."""
    found = []
    for each in asked:
        kept = {
            name: tuple(encoder for encoder in getattr(each, name) if encoder in material.encoders)
            for name in ("shared_with", "absent_from", "beside")
        }
        if each.source in material.encoders and kept["shared_with"] and kept["absent_from"]:
            found.append(replace(each, **kept))  # type: ignore[arg-type]
    if not found:
        raise_failures(material.failed, complete=len(material.encoders))
    return found


def loader(material: Material) -> Load:
    """Return a function of (encoder, seed) that gives its deepest layer and that layer's compared features."""

    @cache
    def load(encoder: str, seed: int) -> tuple[int, Features]:
        layers = material.load(encoder, seed)
        return max(layers), layers[max(layers)]

    return load


def _answer(material: Material, asked: Sequence[Groups], folder: Path) -> Findings:
    import registry
    from benchmark import plots_sharedness as plots

    suite, load = material.plan.suite, loader(material)
    groups = complete(material, asked)
    texts = {name for name, card in material.encoders.items() if card.modality == "text"}
    tables: dict[str, list[pd.DataFrame]] = {}
    rows = []
    bar = tqdm(total=len(groups) * len(suite.seeds), desc="sharedness", unit="seed", mininterval=0.5)
    for each in groups:
        by_seed = {}
        for seed in suite.seeds:
            found = feature_table(load, each, seed, folds=suite.folds, permutations=max(suite.permutations, 1))
            found = registry.with_names(found, material.run_of(each.source, seed).run_id)
            by_seed[seed] = found
            rows.append(summary(load, each, seed, found, folds=suite.folds))
            parts = {
                "features": found,
                "partners": _named(material, partner_table(load, each, seed, found, folds=suite.folds)),
                "association": association_table(
                    load, each, seed, texts=texts, folds=suite.folds, permutations=suite.permutations
                ),
                **_planted(material, each, seed),
            }
            for name, part in parts.items():
                tables.setdefault(name, []).append(part)
            bar.update()
        tables.setdefault("agreement", []).append(agreement(load, each, suite.seeds, by_seed, suite.folds))
    bar.close()
    result = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    result["summary"] = pd.DataFrame(rows)
    result["top"] = top_table(material, result["features"], result["partners"])
    for name, table in result.items():
        report.write(table, folder / name)
    title = f"{suite.name}: {material.dataset.name}, {len(material.compared):,} {suite.report_on[0]} samples"
    sides = {each.source: (", ".join(each.shared_with), ", ".join(each.absent_from)) for each in groups}
    plots.scatter(result["features"], sides, title, folder / "sharedness.png")
    if len(result["association"]):
        plots.association(result["association"], title, folder / "association.png")
    if "planted_values" in result:
        plots.planted(result["planted_values"], title, folder / "planted.png")
    write_pages(material, groups, result, title, folder)
    return Findings(text(groups, result), metrics(result), {"question": ";".join(map(describe, groups))})


def _named(material: Material, partners: pd.DataFrame) -> pd.DataFrame:
    """Return the partners of one M and seed with the names of both sides."""
    import registry

    seed = int(partners.seed.iloc[0])
    parts = [
        registry.with_names(part, material.run_of(str(target), seed).run_id, layer="partner_layer", feature="partner",
                            name="partner_name")
        for target, part in partners.groupby("target", sort=False)
    ]  # fmt: skip
    source = str(partners.source.iloc[0])
    return registry.with_names(pd.concat(parts).sort_index(), material.run_of(source, seed).run_id)


def describe(groups: Groups) -> str:
    """Return a question in a line: what is shared with whom and absent from whom."""
    return f"{groups.source}: shared with {','.join(groups.shared_with)}, absent from {','.join(groups.absent_from)}"


def _planted(material: Material, groups: Groups, seed: int) -> dict[str, pd.DataFrame]:
    """Return the tables of planted factors, where the data has any and features are sparse."""
    from benchmark.datasets.load import resolve

    suite, dataset = material.plan.suite, material.dataset
    if dataset.factors is None or resolve(suite.dataset).kind not in NUISANCES or suite.codes != "topk":
        return {}
    if dataset.heldout.all() or not dataset.heldout.any():
        return {}

    def whole(encoder: str) -> SparseFeatures:
        layers = material.load(encoder, seed, np.arange(len(dataset)))
        found = layers[max(layers)]
        assert isinstance(found, SparseFeatures)  # codes: topk
        return found

    measures, values = planted_tables(
        planted_factors(dataset, suite.dataset), whole(groups.source), [whole(name) for name in groups.shared_with],
        [whole(name) for name in groups.absent_from], ~dataset.heldout,
        folds=suite.folds, permutations=max(suite.permutations, 1),
    )  # fmt: skip
    for table in (measures, values):
        table.insert(0, "source", groups.source)
        table.insert(1, "seed", seed)
    return {"planted": measures, "planted_values": values}
