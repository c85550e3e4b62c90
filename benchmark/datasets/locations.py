"""Where shards are: folders, patterns and URLs of cards."""

import glob
import itertools
import os
import re
from pathlib import Path

from benchmark.catalog import DatasetCard
from benchmark.errors import InputError

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST = 1_000_000


def local_shards(card: DatasetCard) -> tuple[Path, list[Path]]:
    """Return the folder that all shards of `card` lie in or below, and the shards in the order of their names.

    Raises InputError if there are none.
    """
    found: list[Path] = []
    for name in expanded(card.source):
        path = Path(card.base, Path(name).expanduser())
        if path.is_dir():
            return path.resolve(), _some(sorted(path.resolve().glob("*.tar")), card)
        found += [Path(match).resolve() for match in sorted(glob.glob(str(path), recursive=True))]
    _some(found, card)
    return Path(os.path.commonpath([path.parent for path in found])), found


def _some(shards: list[Path], card: DatasetCard) -> list[Path]:
    if not shards:
        raise InputError(
            f"dataset '{card.name}': there are no tar shards at its source '{card.source}'; put the "
            ".tar files that img2dataset writes there, or name their folder, a pattern or a URL with a range "
            "({00000..00099}.tar) in a card of your own (field `source`, see docs/cards.md)."
        )
    return shards


def remote_shards(card: DatasetCard) -> dict[str, str]:
    """Return name -> URL of each shard of `card`, in order. Raises InputError for two of one name."""
    urls = list(expanded(card.source))
    paths = [url.partition("?")[0] for url in urls]
    above = os.path.commonpath([os.path.dirname(path) for path in paths])
    shards = {stem(os.path.relpath(path, above)): url for path, url in zip(paths, urls, strict=True)}
    if len(shards) < len(urls):
        raise InputError(f"dataset '{card.name}': several shards of its source '{card.source}' have the same name.")
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
            raise InputError(f"the range {match.group()} in '{pattern}' must hold 1 to {MOST} shards.")
        parts += [[pattern[end : match.start()]], [f"{number:0{len(first)}d}" for number in numbers]]
        end = match.end()
    return ["".join(choice) for choice in itertools.product(*parts, [pattern[end:]])]
