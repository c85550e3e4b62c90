"""What a train run says of its features: the samples that activate each, captions, and thumbnails of the images.

The files lie in the run's artifacts: `feature_samples/L00.parquet` and `feature_summary/L00.parquet` of every layer,
`samples.parquet` and `thumbnails.parquet` for all layers together.
"""

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from registry.queries import table

SAMPLES = "samples.parquet"
THUMBNAILS = "thumbnails.parquet"


class Example(NamedTuple):
    """A sample that activates a feature."""

    caption: str
    """Cut, "" where there is none; untrusted text."""
    jpeg: bytes | None
    """Thumbnail of its image, None where none was kept."""


def samples_path(layer: int) -> str:
    """Return the artifact path of the samples of a layer's features within a train run."""
    return f"feature_samples/L{layer:02d}.parquet"


def summary_path(layer: int) -> str:
    """Return the artifact path of the summary of a layer's features within a train run."""
    return f"feature_summary/L{layer:02d}.parquet"


def feature_samples(run_id: str, layer: int, features: Iterable[int] | None = None) -> pd.DataFrame:
    """Return the samples of a layer's features (of some, or of all live ones) at several levels of activation.

    Columns: feature, level (top, then the quarters q75-100 to q0-25 of the feature's activations), rank (0: strongest
    of the level), row (in the dataset), value, id, group, caption (cut; "" where there is none; untrusted text) and
    image, the number of its image for `thumbnails` (-1: no thumbnail was kept).

    Raises ValueError when the run has no samples for this layer.
    """
    chosen = None if features is None else [("feature", "in", [int(i) for i in features])]
    found = table(run_id, samples_path(layer), chosen)
    rows = None if features is None else [("row", "in", found.row.unique().tolist())]
    return found.merge(table(run_id, SAMPLES, rows), on="row", how="left", validate="many_to_one")


def feature_summary(run_id: str, layer: int) -> pd.DataFrame:
    """Return one row per feature of a layer: feature, live, frequency, density, mean_active and S.

    live: not constant; frequency: samples on which it is active, and density their share; mean_active: its mean over
    them; S: its sum over all samples. Raises ValueError when the run has no summary of this layer.
    """
    return table(run_id, summary_path(layer))


def thumbnails(run_id: str, images: Iterable[int]) -> dict[int, bytes]:
    """Return the JPEG bytes of images by their number in `feature_samples`; numbers without a thumbnail are left out.

    Only the parts of the file that hold them are read. Raises ValueError when the run has no thumbnails at all, as
    after training on captions alone.
    """
    wanted = sorted({int(i) for i in images if i >= 0})
    found = table(run_id, THUMBNAILS, [("image", "in", wanted)])
    return dict(zip(found.image.tolist(), found.jpeg.tolist(), strict=True))


def feature_examples(run_id: str, layer: int, features: Iterable[int], count: int) -> dict[int, list[Example]]:
    """Return the samples that activate each of some features of a layer most, the strongest first.

    Raises ValueError when the run has no samples for this layer.
    """
    found = feature_samples(run_id, layer, features)
    found = found[(found.level == "top") & (found["rank"] < count)].sort_values(["feature", "rank"])
    try:
        small = thumbnails(run_id, found.image)
    except ValueError:  # captions alone
        small = {}
    examples: dict[int, list[Example]] = {}
    for feature, caption, image in zip(found.feature, found.caption, found.image, strict=True):
        examples.setdefault(int(feature), []).append(Example(caption, small.get(image)))
    return examples
