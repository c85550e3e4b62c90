"""What arXiv 2507.18512 reports, to set ours beside, and which encoders play which part in it.

The figures are those that are quoted of the paper. Public reviews of it place the two orderings in Table 1; the other
places were not looked up in the PDF when this table was written, so it says what the figures are about.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmark.catalog import EncoderCard, SuiteCard, find_card
from benchmark.errors import InputError, unknown
from benchmark.jobs.encoder_pairs import twin

DATASETS = ("coco", "coco-official")
FAMILIES = ("clip", "dfn", "siglip2", "vit", "dinov2", "mambavision", "bert", "deberta")
"""Families of the paper's encoders, as their cards name them."""
CHANCE_AT_COCO = (0.022, 0.030)
"""Naive wMPPC of features that share nothing, at COCO's 118,287 samples (6,144 to 8,192 features, 32 active)."""

SIMILARITIES = ("towers", "range_low", "range_high", "vision_text", "cross_all", "cross_last")
"""Claims that are a wMPPC of different encoders, which chance lifts."""

CLIP_SIZES = {"towers": "b", "weight_correlation": "l", "weight_variation": "l"}
"""Claims about CLIP alone -> its size, ViT-B/32 or ViT-L/14; the others are about all encoders."""


class Published(NamedTuple):
    """One figure of the paper."""

    claim: str
    what: str
    low: float
    """Lower end of what rounds to the printed value."""
    high: float
    printed: str
    place: str

    def above_chance(self) -> tuple[float, float]:
        """Return the printed value as a part of what is possible above the two ends of `CHANCE_AT_COCO`; else NaN."""
        if self.claim not in SIMILARITIES:
            return float("nan"), float("nan")
        value = (self.low + self.high) / 2
        low, high = (max((value - chance) / (1 - chance), 0.0) for chance in CHANCE_AT_COCO[::-1])
        return low, high


def _printed(claim: str, what: str, text: str, place: str, half_unit: float | None = None) -> Published:
    value = float(text.split()[-1])
    decimals = len(text.split()[-1].partition(".")[2])
    half = 0.5 * 10.0**-decimals if half_unit is None else half_unit
    return Published(claim, what, value - half, value + half, text, place)


VALUES: tuple[Published, ...] = (
    _printed("self", "an encoder with itself, the same SAE", "1", "definition of wMPPC", 0.0),
    _printed("towers", "CLIP ViT-B/32, image to text, all layers", "near 0.21", "CLIP ViT-B/32 on COCO"),
    _printed("range_low", "lowest value between an image and a text encoder", "0.042", "encoders on COCO"),
    _printed("range_high", "highest value between an image and a text encoder", "0.578", "encoders on COCO"),
    _printed("vision_text", "vision-only to text-only encoders", "about 0.04", "encoders on COCO"),
    _printed("cross_all", "image and text encoders, all layers", "0.209", "encoders on COCO"),
    _printed("cross_last", "image and text encoders, last layers", "0.220", "encoders on COCO"),
    _printed("cross_change", "image and text encoders, last minus all layers", "0.011", "encoders on COCO", 0.001),
    Published("same_change", "encoders of one modality, last minus all layers", float("-inf"), 0.0, "falls",
              "encoders on COCO"),
    _printed("weight_correlation", "correlation of S and rho over features", "0.36", "CLIP ViT-L/14 on COCO"),
    _printed("weight_variation", "coefficient of variation of S over features", "1.91", "CLIP ViT-L/14 on COCO"),
)  # fmt: skip


class Ordering(NamedTuple):
    """A claim that a source's features are found more in one target than in another."""

    claim: str
    source: str
    near: str
    far: str
    stand_in: str
    """What the encoders are, where they are not the paper's; empty where they are."""


class Roles(NamedTuple):
    """Which encoder plays which part."""

    image: EncoderCard
    """CLIP's image tower: M."""
    text: EncoderCard
    """Its text tower."""
    vision: EncoderCard
    """DINOv2: H, and the encoder whose layers are compared with themselves."""
    language: EncoderCard
    """BERT: G."""

    @property
    def stand_ins(self) -> dict[str, str]:
        """Encoder of the paper -> what stands in for it here, where anything does."""
        wanted = {"CLIP image": (self.image, "clip"), "CLIP text": (self.text, "clip"),
                  "DINOv2": (self.vision, "dinov2"), "BERT": (self.language, "bert")}  # fmt: skip
        return {part: card.name for part, (card, family) in wanted.items() if not is_papers(card, family)}


