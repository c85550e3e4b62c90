import numpy as np
import pytest

from benchmark.catalog import DatasetCard
from benchmark.datasets.choose import drawn, entries
from benchmark.datasets.paired import PairedDataset
from benchmark.datasets.scan import Verdict
from benchmark.datasets.source import Rows
from benchmark.errors import InputError


def card(captions="first", seed=0, group="") -> DatasetCard:
    return DatasetCard(name="set", kind="parquet", captions=captions, seed=seed, group=group)


def rows(captions, ids=None, groups=None, **options) -> Rows:
    n = len(captions)
    return Rows(ids or [f"id{i}" for i in range(n)], captions, groups or [None] * n, [None] * n, **options)


def verdicts(*hashes: str, bad: tuple[int, ...] = ()) -> list[Verdict]:
    return [Verdict(hash_, "", "broken" if i in bad else "") for i, hash_ in enumerate(hashes)]


FIVE = [[f"{row}.{i}" for i in range(5)] for row in range(200)]
HASHES = [f"h{row}" for row in range(200)]


def test_first_takes_one_caption_a_row_under_the_row_s_id():
    found = entries(rows([["a", "b"], ["c"]]), verdicts("x", "y"), card())
    assert [(e.row, e.id, e.group, e.caption, e.hash) for e in found] == [
        (0, "id0", "x", "a", "x"),
        (1, "id1", "y", "c", "y"),
    ]


def test_all_makes_every_caption_a_sample_of_one_group_and_image():
    found = entries(rows([["a", "b"], ["c"]]), verdicts("x", "y"), card("all"))
    assert [(e.row, e.id, e.group, e.caption, e.hash, e.source_id) for e in found] == [
        (0, "id0#0", "x", "a", "x", "id0"),
        (0, "id0#1", "x", "b", "x", "id0"),
        (1, "id1#0", "y", "c", "y", "id1"),
    ]


def test_ids_stay_unique_whatever_the_source_s_ids_end_in():
    ids = ["a", "a#0", "a#1", "a#0#0", "#0", ""]
    found = entries(rows([["x", "y", "z"]] * len(ids), ids), verdicts(*"uvwxyz"), card("all"))
    assert len({e.id for e in found}) == len(found) == 18


def test_unreadable_rows_give_no_sample_and_shift_nothing():
    for mode in ("first", "all", "seed"):
        found = entries(rows([["a", "a2"], ["b", "b2"], ["c", "c2"]]), verdicts("x", "", "z", bad=(1,)), card(mode))
        assert {(e.row, e.caption[0], e.hash) for e in found} == {(0, "a", "x"), (2, "c", "z")}


def test_seed_draws_every_caption_about_equally_often_and_by_the_seed():
    draws = [[e.caption for e in entries(rows(FIVE), verdicts(*HASHES), card("seed", seed))] for seed in range(50)]
    assert all(len(draw) == 200 for draw in draws)
    counts = np.bincount([int(caption.split(".")[1]) for draw in draws for caption in draw], minlength=5)
    assert len(counts) == 5 and np.abs(counts - 2000).max() < 200  # five standard deviations
    assert draws[0] != draws[1]
    assert draws[0] == [e.caption for e in entries(rows(FIVE), verdicts(*HASHES), card("seed", 0))]


def test_the_drawn_caption_never_depends_on_the_other_rows():
    whole = {e.id: e.caption for e in entries(rows(FIVE), verdicts(*HASHES), card("seed", 3))}
    part = rows(FIVE[::-3], [f"id{i}" for i in range(200)][::-3])
    for entry in entries(part, verdicts(*HASHES[::-3], bad=(5,)), card("seed", 3)):
        assert whole[entry.id] == entry.caption
    assert {drawn(seed, "id", 1) for seed in range(100)} == {0}


def test_the_group_is_the_row_s_own_else_its_image():
    source = rows([["a"], ["b"], ["c"], ["d"]], groups=["g", None, "g", None])
    assert [e.group for e in entries(source, verdicts("x", "y", "z", "y"), card())] == ["g", "y", "g", "y"]


def test_a_group_column_that_nobody_named_never_parts_equal_images():
    source = rows([["a"]] * 120, groups=[f"g{row}" if row % 3 == 0 else None for row in range(120)])
    seen = verdicts(*(f"h{row % 60}" for row in range(120)))
    unnamed = [e.group for e in entries(source, seen, card())]
    assert unnamed[:60] == unnamed[60:] and len(set(unnamed)) == 60
    named = [e.group for e in entries(source, seen, card(group="group"))]
    assert named[0] == "g0" and named[1] == "h1" and len(set(named)) == 80


def test_groups_that_share_an_image_join_under_one_name_in_any_order_of_the_rows():
    keys, hashes = ["c", "a", "b", "b", "d", "e"], "xxyxzy"
    for order in ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [2, 5, 0, 3, 1, 4]):
        source = rows([["t"]] * 6, [str(i) for i in order], [keys[i] for i in order])
        found = entries(source, verdicts(*(hashes[i] for i in order)), card())
        assert {e.id: e.group for e in found} == dict(zip("012345", "aaaada", strict=True))


def test_an_unreadable_row_joins_nothing():
    source = rows([["a"]] * 3, groups=["p", "q", "q"])
    assert [e.group for e in entries(source, verdicts("x", "x", "y", bad=(1,)), card())] == ["p", "q"]


def test_equal_texts_share_a_group_in_text_only_data_but_not_beside_images():
    texts = [["a cat"], ["a dog"], ["a cat"]]
    alone = entries(rows(texts, has_images=False), verdicts("", "", ""), card())
    assert alone[0].group == alone[2].group != alone[1].group and [e.hash for e in alone] == ["", "", ""]
    paired = entries(rows(texts), verdicts("x", "y", "z"), card())
    assert len({e.group for e in paired}) == 3
    own = entries(rows(texts, groups=["p", "q", "r"], has_images=False), verdicts("", "", ""), card())
    assert [e.group for e in own] == ["p", "q", "r"]


@pytest.mark.parametrize("has_images", [True, False])
def test_the_split_puts_a_row_on_the_same_side_in_every_mode(has_images):
    source = rows(FIVE, has_images=has_images)
    sides = []
    for mode in ("first", "all", "seed"):
        data = PairedDataset("set", entries(source, verdicts(*HASHES), card(mode)), None, has_images=has_images)
        assert len(np.unique(data.groups)) == 200
        sides.append({entry.row: held for entry, held in zip(data._entries, data.heldout, strict=True)})
    assert sides[0] == sides[1] == sides[2] and len(set(sides[0].values())) == 2


@pytest.mark.parametrize("mode", ["first", "all", "seed"])
def test_image_only_rows_are_one_sample_each_in_every_mode(mode):
    found = entries(rows([[], []], has_captions=False), verdicts("x", "x"), card(mode))
    assert [(e.id, e.group, e.caption) for e in found] == [("id0", "x", None), ("id1", "x", None)]


def test_an_unknown_mode_is_refused():
    with pytest.raises(InputError, match="dataset 'set', field 'captions': unknown choice 'frist': did you mean first"):
        entries(rows([["a"]]), verdicts("x"), card("frist"))
