import json

import pytest
from dataset_files import png, shade

from benchmark.catalog import DatasetCard
from benchmark.datasets import load_dataset, scan
from benchmark.errors import InputError

IMAGES = {9: "000000000009.jpg", 25: "000000000025.jpg", 100: "000000000100.jpg"}
CAPTIONS = [(50, 25, "later"), (7, 25, "earlier"), (8, 9, "nine"), (9, 25, "  "), (60, 9, "again")]


def card(root, **fields) -> DatasetCard:
    return DatasetCard(name="coco", kind="coco", source=str(root), **fields)


def test_images_come_by_number_and_captions_in_the_order_of_their_annotations(make):
    root = make.coco(dict(reversed(IMAGES.items())), CAPTIONS)
    data = make.load(card(root, captions="all"))
    assert [(s.id, s.group, shade(s.image), s.caption) for s in data] == [
        ("000000000009#0", 0, 9, "nine"),
        ("000000000009#1", 0, 9, "again"),
        ("000000000025#0", 1, 25, "earlier"),
        ("000000000025#1", 1, 25, "later"),
    ]
    assert data.left_out == [("000000000100", "no caption")]
    assert make.load(card(root)).captions() == ["nine", "earlier"]
    assert make.load(root).ids == ["000000000009", "000000000025"]


def test_the_official_files_and_a_table_of_them_share_their_held_out_images(make):
    captions = [(i, i, f"caption {i}") for i in range(1, 41)]
    official = make.load(make.coco({i: f"{i:012d}.jpg" for i in range(1, 41)}, captions))
    table = make.load(make.parquet([png(i) for i in range(1, 41)], [f"caption {i}" for i in range(1, 41)]))
    assert (official.heldout == table.heldout).all() and 5 < official.heldout.sum() < 35
    assert official.content_hash == table.content_hash


def test_the_annotations_are_those_of_the_split_or_the_only_ones_or_the_named_ones(make):
    make.coco({9: "9.jpg"}, [(1, 9, "validation")], "val2017")
    assert make.load(card(make.folder)).captions() == ["validation"]
    make.coco({10: "10.jpg"}, [(1, 10, "training")])
    assert make.load(card(make.folder)).captions() == ["training"]
    assert make.load(card(make.folder, split="validation")).captions() == ["validation"]
    assert make.load(card(make.folder, annotations="annotations/captions_val2017.json")).captions() == ["validation"]
    with pytest.raises(
        InputError, match=r"one captions_\*.json for the split 'test' \(found: captions_train2017.json, c"
    ):
        make.load(card(make.folder, split="test"))
    (make.folder / "annotations" / "captions_train2017.json").unlink()
    make.coco({11: "11.jpg"}, [(1, 11, "both")], "trainval2014")
    (make.folder / "annotations" / "captions_val2017.json").unlink()
    for split in ("test", "validation", "val"):
        with pytest.raises(InputError, match=f"the split '{split}' .found: captions_trainval2014.json"):
            make.load(card(make.folder, split=split))
    assert make.load(card(make.folder)).captions() == ["both"]  # a card that names no split takes the only file
    with pytest.raises(InputError, match="there is no file .*captions_2030.json; correct the card's `annotations`"):
        make.load(card(make.folder, annotations="captions_2030.json"))


def test_a_null_caption_is_left_out_alone_and_one_of_another_type_with_its_image(make):
    captions = [(1, 9, "nine"), (2, 9, None), (3, 25, "a"), (4, 25, 5), (5, 100, "hundred")]
    data = make.load(card(make.coco(IMAGES, captions), captions="all"))
    assert data.captions() == ["nine", "hundred"]
    assert data.left_out == [("000000000025", "its caption is no text")]


def test_images_without_annotations_are_a_dataset_of_images(make):
    root = make.coco({9: "9.jpg", 10: "10.jpg"}, [], "test2017")
    content = json.loads((root / "annotations" / "captions_test2017.json").read_text())
    del content["annotations"]
    (root / "annotations" / "image_info_test2017.json").write_text(json.dumps(content))
    data = make.load(card(root, annotations="annotations/image_info_test2017.json"))
    assert not data.has_captions and [shade(sample.image) for sample in data] == [9, 10]


def test_lost_and_damaged_images_are_listed_and_shift_nothing(make, monkeypatch):
    root = make.coco(IMAGES | {7: "7.jpg"}, [*CAPTIONS, (99, 100, "hundred"), (98, 7, "seven"), (97, 5, "of nothing")])
    (root / "train2017" / "7.jpg").unlink()
    (root / "train2017" / IMAGES[25]).write_bytes(png(25)[:30])
    left_out = [
        ("000000000005", "its captions' image is not listed"),
        ("000000000007", "no image file '7.jpg'"),
    ]
    data = make.load(card(root))
    assert [(shade(sample.image), sample.caption) for sample in data] == [(9, "nine"), (100, "hundred")]
    assert data.left_out[:2] == left_out and data.left_out[2][0] == "000000000025"
    monkeypatch.setattr(scan, "decode", None)  # the second load decodes nothing
    assert load_dataset(card(root), cache=make.cache, progress=False).left_out == data.left_out


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/hostname", "link.jpg"])
def test_file_names_that_leave_the_images_folder_are_refused(make, name):
    root = make.coco({9: "9.jpg"}, [(1, 9, "x")])
    (root / "secret.jpg").write_bytes(png(0))
    (root / "train2017" / "link.jpg").symlink_to(root / "secret.jpg")
    path = root / "annotations" / "captions_train2017.json"
    path.write_text(path.read_text().replace("9.jpg", name))
    with pytest.raises(InputError, match="outside the table's folder"):
        make.load(root)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        "[" * 100_000,
        '{"images": [{"id": 1}]}',
        '{"images": [{"id": "x", "file_name": "a"}]}',
        '{"images": 3}',
    ],
)
def test_annotations_of_another_form_are_refused(make, content):
    root = make.coco({9: "9.jpg"}, [(1, 9, "x")])
    (root / "annotations" / "captions_train2017.json").write_text(content)
    with pytest.raises(InputError, match="does not hold captions as COCO's do"):
        make.load(root)


def test_missing_folders_and_column_names_are_refused(make):
    with pytest.raises(InputError, match=r"must hold one captions_\*.json .*found: none"):
        make.load(card(make.folder))
    root = make.coco({9: "9.jpg"}, [(1, 9, "x")])
    with pytest.raises(InputError, match="field `caption` names a column"):
        make.load(card(root, caption="text"))
    (root / "train2017").rename(root / "images")
    with pytest.raises(InputError, match="has no folder train2017 with the images of captions_train2017.json"):
        make.load(root)
