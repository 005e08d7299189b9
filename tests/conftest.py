"""What tests of several directories share."""

import os
import random
from collections import Counter
from pathlib import Path

# As benchmark.__main__ does, and before torch is loaded: a busy neighbor must not slow the tests tenfold.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

import numpy as np
import pytest
import torch
from PIL import Image

from tests.kernels import in_share


@pytest.fixture(autouse=True, scope="session")
def few_threads():
    """As on the machines that the tests are timed on, and so that numbers repeat; one where files run side by side.

    `make test-kernels` asks for others.
    """
    usual = 1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, os.cpu_count() or 1)
    torch.set_num_threads(int(os.environ.get("LOUPE_TEST_THREADS", usual)))


@pytest.fixture(autouse=True)
def same_draws_in_any_order():
    """What a test draws from the global generators does not depend on the tests before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - what is tested may draw from numpy's global generator
    torch.manual_seed(0)


NUMERIC = {"architectures", "attacks", "metrics", "regimes", "saliency", "training"}
"""Names of directories, and of files after `test_`, whose tests compare numbers that kernels compute."""
STRUCTURAL = {"groups", "strides"}
"""Files in them that look at the layers of networks, not at what these compute."""


def pytest_collection_modifyitems(config, items):
    for item in items:
        place = item.path.relative_to(Path(__file__).parent.parent)
        name = place.stem.removeprefix("test_")
        if NUMERIC & {*place.parent.parts, name} and name not in STRUCTURAL:
            item.add_marker(pytest.mark.numeric)
    _take_share(config, items)
    _order_files(items)


def _take_share(config, items):
    """Under one of the sets of `make test-kernels`, leaves to the others what they run, see `tests.kernels`."""
    share = os.environ.get("LOUPE_TEST_SHARE")
    if share is None:
        return
    shared = {item.nodeid for item in items if not item.get_closest_marker("every_kernel")}
    left_out = shared - in_share(shared, int(share))
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
    items[:] = [item for item in items if item.nodeid not in left_out]


LONGEST = "test_ray.py"
"""The file that takes longest. It has a cluster, and others that start one wait for it, so they come much later."""


def _order_files(items):
    """What takes longest begins first, or one worker waits at the end: files with slow tests, then those with many."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path.name != LONGEST, item.path not in slow, -sizes[item.path]))


@pytest.fixture
def real_data() -> Path:
    """Folder of real data sets; tests that need it are skipped without it."""
    directory = os.environ.get("LOUPE_REAL_DATA")
    if not directory:
        pytest.skip("LOUPE_REAL_DATA names no directory of real data")
    return Path(directory)


@pytest.fixture
def own_folders(tmp_path, monkeypatch) -> Path:
    """Runs and results of a test lie in its own directory."""
    monkeypatch.setenv("LOUPE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LOUPE_RESULTS", str(tmp_path / "results"))
    return tmp_path


def write_picture(path: Path, pixels: np.ndarray) -> Path:
    """Writes pixels as an image file, directories included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def isic_tree(tmp_path) -> Path:
    """Twenty-four images of two classes in the layout of ISIC 2018."""
    return write_isic_tree(tmp_path / "tiny-isic")


def write_isic_tree(root: Path) -> Path:
    """Writes twenty-four images of two classes, told apart by their color, in the layout of ISIC 2018."""
    rng = np.random.default_rng(0)
    lines = ["image,diagnosis"]
    for number in range(24):
        name = f"ISIC_{number:07d}"
        pixels = rng.integers(100, 160, (40, 48, 3), dtype=np.uint8)
        mask = np.zeros((40, 48), dtype=np.uint8)
        mask[10:30, 12:36] = 255
        pixels[10:30, 12:36, number % 2] += 80
        write_picture(root / "ISIC2018_Task1-2_Training_Input" / f"{name}.png", pixels)
        write_picture(root / "ISIC2018_Task1_Training_GroundTruth" / f"{name}_segmentation.png", mask)
        lines.append(f"{name},{('benign', 'melanoma')[number % 2]}")
    (root / "diagnosis.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root
