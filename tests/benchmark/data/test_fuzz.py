"""Generated trees and tables: `data check` never fails otherwise than with one line, and `run` agrees with it.

`python -m tests.benchmark.data.fuzzing 3000` generates more of them.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.storage.runs import runs_dir
from tests.benchmark.data.fuzzing import KINDS, Judge, judge


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.usefixtures("own_folders")
@settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(make=st.one_of(*KINDS.values()))
def test_no_tree_ends_in_a_traceback_and_both_agree(make):
    root = Path(tempfile.mkdtemp()) / "data"
    try:
        make(root)
        judge(root)
    finally:
        shutil.rmtree(root.parent)
        shutil.rmtree(runs_dir(), ignore_errors=True)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (lambda: {}["missing"], "traceback"),
        (lambda: bytearray(3 * 10**9), "above 2 GB"),
        (lambda: Path("/").exists(), "unlike"),
        (lambda: os._exit(1), "killed"),
        (lambda: time.sleep(60), "hang"),
    ],
)
def test_what_an_input_causes_is_counted(tmp_path, monkeypatch, fault, outcome):
    def judge_badly(_):
        fault()
        raise AssertionError

    monkeypatch.setattr("tests.benchmark.data.fuzzing.judge", judge_badly)
    if outcome == "hang":
        monkeypatch.setattr("tests.benchmark.data.fuzzing.MAX_SECONDS", 0.5)
    process = Judge()
    for _ in range(2):
        assert process.judge(tmp_path)[0].startswith(outcome)
    process.close()
