"""Candidates for names: words and pairs of neighbours, in any language, relations and numbers among them."""

import numpy as np
import pytest

from benchmark.metrics.phrases import candidates, stop_words, terms, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A small Red star, at sea.", ["a", "small", "red", "star", "at", "sea"]),
        ("ﬁre № 12 ①", ["fire", "no", "12", "1"]),
        ("Straße ÉTÉ rose-coloured don't", ["strasse", "été", "rose", "coloured", "don", "t"]),
        ("дети играют", ["дети", "играют"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("赤い星 star", ["赤", "い", "星", "star"]),
        ("🦊 <b>&amp;", ["b", "amp"]),
        ("\ud800 \x00", []),
        ("", []),
    ],
)
def test_words_are_runs_of_letters_marks_and_digits_in_any_language(text, found):
    assert words(text) == found


def test_relations_numbers_and_negations_can_name_features_and_articles_cannot():
    def found(text):
        return set(candidates(words(text)))

    assert {"above", "two", "two stars", "stars above"} <= found("two stars above the sea")
    assert "next to" in found("a cat next to the dog") and {"on top", "top of"} <= found("on top of it")
    assert "sitting on" in found("a cat sitting on it") and {"no leaves", "leaves"} <= found("with no leaves")
    for text in ("of the", "in a", "on to", "it is", "t", "a"):
        assert found(text) == set()
    assert "cat dog" not in found("a cat, the dog")  # a stop word parts them
    assert not {"above", "two", "no", "left", "fire"} & stop_words() and "the" in stop_words()


def test_terms_hold_each_caption_once_and_leave_out_rare_ones_and_words_of_one_pair():
    captions = ["winter hill winter hill", "winter hill", "a hill of snow", "snow", "snow rarely"] * 5
    found = terms(captions, min_count=5)
    # Neither `winter` nor `rarely`, which only ever stand beside one word.
    assert found.names == ["hill", "snow", "winter hill", "hill of", "hill winter", "of snow", "snow rarely"]
    dense = found.matrix.toarray()
    assert set(np.unique(dense)) == {0, 1} and dense.shape == (25, len(found.names))
    assert dense[:, found.names.index("winter hill")].tolist() == [1, 1, 0, 0, 0] * 5
    assert (np.diff(dense.sum(0)) <= 0).all()  # the most frequent first
    assert terms(captions, most=2).names == found.names[:2]
    assert terms(captions, min_count=26).names == [] and terms([], min_count=1).matrix.shape == (0, 0)
