"""Tables leave the app as files that spreadsheets, LaTeX and Markdown read, whatever their texts hold."""

import io

import pandas as pd

from apps.downloads import downloads

FRAME = pd.DataFrame({
    "value": [0.12345, float("nan")], "encoder": ["=1+1", "a_b & <img src=x> | c"], "n": [1000, 2], "ok": [True, False]
})  # fmt: skip


def files():
    return {item.label: item for item in downloads(FRAME, "A title: 50 %", 2)}


def test_names_come_from_the_title():
    assert [item.name for item in files().values()] == ["a-title-50.csv", "a-title-50.tex", "a-title-50.md"]


def test_csv_keeps_all_digits_and_no_formula():
    read = pd.read_csv(io.BytesIO(files()["CSV"].write()))
    assert read.value[0] == 0.12345 and read.encoder[0] == "'=1+1"


def test_latex_and_markdown_are_rounded_and_escaped():
    latex, markdown = files()["LaTeX"].write().decode(), files()["Markdown"].write().decode()
    assert "0.12" in latex and "0.123" not in latex and r"a\_b \& " in latex and r"\begin{tabular}{@{}llrr@{}}" in latex
    assert r"a\_b &amp; \<img src=x\> \| c" in markdown and "| 0.12 |" in markdown and "yes" in markdown


def test_an_interval_stays_beside_its_value():
    frame = pd.DataFrame({"encoder": ["a"], "share": [0.5], "share_interval": ["0.4 to 0.6"], "fvu": [0.1]})
    wide = {item.label: item for item in downloads(frame, "t", 1)}
    assert "| encoder | share | share\\_interval | fvu |" in wide["Markdown"].write().decode()
    assert r"a & 0.5 & 0.4 to 0.6 & 0.1" in wide["LaTeX"].write().decode()


def test_files_to_read_have_titles_and_csv_has_names():
    frame = pd.DataFrame({"encoder": ["a"], "low": [0.1], "high": [0.2]})
    made = {item.label: item.write().decode() for item in downloads(frame, "t", 1, {"low": "End", "high": "End"})}
    assert "| encoder | End | End |" in made["Markdown"] and r"encoder & End & End" in made["LaTeX"]
    assert made["CSV"].splitlines()[0] == "encoder,low,high"


def test_a_table_without_rows_is_a_table():
    assert all(item.write() for item in downloads(FRAME.head(0), "t"))
