"""Features are found by words, filtered and ordered; partners and twins of planted concepts are the planted ones."""

import numpy as np
import pandas as pd
import pytest
from apps_planted import CONCEPTS, CONSTANT, DEAD, EACH, HOSTILE, LATENTS, LAYER, NOISE, SAMPLES

import registry
from apps import data, feature, features
from benchmark.features import DenseFeatures, SparseFeatures


@pytest.fixture
def vit(features_store):
    """The run and the latents of the vit's first seed."""
    return features_store.train["vit", "0"], features_store.latents["vit", "0"]


def test_only_finished_train_runs_of_encoders_are_offered_and_compared_ones_first(features_store):
    trained = features.train_runs(data.run_list())
    assert set(trained.run_id) == {*features_store.train.values(), features_store.partial}
    last = features_store.train["vit", "0"]
    assert features.preferred(trained, [last]).run_id.iloc[0] == last
    assert features.preferred(trained, []).equals(trained)


def test_the_summary_has_the_live_features_with_the_caption_of_the_strongest_sample(vit):
    run_id, latents = vit
    table = features.summary(run_id, LAYER).set_index("feature")
    assert set(table.index) == {*latents, NOISE}  # neither the dead nor the constant one
    for concept, latent in enumerate(latents):
        assert CONCEPTS[concept] in table.caption[latent] and table.image[latent] >= 0
        assert table.frequency[latent] == EACH + concept
        assert table.density[latent] == pytest.approx((EACH + concept) / SAMPLES)


@pytest.mark.parametrize(
    ("query", "concept"),
    [("circle", 0), ("Circle RED", 0), ("blue square", 1), ("  tiny  ", 3), ("onerror alert", 4), ("<img", 4)],
)
def test_words_find_the_features_whose_strongest_samples_have_them(vit, query, concept):
    run_id, latents = vit
    found = features.search(features.words(run_id, LAYER), query)
    assert found.whole and found.hits[latents[concept]] == 8
    assert set(found.hits.index) <= {latents[concept], NOISE}


def test_parts_of_words_are_found_only_where_no_whole_word_is(vit):
    run_id, latents = vit
    index = features.words(run_id, LAYER)
    assert latents[1] not in features.search(index, "red").hits  # not within other words
    found = features.search(index, "squ")
    assert not found.whole and found.hits[latents[1]] == 8
    for nothing in ("zebra", "red zebra", "", "  "):
        assert features.search(index, nothing).hits.empty


def test_words_of_scripts_without_spaces_and_signs_are_found():
    captions = pd.Series(["一只红色的猫", "a c++ book", "ein großer hund"])
    index = features.Words(np.array([3, 5, 7]), np.arange(3), captions)
    assert features.search(index, "红色").hits.index.tolist() == [3]
    assert features.search(index, "C++").hits.index.tolist() == [5]
    assert features.search(index, "GROSSER").hits.empty and features.search(index, "großer").hits.index.tolist() == [7]


def test_filters_narrow_the_table_and_orders_sort_it(vit):
    run_id, latents = vit
    table = features.summary(run_id, LAYER)
    few = features.filtered(table, density=(0.0, (EACH + 1) / SAMPLES))
    assert {*latents[:2]} <= set(few.feature) and not {*latents[2:]} & set(few.feature)
    hits = features.search(features.words(run_id, LAYER), "heart")
    assert latents[3] in features.filtered(table, found=hits).feature.tolist()
    named = table.assign(name=np.where(table.feature == latents[0], "A Red Thing", None))
    assert features.filtered(named, name="red").feature.tolist() == [latents[0]]
    steady = table.assign(stability=np.where(table.feature == NOISE, 0.1, 0.9))
    assert NOISE not in set(features.filtered(steady, stability=(0.5, 1.0)).feature)
    assert features.ordered(table, "feature").feature.is_monotonic_increasing
    assert features.ordered(table, "S").S.is_monotonic_decreasing
    assert features.ordered(table, "frequency").frequency.is_monotonic_decreasing


def test_samples_come_by_level_with_their_captions_and_pictures(vit):
    run_id, latents = vit
    found = feature.samples(run_id, LAYER, latents[2])
    assert [sample.level for sample in found] == ["top"] * 8 + [
        level for level in feature.LEVELS for sample in found if sample.level == level and level != "top"
    ]
    top = [sample.value for sample in found if sample.level == "top"]
    assert top == sorted(top, reverse=True) and max(sample.value for sample in found) == top[0]
    assert all("green star" in sample.caption and sample.jpeg.startswith(b"\xff\xd8") for sample in found)
    assert feature.samples(run_id, LAYER, DEAD) == []


