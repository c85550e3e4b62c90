import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_files import png, shade

from benchmark.catalog import DatasetCard
from benchmark.datasets.load import resolve
from benchmark.errors import InputError

NAMES = ["b_train.png", "a_test.png", "train/c.png", "val.png", "test/validation/d.png", "e.png"]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_names_of_files_and_folders_choose_no_split(make, form):
    make.images(NAMES)
    if form == "jsonl":
        make.jsonl([{"file_name": name, "text": f"text {i}"} for i, name in enumerate(NAMES)])
    elif form == "parquet":
        table = {"file_name": NAMES, "text": [f"text {i}" for i in range(len(NAMES))]}
        pq.write_table(pa.table(table), make.folder / "metadata.parquet")
    else:
        make.csv([["file_name", "text"], *([name, f"text {i}"] for i, name in enumerate(NAMES))])
    data = make.load(make.folder)
    assert [(s.id, shade(s.image), s.caption) for s in data] == [(n, i, f"text {i}") for i, n in enumerate(NAMES)]


def test_a_file_with_several_captions_is_one_group_with_numbered_ids(make):
    make.images(["a.png", "b.png"])
    make.jsonl([{"file_name": f, "text": t} for f, t in [("a.png", "x"), ("b.png", "y"), ("a.png", "z")]])
    data = make.load(make.folder)
    assert data.ids == ["a.png#0", "b.png", "a.png#1"] and data.groups.tolist() == [0, 1, 0]


def test_captions_in_csv_are_never_taken_for_numbers_or_missing_values(make):
    texts = ["None", "NA", "007", "true", "2020-01-01", 'a, "quoted"\nline', "null"]
    make.images([f"{i}.png" for i in range(len(texts))])
    make.csv([["file_name", "text"], *([f"{i}.png", text] for i, text in enumerate(texts))])
    assert make.load(make.folder).captions() == texts


def test_captions_in_jsonl_that_look_like_dates_stay_text(make):
    make.images(["a.png"])
    make.jsonl([{"file_name": "a.png", "text": "2020-01-01"}])
    assert make.load(make.folder).captions() == ["2020-01-01"]


def test_a_missing_file_is_left_out_by_its_id(make):
    make.images(["a.png", "c.png"])
    make.jsonl([{"file_name": f, "text": f} for f in ("a.png", "b.png", "c.png")])
    data = make.load(make.folder)
    assert [(s.id, shade(s.image)) for s in data] == [("a.png", 0), ("c.png", 1)]
    assert data.left_out == [("b.png", "no image file 'b.png'")]
    (make.folder / "b.png").write_bytes(png(9))
    assert make.load(make.folder).ids == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("name", ["../secret.png", "sub/../../secret.png", "link.png", "linked/secret.png", "ABSOLUTE"])
def test_file_names_that_leave_the_folder_are_refused(make, name):
    (make.folder.parent / "secret.png").write_bytes(png(0))
    (make.folder / "link.png").symlink_to(make.folder.parent / "secret.png")
    (make.folder / "linked").symlink_to(make.folder.parent)
    make.jsonl([{"file_name": name.replace("ABSOLUTE", str(make.folder.parent / "secret.png")), "text": "x"}])
    with pytest.raises(InputError, match="outside the table's folder"):
        make.load(make.folder)


def test_a_neighbour_folder_with_the_same_beginning_is_outside(make):
    neighbour = make.folder.with_name("data-private")
    neighbour.mkdir()
    (neighbour / "a.png").write_bytes(png(0))
    (make.folder / "link.png").symlink_to(neighbour / "a.png")
    make.jsonl([{"file_name": "link.png", "text": "x"}])
    with pytest.raises(InputError, match="outside the table's folder"):
        make.load(make.folder)


def test_links_inside_the_folder_are_followed(make):
    make.images(["a.png"])
    (make.folder / "link.png").symlink_to(make.folder / "a.png")
    make.jsonl([{"file_name": "link.png", "text": "x"}])
    assert make.load(make.folder).ids == ["link.png"]


def test_a_pipe_is_no_image_and_does_not_block(make):
    os.mkfifo(make.folder / "pipe.png")
    make.images(["a.png"])
    make.jsonl([{"file_name": "pipe.png", "text": "x"}, {"file_name": "a.png", "text": "y"}])
    assert make.load(make.folder).left_out == [("pipe.png", "no image file 'pipe.png'")]


