import json
import os
import pickle
import shutil
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dataset_files import png, shade

from benchmark.catalog import DatasetCard
from benchmark.datasets import scan, webdataset
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
def breaks() -> list[tuple[str, int]]:
    """(path, bytes): what the server sends of a file, each one once, before it breaks off."""
    return []


@pytest.fixture
def server(shards, breaks):
    """The URL of a server of the shards, and the list of what was asked."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            asked.append(str(arguments[1]))

        def copyfile(self, source, outputfile):
            if breaks and breaks[0][0] == self.path:
                outputfile.write(source.read(breaks.pop(0)[1]))
            else:
                super().copyfile(source, outputfile)

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
            ("f.jpg", png(5)), ("f.txt", b"\xef\xbb\xbfwith a mark"),
            ("g.jpg", png(6)), ("g.json", b'\xef\xbb\xbf{"caption": "with a mark"}'),
        ],
    )  # fmt: skip
    data = make.load(make.folder)
    assert [(s.id, s.caption) for s in data] == [
        ("0/a", "from txt"), ("0/b", "from json"), ("0/f", "with a mark"), ("0/g", "with a mark"),
    ]  # fmt: skip
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


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("field", ["group", "id"])
def test_a_field_that_no_sample_has_is_refused_with_those_there_are(make, shards, server, remote, field):
    source = f"{server[0]}/00000.tar" if remote else shards
    with pytest.raises(
        InputError, match=rf"no {field} column 'hash' \(its columns: json.url, json.caption, json.sha256"
    ):
        make.load(card(source, max_samples=9, **{field: "hash"}))


@pytest.mark.parametrize("remote", [False, True])
def test_a_sample_without_the_named_id_is_left_out_and_listed_and_so_is_a_damaged_shard(make, server, remote):
    values = (b'{"nr": 5}', b'{"nr": null}', b"{}", b"{broken", b'{"nr": "x"}')
    path = make.tar(
        "00000.tar",
        [part for n, text in enumerate(values) for part in ((f"{n}.jpg", png(n)), (f"{n}.json", text))],
    )
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"ustar") - 257 - 1024])
    source = f"{server[0]}/00000.tar" if remote else path
    data = make.load(card(source, max_samples=99, id="nr"))
    assert [(s.id, shade(s.image)) for s in data] == [("5", 0)]
    assert dict(data.left_out) == {
        **{f"00000/{n}": "no id in the field 'nr'" for n in (1, 2, 3, 4)},
        "00000.tar": "ends too early (no end mark); samples behind may be lost",
    }


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
    (make.folder / "0.tar").write_bytes(b"no shard")
    with pytest.raises(InputError, match=r"nor captions \(found: nothing; '0.tar': not a tar file\)"):
        make.load(make.folder)


def test_a_key_that_comes_twice_is_two_samples(make):
    make.tar(
        "0.tar",
        [("a.jpg", png(0)), ("a.txt", b"A"), ("b.jpg", png(1)), ("b.txt", b"B"), ("a.jpg", png(2)), ("a.txt", b"C")],
    )
    assert pairs(make.load(make.folder)) == [("0/a", 0, "A"), ("0/b", 1, "B"), ("0/a#1", 2, "C")]


def test_no_two_samples_share_an_id_whatever_keys_and_folders_are_called(make):
    (make.folder / "0").mkdir()
    make.tar("0.tar", [(f"{key}.jpg", png(n)) for n, key in enumerate(["a", "b", "a", "a#1", "b", "1/c", "b"])])
    make.tar("0/1.tar", [("c.jpg", png(9))])
    data = make.load(card(make.folder / "**/*.tar"))
    shades = {s.id: shade(s.image) for s in data}
    assert shades == {
        "0/1/c": 5, "0/a": 0, "0/b": 1, "0/a#1": 2, "0/a#1#1": 3, "0/b#1": 4, "0/1/c#1": 9, "0/b#2": 6,
    }  # fmt: skip
    assert len(data) == 8 and not data.left_out


def test_what_a_shard_is_called_depends_on_the_pattern_and_never_on_the_other_shards(make, server):
    for folder in ("x", "y"):
        (make.folder / folder).mkdir()
    for source, name in (("*/00.tar", "x/00/a"), ("{00..00}.tar", "00/a"), ("x/*.tar", "00/a"), ("x/00.tar", "00/a")):
        for number in ("x/00.tar", "00.tar"):
            make.tar(number, [("a.jpg", png(1))])
        assert make.load(card(make.folder / source)).ids == [name]
    make.tar("y/00.tar", [("a.jpg", png(1))])
    assert make.load(card(make.folder / "*/00.tar")).ids == ["x/00/a", "y/00/a"]
    assert make.load(card(f"{server[0]}/x/{{00..00}}.tar", max_samples=9)).ids == ["00/a"]
    (make.folder / "7").mkdir()
    make.tar("7/s.tar", [("a.jpg", png(1))])
    assert make.load(card(f"{server[0]}/{{7..7}}/s.tar", max_samples=9)).ids == ["7/s/a"]


def test_missing_shards_of_a_range_are_named_and_never_passed_over(make, shards):
    with pytest.raises(InputError, match=r"2 of the shards of .* are not there \(00003.tar, 00004.tar\)"):
        make.load(card(shards / "{00000..00004}.tar"))
    (shards / "00001.tar").unlink()
    with pytest.raises(InputError, match=r"1 of the shards of .* are not there \(00001.tar\)"):
        make.load(card(shards / "{00000..00002}.tar"))
    assert len(make.load(card(shards / "*.tar"))) == 8  # a wildcard asks for whatever is there


def test_brackets_in_the_name_of_a_folder_are_no_wildcards(make):
    (make.folder / "[a] {1..2}").mkdir()
    make.tar("[a] {1..2}/0.tar", [("a.jpg", png(1))])
    for source in ("*.tar", "0.tar", "{0..0}.tar", ""):
        assert make.load(card(make.folder / "[a] {1..2}" / source)).ids == ["0/a"]


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


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("kept", [0, 512, 1024])  # bytes of the end mark
def test_a_shard_cut_exactly_between_two_members_is_listed(make, shards, server, remote, kept):
    whole = (shards / "00001.tar").read_bytes()
    end = len(whole.rstrip(b"\0")) // 512 * 512 + 512
    (shards / "00001.tar").write_bytes(whole[: end + kept])
    data = make.load(card(f"{server[0]}/{{00000..00002}}.tar", max_samples=99) if remote else shards)
    assert pairs(data) == expected(range(12))
    lost = [("00001.tar", "ends too early (no end mark); samples behind may be lost")]
    assert data.left_out == ([] if kept else lost)


def test_shards_written_one_behind_the_other_are_read_to_their_end(make, shards):
    both = (shards / "00000.tar").read_bytes() + (shards / "00001.tar").read_bytes()
    (shards / "00000.tar").write_bytes(both)
    data = make.load(card(shards / "00000.tar"))
    assert [shade(s.image) for s in data] == [*range(8)] and not data.left_out


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


@pytest.mark.parametrize("shuffle", [-1, 3])
def test_a_connection_that_breaks_off_is_taken_up_where_it_broke(make, shards, server, breaks, monkeypatch, shuffle):
    monkeypatch.setattr(webdataset, "PAUSE", 0.0)
    source = f"{server[0]}/{{00000..00002}}.tar"
    whole = make.load(card(source, max_samples=99, shuffle_seed=shuffle))
    shutil.rmtree(make.cache)
    breaks += [("/00001.tar", 9000), ("/00001.tar", 100), ("/00001.tar", 0)]
    data = make.load(card(source, max_samples=99, shuffle_seed=shuffle))
    assert pairs(data) == pairs(whole) and not data.left_out and not breaks


def test_a_server_that_keeps_breaking_off_is_given_up_and_one_that_never_answered_at_once(
    make, server, breaks, monkeypatch
):
    pauses = []
    monkeypatch.setattr(webdataset.time, "sleep", pauses.append)
    breaks += [("/00001.tar", 100)] * 9
    with pytest.raises(WorkError, match="reading the shard http.*00001.tar failed .ClientPayloadError"):
        make.load(card(f"{server[0]}/{{00000..00002}}.tar", max_samples=99))
    assert len(breaks) == 9 - webdataset.TRIES and pauses == [2.0, 4.0, 6.0]
    pauses.clear()
    with pytest.raises(WorkError, match="Cannot connect to host"):
        make.load(card("http://127.0.0.1:9/00000.tar", max_samples=99))
    assert not pauses


@pytest.mark.parametrize("place", ["SERVER/00000.tar", "SERVER/gone.tar", "http://127.0.0.1:9/0.tar", "odd://x/0.tar"])
def test_passwords_and_tokens_of_a_url_reach_no_message_and_no_file(make, shards, server, place, caplog):
    source = place.replace("SERVER", server[0]).replace("://", "://me:p@ssword@") + "?sig=secret&x={0..0}"
    (shards / "00000.tar").write_bytes((shards / "00000.tar").read_bytes()[:4000])
    told = ""
    try:
        data = make.load(card(source, max_samples=99, id="url"))
        data.require("sound")
    except (InputError, WorkError) as error:
        told = f"{error}{error.__cause__}"
    kept = [path.read_bytes().decode("latin-1") for path in make.cache.rglob("*") if path.is_file()]
    for text in (told, caplog.text, *kept):
        assert not any(secret in text for secret in ("me:", "p@ss", "ssword", "secret"))
    assert told


def test_an_unreachable_shard_fails_in_one_sentence_and_leaves_nothing_behind(make, server):
    url, _ = server
    for bad in (f"{url}/{{00002..00003}}.tar", "http://127.0.0.1:9/00000.tar"):
        with pytest.raises(WorkError, match="dataset 'laion': reading the shard http.* failed"):
            make.load(card(bad, max_samples=9))
    with pytest.raises(InputError, match="cannot open nowhere://x/0.tar"):
        make.load(card("nowhere://x/0.tar", max_samples=9))
    with pytest.raises(WorkError, match="hub is out of reach .*, and the repository a/b is not in its cache"):
        make.load(card("hf://datasets/a/b/0.tar", max_samples=9))
    place = f"hf://datasets/a/b@{'0' * 40}/0.tar"
    with pytest.raises(WorkError, match=f"hub is out of reach .*, and {place} is not in its cache"):
        make.load(card(place, max_samples=9))
    for place in ("hf://a/b/0.tar", "hf://datasets/a", "hf://datasets/a/b@main"):
        with pytest.raises(
            InputError, match=f"its source '{place}' must look like hf://datasets/OWNER/NAME/SHARDS.tar"
        ):
            make.load(card(place, max_samples=9))
    assert not [path for path in make.cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("source", ["nowhere", "*.tar", "{00005..00001}.tar", "{0..9999999}.tar"])
def test_a_source_without_shards_is_refused(make, source):
    with pytest.raises(InputError, match="no tar shards at its source|must hold 1 to 1000000 shards"):
        make.load(card(make.folder / source))
