"""The number of samples, the download and the disk that a plan states are those of the data, if it is here."""

import io
import json
import os
import subprocess
import sys
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_hub import serve
from PIL import Image

from benchmark.catalog import DatasetCard
from benchmark.datasets import load_dataset
from benchmark.errors import InputError
from benchmark.jobs import data_outline as module
from benchmark.jobs.data_outline import data_outline


def png(shade=0):
    data = io.BytesIO()
    Image.new("RGB", (6, 4), (shade, 255 - shade, 7)).save(data, "PNG")
    return data.getvalue()


def coco(folder):
    """Five images; captions: 3, 2, 1, 1 and none."""
    (folder / "train2017").mkdir(parents=True)
    (folder / "annotations").mkdir()
    images = [{"id": i, "file_name": f"{i:012d}.jpg"} for i in range(5)]
    for i, image in enumerate(images):
        Image.open(io.BytesIO(png(i))).save(folder / "train2017" / image["file_name"])
    owners = [0, 0, 0, 1, 1, 2, 3]
    notes = [{"id": i, "image_id": owner, "caption": f"text {i}"} for i, owner in enumerate(owners)]
    content = json.dumps({"images": images, "annotations": notes})
    (folder / "annotations" / "captions_train2017.json").write_text(content)
    return str(folder)


def shards(folder, *sizes):
    folder.mkdir(exist_ok=True)
    for number, size in enumerate(sizes):
        with tarfile.open(folder / f"{number:05d}.tar", "w") as tar:
            for i in range(size):
                for ending, content in (("png", png(i)), ("txt", b"a text")):
                    info = tarfile.TarInfo(f"{number:05d}{i:04d}.{ending}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    return str(folder)


def pairs(path, texts):
    pq.write_table(pa.table({"image": [png(i) for i in range(len(texts))], "text": texts}), path)
    return str(path)


@pytest.mark.parametrize(("captions", "samples"), [("first", 4), ("seed", 4), ("all", 7)])
def test_a_coco_folder_is_counted_by_its_captions(tmp_path, captions, samples):
    found = data_outline(DatasetCard(name="c", kind="coco", source=coco(tmp_path / "coco"), captions=captions, size=99))
    assert (found.samples, found.download, found.disk, found.problem) == (samples, 0, 0, "")


def test_an_image_folder_without_metadata_is_counted_by_its_files(tmp_path):
    for i in range(7):
        (tmp_path / f"{i}.png").write_bytes(png(i))
    (tmp_path / "notes.txt").write_text("no image")
    card = DatasetCard(name="i", kind="imagefolder", source=str(tmp_path))
    assert data_outline(card).samples == 7
    assert data_outline(card, max_samples=3).samples == 3


def test_an_image_folder_with_metadata_is_counted_by_its_captions(tmp_path):
    rows = [{"file_name": f"{i}.png", "text": text} for i, text in enumerate([["a", "b"], ["c"], []])]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for captions, samples in (("first", 2), ("all", 3)):
        card = DatasetCard(name="i", kind="imagefolder", source=str(tmp_path), captions=captions)
        assert data_outline(card).samples == samples


def test_a_folder_of_shards_is_counted_and_taken_up_to_max_samples(tmp_path):
    card = DatasetCard(name="w", kind="webdataset", source=shards(tmp_path / "w", 5, 3))
    assert (data_outline(card).samples, data_outline(card).download) == (8, 0)
    assert data_outline(DatasetCard(**vars(card) | {"max_samples": 6, "streaming": True})).samples == 6


def test_the_rest_of_many_shards_is_estimated_from_their_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "INDEXED_BYTES", 1)
    source = shards(tmp_path / "w", 100, 100, 50)
    assert data_outline(DatasetCard(name="w", kind="webdataset", source=source)).samples == pytest.approx(250, rel=0.05)


def test_a_parquet_file_counts_every_caption_and_is_copied_once(tmp_path):
    source = pairs(tmp_path / "p.parquet", [["a", "b"], ["c"], ["d", "e", " "]])
    assert data_outline(DatasetCard(name="p", kind="parquet", source=source)).samples == 3
    found = data_outline(DatasetCard(name="p", kind="parquet", source=source, captions="all"))
    assert found.samples == 5 and found.disk == (tmp_path / "p.parquet").stat().st_size


