"""Tables keep their numbers and carry no formula."""

import io

import pandas as pd
import pytest

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


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (512, "512 bytes"), (999.6, "1 kB"), (9_400, "9 kB"), (605e6, "605 MB"), (961e6, "961 MB"),
     (999.7e6, "1.0 GB"), (1.71e9, "1.7 GB"), (2.5e12, "2.5 TB")],
)  # fmt: skip
def test_small_sizes_are_not_called_nothing(count, text):
    assert report.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.2, "<1 s"), (1.4, "1 s"), (59.4, "59 s"), (59.9, "1.0 min"), (3400, "57 min"), (14_000, "3.9 h"),
     (2.3e6, "27 d")],
)  # fmt: skip
def test_times_have_the_digits_of_an_estimate(seconds, text):
    assert report.duration(seconds) == text


def test_one_thing_is_not_called_things():
    assert [report.counted(n, "pair") for n in (0, 1, 1200)] == ["0 pairs", "1 pair", "1,200 pairs"]
