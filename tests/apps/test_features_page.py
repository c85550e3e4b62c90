"""The page on features: choosing a layer, searching it, and looking at one feature by its address."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from apps_pages import choose, opened, spoken
from apps_planted import CONCEPTS, DEAD, HOSTILE, LAYER, NOISE

import registry
from registry.names import TAG, named_tag, names_path

PAGE = "pages_features.py"


@pytest.fixture
def vit(features_store):
    return features_store.train["vit", "0"], features_store.latents["vit", "0"]


def look(run_id, number, layer=LAYER):
    return opened(PAGE, run=run_id, layer=str(layer), feature=str(number))


def asked(app, name="run"):
    """A parameter of the page's address, which AppTest keeps as a text or a list."""
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]


def texts(app):
    return [item.value for item in [*app.markdown, *app.caption, *app.subheader]]


def test_the_newest_compared_run_is_shown_first_with_all_live_features(features_store):
    app = opened(PAGE)
    assert asked(app) == features_store.train["bert", "0"]
    shown = app.dataframe[0].value
    assert set(shown.feature) == {*features_store.latents["bert", "0"], NOISE}
    assert shown.S.is_monotonic_decreasing and shown.image.str.startswith("data:image/jpeg;base64,").all()
    assert "6 of 6 live features. Click one to see it." in texts(app)


def test_encoder_and_seed_choose_the_run_and_the_address_follows(features_store):
    app = choose(choose(opened(PAGE), "Encoder", "vit"), "Seed", "1")
    assert asked(app) == features_store.train["vit", "1"]
    assert set(app.dataframe[0].value.feature) >= set(features_store.latents["vit", "1"])


def test_the_address_chooses_the_run(features_store, vit):
    app = opened(PAGE, run=features_store.train["vit", "1"], layer=str(LAYER))
    assert [box.value for box in app.selectbox][:4] == [("tiny", "planted"), "vit", "1", LAYER]
    app = choose(app, "Seed", "0")
    assert asked(app) == vit[0]


def test_words_and_order_and_density_narrow_the_table(vit):
    run_id, latents = vit
    app = opened(PAGE, run=run_id, layer=str(LAYER), words="square")
    shown = app.dataframe[0].value
    assert shown.feature.iloc[0] == latents[1] and shown.hits.iloc[0] == 8
    app.text_input(key="words").set_value("quare").run()
    assert any("within words" in text for text in texts(app)) and latents[1] in set(app.dataframe[0].value.feature)
    app.text_input(key="words").set_value("zebra").run()
    assert not app.dataframe and "No feature of this layer is left" in spoken(app)
    app.text_input(key="words").set_value("").run()
    app.select_slider(key="density").set_value((0.0, 0.001)).run()
    assert not app.dataframe and not app.exception


def test_stability_is_the_mean_correlation_with_the_twins(features_store, vit):
    run_id, latents = vit
    app = opened(PAGE, run=run_id, layer=str(LAYER))
    app.toggle(key="stability").set_value(True).run()
    shown = app.dataframe[0].value.set_index("feature")
    assert "Stability over 1 other seeds." in texts(app)
    assert (shown.stability[latents] > 0.9).all() and shown.stability[NOISE] < 0.5
    app.slider(key="stable").set_value((0.8, 1.0)).run()
    assert set(app.dataframe[0].value.feature) == set(latents)


def test_a_feature_is_shown_with_samples_activations_partner_and_twin(features_store, vit):
    run_id, latents = vit
    app = look(run_id, latents[2])
    assert [item.value for item in app.title] == [f"Feature {latents[2]}"] and spoken(app) == ""
    assert {"Samples", "Activations", "Best match in each encoder", "Seed twins"} <= set(texts(app))
    assert {"**Strongest**", "**Third quarter**", "**Lowest quarter**"} <= set(texts(app))
    recorded = registry.features(run_id, LAYER).to_dense()[:, latents[2]]
    assert app.get("vega_lite_chart") and app.dataframe[0].value.samples.sum() == (recorded > 0).sum()
    links = [link.proto.query_string for link in app.get("page_link")]
    twin, partner = features_store.latents["vit", "1"][2], features_store.latents["bert", "0"][2]
    assert f"run={features_store.train['bert', '0']}&layer=3&feature={partner}" in links
    assert f"run={features_store.train['vit', '1']}&layer=3&feature={twin}" in links
    assert any("each other's best" in text for text in texts(app))
    assert [metric.value for metric in app.metric][:1] == [f"{(recorded > 0).mean():.2%}"]
    assert "This encoder sees the images; the captions that belong to them are shown for orientation." in texts(app)


def test_the_way_back_leads_to_the_layer(vit):
    app = look(vit[0], vit[1][0])
    app.button[0].click().run()
    assert [item.value for item in app.title] == ["Features"] and "feature" not in app.query_params
    assert asked(app) == vit[0] and not app.exception


