"""Cards are checked when they are read, and every mistake is one clear sentence."""

import subprocess
import sys

import pytest

from benchmark import catalog
from benchmark.catalog import DatasetCard, EncoderCard, SuiteCard, cards, find_card, local_path, read_cards
from benchmark.errors import InputError, WorkError, unknown

ENCODER = "{library: timm, source: some/model, modality: image, kind: vision, token: cls}"
KINDS = pytest.mark.parametrize("kind", [EncoderCard, DatasetCard, SuiteCard])


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@KINDS
def test_all_cards_that_ship_are_well_formed(kind):
    for name, card in cards(kind).items():
        assert isinstance(card, kind) and card.name == name
        assert find_card(kind, name) == card


def test_suites_that_ship_name_cards_that_ship():
    for suite in cards(SuiteCard).values():
        find_card(DatasetCard, suite.dataset)
        for encoder in suite.encoders:
            find_card(EncoderCard, encoder)


def test_a_path_to_a_file_with_one_card_stands_for_its_name(write):
    path = write(f"tiny: {ENCODER}")
    card = find_card(EncoderCard, str(path))
    assert (card.name, card.source, card.base) == ("tiny", "some/model", str(path.parent))
    with pytest.raises(InputError, match="holds 2 encoder cards"):
        find_card(EncoderCard, str(write(f"a: {ENCODER}\nb: {ENCODER}")))


def test_lists_become_tuples_and_defaults_are_filled_in(write):
    suite = find_card(SuiteCard, str(write("s: {dataset: d, encoders: [a, b], seeds: [3], learning_rate: 1}")))
    assert suite.encoders == ("a", "b") and suite.seeds == (3,) and suite.folds == 5 and suite.learning_rate == 1


def test_an_unknown_name_suggests_close_ones():
    with pytest.raises(InputError, match="unknown dataset 'scnes': did you mean scenes"):
        find_card(DatasetCard, "scnes")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must map names to entries"),
        ("- a", "must map names to entries"),
        ("a: 3", "must map names to entries"),
        ("a: {", "is not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []", "is not valid YAML"),
        ("s: {dataset: d, encoders: [a], permutation: 3}", "unknown field 'permutation': did you mean permutations"),
        ("s: {dataset: d, encoders: [a], name: x}", "unknown field 'name'"),
        ("s: {dataset: d}", "missing field encoders"),
        ("s: {}", "missing fields dataset, encoders"),
        ("s: {dataset: 3, encoders: [a]}", "field 'dataset' must be of type str, got 3"),
        ("s: {dataset: [d], encoders: [a]}", "field 'dataset' must be of type str"),
        ("s: {dataset: d, encoders: a}", "field 'encoders' must be a list of str, got 'a'"),
        ("s: {dataset: d, encoders: [a, 3]}", "field 'encoders' must be a list of str"),
        ("s: {dataset: d, encoders: [a], seeds: 3}", "field 'seeds' must be a list of int, got 3"),
        ("s: {dataset: d, encoders: [a], seeds: [true]}", "field 'seeds' must be a list of int"),
        ("s: {dataset: d, encoders: [a], k: '32'}", "field 'k' must be of type int, got '32'"),
        ("s: {dataset: d, encoders: [a], k: yes}", "field 'k' must be of type int, got True"),
        ("s: {dataset: d, encoders: [a], learning_rate: fast}", "field 'learning_rate' must be of type float"),
        ("s: {dataset: d, encoders: [a], learning_rate: true}", "field 'learning_rate' must be of type float"),
        ("s: {dataset: d, encoders: null}", "field 'encoders' must be a list of str, got None"),
    ],
)
def test_mistakes_in_a_card_are_named_with_the_file(write, text, message):
    path = write(text)
    with pytest.raises(InputError, match=message) as error:
        read_cards(SuiteCard, path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_free_fields_must_be_mappings(write):
    with pytest.raises(InputError, match="field 'training' must be of type dict"):
        read_cards(EncoderCard, write(f"e: {ENCODER[:-1]}, training: long}}"))


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the card file .*none.yaml: No such file"):
        find_card(EncoderCard, str(tmp_path / "none.yaml"))
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(InputError, match="latin.yaml is not valid YAML"):
        read_cards(EncoderCard, tmp_path / "latin.yaml")


def test_two_files_cannot_define_one_name(tmp_path, monkeypatch):
    (tmp_path / "encoders").mkdir()
    for file in ("a.yaml", "b.yaml"):
        (tmp_path / "encoders" / file).write_text(f"twin: {ENCODER}")
    monkeypatch.setattr(catalog, "CARDS", tmp_path)
    with pytest.raises(InputError, match=r"b.yaml: the encoder 'twin' is defined twice"):
        cards(EncoderCard)


def test_sources_are_found_beside_the_card_in_the_home_folder_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("weights", str(tmp_path)) == (tmp_path / "weights").resolve()
    assert local_path(str(tmp_path / "weights"), "elsewhere") == (tmp_path / "weights").resolve()
    assert local_path("~/weights", "elsewhere") == (tmp_path / "weights").resolve()
    assert local_path("openai/clip", str(tmp_path)) is None


def test_unknown_names_are_input_errors_that_list_what_there_is():
    assert str(unknown("token", "clss", ["mean", "cls"])) == "unknown token 'clss': did you mean cls?"
    assert str(unknown("token", "xyz", ["mean", "cls"])) == "unknown token 'xyz': known: cls, mean."
    assert str(unknown("token", "x", [])) == "unknown token 'x': known: none."
    assert isinstance(unknown("token", "x", []), InputError) and issubclass(InputError, ValueError)
    assert not issubclass(WorkError, ValueError)


def test_reading_cards_loads_no_heavy_library():
    code = (
        "import sys, benchmark.catalog as c; c.cards(c.DatasetCard); "
        "print(sorted({'torch', 'mlflow', 'numpy', 'transformers', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
