"""Tables hold the cells of the comparison at the right place, in both directions and side by side."""

import dataclasses

import numpy as np
import pytest
from comparisons import KINDS, compared

from benchmark.reporting.tables import Cell, kinds_table, matrix_table, pairs_table, sae_table, side_by_side

NAMES = ["vit", "clip-image", "clip-text", "bert"]


def test_a_matrix_has_sources_in_rows_and_targets_in_columns():
    item = compared()
    for aggregate in ("layer_mean", "last"):
        table = matrix_table([item], aggregate, "naive")
        assert table.columns == ["source", *NAMES] and table.heads[1:] == [
            ("vision", 1), ("vlm image", 1), ("vlm text", 1), ("text", 1)
        ]  # fmt: skip
        ((title, rows),) = table.blocks
        assert title == "mine: scenes (3,000 held-out samples)"
        for source, row in zip(NAMES, rows, strict=True):
            assert row[0] == Cell(source)
            for target, cell in zip(NAMES, row[1:], strict=True):
                found = item.part(aggregate)[source, target]
                assert cell == Cell(f"{found['naive']:.3f}", f"±{found['naive_sd']:.3f}")
    assert "all layers" in matrix_table([item], "layer_mean", "naive").title.lower()


def test_datasets_are_blocks_under_the_same_columns():
    items = [compared(), compared(dataset="blooms", encoders=("bert", "vit"), seeds=(0,), several=False)]
    table = matrix_table(items, "last", "crossfit")
    assert [title.split(" (")[0] for title, _ in table.blocks] == ["mine: scenes", "mine: blooms"]
    rows = table.blocks[1][1]
    assert [row[0].text for row in rows] == ["vit", "bert"] and all(len(row) == 5 for row in rows)
    assert [cell.text for cell in rows[0][1:4]] == ["–", "–", "–"]  # no second seed, no such encoders
    assert rows[0][4] == Cell(f"{items[1].part('last')['vit', 'bert']['crossfit']:.3f}")
    assert len(matrix_table(items, "layer_mean", "crossfit").blocks) == 1  # which only one of them has


def test_both_directions_of_a_pair_share_a_row():
    item = compared()
    table = pairs_table(item, "last", "all")
    pairs, own = (rows for _, rows in table.blocks)
    assert len(pairs) == 6 and len(own) == 4 and all(len(row) == len(table.columns) == 12 for row in [*pairs, *own])
    row = next(row for row in pairs if [cell.text for cell in row[:2]] == ["clip-image", "bert"])
    there, back = (item.part("last", "all")[key] for key in (("clip-image", "bert"), ("bert", "clip-image")))
    for half, found in ((row[2:7], there), (row[7:], back)):
        assert half[0] == Cell(f"{found['crossfit']:.3f}", f"±{found['crossfit_sd']:.3f}")
        assert half[1].text.replace("−", "-") == f"{found['low']:.3f} to {found['high']:.3f}"
        assert [cell.text for cell in half[2:]] == [f"{found[name]:.3f}" for name in ("naive", "chance", "calibrated")]


def test_suites_stand_side_by_side():
    items = [compared(), compared(suite="other", n=900, encoders=("vit", "bert"))]
    table = side_by_side(items, "last")
    assert [title for title, _ in table.heads] == [
        "", "mine: scenes (3,000 held-out samples)", "other: scenes (900 held-out samples)"
    ]  # fmt: skip
    rows = {(row[0].text, row[1].text): row[2:] for _, rows in table.blocks for row in rows}
    assert len(rows) == 16 and all(len(row) == 8 for row in rows.values())
    assert [cell.text for cell in rows["vit", "clip-text"][4:]] == ["–"] * 4
    assert rows["vit", "bert"][4].text == f"{items[1].part('last')['vit', 'bert']['crossfit']:.2f}"  # few samples


def test_classes_are_means_over_pairs_of_different_encoders():
    kinds = {**KINDS, "dino": ("vision", "image"), "ssl": ("vision", "image")}
    item = compared(encoders=tuple(kinds), kinds=kinds)
    part = item.part("last")
    rows = {row[0].text: row for row in kinds_table([item], "last").blocks[0][1]}
    vision = ("vit", "dino", "ssl")
    own = np.mean([part[a, b]["crossfit"] for a in vision for b in vision if a != b])
    assert rows["vision"][1] == Cell(f"{own:.3f}", "6 pairs")
    text = np.mean([part["bert", b]["crossfit"] for b in vision])
    assert rows["text"][1] == Cell(f"{text:.3f}", "3 pairs") and rows["text"][4] == Cell("–")


def test_a_value_just_below_zero_is_no_negative_zero():
    item = compared()
    cells = item.cells.assign(crossfit=-0.0001, low=-0.25)
    row = pairs_table(dataclasses.replace(item, cells=cells), "last", "all").blocks[0][1][0]
    assert row[2].text == "0.000" and row[3].text.startswith("−0.250 to ")


def test_saes_are_summed_up_by_encoder():
    item = compared(seeds=(0, 3, 4))
    rows = sae_table(item).blocks[0][1]
    assert [cell.text for cell in rows[1][:6]] == ["clip-image", "vlm image", "2 to 3 (2)", "3", "768", "8"]
    fvu = item.saes[item.saes.encoder == "clip-image"].fvu
    assert rows[1][6] == Cell(f"{fvu.mean():.3f}", f"±{fvu.std():.3f}")


@pytest.mark.parametrize("measure", ["crossfit", "chance"])
def test_all_tables_are_rectangles(measure):
    items = [compared(), compared(suite="other", encoders=("vit", "bert"))]
    for table in (matrix_table(items, "last", measure), pairs_table(items[0], "last", "heldout"), sae_table(items[0]),
                  side_by_side(items, "last"), kinds_table(items, "last")):  # fmt: skip
        assert {len(row) for _, rows in table.blocks for row in rows} == {len(table.columns)}
        assert not table.heads or sum(width for _, width in table.heads) == len(table.columns)
