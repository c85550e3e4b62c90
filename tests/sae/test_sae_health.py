"""Checks of SAEs: the worst layer and seed speaks, and each planted failure fails its own check only."""

import math

import pytest

from benchmark.health import FAIL, OK, WARN
from benchmark.sae.health_checks import FIGURES, sae_checks

GOOD = {"fvu": 0.2, "pca_fvu": 0.76, "offset": 0.001, "dead": 0.1, "rare": 0.2, "k": 8.0, "loss_fall": 0.005}


def saes(*changes):
    return [GOOD | {"layer": float(i), "seed": 0.0} | change for i, change in enumerate(changes)]


def test_good_saes_pass_every_check_with_their_worst_figure():
    found = {item.check: item for item in sae_checks(saes({}, {"dead": 0.3}), "vit")}
    assert list(found) == list(FIGURES) and {item.status for item in found.values()} == {OK}
    assert (found["dead-latents"].value, found["dead-latents"].where) == (0.3, "layer 1, seed 0")
    assert found["dead-latents"].limit == 0.5 and found["no-better-than-pca"].limit == 0.76


@pytest.mark.parametrize(
    ("change", "check", "status"),
    [
        ({"dead": 0.6}, "dead-latents", WARN),
        ({"dead": 0.95}, "dead-latents", FAIL),
        ({"rare": 0.6}, "rare-latents", WARN),
        ({"offset": 0.2}, "offset", WARN),
        ({"loss_fall": 0.07}, "loss-falling", WARN),
        ({"fvu": 0.8}, "no-better-than-pca", WARN),
        ({"fvu": 1.3}, "worse-than-mean", FAIL),
        ({"fvu": math.nan, "pca_fvu": math.nan}, "constant-activations", FAIL),
    ],
)
def test_each_planted_failure_is_found_once(change, check, status):
    found = sae_checks(saes({}, change, {}), "vit")
    bad = [item for item in found if item.status != OK]
    assert [(item.check, item.status, item.subject) for item in bad] == [(check, status, "vit")]
    assert bad[0].where == "layer 1, seed 0 (1 of 3 SAEs)" and bad[0].sentence and bad[0].advice
