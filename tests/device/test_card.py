"""The code for a GPU on a simulated card, and the places where it waits. See `tests.device.simulated`.

One process runs all checks, since torch counts devices at the first backward pass of a process.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.device.checks import checks

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "gpu.md"
ROW = re.compile(r"^\| `([\w/]+\.py)` \| `(\w+)` \| (read|write) \| ([\w ]+) \| (.+) \|$", re.MULTILINE)
PER_IMAGE = "image"
ITERATED = "ten iterations"  # how many there are depends on the images

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]  # a minute of one core, which busy machines share


def run_checks(*words: str) -> dict:
    """Runs the checks of some names in a process with a card."""
    call = [sys.executable, "-m", "tests.device", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def results():
    return run_checks()


@pytest.mark.parametrize("name", checks())
def test_it_runs_on_the_card_with_the_numbers_of_the_cpu(results, name):
    assert results[name]["error"] is None, results[name]["error"]


def test_the_page_lists_every_wait_and_no_other(results):
    found = {tuple(wait[:3]) for result in results.values() for wait in result["waits"]}
    listed = {row[:3] for row in ROW.findall(PAGE.read_text(encoding="utf-8"))}
    assert sorted(found - listed) == []
    assert sorted(listed - found) == []


def test_waits_grow_with_the_number_of_images_only_where_the_page_says_so():
    often = {row[:3]: row[3] for row in ROW.findall(PAGE.read_text(encoding="utf-8"))}
    few, more = (run_checks("--images", str(number), "method/*", "metric/*") for number in (2, 4))
    assert few
    for name, result in few.items():
        after = {tuple(wait[:3]): wait[3] for wait in more[name]["waits"]}
        for *place, count in result["waits"]:
            if (once_per := often[tuple(place)]) != ITERATED:
                assert (after[tuple(place)] > count) == (once_per == PER_IMAGE), (name, place, count)
