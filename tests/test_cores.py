"""A process keeps as many cores busy as its environment allows."""

from benchmark.cores import all_cores, cores


def test_threads_keep_to_what_the_environment_says(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cores() == 1
    for text in ("", "many", "99999"):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert cores() == all_cores()
