"""BERT (Devlin et al. 2019, arXiv 1810.04805) on captions, with a text-only task for its CLS token.

Masked language modelling alone hardly trains CLS: nothing is predicted from it. BERT's own remedy, next-sentence
prediction, needs running text. Here CLS must reconstruct the caption's bag of words through the masked-language head
(the bottleneck of RetroMAE, Xiao et al. 2022, arXiv 2205.12035, with the bag-of-words target of Ma et al. 2022,
arXiv 2208.09670, in place of a decoder): cross-entropy against the even distribution over the caption's words.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from benchmark.pretraining.data import PretrainingSet
from benchmark.pretraining.optimise import optimise
from benchmark.pretraining.tokenizer import BERT, CONTEXT, caption_tokenizer

IGNORED = -100


@dataclass(frozen=True)
class MaskedLanguage:
    """Size of the tower and how it is trained."""

    width: int = 96
    depth: int = 4
    head_width: int = 24
    masked: float = 0.15
    batch: int = 64
    learning_rate: float = 1e-3

    def train(self, data: PretrainingSet, epochs: int, progress: bool) -> "Language":
        """Return a trained BERT. Seed torch first."""
        tokenizer = caption_tokenizer(data.captions, "bert")
        model = BertForMaskedLM(
            BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=self.width,
                num_hidden_layers=self.depth,
                num_attention_heads=self.width // self.head_width,
                intermediate_size=4 * self.width,
                max_position_embeddings=CONTEXT,
                type_vocab_size=1,
                initializer_range=0.5 * self.width**-0.5,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        encoded = tokenizer(data.captions, padding="max_length", truncation=True, return_tensors="pt")
        ids, mask = encoded["input_ids"], encoded["attention_mask"]
        special = torch.tensor(tokenizer.all_special_ids)

        def loss(rows: torch.Tensor) -> torch.Tensor:
            length = int(mask[rows].sum(1).max())
            whole, attended = ids[rows, :length], mask[rows, :length]
            words = ~torch.isin(whole, special)
            inputs, labels = mask_words(whole, words, self.masked, tokenizer)
            logits = model(input_ids=inputs, attention_mask=attended).logits
            masked = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
            return masked + F.cross_entropy(logits[:, 0], bag_of_words(whole, words, len(tokenizer)))

        optimise(
            model,
            loss,
            len(data),
            epochs=epochs,
            batch=self.batch,
            learning_rate=self.learning_rate,
            title="small-bert",
            progress=progress,
        )
        return Language(model, tokenizer)


@dataclass(frozen=True)
class Language:
    """A BERT with its tokenizer."""

    model: BertForMaskedLM
    tokenizer: PreTrainedTokenizerFast

    def save(self, folder: Path) -> None:
        """Write what AutoModel and AutoTokenizer of transformers read."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def mask_words(
    ids: torch.Tensor, words: torch.Tensor, share: float, tokenizer: PreTrainedTokenizerFast
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return BERT's inputs and labels: of the words chosen, 80 % are masked, 10 % replaced, 10 % kept.

    `words` is False where a (B, T) id must stay; labels are IGNORED where nothing is predicted.
    """
    chosen = (torch.rand(ids.shape) < share) & words
    labels = ids.masked_fill(~chosen, IGNORED)
    fate = torch.rand(ids.shape)
    inputs = ids.masked_fill(chosen & (fate < 0.8), tokenizer.mask_token_id)
    others = torch.randint(len(BERT) + 3, len(tokenizer), ids.shape)
    return torch.where(chosen & (fate > 0.9), others, inputs), labels


def bag_of_words(ids: torch.Tensor, words: torch.Tensor, vocabulary: int) -> torch.Tensor:
    """Return the even distribution over each row's distinct words, (B, vocabulary); all 0 for a row without words."""
    bag = torch.zeros(len(ids), vocabulary).scatter_add_(1, ids, words.float()).clamp(max=1)
    return bag / bag.sum(1, keepdim=True).clamp(min=1)
