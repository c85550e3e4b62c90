import numpy as np

from benchmark.pretraining.evaluate import PROBED, probe_factor


def test_a_probe_finds_what_is_there_and_only_the_majority_where_nothing_is():
    noise = np.random.default_rng(0)
    values = noise.choice(["a", "b"], 600, p=[0.7, 0.3])
    tested = np.arange(600) % 2 == 1
    vectors = noise.normal(size=(600, 4))
    blind, majority = probe_factor(vectors, values, tested)
    vectors[:, 2] += np.where(values == "a", 6.0, 0.0)
    seeing, same = probe_factor(vectors, values, tested)
    assert seeing > 0.97 and majority == same == max(np.mean(values[tested] == "a"), np.mean(values[tested] == "b"))
    assert abs(blind - majority) < 0.06


def test_the_probe_is_scored_on_samples_it_has_not_seen():
    noise = np.random.default_rng(1)
    vectors, values = noise.normal(size=(200, 150)), noise.choice(["a", "b"], 200)
    accuracy, _ = probe_factor(vectors, values, np.arange(200) % 2 == 1)
    assert accuracy < 0.7  # 150 dimensions fit 100 random labels perfectly


def test_the_probed_factors_exist():
    from benchmark.datasets.blooms import FACTORS as BLOOMS
    from benchmark.datasets.scenes import FACTORS as SCENES

    assert set(PROBED["scenes"]) <= set(SCENES) and set(PROBED["blooms"]) <= set(BLOOMS)
