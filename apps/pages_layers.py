"""Page: which layers of two encoders share features, side by side."""

import streamlit as st

from apps import charts_layers, tables
from apps.layout import choose_measure, choose_run, escaped, optional_table, read_table
from apps.plots import draw
from benchmark.metrics.caveats import caveats, decimals
from benchmark.metrics.describe import MEASURES, layers

SHOWN = 2  # heatmaps at first

st.title("Layers")
run = choose_run("layers", "comparison of layers", "python -m benchmark layers")
cells = read_table(run, "layers.parquet")
names = {f"{a} → {b}": (a, b) for a, b in dict.fromkeys(zip(cells.source, cells.target, strict=True))}
different = [name for name, (source, target) in names.items() if source != target]
chosen = st.multiselect(
    "Pairs", list(names), default=(different or list(names))[:SHOWN], key="pairs", bind="query-params",
    help="Source, whose features are matched, and target, where partners are looked for.",
)  # fmt: skip
known = {name: words for name, words in MEASURES.items() if cells[name].notna().any()}
measure = choose_measure(known)
st.caption(f"{known[measure][1]} Orange: the best target layer of each source layer.")
for caveat in caveats(cells.n_groups, cells.chance):
    st.warning(caveat, icon=":material/warning:")
digits = decimals(cells.n_groups)
shown = [cells[(cells.source == names[pair][0]) & (cells.target == names[pair][1])] for pair in chosen]
top = max((float(part[measure].max()) for part in shown), default=1.0)
columns = st.columns(2, gap="large")
for i, (pair, part) in enumerate(zip(chosen, shown, strict=True)):
    with columns[i % 2]:
        st.markdown(f"**{escaped(pair)}**")
        draw(
            charts_layers.layer_heatmap, part, measure, known[measure][0], digits, max(top, 1e-9), key=f"layers-{i}",
            alt=f"{known[measure][0]} of every layer of {pair}; the table below has the same values.",
        )  # fmt: skip
if not chosen:
    st.info("Choose a pair.")
    st.stop()

for name, title, caption, words in (
    ("concentration", "Where cross-modal alignment concentrates",
     "The share of each image-text matrix that lies in the last quarter of the layers: of the sum of its cells, of the "
     "value of all layers together (parts), and how often the highest cell is there (maximum).",
     layers.CONCENTRATION),
    ("diagonal", "Layers under another seed",
     "How far each layer finds itself, and not other layers, in another training of the same encoder.",
     layers.DIAGONAL),
):  # fmt: skip
    st.subheader(title)
    st.caption(caption)
    table = optional_table(run, f"{name}.parquet")
    if table is None:
        st.info("These pairs have none.")
        continue
    tables.show(table, words, f"layers {name}", digits)
st.subheader("All cells")
table = cells[[name for name in cells if name not in ("n_samples", "n_groups")]]
tables.show(table, layers.CELLS, f"layers {run['suite']} {run['dataset']}", digits)
