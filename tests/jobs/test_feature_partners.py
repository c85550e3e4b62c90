"""Partners are those of the metrics, on live features, for every pair and both ways."""

import mlflow
import numpy as np
import pytest

import registry
from benchmark.features import SparseFeatures
from benchmark.jobs.feature_partners import feature_partners, write_partners
from benchmark.jobs.sides import Recorded
from benchmark.metrics import crossfit, held_out_rho, max_correlation
from registry.queries import feature_path

N = 400


def codes(seed, m=20, shared=None, dead=()):
    rng = np.random.default_rng(seed)
    dense = rng.random((N, m)) * (rng.random((N, m)) < 0.15)
    if shared is not None:
        dense[:, :5] = shared
    dense[:, list(dead)] = 0
    return SparseFeatures.from_dense(dense, "samples", np.arange(N) // 2)


SHARED = np.random.default_rng(99).random((N, 5)) * (np.random.default_rng(98).random((N, 5)) < 0.15)


@pytest.mark.parametrize("way", [0, 1])
def test_partners_are_those_of_the_metrics(way):
    sides = {3: codes(0, dead=[7]), 5: codes(1)}, {0: codes(2), 4: codes(3, 30, dead=[0])}
    source, target = (list(sides[i].items()) for i in (way, 1 - way))
    table = feature_partners(*sides, folds=4)[way]
    assert len(table) == (39, 49)[way] and (3, 7) not in set(zip(table.layer, table.feature, strict=True))
    flat, match = (
        np.where(layer == side[1][0], side[0][1].n_latents, 0) + feature
        for side, layer, feature in ((source, table.layer, table.feature), (target, table.partner_layer, table.partner))
    )
    own, other = ([features for _, features in side] for side in (source, target))
    rho = max_correlation(own, other)
    np.testing.assert_allclose(table.rho, rho.source[flat], atol=1e-6)
    np.testing.assert_array_equal(match, rho.source_match[flat])
    np.testing.assert_allclose(table.held_out_rho, held_out_rho(own, other, folds=4)[flat], atol=1e-6)
    np.testing.assert_allclose(table.S, np.concatenate([f.weights for f in own])[flat], rtol=1e-6)


def test_planted_partners_are_found_and_others_hold_out_at_nothing():
    source, target = {0: codes(0, shared=SHARED)}, {9: codes(1, 300, shared=SHARED[:, ::-1])}
    table, back = feature_partners(source, target)
    assert table.partner[:5].tolist() == back.partner[:5].tolist() == [4, 3, 2, 1, 0]
    assert (table.partner_layer == 9).all() and (back.partner_layer == 0).all()
    assert (table.held_out_rho[:5] > 0.999).all() and abs(table.held_out_rho[5:].mean()) < 0.05
    assert table.rho[5:].mean() > 0.1  # which is why the held-out one is there
    value = np.average(table.held_out_rho, weights=table.S)
    assert value == pytest.approx(crossfit(list(source.values()), list(target.values())), abs=1e-6)


def test_every_pair_of_encoders_has_a_file_each_way_under_its_first_seeds(here, tmp_path):
    recorded = {}
    for i, side in enumerate([("a", 0), ("a", 1), ("b.x", 3), ("c", 0)]):
        path = tmp_path / f"{i}" / feature_path(2)
        codes(i).save(path)
        recorded[side] = Recorded({2: path}, N)
    rows = np.arange(0, N - 100)
    folder = tmp_path / "artifacts"
    write_partners(recorded, rows, folder, folds=3, min_count=0, budget=1)
    assert len(list(folder.rglob("*.parquet"))) == 6
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(folder))
    left, right = recorded["b.x", 3].load(rows), recorded["a", 0].load(rows)
    there, back = feature_partners(right, left, folds=3)
    assert registry.feature_partners(run.info.run_id, "a", "b.x").equals(there)
    assert registry.feature_partners(run.info.run_id, "b.x", "a").equals(back)
    write_partners({}, rows, tmp_path / "again", folds=3, min_count=0, budget=1, earlier=folder)
    assert len(list((tmp_path / "again").rglob("*.parquet"))) == 6
    with pytest.raises(ValueError, match="recorded no partners"):
        registry.feature_partners(run.info.run_id, "a", "a")
