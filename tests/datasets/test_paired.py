import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmark.datasets.paired import Entry, PairedDataset, slug
from benchmark.errors import InputError


class Numbers:
    """Stands in for images: the "image" of a row is its number."""

    def image(self, row):
        return row


def dataset(groups, captions=None, hashes=None, ids=None, source_ids=None, **options) -> PairedDataset:
    n = len(groups)
    ids, captions, hashes = ids or [f"id{i}" for i in range(n)], captions or ["c"] * n, hashes or ["h"] * n
    source_ids = source_ids or [""] * n
    entries = [Entry(i, ids[i], str(groups[i]), captions[i], hashes[i], source_ids[i]) for i in range(n)]
    return PairedDataset("set", entries, Numbers(), **options)


def test_samples_are_indexed_like_a_sequence():
    data = dataset([5, 5, 9])
    assert len(data) == 3 and [sample.image for sample in data] == [0, 1, 2]
    assert data[-1].id == "id2" and data[np.int64(1)].group == 0
    with pytest.raises(IndexError):
        data[3]


def test_groups_are_numbered_int64():
    groups = dataset(["b", "a", "b"]).groups
    assert groups.dtype == np.int64 and groups.tolist() == [0, 1, 0]


def test_fingerprint_changes_with_ids_and_their_order_only():
    base = dataset([1, 2], ids=["a", "b"])
    assert base.fingerprint == dataset([7, 7], ["x", "y"], ["1", "2"], ["a", "b"]).fingerprint
    others = [["b", "a"], ["a", "c"], ["ab", ""], ["a", "b", "c"]]
    assert len({base.fingerprint, *(dataset(ids, ids=ids).fingerprint for ids in others)}) == 5


def test_content_hash_changes_with_captions_and_image_bytes():
    base = dataset([1, 2], ["x", "y"], ["1", "2"]).content_hash
    assert base == dataset([1, 2], ["x", "y"], ["1", "2"], ["p", "q"]).content_hash
    assert base != dataset([1, 2], ["y", "x"], ["1", "2"]).content_hash
    assert base != dataset([1, 2], ["x", "y"], ["1", "3"]).content_hash


def test_content_hash_covers_how_the_images_are_changed():
    plain = dataset([1, 2])
    changed = [dataset([1, 2], content_salt=salt) for salt in ("flip (seed 0)", "flip (seed 1)")]
    assert len({data.content_hash for data in (plain, *changed)}) == 3
    assert {data.fingerprint for data in changed} == {plain.fingerprint}


def test_every_sample_of_a_row_gets_the_same_changed_image():
    data = dataset(
        [1, 1, 2], ids=["a#0", "a#1", "b"], source_ids=["a", "a", ""], transform=lambda image, id_: (image, id_)
    )
    assert [sample.image for sample in data] == [(0, "a"), (1, "a"), (2, "b")]
    subset = dataset([1, 1, 2, 3], content_salt="s", transform=lambda image, id_: id_).limited(3)
    assert len(subset) < 4 and [sample.image for sample in subset] == subset.ids
    assert subset.content_hash != PairedDataset("set", subset._entries, Numbers()).content_hash


def test_image_only_data_has_no_captions_and_says_so():
    data = dataset([1, 2], [None, None], ["x", "y"], has_captions=False, missing="a.parquet holds id, image")
    assert data[1].caption is None and data[1].image == 1
    data.require("image")
    for ask in (data.captions, lambda: data.require("text"), lambda: data.limited(1).require("text")):
        with pytest.raises(InputError, match=r"dataset 'set' has no captions \(a.parquet holds id, image\).*`caption`"):
            ask()
    assert data.content_hash != dataset([1, 2], [None, None], ["x", "z"], has_captions=False).content_hash


def test_text_only_data_has_no_images_and_says_so():
    def forbidden(image, id_):
        raise AssertionError("there is no image to change")

    data = dataset([1, 2], ["x", "y"], ["", ""], has_images=False, transform=forbidden, content_salt="flip")
    assert data[0].image is None and data[0].caption == "x" and data.captions() == ["x", "y"]
    data.require("text")
    for ask in (lambda: data.require("image"), lambda: data.limited(1).require("image")):
        with pytest.raises(InputError, match="dataset 'set' has no images, which image encoders need.*`image`"):
            ask()
    assert data.content_hash == dataset([1, 2], ["x", "y"], ["", ""], has_images=False).content_hash
    with pytest.raises(InputError, match="unknown modality 'images': did you mean image"):
        data.require("images")


def test_the_heldout_side_of_a_group_never_depends_on_other_samples():
    few, many = dataset(range(50)), dataset(range(1000))
    assert (few.heldout == many.heldout[:50]).all()


def test_the_split_keeps_groups_whole_and_takes_about_the_share_asked_for():
    data = dataset([i // 5 for i in range(20_000)])
    for share in (0.1, 0.5, 0.9):
        mask = data.split(share).reshape(-1, 5)
        assert (mask == mask[:, :1]).all()
        assert mask.mean() == pytest.approx(share, abs=0.03)
    assert not data.split(0).any() and data.split(1).all()
    with pytest.raises(InputError, match="between 0 and 1"):
        data.split(1.5)


def test_subsets_are_nested_whole_groups_in_the_dataset_s_order():
    data = dataset([i // 3 for i in range(300)])
    previous: set[str] = set()
    for count in (3, 10, 30, 100, 299, 300, 1000):
        subset = data.limited(count)
        rows = [sample.image for sample in subset]
        assert min(count, 300) - 2 <= len(subset) <= count and rows == sorted(rows)
        assert all(n == 3 for n in np.bincount(subset.groups))
        assert previous <= set(subset.ids)
        previous = set(subset.ids)


def test_a_subset_says_nothing_about_the_split_or_the_place_in_the_file():
    subset = dataset(range(10_000)).limited(2000)
    assert subset.heldout.mean() == pytest.approx(0.5, abs=0.05)
    assert np.mean([sample.image for sample in subset]) == pytest.approx(5000, abs=300)


def test_a_subset_smaller_than_its_first_group_is_refused():
    with pytest.raises(InputError, match="whole groups"):
        dataset([1, 1, 1]).limited(2)


def test_samples_can_be_read_from_several_threads():
    data = dataset(range(500))
    with ThreadPoolExecutor(8) as pool:
        assert [sample.image for sample in pool.map(data.__getitem__, range(500))] == list(range(500))


@pytest.mark.parametrize("name", ["a b/c", "Ünï", "..", "", "x\n<b>", "ok-1_2"])
def test_a_slug_has_only_safe_characters(name):
    assert re.fullmatch(r"[A-Za-z0-9_-]+", slug(name))
    assert slug("ok-1_2") == "ok-1_2"


def test_images_are_numbered_by_their_content():
    assert dataset([1, 1, 2, 3], hashes=["x", "x", "y", "x"]).image_numbers.tolist() == [0, 0, 1, 0]
    # Copies of an image are changed differently, the captions of one copy see the same image.
    changed = dataset(
        [1, 1, 2], hashes=["x"] * 3, source_ids=["p", "p", "q"], transform=lambda image, _: image
    ).image_numbers
    assert changed.tolist() == [0, 0, 1]
    with pytest.raises(InputError, match="no images"):
        _ = dataset([1], has_images=False).image_numbers
