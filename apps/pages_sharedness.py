"""Page: which features of one encoder others share, and others again lack."""

from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any

import pandas as pd
import streamlit as st

from apps import cache, charts_sharedness, data, pair, tables
from apps.gallery import feature_link, gallery, named
from apps.layout import (
    STORE,
    choose_compare_run,
    escaped,
    optional_table,
    read_table,
    runs_of,
    sentence,
)
from apps.plots import draw
from apps.sharedness import TOP, Sharedness, groups, same_question, sharedness
from benchmark.metrics.describe.sharedness import ASSOCIATION, FEATURES, SEEDS

SHOWN, SAMPLES = 10, 7  # features with their samples
NEWEST = 5  # sharedness runs that are searched for an answer


def choose_groups(kinds: Mapping[str, str]) -> tuple[str, list[str], list[str]]:
    """Let the user choose M, G and H among encoders of these classes."""
    left, middle, right = st.columns(3)
    names = list(kinds)
    likely = [name for name in names if kinds[name] == "vlm"] or names
    source = left.selectbox("M: features of", names, index=names.index(likely[0]), key="source", bind="query-params")
    with_, without = groups(kinds, source)
    others = [name for name in names if name != source]
    shared = middle.multiselect(
        "G: shared with all of", others, default=with_, key=f"with-{source}", bind="query-params", wrap=True
    )
    absent = right.multiselect(
        "H: absent from all of", others, default=without, key=f"without-{source}", bind="query-params", wrap=True
    )
    return source, shared, absent


def show_distribution(found: Sharedness) -> None:
    """Show how much is shared, beside what other splits of the same encoders give."""
    row = st.container(horizontal=True)

    def figure(title: str, value: str, beside: str, words: str) -> None:
        row.metric(title, value, beside, delta_color="off", delta_arrow="off", width=220, help=words)

    figure("Delta above 0", f"{found.positive:.1%}", f"{found.positive_by_chance:.1%} by chance",
           "Share of the live features that each of G finds again better than any of H does.")  # fmt: skip
    figure("Splits that share as much", f"{found.reached:,} of {found.splits:,}",
           f"p = {found.reached / found.splits:.2g}",
           "Of all ways to split these encoders into groups of these sizes, this one among them: how many give at "
           "least as large a share of the features a Delta above 0.")  # fmt: skip
    figure("Mean difference", f"{found.mean:+.3f}", f"{found.mean_by_chance:+.3f} by chance",
           "Lowest rho² in G minus highest rho² in H, the mean over features weighted by their part of the "
           "activation.")  # fmt: skip
    draw(
        charts_sharedness.distribution, found.histogram, key="distribution",
        alt="Histogram of the difference of squared correlations over all live features, with that expected by chance.",
    )  # fmt: skip
    st.caption(
        f"{len(found.features):,} live features of the deepest layer under the first seed, their partners in any "
        f"compared layer. Grey line: chance, the mean over all {found.splits:,} splits of these encoders into groups "
        "of these sizes, which is what to expect if G and H were no different. Correlations are held out: partners are "
        "chosen without the samples that they are measured on."
    )


def show_seeds(jobs: Sequence[Mapping[Any, Any]], source: str, shared: list[str], absent: list[str]) -> bool:
    """Show what the newest of some sharedness runs that asks the same measured under every seed; whether one does."""
    summaries = (optional_table(job, "summary.parquet") for job in jobs)
    answers = (same_question(summary, source, shared, absent) for summary in summaries if summary is not None)
    found = next((answer for answer in answers if len(answer)), None)
    if found is None:
        return False
    st.markdown("**Under every seed, with the error of the samples**")
    st.caption("Of the newest sharedness run with these groups, which looks for partners in the deepest layers alone.")
    columns = ["seed", *SEEDS]
    tables.show(found[columns], SEEDS, f"sharedness of {source} by seed", forms={"positive": "percent"})
    return True


