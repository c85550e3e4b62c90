"""The parameters of every command, with one sentence under each: what `--help` and `MLproject` are made from.

An empty value (None or an empty tuple) means: as the suite says.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Parameters that all jobs over a suite share."""

    suite: str = "quickstart"
    """Suite card: its name, or the path of a YAML file with one; the other parameters override it."""
    encoders: tuple[str, ...] = ()
    """Encoder cards (names or YAML paths), separated by commas."""
    dataset: str = ""
    """Dataset card, or the path of a Parquet file, of an image folder with metadata, or of a YAML card."""
    layers: str = ""
    """last, all, or block indices separated by commas."""
    seeds: tuple[int, ...] = ()
    """Seeds of the SAEs (initial weights and order of samples), separated by commas."""
    max_samples: int | None = None
    """Use at most this many samples, an unbiased subset (0: all)."""
    k: int | None = None
    """Active latents a sample."""
    n_latents: int | None = None
    """Size of the dictionary; takes the place of expansion (0: use expansion)."""
    expansion: int | None = None
    """Size of the dictionary in multiples of the layer's width."""
    learning_rate: float | None = None
    """Step size of Adam."""
    batch_size: int | None = None
    """Vectors a training step."""
    epochs: int | None = None
    """Passes over the training vectors."""
    tokens: int | None = None
    """Tokens of each sample that train the SAEs beside its global vector (0: none)."""
    device: str = "auto"
    """Torch device of encoders and training: auto (a GPU if there is one), cpu, cuda, cuda:1, mps."""
    precision: str = "auto"
    """Arithmetic of the encoders: auto (bfloat16 on a GPU, float32 elsewhere), float32, bfloat16, float16."""
    compile: bool = False
    """Compile the encoders with torch.compile: slower to start, faster on long runs."""
    trust_remote_code: bool = False
    """Run the code that a checkpoint's repository brings, for cards that ask for it (trust_remote_code: true)."""
    backend: str = "local"
    """Where units of work run: local (this process, with all its cores)."""


@dataclass(frozen=True, kw_only=True)
class TrainJobConfig(RunConfig):
    """Train and register the SAEs of a suite, one run per encoder and seed; finished ones are reused."""


@dataclass(frozen=True, kw_only=True)
class CompareConfig(RunConfig):
    """Compare the encoders of a suite: wMPPC both ways for all pairs, with chance level, cross-fit and interval."""

    permutations: int | None = None
    """Permutations of the chance level (19 or more give a p-value)."""
    folds: int | None = None
    """Folds of the cross-fitted value."""
    dry_run: bool = False
    """Print the plan (jobs, downloads, disk, memory, time) and stop; nothing is downloaded, trained or stored."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Train the small encoders that ship with the project, on its procedural datasets alone."""

    models: tuple[str, ...] = ("small-clip", "small-vit", "small-ssl", "small-bert")
    """Checkpoints to train, separated by commas."""
    output: str = "pretrained/checkpoints"
    """Folder of the checkpoints, beside encoders/small.yaml with their cards (benchmark/cards/checkpoints: shipped)."""
    samples: int = 0
    """Training samples, scenes and blooms together (0: as the shipped checkpoints)."""
    epochs: int = 0
    """Passes over the samples (0: as the shipped checkpoints)."""
    seed: int = 0
    """Seed of weights and order."""


@dataclass(frozen=True, kw_only=True)
class EncodersConfig:
    """List the encoder cards: what they are, their download, whether it is here already, source and licence."""


@dataclass(frozen=True, kw_only=True)
class DatasetsConfig:
    """List the dataset cards: samples, download, whether it is here already, source and licence."""


@dataclass(frozen=True, kw_only=True)
class SuitesConfig:
    """List the suite cards."""
