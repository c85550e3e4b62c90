"""Page: what another dataset, or a variant of one, would have said."""

import streamlit as st

from apps.consistency_layout import show_consistency
from apps.drift_layout import show_drift
from apps.layout import empty_store, runs_of

SECTIONS = {"consistency": "Across datasets", "drift": "Drift"}  # Kind of run -> title of the section on it.

st.title("Datasets")
known = [kind for kind in SECTIONS if not runs_of(kind).empty]
if not known:
    empty_store("comparison across datasets", "python -m benchmark consistency")
section = st.segmented_control(
    "Section",
    known,
    default=known[0],
    required=True,
    key="section",
    bind="query-params",
    format_func=lambda kind: SECTIONS[kind],
)
if section == "drift":
    show_drift()
else:
    show_consistency()
if len(known) < len(SECTIONS):
    (other,) = set(SECTIONS) - set(known)
    st.caption(f"{SECTIONS[other]}: this store has no such run; this command makes one.")
    st.code(f"python -m benchmark {other}", language="bash")
