"""Step size and active latents change as their settings say, and end where they say."""

import pytest

from benchmark.sae.schedule import active_latents, learning_rate
from benchmark.sae.settings import TrainConfig


def rates(total, **options):
    config = TrainConfig(learning_rate=1.0, **options)
    return [learning_rate(step, total, config) for step in range(total)]


def test_without_schedules_nothing_changes():
    assert rates(7) == [1.0] * 7
    assert {active_latents(step, 9, 5, TrainConfig()) for step in range(9)} == {5}


def test_the_step_size_rises_stays_and_falls_linearly():
    assert rates(10, warmup=0.4, decay=0.2) == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 0.5]
    assert rates(4, warmup=0.5, decay=0.5) == [0.5, 1, 1, 0.5]
    assert rates(3, decay=1.0) == pytest.approx([1, 2 / 3, 1 / 3])


@pytest.mark.parametrize("total", [1, 2, 3, 5])
def test_no_step_of_a_short_training_is_without_effect(total):
    assert all(0 < rate <= 1 for rate in rates(total, warmup=0.5, decay=0.5))


def test_k_falls_linearly_from_its_start_and_stays():
    config = TrainConfig(k_start=12, k_anneal=0.5)
    assert [active_latents(step, 8, 4, config) for step in range(8)] == [12, 10, 8, 6, 4, 4, 4, 4]
    assert active_latents(0, 1, 4, config) == 4, "a training of one step has no time to fall"
