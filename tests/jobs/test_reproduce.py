"""The paper's figures beside ours: agreement by a stated rule, stand-ins named, and the right features in front."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import registry
from benchmark.catalog import EncoderCard, SuiteCard, find_card
from benchmark.errors import InputError
from benchmark.features import SparseFeatures
from benchmark.jobs.distinguishing import feature_table
from benchmark.jobs.layer_values import Value, mean_value
from benchmark.jobs.published import VALUES, comparable, orderings, roles
from benchmark.jobs.reproduced_values import agreement, ordering_table
from benchmark.jobs.reproduced_weights import self_value, weight_values

SMALL = ["--max-samples", "400", "--epochs", "1", "--permutations", "2", "--folds", "2", "--k", "4",
         "--seeds", "0,1", "--layers", "0,1"]  # fmt: skip
SMALL_SUITE = ("small-vit", "small-ssl", "small-clip-image", "small-clip-text", "small-bert")
DRAWS = np.linspace(-0.01, 0.01, 201)


@cache
def by_name(name):
    return find_card(EncoderCard, name)


def cards(*names):
    return [by_name(name) for name in names]


def published(claim):
    return next(value for value in VALUES if value.claim == claim)


def value(naive, crossfit, chance=0.03):
    return Value(naive, chance, crossfit, crossfit + DRAWS)


def test_a_value_agrees_where_its_interval_meets_what_rounds_to_the_printed_one():
    near = published("towers")
    assert (near.low, near.high) == pytest.approx((0.205, 0.215)) and near.printed == "near 0.21"
    for naive, agrees in ((0.21, "yes"), (0.1953, "no"), (0.1957, "yes"), (0.2243, "yes"), (0.2247, "no")):
        found = agreement(near, value(naive, naive - 0.02), same=True)
        assert found["agrees"] == agrees and found["low"] == pytest.approx(naive - 0.0095)
    assert agreement(near, value(0.21, 0.19), same=False)["agrees"] == "not comparable"
    exact = Value(1.0, float("nan"), float("nan"), np.empty(0))
    assert agreement(published("self"), exact, True)["agrees"] == "yes"
    assert agreement(published("self"), Value(0.99, np.nan, np.nan, np.empty(0)), True)["agrees"] == "no"


def test_only_the_papers_encoders_on_its_data_are_compared_with_its_figures():
    b, large = cards("clip-b-image", "clip-b-text"), cards("clip-l-image", "clip-l-text")
    assert comparable("towers", "coco", b, b) and not comparable("towers", "coco", large, large)
    assert comparable("weight_correlation", "coco", large, large) and not comparable("weight_correlation", "coco", b, b)
    assert not comparable("towers", "scenes", b, b) and comparable("self", "scenes", cards("small-vit"), [])
    all_of_them = cards(*find_card(SuiteCard, "paper").encoders)
    assert len(all_of_them) == 21 and comparable("cross_all", "coco", all_of_them, all_of_them)
    assert comparable("range_low", "coco-official", b, all_of_them)
    assert not comparable("range_low", "coco", b, all_of_them[:-1])
    assert not comparable("cross_all", "coco", [*all_of_them, *cards("small-vit")], all_of_them)


def test_changes_have_a_direction_only_where_their_interval_says_so():
    for claim, sign in (("cross_change", 1), ("same_change", -1)):
        for size, direction in ((0.05, "same"), (0.005, "undecided"), (-0.05, "opposite")):
            change = value(sign * size, sign * size)
            assert agreement(published(claim), change, same=False)["direction"] == direction
    assert agreement(published("towers"), value(0.2, 0.2), True)["direction"] == ""


def test_every_value_of_the_paper_is_in_the_table_once():
    printed = {item.claim: item.printed for item in VALUES}
    assert printed == {
        "self": "1", "towers": "near 0.21", "range_low": "0.042", "range_high": "0.578", "vision_text": "about 0.04",
        "cross_all": "0.209", "cross_last": "0.220", "cross_change": "0.011", "same_change": "falls",
        "weight_correlation": "0.36", "weight_variation": "1.91",
    }  # fmt: skip
    assert (published("range_high").low, published("cross_last").high) == pytest.approx((0.5775, 0.2205))


def test_what_the_paper_leaves_above_chance_is_said_of_similarities_alone():
    assert published("range_low").above_chance() == pytest.approx((0.012 / 0.97, 0.02 / 0.978))
    assert published("range_high").above_chance()[0] > 0.56
    for claim in ("self", "cross_change", "same_change", "weight_correlation", "weight_variation"):
        assert np.isnan(published(claim).above_chance()).all()


def test_means_and_differences_keep_draws_together():
    one, two = value(0.3, 0.25), Value(0.1, 0.05, 0.15, 0.15 - DRAWS)
    mean = mean_value([one, two])
    assert (mean.naive, mean.chance, mean.crossfit) == pytest.approx((0.2, 0.04, 0.2))
    assert mean.interval == pytest.approx((0.2, 0.2)) and one.minus(one).interval == (0, 0)
    assert one.calibrated == pytest.approx(0.27 / 0.97)


def test_the_papers_encoders_play_their_own_parts_and_no_stand_in_is_named():
    names = ("vit-b", "dfn-b-image", "dfn-b-text", "clip-b-image", "clip-b-text", "siglip2-b-image", "siglip2-b-text",
             "dinov2-b", "deberta-b", "bert-b")  # fmt: skip
    who = roles(cards(*names), "", "", "")
    assert [card.name for card in who] == ["clip-b-image", "clip-b-text", "dinov2-b", "bert-b"]
    assert who.stand_ins == {}
    found = orderings(cards(*names), who)
    assert [(o.source, o.near, o.far, o.stand_in) for o in found] == [
        ("clip-b-image", "dinov2-b", "siglip2-b-image", ""),
        ("siglip2-b-image", "clip-b-text", "siglip2-b-text", ""),
        ("siglip2-b-image", "bert-b", "siglip2-b-text", ""),
    ]
    both = [*names, *(name.replace("-b", "-l") for name in names if name not in ("vit-b", "bert-b"))]
    assert len(orderings(cards(*both), who)) == 5  # both sizes, but for BERT


def test_the_embedded_suite_stands_in_and_says_for_whom():
    who = roles(cards(*SMALL_SUITE), "", "", "")
    assert [card.name for card in who] == ["small-clip-image", "small-clip-text", "small-ssl", "small-bert"]
    assert set(who.stand_ins) == {"CLIP image", "CLIP text", "DINOv2", "BERT"}
    one, two = orderings(cards(*SMALL_SUITE), who)
    assert (one.source, one.near, one.far) == ("small-clip-image", "small-ssl", "small-vit")
    assert "small-vit (another vision-only encoder) for SigLIP image" in one.stand_in
    assert (two.near, two.far) == ("small-bert", "small-clip-text") and "for BERT" in two.stand_in
    assert roles(cards(*SMALL_SUITE), "", "small-vit", "").vision.name == "small-vit"


def test_parts_that_nobody_can_play_end_in_one_sentence():
    suite = cards(*SMALL_SUITE)
    for chosen, named, sentence in (
        (suite, ("small-ssl", "", ""), "image must be the image tower of a contrastive pair"),
        (suite, ("", "small-bert", ""), "vision must be a vision-only encoder; 'small-bert' is not"),
        (suite, ("", "", "small-brt"), "did you mean small-bert"),
        (cards("small-vit", "small-bert"), ("", "", ""), "needs the image tower of a contrastive pair"),
        (cards("small-clip-image", "small-clip-text", "small-vit"), ("", "", ""), "needs a text-only encoder"),
    ):
        with pytest.raises(InputError, match=sentence):
            roles(chosen, *named)


def test_orderings_hold_where_the_interval_of_the_difference_lies_above_nothing():
    def of(crossfit):
        draws = crossfit + DRAWS
        return SimpleNamespace(
            naive_overall=crossfit + 0.02, overall=crossfit, cells=np.array([[crossfit]]),
            naive=np.array([[crossfit + 0.02]]), null=lambda name: np.full((1, 1) if name == "cell_null" else (), 0.03),
            drawn=lambda name: draws if name == "overall" else draws[:, None, None],
        )  # fmt: skip

    (ordering,) = orderings(cards("small-clip-image", "small-clip-text", "small-ssl", "small-bert"),
                            roles(cards(*SMALL_SUITE), "", "", ""))  # fmt: skip
    values = {("small-clip-image", "small-bert"): of(0.2), ("small-clip-image", "small-clip-text"): of(0.4)}
    back = {(b, a): item for (a, b), item in values.items()} | {("small-bert", "small-clip-image"): of(0.5)}
    table = ordering_table(values | back, [ordering])
    assert len(table) == 4
    assert table.set_index(["direction", "layers"]).holds.to_dict() == {
        ("from", "all"): "no", ("from", "last"): "no", ("to", "all"): "yes", ("to", "last"): "yes",
    }  # fmt: skip
    row = table.iloc[0]
    assert row.crossfit_difference == pytest.approx(-0.2) and (row.low, row.high) == pytest.approx((-0.2, -0.2))
    assert row.calibrated_difference == pytest.approx(0.19 / 0.97 - 0.39 / 0.97)


N = 2000


@pytest.fixture(scope="module")
def planted():
    """A stub of Material: features of M of which some are in G alone, some in H alone, and some in both."""
    rng = np.random.default_rng(0)

    def noise(m=40):
        return np.where(rng.random((N, m)) < 0.1, rng.exponential(1, (N, m)) + 0.2, 0)

    base, layers = noise(), {}
    base[:, 30:] *= 3  # heavy features that nobody shares
    for seed in (0, 1):
        order = rng.permutation(40)
        m, g, h = base[:, order] if seed else base.copy(), noise(), noise()
        g[:, :10], h[:, 5:15] = base[:, :10], base[:, 5:15]
        for name, array in (("m", m), ("g", g), ("h", h)):
            layers[name, seed] = {0: SparseFeatures.from_dense(noise()), 3: SparseFeatures.from_dense(array)}
    suite = SimpleNamespace(seeds=(0, 1), permutations=3, folds=3)
    return SimpleNamespace(plan=SimpleNamespace(suite=suite), load=lambda name, seed: layers[name, seed])


def test_features_of_one_side_alone_come_first_and_those_of_the_other_last(planted):
    table = feature_table(planted, "m", "g", "h")
    assert set(table.feature[:5]) == set(range(5)) and set(table.feature[-5:]) == set(range(10, 15))
    assert table["rank"].tolist() == list(range(1, 41)) and (table.layer == 3).all() and (table.name == "").all()
    top = table[:5]
    assert (top.q_shared < 0.05).all() and (top.q_absent > 0.05).all() and (top.held_out_shared > 0.95).all()
    assert (top.partner_shared == top.feature).all() and (top.again_rank < 0.13).all() and (top.again_rho > 0.99).all()
    assert np.allclose(table.delta, table.S * (table.rho_shared**2 - table.rho_absent**2), atol=1e-3)
    assert table.S_share.sum() == pytest.approx(1)
    both = table[table.feature.isin(range(5, 10))]
    assert np.abs(both.delta_held_out / both.S).max() < 0.05


def test_weight_figures_are_those_of_plain_numpy(planted):
    who = SimpleNamespace(image=SimpleNamespace(name="m"), text=SimpleNamespace(name="g"))
    correlation, variation = weight_values(planted, who, "last")
    expected = []
    for seed in (0, 1):
        x, y = (planted.load(name, seed)[3].to_dense().astype(float) for name in ("m", "g"))
        rho = np.corrcoef(x.T, y.T)[: x.shape[1], x.shape[1] :].max(1)
        weights = x.sum(0)
        expected.append((np.corrcoef(weights, rho)[0, 1], weights.std() / weights.mean()))
    assert (correlation.naive, variation.naive) == pytest.approx(tuple(np.mean(expected, axis=0)), abs=1e-5)
    assert correlation.naive < 0 and correlation.interval[0] < correlation.crossfit < correlation.interval[1]
    assert np.isfinite(correlation.chance) and np.isnan(variation.chance)
    assert self_value(planted, who).naive == pytest.approx(1, abs=1e-6)


def test_the_job_does_all_three_experiments_on_local_checkpoints(command):
    code, out, _ = command("reproduce", "--encoders", "cards.yaml", *SMALL)
    assert code == 0 and "Stand-ins: tiny-image for CLIP image" in out and "scenes is other data" in out
    assert "They have no names yet" in out and "(b) Layers of tiny-vit" in out and "tiny-vit with itself" in out
    run = registry.latest("reproduce")
    values = registry.table(run, "published.parquet").set_index(["claim", "layers"])
    assert values.loc[("self", "all"), "ours"] == pytest.approx(1, abs=1e-6)
    assert values.loc[("self", "all"), "agrees"] == "yes"
    assert (values.agrees.drop(("self", "all")) == "not comparable").all() and len(values) == 13
    assert values.loc[("towers", "all"), "encoders"] == "tiny-image to tiny-text"
    assert 0 < values.loc[("towers", "all"), "chance"] < 1
    (ordering,) = registry.table(run, "orderings.parquet").claim.unique()
    assert ordering == "SigLIP image nearer BERT than SigLIP text"
    pairs = registry.table(run, "pairs.parquet")
    assert len(pairs) == 16
    top = registry.table(run, "top_features.parquet")
    assert list(top["rank"]) == list(range(1, len(top) + 1)) and len(top) == 10 and top.caption_1.str.len().gt(0).all()
    assert {"name", "q_shared", "again_rank", "density"} <= set(top)
    folder = registry.verified(run)
    assert {path.name for path in folder.glob("*.png")} == {
        "matrix.png", "layers-tiny-vit-tiny-vit.png", "top_features.png"
    }  # fmt: skip
    assert len(pd.read_csv(folder / "features.csv")) >= 10
    code, out, _ = command("reproduce", "--encoders", "cards.yaml", *SMALL)
    assert code == 0 and "8 train runs, 8 reused" in out and "(c) Features of tiny-image" in out


def test_questions_that_reproduce_cannot_answer_end_in_one_sentence(command):
    for arguments, sentence in (
        (["--layers", "last"], "set layers to all"),
        (["--seeds", "0"], "give two seeds"),
        (["--encoders", "one.yaml"], "needs the image tower of a contrastive pair"),
        (["--vision", "small-clip-image"], "vision must be a vision-only encoder"),
        (["--suite", "papre"], "did you mean paper"),
    ):
        code, _, error = command("reproduce", *arguments)
        assert code == 2 and sentence in error and len(error.strip().splitlines()) == 1
