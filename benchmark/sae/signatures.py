"""Signs that one SAE cannot be trusted, told from its figures; `docs/sae.md` has the planted data behind the limits."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike

from benchmark.signature import Signature

DEAD = 0.5
"""Share of dead latents. With 512 latents for 256 planted atoms 43 % may be dead and all atoms found, at 71 % few."""
RARE = 0.5
"""Share of rare latents. Where 64 % are rare two seeds agree on 0.02 of their features, at 39 % still on 0.93."""
OFFSET = 0.1
"""Share of the variance that the mean error makes up: below 0.005 wherever planted atoms were found."""
FALL = 0.05
"""Share by which the loss still falls in the last tenth of the steps: 0.07 where twice the passes find the rest of the
planted atoms, below 0.02 where more passes change nothing."""
LEAST_STEPS = 20
"""A shorter curve says nothing about its end."""


def loss_fall(curve: ArrayLike, rates: ArrayLike | None = None) -> float:
    """Return by what share the mean loss of the last tenth of the steps lies below that of the tenth before.

    Args:
        curve: (n,) loss of every step.
        rates: (n,) step size of every step: those behind the last one at full size are left out, as the loss falls with
            the step size.

    Returns:
        NaN for fewer than `LEAST_STEPS` steps and for a loss of 0.
    """
    losses = np.asarray(curve, np.float64)
    if rates is not None and len(losses):
        size = np.asarray(rates)
        losses = losses[: np.flatnonzero(size == size.max())[-1] + 1]
    if len(losses) < LEAST_STEPS:
        return float("nan")
    tenth = len(losses) // 10
    before, last = losses[-2 * tenth : -tenth].mean(), losses[-tenth:].mean()
    return float(1 - last / before) if before else float("nan")


def sae_signatures(figures: Mapping[str, float], subject: str) -> list[Signature]:
    """Return what is wrong with one SAE.

    Args:
        figures: the fields of `Quality`, `k`, `n_latents` and `loss_fall` by name; a figure that is missing or NaN
            raises no signature, but an FVU of NaN does: nothing varies.
        subject: how to call the SAE.
    """
    found = [*_reconstruction(figures, subject), *_latents(figures, subject)]
    fall = _of(figures, "loss_fall")
    if fall > FALL:
        found.append(Signature(
            "loss-falling", subject, fall, FALL, f"the loss still fell by {fall:.1%} in the last tenth of the steps.",
            "Train longer (epochs, more samples, tokens) or with a larger learning_rate.",
        ))  # fmt: skip
    return found


def _reconstruction(figures: Mapping[str, float], subject: str) -> Iterator[Signature]:
    fvu, pca, offset, k = (_of(figures, name) for name in ("fvu", "pca_fvu", "offset", "k"))
    if "fvu" in figures and math.isnan(fvu):
        yield Signature(
            "constant-activations", subject, fvu, math.nan, "all activations are equal, so there is no FVU.",
            "Check the encoder's token rule and its input: every sample gives the same vector.",
        )  # fmt: skip
    if fvu >= 1:
        yield Signature(
            "worse-than-mean", subject, fvu, 1.0, f"FVU is {fvu:.2f}: predicting the mean (1) is no worse.",
            "Train longer, raise learning_rate, or start b_dec at the mean (training: b_dec=mean).",
        )  # fmt: skip
    elif fvu >= pca:
        yield Signature(
            "no-better-than-pca", subject, fvu, pca,
            f"FVU is {fvu:.3f}, and PCA with k = {k:.0f} components leaves {pca:.3f}.",
            "Train longer or raise learning_rate; as it is, the dictionary tells less than as many linear axes.",
        )  # fmt: skip
    if offset > OFFSET:
        yield Signature(
            "offset", subject, offset, OFFSET, f"the mean of the error alone is {offset:.2f} of the variance.",
            "A better b_dec alone would remove it: start at the mean (training: b_dec=mean), or train longer.",
        )  # fmt: skip


def _latents(figures: Mapping[str, float], subject: str) -> Iterator[Signature]:
    dead, rare = _of(figures, "dead"), _of(figures, "rare")
    if dead > DEAD:
        yield Signature(
            "dead-latents", subject, dead, DEAD, f"{dead:.0%} of the latents are active on no sample.",
            "Lower learning_rate, start b_dec at the mean (training: b_dec=mean), revive latents (training: "
            "aux_k=64), raise k or lower expansion.",
        )  # fmt: skip
    if rare > RARE:
        yield Signature(
            "rare-latents", subject, rare, RARE, f"{rare:.0%} of the latents are active on fewer than ten samples.",
            "Use more samples, a larger k or a smaller expansion: so few firings identify no partner.",
        )  # fmt: skip


def _of(figures: Mapping[str, float], name: str) -> float:
    return float(figures.get(name, math.nan))
