"""The seed audit answers whole, is answered once, and refuses what it cannot audit."""

import mlflow
import numpy as np
import pytest
from described import undescribed
from scipy.stats import kendalltau

import registry
from benchmark.jobs.matrix import FOLD_SEED
from benchmark.jobs.stability_board import Board, variance
from benchmark.jobs.stability_pairs import THRESHOLD, Rows, _back, matched
from benchmark.metrics import crossfit, match_decoders
from benchmark.metrics.describe import stability as words

TINY = ["--max-samples", "600", "--epochs", "1", "--permutations", "2", "--folds", "2", "--k", "4"]
TABLES = (
    "stability", "seed_pairs", "deciles", "thresholds", "top_features", "cell_ranks", "rank_agreement", "components",
    "smallest_difference", "saes",
)  # fmt: skip


@pytest.fixture
def audit(command):
    return lambda *more, encoders="kinds.yaml": command("stability", "--encoders", encoders, *TINY, *more)


def newest():
    return registry.runs("FINISHED", kind="stability").iloc[0]


def test_an_audit_holds_every_table_and_figure_and_is_answered_once(audit):
    code, out, error = audit("--seeds", "0,1")
    assert code == 0, error
    run = newest()
    folder = registry.verified(run.run_id)
    assert folder is not None
    files = {f"{name}.{kind}" for name in TABLES for kind in ("csv", "parquet")} | {"stability.png", "stability.txt"}
    assert files <= {path.name for path in folder.iterdir()}
    table = registry.table(run.run_id, "stability.parquet")
    assert list(table.groupby("encoder", sort=False).varies.agg(list).iloc[0]) == ["both", "init", "order"]
    assert len(table) == 3 * 3 and (table.low <= table.high).all()
    assert table.untrained_crossfit[table.varies == "order"].isna().all()
    # Seeds of one order share what 600 samples leave of the initial weights; seeds of other weights do not.
    mcc = table.pivot(index="encoder", columns="varies", values="mcc")
    assert (mcc.order > mcc.init).all() and (mcc.order > mcc.both).all()
    _shares_fall_with_the_threshold_and_are_those_of_the_other_tables_at_theirs(run, table)
    saes = registry.table(run.run_id, "saes.parquet")
    assert saes.groupby("varies").order_seed.nunique().to_dict() == {"both": 2, "init": 1, "order": 2}
    assert saes.groupby("varies").run_id.nunique().to_dict() == {"both": 6, "init": 6, "order": 6}
    assert saes.run_id.nunique() == 12  # the first seed is the same SAE three times
    ranks = registry.table(run.run_id, "cell_ranks.parquet")
    assert len(ranks) == 6 and ranks.crossfit.is_monotonic_decreasing
    agreement = registry.table(run.run_id, "rank_agreement.parquet").set_index("ranking")
    assert agreement.entries.to_dict() == {
        "cells": 6, "share": 3, "found": 3, "share_vlm": 2, "share_vision": 2, "share_text": 2,
    }  # fmt: skip
    assert agreement.tau["cells"] == pytest.approx(kendalltau(ranks.seed_0, ranks.seed_1).statistic)
    share = ranks.groupby("source")[["seed_0", "seed_1"]].mean()
    assert agreement.tau["share"] == pytest.approx(kendalltau(share.seed_0, share.seed_1).statistic)
    parts = registry.table(run.run_id, "components.parquet")
    assert parts["share"].sum() == pytest.approx(1) and len(parts) == 5 + 2 * 3
    assert {"stability/rank_tau/cells", "stability/smallest_difference", "stability/crossfit/init/tiny-vit"} <= set(
        run.metrics
    )
    assert "53 % on the MLP" in out and "Kendall's tau" in out and "2 seeds say little" in out
    _values_are_those_of_the_pure_functions(run, saes)
    assert undescribed(run.run_id, {
        "stability": words.TABLE, "components": words.COMPONENTS, "smallest_difference": words.SMALLEST,
        "rank_agreement": words.RANKS, "top_features": words.TOP,
    }) == []  # fmt: skip

    before = set(registry.runs(kind="train").run_id)
    assert audit("--seeds", "0,1")[0] == 0
    assert set(registry.runs(kind="train").run_id) == before and newest().key == run.key
    assert mlflow.get_run(newest().run_id).data.metrics == mlflow.get_run(run.run_id).data.metrics


