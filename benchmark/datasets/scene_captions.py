"""Captions of the scenes: synonyms, templates, and what they leave out."""

from benchmark.datasets.procedural import Draws
from benchmark.datasets.wording import agreeing, joined, plural, with_article

SAYS = {"count": 75, "size": 70, "colour": 82, "second": 80, "colour2": 75, "place": 78}
"""The concepts that a caption may leave out, and the percentage of captions that say them. `second` stands for the
relation and the second object; `colour2` counts only where that object is mentioned."""

_SHAPES: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "circle", "disc"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "cross": ("cross", "cross", "plus"),
    "ring": ("ring", "ring", "hoop"),
    "diamond": ("diamond", "diamond", "rhombus"),
    "heart": ("heart",),
}
_COLOURS: dict[str, tuple[str, ...]] = {
    "red": ("red", "red", "crimson"),
    "green": ("green", "green", "emerald"),
    "blue": ("blue", "blue", "azure"),
    "yellow": ("yellow", "yellow", "golden"),
    "purple": ("purple", "purple", "violet"),
    "orange": ("orange", "orange", "tangerine"),
    "white": ("white", "white", "ivory"),
    "black": ("black", "black", "ebony"),
}
PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "shape": _SHAPES,
    "colour": _COLOURS,
    "size": {"small": ("small", "little", "tiny"), "big": ("big", "large", "huge")},
    "count": {
        "one": ("one", "a single", "a lone"),
        "two": ("two", "two", "a pair of"),
        "three": ("three", "three", "a trio of"),
        "four": ("four", "four", "a group of four"),
    },
    "relation": {
        "riding": ("riding", "riding", "on top of", "sitting on"),
        "above": ("above", "over", "floating above"),
        "beside": ("beside", "next to"),
        "inside": ("inside", "within", "in the middle of"),
        "behind": ("behind", "hiding behind", "partly hidden by"),
        "chasing": ("chasing", "running after", "following"),
    },
    "shape2": _SHAPES,
    "colour2": _COLOURS,
    "place": {
        "desert": ("in the desert", "among the dunes", "on the desert sand"),
        "sea": ("at sea", "by the ocean", "in the waves"),
        "forest": ("in the forest", "in the woods", "among the trees"),
        "snow": ("in the snow", "on a snowy day", "on a winter hill"),
        "city": ("in the city", "in a busy town", "among the buildings"),
        "night": ("at night", "under the night sky", "in the moonlight"),
        "field": ("in a field", "in the meadow", "on the grass"),
        "cave": ("in a cave", "deep underground", "among dark rocks"),
    },
}
"""The wording of every value of every concept; a phrase that occurs twice is twice as likely."""


def write_caption(draws: Draws, factors: dict[str, str]) -> tuple[str, dict[str, bool]]:
    """Return a caption of the concepts in `factors` and, for each of SAYS, whether it mentions it (`says_*`).

    The main shape is always said, in the plural where there are several; the count is said only as a number.
    """
    says = {name: draws.chance(percent) for name, percent in SAYS.items()}
    says["second"] &= factors["relation"] != "alone"
    says["colour2"] &= says["second"]
    words = {name: draws.one_of(values[factors[name]]) for name, values in PHRASES.items() if factors[name] in values}
    main = _main(words, says, several=factors["count"] != "one", colour_last=draws.chance(15))
    second = ""
    if says["second"]:
        noun = joined(words["colour2"] if says["colour2"] else "", words["shape2"])
        second = joined(words["relation"], f"the {noun}" if draws.chance(25) else with_article(noun))
    place = words["place"] if says["place"] else ""
    caption = _sentence(draws, main, second, place)
    return caption, {f"says_{name}": said for name, said in says.items()}


def _main(words: dict[str, str], says: dict[str, bool], *, several: bool, colour_last: bool) -> str:
    """Return the noun phrase of the main object."""
    colour = words["colour"] if says["colour"] else ""
    noun = plural(words["shape"]) if several else words["shape"]
    size = words["size"] if says["size"] else ""
    phrase = joined(size, noun, f"coloured {colour}") if colour and colour_last else joined(size, colour, noun)
    if says["count"]:
        return joined(words["count"], phrase)
    return joined("some", phrase) if several else with_article(phrase)


def _sentence(draws: Draws, main: str, second: str, place: str) -> str:
    """Return one of several orders of the parts, some with an opening."""
    order = draws.below(10)
    if order < 5:
        return joined(main, second, place)
    if order < 7:
        return joined(f"{place}," if place else "", main, second)
    be = agreeing(main, "is", "are")
    if order < 8:
        return joined("there", be, main, second, place)
    if order < 9:
        return joined("a picture of", main, second, place)
    return joined("here", be, main, place + "," if place and second else place, second)
