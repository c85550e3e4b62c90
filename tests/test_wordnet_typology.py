"""Kinds of names follow WordNet's files; without them the kind is unknown."""

import pytest

from benchmark import wordnet
from benchmark.typology import KINDS, Typology

# word -> its part, lexicographer's file, hypernym or similar word ("" for none), how often it was tagged
NOUNS = {
    "color": (7, "", 9), "red": (7, "color", 7), "orange": (13, "", 5), "star": (17, "", 6), "leaf": (20, "", 8),
    "leaves": (4, "", 0), "geological_formation": (17, "", 0), "body_of_water": (17, "", 0), "dry_land": (17, "", 0),
    "room": (6, "", 5), "kitchen": (6, "room", 3), "road": (6, "", 5), "vegetation": (14, "", 0), "city": (15, "", 9),
    "riding": (4, "", 2), "building": (6, "", 9), "dozen": (23, "", 1), "man": (18, "", 9), "luck": (7, "", 3),
}  # fmt: skip
VERBS = {"ride": (38, "", 9), "build": (36, "", 9), "leave": (38, "", 30), "sit": (35, "", 9)}
ADJECTIVES = {
    "chromatic": (0, "", 0), "achromatic": (0, "", 0), "cardinal": (0, "", 0), "orange": (0, "chromatic", 1),
    "red": (0, "chromatic", 40), "twin": (0, "cardinal", 0), "large": (0, "", 50),
}  # fmt: skip


@pytest.fixture
def lexicon(tmp_path):
    """WordNet's format with a few words: each is one synset, and cardinal a second sense of its word."""
    counts = []
    for number, (part, letter, known) in enumerate(
        [("noun", "n", NOUNS), ("verb", "v", VERBS), ("adj", "a", ADJECTIVES), ("adv", "r", {})], start=1
    ):
        licence = "  1 This software and database is being provided to you\n"
        places, size = {}, len(licence)
        line = '{:08d} {:02d} {} 01 {} 0 {:03d} {}| a gloss; "with | a bar"  \n'
        for word, (file, above, _) in known.items():
            places[word] = size
            size += len(line.format(0, file, letter, word, bool(above), "@ 00000000 n 0000 " if above else ""))
        data = [licence]
        for word, (file, above, count) in known.items():
            pointer = f"{'@' if part == 'noun' else '&'} {places[above]:08d} {letter} 0000 " if above else ""
            data.append(line.format(places[word], file, letter, word, bool(above), pointer))
            counts.append(f"{word}%{number}:{file:02d}:00:: 1 {count}\n")
        (tmp_path / f"data.{part}").write_text("".join(data))
        index = [licence]
        for word in known:
            offsets = [places["chromatic"], places[word]] if word == "cardinal" else [places[word]]
            index.append(
                f"{word} {letter} {len(offsets)} 1 @ {len(offsets)} 1 {' '.join(f'{o:08d}' for o in offsets)}  \n"
            )
        (tmp_path / f"index.{part}").write_text("".join(index))
    (tmp_path / "noun.exc").write_text("men man\nleaves leaf leave\n")
    (tmp_path / "cntlist.rev").write_text("".join(counts))
    return tmp_path


def check(typology, expected):
    found = {name: typology.kind(name) for name in expected}
    assert found == expected and set(found.values()) <= {*KINDS, ""}


def test_words_have_the_kind_of_their_most_frequent_senses(lexicon):
    check(Typology(wordnet.WordNet(lexicon)), {
        "red": "colour", "orange": "object", "star": "object", "stars": "object", "kitchen": "place", "city": "place",
        "cities": "place", "riding": "relation", "sits": "relation", "building": "object", "men": "object",
        "leaves": "object", "dozen": "count", "two": "count", "12": "count", "twin": "count", "large": "attribute",
        "above": "relation", "luck": "other", "дети": "unknown", "": "",
    })  # fmt: skip


def test_pairs_have_the_kind_of_what_they_say(lexicon):
    check(Typology(wordnet.WordNet(lexicon)), {
        "red star": "object", "next to": "relation", "star above": "relation", "sits on": "relation", "no leaves":
        "object", "at city": "place", "two large": "count", "riding star": "object", "two red": "colour",
    })  # fmt: skip


def test_the_files_are_where_the_variable_says(lexicon, monkeypatch):
    monkeypatch.setenv("WNSEARCHDIR", str(lexicon))
    assert wordnet.folder() == lexicon
    assert Typology.here().kind("star") == "object"
    (lexicon / "data.verb").unlink()
    assert wordnet.folder() != lexicon


def test_without_wordnet_there_is_no_typology(tmp_path, monkeypatch):
    monkeypatch.setattr(wordnet, "folder", lambda: None)
    monkeypatch.setattr("benchmark.typology.folder", lambda: None)
    assert Typology.here() is None


def test_the_captions_of_the_embedded_data_are_told_by_the_real_wordnet(monkeypatch):
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    typology = Typology.here()
    if typology is None:
        pytest.skip("no WordNet on this machine")
    check(typology, {
        "red": "colour", "crimson": "colour", "orange": "colour", "violet": "colour", "star": "object", "hearts":
        "object", "square": "object", "ring": "object", "three": "count", "trio of": "count", "next to": "relation",
        "sitting on": "relation", "riding": "relation", "behind": "relation", "desert": "place", "sea": "place",
        "winter hill": "place", "woods": "place", "tiny": "attribute", "red star": "object", "people": "object",
        "skiing": "relation", "japan": "place", "kitchen": "place", "chocolate": "object",
    })  # fmt: skip