def _values_are_those_of_the_pure_functions(run, saes):
    pairs = registry.table(run.run_id, "seed_pairs.parquet").set_index(["encoder", "varies", "source_seed"])
    own = saes[(saes.encoder == "tiny-bert") & (saes.varies == "init")].set_index("seed")
    row = pairs.loc["tiny-bert", "init", 1]
    decoders = [registry.load_sae(own.model_uri[seed]).W_dec.detach().numpy() for seed in (1, 0)]
    assert row.decoder_shared == match_decoders(*decoders).share() and row.mcc < 1
    features = [registry.features(own.run_id[seed], 2) for seed in (1, 0)]
    # Which samples are held out, the features do not say: the compared ones are as many as the table says.
    heldout = _heldout(row.n_samples)
    value = crossfit(*(f.take(heldout) for f in features), folds=2, seed=FOLD_SEED)
    assert row.crossfit == pytest.approx(value, abs=1e-12)


def _shares_fall_with_the_threshold_and_are_those_of_the_other_tables_at_theirs(run, table):
    keys = ["encoder", "layer", "varies"]
    found = registry.table(run.run_id, "thresholds.parquet")
    assert list(found.groupby(keys).threshold.agg(list).iloc[0]) == [round(0.3 + 0.05 * i, 2) for i in range(14)]
    assert len(found) == 14 * len(table) and found.untrained.isna().equals(found.varies == "order")
    for column in ("decoder_shared_live", "untrained"):
        falls = found.groupby(keys)[column].agg(lambda shares: (shares.diff().dropna() <= 0).all())
        assert falls.all() and found[column].max() > 0
    at = found[found.threshold == THRESHOLD].set_index(keys)
    row = table.set_index(keys).loc[at.index]
    np.testing.assert_allclose(at.decoder_shared_live, row.decoder_shared_live)
    np.testing.assert_allclose(at.untrained, row.untrained_decoder_shared)


def _heldout(n_samples):
    from benchmark.datasets import load_dataset

    found = np.flatnonzero(load_dataset("scenes", 600, ".cache", progress=False).heldout)
    assert len(found) == n_samples
    return found


def test_one_encoder_is_audited_without_a_leaderboard(audit):
    code, out, error = audit("--seeds", "0,1", "--separate", "false", encoders="one.yaml")
    assert code == 0, error
    run = newest()
    assert len(registry.table(run.run_id, "stability.parquet")) == 1 and "Kendall" not in out
    with pytest.raises(ValueError, match="no artifact"):
        registry.table(run.run_id, "cell_ranks.parquet")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seeds", "3"], "compares seeds of one encoder; give two or more"),
        (["--order-seed", "1"], "sets init_seed and order_seed itself"),
        (["--encoders", "small-vti"], "small-vit"),
    ],
)
def test_what_cannot_be_audited_is_refused_in_one_sentence(command, more, message):
    code, _, error = command("stability", *more)
    assert code == 2 and message in error and error.count("\n") <= 1


def test_partners_the_other_way_round_are_those_of_matching_the_other_way_round():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(30, 12))
    own = Rows(*(base + rng.normal(0, 0.1, (2, 30, 12))))
    other = Rows(*(base[::-1] + rng.normal(0, 0.8, (2, 30, 12))))
    there, back = _back(*matched(own, other)), matched(other, own)
    np.testing.assert_array_equal(there[0].partner, back[0].partner)
    np.testing.assert_allclose(there[0].cosine, back[0].cosine)
    np.testing.assert_array_equal(there[1], back[1])
    assert there[1].any() and not there[1].all()


def test_the_interval_of_the_smallest_difference_holds_the_true_one():
    rng, names, held = np.random.default_rng(0), "abcd", 0
    cells = [(a, b) for a in names for b in names if a != b]
    true = 1.96 * np.sqrt(2 * (0.03**2 + 0.02**2) / 5)
    for _ in range(60):
        source, target = ({name: rng.normal(0, sd, 5) for name in names} for sd in (0.03, 0.02))
        values = np.array([0.3 + source[a][:, None] + target[b] for a, b in cells])
        draws = values[..., None] + np.zeros(3)
        _, parts, smallest = variance(Board(cells, values, draws, {}, (0, 1, 2, 3, 4)))
        row = smallest[smallest.seeds == 5].iloc[0]
        held += row.low <= true <= row.high
    assert held >= 48
    found = parts[(parts.component == "source_seed") & (parts.encoder == "b")].sd.iloc[0]
    assert found == pytest.approx(source["b"].std(ddof=1))
