"""Classes stand for the encoders that they should, and never for the source or its other tower."""

import pytest

from benchmark.catalog import EncoderCard, SuiteCard, find_card
from benchmark.errors import InputError
from benchmark.jobs.encoder_groups import groups_of, members, with_named
from benchmark.jobs.experiment_configs import SharednessConfig
from benchmark.jobs.sharedness import questions

PAPER = [find_card(EncoderCard, name) for name in find_card(SuiteCard, "paper").encoders]
CARD = {card.name: card for card in PAPER}


def test_classes_are_read_for_the_sources_modality_without_its_own_model():
    images, texts = members(["vlm"], PAPER, CARD["clip-b-image"]), members(["vlm"], PAPER, CARD["clip-b-text"])
    assert images == [n for n in CARD if n.endswith("-image") and n != "clip-b-image"]
    assert texts == [n for n in CARD if n.endswith("-text") and n != "clip-b-text"]
    other = members(["vlm-text"], PAPER, CARD["siglip2-b-image"])
    assert "siglip2-b-text" not in other and "siglip2-l-text" in other  # the other tower of its checkpoint
    assert members(["siglip2-b-text", "text"], PAPER, CARD["siglip2-b-image"])[0] == "siglip2-b-text"
    assert members(["vision"], PAPER) == ["vit-b", "vit-l", "dinov2-b", "dinov2-l", "mambavision"]


def test_the_papers_question_has_the_papers_groups():
    plan, found = questions(SharednessConfig(suite="paper", question="vlm-vs-vision", source=("clip-l-image",)))
    (groups,) = found
    assert groups.shared_with == ("clip-b-image", "dfn-b-image", "dfn-l-image", "siglip2-b-image", "siglip2-l-image")
    assert groups.beside == ("bert-b", "bert-l", "deberta-b", "deberta-l") and not groups.stands_in
    assert {card.name for card in plan.encoders} == {
        "clip-l-image", *groups.shared_with, *groups.beside, *groups.absent_from,
    }  # fmt: skip


def test_the_embedded_suite_answers_out_of_the_box_with_a_stand_in_that_is_named():
    plan, (groups,) = questions(SharednessConfig())
    assert groups.source == "small-clip-image" and groups.shared_with == ("small-bert",)
    assert groups.absent_from == ("small-vit", "small-ssl")
    assert groups.beside == ("small-clip-text",) and "stands in" in groups.stands_in
    assert not questions(SharednessConfig(beside=("none",)))[1][0].beside


def test_an_encoder_that_the_suite_lacks_can_be_named():
    plan, (groups,) = questions(SharednessConfig(shared_with=("bert-b", "text")))
    assert groups.shared_with == ("small-bert", "bert-b") and "bert-b" in {card.name for card in plan.encoders}
    assert [card.name for card in with_named(PAPER[:1], ["vlm", "bert-b"])] == ["clip-b-image", "bert-b"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"question": "vlm-vs-vision"},
            "needs two VLM image encoders, and the suite 'quickstart' has small-clip-image",
        ),
        ({"question": "text"}, "unknown question"),
        ({"shared_with": ("smal-bert",)}, "did you mean small-bert"),
        ({"shared_with": ("vision",)}, "small-ssl, small-vit cannot be in shared_with and in absent_from"),
        ({"shared_with": ("small-clip-image",)}, "cannot be compared with itself"),
        ({"source": ("small-clip-text",), "shared_with": ("vlm",)}, "names no encoder to compare small-clip-text with"),
        ({"encoders": ("small-vit", "small-bert")}, "source=vlm names no encoder among small-vit, small-bert"),
    ],
)
def test_groups_that_cannot_be_compared_are_refused_in_a_sentence(given, words):
    with pytest.raises(InputError, match=words):
        questions(SharednessConfig(**given))


def test_the_only_tower_of_a_model_has_no_stand_in():
    cards = [find_card(EncoderCard, name) for name in ("small-vit", "small-ssl", "small-bert")]
    groups = groups_of(cards[0], cards, ("text",), ("vision",), ("vlm",))
    assert not groups.beside and "No encoder of vlm" in groups.stands_in and groups.absent_from == ("small-ssl",)
