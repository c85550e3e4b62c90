"""Training takes half of what this machine, container or cluster job has to give."""

import os

import pytest

from benchmark.jobs import memory

GB = 10**9


def test_half_of_what_is_available(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 16 * GB)
    assert memory.memory_budget("cpu") == 8 * GB


def test_a_system_that_does_not_say_gives_a_part_of_what_is_built_in(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    built_in = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory.memory_budget("cpu") == pytest.approx(built_in / 4)


def test_a_gpu_counts_by_its_own_memory_and_what_torch_holds_unused(monkeypatch):
    """The encoder that has just run leaves its memory in torch's hands."""
    import torch

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10 * GB, 80 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50 * GB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 8 * GB)
    assert memory.memory_budget("cuda:0") == 26 * GB
