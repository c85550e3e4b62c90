"""Claims about both procedural datasets: determinism, planted factors, captions that say what says_* claims."""

import hashlib
import json
import math
import pickle
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from benchmark.datasets import bloom_captions, blooms, scene_captions, scenes
from benchmark.datasets.procedural import Draws, cosines
from benchmark.errors import InputError

MODULES = {"scenes": (scenes, scene_captions), "blooms": (blooms, bloom_captions)}
DIGESTS = {
    "scenes": "6a44da3ee8a1ba7a74de25ef9ea2b160",
    "blooms": "2ba9005211abec5194ae5ce03d338676",
}
N = 2000
NUISANCE_WORDS = """
stripe striped stripes check checks checked dot dots dotted texture textured light lit dim bright noise
noisy grainy gradient left right row column background soil earth sky blurred bokeh rotated turned scale
"""


@pytest.fixture(scope="module", params=list(MODULES))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def samples(name):
    return [MODULES[name][0].sample(0, index) for index in range(N)]


def mentions(caption, phrases):
    """Count the phrases in a caption as whole words, the longest first; also return the caption without them."""
    text, count = f" {caption.replace(',', ' ,').replace(' ', '  ')} ", 0
    for phrase in sorted(phrases, key=len, reverse=True):
        pieces = text.split(f" {phrase.replace(' ', '  ')} ")
        count += len(pieces) - 1
        text = " | ".join(pieces)
    return count, " ".join(text.replace(" ,", ",").split())


def plurals(phrases):
    return {ending for p in phrases for ending in (p, p + "s", p + "es")}


def cramers_v(a, b):
    """Bias-corrected Cramer's V of two categorical columns (Bergsma 2013)."""
    table = np.zeros((len(set(a)), len(set(b))))
    rows, columns = ({v: i for i, v in enumerate(sorted(set(c)))} for c in (a, b))
    for x, y in zip(a, b, strict=True):
        table[rows[x], columns[y]] += 1
    n, (r, k) = table.sum(), table.shape
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / n
    phi = max(0.0, ((table - expected) ** 2 / expected).sum() / n - (r - 1) * (k - 1) / (n - 1))
    r, k = r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)
    return math.sqrt(phi / min(r - 1, k - 1))


def test_the_first_samples_have_the_same_bytes_on_every_machine(name, samples):
    digest = hashlib.blake2b(digest_size=16)
    for sample in samples[:200]:
        digest.update(sample.image.tobytes())
        digest.update(json.dumps([sample.caption, sample.factors]).encode())
    assert digest.hexdigest() == DIGESTS[name]


def test_a_sample_depends_on_seed_and_index_only(name, samples):
    module = MODULES[name][0]
    for index in (1999, 3, 700, 3):
        again = module.sample(0, index)
        assert np.array_equal(again.image, samples[index].image)
        assert again[1:] == samples[index][1:]
        assert not np.array_equal(module.sample(1, index).image, again.image)
    assert pickle.loads(pickle.dumps(module.sample)) is module.sample


def test_a_changed_result_does_not_change_later_samples(name, samples):
    module = MODULES[name][0]
    module.sample(0, 5).image[:] = 0
    assert np.array_equal(module.sample(0, 5).image, samples[5].image)


def test_images_are_rgb_bytes_and_all_differ(samples):
    assert {(s.image.shape, s.image.dtype) for s in samples} == {((48, 48, 3), np.dtype(np.uint8))}
    assert len({s.image.tobytes() for s in samples}) == N


def test_every_value_of_every_factor_occurs_and_no_other(name, samples):
    module, captions = MODULES[name]
    for factor, values in module.FACTORS.items():
        assert {s.factors[factor] for s in samples} == set(values), factor
    says = {f"says_{concept}" for concept in captions.SAYS}
    assert all(s.factors.keys() == module.FACTORS.keys() | says for s in samples)
    assert all(isinstance(s.factors[key], bool) for s in samples for key in says)


def test_captions_leave_each_concept_out_in_11_to_34_percent(name, samples):
    for concept in MODULES[name][1].SAYS:
        relevant = samples
        if concept == "second":
            relevant = [s for s in samples if s.factors["relation"] != "alone"]
        if concept == "colour2":
            relevant = [s for s in samples if s.factors["says_second"]]
        share = sum(s.factors[f"says_{concept}"] for s in relevant) / len(relevant)
        assert 0.66 < share < 0.89, (concept, share)


