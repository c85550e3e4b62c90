import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_files import png, shade

from benchmark.catalog import DatasetCard
from benchmark.errors import InputError


def card(path, **fields) -> DatasetCard:
    return DatasetCard(name="mine", kind="parquet", source=str(path), **fields)


@pytest.mark.parametrize("form", ["binary", "struct", "struct with a path"])
def test_images_are_found_in_binary_and_struct_columns(make, form):
    images = [png(i) for i in range(4)]
    wrapped = {"binary": images, "struct": [{"bytes": b} for b in images]}.get(
        form, [{"bytes": b, "path": f"/elsewhere/{i}.png"} for i, b in enumerate(images)]
    )
    data = make.load(make.parquet(wrapped, list("abcd")))
    assert [(s.id, shade(s.image), s.caption) for s in data] == [(f"{i:08d}", i, "abcd"[i]) for i in range(4)]
    assert data.name == "pairs" and data.factors is None


def test_parquet_written_by_the_datasets_library_is_read(make):
    import datasets

    table = datasets.Dataset.from_dict(
        {"picture": [{"bytes": png(i), "path": None} for i in range(3)], "caption": ["a", "b", "c"]},
        features=datasets.Features({"picture": datasets.Image(), "caption": datasets.Value("string")}),
    )
    table.to_parquet(make.folder / "written.parquet")
    assert [shade(sample.image) for sample in make.load(make.folder / "written.parquet")] == [0, 1, 2]


def test_a_missing_column_is_reported_with_the_columns_that_exist_and_a_card(make):
    path = make.parquet([png(0)], None, story=["x"])
    with pytest.raises(InputError, match=r"no caption column 'tale' \(its columns: image, story\).*field `caption`"):
        make.load(card(path, caption="tale"))
    with pytest.raises(InputError, match="no image column 'photo'"):
        make.load(card(path, image="photo", caption="story"))
    with pytest.raises(InputError, match="holds string, not images"):
        make.load(card(path, image="story", caption="story"))
    assert make.load(card(path, caption="story"))[0].caption == "x"


def test_a_table_without_a_caption_column_holds_images_only(make):
    data = make.load(make.parquet([png(0), b"x", png(2)], None, story=["x", "y", "z"]))
    assert (data.has_images, data.has_captions) == (True, False)
    assert [(s.id, shade(s.image), s.caption) for s in data] == [("00000000", 0, None), ("00000002", 2, None)]
    assert data.left_out == [("00000001", "not an image of a known format")]
    with pytest.raises(InputError, match="has no captions .*pairs.parquet holds image, story.*field `caption`"):
        data.require("text")


def test_a_table_without_an_image_column_holds_captions_only(make):
    pq.write_table(pa.table({"text": ["a", None, "c"], "url": ["u", "v", "w"]}), make.folder / "bare.parquet")
    data = make.load(make.folder / "bare.parquet")
    assert (data.has_images, data.has_captions) == (False, True)
    assert [(s.id, s.image, s.caption) for s in data] == [("00000000", None, "a"), ("00000002", None, "c")]
    assert data.left_out == [("00000001", "no caption")] and data.groups.tolist() == [0, 1]
    with pytest.raises(InputError, match="has no images .*bare.parquet holds text, url"):
        data.require("image")


def test_a_table_with_neither_is_refused_with_its_columns(make):
    pq.write_table(pa.table({"label": [1], "url": ["b"]}), make.folder / "bare.parquet")
    with pytest.raises(InputError, match=r"no image or caption column \(its columns: label, url\)"):
        make.load(make.folder / "bare.parquet")


def test_a_folder_of_shards_is_one_table_in_the_order_of_their_names(make):
    for name, first in (("b-00001.parquet", 4), ("a-00000.parquet", 0), ("b-00000.parquet", 2)):
        make.parquet([png(first), png(first + 1)], [str(first), str(first + 1)], name)
    for source in (make.folder, card(make.folder)):
        data = make.load(source)
        assert [(s.id, shade(s.image), s.caption) for s in data] == [(f"{i:08d}", i, str(i)) for i in range(6)]
    make.parquet([png(9)], ["nine"], "b-00000.parquet")
    assert make.load(make.folder).captions() == ["0", "1", "nine", "4", "5"]


def test_shards_with_other_columns_are_refused_by_name(make):
    make.parquet([png(0)], ["a"], "a.parquet")
    make.parquet([png(1)], None, "b.parquet", story=["b"])
    with pytest.raises(InputError, match=r"b.parquet has the columns image, story, but a.parquet beside it has image,"):
        make.load(make.folder)
    with pytest.raises(InputError, match="holds no .parquet file"):
        (make.folder / "empty").mkdir()
        make.load(card(make.folder / "empty"))


def test_columns_of_another_type_in_one_file_are_refused_by_name_and_never_cast(make):
    make.parquet([png(0)], ["a"], "a.parquet", id=[0], note=[1])
    make.parquet([png(1)], [None], "b.parquet", id=pa.array([1], pa.int32()), note=[2])  # nulls, narrow numbers: fine
    assert make.load(make.folder).ids == ["0"]
    for texts, note, told in (
        ([3], [3], "c.parquet: column 'text' holds int64, but a.parquet beside it has string there"),
        ([["x"]], [3], "c.parquet: column 'text' holds list<.*>, but a.parquet beside it has string there"),
        (["x"], ["word"], "c.parquet: column 'note' holds string, but a.parquet beside it has int64 there"),
    ):
        make.parquet([png(2)], texts, "c.parquet", id=[2], note=note)
        with pytest.raises(InputError, match=told):
            make.load(make.folder)


