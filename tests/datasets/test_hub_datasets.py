import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from dataset_files import png, shade
from fake_hub import serve

from benchmark.catalog import DatasetCard
from benchmark.datasets import scan
from benchmark.datasets.hub import is_fetched
from benchmark.errors import InputError, WorkError

CLIENT = """
import json, sys
import datasets
datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0  # five seconds after each shuffled stream
from dataset_files import shade
from benchmark.catalog import DatasetCard
from benchmark.datasets import load_dataset
answers = []
for fields in json.load(sys.stdin):
    try:
        data = load_dataset(DatasetCard(**fields), cache=sys.argv[1], progress=False)
        answers.append([[s.id, s.image and shade(s.image), s.caption] for s in data])
    except Exception as error:
        answers.append(f"{type(error).__name__}: {error}")
print(json.dumps(answers))
"""


def card(**fields) -> DatasetCard:
    return DatasetCard(**({"name": "pairs", "kind": "hub", "source": "me/pairs"} | fields))


class Client:
    """Loads cards in a process of its own, because the libraries read address and cache when they are imported."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url

    def __call__(self, *cards: DatasetCard) -> list:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment |= {"HF_HOME": str(self.folder / "home"), "PYTHONPATH": str(Path(__file__).parent)}
        environment |= {"HF_ENDPOINT": self.url, "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, str(self.folder / "cache")],
            input=json.dumps([asdict(card) for card in cards]),
            env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


def known(data) -> list:
    return [[sample.id, shade(sample.image), sample.caption] for sample in data]


def pairs(numbers, prefix: str = "") -> list:
    return [[f"{prefix}{row:08d}", n, f"t{n}"] for row, n in enumerate(numbers)]


@pytest.fixture
def repo(make) -> Path:
    """A repository as `push_to_hub` writes it: two shards of train, one of validation."""
    root = make.folder / "repo"
    (root / "data").mkdir(parents=True)
    for name, numbers in (
        ("train-00000-of-00002", range(4)), ("train-00001-of-00002", range(4, 8)), ("validation-00000-of-00001", [9]),
    ):  # fmt: skip
        write(make, root / "data" / f"{name}.parquet", list(numbers))
    (root / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n"
        "  - split: validation\n    path: data/validation-*\n---\n"
    )
    return root


def write(make, path: Path, numbers: list[int]) -> None:
    images = [{"bytes": png(n), "path": None} for n in numbers]
    shutil.move(make.parquet(images, [f"t{n}" for n in numbers], "part.parquet"), path)


@pytest.fixture
def hub(repo):
    with serve({"dataset": {"me/pairs": repo}}) as hub:
        yield hub


@pytest.fixture
def client(hub, tmp_path) -> Client:
    return Client(tmp_path, hub.url)


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """The caches of the Hugging Face libraries, empty, in this process."""
    import datasets
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "home" / "datasets")
    return tmp_path / "home"


def test_a_split_is_fetched_once_and_then_read_offline_from_either_cache(make, client, hub, caches):
    assert not is_fetched(card())
    first, validation = client(card(), card(split="validation"))
    assert first == pairs(range(8)) and validation == pairs([9])
    commit = hub.commit("me/pairs", "dataset")
    assert is_fetched(card()) and is_fetched(card(revision=commit)) and not is_fetched(card(revision="0" * 40))
    # In this process the hub is out of reach. First with what the `datasets` library prepared, without a manifest:
    data = make.load(card())
    assert known(data) == first and data.captions() == [f"t{n}" for n in range(8)]
    assert len(make.load(card(config="default", split="validation", revision=commit))) == 1
    with pytest.raises(InputError, match='Unknown split "test". Should be one of'):
        make.load(card(split="test"))
    # ... then with the downloaded files alone, as after `hf download`:
    shutil.rmtree(caches / "datasets")
    shutil.rmtree(make.cache)
    again = make.load(card())
    assert again.content_hash == data.content_hash and again.fingerprint == data.fingerprint
    # ... but not with a part of them:
    shutil.rmtree(make.cache)
    next(caches.rglob("train-00001-of-00002.parquet")).unlink()
    with pytest.raises(WorkError, match=r"is set, and commit .* of me/pairs is not in its cache; .*PATH"):
        make.load(card())


def test_a_pinned_commit_stays_and_a_moved_branch_is_another_dataset(make, client, hub, repo, caches):
    commit = hub.commit("me/pairs", "dataset")
    assert client(card())[0] == pairs(range(8))
    write(make, repo / "data" / "train-00001-of-00002.parquet", [5, 4])
    hub.requests.clear()
    assert client(card(revision=commit), card()) == [pairs(range(8)), pairs([0, 1, 2, 3, 5, 4])]
    assert not any(commit in line for line in hub.requests)  # all of that one is here
    assert [known(make.load(offline)) for offline in (card(), card(revision=commit))] == [
        pairs([0, 1, 2, 3, 5, 4]), pairs(range(8)),
    ]  # fmt: skip


def test_a_stream_fetches_its_first_samples_once_and_is_then_read_offline(make, client, hub, caches):
    stream = {"streaming": True, "max_samples": 3}
    cards = [card(**stream), card(**stream, shuffle_seed=1), card(**stream, shuffle_seed=2)]
    straight, shuffled, other = client(*cards)
    assert straight == pairs(range(3))
    assert shuffled == pairs([n for _, n, _ in shuffled], "shuffle1-") and len({n for _, n, _ in shuffled}) == 3
    assert [n for _, n, _ in shuffled] != [n for _, n, _ in other]
    assert [known(make.load(offline)) for offline in cards] == [straight, shuffled, other]
    with pytest.raises(WorkError, match="is set, and commit .* of me/pairs is not in its cache"):
        make.load(card(**stream | {"max_samples": 4}))


def test_mistakes_are_told_in_one_sentence_that_names_the_card(client, hub):
    hub.folders["dataset"]["me/locked"] = hub.folders["dataset"]["me/pairs"]
    hub.locked.add("me/locked")
    told = client(
        card(source="me/nothing"), card(revision="v9"), card(split="tset"), card(config="other"), card(caption="alt"),
        card(source="me/locked"), card(streaming=True), card(streaming=True, max_samples=2, caption="alt"),
    )  # fmt: skip
    for sentence, part in zip(
        told,
        [
            "InputError: dataset 'pairs': the hub repository me/nothing does not exist, or is private",
            "InputError: dataset 'pairs': the hub repository me/pairs has no revision 'v9'",
            "Unknown split \"tset\". Should be one of ['train', 'validation']",
            "BuilderConfig 'other' not found. Available: ['default']",
            "InputError: me/pairs has no caption column 'alt' (its columns: image, text)",
            "me/locked' is a gated dataset on the Hub. Visit the dataset page",
            "InputError: dataset 'pairs' is streamed and needs `max_samples`",
            "InputError: me/pairs has no caption column 'alt' (its columns: image, text)",
        ],
        strict=True,
    ):
        assert part in sentence and "\n" not in sentence


def test_images_that_are_files_or_members_of_shards_are_read_and_no_code_runs(make, client, hub, tmp_path):
    make.images([f"files/train/{n}.png" for n in range(3)])
    lines = [json.dumps({"file_name": f"{n}.png", "text": f"t{n}"}) for n in range(3)]
    (make.folder / "files" / "train" / "metadata.jsonl").write_text("\n".join(lines))
    (make.folder / "tars").mkdir()
    make.tar(
        "tars/train.tar", [part for n in range(3) for part in ((f"{n}.png", png(n)), (f"{n}.txt", f"t{n}".encode()))]
    )
    (make.folder / "script").mkdir()
    (make.folder / "script" / "script.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    shutil.copy(make.folder / "files" / "train" / "0.png", make.folder / "script")
    hub.folders["dataset"] |= {f"me/{name}": make.folder / name for name in ("files", "tars", "script")}
    stream = {"streaming": True, "max_samples": 2}
    told = client(
        card(kind="webdataset", source="hf://datasets/me/tars/train.tar", max_samples=2),
        *(card(source=f"me/{name}", **more) for name in ("files", "tars", "script") for more in ({}, stream)),
    )
    assert told[:5] == [[[f"train/{n}", n, f"t{n}"] for n in range(2)], *[pairs(range(3)), pairs(range(2))] * 2]
    assert all("scripts are no longer supported" in sentence for sentence in told[5:])
    assert not (tmp_path / "ran").exists()


def test_shards_of_a_branch_are_those_of_the_commit_it_stands_for(make, client, hub, caches):
    def shards(number: int) -> None:
        (make.folder / "tars").mkdir(exist_ok=True)
        make.tar("tars/0.tar", [(f"{number}.png", png(number)), (f"{number}.txt", f"t{number}".encode())])

    def remote(revision: str = "") -> DatasetCard:
        return card(kind="webdataset", source=f"hf://datasets/me/tars{revision}/{{0..0}}.tar", max_samples=2)

    shards(1)
    hub.folders["dataset"]["me/tars"] = make.folder / "tars"
    commit = hub.commit("me/tars", "dataset")
    assert client(remote()) == [[["0/1", 1, "t1"]]]
    shards(2)
    nowhere = card(kind="webdataset", source="hf://datasets/me/none/0.tar", max_samples=2)
    gone = card(kind="webdataset", source="hf://datasets/me/tars/1.tar", max_samples=2)
    *found, no_revision, no_repository, no_shard = client(
        remote(), remote(f"@{commit}"), remote("@main"), remote("@v9"), nowhere, gone
    )
    assert found == [[["0/2", 2, "t2"]], [["0/1", 1, "t1"]], [["0/2", 2, "t2"]]]
    assert "the hub repository me/tars has no revision 'v9'" in no_revision
    assert "the hub repository me/none does not exist" in no_repository
    assert "/1.tar failed: there is no such file; correct the card's `source`." in no_shard
    assert [known(make.load(offline)) for offline in (remote(), remote(f"@{commit}"))] == [
        [["0/2", 2, "t2"]], [["0/1", 1, "t1"]],
    ]  # fmt: skip


def test_a_sample_of_a_stream_without_the_named_id_is_left_out(make, repo):
    path = make.parquet([{"bytes": png(n), "path": None} for n in range(3)], ["a", "b", "c"], nr=["x", None, "z"])
    shutil.move(path, repo / "data" / "train-00000-of-00002.parquet")
    (repo / "data" / "train-00001-of-00002.parquet").unlink()
    data = make.load(card(source=str(repo), streaming=True, max_samples=3, id="nr"))
    assert [(s.id, shade(s.image)) for s in data] == [("x", 0), ("z", 2)]
    assert data.left_out == [("00000001", "no id in the field 'nr'")]


def test_the_configurations_of_a_repository_are_told_where_one_must_be_named(make, repo):
    (repo / "README.md").write_text(
        "---\nconfigs:\n- config_name: small\n  data_files: data/validation-*\n"
        "- config_name: large\n  data_files: data/train-*\n---\n"
    )
    with pytest.raises(InputError, match=r"name one of 'small', 'large' in the card \(field `config`\)\.$"):
        make.load(card(source=str(repo)))
    assert len(make.load(card(source=str(repo), config="large"))) == 8


@pytest.mark.parametrize("streaming", [False, True])
def test_a_table_cannot_name_images_outside_its_repository(make, repo, streaming):
    make.images(["outside.png", "repo/inside.png"])
    options = {"source": str(repo), "streaming": streaming, "max_samples": 9 * streaming}
    rows = [
        {"bytes": None, "path": str(repo / "inside.png")},
        {"bytes": None, "path": str(make.folder / "outside.png")},
    ]
    for path in repo.glob("data/*"):
        path.unlink()
    for name in ("train-0", "validation-0"):
        shutil.move(make.parquet(rows[:1], ["a"], "part.parquet"), repo / "data" / f"{name}.parquet")
    assert [shade(sample.image) for sample in make.load(card(**options))] == [1]
    shutil.move(make.parquet(rows, ["a", "b"], "part.parquet"), repo / "data" / "train-0.parquet")
    if streaming:
        data = make.load(card(**options))
        assert [shade(sample.image) for sample in data] == [1] and data.left_out == [("00000001", "no image")]
    else:
        with pytest.raises(InputError, match="outside.png', which lies outside the table's folder"):
            make.load(card(**options))


def test_a_local_copy_of_a_repository_is_read_by_its_own_splits(make, repo, monkeypatch):
    local = card(source=str(repo))
    first = make.load(local)
    assert [(s.id, shade(s.image)) for s in first] == [(f"{n:08d}", n) for n in range(8)]
    assert [shade(s.image) for s in make.load(card(source=str(repo), split="validation"))] == [9]
    stream = make.load(card(source=str(repo), streaming=True, max_samples=5))
    assert [(s.id, shade(s.image), s.caption) for s in stream] == [(f"{n:08d}", n, f"t{n}") for n in range(5)]
    monkeypatch.setattr(scan, "decode", None)
    assert make.load(local).content_hash == first.content_hash
    monkeypatch.undo()
    write(make, repo / "data" / "train-00001-of-00002.parquet", [7])
    assert make.load(local).captions() == ["t0", "t1", "t2", "t3", "t7"]


def test_the_library_never_calls_home_about_local_data(make, repo, monkeypatch):
    import datasets

    seen = []
    monkeypatch.setattr("datasets.load.get_session", lambda: seen.append("asked"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    make.load(card(source=str(repo)))
    make.load(make.parquet([png(0)], ["a"]))
    assert not seen and datasets.config.HF_UPDATE_DOWNLOAD_COUNTS


def test_an_interrupted_stream_leaves_nothing_half(make, repo, monkeypatch):
    from benchmark.datasets import streaming

    stream = card(source=str(repo), streaming=True, max_samples=8)
    monkeypatch.setattr(streaming, "BATCH", 2)
    written = []

    class Killed(BaseException):
        pass

    original = streaming.islice

    def killing(items, *arguments):
        if len(written) == 3:
            raise Killed
        written.append(1)
        return original(items, *arguments)

    monkeypatch.setattr(streaming, "islice", killing)
    with pytest.raises(Killed):
        make.load(stream)
    assert not list(make.cache.rglob("samples.parquet*"))
    monkeypatch.setattr(streaming, "islice", original)
    assert len(make.load(stream)) == 8


def test_what_a_killed_process_left_is_removed_a_day_later_and_not_before(make, repo):
    stream = card(source=str(repo), streaming=True, max_samples=2)
    make.load(stream)
    (done,) = make.cache.rglob("samples.parquet")
    done.unlink()
    old, young = (done.with_name(f"samples.parquet.{n}-x.part") for n in (1, 2))
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    make.load(stream)
    assert done.exists() and young.exists() and not old.exists()


def test_an_unreachable_hub_is_told_at_once_with_the_way_out(make, caches):
    with pytest.raises(WorkError, match=r"'pairs': .*is set, and the repository me/pairs .*\(source: PATH\)"):
        make.load(card())
    with pytest.raises(InputError, match="'./pairs' is neither an existing folder nor the name of a hub repository"):
        make.load(card(source="./pairs"))
    with pytest.raises(InputError, match="kind hub needs a folder"):
        make.load(card(source=str(make.parquet([png(0)], ["a"]))))
