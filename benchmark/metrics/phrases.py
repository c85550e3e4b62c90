"""Words and pairs of neighbouring words of captions: what a feature can be named by.

Captions are untrusted text in any language: they are cut into words by Unicode's categories alone.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import sparse

JOINING = frozenset({
    "at", "by", "for", "from", "in", "into", "no", "not", "of", "off", "on", "onto", "out", "to", "up", "with",
    "without",
})  # fmt: skip
"""Words that say something only beside another one: prepositions and negations. They are named in pairs: `top of`."""
PLACING = frozenset({
    "above", "across", "after", "against", "along", "among", "around", "back", "before", "behind", "below",
    "beside", "besides", "between", "beyond", "bottom", "down", "front", "next", "over", "side", "through",
    "together", "top", "toward", "towards", "under", "upon", "within",
})  # fmt: skip
"""Words of the stop list that say how things lie to each other."""
COUNTING = frozenset({
    "one", "two", "three", "four", "five", "six", "eight", "nine", "ten", "eleven", "twelve", "fifteen", "twenty",
    "forty", "fifty", "sixty", "hundred", "first", "third", "several", "many", "few", "empty",
})  # fmt: skip
"""Words of the stop list that say how many."""
MISFILED = frozenset({
    "bill", "cry", "fire", "full", "mill", "mine", "move", "system", "thick", "thin", "detail", "interest",
})  # fmt: skip
"""Words of the stop list with a meaning of their own, which may be what an image shows."""
_UNSPACED = ("CJK ", "HIRAGANA ", "KATAKANA ")
"""How the names of characters begin whose languages put no spaces between words: each counts as a word."""


class Terms(NamedTuple):
    """The candidates for names, and which captions hold them."""

    names: list[str]
    """V words and pairs of words, the most frequent first."""
    matrix: sparse.csr_matrix
    """(N, V) float32: 1 where the caption holds the candidate, however often."""


@cache
def stop_words() -> frozenset[str]:
    """Return scikit-learn's English stop words without those that can name a feature: relations, numbers, `fire`."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS) - JOINING - PLACING - COUNTING - MISFILED


def words(text: str) -> list[str]:
    """Return the words of a text in lower case: runs of letters, marks and digits; of Chinese and Japanese, characters.

    Equal under Unicode's compatibility forms (NFKC); accents are kept.
    """
    return unicodedata.normalize("NFKC", text).casefold().translate(_SEPARATED).split()


def candidates(found: Sequence[str]) -> Iterator[str]:
    """Yield the candidates among the words of one caption: words, and pairs of neighbours; some more than once.

    Stop words and single letters of alphabets with two cases are left out, and break pairs; a word of `JOINING` counts
    only beside one that is not.
    """
    stops = stop_words()
    before = ""
    for word in found:
        if word in stops or len(word) == 1 and word.upper() != word:
            before = ""
            continue
        joins = word in JOINING
        if not joins:
            yield word
        if before and not (joins and before in JOINING):
            yield f"{before} {word}"
        before = word


def terms(captions: Sequence[str], *, min_count: int = 5, most: int = 20_000) -> Terms:
    """Return the candidates of at least `min_count` captions, at most `most` of them: the most frequent.

    A word that never occurs without one and the same neighbour is left to the pair: `winter hill`, not `hill`.
    Candidates of equally many captions are in alphabetical order. There may be none.
    """
    held = [set(candidates(words(caption))) for caption in captions]
    counts = Counter(name for caption in held for name in caption)
    pairs = [(name.split(" "), count) for name, count in counts.items() if " " in name]
    for word in {word for pair, count in pairs for word in pair if counts.get(word) == count}:
        del counts[word]
    kept = sorted((-count, name) for name, count in counts.items() if count >= min_count)[:most]
    names = [name for _, name in kept]
    number = {name: i for i, name in enumerate(names)}
    rows = [sorted(number[name] for name in caption if name in number) for caption in held]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    columns = np.fromiter((i for row in rows for i in row), np.int32, int(starts[-1]))
    ones = np.ones(len(columns), np.float32)
    return Terms(names, sparse.csr_matrix((ones, columns, starts), shape=(len(captions), len(names))))


class _Separated(dict[int, int | str]):
    """What each character becomes: itself if it belongs to a word, a space if not; filled as characters occur."""

    def __missing__(self, code: int) -> int | str:
        character = chr(code)
        if unicodedata.category(character)[0] not in "LMN":
            self[code] = " "
        elif unicodedata.name(character, "").startswith(_UNSPACED):
            self[code] = f" {character} "
        else:
            self[code] = code
        return self[code]


_SEPARATED = _Separated()
