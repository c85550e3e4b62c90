"""Procedural datasets: drawn once into a Parquet file of the cache; the same pixels on every machine."""

from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, cpu_count, delayed
from PIL import Image
from tqdm import tqdm

from benchmark.catalog import DatasetCard
from benchmark.datasets.augmentation import augmenter, describe
from benchmark.datasets.caching import replacing
from benchmark.datasets.hashing import digest, digest_all
from benchmark.datasets.paired import Entry, PairedDataset, slug
from benchmark.errors import InputError, WorkError

if TYPE_CHECKING:
    import pyarrow as pa

SIDE = 48
FACTOR = "factor."
CHUNK = 2000
"""Samples that a worker draws at a time."""

Drawn = list[tuple[bytes, str, dict[str, Any]]]


class Pixels:
    """The images of a generated file; read as a whole on first access, since they are small."""

    def __init__(self, path: Path, hashes: list[str]) -> None:
        """Describe the images in the file at `path`, whose pixels have these `hashes`."""
        self.path = path
        self._hashes = hashes

    @cached_property
    def _column(self) -> "pa.ChunkedArray":
        import pyarrow.parquet as pq

        return pq.read_table(self.path, columns=["image"]).column("image")

    def image(self, row: int) -> Image.Image:
        """Return the image of row `row`. Raises WorkError if the file was damaged after it was generated."""
        try:
            pixels = self._column[row].as_py()
        except (OSError, ValueError, LookupError):
            pixels = b""
        if digest(pixels) != self._hashes[row]:
            raise WorkError(f"the generated images in {self.path} are damaged; delete that file and load them again.")
        return Image.frombytes("RGB", (SIDE, SIDE), pixels)


DRAWING = (
    "bloom_captions", "blooms", "canvas", "flowers", "generate", "procedural", "scene_captions", "scene_layout",
    "scenery", "scenes", "shapes", "wording",
)  # fmt: skip
"""The modules that decide what a sample looks like and says."""


def load_procedural(card: DatasetCard, max_samples: int, cache: Path, progress: bool) -> PairedDataset:
    """Return the first `max_samples` (0: all `card.size`) samples of a procedural dataset, drawing them if need be.

    Samples are independent draws, so the first ones are an unbiased subset. Raises InputError for an impossible size
    or seed or an unknown augmentation, WorkError if the cache cannot be written.
    """
    if card.size < 1 or card.seed < 0:
        raise InputError(
            f"dataset '{card.name}' needs a size of at least 1 and a seed of at least 0, "
            f"not size {card.size} and seed {card.seed}."
        )
    if card.shift < 1:
        raise InputError(f"dataset '{card.name}': shift must be at least 1 (no shift), not {card.shift}.")
    transform = augmenter(card)  # a misspelt change is found before anything is drawn
    count = min(max_samples, card.size) if max_samples else card.size
    name = slug(card.ids or card.name)
    ids = [f"{name}-{card.seed}-{index:06d}" for index in range(count)]
    drawn_as = () if card.shift == 1 else (f"shift {card.shift}",)
    key = digest_all((card.kind, str(card.seed), str(count), name, *drawn_as, _code()))
    path = cache / "datasets" / f"{name}-{key}" / "samples.parquet"
    table = _read(path, ids)
    if table is None:
        with replacing(path) as part:
            _write(part, ids, draw(card.kind, card.seed, count, progress, shift=card.shift))
        table = _read(path, ids)
    if table is None:
        raise WorkError(f"the generated file {path} cannot be read back; is the disk full?")
    columns = {column: table.column(column).to_pylist() for column in ("caption", "hash")}
    entries = [
        Entry(row, id_, id_, caption, hash_)
        for row, (id_, caption, hash_) in enumerate(zip(ids, columns["caption"], columns["hash"], strict=True))
    ]
    planted = [column for column in table.column_names if column.startswith(FACTOR)]
    factors = table.select(planted).rename_columns([column.removeprefix(FACTOR) for column in planted]).to_pandas()
    return PairedDataset(
        card.name,
        entries,
        Pixels(path, columns["hash"]),
        factors=factors,
        transform=transform,
        content_salt=describe(card),
    )


def _code() -> str:
    """Return a hash of the modules that draw: other code may draw other samples."""
    folder = Path(__file__).parent
    return digest_all((folder / f"{name}.py").read_text(encoding="utf-8") for name in DRAWING)


def draw(
    kind: str, seed: int, count: int, progress: bool = False, processes: int | None = None, shift: int = 1
) -> Drawn:
    """Return (pixels, caption, factors) of the first `count` samples of procedural `kind`.

    Chunks are drawn by `processes` worker processes (None: one a core; a single chunk is drawn in this process). A
    sample depends on its index alone, so the result does not depend on their number.
    """
    starts = range(0, count, CHUNK)
    workers = min(processes or cpu_count(), len(starts))
    # loky starts workers by fork and exec, and needs no main guard in the caller's script.
    chunks = Parallel(n_jobs=workers, return_as="generator")(
        delayed(_draw_chunk)(kind, seed, start, min(start + CHUNK, count), shift) for start in starts
    )
    drawn: Drawn = []
    with tqdm(total=count, desc=f"draw {kind}", unit="sample", disable=not progress) as bar:
        for chunk in chunks:
            drawn += chunk
            bar.update(len(chunk))
    return drawn


def _draw_chunk(kind: str, seed: int, start: int, stop: int, shift: int) -> Drawn:
    sample = import_module(f"benchmark.datasets.{kind}").sample
    drawn = []
    for index in range(start, stop):
        image, caption, factors = sample(seed, index, shift)
        if image.shape != (SIDE, SIDE, 3) or image.dtype != np.uint8:
            raise TypeError(f"{kind}: sample {index} is {image.dtype} {image.shape}, not uint8 ({SIDE}, {SIDE}, 3)")
        drawn.append((image.tobytes(), caption, factors))
    return drawn


def _write(path: Path, ids: list[str], drawn: Drawn) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    factors = pa.Table.from_pylist([planted for _, _, planted in drawn])
    table = pa.table(
        {
            "id": ids,
            "image": pa.array([pixels for pixels, _, _ in drawn], pa.binary()),
            "caption": [caption for _, caption, _ in drawn],
            "hash": [digest(pixels) for pixels, _, _ in drawn],
        }
        | {FACTOR + name: factors.column(name) for name in factors.column_names}
    )
    # The images are full of grain: no compression makes them smaller, and PNG would take longer to write than to draw.
    pq.write_table(table, path, compression="none", row_group_size=2000, use_dictionary=["caption"])


def _read(path: Path, ids: list[str]) -> "pa.Table | None":
    """Return a generated file without its images, None if there is none with exactly these `ids`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=[name for name in pq.read_schema(path).names if name != "image"])
        return table if table.column("id").to_pylist() == ids else None
    except (OSError, KeyError, pa.ArrowException):
        return None
