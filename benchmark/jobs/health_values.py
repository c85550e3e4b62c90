"""What `health` measures of a suite: its data, its features, and encoders against each other layer by layer."""

import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from benchmark.features import Features
from benchmark.health import Check, judged
from benchmark.jobs.compare_units import recorded
from benchmark.jobs.experiment import Material
from benchmark.jobs.memory import memory_budget
from benchmark.jobs.sides import Layers, Side, loaded_pairs
from benchmark.metrics import crossfit_both, crossfit_by_layer
from benchmark.metrics.caveats import ENOUGH_SAMPLES
from benchmark.metrics.trivial import commonest_share, everywhere_weight

DATA = "data"
FEW = 5000
"""Groups of samples from which weak sharing is found (docs/validity.md: 0 of 20 worlds at 5,000, most at 20,000)."""
COPIES = (0.05, 0.5)
"""Share of samples with a copy in another group. Copies on both sides of a fold share by themselves: with independent
random codes (5,000 samples, 768 features, 8 active) 0.006 at a share of 0.05 and 0.046 at 0.5."""
TRIVIAL = (0.1, 0.5)
"""Share of S in features that fire everywhere: by that share wMPPC is about them."""
SAME_CODE = (0.05, 0.5)
"""Share of samples with one and the same code, beyond those with one and the same input."""


def data_checks(material: Material) -> list[Check]:
    """Return the checks of the compared samples: few-samples, duplicate-images, repeated-captions."""
    dataset, rows = material.dataset, material.compared
    groups = dataset.groups[rows]
    count = len(np.unique(groups))
    few = judged(
        "few-samples", DATA, float(-count), f"{count:,} independent samples are compared.",
        f"Below {ENOUGH_SAMPLES:,} no measure recovers what is shared, and below {FEW:,} no weak sharing.",
        warn=-FEW, fail=-ENOUGH_SAMPLES,
    )  # fmt: skip
    # Too few are too much of nothing: the limits are lower ones.
    found = [few._replace(value=float(count), limit=-few.limit)]
    if dataset.has_images:
        share = copies(dataset.image_numbers[rows], groups)
        found.append(judged(
            "duplicate-images", DATA, share, f"{share:.1%} of the samples have an image that another group has.",
            "Drop the copies, or name a column in the dataset's card that groups them (`group`).",
            warn=COPIES[0], fail=COPIES[1],
        ))  # fmt: skip
    if dataset.has_captions:
        captions = dataset.captions()
        share = copies([captions[i] for i in rows], groups)
        found.append(judged(
            "repeated-captions", DATA, share, f"{share:.1%} of the samples have a caption that another group has.",
            "Text encoders see these samples twice: group them by caption (`group:` in the dataset's card).",
            warn=COPIES[0], fail=COPIES[1],
        ))  # fmt: skip
    return found


def copies(contents: ArrayLike, groups: NDArray[np.int64]) -> float:
    """Return the share of samples whose content (N,) some other group (N,) has too."""
    content = np.unique(np.asarray(contents, dtype=object).astype(str), return_inverse=True)[1]
    pairs = np.unique(np.stack([content, groups]), axis=1)[0]
    return float((np.bincount(pairs)[content] > 1).mean())