def test_captions_stay_text(vit):
    run_id, latents = vit
    app = look(run_id, latents[4])
    elements = [*app.markdown, *app.caption, *app.info, *app.warning]
    assert not any(getattr(item, "allow_html", False) for item in elements) and not app.get("html")
    assert not any("<img" in item.value.replace("\\<img", "") for item in elements)
    assert any("\\<img src" in item.value for item in elements)


def test_captions_alone_are_shown_without_pictures_and_matches(features_store):
    app = look(features_store.train["gpt", "0"], 0)
    assert not app.get("imgs") and any(CONCEPTS[0] in text for text in texts(app))
    assert "No comparison of this suite" in spoken(app) and "no other seed" in spoken(app)
    listed = opened(PAGE, run=features_store.train["gpt", "0"], layer=str(LAYER))
    assert "image" not in listed.dataframe[0].value


def test_another_seed_says_where_its_matches_are(features_store):
    app = look(features_store.train["vit", "1"], features_store.latents["vit", "1"][0])
    assert "under the first seed of every encoder" in spoken(app)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (DEAD, "active on no sample"),
        (13, "at one value on every sample"),
        (99, "no feature 99"),
        ("x", "by their numbers"),
    ],
)
def test_constant_and_unknown_features_are_told_in_a_sentence(vit, number, said):
    app = look(vit[0], number)
    assert said in spoken(app) and not app.get("vega_lite_chart")


def test_missing_layers_runs_and_partial_runs_are_told_in_a_sentence(features_store, vit):
    assert "has no artifact" in spoken(look(vit[0], 0, layer=7)).replace("\\", "")
    assert "was deleted" in spoken(look("0" * 32, 0))
    assert "has no artifact" in spoken(look(features_store.partial, 0)).replace("\\", "")
    app = opened(PAGE, run="0" * 32)
    assert "was deleted" in spoken(app) and len(app.dataframe) == 1
    app = opened(PAGE, run=features_store.partial)
    assert "has no artifact" in spoken(app).replace("\\", "") and not app.dataframe


def test_only_one_page_of_features_is_sent(features_store, vit, monkeypatch):
    from apps import features

    whole = features.summary(*vit[:1], LAYER)
    many = whole.loc[np.repeat(whole.index, 20)].assign(feature=np.arange(120))
    monkeypatch.setattr(features, "summary", lambda run_id, layer: many)
    app = opened(PAGE, run=vit[0], layer=str(LAYER))
    assert len(app.dataframe[0].value) == 50 and "120 of 120 live features. Click one to see it." in texts(app)
    app.query_params["page"] = "3"
    app.run()
    assert not app.exception


def test_names_are_shown_searched_and_evidenced(vit, monkeypatch):
    from apps import features

    run_id, latents = vit
    known = pd.DataFrame({
        "run_id": run_id, "feature": latents[:3], "name": ["red", HOSTILE, ""], "source": "caption", "auc": 0.9
    })  # fmt: skip
    monkeypatch.setattr(features, "names", lambda run_id, layer: known)
    app = opened(PAGE, run=run_id, layer=str(LAYER), name="RED")
    assert app.dataframe[0].value.feature.tolist() == [latents[0]]
    app = look(run_id, latents[0])
    assert "Name: **red**" in texts(app)
    assert app.dataframe[0].value.iloc[0].to_dict() == {
        "source": "caption",
        "auc": 0.9,
    }
    assert not any("<img" in text.replace("\\<img", "") for text in texts(look(run_id, latents[1])))
    assert "This feature has no name above chance." in texts(look(run_id, latents[2]))
    assert not any("Name: " in text for text in texts(look(run_id, latents[3])))


def test_a_damaged_thumbnail_is_told(vit, monkeypatch):
    monkeypatch.setattr(registry, "thumbnails", lambda run_id, images: {int(i): b"no picture" for i in images})
    app = look(vit[0], vit[1][0])
    assert "(damaged picture)" in texts(app) and any(CONCEPTS[0] in text for text in texts(app))


def test_names_are_those_of_the_newest_run_that_named_the_features(vit, tmp_path):
    from apps import features

    run_id, latents = vit
    assert features.names(run_id, LAYER).empty
    path = tmp_path / names_path("vit", 0)
    path.parent.mkdir()
    pd.DataFrame({
        "run_id": run_id, "layer": LAYER, "feature": latents[:2], "name": ["star", HOSTILE], "auc": 0.8, "S": 1.0
    }).to_parquet(path)  # fmt: skip
    with mlflow.start_run(tags={"kind": "name", TAG: named_tag([run_id])}) as run:
        mlflow.log_artifacts(str(tmp_path))
    try:
        found = features.names(run_id, LAYER)
        assert found.to_dict("list") == {"feature": latents[:2], "name": ["star", HOSTILE], "auc": [0.8, 0.8]}
        assert features.names(run_id, LAYER + 1).empty
        app = look(run_id, latents[0])
        assert "Name: **star**" in texts(app)
    finally:
        mlflow.delete_run(run.info.run_id)
