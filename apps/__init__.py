"""The Streamlit app: `data` reads, `cache` remembers, `charts` draws, `layout` and `pages_*` only arrange."""
