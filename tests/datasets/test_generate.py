import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark.catalog import DatasetCard
from benchmark.datasets import generate
from benchmark.errors import InputError, WorkError


def card(kind="scenes", size=60, seed=3, name="tiny") -> DatasetCard:
    return DatasetCard(name=name, kind=kind, size=size, seed=seed)


@pytest.mark.parametrize("kind", ["scenes", "blooms"])
def test_generated_samples_are_those_of_the_generator(make, kind):
    from importlib import import_module

    data = make.load(card(kind))
    assert data.ids[:2] == ["tiny-3-000000", "tiny-3-000001"] and len(data) == len(data.factors) == 60
    for i in (0, 17, 59):
        image, caption, factors = import_module(f"benchmark.datasets.{kind}").sample(3, i)
        assert (np.asarray(data[i].image) == image).all() and data[i].image.mode == "RGB"
        assert data[i].caption == caption and data.factors.iloc[i].to_dict() == factors


def test_another_process_draws_the_same_samples(make):
    data = make.load(card())
    script = (
        "import sys; from pathlib import Path; from benchmark.catalog import DatasetCard\n"
        "from benchmark.datasets import load_dataset\n"  # no main guard: none is needed
        "card = DatasetCard(name='tiny', kind='scenes', size=60, seed=3)\n"
        "data = load_dataset(card, cache=Path(sys.argv[1]), progress=False)\n"
        "print(data.fingerprint, data.content_hash)"
    )
    other = subprocess.run(
        [sys.executable, "-c", script, str(make.cache.with_name("other"))], capture_output=True, text=True, check=True
    )
    assert other.stdout.split() == [data.fingerprint, data.content_hash]


def test_a_second_load_draws_nothing(make, monkeypatch):
    first = make.load(card())

    def forbidden(*args, **more):
        raise AssertionError("drawn again")

    monkeypatch.setattr(generate, "draw", forbidden)
    second = make.load(card())
    assert first.content_hash == second.content_hash and first.factors.equals(second.factors)
    with pytest.raises(AssertionError, match="drawn again"):
        make.load(card(seed=4))


def test_max_samples_takes_the_first_samples(make):
    few, all_ = make.load(card(), max_samples=20), make.load(card(), max_samples=1000)
    assert len(few) == 20 and len(all_) == 60
    assert few.ids == all_.ids[:20] and few.captions() == all_.captions()[:20]
    assert (np.asarray(few[19].image) == np.asarray(all_[19].image)).all()
    assert (few.heldout == all_.heldout[:20]).all()


def test_every_sample_is_its_own_group(make):
    assert make.load(card()).groups.tolist() == list(range(60))


def test_seeds_and_captions_change_the_hashes(make):
    one, two = make.load(card()), make.load(card(seed=4))
    assert one.content_hash != two.content_hash and one.fingerprint != two.fingerprint


def test_a_truncated_file_is_drawn_anew(make):
    before = make.load(card())
    (path,) = make.cache.glob("datasets/*/samples.parquet")
    path.write_bytes(path.read_bytes()[:-50])
    assert make.load(card()).content_hash == before.content_hash
    assert not list(path.parent.glob("*.part"))


def test_images_damaged_after_loading_are_never_returned(make):
    data = make.load(card())
    (path,) = make.cache.glob("datasets/*/samples.parquet")
    raw = bytearray(path.read_bytes())
    at = raw.index(data[7].image.tobytes())
    raw[at + 100] ^= 255
    path.write_bytes(raw)
    again = make.load(card())
    with pytest.raises(WorkError, match="damaged"):
        again[7]


@pytest.mark.parametrize(("size", "seed"), [(0, 0), (-5, 0), (5, -1)])
def test_impossible_sizes_and_seeds_are_refused(make, size, seed):
    with pytest.raises(InputError, match="size of at least 1 and a seed of at least 0"):
        make.load(card(size=size, seed=seed))


def test_a_change_of_any_module_that_draws_redraws():
    folder = Path(generate.__file__).parent
    seen, waiting = set(), ["scenes", "blooms"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        found = re.findall(r"^from benchmark\.datasets\.(\w+) import", (folder / f"{name}.py").read_text(), re.M)
        waiting += found
    assert seen | {"generate"} == set(generate.DRAWING)
