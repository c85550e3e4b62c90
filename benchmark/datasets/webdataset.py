"""WebDataset shards as img2dataset writes them (00000.tar, ...; key.jpg, key.txt, key.json), local or remote.

The id of a sample is shard/key, whichever other shards are read. Parquet files beside the shards are not read.
"""

import itertools
import logging
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from benchmark.catalog import DatasetCard
from benchmark.datasets.hashing import digest_all
from benchmark.datasets.locations import local_shards, remote_shards, stem
from benchmark.datasets.pins import pinned
from benchmark.datasets.remote import BrokenOffError, opened
from benchmark.datasets.shards import TarSample, read_samples
from benchmark.datasets.source import Rows, Source, stamp, stamps, unicode
from benchmark.datasets.streaming import (
    Streamed,
    StreamedSource,
    check_named,
    keep,
    name_bare,
    needed,
    shuffled,
    without_id,
)

LOG = logging.getLogger("benchmark")
VERSION = "2"
TRIES, PAUSE = 4, 2.0
"""How often a shard is opened whose connection breaks off, and after how many seconds; longer each time."""


def shard_source(card: DatasetCard, cache: Path, progress: bool) -> Source:
    """Return the source of the shards that `card` names: a folder, a pattern, or a URL with a range of numbers.

    Remote shards are read in their order until `max_samples` are kept in the cache. Raises InputError if there are no
    shards, WorkError if they cannot be reached.
    """
    if "://" not in card.source:
        return ShardSource(*local_shards(card), card, progress)
    count = needed(card)
    card, pin = pinned(card)
    shards = remote_shards(card)
    asked = (VERSION, str(count), str(card.shuffle_seed), card.image, card.caption, card.group, card.id)
    path = cache / "datasets" / f"stream-{digest_all((*asked, *shards.values()))}" / "samples.parquet"
    if not path.is_file():
        keep(TarStream(card, shards, local=False, shuffle=card.shuffle_seed), path, card, progress)
        if pin is not None:
            pin.remember()
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
                place = f"{os.path.relpath(shard, self.folder)}@{tar.offset}+{tar.size}"
                rows.files.append(place if tar.offset >= 0 and not sample.problem else None)
                rows.problems.append(sample.problem)
                bar.update()
        rows.has_captions, rows.has_images, rows.columns = stream.has_captions, stream.has_images, stream.columns
        name_bare(rows, [file is None for file in rows.files])
        check_named(rows, self.path, self.card)
        return rows

    def stamp(self, file: str) -> str:
        """Return the state of the shard of one row, asked once; see `Source.stamp`."""
        shard = file.rpartition("@")[0]
        if shard not in self._stamps:
            self._stamps[shard] = stamp(self.folder / shard)
        return self._stamps[shard]

    def read(self, row: int, file: str | None) -> bytes:
        """Return the encoded image of row `row`; see `Source.read`."""
        shard, _, place = (file or "").rpartition("@")
        offset, _, size = place.partition("+")
        with open(self.folder / shard, "rb") as data:  # a handle of its own, so that threads do not disturb each other
            data.seek(int(offset))
            return data.read(int(size))


class TarStream:
    """The samples of several shards, one shard after the other, or shuffled; see `streaming.Stream`."""

    def __init__(self, card: DatasetCard, shards: dict[str, str], local: bool, shuffle: int) -> None:
        """Describe `shards` (name -> path or URL); `shuffle` below 0 leaves them in their order."""
        self.has_images = self.has_captions = False
        self._card, self._shards, self._local, self._shuffle = card, shards, local, shuffle
        self._names: dict[str, None] = {}
        self._times: dict[str, int] = {}
        self._answered = local

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
            yield from self._shard(name)

    def _shard(self, name: str) -> Iterator[tuple[str, TarSample, Streamed]]:
        """Yield the samples of one shard, and go on where the connection to its server broke off.

        A server that has never answered is not asked again: that would only hide a wrong address for a while.
        """
        place, done = self._shards[name], 0
        for attempt in itertools.count(1):
            try:
                with opened(place, self._card, self._local) as (shard, length):
                    self._answered = True
                    for tar in itertools.islice(read_samples(shard, self._card, length), done, None):
                        done += 1
                        yield place, tar, self._sample(name, tar)
                return
            except BrokenOffError as error:
                if not self._answered or attempt == TRIES:
                    raise
                LOG.warning("%s (attempt %d of %d)", error, attempt, TRIES)
            time.sleep(PAUSE * attempt)

    def _sample(self, shard: str, tar: TarSample) -> Streamed:
        card = self._card
        if not tar.key:
            return Streamed(f"{shard}.tar", None, None, [], tar.problem)
        if "json" in tar.texts and not any(name.startswith("json.") for name in self._names):
            self._names |= dict.fromkeys(f"json.{name}" for name in tar.metadata())
        self._names |= dict.fromkeys(tar.endings)
        metadata = tar.metadata() if card.group or card.id else {}
        named, group = (_text(metadata.get(field)) if field else "" for field in (card.id, card.group))
        captions: list[str] | None = []
        try:
            captions = tar.captions(card.caption)
        except ValueError:
            tar.problem = tar.problem or "its caption is no text"
        self.has_captions |= captions is not None
        self.has_images |= tar.offset >= 0
        return Streamed(
            id=named or self._unique(unicode(f"{shard}/{tar.key}")),
            group=group or None,
            image=tar.image or None,
            captions=captions or [],
            problem=tar.problem or ("" if named or not card.id else without_id(card)),
        )

    def _unique(self, id_: str) -> str:
        """Return `id_`, with a number where it has been given away before."""
        name = id_
        while name in self._times:
            name = f"{id_}#{self._times[id_]}"
            self._times[id_] += 1
        self._times[name] = 1
        return name


def _text(value: object) -> str:
    """Return a value of a JSON member as a name, "" for none."""
    return "" if value is None else unicode(str(value))