def test_captions_mention_no_nuisance_and_few_words(name, samples):
    words = Counter(word for s in samples for word in s.caption.replace(",", "").split())
    allowed = {"scenes": {"sky"}, "blooms": set()}[name]  # "under the night sky" is a place
    assert not (set(words) & set(NUISANCE_WORDS.split())) - allowed
    assert len(words) < 250
    assert all(s.caption == s.caption.lower() and "  " not in s.caption for s in samples)
    assert len({s.caption for s in samples}) > 0.95 * N


def test_the_caption_does_not_depend_on_the_nuisances(name, samples):
    for nuisance in MODULES[name][0].NUISANCES:
        values = [s.factors[nuisance] for s in samples]
        assert cramers_v(values, [s.caption.split()[0] for s in samples]) < 0.1
        assert cramers_v(values, [str(len(s.caption.split())) for s in samples]) < 0.1


def test_factors_are_independent(name, samples):
    # A second object excludes a count above one, by design.
    alone = [s for s in samples if s.factors.get("relation", "alone") == "alone"]
    pairs = [s for s in samples if s.factors.get("relation", "alone") != "alone"]
    for group in (alone, pairs) if pairs else (alone,):
        varying = [f for f in MODULES[name][0].FACTORS if len({s.factors[f] for s in group}) > 1]
        assert len(varying) >= 10
        for a, b in combinations(varying, 2):
            if {a, b} == {"colour", "colour2"}:
                continue  # never the same colour, by design
            assert cramers_v([s.factors[a] for s in group], [s.factors[b] for s in group]) < 0.11, (a, b)


def test_the_colours_of_two_objects_differ():
    for index in range(N):
        factors = scenes.sample(2, index).factors
        assert factors["colour"] != factors["colour2"]


def test_scene_captions_mention_a_concept_exactly_where_says_claims_it():
    phrases = scene_captions.PHRASES
    for index in range(N):
        _, caption, factors = scenes.sample(0, index)
        rest = caption
        for concept in ("place", "relation", "count", "size"):
            said = factors["says_second" if concept == "relation" else f"says_{concept}"]
            if concept in phrases and factors[concept] in phrases[concept]:
                found, _ = mentions(rest, phrases[concept][factors[concept]])
                assert found == said, (concept, caption)
            every = [p for values in phrases[concept].values() for p in values]
            found, rest = mentions(rest, every)
            assert found == said, (concept, caption)
        colours = [p for values in phrases["colour"].values() for p in values]
        assert mentions(rest, colours)[0] == factors["says_colour"] + factors["says_colour2"], caption
        for key in ("colour", "colour2"):
            if factors[f"says_{key}"]:
                assert mentions(rest, phrases["colour"][factors[key]])[0] == 1, caption
        shapes = plurals(p for values in phrases["shape"].values() for p in values)
        assert mentions(rest, shapes)[0] == 1 + factors["says_second"], caption
        assert mentions(rest, plurals(phrases["shape"][factors["shape"]]))[0] >= 1, caption


def test_bloom_captions_mention_a_concept_exactly_where_says_claims_it():
    phrases = bloom_captions.PHRASES
    for index in range(N):
        _, caption, factors = blooms.sample(0, index)
        rest = caption
        for concept in ("centre", "stem", "leaf", "petal_shape", "growth", "colour", "petals"):
            own = plurals(phrases[concept][factors[concept]])
            assert mentions(rest, own)[0] == factors[f"says_{concept}"], (concept, caption)
            found, rest = mentions(rest, plurals(p for values in phrases[concept].values() for p in values))
            assert found == factors[f"says_{concept}"], (concept, caption)


def test_cosines_are_exact():
    assert cosines() == tuple(round(math.cos(math.radians(degree)) * 2**14) for degree in range(360))


def test_draws_follow_their_weights_and_never_leave_their_range():
    draws = Draws(3, 4)
    counts = Counter(draws.weighted({"a": 1, "b": 3}) for _ in range(4000))
    assert 900 < counts["a"] < 1100
    assert {draws.below(3) for _ in range(200)} == {0, 1, 2}
    grain = draws.grain(48, 48)
    assert grain.min() == -128 and grain.max() == 127 and abs(grain.mean() + 0.5) < 3


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1)])
def test_negative_numbers_are_refused(name, seed, index):
    with pytest.raises(InputError, match="at least 0"):
        MODULES[name][0].sample(seed, index)
