import pytest

from benchmark.errors import WorkError
from benchmark.jobs import results


@pytest.fixture
def tags(monkeypatch):
    import mlflow

    found = {}
    monkeypatch.setattr(mlflow, "set_tag", found.__setitem__)
    return found


@pytest.mark.parametrize(
    "complete, said",
    [
        (0, "failed: a, b (see above)."),
        (1, "failed: a, b (see above); 1 other is complete."),
        (3, "failed: a, b (see above); 3 others are complete."),
    ],
)
def test_others_are_called_complete_only_if_there_are_some(tags, capsys, complete, said):
    with pytest.raises(WorkError) as failure:
        results.raise_failures({"a": "no weights", "b": "no disk"}, complete=complete)
    assert str(failure.value) == said and tags == {"failed": "a,b"}
    assert capsys.readouterr().out == "FAILED a: no weights\nFAILED b: no disk\n"


def test_nothing_failed_nothing_is_raised(tags):
    results.raise_failures({}, complete=2)
    assert not tags
