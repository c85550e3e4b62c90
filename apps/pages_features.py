"""Page: the features of one layer, to be browsed and searched."""

import base64
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from apps import cache_features, feature, features, lists, tables
from apps.feature_layout import show_feature
from apps.layout import STORE, compared_on, download_buttons, empty_store, listed, paged, runs_of, sentence, trained_on
from benchmark.metrics.describe.features import SUMMARY

ROW = 44  # Pixels of a row with a picture.
PAGE = 50  # Features that are shown at a time.
SHOWN = "features_shown"  # Key of the session's state: the run and layer that the page's address names.
CLICKS = "features_clicks"  # Key of the session's state: how many features were clicked.
DENSITIES = (0.0, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0)
COLUMNS = (
    "image", "feature", "name", "hits", "stability", "caption", "S", "frequency", "density", "mean_active"
)  # fmt: skip
LABELS = {"S": "total activation S", "feature": "number"}


def pick(box: Any, label: str, options: Sequence[Any], linked: Any = None, name: Callable[[Any], str] = str) -> Any:
    """Show a choice that holds on other pages; `linked` is what the address asks for, if it is new."""
    key = f"features_{label.lower()}"
    if linked in options:
        st.session_state[key] = linked
    elif st.session_state.get(key) not in options:
        st.session_state[key] = options[0]
    return box.selectbox(label, options, key=key, format_func=name, persist_state="session")


def choose_layer() -> tuple[dict[str, Any], int]:
    """Let the user choose a train run and one of its layers: by dataset, encoder and seed, or by the address."""
    store, compared = st.session_state[STORE], runs_of("compare")
    trained = features.train_runs(listed("train", "train run"))
    compared = compared[compared["status"] == "FINISHED"]
    for newest in compared.head(1).to_dict("records"):  # whose train runs may be older
        trained = pd.concat([trained, trained_on(newest["suite"], newest["dataset"])], ignore_index=True)
    address = st.query_params.get("run"), st.query_params.get("layer")
    linked: dict[str, Any] = {}
    if address[0] and address != st.session_state.get(SHOWN):
        same = features.train_runs(lists.by_id(store, [address[0]]))
        trained = pd.concat([trained, same], ignore_index=True)
        linked = {str(key): value for row in same.to_dict("records") for key, value in row.items()}
        if not linked:
            sentence(
                st.warning, f"Run {address[0]} is no finished train run of this store, or was deleted; another is shown"
            )
    if trained.empty:
        empty_store("finished train run", "make compare")
    row = st.container(horizontal=True)
    here = linked.get("suite"), linked.get("dataset")
    suite, dataset = pick(row, "Data", features.places(trained, compared), here, " · ".join)
    found = trained_on(suite, dataset)
    if found.empty:
        st.info("These train runs were deleted meanwhile; choose other data.")
        st.stop()
    found = features.preferred(found, cache_features.compared(store, compared_on(suite, dataset), suite, dataset))
    encoder = pick(row, "Encoder", sorted(found["encoder"].unique()), linked.get("encoder"))
    found = found[found["encoder"] == encoder]
    seed = pick(row, "Seed", sorted(found["seed"].unique(), key=lambda name: (len(name), name)), linked.get("seed"))
    found = found[found["seed"] == seed]
    starts = {i: f"{start:%Y-%m-%d %H:%M} · {i[:8]}" for i, start in zip(found["run_id"], found["start"], strict=True)}
    run_id = next(iter(starts))
    if len(starts) > 1:
        run_id = pick(row, "Run", list(starts), linked.get("run_id"), lambda i: starts.get(i, i))
    try:
        layers = cache_features.layers(store, run_id)
    except ValueError as error:
        sentence(st.error, str(error))
        st.stop()
    number = address[1] or ""
    layer = pick(row, "Layer", layers[::-1], int(number) if linked and number.isdecimal() else None)
    st.query_params.update(run=run_id, layer=str(layer))
    st.session_state[SHOWN] = run_id, str(layer)
    return {str(key): value for key, value in found[found["run_id"] == run_id].iloc[0].items()}, layer


def stability(run: dict[str, Any], layer: int) -> pd.Series:
    """Return the stability of a layer's features over the other seeds of its encoder, said in a caption."""
    store, place = st.session_state[STORE], (run["suite"], run["dataset"])
    found = cache_features.comparison(store, compared_on(*place), run["run_id"], *place)
    seeds = feature.other_seeds(trained_on(*place), run["run_id"], found.runs if found else ())
    tables = {seed: cache_features.twins(store, run["run_id"], layer, tuple(ids)) for seed, ids in seeds.items()}
    used = [seed for seed, table in tables.items() if table]
    st.caption(f"Stability over {len(used)} other seeds." if used else "There is no other seed to compare with.")
    return feature.stability([table[1] for table in tables.values() if table])


