"""The matrix of kernels runs each set in a process of its own and fails where one fails."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests import kernels


@pytest.fixture
def runs(monkeypatch):
    """Environments and words of the processes; the first fails."""
    seen = []

    def run(command, env, check):  # noqa: ARG001 - named as subprocess names it
        seen.append((command, env))
        return SimpleNamespace(returncode=int(len(seen) == 1))

    monkeypatch.setattr(subprocess, "run", run)
    return seen


def test_the_whole_takes_three_sets_by_three_numbers_of_threads(runs):
    assert kernels.main(["-x"]) == 1
    asked = [(env.get("ATEN_CPU_CAPABILITY"), env["LOUPE_TEST_THREADS"]) for _, env in runs]
    assert asked == [(isa, threads) for isa in ("default", "avx2", None) for threads in "124"]
    assert all(command[0] == sys.executable and command[-3:] == ["-m", "numeric", "-x"] for command, _ in runs)


def test_the_short_version_takes_marked_tests_alone(runs):
    assert kernels.main(["--short"]) == 1
    assert len(runs) == 2
    chosen = runs[0][0][5:]
    assert any(name.endswith("test_golden.py") for name in chosen)
    assert not any(name.endswith("test_page.py") for name in chosen)
