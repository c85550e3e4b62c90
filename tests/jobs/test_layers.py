"""Layers against layers: what is planted late is found late, and a flat world is not called concentrated."""

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from described import undescribed

import registry
from benchmark.catalog import EncoderCard
from benchmark.features import SparseFeatures
from benchmark.jobs.encoder_pairs import relation, twin
from benchmark.jobs.layer_pairs import LayerMatrices, cell_table
from benchmark.jobs.layer_summary import (
    concentration_sentences,
    concentration_table,
    diagonal_sentences,
    diagonal_table,
    pair_table,
    verdict,
)
from benchmark.metrics.describe import layers as words
from benchmark.metrics.layer_fit import crossfit_layers
from benchmark.metrics.layerwise import null_layers

SMALL = ["--max-samples", "400", "--epochs", "1", "--permutations", "2", "--folds", "2", "--k", "4",
         "--seeds", "0,1", "--layers", "0,1"]  # fmt: skip
N, M = 3000, 60


def card(name, modality="image", kind="vision", source="x"):
    return EncoderCard(
        name=name, library="open_clip", source=source, modality=modality, kind=kind, token="cls"
    )  # fmt: skip


CARDS = {"eye": card("eye", kind="vlm"), "word": card("word", "text", "vlm"), "bert": card("bert", "text", "text", "y")}


def noise(seed):
    rng = np.random.default_rng(seed)
    return np.where(rng.random((N, M)) < 0.1, rng.exponential(1, (N, M)) + 0.2, 0).astype(np.float32)


def matrices(left, right, names=("eye", "word")):
    """Both directions between two stacks of dense layers, as if they were two seeds each."""
    sides = [[SparseFeatures.from_dense(layer) for layer in side] for side in (left, right)]
    fits, nulls = crossfit_layers(*sides, folds=3), null_layers(*sides, permutations=3)
    blocks = tuple(range(len(left))), tuple(range(len(right)))
    return {
        (names[way], names[1 - way]): LayerMatrices(
            names[way], names[1 - way], blocks[way], blocks[1 - way],
            {(0, 0): fits[way], (1, 1): fits[way]}, {(0, 0): nulls[way], (1, 1): nulls[way]}, N, N,
        )
        for way in (0, 1)
    }  # fmt: skip


