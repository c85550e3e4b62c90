"""Where shards are: folders, patterns and URLs of cards."""

import glob
import itertools
import os
import re
from pathlib import Path

from benchmark.catalog import DatasetCard
from benchmark.datasets.urls import public
from benchmark.errors import InputError

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
VARIABLE = re.compile(rf"[*?\[]|{RANGE.pattern}")
MOST = 1_000_000


def local_shards(card: DatasetCard) -> tuple[Path, list[Path]]:
    """Return the folder that all shards of `card` lie in or below, and the shards in the order of their names.

    The folder is the part of a pattern without wildcards and ranges, whatever the pattern finds: what a shard is called
    never depends on which others there are. Raises InputError if there are none, or not all of a range.
    """
    path = Path(card.base, Path(card.source).expanduser())
    if path.is_dir():
        folder = path.resolve()
        return folder, _some(sorted(folder.glob("*.tar")), card, folder)
    folder, pattern = _cut(path)
    found: list[Path] = []
    missing: list[str] = []
    for name in expanded(pattern):
        matches = _matches(folder, name)
        found += matches
        if not matches:
            missing.append(name)
    _some(found, card, folder)
    if missing:
        names = ", ".join(missing[:3]) + ", ..." * (len(missing) > 3)
        raise InputError(
            f"dataset '{card.name}': {len(missing)} of the shards of its source '{card.source}' are not there "
            f"({names}); put them there, or correct the range."
        )
    return folder, found


def _cut(path: Path) -> tuple[Path, str]:
    """Return the folder at the start of a pattern, and the pattern inside of it."""
    parts, fixed = path.parts, 0
    while fixed < len(parts) - 1 and (
        not VARIABLE.search(parts[fixed]) or Path(*parts[: fixed + 1]).is_dir()  # brackets may be part of a name
    ):
        fixed += 1
    return Path(*parts[:fixed]).resolve(), str(Path(*parts[fixed:]))


def _matches(folder: Path, name: str) -> list[Path]:
    path = folder / name
    if path.is_dir():
        return sorted(path.glob("*.tar"))
    names = [name] if path.is_file() else sorted(glob.glob(name, root_dir=folder, recursive=True))
    return [folder / found for found in names if (folder / found).is_file()]


def _some(shards: list[Path], card: DatasetCard, folder: Path) -> list[Path]:
    packed = [shard.name for shard in shards or sorted(folder.glob("*")) if _is_packed(shard.name)]
    if packed:
        raise _gzipped(card, packed[0])
    if not shards:
        raise InputError(
            f"dataset '{card.name}': there are no tar shards at its source '{card.source}'; put the "
            ".tar files that img2dataset writes there, or name their folder, a pattern or a URL with a range "
            "({00000..00099}.tar) in a card of your own (field `source`, see docs/cards.md)."
        )
    return shards


def _is_packed(name: str) -> bool:
    return name.lower().endswith((".tar.gz", ".tgz"))


def _gzipped(card: DatasetCard, shard: str) -> InputError:
    return InputError(
        f"dataset '{card.name}': the shard {shard} is compressed, and images are read from within shards; unpack it to "
        f".tar first (gunzip {shard})."
    )


def remote_shards(card: DatasetCard) -> dict[str, str]:
    """Return name -> URL of each shard of `card`, in order. Raises InputError for two of one name, or compressed ones.

    A name is what follows the last folder before the first range of the pattern.
    """
    pattern = card.source.partition("?")[0]
    start = RANGE.search(pattern)
    fixed = pattern.rfind("/", 0, start.start() if start else len(pattern)) + 1
    shards: dict[str, str] = {}
    for url in expanded(card.source):
        name = stem(url.partition("?")[0][fixed:])
        if _is_packed(name):
            raise _gzipped(card, name)
        if name in shards:
            raise InputError(
                f"dataset '{card.name}': several shards of its source '{public(card.source)}' have the same name."
            )
        shards[name] = url
    return shards


def stem(path: str) -> str:
    """Return the name of a shard: its path without the ending, with forward slashes."""
    return path.removesuffix(".tar").replace(os.sep, "/")


def expanded(pattern: str) -> list[str]:
    """Return `pattern` with every range of numbers ({00..12}, as wide as its first number) written out.

    Raises InputError for an empty or absurdly long range.
    """
    parts: list[list[str]] = []
    end, count = 0, 1
    for match in RANGE.finditer(pattern):
        first, last = match.groups()
        numbers = range(int(first), int(last) + 1)
        count *= len(numbers)
        if not 0 < count <= MOST:
            raise InputError(f"the range {match.group()} in '{public(pattern)}' must hold 1 to {MOST} shards.")
        parts += [[pattern[end : match.start()]], [f"{number:0{len(first)}d}" for number in numbers]]
        end = match.end()
    return ["".join(choice) for choice in itertools.product(*parts, [pattern[end:]])]
