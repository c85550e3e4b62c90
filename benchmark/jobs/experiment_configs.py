"""The parameters of the commands that answer one question each, see `benchmark.jobs.configs`."""

from dataclasses import dataclass

from benchmark.jobs.configs import RunConfig


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig(RunConfig):
    """Parameters that the commands for single questions share."""

    permutations: int | None = None
    """Permutations of the chance level (19 or more give a p-value)."""
    folds: int | None = None
    """Folds of the cross-fitted value."""
    min_count: int | None = None
    """Empty the features that are active on fewer of the compared samples (0: none)."""


@dataclass(frozen=True, kw_only=True)
class LayersConfig(ExperimentConfig):
    """Compare every layer with every layer: image with text encoders (two encoders: these), each with itself."""

    layers: str = "all"
    """all, or two block indices or more separated by commas."""


@dataclass(frozen=True, kw_only=True)
class ReproduceConfig(LayersConfig):
    """Repeat the first experiments of arXiv 2507.18512: its figures beside ours, layers, distinguishing features."""

    image: str = ""
    """Image tower of a contrastive pair among the encoders, in the part of CLIP (empty: CLIP's, or the first)."""
    vision: str = ""
    """Vision-only encoder in the part of DINOv2 (empty: DINOv2, a self-supervised one, or the first)."""
    language: str = ""
    """Text-only encoder in the part of BERT (empty: BERT, or the first)."""


@dataclass(frozen=True, kw_only=True)
class SharednessConfig(ExperimentConfig):
    """Find the features of M that encoders G share and encoders H lack (Comparative Sharedness), and what they are.

    Groups are names of encoders or classes: vision, text, vlm (image or text towers, as M), vlm-image, vlm-text.
    """

    question: str = "text-vs-vision"
    """Groups where none are given: text-vs-vision (M=vlm, G=text, H=vision), or vlm-vs-vision (G=vlm instead)."""
    source: tuple[str, ...] = ()
    """M: each encoder gets an answer of its own (empty: as the question says)."""
    shared_with: tuple[str, ...] = ()
    """G: encoders that should all share a feature (empty: as the question says)."""
    absent_from: tuple[str, ...] = ()
    """H: encoders of which none should have it (empty: as the question says)."""
    beside: tuple[str, ...] = ()
    """A second G: does it share the same features? (empty: that of the other question; none: do not ask)"""


@dataclass(frozen=True, kw_only=True)
class StabilityConfig(ExperimentConfig):
    """Measure how far seeds agree: features, decoders, top lists and rankings, and what difference can be trusted."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of the SAEs (initial weights and order of samples), separated by commas; the more, the surer."""
    separate: bool = True
    """Train SAEs that differ in initial weights alone, and in the order of samples alone, too (three times as many)."""


@dataclass(frozen=True, kw_only=True)
class ConsistencyConfig(ExperimentConfig):
    """Compare datasets at equal numbers of samples: matrices, kinds of shared features, and which one aligns most."""

    datasets: tuple[str, ...] = ("scenes", "blooms")
    """Datasets to compare (cards or paths as for `dataset`, which stays empty), separated by commas."""


@dataclass(frozen=True, kw_only=True)
class DriftConfig(ExperimentConfig):
    """Ask whether wMPPC and Comparative Sharedness change with the data by more than seeds and samples explain.

    SAEs are trained on every variant of the suite's dataset that has none yet.
    """

    variants: tuple[str, ...] = ()
    """Changes (flip, crop, colour, flip+crop; procedural data: redraw, shift) or datasets (empty: every change)."""
    source: tuple[str, ...] = ()
    """M of Comparative Sharedness, encoders or classes (empty: vlm); see sharedness."""
    shared_with: tuple[str, ...] = ()
    """G (empty: text)."""
    absent_from: tuple[str, ...] = ()
    """H (empty: vision)."""


@dataclass(frozen=True, kw_only=True)
class SelectConfig(ExperimentConfig):
    """Rank image-text pairs by what each adds to cross-modal wMPPC, and measure whether that finds wrong pairs."""

    keep: float = 0.8
    """Share of the pairs, those with the highest contributions, that is marked as kept."""
    rates: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    """Shares of the captions that are moved to other images, to be found again, separated by commas."""
    draws: int = 10
    """How often captions are moved at each rate."""
    retrain: bool = False
    """Train a small contrastive pair on filtered, random and right pairs too (about ten minutes of a core)."""


@dataclass(frozen=True, kw_only=True)
class NameConfig(RunConfig):
    """Name features by words of captions and by what a contrastive pair sees in images; say how good the names are."""

    pair: str = ""
    """Encoder card of open_clip whose checkpoint reads images and words (empty: the suite's first one); none."""


@dataclass(frozen=True, kw_only=True)
class HealthConfig(RunConfig):
    """Check encoders, SAEs and data for signs that a comparison cannot be trusted: ok, warn or fail, with advice."""

    folds: int | None = None
    """Folds of the cross-fitted value."""
    min_count: int | None = None
    """Empty the features that are active on fewer of the compared samples (0: none)."""
