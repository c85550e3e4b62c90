"""The parts of `select`: moved rows are moved captions, subsets are fair, retrieval counts what it should."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.catalog import EncoderCard, read_cards
from benchmark.encoders import load_encoder
from benchmark.jobs.pair_similarity import contrastive_pairs
from benchmark.jobs.selection_injection import summarised
from benchmark.jobs.selection_retraining import retrieval, split, subsets
from benchmark.jobs.selection_scores import ranked
from benchmark.metrics.mismatches import Moved, moved_captions, with_rows_of
from benchmark.reporting.pairs_page import ShownPair, page
from benchmark.sae import TopKSAE


@pytest.mark.parametrize("name", ["tiny-text", "tiny-bert"])
def test_moving_recorded_rows_is_moving_captions(workspace, name):
    captions = [f"{colour} {shape}" for colour in ("red", "green", "a very dark blue") for shape in ("disc", "square")]
    moved = moved_captions(captions, np.arange(6), 1, np.random.default_rng(0))
    assert moved.wrong.all()
    encoder = load_encoder(read_cards(EncoderCard, workspace / "cards.yaml")[name])
    torch.manual_seed(0)
    last = encoder.layers[-1]
    sae = TopKSAE(encoder.widths[last], 4 * encoder.widths[last], 3)

    def vectors(texts):
        return encoder.run(texts)[last].pooled.numpy()

    centre, spread = (
        vectors(captions).mean(0),
        vectors(captions).std(0).max(),
    )  # random weights hardly tell captions apart

    def recorded(texts):
        return sae.features((vectors(texts) - centre) / spread)

    there = recorded([captions[i] for i in moved.source]).to_dense()
    # Captions stand beside others in a batch, which rounds differently.
    np.testing.assert_allclose(with_rows_of(recorded(captions), moved.source).to_dense(), there, atol=1e-3)
    assert np.abs(recorded(captions).to_dense() - there).max() > 0.1


def test_the_best_of_each_score_is_kept_and_ties_go_to_the_first():
    scores = pd.DataFrame({"contribution": [0.0, 3.0, -1.0, 3.0, 2.0], "group_contribution": [1.0, 1.0, 2.0, 0.0, 2.0]})
    table = ranked(scores, 0.6)
    assert table["rank"].tolist() == [4, 1, 5, 2, 3] and table.keep.tolist() == [False, True, False, True, True]
    assert table.group_rank.tolist() == [2, 2, 1, 3, 1]


def test_intervals_of_means_over_draws_are_students():
    table = pd.DataFrame({"score": ["a"] * 4 + ["b"], "auc": [0.6, 0.7, 0.8, 0.9, 0.5]})
    a, b = summarised(table, ["score"], ["auc"]).to_dict("records")
    half = 3.182446 * np.std([0.6, 0.7, 0.8, 0.9], ddof=1) / 2
    assert (a["auc"], a["auc_low"], a["auc_high"]) == pytest.approx((0.75, 0.75 - half, 0.75 + half))
    assert b["auc"] == 0.5 and np.isnan(b["auc_low"]) and (a["draws"], b["draws"]) == (4, 1)


def test_no_group_is_both_tested_and_trained_on():
    rows = np.arange(1000)
    dataset = SimpleNamespace(groups=np.random.default_rng(0).integers(0, 300, 1000))
    tested, pool = split(dataset, rows)
    assert len(tested) == 250 and not set(dataset.groups[tested]) & set(dataset.groups[pool])
    assert len(pool) > 600 and not set(tested) & set(pool)


def test_subsets_are_as_large_as_there_are_right_pairs_and_the_oracle_has_only_these():
    rng = np.random.default_rng(0)
    wrong = rng.random(100) < 0.4
    pool = np.arange(20, 100)
    score = np.where(wrong, 0.0, 1.0) + rng.random(100)  # right pairs mostly first
    found = subsets(Moved(np.arange(100), wrong), pool, {"mine": score}, rng)
    right = (~wrong[20:]).sum()
    assert {len(chosen) for chosen in found.values()} == {right} and not wrong[found["oracle"]].any()
    assert wrong[found["mine"]].mean() < wrong[found["random"]].mean()
    assert all(set(chosen) <= set(pool) for chosen in found.values())


def test_retrieval_ranks_by_similarity_and_forgives_equal_captions():
    own = np.eye(20)
    names = [str(i) for i in range(20)]
    assert retrieval(own, own, names) == {"r1": 1, "r10": 1, "mrr": 1}
    swapped = own[np.r_[1, 0, 2:20]]
    found = retrieval(own, swapped, names)  # the two prefer each other; the other 18 tie below both
    assert found["r1"] == pytest.approx(0.9) and found["r10"] == pytest.approx(0.9)
    assert retrieval(own, swapped, ["same", "same", *names[2:]])["r1"] == pytest.approx(0.9)  # 18 ties each
    same = retrieval(np.ones((20, 3)), np.ones((20, 3)), names)
    assert same["r1"] == 0 and same["mrr"] == pytest.approx(1 / 20)  # finds nothing


def test_towers_of_one_model_are_a_pair():
    def card(name, modality, source, library="open_clip"):
        return EncoderCard(name=name, library=library, source=source, modality=modality, kind="vlm", token="last")

    cards = [
        card("a-image", "image", "a"), card("a-text", "text", "a"), card("b-text", "text", "b"),
        card("c-image", "image", "a", "timm"),
    ]  # fmt: skip
    assert [(a.name, b.name) for a, b in contrastive_pairs(cards)] == [("a-image", "a-text")]


def test_captions_are_escaped_on_the_page():
    shown = page("t", "s", [("Worst", "of all", [ShownPair("<script>alert(1)</script>", b"jpeg", "+0.1 & more")])])
    assert "<script>" not in shown and "&lt;script&gt;" in shown and "+0.1 &amp; more" in shown
    assert "data:image/jpeg;base64,anBlZw==" in shown and "default-src 'none'" in shown
