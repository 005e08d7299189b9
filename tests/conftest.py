"""What tests of several folders share."""

import os
from pathlib import Path

# As benchmark.__main__ does, and before torch is loaded: a busy neighbor must not slow the tests tenfold.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(autouse=True, scope="session")
def few_threads():
    """As on the machines that the tests are timed on, and so that numbers repeat; one where files run side by side."""
    torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, os.cpu_count() or 1))


@pytest.fixture
def real_data() -> Path:
    """Folder of real data sets; tests that need it are skipped without it."""
    folder = os.environ.get("LOUPE_REAL_DATA")
    if not folder:
        pytest.skip("LOUPE_REAL_DATA names no folder of real data")
    return Path(folder)


@pytest.fixture
def own_folders(tmp_path, monkeypatch) -> Path:
    """Runs and results of a test lie in its own folder."""
    monkeypatch.setenv("LOUPE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LOUPE_RESULTS", str(tmp_path / "results"))
    return tmp_path


def write_picture(path: Path, pixels: np.ndarray) -> Path:
    """Writes pixels as an image file, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def isic_tree(tmp_path) -> Path:
    """Twenty-four images of two classes, told apart by their color, in the layout of ISIC 2018."""
    root = tmp_path / "tiny-isic"
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