def test_malformed_metadata_is_refused_with_its_line(make):
    make.images(["a.png"])
    make.csv([["file_name", "text"], ["a.png", "x"], ["a.png", "one", "two"]])
    with pytest.raises(InputError, match="line 3 has not as many fields"):
        make.load(make.folder)
    (make.folder / "metadata.csv").unlink()
    (make.folder / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "x"}\n{oops\n')
    with pytest.raises(InputError, match="line 2 is not valid JSON"):
        make.load(make.folder)
    (make.folder / "metadata.jsonl").write_text("[" * 100_000)
    with pytest.raises(InputError, match="line 1 is not valid JSON"):
        make.load(make.folder)
    (make.folder / "metadata.jsonl").write_bytes(b'{"file_name": "a.png", "text": "\xff"}\n')
    with pytest.raises(InputError, match="not UTF-8"):
        make.load(make.folder)
    (make.folder / "metadata.jsonl").unlink()
    (make.folder / "metadata.parquet").write_bytes(b"no table")
    with pytest.raises(InputError, match="metadata.parquet is not a readable Parquet file"):
        make.load(make.folder)


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv", "metadata.parquet"])
def test_metadata_in_folders_below_is_refused_and_never_ignored(make, name):
    make.images(["train/a.png"])
    (make.folder / "train" / name).write_bytes(b"")
    with pytest.raises(
        InputError, match=rf"holds metadata in folders below \(train/{name}\).*name .*train as the source"
    ):
        make.load(make.folder)


def test_linked_folders_are_refused_unless_their_images_are_listed_anyway(make):
    make.images(["b/a.png", ".hidden/c.png"])
    for name, target in (("a", make.folder / "b"), ("b/up", make.folder), (".out", make.folder.parent)):
        (make.folder / name).symlink_to(target)
    assert make.load(make.folder).ids == ["b/a.png"]
    outside = make.folder.parent / "data2"
    outside.mkdir()
    for target in (outside, make.folder / ".hidden", make.folder.parent):
        (make.folder / "b" / "link").symlink_to(target)
        with pytest.raises(
            InputError, match="the link .*b/link to a folder outside of it, and such links are not foll"
        ):
            make.load(make.folder)
        (make.folder / "b" / "link").unlink()


def test_a_folder_without_metadata_holds_images_only_in_the_order_of_their_paths(make):
    make.images(["b.PNG", "z/a.png", "a.jpeg", "z/.hidden.png", ".git/x.png"])
    (make.folder / "notes.txt").write_text("no image")
    (make.folder / "c.png").write_text("no image either")
    data = make.load(make.folder)
    assert [(s.id, shade(s.image), s.caption) for s in data] == [
        ("a.jpeg", 2, None),
        ("b.PNG", 0, None),
        ("z/a.png", 1, None),
    ]
    assert data.left_out == [("c.png", "not an image of a known format")]
    (make.folder / "d.png").write_bytes(png(9))
    assert make.load(make.folder).ids == ["a.jpeg", "b.PNG", "d.png", "z/a.png"]


def test_a_folder_without_images_or_with_two_metadata_files_is_refused(make):
    with pytest.raises(InputError, match="holds neither metadata.jsonl nor metadata.csv .* nor any image file"):
        make.load(make.folder)
    make.images(["a.png"])
    with pytest.raises(InputError, match="names the caption column 'story', but .* holds neither metadata.jsonl nor"):
        make.load(DatasetCard(name="x", kind="imagefolder", source=str(make.folder), caption="story"))
    make.jsonl([{"file_name": "a.png", "text": "x"}])
    make.csv([["file_name", "text"], ["a.png", "x"]])
    with pytest.raises(InputError, match="holds both metadata.jsonl and metadata.csv; remove one"):
        make.load(make.folder)


def test_a_parquet_file_called_metadata_among_others_is_a_part_of_their_table(make):
    make.images(["a.png"])
    pq.write_table(pa.table({"file_name": ["a.png"], "text": ["x"]}), make.folder / "metadata.parquet")
    assert resolve(make.folder).kind == "imagefolder"
    make.parquet([png(0)], ["a"], "more.parquet")
    assert resolve(make.folder).kind == "parquet"


def test_a_snapshot_in_the_hub_cache_may_link_to_its_own_blobs_and_no_others(make):
    cache = make.folder / "hub"
    snapshot = cache / "datasets--me--pairs" / "snapshots" / "0123abc"
    for folder in (snapshot, cache / "datasets--me--pairs" / "blobs", cache / "datasets--me--private" / "blobs"):
        folder.mkdir(parents=True)
    (cache / "datasets--me--pairs" / "blobs" / "b1").write_bytes(png(5))
    (cache / "datasets--me--private" / "blobs" / "b2").write_bytes(png(6))
    (snapshot / "a.png").symlink_to("../../blobs/b1")
    assert [shade(sample.image) for sample in make.load(snapshot)] == [5]
    (snapshot / "b.png").symlink_to("../../../datasets--me--private/blobs/b2")
    with pytest.raises(InputError, match="'b.png', which lies outside"):
        make.load(snapshot)


def test_columns_can_be_named_by_a_card_file(make):
    make.images(["a.png"])
    make.jsonl([{"file_name": "a.png", "story": "x", "nr": 5, "scene": "s"}])
    assert not make.load(make.folder).has_captions
    path = make.folder / "card.yaml"
    path.write_text("my-set:\n  kind: imagefolder\n  source: .\n  caption: story\n  id: nr\n  group: scene\n")
    data = make.load(path)
    assert (data.name, data.ids, data.captions()) == ("my-set", ["5"], ["x"])
    for field in ("id", "caption", "group", "image"):
        with pytest.raises(InputError, match=f"no {field} column 'key' .its columns: file_name, story, nr, scene"):
            make.load(DatasetCard(name="x", kind="imagefolder", source=str(make.folder), **{field: "key"}))
