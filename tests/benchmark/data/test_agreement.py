"""`data check` and `run --dry-run` refuse the same data sets, with the same words."""

import io
import re
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from benchmark.config.presets import QUICK
from benchmark.data.checks import check_dataset
from benchmark.data.load import Source, load_index
from benchmark.errors import UserError
from benchmark.experiments.grid import build_grid
from benchmark.experiments.jobs import RunRequest, build_jobs
from tests.benchmark.data.corpus import BAD, GOOD

SMALL = replace(QUICK, image_size=96)


def path_of(name, make, directory):
    root = directory / "data"
    make(root)
    return root / "a\nb" if "line break" in name and (root / "a\nb").is_dir() else root


def check(root):
    """What `data check` refuses with, if it does, and all that it says."""
    try:
        report = check_dataset(load_index(Source(directory=root)), lambda *_: None, SMALL)
    except UserError as error:
        return [str(error)], []
    return [*map(str, report.problems), *([report.refusal] if report.refusal else [])], report.facts["notes"]


def dry_run(root):
    """What `run --dry-run` refuses with, if it does, and the notes that it prints."""
    request = RunRequest(
        preset=SMALL,
        source=Source(directory=root),
        cells=build_grid(SMALL, ["mobilenet"], ["standard"], [0]),
        device=torch.device("cpu"),
        bfloat16=False,
    )
    try:
        jobs = build_jobs(request, Console(file=io.StringIO()))
    except UserError as error:
        return str(error), ()
    return None, jobs[0].data.notes


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.usefixtures("own_folders")
def test_both_accept_what_can_be_used_with_the_same_notes(tmp_path, name):
    root = path_of(name, GOOD[name], tmp_path)
    refusals, notes = check(root)
    assert refusals == []
    refusal, printed = dry_run(root)
    assert refusal is None
    assert list(printed) == notes


@pytest.mark.parametrize("name", BAD)
@pytest.mark.usefixtures("own_folders")
def test_both_refuse_what_cannot_be_used_with_the_same_words(tmp_path, name):
    root = path_of(name, BAD[name], tmp_path)
    refusals, _ = check(root)
    assert refusals
    refusal, _ = dry_run(root)
    assert refusal is not None
    assert any(refusal.startswith(words) for words in refusals), (refusal, refusals)
    assert all("\n" not in line for line in (refusal, *refusals))
    assert all(re.search(r"[;:,] ", line) for line in refusals)


def test_the_corpus_is_large():
    assert len(BAD) >= 60
