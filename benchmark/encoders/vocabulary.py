"""Tokenizers of transformers: loaded with all their files, and how long a caption they and their model take."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers

from benchmark.catalog import EncoderCard
from benchmark.encoders.hub_cache import TOKENIZERS
from benchmark.errors import InputError

UNSTATED = 512
"""Tokens of a caption at most where neither the tokenizer nor the model says."""
ABSURD = 10**7
"""From here on a limit stands for none: transformers writes 1e30, XLNet -1."""


def load_tokenizer(card: EncoderCard, source: str, folder: Path | None, **origin: Any) -> Any:
    """Load the tokenizer of a folder or a hub repository (`source`).

    Raises InputError when its files are missing: transformers would make one that takes every word for unknown.
    """
    inside = folder / origin.get("subfolder", "") if folder is not None else None
    with missing_files_named(card, inside):
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, **origin)
    check_vocabulary(card, source, tokenizer)
    return tokenizer


@contextmanager
def missing_files_named(card: EncoderCard, folder: Path | None) -> Iterator[None]:
    """Turn whatever goes wrong while a tokenizer is loaded from a folder without one into an InputError that says so.

    Some of the libraries' classes do without their files, others fail, each in its own way.
    """
    try:
        yield
    except Exception as error:
        if folder is None or any(path for pattern in TOKENIZERS for path in folder.glob(pattern)):
            raise
        raise _incomplete(card, str(folder)) from error


def check_vocabulary(card: EncoderCard, source: str, tokenizer: Any) -> None:
    """Raise InputError for a tokenizer that knows its special tokens only."""
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise _incomplete(card, source)


def caption_limit(tokenizer: Any, config: Any) -> int:
    """Return how many tokens of a caption the tokenizer and its model take at most."""
    stated = (tokenizer.model_max_length, getattr(config, "max_position_embeddings", UNSTATED))
    return min((int(limit) for limit in stated if limit and 0 < limit < ABSURD), default=UNSTATED)


def _incomplete(card: EncoderCard, source: str) -> InputError:
    return InputError(
        f"encoder '{card.name}': the checkpoint '{source}' has no vocabulary, so every word would be unknown; add its "
        "tokenizer's files (tokenizer.json, or vocab.txt, or vocab.json and merges.txt, or a sentencepiece *.model)."
    )
