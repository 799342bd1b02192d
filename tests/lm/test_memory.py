"""Memory goes back to the system where the C library knows how, and nothing breaks where it does not."""

import ctypes
import sys

import pytest

from presample.models.lm import memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
def test_freed_memory_leaves_the_process():
    def resident():
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096

    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("this C library has no malloc_trim")
    pieces = [bytes(60_000) + b"x" for _ in range(2000)]  # 120 MB in pieces of the heap
    last = bytes(60_000)  # keeps the top of the heap where it is
    full = resident()
    del pieces
    memory.give_back()
    assert full - resident() > 60e6
    assert last


def test_a_c_library_without_it_is_no_trouble(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert memory.give_back() is False

    def missing(name):
        raise OSError("no such library")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert memory.give_back() is False
