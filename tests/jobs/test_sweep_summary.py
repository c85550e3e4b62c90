"""The rule of a sweep: enough explained, no less agreed on than the best, and then the cheapest."""

import numpy as np
import pandas as pd
import pytest

from benchmark.jobs.sweep_summary import EXPLAINS, TOLERANCE, Cell, Values, cell_table, recommended, sentences

FIGURES = {"pca_fvu": 0.5, "dead": 0.1, "rare": 0.1, "l0": 8.0, "cross": 0.2, "floor": 0.05}


def made(cells, spread=0.0, missing=()):
    """A table of cells {(k, expansion): (FVU, self-value)} of two encoders, whose means these are."""
    rng, rows, values = np.random.default_rng(0), [], {}
    for (k, expansion), (fvu, own) in cells.items():
        for name, shift in (("a", 0.01), ("b", -0.01)):
            if (k, expansion, name) in missing:
                continue
            rows.append({"k": k, "expansion": expansion, "encoder": name, "fvu": fvu + shift,
                         "explained_variance": 1 - fvu - shift, "self": own - shift, **FIGURES})  # fmt: skip
        noise = rng.standard_normal((2, 200)) * spread
        values[Cell(k, expansion)] = Values(own + noise[0], 0.2 + noise[1])
    return cell_table(pd.DataFrame(rows), values, 2)


def test_a_cell_holds_means_over_encoders_and_intervals_of_the_draws():
    row = made({(8, 4): (0.3, 0.8)}, spread=0.01).iloc[0]
    assert row.fvu == pytest.approx(0.3) and row["self"] == pytest.approx(0.8) and row.encoders == 2 and row.complete
    assert row.self_low < 0.8 < row.self_high and row.cross_low < 0.2 < row.cross_high


def test_of_cells_that_are_as_good_the_smallest_dictionary_and_then_the_smallest_k_is_recommended():
    same = {(8, 8): (0.2, 0.8), (16, 4): (0.2, 0.8), (32, 4): (0.2, 0.8), (8, 16): (0.2, 0.8)}
    assert recommended(made(same)) == Cell(16, 4)


def test_a_cell_that_explains_too_little_is_no_choice_however_well_its_seeds_agree():
    best = 0.8
    limit = 1 - EXPLAINS * best
    cells = {(8, 4): (limit + 1e-6, 0.99), (16, 4): (limit - 1e-6, 0.7), (32, 4): (1 - best, 0.7)}
    table = made(cells)
    assert table.explains.tolist() == [False, True, True] and recommended(table) == Cell(16, 4)


def test_the_cell_with_the_lowest_fvu_is_not_chosen_for_it_where_its_seeds_disagree():
    table = made({(16, 8): (0.21, 0.8), (128, 8): (0.2, 0.5)})
    assert recommended(table) == Cell(16, 8) and table.agrees.tolist() == [True, False]


def test_a_gap_within_the_tolerance_or_within_noise_is_none():
    within, beyond = {(8, 4): (0.2, 0.8 - TOLERANCE + 1e-6)}, {(8, 4): (0.2, 0.8 - TOLERANCE - 0.01)}
    best = {(8, 8): (0.2, 0.8)}
    assert recommended(made(within | best)) == Cell(8, 4)
    assert recommended(made(beyond | best)) == Cell(8, 8)
    assert recommended(made(beyond | best, spread=0.05)) == Cell(8, 4)


def test_incomplete_cells_take_no_part():
    cells = {(8, 4): (0.2, 0.8), (8, 8): (0.25, 0.7)}
    table = made(cells, missing=[(8, 4, "b")])
    assert table.complete.tolist() == [False, True] and recommended(table) == Cell(8, 8)
    assert "an encoder failed" in sentences(made({(32, 8): (0.2, 0.8), (8, 8): (0.2, 0.7)}, missing=[(32, 8, "a")]))[1]


def test_no_cell_is_recommended_where_none_beats_the_mean():
    table = made({(8, 4): (1.2, 0.1), (8, 8): (1.0, 0.1)})
    assert recommended(table) is None and "No recommendation" in sentences(table)[0]


@pytest.mark.parametrize(
    ("cells", "verdict"),
    [
        ({(32, 8): (0.2, 0.8), (8, 4): (0.5, 0.9)}, "suffices."),
        ({(32, 8): (0.2, 0.8), (64, 8): (0.05, 0.8)}, "explains 80.0%"),
        ({(32, 8): (0.2, 0.5), (64, 8): (0.2, 0.8)}, "its seeds agree on 0.300 less"),
        ({(8, 4): (0.2, 0.8)}, "is not among the cells"),
    ],
)
def test_the_papers_setting_gets_a_verdict_with_its_reason(cells, verdict):
    lines = sentences(made(cells))
    assert lines[0].startswith("Recommended: k=") and verdict in lines[1]
    assert ("does not suffice" in lines[1]) == ("agree" in verdict or "explains" in verdict)
