"""WebDataset shards as img2dataset writes them (00000.tar, ...; key.jpg, key.txt, key.json), local or remote.

The id of a sample is shard/key, whichever other shards are read. Parquet files beside the shards are not read.
"""

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from benchmark.catalog import DatasetCard
from benchmark.datasets.hashing import digest_all
from benchmark.datasets.locations import local_shards, remote_shards, stem
from benchmark.datasets.remote import opened
from benchmark.datasets.shards import TarSample, read_samples
from benchmark.datasets.source import Rows, Source, check_ids, stamp, stamps, unicode
from benchmark.datasets.streaming import Streamed, StreamedSource, check_named, keep, name_bare, needed, shuffled

VERSION = "1"


def shard_source(card: DatasetCard, cache: Path, progress: bool) -> Source:
    """Return the source of the shards that `card` names: a folder, a pattern, or a URL with a range of numbers.

    Remote shards are read in their order until `max_samples` are kept in the cache. Raises InputError if there are no
    shards, WorkError if they cannot be reached.
    """
    if "://" not in card.source:
        return ShardSource(*local_shards(card), card, progress)
    shards = remote_shards(card)
    asked = (VERSION, str(needed(card)), str(card.shuffle_seed), card.image, card.caption, card.group, card.id)
    path = cache / "datasets" / f"stream-{digest_all((*asked, *shards.values()))}" / "samples.parquet"
    if not path.is_file():
        keep(TarStream(card, shards, local=False, shuffle=card.shuffle_seed), path, card, progress)
    return StreamedSource(path, card, cache, progress)


class ShardSource(Source):
    """Shards on this machine. Images stay where they are: the file of a row is `shard.tar@offset+size`."""

    def __init__(self, folder: Path, shards: list[Path], card: DatasetCard, progress: bool) -> None:
        """Describe `shards`, which lie in `folder` or below. Raises InputError if a stream of them has no end."""
        super().__init__(folder, card)
        self._shards, self._progress = shards, progress
        self._stamps: dict[str, str] = {}
        self._count = needed(card) if card.streaming else None

    def state(self) -> str:
        """Return what tells one state of the shards from another; see `Source.state`."""
        taken = (self._count, self.card.shuffle_seed) if self.card.streaming else ()
        return digest_all((VERSION, *map(str, self._shards), stamps(self._shards), *map(str, taken)))

    def rows(self) -> Rows:
        """Index the shards, each in one pass; see `Source.rows`."""
        shards = {stem(str(shard.relative_to(self.folder))): str(shard) for shard in self._shards}
        stream = TarStream(self.card, shards, local=True, shuffle=self.card.shuffle_seed if self.card.streaming else -1)
        rows = Rows([], [], [], [])
        bar = tqdm(desc=f"index {self.card.name}", unit="sample", total=self._count, disable=not self._progress)
        with bar:
            for shard, tar, sample in itertools.islice(stream.placed(), self._count):
                rows.ids.append(sample.id)
                rows.captions.append(sample.captions)
                rows.groups.append(sample.group)
                rows.files.append(
                    f"{shard}@{tar.offset}+{tar.size}" if tar.offset >= 0 and not sample.problem else None
                )
                rows.problems.append(sample.problem)
                bar.update()
        rows.has_captions, rows.has_images, rows.columns = stream.has_captions, stream.has_images, stream.columns
        check_named(rows, self.path, self.card)
        name_bare(rows, [file is None for file in rows.files])
        if self.card.id:
            check_ids(rows.ids, self.path, self.card.id)
        return rows

    def stamp(self, file: str) -> str:
        """Return the state of the shard of one row, asked once; see `Source.stamp`."""
        shard = file.rpartition("@")[0]
        if shard not in self._stamps:
            self._stamps[shard] = stamp(Path(shard))
        return self._stamps[shard]

    def read(self, row: int, file: str | None) -> bytes:
        """Return the encoded image of row `row`; see `Source.read`."""
        shard, _, place = (file or "").rpartition("@")
        offset, _, size = place.partition("+")
        with open(shard, "rb") as data:  # a handle of its own, so that threads do not disturb each other
            data.seek(int(offset))
            return data.read(int(size))


class TarStream:
    """The samples of several shards, one shard after the other, or shuffled; see `streaming.Stream`."""

    def __init__(self, card: DatasetCard, shards: dict[str, str], local: bool, shuffle: int) -> None:
        """Describe `shards` (name -> path or URL); `shuffle` below 0 leaves them in their order."""
        self.has_images = self.has_captions = False
        self._card, self._shards, self._local, self._shuffle = card, shards, local, shuffle
        self._names: dict[str, None] = {}
        self._times: Counter[str] = Counter()

    @property
    def columns(self) -> tuple[str, ...]:
        """Endings of the members, and fields of the first JSON member."""
        return tuple(self._names)

    def __iter__(self) -> Iterator[Streamed]:
        return (sample for _, _, sample in self.placed())

    def placed(self) -> Iterator[tuple[str, TarSample, Streamed]]:
        """Yield (shard's path or URL, members, sample) of every sample, and of every part that cannot be read."""
        names = list(self._shards)
        if self._shuffle >= 0:
            random.Random(self._shuffle).shuffle(names)
            return shuffled(self._read(names), self._shuffle)
        return self._read(names)

    def _read(self, names: list[str]) -> Iterator[tuple[str, TarSample, Streamed]]:
        for name in names:
            place = self._shards[name]
            with opened(place, self._card, self._local) as (shard, length):
                for tar in read_samples(shard, self._card, length):
                    yield place, tar, self._sample(name, tar)

    def _sample(self, shard: str, tar: TarSample) -> Streamed:
        card = self._card
        if not tar.key:
            return Streamed(f"{shard}.tar", None, None, [], tar.problem)
        if "json" in tar.texts and not any(name.startswith("json.") for name in self._names):
            self._names |= dict.fromkeys(f"json.{name}" for name in tar.metadata())
        self._names |= dict.fromkeys(tar.endings)
        metadata = tar.metadata() if card.group or card.id else {}
        id_ = metadata.get(card.id) if card.id else f"{shard}/{tar.key}"
        times = self._times[str(id_)]
        self._times[str(id_)] += 1
        group = metadata.get(card.group) if card.group else None
        captions: list[str] | None = []
        try:
            captions = tar.captions(card.caption)
        except ValueError:
            tar.problem = tar.problem or "its caption is no text"
        self.has_captions |= captions is not None
        self.has_images |= tar.offset >= 0
        return Streamed(
            id=f"{id_}#{times}" if times and not card.id else unicode(str("" if id_ is None else id_)),
            group=None if group is None else unicode(str(group)),
            image=tar.image or None,
            captions=captions or [],
            problem=tar.problem,
        )
