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
    init_seed: int | None = None
    """Give the SAEs of all seeds the initial weights of this one, so that only the order of samples differs."""
    order_seed: int | None = None
    """Show the SAEs of all seeds the samples in the order of this one, so that only initial weights differ."""
    max_samples: int | None = None
    """Use at most this many samples, an unbiased subset (0: all)."""
    k: int | None = None
    """Active latents a sample."""
    n_latents: int | None = None
    """Size of the dictionary; takes the place of expansion (0: use expansion)."""
    expansion: int | None = None
    """Size of the dictionary in multiples of the layer's width."""
    preset: str = ""
    """How the SAEs are trained where nothing else is said: paper, or robust (slower, and closer between seeds)."""
    learning_rate: float | None = None
    """Step size of Adam."""
    batch_size: int | None = None
    """Vectors a training step."""
    epochs: int | None = None
    """Passes over the training vectors."""
    training: tuple[str, ...] = ()
    """Further training options, name=value, separated by commas (unit_norm=true,matryoshka=0.25/0.5; docs/cards.md)."""
    tokens: str = ""
    """What trains the SAEs: global (one vector a sample), all (all real tokens too), or so many drawn tokens too."""
    codes: str = ""
    """What the trained SAEs record: topk, or relu (all latents, without TopK, as the authors' code; large)."""
    untrained: bool | None = None
    """Record (and compare) SAEs as they were before training too, as a floor."""
    device: str = "auto"
    """Torch device of encoders and training: auto (a GPU if there is one), cpu, cuda, cuda:1, mps."""
    precision: str = "auto"
    """Arithmetic of the encoders: auto (bfloat16 on a GPU, float32 elsewhere), float32, bfloat16, float16."""
    compile: bool = False
    """Compile the encoders with torch.compile: slower to start, faster on long runs."""
    trust_remote_code: bool = False
    """Run the code that a checkpoint's repository brings, for cards that ask for it (trust_remote_code: true)."""
    backend: str = "local"
    """Where units of work run: local (this machine), dask or ray (a cluster; docs/scale.md)."""
    address: str = ""
    """Address of the cluster: tcp://HOST:8786 of a Dask scheduler; HOST:6379, or auto, of Ray."""
    workers: int = 0
    """Units of work at a time, local or ray (0: as many as have four cores each, and memory)."""


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
    min_count: int | None = None
    """Empty the features that are active on fewer of the compared samples (0: none)."""
    paper_code: bool | None = None
    """Compute wMPPC as the authors' published code does too."""
    dry_run: bool = False
    """Print the plan (jobs, downloads, disk, memory, time) and stop; nothing is downloaded, trained or stored."""


