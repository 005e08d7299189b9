"""The command line in the process of the tests. A process of its own takes seconds of a core to load torch."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmark.__main__ import main


@dataclass(frozen=True, slots=True)
class Called:
    """What a call leaves behind, by the names of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


def call(directory: Path, *words: object) -> Called:
    """Calls the command line with runs and results in a directory. A warning or a traceback is an error of the test."""
    out, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        patch.setenv("LOUPE_RUNS", str(directory / "runs"))
        patch.setenv("LOUPE_RESULTS", str(directory / "results"))
        patch.setattr(sys, "argv", ["benchmark", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
    return Called(returncode=ended.value.code or 0, stdout=out.getvalue(), stderr=errors.getvalue())


def refused(done: Called) -> str:
    """The one line that a mistake of the user's earns."""
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    return line
