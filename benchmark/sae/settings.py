"""How an SAE is trained: every option, the presets, and options given as text. No torch: commands read it first."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args, get_origin

from benchmark.errors import InputError, unknown
from benchmark.parameters import WORDS, scalar

CHOICES = {"b_dec": ("zero", "mean", "median"), "selection": ("topk", "batchtopk")}
OWN_FIELDS = ("learning_rate", "batch_size", "epochs")
"""Options that suites and commands have a field of their own for."""
SHARES = ("warmup", "decay", "k_anneal")


def _check_type(name: str, value: Any, kind: Any) -> None:
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            raise InputError(f"{name} must be a list of numbers, got {value!r}.")
        for item in value:
            _check_type(name, item, get_args(kind)[0])
    elif type(value) is not kind and not (kind is float and type(value) is int):
        raise InputError(f"{name} must be {WORDS[kind]}, got {value!r}.")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How an SAE is trained; the defaults are the paper's recipe (arXiv 2507.18512).

    Raises InputError, one sentence, for a value that cannot be trained with.
    """

    learning_rate: float = 5e-5
    """Step size of Adam."""
    batch_size: int = 256
    """Vectors a step: one of each sample and, where tokens train too, one of each token."""
    epochs: int = 1
    """Passes over the training vectors."""
    b_dec: str = "zero"
    """Where b_dec starts: zero, or the mean or geometric median of the training vectors."""
    normalize: bool = False
    """Scale the vectors by one factor: mean squared distance d from their mean; folded back into the weights."""
    unit_norm: bool = False
    """Keep the decoder's rows at length 1, and take the part along them out of their gradient."""
    warmup: float = 0.0
    """Share of the steps, at the start, in which the step size rises linearly."""
    decay: float = 0.0
    """Share of the steps, at the end, in which the step size falls linearly towards 0."""
    k_start: int = 0
    """Active latents a sample at the first step, at least k (0: k from the start)."""
    k_anneal: float = 0.0
    """Share of the steps in which their number falls linearly from k_start to k."""
    selection: str = "topk"
    """Which latents train: the k largest of each sample (topk), or the N k largest of N samples (batchtopk)."""
    matryoshka: tuple[float, ...] = ()
    """Shares of the dictionary, rising, whose first latents have to reconstruct alone too (empty: none)."""
    aux_k: int = 0
    """Dead latents, the most active ones of each sample, that learn to reconstruct the error (0: none; AuxK)."""
    aux_coefficient: float = 1 / 32
    """Weight of that second loss."""
    dead_after: int = 10_000
    """Vectors without firing after which a latent counts as dead in training."""
    patience: int = 0
    """Stop after this many evaluations without improvement, and keep the best weights (0: train to the end)."""
    evaluate_every: int = 100
    """Steps between evaluations."""

    def __post_init__(self) -> None:
        """Refuse values of the wrong type or out of range."""
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name), field.type)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown(name, getattr(self, name), choices)
        for name, least in (
            ("batch_size", 1), ("epochs", 1), ("k_start", 0), ("aux_k", 0), ("dead_after", 1), ("patience", 0),
            ("evaluate_every", 1),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate must be above 0 and finite, got {self.learning_rate}.")
        if not 0 <= self.aux_coefficient < math.inf:
            raise InputError(f"aux_coefficient must be at least 0 and finite, got {self.aux_coefficient}.")
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is a share of the steps, from 0 to 1, got {getattr(self, name)}.")
        if self.warmup + self.decay > 1:
            raise InputError(f"warmup and decay add up to {self.warmup + self.decay}, more than all steps.")
        if (self.k_start > 0) != (self.k_anneal > 0):
            raise InputError(
                f"k_start and k_anneal belong together: give both or neither, got {self.k_start} and {self.k_anneal}."
            )
        shares = self.matryoshka
        if not all(0 < share <= 1 for share in shares) or list(shares) != sorted(set(shares)):
            raise InputError(
                f"matryoshka must be rising shares of the dictionary above 0 and up to 1, got {list(shares)}."
            )

    def check_sizes(self, k: int, n_latents: int) -> None:
        """Raise InputError unless a dictionary of this size can train with k active latents a sample."""
        if k > n_latents:
            raise InputError(
                f"k = {k} is larger than the dictionary of {n_latents} latents; lower k or raise n_latents."
            )
        if self.k_start and not k <= self.k_start <= n_latents:
            raise InputError(
                f"k_start = {self.k_start} must lie between k = {k} and the dictionary's {n_latents} latents."
            )


PRESETS = {
    "paper": TrainConfig(),
    "robust": TrainConfig(
        learning_rate=3e-3, epochs=20, b_dec="median", normalize=True, unit_norm=True, warmup=0.05, decay=0.2, aux_k=64
    ),
}
"""`paper`: the recipe of arXiv 2507.18512. `robust`: for dictionaries to be trusted on thousands of vectors instead of
millions (docs/sae.md has the evidence)."""


def make_config(preset: str, options: Mapping[str, Any]) -> TrainConfig:
    """Return a preset with some options in place of its own; raises InputError for what it does not know."""
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    known = {field.name: getattr(PRESETS[preset], field.name) for field in fields(TrainConfig)}
    for name in options:
        if name not in known:
            raise unknown("training option", str(name), known)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    return TrainConfig(**(known | values))


def refuse_own_fields(options: Mapping[str, Any]) -> None:
    """Raise InputError where `training` holds what suites and commands have a field of their own for."""
    for name in OWN_FIELDS:
        if name in options:
            raise InputError(f"{name} does not belong into training: it is a parameter of its own.")


def parse_options(texts: Sequence[str]) -> dict[str, Any]:
    """Return {option: value} of texts like `unit_norm=true` or `matryoshka=0.25/0.5`.

    Raises InputError for an unknown option, for one given twice and for a text that is no value of its type.
    """
    types = {field.name: field.type for field in fields(TrainConfig)}
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not value:
            raise InputError(f"training must be options like unit_norm=true, separated by commas, got '{text}'.")
        if name not in types:
            raise unknown("training option", name, types)
        if name in found:
            raise InputError(f"training names {name} twice.")
        found[name] = _parse(name, types[name], value)
    return found


def _parse(name: str, kind: Any, text: str) -> Any:
    if get_origin(kind) is tuple:
        return tuple(scalar(name, get_args(kind)[0], part) for part in text.split("/"))
    return scalar(name, kind, text)
