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
    assert [env["LOUPE_TEST_SHARE"] for _, env in runs] == list("012345678")


def test_a_set_is_chosen_by_its_name(runs):
    assert kernels.main(["--set", "avx2-1", "--set", "native-2", "--durations=9"]) == 1
    assert [env["LOUPE_TEST_SHARE"] for _, env in runs] == ["3", "7"]
    assert runs[0][0][-3:] == ["-m", "numeric", "--durations=9"]


@pytest.mark.parametrize("parameters", [1, 2, 8, 9, 10, 100])
def test_the_sets_share_a_grid_and_each_has_some_of_it(parameters):
    grid = {f"test_x.py::test_y[{number}]" for number in range(parameters)}
    shares = [kernels.in_share(grid | {"test_x.py::test_z"}, share) for share in range(9)]
    assert set.union(*shares) == grid | {"test_x.py::test_z"}
    assert all("test_x.py::test_z" in share for share in shares)
    assert {len(share) - 1 for share in shares} <= {max(1, parameters // 9), -(-parameters // 9)}


def test_a_share_is_the_same_whatever_else_is_collected():
    grid = [f"test_x.py::test_y[{number}]" for number in range(30)]
    assert kernels.in_share(grid, 4) == kernels.in_share(["a.py::test_b[7]", *reversed(grid)], 4) - {"a.py::test_b[7]"}


def test_the_short_version_takes_marked_tests_alone(runs):
    assert kernels.main(["--short"]) == 1
    assert len(runs) == 2
    chosen = runs[0][0][5:]
    assert any(name.endswith("test_golden.py") for name in chosen)
    assert not any(name.endswith("test_page.py") for name in chosen)
