"""Processes take turns at what is there once."""

import subprocess
import sys
from pathlib import Path

from tests.one_machine import alone

ROOT = Path(__file__).parent.parent
TRIES = """
from filelock import Timeout
from tests import one_machine
one_machine.FileLock = lambda path, lock=one_machine.FileLock: lock(path, timeout=0)
try:
    with one_machine.alone("nothing"):
        print("had")
except Timeout:
    print("taken")
"""


def tried() -> str:
    done = subprocess.run([sys.executable, "-c", TRIES], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_another_process_waits_until_the_block_ends():
    with alone("nothing"):
        assert tried() == "taken"
    assert tried() == "had"
