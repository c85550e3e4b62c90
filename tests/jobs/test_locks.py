"""What two processes want is worked out once, and a cache that cannot be written is one sentence."""

import os

import pytest

from benchmark.errors import WorkError
from benchmark.jobs.locks import locked


def test_a_cache_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    wanted = r"the cache folder .*cache/training cannot be written \(Not a directory\)"
    with pytest.raises(WorkError, match=wanted), locked(tmp_path / "cache" / "training" / "x", "training"):
        raise AssertionError("held without a lock")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_cache_is_one_sentence(tmp_path):
    (tmp_path / "cache").mkdir(mode=0o555)
    wanted = r"cannot be written \(Permission denied\); make it writable"
    with pytest.raises(WorkError, match=wanted), locked(tmp_path / "cache" / "x", "training"):
        raise AssertionError("held without a lock")


def test_an_error_under_the_lock_is_not_taken_for_the_caches(tmp_path):
    with pytest.raises(FileNotFoundError), locked(tmp_path / "x", "training"):
        raise FileNotFoundError("an image that went away")
    with locked(tmp_path / "x", "training"):
        pass
