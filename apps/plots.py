"""How a chart reaches the page: as a Vega-Lite specification that is built once, with its picture to download."""

import json
from collections.abc import Callable
from types import FunctionType
from typing import Any

import altair
import streamlit as st

from apps.downloads import stem

WIDTH = 640
"""Pixels of a downloaded chart, which on the page is as wide as its column."""
PADDING = {"left": 2, "top": 4, "right": 14, "bottom": 4}
"""Pixels around a chart; without those on the right, the label at the end of an axis is cut off."""
CONFIG = {"axis": {"labelFlush": False}, "axisX": {"labelSeparation": 6}}
"""Of every chart: by default, an axis' first and last labels leave their places, and labels may touch each other."""

# Altair refuses more than 5,000 rows of data for the sake of notebooks; the pages choose what they draw.
altair.data_transformers.enable("default", max_rows=None)


@st.cache_data(
    max_entries=256, show_spinner=False, hash_funcs={FunctionType: lambda build: (build.__module__, build.__qualname__)}
)
def _specification(build: Callable[..., Any], arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Return the Vega-Lite specification of a chart: Altair takes 40 ms for one, mostly to check it."""
    spec = build(*arguments).to_dict()
    return {"padding": PADDING, **spec, "config": spec["config"] | CONFIG}


def draw(build: Callable[..., Any], *arguments: Any, key: str, alt: str, selection: str = "") -> Any:
    """Draw the chart that `build` makes of the arguments, with a button for its SVG (its menu offers PNG and data).

    Args:
        build: a named function of the arguments alone that returns an Altair chart.
        arguments: plain values and tables; a chart for equal ones is not built again.
        key: of the element on its page, and the stem of the file's name.
        alt: the chart in one sentence for who cannot see it.
        selection: name of a selection of the chart that reruns the page.

    Returns:
        The selections, see `st.vega_lite_chart`, with a `selection`; else None.
    """
    spec = _specification(build, arguments)
    chosen: dict[str, Any] = {"on_select": "rerun", "selection_mode": selection} if selection else {}
    event = st.vega_lite_chart(spec, key=key, alt=alt, **chosen)
    st.download_button(
        "SVG", lambda: svg(spec), f"{stem(key)}.svg", "image/svg+xml", key=f"{key}-svg", type="tertiary",
        icon=":material/download:", on_click="ignore", help="This chart as a vector graphic.",
    )  # fmt: skip
    return event if selection else None


def svg(spec: dict[str, Any]) -> bytes:
    """Return a chart as an SVG `WIDTH` pixels wide, drawn without a browser and without any network."""
    import vl_convert

    sized = {"width": WIDTH, "background": "white", **spec}
    return vl_convert.vegalite_to_svg(json.dumps(sized), allowed_base_urls=[]).encode()