def choose_features(run: dict[str, Any], layer: int, table: pd.DataFrame) -> pd.DataFrame:
    """Let the user search and filter the features of a layer; return those that are left, in the order asked for."""
    store = st.session_state[STORE]
    row = st.container(horizontal=True, vertical_alignment="bottom")
    query = row.text_input(
        "Words in captions", key="words", bind="query-params", icon=":material/search:",
        help="Finds features whose strongest samples have captions with all of these words.",
    )  # fmt: skip
    named = cache_features.names(store, run["run_id"], layer)
    name = ""
    if len(named):
        table = table.merge(named[["feature", "name"]], on="feature", how="left")
        name = row.text_input("Name", key="name", bind="query-params", icon=":material/sell:")
    density = row.select_slider(
        "Density", DENSITIES, (DENSITIES[0], DENSITIES[-1]), key="density", bind="query-params",
        format_func=lambda share: f"{100 * share:g} %", help=SUMMARY["density"][1],
    )  # fmt: skip
    bounds = None
    if row.toggle("Seed stability", key="stability", bind="query-params", help=SUMMARY["stability"][1]):
        table = table.assign(stability=table["feature"].map(stability(run, layer)))
        if table["stability"].notna().any():
            bounds = row.slider("Stability", -0.1, 1.0, (-0.1, 1.0), key="stable", bind="query-params")
    found = None
    if query.strip():
        found = features.search(cache_features.words(store, run["run_id"], layer), query)
        if len(found.hits) and not found.whole:
            st.caption("No caption has these as whole words; features are shown whose captions have them within words.")
    known = [key for key in features.SORTS if key in table or (key == "hits" and found is not None)]
    sort = row.selectbox(
        "Order",
        known,
        key=f"sort-{'-'.join(known)}",
        format_func=lambda key: LABELS.get(key) or SUMMARY[key][0].lower(),
    )
    shown = features.filtered(table, found=found, name=name, density=density, stability=bounds)
    return features.ordered(shown, sort)


def page_of(shown: pd.DataFrame, total: int) -> pd.DataFrame:
    """Show how many rows there are and the choice of a page of them; return that page."""
    row = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
    click = " Click one to see it." if len(shown) else ""
    row.caption(f"{len(shown):,} of {total:,} live features.{click}", width="content")
    return paged(shown, PAGE, row, "page")


def with_thumbnails(run_id: str, shown: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the strongest sample's picture in place of its number, without pictures if none is kept."""
    try:
        small = cache_features.thumbnails(st.session_state[STORE], run_id, tuple(shown["image"]))
    except ValueError as error:
        sentence(st.warning, str(error))
        small = {}
    if not small:
        return shown.drop(columns="image")
    urls = {number: f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" for number, jpeg in small.items()}
    return shown.assign(image=shown["image"].map(urls))


def follow_click(key: str, numbers: Sequence[int]) -> None:
    """Put the feature of the row that was clicked in the table of this key into the address, before the page runs."""
    chosen = st.session_state[key]["selection"]
    rows = [*chosen["rows"], *(row for row, _ in chosen["cells"])]
    if rows:
        # A table of another key is selected nowhere: the browser remembers what was clicked when the user comes back.
        st.session_state[CLICKS] = st.session_state.get(CLICKS, 0) + 1
        st.query_params["feature"] = str(numbers[rows[0]])


if "feature" in st.query_params:
    show_feature()
    st.stop()
st.title("Features")
run, layer = choose_layer()
try:
    table = cache_features.summary(st.session_state[STORE], run["run_id"], layer)
except ValueError as error:
    sentence(st.error, str(error))
    st.stop()
shown = choose_features(run, layer, table)
part = with_thumbnails(run["run_id"], page_of(shown, len(table)))
order = [name for name in COLUMNS if name in part]
config = tables.columns(part[order], SUMMARY, 2, {"density": "percent"}, {"caption": "medium"})
config["image"] = st.column_config.ImageColumn(SUMMARY["image"][0], help=SUMMARY["image"][1], width="small")
if part.empty:
    st.info("No feature of this layer is left by these filters.")
    st.stop()
clicks = st.session_state.get(CLICKS, 0)
key = f"features-{clicks}"
st.dataframe(
    part[order], hide_index=True, placeholder="–", column_config=config, row_height=ROW,
    height=min(560, 40 + ROW * len(part)), on_select=partial(follow_click, key, list(part["feature"])),
    selection_mode=["single-row", "single-cell"], key=key,
)  # fmt: skip
download_buttons(shown.drop(columns="image"), f"features {run['encoder']} seed {run['seed']} layer {layer}")
