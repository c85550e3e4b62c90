"""A suite with the command's overrides, checked before any work starts."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from benchmark.catalog import CHOICES, EncoderCard, SuiteCard, find_card, read_cards
from benchmark.errors import InputError, unknown
from benchmark.jobs.backends import Backend
from benchmark.jobs.configs import CompareConfig, RunConfig
from benchmark.report import counted
from benchmark.sae.settings import OWN_FIELDS, TrainConfig, make_config, parse_options, refuse_own_fields

ALL_TOKENS = -1
"""`Plan.tokens` where every real token of the training samples trains."""
CODES = CHOICES[SuiteCard]["codes"]
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
SAMPLE_SETS = ("heldout", "train", "all")


class Seeds(NamedTuple):
    """What is random in the training of an SAE."""

    init: int
    """Seed of its initial weights."""
    order: int
    """Seed of the order of the samples that it is shown."""

    def __str__(self) -> str:
        """Name them as runs do: `seed 1`, or `seed 1 order 0` where they differ."""
        return f"seed {self.init}" + (f" order {self.order}" if self.order != self.init else "")

    @property
    def alias(self) -> str:
        """The alias of a registered SAE: `seed-1`, or `seed-1-order-0`."""
        return str(self).replace(" ", "-")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done: every choice made, nothing loaded."""

    suite: SuiteCard
    """The suite with all overrides applied."""
    encoders: tuple[EncoderCard, ...]
    layers: str | tuple[int, ...]
    """last | all | block indices."""
    training: TrainConfig
    """How the SAEs are trained: the preset, changed by the card, changed by the command."""
    tokens: int
    """Tokens of a sample that train the SAEs beside its global vector: 0, at most so many drawn ones, or ALL_TOKENS."""
    device: str
    """Torch device; what the user said, where other machines do the work."""
    precision: str
    """Arithmetic of the encoders: float32 | bfloat16 | float16; what the user said, where other machines work."""
    compile: bool
    trust_remote_code: bool
    backend: Backend = Backend()
    init_seed: int | None = None
    """Seed of the initial weights of all SAEs; None: each one's own."""
    order_seed: int | None = None
    """Seed of the order of samples of all SAEs; None: each one's own."""

    def seeds_of(self, seed: int) -> Seeds:
        """Return what one of the suite's seeds stands for."""
        return Seeds(
            seed if self.init_seed is None else self.init_seed, seed if self.order_seed is None else self.order_seed
        )

    def here(self) -> "Plan":
        """Return the plan as this process carries it out, by itself; raises InputError for a device it lacks."""
        device = _device(self.device) if self.backend.elsewhere else self.device
        return replace(self, device=device, precision=_precision(self.precision, device), backend=Backend())

    def n_latents(self, width: int) -> int:
        """Return the size of the dictionary for a layer of this width; raises InputError if k does not fit."""
        size = self.suite.n_latents or self.suite.expansion * width
        self.training.check_sizes(self.suite.k, size)
        return size

    def recipe(self) -> dict[str, object]:
        """Return all settings that a train run depends on, apart from its encoder, data and seed."""
        names = ("k", "expansion", "n_latents", "train_on", "codes")
        chosen = {name: getattr(self.suite, name) for name in names} | {"layers": self.layers, "tokens": self.tokens}
        return chosen | asdict(self.training)


