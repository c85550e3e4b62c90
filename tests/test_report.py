"""Tables keep their numbers and carry no formula."""

import io

import pandas as pd

from benchmark import report


def test_csv_keeps_the_numbers_and_holds_no_formula():
    table = pd.DataFrame({"id": ["=HYPERLINK(1)", "-2+3", "plain"], "value": [0.1, -1 / 3, 1e-300]})
    back = pd.read_csv(io.BytesIO(report.csv(table)))
    assert list(back.id) == ["'=HYPERLINK(1)", "'-2+3", "plain"]
    assert list(back.value) == list(table.value)


def test_both_files_hold_the_same_table(tmp_path):
    table = pd.DataFrame({"source": ["a", "b"], "crossfit": [0.25, 0.5]})
    report.write(table, tmp_path / "cells")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "cells.csv"), table, check_dtype=False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "cells.parquet"), table, check_dtype=False)
