"""A WordPiece tokenizer of the captions' words, with single characters for everything else."""

import string
from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

CONTEXT = 32
"""Tokens of a caption, both ends included; longer ones are cut."""
CLIP = ("<|startoftext|>", "<|endoftext|>")
BERT = ("[CLS]", "[SEP]")
CHARACTERS = string.ascii_lowercase + string.digits + string.punctuation


def caption_tokenizer(captions: Iterable[str], style: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer with every word of `captions`; any other text is spelled in characters or becomes [UNK].

    style: "bert" ([CLS] text [SEP], with [MASK]) or "clip" (start text end; the end has the highest id, because CLIP
    pools its captions at the highest id). Case and accents are dropped.
    """
    normalizer = normalizers.BertNormalizer()
    splitter = pre_tokenizers.BertPreTokenizer()
    words = Counter(
        word for caption in captions for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(caption))
    )
    ranked = sorted(words, key=lambda word: (-words[word], word))
    pieces = [*CHARACTERS, *("##" + character for character in CHARACTERS)]
    first, last = (["[PAD]", "[UNK]"], list(CLIP)) if style == "clip" else (["[PAD]", "[UNK]", *BERT, "[MASK]"], [])
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*first, *pieces, *ranked, *last]))}
    built = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    built.normalizer = normalizer
    built.pre_tokenizer = splitter
    start, end = CLIP if style == "clip" else BERT
    built.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(token, vocabulary[token]) for token in (start, end)]
    )
    roles = ("bos_token", "eos_token") if style == "clip" else ("cls_token", "sep_token")
    named = dict(zip(roles, (start, end), strict=True)) | ({} if style == "clip" else {"mask_token": "[MASK]"})
    return PreTrainedTokenizerFast(
        tokenizer_object=built, model_max_length=CONTEXT, pad_token="[PAD]", unk_token="[UNK]", **named
    )
