"""Variants of a dataset: the same samples with other pixels, or other samples that are known to differ."""

import numpy as np
import pytest

from benchmark.catalog import DatasetCard
from benchmark.datasets import load_dataset, scenes
from benchmark.datasets.load import resolve
from benchmark.errors import InputError


@pytest.mark.parametrize("change", ["flip", "crop", "colour"])
def test_changed_images_keep_ids_captions_factors_and_the_held_out_half(tmp_path, change):
    plain, other = load_dataset("scenes", 60, tmp_path, False), load_dataset(f"scenes+{change}", 60, tmp_path, False)
    assert other.name == f"scenes-{change}" and other.fingerprint == plain.fingerprint
    assert other.captions() == plain.captions() and other.factors.equals(plain.factors)
    assert (other.heldout == plain.heldout).all() and other.content_hash != plain.content_hash
    same = [(np.asarray(a.image) == np.asarray(b.image)).all() for a, b in zip(plain, other, strict=True)]
    assert (15 < sum(same) < 45) if change == "flip" else not any(same)


def test_drawn_otherwise_they_are_other_samples(tmp_path):
    plain, redrawn, shifted = (
        load_dataset(name, 400, tmp_path, False) for name in ("scenes", "scenes+redraw", "scenes+shift")
    )
    assert not set(plain.ids) & (set(redrawn.ids) | set(shifted.ids)) and not set(redrawn.ids) & set(shifted.ids)
    often = [value for place, value in enumerate(scenes.WEIGHTS["colour"]) if place % 2]
    share = {data.name: data.factors.colour.isin(often).mean() for data in (plain, redrawn, shifted)}
    assert abs(share["scenes"] - share["scenes-redraw"]) < 0.12 and share["scenes-shift"] > share["scenes"] + 0.2
    for nuisance in scenes.NUISANCES:
        counts = [data.factors[nuisance].value_counts(normalize=True) for data in (plain, shifted)]
        assert (counts[0] - counts[1]).abs().max() < 0.12


def test_changes_add_up_in_any_order_and_share_what_was_drawn(tmp_path):
    both = load_dataset("scenes+colour+flip", 40, tmp_path, False)
    again = load_dataset("scenes+flip+colour", 40, tmp_path, False)
    assert all((np.asarray(a.image) == np.asarray(b.image)).all() for a, b in zip(both, again, strict=True))
    assert resolve("scenes+redraw+flip").ids == resolve("scenes+redraw").ids == "scenes+redraw"


def test_a_path_can_have_variants_too_and_a_plus_in_a_name_stays_one(make, tmp_path):
    from dataset_files import png

    table = make.parquet([png(i) for i in range(12)], [f"caption {i}" for i in range(12)])
    plain, other = make.load(table), make.load(f"{table}+crop")
    assert other.fingerprint == plain.fingerprint and other.content_hash != plain.content_hash
    odd = tmp_path / "a+b.parquet"
    odd.write_bytes(table.read_bytes())
    assert make.load(odd).ids == plain.ids and len(make.load(f"{odd}+flip")) == 12


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("scenes+flop", "dataset 'scenes\\+flop': unknown change 'flop': did you mean flip"),
        ("scenes+flip+flip", "'scenes\\+flip' has the change 'flip' already"),
        ("coco+shift", "unknown change 'shift': known: colour, crop, flip"),
        ("sceens+flip", "unknown dataset 'sceens'"),
    ],
)
def test_impossible_variants_are_refused_in_a_sentence(name, words):
    with pytest.raises(InputError, match=words):
        resolve(name)


def test_fields_of_procedural_cards_are_checked(make):
    with pytest.raises(InputError, match="shift must be at least 1"):
        make.load(DatasetCard(name="x", kind="scenes", size=10, shift=0))
    with pytest.raises(InputError, match="does not read the field `shift`"):
        make.load(DatasetCard(name="x", kind="parquet", source="x.parquet", shift=2))


def test_the_same_images_of_coco_2014_and_2017_have_the_same_ids(make):
    new = make.load(make.coco({i: f"{i:012d}.jpg" for i in (1, 2, 3)}, [(i, i, "c") for i in (1, 2, 3)]))
    card = resolve("coco-2014")
    assert card.split == "train2014" and card.kind == "coco"
    old = {i: f"COCO_train2014_{i:012d}.jpg" for i in (2, 3)}
    root = make.coco(old, [(i, i, "c") for i in old], "train2014")
    found = make.load(DatasetCard(name="coco-2014", kind="coco", source=str(root), split="train2014"))
    assert set(found.ids) < set(new.ids) and len(found) == 2
