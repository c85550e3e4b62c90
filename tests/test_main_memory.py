"""What this machine, container or cluster job has to give."""

import pytest

from benchmark import main_memory

GB = 10**9


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Return machine(available, cgroup lines, {file: limit}): a system of files that says so."""
    monkeypatch.setattr(main_memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(main_memory, "CGROUPS", tmp_path / "cgroup")

    def make(available, groups="", limits=None):
        (tmp_path / "proc" / "self").mkdir(parents=True)
        text = f"MemTotal:  99999999 kB\nMemAvailable:  {available // 1024} kB\n" if available else "nothing of use"
        (tmp_path / "proc" / "meminfo").write_text(text)
        (tmp_path / "proc" / "self" / "cgroup").write_text(groups)
        for file, limit in (limits or {}).items():
            (tmp_path / "cgroup" / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "cgroup" / file).write_text(f"{limit}\n")

    return make


def test_what_is_available(machine):
    machine(16 * GB)
    assert main_memory.available_memory() == pytest.approx(16 * GB, rel=1e-6)


@pytest.mark.parametrize(
    ("groups", "limits"),
    [
        ("0::/", {"memory.max": 4 * GB}),
        ("0::/slurm/job_7/step_0\n", {"slurm/job_7/memory.max": 4 * GB, "slurm/job_7/step_0/memory.max": "max"}),
        ("0::/kubepods/pod1\n", {"memory.max": 4 * GB}),
        ("9:cpu:/\n4:memory:/docker/abc\n0::/\n", {"memory/memory.limit_in_bytes": 4 * GB}),
        ("4:hugetlb,memory:/job\n", {"memory/job/memory.limit_in_bytes": 4 * GB}),
    ],
)
def test_a_container_or_job_counts_by_its_limit(machine, groups, limits):
    machine(16 * GB, groups, limits)
    assert main_memory.available_memory() == 4 * GB


def test_no_limit_is_no_limit(machine):
    machine(16 * GB, "0::/user.slice\n4:memory:/\n", {"user.slice/memory.max": "max", "memory.max": "max"})
    assert main_memory.available_memory() == pytest.approx(16 * GB, rel=1e-6)


def test_a_system_that_does_not_say_gives_no_number(machine):
    machine(0)
    assert main_memory.available_memory() is None