def test_an_encoder_of_captions_alone_has_no_pictures(features_store):
    found = feature.samples(features_store.train["gpt", "0"], LAYER, 0)
    assert found and all(sample.jpeg is None and "red circle" in sample.caption for sample in found)


@pytest.mark.parametrize("form", ["sparse", "dense"])
def test_activations_are_those_recorded(form):
    dense = np.array([[0.0, 2.0], [1.0, 0.0], [3.0, 0.0]], np.float32)
    recorded = SparseFeatures.from_dense(dense) if form == "sparse" else DenseFeatures(dense)
    assert feature.activations(recorded, 0).tolist() == [1.0, 3.0]
    for wrong in (2, -1):
        with pytest.raises(ValueError, match="features 0 to 1"):
            feature.activations(recorded, wrong)


def test_the_histogram_holds_every_activation_once():
    values = np.random.default_rng(0).exponential(size=500).astype(np.float32)
    bins = feature.histogram(values)
    assert bins.samples.sum() == 500 and bins.low[0] == 0 and bins.high.iloc[-1] == pytest.approx(values.max())
    inside = (values > bins.low[3]) & (values <= bins.high[3])
    assert bins.samples[3] == inside.sum()
    assert feature.quarters(values) == pytest.approx(np.quantile(values, [0.25, 0.5, 0.75]))
    assert feature.histogram(values[:0]).empty and feature.quarters(values[:3]) == []


def test_partners_are_the_planted_ones_in_the_first_seeds(features_store, vit):
    run_id, latents = vit
    found = feature.comparison(features_store.compare, data.table(features_store.compare, "saes.parquet"), run_id)
    for concept, latent in enumerate(latents):
        table = feature.partners(found, "vit", LAYER, latent)
        assert table.encoder.tolist() == ["bert"] and table.run_id[0] == features_store.train["bert", "0"]
        assert table.partner[0] == features_store.latents["bert", "0"][concept] and table.held_out_rho[0] > 0.9
    assert feature.partners(found, "vit", LAYER, DEAD).empty
    gone = found._replace(first={**found.first, "../../x": "y"})
    assert feature.partners(gone, "vit", LAYER, latents[0]).encoder.tolist() == ["bert"]  # nothing outside is read
    assert feature.comparison("id", data.table(features_store.compare, "saes.parquet"), "another") is None


def test_other_seeds_are_of_the_same_encoder_and_compared_ones_come_first():
    rows = [("n", "1"), ("a", "0"), ("b", "1"), ("c", "10"), ("d", "2")]
    trained = pd.DataFrame([
        {"run_id": run_id, "seed": seed, "suite": "s", "dataset": "d", "encoder": "e"} for run_id, seed in rows
    ])  # fmt: skip
    other = trained.tail(1).assign(run_id="x", encoder="f")
    found = feature.other_seeds(pd.concat([trained, other]), "a", {"b"})
    assert found == {"1": ["b", "n"], "2": ["d"], "10": ["c"]} and list(found) == ["1", "2", "10"]


def test_twins_of_planted_concepts_are_the_planted_ones(features_store, vit):
    run_id, latents = vit
    own, other = (registry.features(features_store.train["vit", seed], LAYER) for seed in ("0", "1"))
    table = feature.twins(own, other).set_index("feature")
    assert set(table.index) == {*latents, NOISE}
    for concept, latent in enumerate(latents):
        assert table.twin[latent] == features_store.latents["vit", "1"][concept]
        assert table.rho[latent] > 0.9 and table.mutual[latent]
    steady = feature.stability([table.reset_index(), table.reset_index().assign(rho=0.0)])
    assert steady[latents[0]] == pytest.approx(table.rho[latents[0]] / 2)
    assert feature.stability([]).empty
    with pytest.raises(ValueError, match="no seeds of one"):
        feature.twins(own, SparseFeatures.from_dense(np.eye(SAMPLES, LATENTS + 1), own.samples, own.groups))


def test_a_run_without_features_is_told_in_one_line(features_store):
    for read in (lambda run: features.layers(run), lambda run: features.summary(run, 3)):
        for run_id in (features_store.partial, "f" * 32):
            with pytest.raises(ValueError, match=run_id) as caught:
                read(run_id)
            assert "\n" not in str(caught.value)
    assert HOSTILE in CONCEPTS and CONSTANT != NOISE
