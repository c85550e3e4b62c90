"""Captions of the blooms: synonyms, the order of details, and what they leave out."""

from benchmark.datasets.procedural import Draws
from benchmark.datasets.wording import agreeing, joined, listed, plural, with_article

SAYS = {"growth": 75, "colour": 85, "petals": 75, "petal_shape": 75, "centre": 72, "leaf": 72, "stem": 70}
"""The concepts, all of which a caption may leave out, and the percentage of captions that say them."""

PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "growth": {
        "single": ("a single", "one", "a solitary"),
        "pair": ("a pair of", "two", "twin"),
        "cluster": ("a cluster of", "three", "a bunch of"),
    },
    "colour": {
        "red": ("red", "red", "scarlet"),
        "pink": ("pink", "pink", "rose-coloured"),
        "orange": ("orange", "orange", "apricot"),
        "yellow": ("yellow", "yellow", "golden"),
        "purple": ("purple", "purple", "violet"),
        "blue": ("blue", "blue", "azure"),
        "white": ("white", "white", "snowy"),
        "maroon": ("maroon", "maroon", "wine-coloured"),
    },
    "petals": {
        "four": ("four",),
        "five": ("five",),
        "six": ("six",),
        "eight": ("eight",),
        "twelve": ("twelve", "twelve", "a dozen"),
    },
    "petal_shape": {
        "round": ("round", "rounded", "oval"),
        "pointed": ("pointed", "pointed", "sharp"),
        "notched": ("notched", "notched", "heart-shaped"),
    },
    "centre": {
        "yellow": ("yellow centre", "yellow eye", "lemon middle"),
        "brown": ("brown centre", "brown eye", "chestnut middle"),
        "white": ("white centre", "white eye", "cream middle"),
        "green": ("green centre", "green eye", "lime middle"),
    },
    "leaf": {
        "none": ("no leaves", "no leaves", "no foliage"),
        "narrow": ("narrow leaves", "slender leaves", "thin foliage"),
        "broad": ("broad leaves", "wide leaves", "ample foliage"),
        "lobed": ("lobed leaves", "scalloped leaves", "wavy foliage"),
    },
    "stem": {
        "straight": ("straight stem", "upright stem", "straight stalk"),
        "curved": ("curved stem", "bent stem", "arching stalk"),
    },
}
"""The wording of every value of every concept; a phrase that occurs twice is twice as likely."""


def write_caption(draws: Draws, factors: dict[str, str]) -> tuple[str, dict[str, bool]]:
    """Return a caption of the concepts in `factors` and, for each of SAYS, whether it mentions it (`says_*`).

    Number is always shown by grammar: several flowers are in the plural even where the growth is left out.
    """
    says = {name: draws.chance(percent) for name, percent in SAYS.items()}
    words = {name: draws.one_of(values[factors[name]]) for name, values in PHRASES.items()}
    said = {name: words[name] if says[name] else "" for name in SAYS}
    several = factors["growth"] != "single"
    details = _details(draws, said, several=several)
    flower = joined(said["colour"], draws.one_of(("flower", "flower", "bloom", "blossom")))
    if several:
        flower = plural(flower)
    if said["growth"]:
        flower = joined(said["growth"], flower)
    else:
        flower = joined("some", flower) if several else with_article(flower)
    opening = draws.below(8)
    if opening == 0:
        flower = joined("there", agreeing(flower, "is", "are"), flower)
    elif opening == 1:
        flower = joined("a close view of", flower)
    link = agreeing(flower, "has", "have") if opening > 5 else draws.one_of(("with", "with", "showing"))
    caption = joined(flower, link, listed(details)) if details else flower
    return caption, {f"says_{name}": value for name, value in says.items()}


def _details(draws: Draws, said: dict[str, str], *, several: bool) -> list[str]:
    """Return the noun phrases for petals, centre, leaves and stem that are said, from a random one on."""
    details = []
    if said["petals"] or said["petal_shape"]:
        details.append(joined(said["petals"], said["petal_shape"], "petals"))
    for part in (said["centre"], said["stem"]):
        if part:
            details.append(plural(part) if several else with_article(part))
    if said["leaf"]:
        details.append(said["leaf"])
    start = draws.below(max(1, len(details)))
    return details[start:] + details[:start]
