import pytest

from benchmark.pretraining.tokenizer import CONTEXT, caption_tokenizer

CAPTIONS = ["a Crimson star, on the hill", "two rose-coloured blooms"]
STRANGE = [
    "",
    "   ",
    "grinning face with smiling eyes",
    "\N{GRINNING FACE}",
    "日本",
    "naïve Ünïcode",
    "x" * 300,
    "<b>&amp;",
]


@pytest.fixture(scope="module", params=["clip", "bert"])
def tokenizer(request):
    return caption_tokenizer(CAPTIONS, request.param)


def test_every_word_of_the_captions_is_one_token(tokenizer):
    assert tokenizer.tokenize(CAPTIONS[0]) == ["a", "crimson", "star", ",", "on", "the", "hill"]
    assert tokenizer.tokenize(CAPTIONS[1]) == ["two", "rose", "-", "coloured", "blooms"]


def test_unknown_words_are_spelled(tokenizer):
    assert tokenizer.tokenize("cat 7") == ["c", "##a", "##t", "7"]


def test_other_scripts_and_emoji_are_unknown_tokens(tokenizer):
    assert tokenizer.tokenize("star \N{ROCKET}") == ["star", "[UNK]"]


@pytest.mark.parametrize("text", STRANGE)
def test_any_text_has_both_ends_and_at_most_the_context(tokenizer, text):
    ids = tokenizer(text, truncation=True)["input_ids"]
    assert 2 <= len(ids) <= CONTEXT and max(ids) < len(tokenizer)
    assert tokenizer.convert_ids_to_tokens([ids[0], ids[-1]]) in (
        ["<|startoftext|>", "<|endoftext|>"],
        ["[CLS]", "[SEP]"],
    )


def test_the_end_of_a_caption_has_the_highest_id_for_clip():
    tokenizer = caption_tokenizer(CAPTIONS, "clip")
    assert tokenizer.eos_token_id == len(tokenizer) - 1 == max(tokenizer.get_vocab().values())
    for text in (*CAPTIONS, *STRANGE):
        ids = tokenizer(text, truncation=True)["input_ids"]
        assert ids.index(max(ids)) == len(ids) - 1


def test_the_vocabulary_does_not_depend_on_the_order_of_equal_captions():
    assert caption_tokenizer(CAPTIONS, "bert").get_vocab() == caption_tokenizer(CAPTIONS[::-1], "bert").get_vocab()
