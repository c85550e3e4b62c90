"""Page: which features of one encoder others share, and others again lack."""

import pandas as pd
import streamlit as st

from apps import cache, charts_sharedness, data, pair, tables
from apps.layout import (
    STORE,
    choose_compare_run,
    escaped,
    feature_address,
    gallery,
    named,
    optional_table,
    read,
    runs_of,
    sentence,
)  # fmt: skip
from apps.plots import draw
from apps.sharedness import TOP, groups, sharedness
from benchmark.metrics.describe.sharedness import ASSOCIATION, FEATURES

SHOWN, SAMPLES = 10, 7  # features with their samples

st.title("Sharedness")
run = choose_compare_run()
saes = read(cache.saes, run)
kinds, parts = data.encoder_column(saes, "kind"), pair.parts(saes)
names = list(parts)
left, middle, right = st.columns(3)
likely = [name for name in names if kinds[name] == "vlm"] or names
source = left.selectbox("M: features of", names, index=names.index(likely[0]), key="source", bind="query-params")
with_, without = groups(kinds, source)
others = [name for name in names if name != source]
shared = middle.multiselect("G: shared with all of", others, default=with_, key=f"with-{source}", bind="query-params")
absent = right.multiselect(
    "H: absent from all of", others, default=without, key=f"without-{source}", bind="query-params"
)
try:
    found = sharedness(
        {name: cache.partners(st.session_state[STORE], run["run_id"], source, name) for name in (*shared, *absent)},
        shared, absent,
    )  # fmt: skip
except ValueError as error:
    sentence(st.info, str(error))
    st.stop()

table = found.features
draw(
    charts_sharedness.distribution, table, key="distribution",
    alt="Histogram of the difference of squared correlations over all live features.",
)  # fmt: skip
st.caption(
    f"{len(table):,} live features of the deepest layer under the first seed; {found.positive:.1%} have a Delta above "
    f"0, {found.positive_by_chance:.1%} would if every split of these encoders into such groups were as good. "
    "Correlations are held out: partners are chosen without the samples that they are measured on."
)
top = table[table.top]
st.subheader(f"The top {TOP:.0%}: {len(top)} features")
best = tuple(int(feature) for feature in top.feature.head(SHOWN))
layer = int(table.layer.iloc[0])
try:
    examples = cache.examples(st.session_state[STORE], parts[source].run_id, layer, best, SAMPLES)
except ValueError as error:
    sentence(st.info, str(error))
    examples = {}
for row in top.head(SHOWN).to_dict("records"):
    with st.container(border=True):
        name = named(parts[source].run_id, layer, int(row["feature"]))
        address = feature_address(parts[source].run_id, layer, int(row["feature"]))
        st.markdown(
            f"**[Feature {row['feature']}]({address})**{name}: found in G at {row['rho_shared']:.2f}, in H at "
            f"{row['rho_absent']:.2f}, weight {row['S_share']:.2%}"
        )
        gallery(examples.get(int(row["feature"]), []))
        lines = []
        for name in (*shared, *absent):
            partner = cache.partners(st.session_state[STORE], run["run_id"], source, name)
            partner = partner[(partner.layer == row["layer"]) & (partner.feature == row["feature"])]
            for match in partner.to_dict("records"):
                address = feature_address(parts[name].run_id, match["partner_layer"], match["partner"])
                place = f"layer {match['partner_layer']}, feature {match['partner']}"
                lines.append(f"{escaped(name)}: [{place}]({address}) at {match['held_out_rho']:.2f}")
        st.caption("Partners: " + "; ".join(lines) + ".")
with st.expander("All features as a table"):
    tables.show(table, FEATURES, f"sharedness of {source}", 4)

st.subheader("Are these the features that text shares?")
jobs = runs_of("sharedness", run["suite"], run["dataset"])
jobs = jobs[jobs.status == "FINISHED"]
association = None if jobs.empty else optional_table(jobs.to_dict("records")[0], "association.parquet")
if association is None:
    st.info("The paper's key finding is tested, against its null, by this command:")
    st.code(f"python -m benchmark sharedness --suite {run['suite']}", language="bash")
    st.stop()
st.caption(
    "Rank correlation of two Deltas with the same M and H, beside a null that shuffles one group's samples alone; two "
    "such Deltas correlate by construction, so the value says nothing without its null."
)
shown: pd.DataFrame = association
tables.show(shown, ASSOCIATION, "association of two sharednesses")
