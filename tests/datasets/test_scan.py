import io
import logging
import os
import pickle
import subprocess
import sys

import pytest
from dataset_files import png, shade
from PIL import Image

from benchmark.catalog import DatasetCard
from benchmark.datasets import scan
from benchmark.datasets import source as sources
from benchmark.datasets.decode import decode
from benchmark.errors import InputError, WorkError


def forbidden(*_):
    raise AssertionError("decoded again")


def test_a_corrupt_image_in_the_middle_never_shifts_the_pairing(make, caplog):
    images = [png(i) for i in range(200)]
    images[100] = images[100][:40]
    images[150] = b"\nnot an image"
    with caplog.at_level(logging.WARNING, "benchmark"):
        data = make.load(make.parquet(images, [str(i) for i in range(200)]))
    assert len(data) == 198 and all(str(shade(s.image)) == s.caption == str(int(s.id)) for s in data)
    assert [id_ for id_, _ in data.left_out] == ["00000100", "00000150"]
    assert data.left_out[1][1] == "not an image of a known format"
    (record,) = caplog.records
    assert "left out 2 of 200" in record.getMessage() and "00000100" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_an_id_cannot_break_the_warning_into_lines(make, caplog):
    make.load(make.parquet([png(0), b"x"], ["a", "b"], id=["fine", "bad\n\x1b[31mid"]))
    assert "\n" not in caplog.text.strip() and "\x1b" not in caplog.text


def test_rows_without_a_caption_are_left_out(make):
    data = make.load(make.parquet([png(i) for i in range(4)], ["a", None, "  ", "d"]))
    assert data.ids == ["00000000", "00000003"]
    assert data.left_out == [("00000001", "no caption"), ("00000002", "no caption")]


def test_the_fingerprint_covers_only_what_is_kept(make):
    whole = make.load(make.parquet([png(0), png(1)], ["a", "b"], "whole.parquet"))
    holed = make.load(make.parquet([png(0), b""], ["a", "b"], "holed.parquet"))
    alone = make.load(make.parquet([png(0)], ["a"], "alone.parquet"))
    assert holed.fingerprint == alone.fingerprint != whole.fingerprint
    assert holed.content_hash == alone.content_hash != whole.content_hash


def test_sources_without_usable_samples_are_refused(make):
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema({"image": pa.binary(), "text": pa.string()})
    pq.write_table(schema.empty_table(), make.folder / "none.parquet")
    with pytest.raises(InputError, match="holds no samples"):
        make.load(make.folder / "none.parquet")
    pq.write_table(pa.table({"image": [png(0)], "text": [None]}, schema=schema), make.folder / "mute.parquet")
    with pytest.raises(InputError, match="no row has a caption"):
        make.load(make.folder / "mute.parquet")
    with pytest.raises(InputError, match=r"no usable sample; left out 2 of 2.*'00000000' \(the image is empty\)"):
        make.load(make.parquet([b"", b"x"], ["a", "b"], "blind.parquet"))
    (make.folder / "metadata.jsonl").write_text("")
    with pytest.raises(InputError, match="holds no samples"):
        make.load(make.folder)


@pytest.mark.parametrize("kind", ["parquet", "imagefolder"])
def test_a_second_load_decodes_nothing_and_finds_the_same(make, monkeypatch, kind):
    if kind == "parquet":
        source = make.parquet([png(0), b"x", png(2)], ["a", "b", "c"], group=["p", "q", "p"])
    else:
        make.images(["0.png", "1.png"])
        source = make.jsonl([{"file_name": f"{i}.png", "text": f"t{i}"} for i in range(3)])
    first = make.load(source)
    monkeypatch.setattr(scan, "decode", forbidden)
    second = make.load(source)
    for name in ("ids", "fingerprint", "content_hash", "left_out"):
        assert getattr(first, name) == getattr(second, name)
    assert first.captions() == second.captions() and (first.groups == second.groups).all()
    assert (first.heldout == second.heldout).all()
    monkeypatch.setattr(scan, "decode", decode)
    assert [shade(s.image) for s in first] == [shade(s.image) for s in second]