@pytest.mark.parametrize("kind", ["scenes", "blooms"])
def test_procedural_data_takes_the_disk_that_is_stated(tmp_path, kind):
    card = DatasetCard(name=kind, kind=kind, size=500)
    load_dataset(card, 300, tmp_path, progress=False)
    (file,) = tmp_path.rglob("samples.parquet")
    found = data_outline(card, max_samples=300)
    assert found.samples == 300 and found.disk == pytest.approx(file.stat().st_size, rel=0.02)


def hub(**fields):
    return DatasetCard(**{"name": "h", "kind": "hub", "source": "org/h", "size": 1000, "download_mb": 50} | fields)


def test_a_dataset_of_the_hub_is_fetched_whole_and_kept_twice():
    found = data_outline(hub(max_samples=100))
    assert (found.samples, found.download, found.disk) == (100, 50_000_000, 100_000_000)


def test_a_stream_is_fetched_in_part_and_kept_once():
    found = data_outline(hub(max_samples=100, streaming=True))
    assert (found.samples, found.download, found.disk) == (100, 5_000_000, 5_000_000)
    remote = hub(kind="webdataset", source="https://example.org/{00..09}.tar", max_samples=200)
    assert data_outline(remote, max_samples=100).download == 10_000_000


def test_a_download_of_no_stated_size_is_unknown_rather_than_nothing():
    assert data_outline(hub(download_mb=0)).download is None
    assert data_outline(hub(download_mb=0)).disk is None


def test_samples_that_cannot_be_told():
    assert data_outline(hub(size=0, max_samples=20)).samples == 20
    assert data_outline(hub(size=0)).samples == 0
    assert data_outline(hub(size=0), max_samples=30).samples == 30


def test_data_that_is_not_there_yet_has_the_samples_that_its_card_expects(tmp_path):
    card = DatasetCard(name="c", kind="coco", source=str(tmp_path / "gone"), size=99, download_mb=2)
    found = data_outline(card)
    assert (found.samples, found.download) == (99, 2_000_000) and "does not exist" in found.problem
    with pytest.raises(InputError, match="does not exist"):
        data_outline(DatasetCard(name="c", kind="coco", source=str(tmp_path / "gone")))
    shard_card = DatasetCard(name="w", kind="webdataset", source=str(tmp_path / "gone"), size=99)
    assert data_outline(shard_card).download is None and "no tar shards" in data_outline(shard_card).problem


CLIENT = """
import json, sys
from pathlib import Path
from benchmark.catalog import DatasetCard
from benchmark.datasets import load_dataset
from benchmark.jobs.data_outline import data_outline
from benchmark.jobs.unplugged import unplugged
fields = json.load(sys.stdin)
with unplugged():
    before = data_outline(DatasetCard(**fields))
samples = len(load_dataset(DatasetCard(**fields), cache=sys.argv[1], progress=False))
with unplugged():
    after = data_outline(DatasetCard(**fields))
print(json.dumps([before.samples, before.download, samples, after.samples, after.download, after.disk]))
"""


def test_a_dataset_in_the_cache_of_the_hub_is_counted_there_and_was_kept_twice(tmp_path):
    (tmp_path / "repo").mkdir()
    noise = np.random.default_rng(0)
    images = [{"bytes": png(i) + noise.bytes(50_000), "path": None} for i in range(6)]
    texts = [["a", "b"], ["c"], ["d"], ["e", "f", "g"], ["h"], ["i"]]
    pq.write_table(pa.table({"image": images, "text": texts}), tmp_path / "repo" / "train.parquet")
    with serve({"dataset": {"me/pairs": tmp_path / "repo"}}) as hub:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment |= {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}
        fields = {"name": "pairs", "kind": "hub", "source": "me/pairs", "captions": "all", "size": 99, "download_mb": 1}
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, str(tmp_path / "cache")],
            input=json.dumps(fields), env=environment, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [99, 1_000_000, 9, 9, 0, 0]
    whole = (tmp_path / "repo" / "train.parquet").stat().st_size
    for kept in ("hub", "datasets"):
        files = (path for path in (tmp_path / "home" / kept).rglob("*") if path.is_file() and not path.is_symlink())
        assert sum(path.stat().st_size for path in files) == pytest.approx(whole, rel=0.05)
