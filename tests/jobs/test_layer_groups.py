"""Groups keep the order, fit the budget where that can be, and are as few as that allows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.jobs.layer_groups import layer_groups, training_bytes
from benchmark.sae import TopKSAE

sizes = st.lists(st.integers(1, 50), max_size=12).map(lambda found: dict(enumerate(found)))


@given(sizes, st.integers(0, 120))
def test_groups_keep_the_order_and_fit_the_budget_unless_one_is_larger_alone(sizes, budget):
    groups = layer_groups(sizes, budget)
    assert sum(groups, []) == list(sizes) and all(groups)
    for group in groups:
        assert sum(sizes[key] for key in group) <= budget or len(group) == 1
    for group, following in zip(groups, groups[1:], strict=False):
        assert sum(sizes[key] for key in group) + sizes[following[0]] > budget, "no group ends early"


def test_what_fits_together_is_one_group():
    assert layer_groups({0: 3, 5: 4, 11: 3}, 10) == [[0, 5, 11]]
    assert layer_groups({0: 3, 5: 4, 11: 3}, 9) == [[0, 5], [11]]
    assert layer_groups({0: 30, 5: 4}, 9) == [[0], [5]]
    assert layer_groups({}, 9) == []


@pytest.mark.parametrize(("width", "n_latents"), [(12, 96), (7, 21)])
def test_training_bytes_are_those_of_the_tensors(width, n_latents):
    sae = TopKSAE(width, n_latents, 3, seed=0)
    adam = torch.optim.Adam(sae.parameters(), fused=True)
    x = torch.randn(5, width)
    (sae(x) - x).square().mean().backward()
    adam.step()
    kept = [tensor for p in sae.parameters() for tensor in (p, p.grad, *adam.state[p].values()) if tensor.dim()]
    assert sum(tensor.nbytes for tensor in kept) == training_bytes(width, n_latents)


def test_the_papers_large_encoders_are_what_the_design_reckons():
    assert 48 * training_bytes(1024, 8192) == pytest.approx(12.9e9, rel=0.01)  # 24 layers, 2 seeds
