"""Where and how to compute."""

import gc
import platform
import subprocess
import sys
import weakref

import pytest
import torch

from benchmark.runtime.device import fits_in_memory, release_memory
from benchmark.storage.paths import ROOT

FAULTS = """
import resource, torch
from benchmark.runtime.device import retain_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(64 * 2**20, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults())
retain_freed_memory()
faults()  # glibc takes fresh memory for a while before it comes back to what was freed
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library has no such option")
def test_freed_memory_is_taken_again_without_asking_the_system():
    """In a process of its own, since it cannot be undone: tensors in turn soon fault no more."""
    done = subprocess.run([sys.executable, "-c", FAULTS], cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after < before / 4


def test_data_has_room_on_a_card_where_as_much_is_left_for_the_training(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (1000, 4000))
    assert [fits_in_memory(torch.device("cuda"), size) for size in (500, 501)] == [True, False]
    assert fits_in_memory(torch.device("cpu"), 10**15)


@pytest.fixture
def manual_collection():
    """No garbage collection but on demand: one that starts by itself would free a cycle first."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("manual_collection")
def test_an_optimizer_that_refers_to_itself_is_freed():
    optimizer = torch.optim.AdamW(torch.nn.Linear(2, 2).parameters())
    optimizer.itself = optimizer  # as a schedule does, by a method that it wraps
    left = weakref.ref(optimizer)
    del optimizer
    assert left() is not None
    release_memory()
    assert left() is None
