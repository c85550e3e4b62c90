"""The `name` command: what the features of every SAE stand for, in words of the captions, without a language model.

It writes, as CSV and Parquet (docs/naming.md explains the columns): `names/ENCODER-seedN`, one row for each live
feature of a train run; `summary`, one row per SAE: how many features have a name and how good the names are;
`typology`, one row per SAE and kind of name; and `names.png`.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from benchmark import report
from benchmark.datasets import load_dataset
from benchmark.features import load_features
from benchmark.jobs.experiment import Findings, Material, run_experiment
from benchmark.jobs.experiment_configs import NameConfig
from benchmark.jobs.naming_evidence import checked_pair, gather, pair_card
from benchmark.jobs.naming_tables import named_features
from benchmark.jobs.naming_text import described
from benchmark.jobs.naming_truth import against_truth, planted_truth
from benchmark.jobs.plan import make_plan
from benchmark.jobs.results import CACHE
from benchmark.typology import KINDS, MISSING, Typology
from registry.names import TAG, named_tag, names_path

VERSION = 1


def name(config: NameConfig) -> int:
    """Run the `name` command; returns its exit code."""
    plan = make_plan(config)
    checked_pair(config.pair)
    load_dataset(plan.suite.dataset, plan.suite.max_samples, CACHE).require("text")  # before anything is trained
    typology = Typology.here()

    def answer(materials: Sequence[Material], folder: Path) -> Findings:
        return _answer(materials[0], folder, config.pair, typology)

    settings = {"pair": config.pair, "wordnet": typology is not None}
    return run_experiment("name", [plan], answer, version=VERSION, settings=settings)


def _answer(material: Material, folder: Path, choice: str, typology: Typology | None) -> Findings:
    dataset = material.dataset
    samples = gather(dataset, pair_card(choice, dataset, material.encoders), material.plan)
    truth = planted_truth(dataset, material.plan.suite.dataset, samples)
    known: dict[str, str] = {"": ""}

    def kind(words: str) -> str:
        if words not in known:
            known[words] = "unknown" if typology is None else typology.kind(words)
        return known[words]

    rows, parts = [], []
    saes = [(side, layer) for side, recorded in material.sides.items() for layer in recorded.features]
    with tqdm(total=len(saes), desc="name", unit="SAE", mininterval=0.5) as bar:
        for side, recorded in material.sides.items():
            tables = []
            for layer, path in recorded.features.items():
                features = load_features(path)
                table, summary = named_features(features, samples, kind)
                if truth is not None:
                    table, further = against_truth(features, table, samples, truth)
                    summary |= further
                where = {
                    "run_id": material.run_of(*side).run_id, "encoder": side[0], "seed": side[1], "layer": layer,
                }  # fmt: skip
                tables.append(_with(where, table))
                rows.append({**where, **summary})
                bar.update()
            found = pd.concat(tables, ignore_index=True)
            path = folder / names_path(*side)
            path.parent.mkdir(exist_ok=True)
            report.write(found, path.with_suffix(""))
            parts.append(found)
    names, table = pd.concat(parts, ignore_index=True), pd.DataFrame(rows)
    counts = typology_counts(names)
    report.write(table, folder / "summary")
    report.write(counts, folder / "typology")
    from benchmark.plots_names import naming_figure

    title = f"{material.plan.suite.name}: names of features on {dataset.name}"
    naming_figure(names, table, counts, title, folder / "names.png")
    metrics = {
        f"name/{encoder}/{measure}": float(part[measure].mean())
        for encoder, part in table.groupby("encoder")
        for measure in (
            "named_share",
            "shuffled_share",
            "auc",
            "auc_strong",
            "auc_words",
            "auc_shuffled",
            "again",
            "again_chance",
        )
    }
    text = described(samples, names, table, counts) + ("" if typology is not None else f"\n\n{MISSING}")
    return Findings(text, metrics, {TAG: named_tag([item.run_id for item in material.trained])})


def typology_counts(names: pd.DataFrame) -> pd.DataFrame:
    """Return one row per SAE and kind of name: encoder, seed, layer, typology, features, share and S_share.

    share: of the SAE's features with a name; S_share: of their total activation. Kinds that do not occur have 0.
    """
    named = names[names["name"] != ""]
    rows = []
    for (encoder, seed, layer), part in named.groupby(["encoder", "seed", "layer"], sort=False):
        for kind in KINDS:
            own = part[part.typology == kind]
            rows.append({
                "encoder": encoder, "seed": seed, "layer": layer, "typology": kind, "features": len(own),
                "share": len(own) / len(part), "S_share": float(own.S.sum() / part.S.sum()),
            })  # fmt: skip
    columns = ["encoder", "seed", "layer", "typology", "features", "share", "S_share"]
    return pd.DataFrame(rows, columns=columns)


def _with(where: dict, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with further columns in front."""
    return pd.concat([pd.DataFrame([where] * len(table), index=table.index), table], axis=1)