def test_a_name_full_of_wildcards_is_only_a_name(make):
    make.parquet([png(1)], ["other"], "p1.parquet")
    assert make.load(make.parquet([png(0)], ["a"], "p[1]*.parquet")).captions() == ["a"]


def test_all_captions_of_a_row_can_be_taken(make):
    path = make.parquet([png(0), png(1)], None, captions=[["a", " ", "b"], ["c"]])
    data = make.load(card(path, captions="all"))
    assert data.captions() == ["a", "b", "c"] and data.groups.tolist() == [0, 0, 1] and len(set(data.ids)) == 3


def test_the_first_of_several_captions_is_taken(make):
    data = make.load(make.parquet([png(0), png(1), png(2)], None, captions=[["a", "b"], ["c"], []]))
    assert data.captions() == ["a", "c"] and data.left_out == [("00000002", "no caption")]


def test_captions_that_are_numbers_are_refused(make):
    with pytest.raises(InputError, match="holds int, not text"):
        make.load(make.parquet([png(0)], [3]))


def test_ids_come_from_a_unique_id_column_and_else_from_the_row(make):
    images = [png(0), png(1)]
    assert make.load(make.parquet(images, ["a", "b"], "unique.parquet", id=[7, 8])).ids == ["7", "8"]
    twice = make.parquet(images, ["a", "b"], "twice.parquet", id=[7, 7])
    assert make.load(twice).ids == ["00000000", "00000001"]
    with pytest.raises(InputError, match="'7' occurs 2 times"):
        make.load(card(twice, id="id"))


def test_groups_come_from_a_column_and_else_from_identical_image_bytes(make):
    images, texts = [png(0), png(1), png(0)], ["a", "b", "c"]
    assert make.load(make.parquet(images, texts, "bytes.parquet")).groups.tolist() == [0, 1, 0]
    others = [png(0), png(1), png(2)]
    assert make.load(make.parquet(others, texts, "column.parquet", image_id=[4, 4, 5])).groups.tolist() == [0, 0, 1]
    # Nobody named this column, so it does not part what identical bytes hold together.
    assert make.load(make.parquet(images, texts, "both.parquet", image_id=[4, 5, 6])).groups.tolist() == [0, 1, 0]
    scene = make.parquet(images, texts, "card.parquet", image_id=[4, 4, 5], scene=["x", "y", "y"])
    assert make.load(card(scene, group="scene")).groups.tolist() == [0, 1, 1]


def test_paths_without_bytes_are_read_beside_the_file_and_only_there(make):
    make.images(["a.png", "sub/b.png"])
    rows = [{"bytes": None, "path": "a.png"}, {"bytes": None, "path": "sub/b.png"}, {"bytes": png(9), "path": "../x"}]
    assert [shade(sample.image) for sample in make.load(make.parquet(rows, ["a", "b", "c"]))] == [0, 1, 9]
    (make.folder.parent / "secret.png").write_bytes(png(0))
    for path in ("../secret.png", str(make.folder.parent / "secret.png"), str(make.folder / "a.png")):
        with pytest.raises(InputError, match="outside the table's folder"):
            make.load(make.parquet([{"bytes": None, "path": path}], ["a"]))


def test_a_file_rewritten_at_the_same_time_of_day_is_read_anew(make):
    path = make.parquet([png(0)], ["a"])
    first = make.load(path)
    assert shade(first[0].image) == 0
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    make.parquet([png(5), png(6)], ["b", "c"])
    os.utime(path, ns=times)
    assert [(shade(s.image), s.caption) for s in make.load(path)] == [(5, "b"), (6, "c")]


@pytest.mark.parametrize("content", [b"", b"not parquet at all"])
def test_a_broken_file_is_refused(make, content):
    (make.folder / "broken.parquet").write_bytes(content)
    with pytest.raises(InputError, match="not a readable Parquet file"):
        make.load(make.folder / "broken.parquet")


def test_a_truncated_file_is_refused(make):
    path = make.parquet([png(0)] * 50, ["a"] * 50)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="not a readable Parquet file"):
        make.load(path)


def test_an_empty_row_group_at_the_start_hides_nothing(make):
    table = pa.table({"image": [png(0), png(1)], "text": ["a", "b"]})
    with pq.ParquetWriter(make.folder / "groups.parquet", table.schema) as writer:
        writer.write_table(table.slice(0, 0))
        writer.write_table(table)
    assert make.load(make.folder / "groups.parquet").captions() == ["a", "b"]


def test_images_can_be_read_from_several_threads_and_after_pickling(make):
    data = make.load(make.parquet([png(i % 256) for i in range(600)], [str(i) for i in range(600)]))
    data = make.load(make.folder / "pairs.parquet")  # from the manifest: the file is opened by the first reader
    for copy in (data, pickle.loads(pickle.dumps(data))):
        with ThreadPoolExecutor(8) as pool:
            samples = list(pool.map(copy.__getitem__, range(600)))
        assert [(shade(s.image), s.caption) for s in samples] == [(i % 256, str(i)) for i in range(600)]
