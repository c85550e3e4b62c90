from pathlib import Path

import pytest
from dataset_files import png

from benchmark.catalog import DatasetCard, cards
from benchmark.datasets import load_dataset
from benchmark.errors import InputError

EMOJI = Path(__file__).parents[2] / "../shared/data/emoji.parquet"


def test_an_unknown_name_is_met_with_the_names_that_are_close(make):
    with pytest.raises(InputError, match="unknown dataset 'scnes': did you mean scenes"):
        make.load("scnes")


def test_a_path_without_a_file_is_called_so(make):
    for path in ("missing.parquet", "some/where", "data.yaml"):
        with pytest.raises(InputError, match="(there is no file or folder|cannot read the card file) "):
            make.load(path)


def test_a_file_of_another_kind_is_refused(make):
    (make.folder / "pairs.csv").write_text("a,b")
    with pytest.raises(InputError, match="give a .parquet file, an image folder or a card"):
        make.load(make.folder / "pairs.csv")


def test_an_unknown_kind_is_met_with_the_kinds_that_are_close(make):
    with pytest.raises(InputError, match="unknown kind 'parket': did you mean parquet"):
        make.load(DatasetCard(name="x", kind="parket"))


def test_a_card_must_name_a_source_of_its_kind(make):
    path = make.parquet([png(0)], ["a"])
    with pytest.raises(InputError, match="does not exist"):
        make.load(DatasetCard(name="x", kind="parquet", source="gone.parquet"))
    with pytest.raises(InputError, match="needs a folder"):
        make.load(DatasetCard(name="x", kind="imagefolder", source=str(path)))
    with pytest.raises(InputError, match="needs a file"):
        make.load(DatasetCard(name="x", kind="parquet", source=str(make.folder)))


def test_max_samples_takes_whole_groups_and_no_more_than_there_are(make):
    path = make.parquet([png(i // 2) for i in range(40)], [str(i) for i in range(40)])
    small, large = make.load(path, max_samples=9), make.load(path, max_samples=1000)
    assert len(small) == 8 and len(large) == 40
    assert set(small.ids) < set(large.ids) and sorted(small.ids) == small.ids
    with pytest.raises(InputError, match="0 \\(all\\) or more, not -1"):
        make.load(path, max_samples=-1)


def test_a_source_is_found_relative_to_its_card(make):
    make.parquet([png(0)], ["a"])
    (make.folder / "card.yaml").write_text("odd.name.1:\n  kind: parquet\n  source: pairs.parquet\n")
    assert make.load(make.folder / "card.yaml").name == "odd-name-1"


def test_the_embedded_datasets_never_share_a_seed_between_pretraining_and_evaluation():
    known = cards(DatasetCard)
    for kind in ("scenes", "blooms"):
        evaluation, pretraining = known[kind], known[f"{kind}-pretrain"]
        assert evaluation.kind == pretraining.kind == kind and evaluation.seed != pretraining.seed
        assert evaluation.licence == pretraining.licence == "CC0-1.0"
    assert {known[name].size for name in ("scenes", "blooms", "scenes-pretrain", "blooms-pretrain")} == {
        20_000,
        8_000,
        40_000,
        16_000,
    }


@pytest.mark.skipif(not EMOJI.exists(), reason="the emoji dataset is not here")
def test_a_real_parquet_file_loads_whole(tmp_path):
    data = load_dataset(EMOJI, cache=tmp_path, progress=False)
    assert len(data) == 7572 and not data.left_out
    assert data[0].image.mode == "RGB" and all(data.captions())
