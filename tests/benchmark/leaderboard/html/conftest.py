"""The page of four committed records, shared by the tests of its text and those in a browser."""

import json
import shutil
from pathlib import Path

import pytest

from benchmark.leaderboard.gallery.load import GALLERY_DIR
from benchmark.leaderboard.html.page_input import PageInput
from benchmark.leaderboard.html.render import page
from tests.benchmark.leaderboard.html.shown import MODELS, shown_of, write_pictures
from tests.committed import QUICK, committed_record


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """Four of the committed records and a gallery."""
    target = tmp_path_factory.mktemp("results") / "dermsynth" / "quick"
    (target / "records").mkdir(parents=True)
    for name in ("protocol.json", "baselines.parquet"):
        shutil.copy(QUICK / name, target)
    for model in MODELS:
        for path in (QUICK / "records").glob(f"{committed_record(model).stem}.*"):
            shutil.copy(path, target / "records")
    marker = json.loads((target / "protocol.json").read_text(encoding="utf-8"))
    models = [("densenet121", "standard"), ("densenet121", "adversarial"), ("xception", "standard")]
    write_pictures(target / GALLERY_DIR, marker["protocol"], models)
    return target


@pytest.fixture(scope="module")
def shown(directory) -> PageInput:
    return shown_of(directory)


@pytest.fixture(scope="module")
def text(shown) -> str:
    return page([shown])
