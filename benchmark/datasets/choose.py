"""Which captions of an image become samples, and which samples form a group."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.catalog import CHOICES, DatasetCard
from benchmark.datasets.hashing import digest_all, position
from benchmark.datasets.paired import Entry
from benchmark.errors import InputError, unknown

if TYPE_CHECKING:
    from benchmark.datasets.scan import Verdict
    from benchmark.datasets.source import Rows

MODES = CHOICES[DatasetCard]["captions"]


def entries(rows: "Rows", verdicts: "Sequence[Verdict]", card: DatasetCard) -> list[Entry]:
    """Return the samples of the readable rows, in order; `verdicts` has one item per row (text-only: with no hash).

    `card.captions` decides among the captions of a row: `first`; `all`, each one a sample with the id `ID#0`, `ID#1`,
    ... (also of a row with a single caption: so ids stay unique whatever the source's ids look like); or `seed`, one
    drawn from the hash of `card.seed` and the row's id, which never depends on the other rows. Without captions every
    row is one sample under its own id.

    Samples of one row share a group in every mode: the row's own key, else its image, else its captions. Rows with the
    same image share one as well, whatever their keys, unless the card names the column of the keys. Raises InputError
    for an unknown mode.
    """
    if card.captions not in MODES:
        raise InputError(f"dataset '{card.name}', field 'captions': {unknown('choice', card.captions, MODES)}")
    # Equal texts are the same sample to a text encoder, as byte-identical images are to an image encoder: in two
    # groups, they would stand on both sides of the held-out split.
    groups = [
        key or verdict.hash or digest_all(captions)
        for captions, key, verdict in zip(rows.captions, rows.groups, verdicts, strict=True)
    ]
    if not card.group:  # a column that was only found by its name may be filled in part, or count copies as images
        groups = joined(groups, ["" if verdict.reason else verdict.hash for verdict in verdicts])
    found: list[Entry] = []
    for row, (id_, captions, group, verdict) in enumerate(zip(rows.ids, rows.captions, groups, verdicts, strict=True)):
        if verdict.reason:
            continue
        if not rows.has_captions:
            found.append(Entry(row, id_, group, None, verdict.hash))
        elif card.captions == "all":
            found += [Entry(row, f"{id_}#{i}", group, text, verdict.hash, id_) for i, text in enumerate(captions)]
        else:
            chosen = drawn(card.seed, id_, len(captions)) if card.captions == "seed" else 0
            found.append(Entry(row, id_, group, captions[chosen], verdict.hash))
    return found


def joined(groups: Sequence[str], hashes: Sequence[str]) -> list[str]:
    """Return the rows' groups after joining all that share an image's hash ("": no image), directly or by a chain.

    A joined group is called by the first of its names in alphabetical order, whatever the order of the rows; groups
    that share no hash with another keep their names.
    """
    above: dict[str, str] = {}

    def top(group: str) -> str:
        while (up := above.get(group, group)) != group:
            above[group] = group = above.get(up, up)
        return group

    holders: dict[str, str] = {}
    for group, hash_ in zip(groups, hashes, strict=True):
        if hash_:
            first, second = sorted((top(group), top(holders.setdefault(hash_, group))))
            above[second] = first
    return [top(group) for group in groups]


def drawn(seed: int, id_: str, count: int) -> int:
    """Return the number, below `count`, of the caption that `seed` draws for the row `id_`: each one equally likely."""
    return position(f"caption {seed}", id_) * count >> 64
