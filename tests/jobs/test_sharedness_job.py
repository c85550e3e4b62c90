"""The sharedness command: tables of every feature, tops with what activates them, nulls, planted truth, a page."""

import tempfile
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from described import undescribed
from sharing_worlds import world

import registry
from benchmark.datasets import load_dataset
from benchmark.jobs.encoder_groups import Groups
from benchmark.jobs.sharedness_features import agreement, feature_table
from benchmark.jobs.sharedness_planted import planted_tables
from benchmark.jobs.sharedness_text import verdict
from benchmark.jobs.validation_factors import oracle, planted_factors
from benchmark.metrics.association import reordered
from benchmark.metrics.describe.sharedness import ASSOCIATION
from benchmark.reporting.content import Example
from benchmark.reporting.top_features import TopFeature, page
from registry.names import TAG, named_tag, names_path


def test_a_question_is_answered_in_tables_figures_and_a_page(command):
    few = ["--max-samples", "600", "--epochs", "1", "--permutations", "3", "--folds", "2", "--k", "4"]
    few += ["--seeds", "71,72"]  # which no other test trains, or names
    code, out, _ = command("sharedness", "--encoders", "cards.yaml", *few)
    assert code == 0, out
    assert "tiny-image: shared with tiny-bert, absent from tiny-vit" in out and "tiny-text, stands in" in out
    run = registry.latest("sharedness")
    features = registry.table(run, "features.parquet")
    assert features.groupby("seed").size().to_dict() == {71: len(features) // 2, 72: len(features) // 2}
    one = features[features.seed == 71]
    assert one.S_share.sum() == pytest.approx(1) and sorted(one["rank"]) == list(range(len(one)))
    assert one.top.sum() == max(round(0.01 * len(one)), 1) and one[one.top]["rank"].max() < one.top.sum()
    top = registry.table(run, "top.parquet")
    assert len(top) == features.top.sum() and top.captions.str.len().min() > 0 and "tiny-bert" in top.found_in[0]
    assert set(registry.table(run, "agreement.parquet").way) == {"targets", "source"}
    assert {"delta", "theta", "overlap"} <= set(registry.table(run, "association.parquet").measure)
    assert undescribed(run, {"association": ASSOCIATION}) == []
    assert {"values", "features"} <= set(registry.table(run, "planted.parquet").measure)
    folder = registry.verified(run)
    assert (folder / "top.png").stat().st_size > 10_000 and "data:image/jpeg" in (folder / "top.html").read_text()
    assert (features["name"] == "").all() and "They have no names yet" in out
    _names_that_are_given_later_are_in_the_next_answer(command, few, run)


def _names_that_are_given_later_are_in_the_next_answer(command, few, before):
    best = registry.table(before, "top.parquet").iloc[0]
    trained = registry.runs("FINISHED", kind="train").set_index(["encoder", "seed"]).run_id
    partner = registry.table(before, "partners.parquet").query("role == 'shared_with'").iloc[0]
    for encoder, layer, feature, word in (
        (best.source, best.layer, best.feature, "lighthouse"),
        ("tiny-bert", partner.partner_layer, partner.partner, "sea"),
    ):  # fmt: skip
        run_id = trained[encoder, str(best.seed)]
        with mlflow.start_run(tags={"kind": "name", TAG: named_tag([run_id])}):
            row = {"run_id": run_id, "layer": layer, "feature": feature, "name": word, "typology": "object"}
            with tempfile.TemporaryDirectory() as folder:
                pd.DataFrame([row]).to_parquet(f"{folder}/names.parquet")
                path = names_path(encoder, best.seed)
                (Path(folder) / path).parent.mkdir()
                Path(folder, "names.parquet").rename(Path(folder) / path)
                mlflow.log_artifacts(folder)
    code, out, _ = command("sharedness", "--encoders", "cards.yaml", *few)
    assert code == 0 and "lighthouse" in out and "no names" not in out
    after = registry.latest("sharedness")
    assert registry.table(after, "top.parquet")["name"].iloc[0] == "lighthouse"
    named = registry.table(after, "partners.parquet")
    assert "lighthouse" in set(named["name"]) and set(named.partner_name[named.target == "tiny-bert"]) >= {"sea"}
    assert "lighthouse" in (registry.verified(after) / "top.html").read_text()


def load(sides):
    return lambda encoder, seed: (7, sides[encoder, seed])


def test_rows_of_features_are_what_the_metrics_say(sharing):
    source, shared, second, absent = sharing
    sides = {("m", 0): source, ("g", 0): second[0], ("h", 0): absent[0], ("k", 0): absent[1]}
    table = feature_table(load(sides), Groups("m", ("g",), ("h", "k")), 0, folds=3, permutations=3)
    assert (table.layer == 7).all() and table.feature.tolist() == list(range(source.n_latents))
    np.testing.assert_allclose(table.delta, table.S * (table.rho_shared**2 - table.rho_absent**2), atol=1e-9)
    np.testing.assert_allclose(
        table.naive_delta, table.S * (table.naive_rho_shared**2 - table.naive_rho_absent**2), rtol=1e-9
    )
    assert set(table.feature[table.top]) == set(np.argsort(-table.delta)[: round(0.01 * len(table))])
    clear = (table.rho_shared > 0.6) & (table.rho_absent < 0.2)
    assert (table.q_value[clear] <= 0.05).mean() > 0.8 and (table.q_found[clear] <= 0.05).mean() > 0.8


def test_a_dictionary_agrees_with_itself_in_another_order_and_not_with_another(sharing):
    source, _, second, absent = sharing
    place = np.random.default_rng(0).permutation(source.n_latents)
    turned = type(source)(place[source.indices], source.values, source.n_latents)
    sides = {}
    for seed, own in ((0, source), (1, turned), (2, second[0])):
        sides |= {("m", seed): own, ("g", seed): second[0], ("h", seed): absent[0]}
    groups = Groups("m", ("g",), ("h",))
    tables = {seed: feature_table(load(sides), groups, seed, folds=3, permutations=1) for seed in (0, 1)}
    found = agreement(load(sides), groups, (0, 1), tables, 3).set_index(["way", "seed"])
    assert (found.overlap == 1).all() and found.spearman.min() > 0.95 and found.rho.min() > 0.99


def test_planted_values_that_captions_mention_rank_first_for_a_perfect_reader(tmp_path):
    data = load_dataset("scenes", 3000, tmp_path, progress=False)
    planted = planted_factors(data, "scenes")
    captioned = {name: values for name, values in planted.values.items() if name not in planted.nuisances}
    everything = oracle(planted, like(data))
    reader = oracle(planted._replace(values=captioned, levels={n: planted.levels[n] for n in captioned}), like(data))
    blind = reordered(reader, np.random.default_rng(0).permutation(len(data)))
    measures, values = planted_tables(
        planted, everything, [reader], [blind], ~data.heldout, folds=3, permutations=3
    )  # fmt: skip
    table = measures.set_index("measure")
    assert table.value["values"] > 0.99 and table.null["values"] < 0.8 and table.p_value["values"] == 0.25
    assert values[values.captioned].theta.min() > 0.9 and values[~values.captioned].theta.max() < 0.2


def like(data):
    from benchmark.features import SparseFeatures

    return SparseFeatures(np.zeros((len(data), 1), int), np.ones((len(data), 1)), 1, data.fingerprint, data.groups)


def test_the_verdict_needs_every_seed_and_its_null():
    def rows(*seeds):
        return pd.DataFrame([
            {"measure": "beyond", "value": v, "low": low, "p_value": p, "corrected": np.nan} for v, low, p in seeds
        ])  # fmt: skip

    assert verdict(rows((0.3, 0.2, 0.05), (0.2, 0.1, 0.05))).startswith("They agree")
    assert verdict(rows((0.01, -0.1, 0.5), (0.02, -0.1, 0.6))).startswith("They do not agree")
    assert "is open" in verdict(rows((0.3, 0.2, 0.05), (0.02, -0.1, 0.6)))
    assert "Too few" in verdict(rows().reindex(columns=["measure"]))


def test_captions_and_names_on_the_page_are_text():
    nasty = "<script>alert(1)</script>"
    item = TopFeature(0, 1, nasty, 0.1, 0.01, 0.001, 0.5, 0.1, 0.02, nasty, nasty, [Example(nasty, None)])
    html = page(nasty, {nasty: [item]})
    assert "<script>" not in html and html.count("&lt;script&gt;") == 7


@pytest.fixture
def sharing():
    return world("holds")