def feature_checks(material: Material, encoder: str) -> list[Check]:
    """Return the checks of an encoder's recorded features: trivial-features and same-code, its worst layer and seed."""
    dataset, rows = material.dataset, material.compared
    modality = material.encoders[encoder].modality
    inputs = dataset.image_numbers[rows].tolist() if modality == "image" and dataset.has_images else None
    if modality == "text" and dataset.has_captions:
        captions = dataset.captions()
        inputs = [captions[i] for i in rows]
    expected = max(Counter(inputs).values()) / len(inputs) if inputs else 0.0
    figures = [
        (everywhere_weight(features), commonest_share(features) - expected, f"layer {layer}, seed {seed}", layer)
        for seed in material.plan.suite.seeds
        for layer, features in material.load(encoder, seed).items()
    ]
    last = max(layer for *_, layer in figures)
    trivial = max(figures, key=lambda item: -1 if np.isnan(item[0]) else item[0])
    same = max(figures, key=lambda item: item[1])
    later = "Try later layers (layers=last), " if trivial[3] < last else "It is the last layer already: "
    return [
        judged(
            "trivial-features", encoder, trivial[0],
            f"features that fire on over 90 % of the samples hold {trivial[0]:.0%} of all activation.",
            f"{later}start b_dec at the mean (training: b_dec=mean), or lower k: what fires everywhere tells no sample "
            "from another.",
            warn=TRIVIAL[0], fail=TRIVIAL[1], where=trivial[2],
        ),
        judged(
            "same-code", encoder, same[1],
            f"{same[1] + expected:.0%} of the samples have one and the same code ({expected:.1%} one input).",
            "Check the encoder's token rule: a token that cannot see the input (the start token of a causal text "
            "encoder) gives one vector for all samples; later layers may do too little with it.",
            warn=SAME_CODE[0], fail=SAME_CODE[1], where=same[2],
        ),
    ]  # fmt: skip


def layer_values(material: Material) -> pd.DataFrame:
    """Return the cross-fitted value of every encoder's layers with every other encoder, under the first seeds.

    Columns: source, layer, target, value, low, high.
    """
    seed, rows = material.plan.suite.seeds[0], []
    sides: list[tuple[Side, Side]] = [((a, seed), (b, seed)) for a, b in itertools.combinations(material.encoders, 2)]
    columns = ["source", "layer", "target", "value", "low", "high"]
    for a, b, left, right in tqdm(
        _loaded(material, sides), "compare", len(sides), unit="pair", mininterval=0.5, disable=not sides
    ):
        if left and right:
            fits = crossfit_by_layer(list(left.values()), list(right.values()), folds=material.plan.suite.folds)
            for source, target, own, found in ((a, b, left, fits[0]), (b, a, right, fits[1])):
                rows += [(source[0], i, target[0], f.value, f.low, f.high) for i, f in zip(own, found, strict=True)]
    return pd.DataFrame(rows, columns=columns)


def own_values(material: Material) -> pd.DataFrame:
    """Return the cross-fitted value between the first two seeds of each encoder at its last layer, mean of both ways.

    Columns: source, value, floor (the same between its SAEs before training, NaN if they were not recorded).
    """
    seeds, rows = material.plan.suite.seeds, []
    sides: list[tuple[Side, Side]] = [((name, seeds[0]), (name, seeds[1])) for name in material.encoders
                                      if len(seeds) > 1]  # fmt: skip
    values = _between(material, sides, untrained=False)
    floors = _between(material, sides, untrained=True) if material.plan.suite.untrained else {}
    for name, value in values.items():
        rows.append((name, value, floors.get(name, np.nan)))
    return pd.DataFrame(rows, columns=["source", "value", "floor"])


def _between(material: Material, sides: list[tuple[Side, Side]], *, untrained: bool) -> dict[str, float]:
    found = {}
    title = "seeds before training" if untrained else "seeds"
    for a, _, left, right in tqdm(
        _loaded(material, sides, untrained=untrained), title, len(sides), unit="encoder", disable=not sides
    ):
        if left and right:
            fits = crossfit_both(left[max(left)], right[max(right)], folds=material.plan.suite.folds, resamples=0)
            found[a[0]] = (fits[0].value + fits[1].value) / 2
    return found


def _loaded(
    material: Material, sides: list[tuple[Side, Side]], *, untrained: bool = False
) -> Iterator[tuple[Side, Side, Layers, Layers]]:
    """Yield pairs of sides with the layers that are active at all; `dead-latents` speaks for the others."""
    files = recorded(material.trained, len(material.dataset), untrained=True) if untrained else material.sides
    for a, b, left, right in loaded_pairs(
        sides, files, material.compared, min_count=material.plan.suite.min_count, budget=memory_budget("cpu")
    ):
        yield a, b, _active(left), _active(right)


def _active(layers: dict[int, Features]) -> Layers:
    return {layer: features for layer, features in layers.items() if features.weights.any()}
