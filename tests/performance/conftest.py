"""What the suites share: a device, threads, and notes of the conditions beside each time."""

import os

import pytest
import torch

from benchmark.runtime.device import retain_freed_memory
from tests.performance.measuring import PeakMemory, chosen_device, chosen_threads, load, until_done


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Around the test alone: what its fixtures made is held already and counts as no memory of its own."""
    benchmark = item.funcargs.get("benchmark")
    if benchmark is None or not benchmark.enabled:
        return (yield)
    memory, before = PeakMemory(item.funcargs.get("device") or torch.device("cpu")), load()
    try:
        return (yield)
    finally:  # what was measured stands on the page even where it misses what is asserted of it
        benchmark.extra_info |= {"load": max(before, load()), "nice": os.nice(0), "threads": torch.get_num_threads()}
        benchmark.extra_info |= {"memory": memory.bytes()}


@pytest.fixture(scope="module", autouse=True)
def threads():
    before = torch.get_num_threads()
    torch.set_num_threads(chosen_threads())
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def allocator(request):
    """As `run` sets it, for peers and floors too: none is ahead for want of it. A process cannot undo it."""
    if request.config.getoption("benchmark_enable"):
        retain_freed_memory()


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where the suites that take a device compute; on the CPU unless LOUPE_BENCH_DEVICE names another."""
    return chosen_device()


@pytest.fixture(scope="session")
def measures(request) -> bool:
    """Whether times are taken. Where they are not, small inputs show that the code runs."""
    return request.config.getoption("benchmark_enable")


@pytest.fixture
def timed(device):
    """Wraps what is measured: on CUDA a call ends when the card has done its work, on the CPU nothing changes."""

    def wrap(function):
        return until_done(function, device)

    return wrap