def is_papers(card: EncoderCard, family: str = "") -> bool:
    """Whether a card is one of the paper's encoders (of a family), by its family and its size label, b or l."""
    return card.size in ("b", "l") and (card.family == family if family else card.family in FAMILIES)


def comparable(claim: str, dataset: str, used: Sequence[EncoderCard], cards: Sequence[EncoderCard]) -> bool:
    """Whether ours is of the encoders and of the data that a figure of the paper is of.

    A figure of CLIP needs CLIP's towers of that size, one of all encoders needs them all. `used` are the encoders that
    ours is of, `cards` those of the suite. An SAE with itself needs nothing.
    """
    if claim == "self":
        return True
    if dataset not in DATASETS:
        return False
    if claim in CLIP_SIZES:
        return all(is_papers(card, "clip") and card.size == CLIP_SIZES[claim] for card in used)
    papers = [find_card(EncoderCard, name) for name in find_card(SuiteCard, "paper").encoders]
    kinds = {(card.family, card.size, card.modality) for card in cards}
    return all((card.family, card.size, card.modality) in kinds for card in papers) and all(map(is_papers, used))


def roles(cards: Sequence[EncoderCard], image: str, vision: str, language: str) -> Roles:
    """Return who plays which part; names that are empty are chosen: the paper's family, else the first that fits.

    Raises InputError where nobody fits, or a named encoder does not.
    """
    by_name = {card.name: card for card in cards}
    towers = [card for card in cards if card.modality == "image" and card.kind == "vlm" and twin(card, by_name)]
    chosen = _chosen(
        "image", image, towers, by_name, ("clip",), "the image tower of a contrastive pair, with both towers"
    )
    other = twin(chosen, by_name)
    assert other is not None  # only towers with a twin can be chosen
    return Roles(
        chosen, other,
        _chosen("vision", vision, [c for c in cards if c.kind == "vision"], by_name, ("dinov2", "simclr"),
                "a vision-only encoder"),
        _chosen("language", language, [c for c in cards if c.kind == "text"], by_name, ("bert",),
                "a text-only encoder"),
    )  # fmt: skip


def orderings(cards: Sequence[EncoderCard], who: Roles) -> list[Ordering]:
    """Return the two orderings that reviewers of the paper found odd, with its encoders, and with what stands in."""
    found = []
    for size in ("b", "l"):
        named = {(card.family, card.modality): card.name for card in cards if card.size == size}
        clip, sig = (named.get((family, "image")) for family in ("clip", "siglip2"))
        dino, bert = named.get(("dinov2", "image")), named.get(("bert", "text"))
        words, own = named.get(("clip", "text")), named.get(("siglip2", "text"))
        if clip and sig and dino:
            found.append(Ordering("CLIP image nearer DINOv2 than SigLIP image", clip, dino, sig, ""))
        for other, title in ((words, "CLIP text"), (bert, "BERT")):
            if sig and own and other:
                found.append(Ordering(f"SigLIP image nearer {title} than SigLIP text", sig, other, own, ""))
    if found:
        return found
    image = who.image
    rival = next(
        (card for card in cards if card.modality == "image" and card.name not in (image.name, who.vision.name)
         and card.kind == "vlm"),
        next((card for card in cards if card.kind == "vision" and card.name != who.vision.name), None),
    )  # fmt: skip
    if rival is not None:
        kind = "another contrastive image encoder" if rival.kind == "vlm" else "another vision-only encoder"
        found.append(Ordering(
            "CLIP image nearer DINOv2 than SigLIP image", image.name, who.vision.name, rival.name,
            f"{image.name} for CLIP image, {who.vision.name} for DINOv2, {rival.name} ({kind}) for SigLIP image",
        ))  # fmt: skip
    found.append(Ordering(
        "SigLIP image nearer BERT than SigLIP text", image.name, who.language.name, who.text.name,
        f"{image.name} and {who.text.name} for SigLIP's towers, {who.language.name} for BERT",
    ))  # fmt: skip
    return found


def _chosen(
    parameter: str,
    name: str,
    fitting: Sequence[EncoderCard],
    cards: Mapping[str, EncoderCard],
    families: Sequence[str],
    what: str,
) -> EncoderCard:
    if name:
        if name not in cards:
            raise unknown("encoder of the suite", name, cards)
        if cards[name] not in fitting:
            raise InputError(f"{parameter} must be {what}; '{name}' is not.")
        return cards[name]
    if not fitting:
        raise InputError(f"reproduce needs {what} among its encoders: {', '.join(cards)} hold none.")
    return next((card for family in families for card in fitting if card.family == family), fitting[0])
