"""Do two SAEs of the same activations hold the same decoder directions? For seeds, in the space of the weights."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class DecoderMatch(NamedTuple):
    """One-to-one partners of two dictionaries."""

    cosine: NDArray[np.float64]
    """(m,) cosine of each direction of the first dictionary with its partner; NaN without one (a smaller second)."""
    partner: NDArray[np.int64]
    """(m,) its partner in the second dictionary, -1 without one."""

    def share(self, threshold: float = 0.7) -> float:
        """Return the share of the first dictionary's directions with a partner at a cosine above `threshold`.

        Paulo and Belrose (arXiv 2501.16615) call a latent shared between seeds above 0.7; they ask it of encoder and
        decoder weights both, so match each of the two and combine where that is meant.
        """
        return float(np.mean(np.nan_to_num(self.cosine, nan=-1.0) > threshold))


def match_decoders(first: ArrayLike, second: ArrayLike) -> DecoderMatch:
    """Return the one-to-one partners with the highest sum of cosines (the Hungarian assignment).

    first (m, d) and second (n, d) are decoder directions, one a row, in the space of the same activations. Rows of
    zeros have cosine 0 with everything. Costs about m^3 operations at worst.

    Raises ValueError for arrays that do not fit or are not finite.
    """
    from scipy.optimize import linear_sum_assignment

    a, b = _directions(first, "first"), _directions(second, "second")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"decoders of different widths cannot be compared: {a.shape} against {b.shape}.")
    cosines = a @ b.T
    rows, columns = linear_sum_assignment(cosines, maximize=True)
    cosine, partner = np.full(len(a), np.nan), np.full(len(a), -1)
    cosine[rows], partner[rows] = cosines[rows, columns], columns
    return DecoderMatch(cosine, partner)


def shared_latents(decoder: DecoderMatch, encoder: DecoderMatch, threshold: float = 0.7) -> NDArray[np.bool_]:
    """Return which latents (m,) of a dictionary are shared with another by encoder and decoder.

    Both matchings, of decoder rows and of encoder rows, choose the same partner, and both cosines are above the
    threshold: our reading of Paulo and Belrose (arXiv 2501.16615), who ask for encoder and decoder.

    Raises ValueError for matchings of dictionaries of different sizes.
    """
    if decoder.partner.shape != encoder.partner.shape:
        raise ValueError(f"matchings of {len(decoder.partner)} and of {len(encoder.partner)} latents do not fit.")
    cosine = np.minimum(np.nan_to_num(decoder.cosine, nan=-1.0), np.nan_to_num(encoder.cosine, nan=-1.0))
    return (decoder.partner == encoder.partner) & (cosine > threshold)


def pw_mcc(decoders: Sequence[ArrayLike]) -> float:
    """Return the pairwise dictionary mean correlation coefficient over all pairs of runs.

    Song et al. (arXiv 2505.20254): for a pair of dictionaries the mean cosine over one-to-one partners, then the mean
    over pairs; they report 0.80 for TopK SAEs on a language model. Random dictionaries are above 0, the more so the
    larger they are for their width: compare with untrained ones.

    Raises ValueError for fewer than two dictionaries or different shapes.
    """
    shapes = {np.shape(decoder) for decoder in decoders}
    if len(decoders) < 2 or len(shapes) > 1:
        raise ValueError(f"PW-MCC needs two or more decoders of one shape, got {len(decoders)} of {sorted(shapes)}.")
    return float(np.mean([match_decoders(a, b).cosine.mean() for a, b in combinations(decoders, 2)]))


def _directions(decoder: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(decoder, np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"the {name} decoder must have shape (m, d), got {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"the {name} decoder holds a value that is not finite.")
    array = array / np.maximum(np.abs(array).max(1, keepdims=True), np.finfo(np.float64).tiny)  # squares overflow
    length = np.linalg.norm(array, axis=1, keepdims=True)
    return array / np.where(length > 0, length, 1)
