"""What a report shows follows from the tables that a compare run recorded, and says when they will not do."""

import numpy as np
import pytest
from comparisons import compared, tables

from benchmark.reporting import html
from benchmark.reporting.content import comparison, titles


def test_deviations_are_those_over_pairs_of_seeds():
    item, matrix = compared(seeds=(0, 1, 2)), tables(seeds=(0, 1, 2))["matrix"]
    for (source, target), count in ((("vit", "bert"), 9), (("bert", "bert"), 6)):
        chosen = matrix[(matrix.source == source) & (matrix.target == target) & (matrix["aggregate"] == "last")
                        & (matrix.recorded_on == "all")]  # fmt: skip
        row = item.part("last", "all")[source, target]
        assert len(chosen) == count == row["seed_pairs"]
        for measure in ("crossfit", "naive", "chance", "calibrated"):
            assert row[f"{measure}_sd"] == pytest.approx(np.std(chosen[measure], ddof=1))
            assert row[measure] == pytest.approx(chosen[measure].mean())


def test_one_pair_of_seeds_has_no_deviation():
    item = compared(seeds=(7,))
    assert ("vit", "vit") not in item.part("last")
    assert np.isnan(item.part("last")["vit", "bert"]["crossfit_sd"])


def test_encoders_stand_class_by_class_in_the_papers_order():
    item = compared(encoders=("bert", "clip-text", "vit", "clip-image"))
    assert item.kinds == {"vit": "vision", "clip-image": "vlm image", "clip-text": "vlm text", "bert": "text"}
    assert item.encoders == ["vit", "clip-image", "clip-text", "bert"]
    assert item.aggregates == ["layer_mean", "last"] and item.sets == ["heldout", "all"]
    assert item.part("last") == item.part("last", "heldout")


def test_titles_tell_comparisons_apart():
    items = [compared(), compared(dataset="blooms"), compared(run_id="fedcba9876543210")]
    assert titles(items) == ["mine: scenes (01234567)", "mine: blooms", "mine: scenes (fedcba98)"]


def test_few_samples_are_said_to_be_few():
    assert "below 2,000" in compared(n=500).caveats[0] and compared(n=500).digits == 2
    assert compared().digits == 3


def test_tables_that_lack_something_are_refused_in_one_sentence():
    for name, column in (("cells", "crossfit"), ("matrix", "naive"), ("saes", "fvu")):
        found = tables()
        found[name] = found[name].drop(columns=column)
        with pytest.raises(ValueError, match=rf"{name}.parquet of run abc lacks {column}; run the comparison again"):
            comparison(found, "abc", "today")
    with pytest.raises(ValueError, match="cells.parquet of run abc is empty"):
        comparison({**tables(), "cells": tables()["cells"].iloc[:0]}, "abc", "today")


def test_measures_that_were_not_taken_are_left_out():
    found = tables()
    found["cells"] = found["cells"].assign(chance=float("nan"), calibrated=float("nan"))  # without permutations
    item = comparison(found, "abc", "today")
    assert list(item.measures()) == ["crossfit", "naive"] and item.caveats == []
    page = html.page([item], "Report", "")
    assert "Chance level" not in page and "nan" not in page.lower()