def make_plan(config: RunConfig) -> Plan:
    """Apply a command's overrides to its suite; raises InputError for anything that cannot work."""
    suite = find_card(SuiteCard, config.suite)
    overrides = {
        name: value
        for name in SuiteCard.__dataclass_fields__
        if name != "training" and (value := getattr(config, name, None)) not in (None, "", ())
    }
    suite = replace(suite, **overrides)
    for name, least in (
        ("k", 1), ("expansion", 1), ("n_latents", 0), ("max_samples", 0), ("permutations", 0), ("folds", 2),
        ("min_count", 0),
    ):  # fmt: skip
        if getattr(suite, name) < least:
            raise InputError(f"{name} must be at least {least}, got {getattr(suite, name)}.")
    training, tokens = _training(suite, config), _tokens(suite.tokens)
    if suite.n_latents:
        training.check_sizes(suite.k, suite.n_latents)
    for name, values in (("encoders", suite.encoders), ("seeds", suite.seeds)):
        if not values:
            raise InputError(f"the suite '{suite.name}' names no {name}; give at least one.")
        if len(set(values)) < len(values):
            raise InputError(f"{name} holds a value twice: {','.join(map(str, values))}.")
    for name, seeds in (("seeds", suite.seeds), ("init_seed", config.init_seed), ("order_seed", config.order_seed)):
        chosen_seeds = seeds if isinstance(seeds, tuple) else () if seeds is None else (seeds,)
        if not all(0 <= seed < 2**32 for seed in chosen_seeds):
            raise InputError(f"{name} must lie between 0 and 2^32 - 1, got {','.join(map(str, chosen_seeds))}.")
    if config.init_seed is not None and config.order_seed is not None and len(suite.seeds) > 1:
        raise InputError(
            "init_seed and order_seed together leave nothing random, so all seeds would train the same SAE; leave one "
            "of them out, or give one seed."
        )
    for chosen in suite.report_on:
        if chosen not in SAMPLE_SETS:
            raise unknown("sample set in report_on", chosen, SAMPLE_SETS)
    if suite.train_on == "all" and set(suite.report_on) != {"all"}:
        raise InputError(
            f"the suite '{suite.name}' trains on all samples, so none is held out; set report_on: [all] in its card."
        )
    if suite.codes not in CODES:
        raise unknown("codes", suite.codes, CODES)
    backend = Backend(config.backend, config.address, config.workers)
    cards = tuple(card for name in suite.encoders for card in _encoder_cards(name))
    if len({card.name for card in cards}) < len(cards):
        raise InputError(f"encoders names an encoder twice: {','.join(card.name for card in cards)}.")
    for card in cards:
        if tokens and card.library == "activations":
            raise InputError(
                f"encoder '{card.name}' brings one vector a sample, so tokens={suite.tokens} cannot train its SAEs; "
                "set tokens to global or leave it out."
            )
    if isinstance(config, CompareConfig) and len(cards) * len(suite.seeds) < 2:
        raise InputError("a comparison needs at least two encoders, or two seeds of one.")
    device = config.device if backend.elsewhere else _device(config.device)
    return Plan(
        suite=suite,
        encoders=cards,
        layers=_layers(suite.layers),
        training=training,
        tokens=tokens,
        device=device,
        precision=_checked_precision(config.precision) if backend.elsewhere else _precision(config.precision, device),
        compile=config.compile,
        trust_remote_code=config.trust_remote_code,
        backend=backend,
        init_seed=config.init_seed,
        order_seed=config.order_seed,
    )


def _encoder_cards(name: str) -> list[EncoderCard]:
    """Return the card of a name, or all cards of a YAML file."""
    if name.endswith((".yaml", ".yml")):
        return list(read_cards(EncoderCard, Path(name)).values())
    return [find_card(EncoderCard, name)]


def _training(suite: SuiteCard, config: RunConfig) -> TrainConfig:
    """Return the preset with the options of the card, and with those of the command in place of them."""
    options = parse_options(config.training)
    refuse_own_fields(options)
    make_config(suite.preset, {})
    try:
        refuse_own_fields(suite.training)
        make_config(suite.preset, suite.training)
    except InputError as error:
        raise InputError(f"training of the suite '{suite.name}': {error}") from None
    own = {name: value for name in OWN_FIELDS if (value := getattr(suite, name)) is not None}
    return make_config(suite.preset, suite.training | options | own)


def _tokens(text: int | str) -> int:
    """Return `Plan.tokens` of what a suite or command says."""
    if text in ("global", "all"):
        return 0 if text == "global" else ALL_TOKENS
    try:
        found = int(text)
    except ValueError:
        found = -1
    if found < 0:
        raise InputError(f"tokens must be global, all or a whole number of tokens of each sample, got '{text}'.")
    return found


def _layers(text: str) -> str | tuple[int, ...]:
    if text in ("last", "all"):
        return text
    try:
        chosen = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise InputError(f"layers must be last, all or block indices like 0,5,11, got '{text}'.") from None
    return chosen


def _device(name: str) -> str:
    """Return the torch device that `name` stands for; raises InputError unless it can compute here."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError):
        gpus = torch.cuda.device_count()
        there = f"torch sees {counted(gpus, 'GPU')}" if gpus else "torch sees no GPU"
        raise InputError(
            f"device '{name}' is not available here ({there}); use cpu, or auto for what there is."
        ) from None
    return name


def _checked_precision(name: str) -> str:
    if name not in PRECISIONS:
        raise unknown("precision", name, PRECISIONS)
    return name


def _precision(name: str, device: str) -> str:
    if _checked_precision(name) != "auto":
        return name
    if not device.startswith("cuda"):
        return "float32"
    import torch

    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


def pick_layers(wanted: str | tuple[int, ...], available: list[int], encoder: str) -> list[int]:
    """Return the wanted layers of an encoder, shallow to deep; raises InputError for one that it does not have."""
    if wanted == "all":
        return list(available)
    if wanted == "last":
        return available[-1:]
    for layer in wanted:
        if layer not in available:
            raise InputError(
                f"encoder '{encoder}' has no layer {layer}: its layers are {available[0]} to {available[-1]}."
            )
    return [int(layer) for layer in wanted]
