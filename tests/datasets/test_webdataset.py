import json
import os
import pickle
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dataset_files import png, shade

from benchmark.catalog import DatasetCard
from benchmark.datasets import scan
from benchmark.errors import InputError, WorkError


def card(source, **fields) -> DatasetCard:
    return DatasetCard(name="laion", kind="webdataset", source=str(source), **fields)


def members(shard: int, count: int = 4) -> list[tuple[str, bytes]]:
    """What img2dataset writes: keys of nine digits, the caption in .txt and again in .json."""
    found = []
    for i in range(count):
        key, number = f"{shard:05d}{i:04d}", shard * count + i
        metadata = {"url": f"http://x/{number}", "caption": f"t{number}", "sha256": f"h{number // 2}", "key": key}
        found += [
            (f"{key}.jpg", png(number)),
            (f"{key}.json", json.dumps(metadata).encode()),
            (f"{key}.txt", f"t{number}".encode()),
        ]
    return found


@pytest.fixture
def shards(make):
    for shard in range(3):
        make.tar(f"{shard:05d}.tar", members(shard))
        (make.folder / f"{shard:05d}.parquet").write_bytes(b"written by img2dataset, not read")
    return make.folder


@pytest.fixture
def server(shards):
    """The URL of a server of the shards, and the list of what was asked."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            asked.append(str(arguments[1]))

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(shards))) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def pairs(data) -> list[tuple[str, int, str]]:
    return [(s.id, shade(s.image), s.caption) for s in data]


def expected(numbers) -> list[tuple[str, int, str]]:
    return [(f"{n // 4:05d}/{n // 4:05d}{n % 4:04d}", n, f"t{n}") for n in numbers]


@pytest.mark.parametrize("source", ["", "*.tar", "{00000..00002}.tar"])
def test_shards_are_read_in_order_and_samples_are_named_by_shard_and_key(make, shards, source):
    data = make.load(card(shards / source) if source else shards)
    assert pairs(data) == expected(range(12)) and not data.left_out


def test_a_second_load_reads_no_shard_and_threads_and_pickles_read_the_same(make, shards, monkeypatch):
    first = make.load(shards)
    monkeypatch.setattr("benchmark.datasets.webdataset.read_samples", None)
    monkeypatch.setattr(scan, "_judge", None)
    second = make.load(shards)
    assert second.ids == first.ids and second.content_hash == first.content_hash
    for data in (second, pickle.loads(pickle.dumps(second))):
        with ThreadPoolExecutor(8) as pool:
            assert [shade(s.image) for s in pool.map(data.__getitem__, [*range(12)] * 5)] == [*range(12)] * 5


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_every_tar_format_folders_and_long_names_are_read(make, format):
    long = "a/" + "k" * 150
    parts = [
        ("./a/0001.png", png(1)),
        ("./a/0001.txt", b"one"),
        (f"{long}.jpg", png(2)),
        (f"{long}.txt", "zwölf".encode()),
    ]
    data = make.load(make.tar("s.tar", parts if format != tarfile.USTAR_FORMAT else parts[:2], format=format).parent)
    assert pairs(data) == [("s/./a/0001", 1, "one"), (f"s/{long}", 2, "zwölf")][: len(data)]
    assert len(data) == (1 if format == tarfile.USTAR_FORMAT else 2)


def test_captions_come_from_the_text_or_else_from_the_metadata(make):
    make.tar(
        "0.tar",
        [
            ("a.jpg", png(0)), ("a.txt", b"from txt"), ("a.json", b'{"caption": "from json", "alt": "A"}'),
            ("b.jpg", png(1)), ("b.json", b'{"caption": "from json", "alt": ["B", "", "BB"]}'),
            ("c.jpg", png(2)), ("c.txt", b"  "), ("c.json", b'{"caption": null, "alt": null}'),
            ("d.jpg", png(3)), ("d.txt", b"\xff"), ("d.json", b"{broken"),
            ("e.txt", b"no image"),
        ],
    )  # fmt: skip
    data = make.load(make.folder)
    assert [(s.id, s.caption) for s in data] == [("0/a", "from txt"), ("0/b", "from json")]
    assert data.left_out == [
        ("0/c", "no caption"), ("0/d", "its caption is no text"), ("0/e", "no image"),
    ]  # fmt: skip
    assert make.load(card(make.folder, caption="alt", captions="all")).captions() == ["A", "B", "BB"]
    with pytest.raises(
        InputError, match=r"no caption column 'cap' \(its columns: json.caption, json.alt, jpg, txt, json\)"
    ):
        make.load(card(make.folder, caption="cap"))
    with pytest.raises(InputError, match="no image column 'tif'"):
        make.load(card(make.folder, image="tif"))


def test_names_and_captions_of_any_bytes_are_read(make, server):
    caption = b'{"caption": "half \\ud83d", "id": 7}'
    make.tar(
        "00000.tar",
        [(os.fsdecode(b"\xff.JPG"), png(0)), (os.fsdecode(b"\xff.json"), caption)],
        errors="surrogateescape",
    )
    for source in (make.folder / "00000.tar", f"{server[0]}/00000.tar"):
        data = make.load(card(source, max_samples=9))
        assert pairs(data) == [("00000/\\xff", 0, "half \ufffd")]
        named = make.load(card(source, max_samples=9, image="JPG", caption="caption", id="id"))
        assert pairs(named) == [("7", 0, "half \ufffd")]


def test_groups_and_ids_can_come_from_the_metadata(make, shards):
    data = make.load(card(shards, group="sha256", id="url"))
    assert data.ids == [f"http://x/{n}" for n in range(12)] and data.groups.tolist() == [n // 2 for n in range(12)]
    with pytest.raises(InputError, match="'h0' occurs 2 times in column 'sha256'"):
        make.load(card(shards, id="sha256"))


def test_shards_without_captions_or_without_images_are_allowed(make):
    make.tar("0.tar", [("a.jpg", png(0)), ("b.jpg", png(1))])
    assert [(s.id, shade(s.image), s.caption) for s in make.load(make.folder)] == [("0/a", 0, None), ("0/b", 1, None)]
    make.tar("0.tar", [("a.txt", b"A"), ("b.txt", b"B"), ("c.txt", b"")])
    data = make.load(make.folder)
    assert [(s.id, s.image, s.caption) for s in data] == [("0/a", None, "A"), ("0/b", None, "B")]
    assert data.left_out == [("0/c", "no caption")]
    make.tar("0.tar", [("a.cls", b"1")])
    with pytest.raises(InputError, match=r"holds neither images nor captions \(found: cls\)"):
        make.load(make.folder)


def test_a_key_that_comes_twice_is_two_samples(make):
    make.tar(
        "0.tar",
        [("a.jpg", png(0)), ("a.txt", b"A"), ("b.jpg", png(1)), ("b.txt", b"B"), ("a.jpg", png(2)), ("a.txt", b"C")],
    )
    assert pairs(make.load(make.folder)) == [("0/a", 0, "A"), ("0/b", 1, "B"), ("0/a#1", 2, "C")]


def test_names_of_members_are_never_paths(make):
    names = ["/etc/passwd", "../../up", "sub/../x", "~/home"]
    make.tar(
        "0.tar", [part for i, name in enumerate(names) for part in ((f"{name}.jpg", png(i)), (f"{name}.txt", b"t"))]
    )
    with tarfile.open(make.folder / "0.tar", "a") as shard:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            header = tarfile.TarInfo(f"odd{ord(kind)}.jpg")
            header.type, header.linkname = kind, "/etc/passwd"
            shard.addfile(header)
    data = make.load(make.folder)
    assert [shade(sample.image) for sample in data] == [0, 1, 2, 3] and not data.left_out
    assert os.listdir(make.folder.parent) == ["data", "cache"] or sorted(os.listdir(make.folder.parent)) == [
        "cache",
        "data",
    ]


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("blocks", [0, 2])  # the member's own header, or the extended one before it
def test_what_is_whole_in_a_damaged_shard_is_used_and_the_rest_is_listed(make, shards, server, remote, blocks):
    whole = (shards / "00001.tar").read_bytes()
    start = next(i for i in range(0, len(whole), 512) if whole[i : i + 13] == b"000010002.jpg") - 512 * blocks
    (shards / "00001.tar").write_bytes(whole[:start] + b"\x99" * 512 + whole[start + 512 :])
    source = card(f"{server[0]}/{{00000..00002}}.tar", max_samples=99) if remote else shards
    data = make.load(source)
    kept = [n for n in range(12) if n != 6 or blocks]
    assert pairs(data) == expected(kept)
    (reason,) = [reason for id_, reason in data.left_out if id_ == "00001.tar"]
    assert reason.startswith("damaged at byte ")
    assert dict(data.left_out).keys() == {"00001/000010002", "00001.tar"} - ({"00001/000010002"} if blocks else set())


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("part", ["image", "header"])
def test_what_is_whole_in_a_truncated_shard_is_used_and_the_rest_is_listed(make, shards, server, remote, part):
    whole = (shards / "00001.tar").read_bytes()
    start = next(i for i in range(0, len(whole), 512) if whole[i : i + 13] == b"000010002.jpg")
    (shards / "00001.tar").write_bytes(whole[: start + (512 + 40 if part == "image" else 100)])
    source = card(f"{server[0]}/{{00000..00002}}.tar", max_samples=99) if remote else shards
    data = make.load(source)
    assert pairs(data) == expected([0, 1, 2, 3, 4, 5, 8, 9, 10, 11])
    left_out = dict(data.left_out)
    assert left_out.pop("00001.tar").startswith("ends too early")
    assert left_out == ({"00001/000010002": "cut off at the end of its shard"} if part == "image" else {})


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>" * 100, b"\x80" * 2048])
def test_a_file_that_is_no_shard_is_listed(make, shards, content):
    (shards / "00001.tar").write_bytes(content)
    data = make.load(shards)
    assert len(data) == 8 and data.left_out == [("00001.tar", "not a tar file")]


def test_headers_with_impossible_sizes_end_a_shard_and_nothing_else(make, shards):
    for value in ("-4096", "9" * 30):
        with tarfile.open(shards / "00001.tar", "w", format=tarfile.PAX_FORMAT) as shard:
            for i in range(2):
                header = tarfile.TarInfo(f"{i}.jpg")
                header.pax_headers = {"size": value}
                shard.addfile(header)
        data = make.load(shards)
        assert pairs(data) == expected([0, 1, 2, 3, 8, 9, 10, 11])
        assert "00001.tar" in dict(data.left_out)


def test_a_stream_of_local_shards_stops_when_it_has_enough(make, shards):
    (shards / "00002.tar").write_bytes(b"never read")
    data = make.load(card(shards, streaming=True, max_samples=6))
    assert pairs(data) == expected(range(6)) and not list(make.cache.glob("datasets/*/samples.parquet"))
    with pytest.raises(InputError, match="'laion' is streamed and needs `max_samples`"):
        make.load(card(shards, streaming=True))


def test_a_shuffled_stream_is_another_draw_of_the_same_samples(make, shards, server):
    url = f"{server[0]}/{{00000..00002}}.tar"
    drawn = {}
    for seed in (0, 1):
        local = make.load(card(shards, streaming=True, max_samples=6, shuffle_seed=seed))
        remote = make.load(card(url, max_samples=6, shuffle_seed=seed))
        assert pairs(local) == pairs(remote) == expected([shade(s.image) for s in local])
        drawn[seed] = local.ids
    assert len(set(drawn[0])) == 6 and drawn[0] != drawn[1] != sorted(drawn[1])


def test_remote_shards_are_fetched_once_in_order_and_then_read_offline(make, shards, server):
    url, asked = server
    source = card(f"{url}/{{00000..00002}}.tar", max_samples=6, group="sha256")
    first = make.load(source)
    assert pairs(first) == expected(range(6)) and first.groups.tolist() == [0, 0, 1, 1, 2, 2]
    assert not any("00002.tar" in line for line in asked)
    asked.clear()
    again = make.load(source)
    assert pairs(again) == pairs(first) and again.content_hash == first.content_hash and not asked
    assert again.content_hash == make.load(card(shards, streaming=True, max_samples=6)).content_hash
    with pytest.raises(InputError, match="needs `max_samples`"):
        make.load(card(f"{url}/00000.tar"))


def test_an_unreachable_shard_fails_in_one_sentence_and_leaves_nothing_behind(make, server):
    url, _ = server
    for bad in (f"{url}/{{00002..00003}}.tar", "http://127.0.0.1:9/00000.tar"):
        with pytest.raises(WorkError, match="dataset 'laion': reading the shard http.* failed"):
            make.load(card(bad, max_samples=9))
    with pytest.raises(InputError, match="cannot open nowhere://x/0.tar"):
        make.load(card("nowhere://x/0.tar", max_samples=9))
    with pytest.raises(WorkError, match="hub is out of reach .*, and hf://datasets/a/b/0.tar is not in its cache"):
        make.load(card("hf://datasets/a/b/0.tar", max_samples=9))
    assert not [path for path in make.cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("source", ["nowhere", "*.tar", "{00005..00001}.tar", "{0..9999999}.tar"])
def test_a_source_without_shards_is_refused(make, source):
    with pytest.raises(InputError, match="no tar shards at its source|must hold 1 to 1000000 shards"):
        make.load(card(make.folder / source))