def show_features(
    top: pd.DataFrame, source: str, parts: Mapping[str, pair.Part], partners: Mapping[str, Mapping[str, pd.DataFrame]]
) -> None:
    """Show features of M with their samples and their partners, by group and encoder."""
    own, layer = parts[source].run_id, int(top.layer.iloc[0])
    numbers = tuple(int(number) for number in top.feature)
    try:
        examples = cache.examples(st.session_state[STORE], own, layer, numbers, SAMPLES)
    except ValueError as error:
        sentence(st.info, str(error))
        examples = {}
    chosen = {
        group: {
            name: part[(part.layer == layer) & part.feature.isin(numbers)].set_index("feature").to_dict("index")
            for name, part in members.items()
        }
        for group, members in partners.items()
    }  # fmt: skip
    for number, row in zip(numbers, top.to_dict("records"), strict=True):
        with st.container(border=True):
            feature_link(st, f"**Feature {number}**{named(own, layer, number)}", own, layer, number)
            st.markdown(
                f"Found in G at {row['rho_shared']:.2f}, in H at {row['rho_absent']:.2f}, weight {row['S_share']:.2%}"
            )
            gallery(examples.get(number, []))
            for group, members in chosen.items():
                line = st.container(horizontal=True, gap="small", vertical_alignment="center")
                line.caption(f"Partners in {group}", width="content")
                for name, part in members.items():
                    match = part[number]
                    feature_link(
                        line, f"{escaped(name)} {match['partner']} at **{match['held_out_rho']:.2f}**",
                        parts[name].run_id, match["partner_layer"], match["partner"],
                    )  # fmt: skip


def show_association(jobs: Sequence[Mapping[Any, Any]], source: str) -> bool:
    """Show the newest answer of some sharedness runs on whether two groups share the same features of M, if any."""
    written = (optional_table(job, "association.parquet") for job in jobs)
    answers = (table[table.source == source] for table in written if table is not None)
    found = next((answer for answer in answers if len(answer)), None)
    if found is None:
        return False
    st.caption(
        "Rank correlation of two Deltas with the same M and H, beside a null that shuffles one group's samples alone; "
        "two such Deltas correlate by construction, so the value says nothing without its null."
    )
    # Long lists of encoders, mostly the same in all rows, would push the values off the screen.
    long: dict[str, tables.Width] = {
        name: "small" for name in ("shared_with", "beside", "absent_from", "shuffled")
        if name in found and found[name].astype(str).str.len().max() > tables.NAME
    }  # fmt: skip
    tables.show(found, ASSOCIATION, "association of two sharednesses", widths=long)
    return True


st.title("Sharedness")
run = choose_compare_run()
saes = read_table(run, "saes.parquet")
parts = pair.parts(saes)
source, shared, absent = choose_groups(data.encoder_column(saes, "kind"))
try:
    partners = {
        name: cache.partners(st.session_state[STORE], run["run_id"], source, name) for name in (*shared, *absent)
    }
    found = sharedness(partners, shared, absent)
except ValueError as error:
    sentence(st.info, str(error))
    st.stop()
show_distribution(found)

finished = runs_of("sharedness", run["suite"], run["dataset"])
jobs = finished[finished.status == "FINISHED"].head(NEWEST).to_dict("records")
command = f"python -m benchmark sharedness --suite {quote(run['suite'])} --dataset {quote(run['dataset'])} --source "
command += quote(source)
if not show_seeds(jobs, source, shared, absent):
    st.caption("How far seeds and samples move these figures, this command says:")
    asked = f"--shared-with {quote(','.join(shared))} --absent-from {quote(','.join(absent))}"
    st.code(f"{command} {asked}", language="bash")

top = found.features[found.features.top]
st.subheader(f"The top {TOP:.0%}: {len(top)} features")
by_group = {"G": {name: partners[name] for name in shared}, "H": {name: partners[name] for name in absent}}
show_features(top.head(SHOWN), source, parts, by_group)
with st.expander("All features as a table"):
    tables.show(found.features, FEATURES, f"sharedness of {source}", 4)

st.subheader("Are these the features that text shares?")
if not show_association(jobs, source):
    st.info("The paper's key finding is tested for this M, against its null, by this command:")
    st.code(command, language="bash")
