from dataclasses import replace
from pathlib import Path

import pytest
from dataset_files import png, shade

from benchmark.catalog import DatasetCard, cards
from benchmark.datasets import load_dataset
from benchmark.datasets.load import resolve
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
    with pytest.raises(InputError, match="give a .parquet file, a .tar shard, a folder or a card"):
        make.load(make.folder / "pairs.csv")


def test_a_single_shard_is_a_dataset_and_a_compressed_one_is_refused_with_advice(make):
    data = make.load(make.tar("00000.tar", [("0.png", png(3)), ("0.txt", b"a")]))
    assert (data.name, data.ids, shade(data[0].image)) == ("00000", ["00000/0"], 3)
    (make.folder / "zipped").mkdir()
    for name in ("0.tar.gz", "0.tgz"):
        (make.folder / "zipped" / name).write_bytes(b"any")
        for path in (make.folder / "zipped", make.folder / "zipped" / name):
            with pytest.raises(InputError, match=f"the shard {name} is compressed.*gunzip {name}"):
                make.load(path)
        (make.folder / "zipped" / name).unlink()


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("parquet", "split", "test"),
        ("parquet", "streaming", True),
        ("imagefolder", "streaming", True),
        ("imagefolder", "revision", "v1"),
        ("coco", "config", "captions"),
        ("coco", "streaming", True),
        ("webdataset", "split", "test"),
        ("webdataset", "revision", "v1"),
        ("hub", "annotations", "a.json"),
        ("scenes", "source", "here"),
        ("scenes", "captions", "all"),
        ("blooms", "shuffle_seed", 0),
    ],
)
def test_a_field_that_the_kind_does_not_read_is_refused(make, kind, field, value):
    made = {} if kind in ("scenes", "blooms") else {"source": str(make.folder)}
    with pytest.raises(
        InputError, match=f"'x': kind {kind} does not read the field `{field}`; remove it from the card"
    ):
        make.load(DatasetCard(**{"name": "x", "kind": kind, "size": 4} | made | {field: value}))


def test_fewer_samples_than_asked_for_are_told_from_five_in_a_hundred_on(make, caplog):
    images = [png(i) for i in range(20)]
    for lost, told in ((1, False), (2, True)):
        path = make.parquet([b"x"] * lost + images[lost:], ["a"] * 20, f"{lost}.parquet")
        caplog.clear()
        assert len(make.load(path, max_samples=20)) == 20 - lost
        line = f"dataset '{lost}': 20 samples were asked for (max_samples) and {20 - lost} can be had"
        assert (line in caplog.text) == told
        caplog.clear()
        make.load(path)  # nothing was asked for
        assert "can be had" not in caplog.text


def test_an_unknown_kind_is_met_with_the_kinds_that_are_close(make):
    with pytest.raises(InputError, match="unknown kind 'parket': did you mean parquet"):
        make.load(DatasetCard(name="x", kind="parket"))


def test_a_card_must_name_a_source_of_its_kind(make):
    path = make.parquet([png(0)], ["a"])
    with pytest.raises(InputError, match="does not exist"):
        make.load(DatasetCard(name="x", kind="parquet", source="gone.parquet"))
    with pytest.raises(InputError, match="needs a folder"):
        make.load(DatasetCard(name="x", kind="imagefolder", source=str(path)))
    with pytest.raises(InputError, match="'x': kind coco needs a `source`"):
        make.load(DatasetCard(name="x", kind="coco"))


def test_max_samples_takes_whole_groups_and_no_more_than_there_are(make):
    path = make.parquet([png(i // 2) for i in range(40)], [str(i) for i in range(40)])
    small, large = make.load(path, max_samples=9), make.load(path, max_samples=1000)
    assert len(small) == 8 and len(large) == 40
    assert set(small.ids) < set(large.ids) and sorted(small.ids) == small.ids
    with pytest.raises(InputError, match="0 \\(all\\) or more, not -1"):
        make.load(path, max_samples=-1)


def test_the_smaller_of_two_limits_holds(make):
    path = str(make.parquet([png(i) for i in range(20)], [str(i) for i in range(20)]))
    card = DatasetCard(name="x", kind="parquet", source=path, max_samples=6)
    assert [len(make.load(card, max_samples=count)) for count in (0, 4, 9)] == [6, 4, 6]
    assert make.load(card).ids == make.load(path, max_samples=6).ids
    with pytest.raises(InputError, match="max_samples must be 0"):
        make.load(replace(card, max_samples=-1))


def test_a_shuffle_seed_chooses_other_samples_and_keeps_their_order(make):
    path = str(make.parquet([png(i // 2) for i in range(40)], [str(i) for i in range(40)]))
    card = DatasetCard(name="x", kind="parquet", source=path, max_samples=10)
    drawn = [make.load(replace(card, shuffle_seed=seed)) for seed in (-1, 0, 1, 0)]
    assert drawn[1].ids == drawn[3].ids and len({tuple(data.ids) for data in drawn}) == 3
    for data in drawn:
        assert len(data) == 10 and data.ids == sorted(data.ids)
        assert [(str(shade(s.image)), s.caption) for s in data] == [(str(int(s.id) // 2), str(int(s.id))) for s in data]
    smaller = make.load(replace(card, shuffle_seed=0), max_samples=4)
    assert len(smaller) == 4 and set(smaller.ids) < set(drawn[1].ids)
    assert len(make.load(replace(card, shuffle_seed=0, max_samples=0))) == 40


def test_a_folder_is_taken_for_what_lies_in_it(make):
    make.images(["a.png"])
    assert resolve(make.folder).kind == "imagefolder"
    make.parquet([png(0)], ["a"], "00000.parquet")
    assert resolve(make.folder).kind == "parquet"
    make.tar("00000.tar", [("0.png", png(0)), ("0.txt", b"a")])  # img2dataset writes both
    assert resolve(make.folder).kind == "webdataset"
    make.coco({1: "1.jpg"}, [(1, 1, "x")])
    assert resolve(make.folder).kind == "coco"
    make.jsonl([{"file_name": "a.png", "text": "x"}])
    assert resolve(make.folder).kind == "imagefolder"


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


def test_the_datasets_of_the_paper_say_where_they_are_expected(make, monkeypatch):
    monkeypatch.setenv("HOME", str(make.folder))
    known = cards(DatasetCard)
    assert [known[name].kind for name in ("coco", "coco-official", "flowers", "laion")] == [
        "hub", "coco", "hub", "webdataset",
    ]  # fmt: skip
    with pytest.raises(
        InputError, match=f"'coco-official': its source '{make.folder}/datasets/coco' does not exist; put"
    ):
        make.load("coco-official")
    with pytest.raises(InputError, match="'laion': there are no tar shards at its source '~/datasets/laion'; put"):
        make.load("laion")
    (make.folder / "datasets" / "coco").mkdir(parents=True)
    make.folder /= "datasets/coco"
    make.coco({9: "000000000009.jpg"}, [(2, 9, "second"), (1, 9, "first")])
    assert make.load("coco-official").captions() == ["first", "second"]


@pytest.mark.skipif(not EMOJI.exists(), reason="the emoji dataset is not here")
def test_a_real_parquet_file_loads_whole(tmp_path):
    data = load_dataset(EMOJI, cache=tmp_path, progress=False)
    assert len(data) == 7572 and not data.left_out
    assert data[0].image.mode == "RGB" and all(data.captions())
