"""An address that names something wins over what the session remembers; what the user chooses next wins over both."""

import streamlit as st

PLACE = "address_page"
"""Key of the session's state: the page that was shown last."""


def arrive(page: str) -> None:
    """Forget what the session remembers of the widgets that the address of a page names, when the page is opened.

    Streamlit carries the values of widgets with bind="query-params" from page to page, and leaves them where the
    address asks for a widget's default.
    """
    if st.session_state.get(PLACE) == page:
        return
    st.session_state[PLACE] = page
    for name in [name for name in st.query_params if name in st.session_state]:
        del st.session_state[name]


def newly_asked(parameter: str, key: str) -> str | None:
    """Return what the address asks for, None if it says what `remember` wrote there or nothing."""
    asked = st.query_params.get(parameter)
    return asked if asked and asked != st.session_state.get(f"{key}_address") else None


def remember(parameter: str, key: str, value: str) -> None:
    """Write what is shown to the address."""
    st.query_params[parameter] = st.session_state[f"{key}_address"] = value
