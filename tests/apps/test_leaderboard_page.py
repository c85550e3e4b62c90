"""The leaderboard page shows what the comparison's leaderboard holds, filtered as asked."""

import pytest
from apps_pages import FIRST, choose, log_run, opened, spoken

import registry
from apps.board import side_by_side
from benchmark.metrics.describe import BOARD


def table(app):
    return app.dataframe[0].value.set_index("encoder")


def test_the_board_shows_the_newest_comparison_best_encoder_first(store, cells):
    shown = table(opened(FIRST))
    part = cells[(cells.recorded_on == "heldout") & (cells["aggregate"] == "last") & (cells.source != cells.target)]
    share = part.groupby("source").crossfit.mean()
    assert shown.share.to_dict() == pytest.approx(share.to_dict())
    assert list(shown.index) == list(share.sort_values(ascending=False).index)
    assert {name for name in BOARD if name in shown} == set(BOARD)
    assert (shown.share_interval.str.contains(" to ")).all() and set(shown.share_group) == {"1", "2", "3", "4"}
    assert shown.fvu.tolist() == pytest.approx([0.173] * 4) and shown.fvu_sd.tolist() == pytest.approx(
        [0.0707] * 4, abs=1e-3
    )


def test_seed_layers_and_samples_can_be_chosen(store):
    whole, one = table(opened(FIRST)), table(choose(opened(FIRST), "Seed", "1"))
    assert one.share.to_dict() == pytest.approx((whole.share + 0.01).to_dict())
    assert one.fvu.tolist() == pytest.approx([0.223] * 4) and "share_group" not in one
    other = table(choose(choose(opened(FIRST), "Layers", "layer_mean"), "Samples", "train"))
    assert other.share.to_dict() == pytest.approx((whole.share + 0.6).to_dict())


def test_another_measure_has_its_own_values_and_no_interval(store, cells):
    app = opened(FIRST)
    app.segmented_control[0].set_value("chance").run()
    shown = table(app)
    assert shown.share.tolist() == pytest.approx([0.09] * 4) and shown.asymmetry.tolist() == pytest.approx([0] * 4)
    assert not any(name.endswith(("_interval", "_group")) for name in shown)
    app.segmented_control[0].set_value("naive").run()
    part = cells[(cells.recorded_on == "heldout") & (cells["aggregate"] == "last")]
    to_text = part[(part.target == "bert") & (part.source != "bert")].set_index("source").naive
    assert table(app).share_text.dropna().to_dict() == pytest.approx(to_text.to_dict())


def test_filters_narrow_the_board_and_say_so(store):
    app = opened(FIRST)
    next(box for box in app.multiselect if box.label == "Class").set_value(["vlm"]).run()
    assert set(table(app).index) == {"clip-image", "clip-text"}
    assert any(item.value.startswith("2 of 4 encoders shown, none failed.") for item in app.caption)
    next(box for box in app.multiselect if box.label == "Modality").set_value(["text"]).run()
    assert list(table(app).index) == ["clip-text"]


def test_no_comparison_chosen_is_told(store):
    app = opened(FIRST)
    next(box for box in app.multiselect if box.label == "Comparisons").set_value([]).run()
    assert "Choose a comparison." in spoken(app) and not app.exception


def test_tables_download_as_csv_latex_and_markdown(store):
    app = opened(FIRST)
    labels = [button.proto.label for button in app.get("download_button")]
    assert [label for label in labels if label != "SVG"] == ["CSV", "LaTeX", "Markdown"]


def test_an_older_comparison_is_offered_after_the_newest_ones_and_told_apart(own_store, tmp_path):
    names = ("cells.parquet", "saes.parquet", "leaderboard.parquet")
    tables_of = {name: registry.table(own_store.compare, name) for name in names}
    newer = log_run(tmp_path, tables_of, kind="compare", suite="tiny", dataset="scenes")
    app = opened(FIRST)
    box = next(box for box in app.multiselect if box.label == "Comparisons")
    assert box.value == [newer] and "run_id" not in app.dataframe[0].value
    assert box.options[0] == "tiny · scenes" and own_store.compare[:8] in box.options[-1]
    box.set_value([newer, own_store.compare]).run()
    assert not app.exception and set(app.dataframe[0].value.run_id) == {newer, own_store.compare}
    chosen, _ = side_by_side(app.dataframe[0].value, BOARD)
    assert f"vit · {newer[:8]}" in chosen and f"vit · {own_store.compare[:8]}" in chosen