def test_what_is_missing_as_a_whole_is_remembered_too(make, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = make.parquet([png(0), png(1)], None, "images.parquet", label=[1, 2])
    pq.write_table(pa.table({"text": ["a", "b"], "label": [1, 2]}), make.folder / "texts.parquet")
    for source in (images, make.folder / "texts.parquet"):
        first = make.load(source)
        with monkeypatch.context() as patch:
            patch.setattr(scan, "_judge", forbidden)
            second = make.load(source)
        assert (first.has_images, first.has_captions) == (second.has_images, second.has_captions)
        assert first.fingerprint == second.fingerprint and first.content_hash == second.content_hash
        assert [sample._replace(image=None) for sample in first] == [sample._replace(image=None) for sample in second]


def test_another_choice_of_captions_or_augmentation_decodes_nothing(make, monkeypatch):
    path = str(make.parquet([png(0), png(1)], None, captions=[["a", "b"], ["c"]]))
    card = DatasetCard(name="x", kind="parquet", source=path)
    assert make.load(card).captions() == ["a", "c"]
    monkeypatch.setattr(scan, "decode", forbidden)
    changed = DatasetCard(
        name="y", kind="parquet", source=path, captions="all", seed=3, augment=("flip",), max_samples=3
    )
    assert make.load(changed).captions() == ["a", "b", "c"]


def test_half_characters_in_captions_are_replaced_and_in_names_refused(make):
    make.images(["a.png"])
    make.jsonl([{"file_name": "a.png", "text": "half \ud83d, whole \ud83d\ude00", "scene": "\udc00"}])
    assert make.load(make.folder).captions() == ["half \ufffd, whole \U0001f600"]
    card = DatasetCard(name="x", kind="imagefolder", source=str(make.folder), group="scene")
    with pytest.raises(InputError, match="the name '.udc00' is not valid Unicode; rename"):
        make.load(card)
    (make.folder / "metadata.jsonl").unlink()
    (make.folder / os.fsdecode(b"\xff.png")).write_bytes(png(0))
    with pytest.raises(InputError, match="is not valid Unicode"):
        make.load(make.folder)


def test_a_damaged_manifest_is_written_anew(make):
    source = make.parquet([png(0)], ["a"])
    make.load(source)
    (manifest,) = make.cache.glob("datasets/*/manifest.parquet")
    manifest.write_bytes(manifest.read_bytes()[:100])
    assert make.load(source).ids == ["00000000"]
    assert not list(make.cache.glob("datasets/*/*.part"))


def test_reading_an_image_that_changed_since_the_scan_is_an_error(make):
    make.images(["a.png", "b.png"])
    make.jsonl([{"file_name": f, "text": f} for f in ("a.png", "b.png")])
    data = make.load(make.folder)
    (make.folder / "a.png").write_bytes(png(77))
    with pytest.raises(WorkError, match="'a.png' changed"):
        data[0]
    (make.folder / "a.png").unlink()
    with pytest.raises(WorkError, match="'a.png' changed"):
        data[0]
    assert shade(data[1].image) == 1


def test_a_table_that_changed_gives_the_scanned_image_or_an_error_and_never_another(make):
    path = make.parquet([png(0)], ["a"])
    data = make.load(path)
    later = [pickle.loads(pickle.dumps(make.load(path))) for _ in range(3)]  # their tables have not been opened
    make.parquet([png(1), png(2)], ["b", "c"])
    assert shade(data[0].image) == 0  # the cache holds a copy of what was scanned
    for change in (lambda: None, lambda: path.write_bytes(b"no table"), path.unlink):
        change()
        with pytest.raises(WorkError, match="changed after"):
            later.pop()[0]
    assert len(make.load(make.parquet([png(1), png(2)], ["b", "c"]))) == 2


def test_reading_an_image_does_not_look_at_every_table(make, monkeypatch):
    for shard in range(5):
        make.parquet([png(shard)], [str(shard)], f"{shard}.parquet")
    data = make.load(make.folder)
    assert shade(data[0].image) == 0
    monkeypatch.setattr(sources, "stamp", forbidden)
    assert [shade(sample.image) for sample in data] == [*range(5)]


def test_a_file_replaced_with_its_size_and_time_kept_is_seen(make):
    make.images(["a.png"])
    table = make.jsonl([{"file_name": "a.png", "text": "x"}]) / "metadata.jsonl"
    assert make.load(make.folder).captions() == ["x"]
    for path, old, new in ((table, b'"x"', b'"y"'), (make.folder / "a.png", png(0), png(9))):
        times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
        content = path.read_bytes().replace(old, new)
        assert len(content) == path.stat().st_size
        copy = path.with_name("copy")
        copy.write_bytes(content)
        os.utime(copy, ns=times)
        os.replace(copy, path)
        assert path.stat().st_mtime_ns == times[1]
        data = make.load(make.folder)
    assert data.captions() == ["y"] and shade(data[0].image) == 9


def test_pillow_never_warns_of_damaged_tags(make):
    exif = Image.Exif()
    exif[0x010E] = "a long description, cut off below"
    images = []
    for size in (24, 30, 70):
        whole = io.BytesIO()
        Image.new("RGB", (8, 8)).save(whole, "JPEG", exif=exif.tobytes()[:size])
        images.append(whole.getvalue())
    path = make.parquet(images, ["a", "b", "c"])
    script = (
        "import sys; from benchmark.datasets import load_dataset\n"
        "print(len([*load_dataset(sys.argv[1], cache=sys.argv[2], progress=False)]))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path), str(make.cache)], capture_output=True, text=True)
    assert done.stdout.split() == ["3"] and "PIL" not in done.stderr


def test_a_changed_image_file_is_scanned_again(make):
    make.images(["a.png"])
    make.jsonl([{"file_name": "a.png", "text": "x"}])
    before = make.load(make.folder)
    (make.folder / "a.png").write_bytes(png(77))
    os.utime(make.folder / "a.png", (1, 1))
    after = make.load(make.folder)
    assert shade(after[0].image) == 77
    assert before.fingerprint == after.fingerprint and before.content_hash != after.content_hash


def test_a_cache_that_cannot_be_written_is_a_failure_of_the_work(make):
    make.images(["a.png"])
    make.jsonl([{"file_name": "a.png", "text": "x"}])
    make.cache.write_text("in the way")
    with pytest.raises(WorkError, match="cannot write the cache file"):
        make.load(make.folder)
    with pytest.raises(WorkError, match="cannot copy .* into the cache"):
        make.load(make.parquet([png(0)], ["a"]))
