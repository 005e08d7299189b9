"""A box holds: no attempt to leave it succeeds, limits hold for sums, and nothing outlives it."""

import json
import subprocess
import sys

import pytest

from benchmark.storage.paths import ROOT
from benchmark.submission.sandbox.box import NO_BOX
from benchmark.submission.sandbox.supervisor import DISK, MEMORY, PROCESSES


@pytest.fixture(scope="module")
def found():
    """What a program found that tried to leave boxes."""
    command = [sys.executable, "-m", "tests.benchmark.submission.box_probes"]
    program = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    outcome = json.loads(program.stdout)
    if NO_BOX in outcome["codes"].values():
        pytest.skip(f"this system has no boxes: {program.stderr.splitlines()[0]}")
    return outcome


def test_no_attempt_to_leave_the_box_succeeds(found):
    assert len(found["attempts"]) >= 25
    assert [name for name, outcome in found["attempts"].items() if not outcome.startswith("held")] == []


def test_limits_hold_for_all_processes_together(found):
    codes = found["codes"]
    assert (codes["processes"], codes["memory"], codes["disk"]) == (PROCESSES, MEMORY, DISK)


def test_a_process_that_is_left_behind_ends_with_the_task(found):
    assert found["codes"]["left"] == 0
    assert not found["left"]
