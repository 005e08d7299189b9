"""The command line answers at once: what takes long to load is loaded by the verbs that need it."""

import os
import subprocess
import sys

import pytest

from benchmark.storage.paths import ROOT

SECONDS = 0.5


def test_the_command_line_loads_in_half_a_second_of_the_processor():
    code = "import time; begun = time.process_time(); import benchmark.__main__; print(time.process_time() - begun)"
    # The best of a few: a busy neighbor makes even the processor's own time longer.
    taken = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        taken.append(float(done.stdout))
        if taken[-1] < SECONDS:
            break
    assert min(taken) < SECONDS


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["list", "--help"], ["data", "check", "--help"]])
def test_help_needs_no_torch(words):
    code = (
        "import sys, contextlib\n"
        "from benchmark.__main__ import main\n"
        f"sys.argv = ['benchmark', *{words!r}]\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main()\n"
        "print('loaded:', *sorted({'torch', 'timm', 'pandas', 'ray', 'numpy'} & sys.modules.keys()))\n"
    )
    environment = os.environ | {"TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert "Usage" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]