@pytest.fixture(scope="module")
def late():
    """Two encoders of four layers each that share features in their last layers alone."""
    left, right = ([noise(10 * side + i) for i in range(4)] for side in (1, 2))
    right[3][:, : M // 2] = left[3][:, : M // 2]
    return matrices(left, right)


@pytest.fixture(scope="module")
def flat():
    """Two encoders that share the same features in every layer."""
    left, right = ([noise(10 * side + i) for i in range(4)] for side in (1, 2))
    shared = noise(99)[:, : M // 2]
    for layer in [*left, *right]:
        layer[:, : M // 2] = shared + 0.02 * (shared > 0) * noise(int(layer.sum()))[:, : M // 2]
    return matrices(left, right)


def at(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_alignment_planted_in_the_last_layers_is_found_there(late):
    table = concentration_table(late, CARDS)
    for what in ("cells", "parts"):
        for axis, share in (("both", 1 / 16), ("source", 1 / 4), ("target", 1 / 4)):
            row = at(table, source="eye", target="word", what=what, axis=axis)
            assert row.low > 0.8 and row.high <= 1 and row.flat == share and verdict(row) == "more than"
            assert row.chance == pytest.approx(share, abs=0.15)
        mean = at(table, source="", relation="towers", what=what, axis="both")
        each = table[(table.source != "") & (table.what == what) & (table.axis == "both")]
        assert mean.value == pytest.approx(each.value.mean()) and mean.low <= mean.value <= mean.high
    assert (table[table.what == "maximum"].value == 1).all()
    (sentence,) = concentration_sentences(table)
    assert "two towers of one contrastive model" in sentence.lower() and "more than chance" in sentence


def test_alignment_that_is_everywhere_is_not_called_concentrated(flat):
    row = at(concentration_table(flat, CARDS), source="eye", target="word", what="cells", axis="both")
    assert row.value == pytest.approx(1 / 16, abs=0.01)
    assert verdict(row) == "not clearly more or less than"
    assert verdict({"low": 0.01, "high": 0.02, "flat": 0.25, "chance": 0.3}) == "less than"


def test_a_row_of_pairs_says_all_layers_the_last_and_the_highest_cell(late, flat):
    row = at(pair_table(late, CARDS), source="eye")
    assert (row.source_layer, row.target_layer) == (3, 3) and row.relation == "towers"
    assert row["last"] == row.highest == pytest.approx(0.5, abs=0.05) and row["last"] > row.all_layers
    assert row.difference == pytest.approx(row["last"] - row.all_layers) and row.difference_low > 0
    assert row.all_low <= row.all_layers <= row.all_high and row.chance_all > row.chance_last > 0.02
    assert at(pair_table(flat, CARDS), source="eye").calibrated_last > 0.4


def test_cells_have_parts_ceilings_and_the_best_target_layer(late):
    table = cell_table(late)
    assert len(table) == 32 and table.groupby(["source", "source_layer"]).best.sum().eq(1).all()
    for (source, _), part in table.groupby(["source", "target"]):
        row = at(pair_table(late, CARDS), source=source)
        assert part.part.sum() == pytest.approx(row.all_layers) and part.ceiling.isna().all()
    assert at(table, source="eye", source_layer=3, target_layer=3).part > 0.9 * table[table.source == "eye"].part.sum()


def test_a_diagonal_that_is_sharp_late_and_absent_early_is_reported_so():
    left, right = ([noise(10 * side + i) for i in range(4)] for side in (1, 2))
    for layer in (2, 3):
        right[layer][:, :40] = left[layer][:, :40]
    found = matrices(left, right, ("eye", "eye"))
    table = diagonal_table(found)
    for rows, low, high in (("early", -0.05, 0.05), ("late", 0.5, 0.8), ("late - early", 0.5, 0.8)):
        row = at(table, encoder="eye", rows=rows, measure="contrast")
        assert low < row.low <= row.value <= row.high < high and row.flat == 0
    assert at(table, rows="late", measure="hits").value == 1
    assert at(table, rows="all", measure="share").flat == 0.25
    (sentence,) = diagonal_sentences(table)
    assert sentence.startswith("eye with itself")
    assert cell_table(found).ceiling.notna().all()


def test_relations_between_encoders():
    assert [relation(CARDS["eye"], CARDS[name]) for name in CARDS] == ["self", "towers", "image-text"]
    assert relation(CARDS["word"], CARDS["bert"]) == "same-modality"
    assert twin(CARDS["eye"], CARDS) is CARDS["word"] and twin(CARDS["bert"], CARDS) is None


def test_the_job_compares_two_towers_with_each_other_and_with_themselves(command, here):
    cards = yaml.safe_load((here / "cards.yaml").read_text())
    (here / "towers.yaml").write_text(yaml.safe_dump({name: cards[name] for name in ("tiny-image", "tiny-text")}))
    code, out, _ = command("layers", "--encoders", "towers.yaml", *SMALL)
    assert code == 0 and "last quarter of the target's layers" in out and "tiny-text with itself" in out
    assert "CAUTION" in out
    run = registry.latest("layers")
    pairs = registry.table(run, "pairs.parquet")
    assert len(pairs) == 4 and at(pairs, source="tiny-image", target="tiny-text").relation == "towers"
    cells = registry.table(run, "layers.parquet")
    assert sorted(cells.source_depth.unique()) == [0, 1] and (cells.low <= cells.high).all()
    assert cells.ceiling.notna().all()
    sums = cells.groupby(["source", "target"]).part.sum()
    for row in pairs.itertuples():
        assert sums[row.source, row.target] == pytest.approx(row.all_layers, abs=1e-9)
    metrics = mlflow.get_run(run).data.metrics
    value = at(pairs, source="tiny-image", target="tiny-text").all_layers
    assert metrics["layers/all_layers/tiny-image/tiny-text"] == pytest.approx(value)
    assert "layers/last_quarter_parts_target/mean/towers" in metrics
    assert "layers/diagonal_contrast/tiny-text/late-early" in metrics
    folder = registry.verified(run)
    assert {path.name for path in folder.glob("*.png")} == {
        f"layers-tiny-{pair}.png" for pair in ("image-tiny-text", "image-tiny-image", "text-tiny-text")
    }
    for name in ("layers", "pairs", "concentration", "diagonal"):
        assert len(pd.read_csv(folder / f"{name}.csv")) == len(registry.table(run, f"{name}.parquet")) > 0
    shown = {"layers": words.CELLS, "concentration": words.CONCENTRATION, "diagonal": words.DIAGONAL}
    assert undescribed(run, shown, hidden=("n_samples", "n_groups")) == []


def test_questions_that_layers_cannot_answer_end_in_one_sentence(command):
    for arguments, sentence in (
        (["--layers", "last"], "set layers to all"),
        (["--layers", "1"], "two block indices or more"),
        (["--encoders", "one.yaml", "--seeds", "0"], "alone is compared with itself across seeds"),
        (["--encoders", "small-vit,small-ssl,small-clip-image", "--seeds", "0"], "give both modalities"),
        (["--encoders", "small-vti"], "small-vit"),
    ):
        code, _, error = command("layers", *arguments)
        assert code == 2 and sentence in error and len(error.strip().splitlines()) == 1
