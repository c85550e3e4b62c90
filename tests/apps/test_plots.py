"""Charts are built once for the same data and download as SVG."""

import re
from xml.etree import ElementTree

import altair as alt
import pandas as pd
import pytest
from apps_pages import FIRST, PAGES, choose, opened

from apps import plots


def texts(picture: bytes) -> list[str]:
    """Return what is written in an SVG."""
    root = ElementTree.fromstring(picture)
    assert root.tag.endswith("svg") and int(root.attrib["width"]) >= plots.WIDTH
    return [part.strip() for part in root.itertext() if part.strip()]


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("pages_saes.py", "pages_runs.py")])
def test_every_chart_of_a_page_downloads_as_svg(store, pictures, page):
    app = opened(page)
    labels = [button.proto.label for button in app.get("download_button")]
    assert labels.count("SVG") == len(app.get("vega_lite_chart"))
    for name, picture in pictures.items():
        assert re.fullmatch(r"[a-z0-9-]+\.svg", name)
        assert len(texts(picture)) > 2


def test_the_svg_of_the_leaderboard_names_its_encoders(store, pictures):
    opened(FIRST)
    assert len(pictures) == 5
    assert {"vit", "bert", "wMPPC"} <= set(texts(pictures["forest-asymmetry.svg"]))


def points(table: pd.DataFrame, title: str) -> alt.Chart:
    points.built += 1
    return alt.Chart(table).mark_point().encode(x=alt.X("x:Q", title=title), y="name:N")


points.built = 0


def test_a_chart_is_built_once_for_the_same_data_and_anew_for_other():
    plots._specification.clear()
    points.built = 0
    table = pd.DataFrame({"x": [1.0, 2.0], "name": ["a", "b"]})
    first = plots._specification(points, (table, "x"))
    assert plots._specification(points, (table.copy(), "x")) == first and points.built == 1
    assert plots._specification(points, (table.assign(x=[1.0, 3.0]), "x")) != first and points.built == 2
    assert plots._specification(points, (table, "other")) != first and points.built == 3


def test_labels_of_axes_stay_at_their_places():
    config = plots._specification(points, (pd.DataFrame({"x": [1.0], "name": ["a"]}), "place"))["config"]
    assert config["axis"]["labelFlush"] is False and "view" in config


def test_charts_of_many_rows_and_of_untrusted_names_download():
    table = pd.DataFrame({"x": range(6000), "name": ['<script>alert("1")</script>'] * 6000})
    picture = plots.svg(points(table, "a & b").to_dict())
    assert b"<script" not in picture and "a & b" in texts(picture)


def test_a_picture_reads_nothing_from_the_network():
    chart = alt.Chart("http://127.0.0.1:9/data.csv").mark_point().encode(x="x:Q")
    with pytest.raises(ValueError, match="(?i)not allowed|permi|denied|base url"):
        plots.svg(chart.to_dict())


def test_a_measure_without_values_has_a_picture(store, pictures):
    app = opened("pages_matrix.py")
    choose(app, "Samples", "train")
    app.segmented_control[0].set_value("chance").run()
    assert texts(pictures["matrix.svg"])
