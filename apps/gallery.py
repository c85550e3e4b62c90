"""Features as several pages show them: what activates them, their names, and links to them."""

from collections.abc import Sequence
from typing import Any, Protocol

import streamlit as st

from apps import cache_features
from apps.layout import STORE, escaped

WIDTH = 98
"""Pixels of a picture: eight in a row, four in a card."""
FEATURES_PAGE = "pages_features.py"


class Picture(Protocol):
    """A sample, of which there may be a caption (untrusted text), a thumbnail or both."""

    @property
    def caption(self) -> str: ...  # noqa: D102
    @property
    def jpeg(self) -> bytes | None: ...  # noqa: D102


def gallery(samples: Sequence[Picture], values: Sequence[float] | None = None, wrap: bool = False) -> None:
    """Show samples side by side, thumbnails with their captions, or captions alone; each with its value if given.

    Pictures that have no room are reached by scrolling sideways, or with `wrap` stand in further rows: many cards of
    several rows each would make a page of many screens on a phone.
    """
    marks = [""] * len(samples) if values is None else [f"{value:.2f}" for value in values]
    if not any(sample.jpeg for sample in samples):
        for sample, mark in zip(samples, marks, strict=True):
            st.markdown(f"- {f'`{mark}` ' if mark else ''}{escaped(sample.caption) or 'no caption'}")
        return
    row = st.container(horizontal=True, gap="xsmall", wrap=wrap)
    for sample, mark in zip(samples, marks, strict=True):
        with row.container(width=WIDTH, gap="xxsmall"):
            if sample.jpeg:
                try:
                    st.image(sample.jpeg, width=WIDTH, alt=sample.caption)
                except OSError:
                    st.caption("(damaged picture)")
            st.caption(f"{f'**{mark}** ' if mark else ''}{escaped(sample.caption)}")


def named(run_id: str, layer: int, feature: int) -> str:
    """Return the name of a train run's feature as Markdown to stand behind its number, "" without a name."""
    found = cache_features.names(st.session_state[STORE], run_id, layer)
    name = next(iter(found.loc[found.feature == feature, "name"]), "") if len(found) else ""
    return f" “{escaped(str(name))}”" if name else ""


def feature_link(box: Any, label: str, run_id: str, layer: int, feature: int) -> None:
    """Show a link to the page of a train run's feature, which opens in the same window; the label is Markdown."""
    address = {"run": run_id, "layer": str(layer), "feature": str(feature)}
    box.page_link(FEATURES_PAGE, label=label, query_params=address, icon=":material/arrow_forward:")
