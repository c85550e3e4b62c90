"""The rules for a sample's global token, and which encoders each of them fits."""

from collections.abc import Callable, Iterable

import torch

from benchmark.catalog import EncoderCard
from benchmark.errors import InputError

CLASS_TOKENS = ("cls_token", "class_token", "class_embedding")
"""What vision models of transformers call the parameter that is their class token."""
PROBES = ("", "a", "a red ball on the table")


def token_index(rule: str, mask: torch.Tensor, ids: torch.Tensor | None, *, reads_padding: bool) -> torch.Tensor:
    """Return (B,) positions of the global token in a (B, T) batch by the rule cls, eot or last.

    cls: the first real token. eot: the highest token id, first of equals, as CLIP pools its captions. last: the last
    real token, or the last position for a model that reads padding like words (SigLIP pools it, padding or not).
    """
    batch, length = mask.shape
    if rule == "cls":
        return mask.int().argmax(1)
    if rule == "eot":
        if ids is None:
            raise InputError("the token rule 'eot' needs token ids: it is for text encoders only.")
        return ids.argmax(1)
    if reads_padding:
        return torch.full((batch,), length - 1, dtype=torch.long, device=mask.device)
    return length - 1 - mask.flip(1).int().argmax(1)


def has_class_parameter(module: torch.nn.Module) -> bool:
    """Whether a vision model of transformers holds a class token, which these models all put first."""
    return any(name.rpartition(".")[2] in CLASS_TOKENS for name, _ in module.named_parameters())


def check_class_token(card: EncoderCard, has_cls: bool) -> None:
    """Raise InputError for the token rule cls where the image tower has no class token."""
    if card.token == "cls" and not has_cls:
        raise InputError(
            f"encoder '{card.name}': this architecture has no class token (its first token is a patch or a register); "
            "set token: mean in its card."
        )


def check_end_token(card: EncoderCard, tokenize: Callable[[list[str]], list[list[int]]], ids: Iterable[int]) -> None:
    """Raise InputError where the highest token id of a caption is not its end token, which the rule eot looks for.

    tokenize gives the token ids of captions, `ids` are all that it knows. The end token must be appended to every
    caption and have the highest id of all, so that no word can be taken for it.
    """
    encoded = tokenize(list(PROBES))
    highest = max(ids)
    places = [found.index(highest) if highest in found else -1 for found in encoded]
    if places[0] < 0 or places != sorted(set(places)):  # it stands behind the words, so further back in longer captions
        raise InputError(
            f"encoder '{card.name}': its tokenizer does not end every caption with the token of the highest id, as "
            "CLIP's does, so the token rule 'eot' would pick an arbitrary word; set another one in its card (last, "
            "mean or cls)."
        )