@dataclass(frozen=True, kw_only=True)
class ValidateConfig:
    """Measure how far the measures are from the truth: planted worlds, planted factors, and what the weights do."""

    samples: tuple[int, ...] = (1000, 5000, 20000, 100000)
    """Numbers of samples of the planted worlds, separated by commas."""
    shares: tuple[float, ...] = (0, 0.1, 0.25, 0.5, 0.75, 1)
    """Shares of the features that two encoders of a planted world have in common, separated by commas."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the planted worlds, one world of each in every cell, separated by commas."""
    n_latents: int = 6144
    """Features of an encoder of a planted world."""
    k: int = 32
    """Mean number of active features a sample of a planted world."""
    permutations: int = 19
    """Permutations of the chance level (19 or more give a p-value)."""
    folds: int = 5
    """Folds of the cross-fitted value."""
    suite: str = "quickstart"
    """Suite whose trained SAEs are examined, over data with planted factors (empty: planted worlds only)."""
    max_samples: int | None = None
    """Use at most this many samples of the suite's dataset (0: all)."""
    device: str = "auto"
    """Torch device of encoders and training: auto (a GPU if there is one), cpu, cuda, cuda:1, mps."""


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


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Write registered SAEs into files: ours (safetensors and JSON), or those of SAELens."""

    sae: tuple[str, ...] = ()
    """Registered SAEs (models:/NAME/VERSION or models:/NAME@seed-0), separated by commas; several get a folder each."""
    output: str = ""
    """Folder to write into."""
    format: str = "saelens"
    """saelens (cfg.json, sae_weights.safetensors) or own (config.json, model.safetensors)."""


@dataclass(frozen=True, kw_only=True)
class PushConfig:
    """Push registered SAEs, with a model card, to a repository of the Hugging Face hub (or into a folder)."""

    sae: tuple[str, ...] = ()
    """Registered SAEs (models:/NAME/VERSION or models:/NAME@seed-0), separated by commas; several get a folder each."""
    repository: str = ""
    """OWNER/NAME on the hub, made if it does not exist, or a folder; the token is read from HF_TOKEN."""
    format: str = "own"
    """own (config.json, model.safetensors) or saelens (cfg.json, sae_weights.safetensors)."""
    private: bool = True
    """Make a new repository private, and refuse one that is public."""
    revision: str = ""
    """Branch of the hub repository, made if it does not exist (empty: main)."""
    licence: str = ""
    """Licence of the SAEs (empty: that of the encoder's weights, as its card states it)."""


@dataclass(frozen=True, kw_only=True)
class PullConfig:
    """Pull an SAE from a repository of the Hugging Face hub, a folder or a file, whoever made it, and register it."""

    repository: str = ""
    """OWNER/NAME on the hub, a folder, or a state dict of the authors' TopKSAE (.pt, .safetensors)."""
    path: str = ""
    """Folder or file of the SAE within the repository, where it holds several."""
    revision: str = ""
    """Branch, tag or commit on the hub (empty: main)."""
    k: int | None = None
    """Active latents a sample, where the file does not say it (a state dict)."""
    encoder: str = ""
    """Encoder whose activations it reads (empty: as its files say)."""
    layer: int | None = None
    """Block whose output it reads (empty: as its files say)."""
    dataset: str = ""
    """Dataset it was trained on (empty: as its files say)."""
    seed: int | None = None
    """Seed it was trained with (empty: as its files say, or unknown)."""


@dataclass(frozen=True, kw_only=True)
class SweepConfig(RunConfig):
    """Sweep k and expansion: dead share, FVU, agreement of seeds and of encoders, and which cell suffices."""

    k: tuple[int, ...] = (8, 16, 32, 64, 128)  # type: ignore[assignment]  # several values instead of one
    """Numbers of active latents a sample, separated by commas; those that reach a layer's width are left out."""
    expansion: tuple[int, ...] = (4, 8, 16)  # type: ignore[assignment]
    """Sizes of the dictionary in multiples of the layer's width, separated by commas."""
    folds: int | None = None
    """Folds of the cross-fitted value."""
    min_count: int | None = None
    """Empty the features that are active on fewer of the compared samples (0: none)."""


@dataclass(frozen=True, kw_only=True)
class StatusConfig:
    """Show what is done, what is running (and whether it is alive), what failed, and what takes how much disk."""


@dataclass(frozen=True, kw_only=True)
class GcConfig:
    """List caches that nobody used for a while and artifacts without a run; with delete=true, remove them."""

    days: int = 30
    """Keep caches that were used within so many days (0: only those used within the hour, or by a running job)."""
    delete: bool = False
    """Remove what is listed."""


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """Compare every artifact of every finished run, and every registered SAE, with its hash; exit code 1 on damage."""


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Write finished comparisons as an HTML report, as Markdown and as LaTeX tables."""

    runs: tuple[str, ...] = ()
    """Suites or ids of compare runs, separated by commas (empty: the newest of every suite and dataset)."""
    output: str = "report"
    """Folder to write report.html, report.md, report.tex and tables.tex into; files of these names are replaced."""
