"""Small datasets that the tests write."""

import csv
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmark.datasets import PairedDataset, load_dataset


def png(shade: int, size: tuple[int, int] = (6, 4)) -> bytes:
    """A PNG image of one colour that only this shade has."""
    data = io.BytesIO()
    Image.new("RGB", size, (shade, 255 - shade, 7)).save(data, "PNG")
    return data.getvalue()


def shade(image: Image.Image) -> int:
    """The shade that `png` was given."""
    return int(np.asarray(image)[0, 0, 0])


class Maker:
    """Writes small datasets into a folder and loads them with one cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self.folder.mkdir()
        self.cache = folder / "cache"

    def load(self, source, **options) -> PairedDataset:
        return load_dataset(source, cache=self.cache, progress=False, **options)

    def parquet(self, images: list, texts: list | None, name: str = "pairs.parquet", **columns: list) -> Path:
        """`images` holds bytes (a binary column) or dicts (a struct column)."""
        table = pa.table({"image": images} | ({} if texts is None else {"text": texts}) | columns)
        pq.write_table(table, self.folder / name)
        return self.folder / name

    def images(self, files: list[str]) -> Path:
        """Write image files of shade 0, 1, 2, ... and return their folder."""
        for i, file in enumerate(files):
            (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / file).write_bytes(png(i))
        return self.folder

    def jsonl(self, rows: list[dict]) -> Path:
        (self.folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return self.folder

    def tar(self, name: str, members: list[tuple[str, bytes]], **options) -> Path:
        """Write a shard as the webdataset library does: time stamps with fractions, hence extended headers."""
        with tarfile.open(self.folder / name, "w", **options) as shard:
            for member, content in members:
                header = tarfile.TarInfo(member)
                header.size, header.mtime = len(content), 1700000000.25
                shard.addfile(header, io.BytesIO(content))
        return self.folder / name

    def coco(self, images: dict[int, str], captions: list[tuple[int, int, str]], year: str = "train2017") -> Path:
        """Write COCO's layout: `images` maps ids to file names, `captions` are (annotation id, image id, text)."""
        for folder in ("annotations", year):
            (self.folder / folder).mkdir(exist_ok=True)
        for number, name in images.items():
            (self.folder / year / name).write_bytes(png(number % 256))
        content = {
            "info": {"year": 2017},
            "images": [{"id": number, "file_name": name, "height": 4, "width": 6} for number, name in images.items()],
            "annotations": [{"id": id_, "image_id": image, "caption": text} for id_, image, text in captions],
        }
        (self.folder / "annotations" / f"captions_{year}.json").write_text(json.dumps(content))
        return self.folder

    def csv(self, rows: list[list[str]]) -> Path:
        with (self.folder / "metadata.csv").open("w", newline="", encoding="utf-8") as lines:
            csv.writer(lines).writerows(rows)
        return self.folder
