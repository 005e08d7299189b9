"""From a directory to a data set: images that lie elsewhere, directories of several looks, two processes at once."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.load import Source, load_index, require_usable
from benchmark.errors import UserError
from benchmark.storage.paths import ROOT

SUITS = ("Acne", "Psoriasis")


@pytest.fixture
def masks_only(tmp_path, own_folders) -> Path:  # noqa: ARG001 - its directories are used through the environment
    """DermXDB as published: masks and metadata, no images."""
    root = tmp_path / "dermxdb"
    (root / "masks" / "masks").mkdir(parents=True)
    lines, rows = ["image_id,mask_id,class_name"], ["original_filename;dataset;diagnosis;current_filename"]
    for number in range(4):
        lines.append(f"derm1_{number},derm1_{number}_00001,Scale")
        rows.append(f"x;SD-260;{SUITS[number % 2]};{number}.jpeg")
        Image.fromarray(np.full((6, 8), 255, dtype=np.uint8)).save(
            root / "masks" / "masks" / f"derm1_{number}_00001.png"
        )
    (root / "masks" / "instance_mask_annotations.csv").write_text("\n".join(lines), encoding="utf-8")
    (root / "metadata.csv").write_text("\r\n".join(rows), encoding="utf-8")
    return root


def test_images_are_found_where_the_user_says_and_matched_by_name(masks_only, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in (0, 1, 3):
        Image.fromarray(np.zeros((6, 8, 3), dtype=np.uint8)).save(photos / f"{number}.png")
    data = require_usable(load_index(Source(directory=masks_only, images=photos)))
    assert [sample.image.name for sample in data.samples] == ["0.png", "1.png", "3.png"]
    assert data.left_out == ("2: no image",)


def test_masks_alone_cannot_be_trained_on_and_the_line_says_where_to_ask(masks_only):
    with pytest.raises(UserError, match=r"has masks but no images; .*on request from SD-260.*--image-dir"):
        require_usable(load_index(Source(directory=masks_only)))


def test_a_folder_of_images_that_fits_nothing_is_one_line(masks_only, tmp_path):
    with pytest.raises(UserError, match=r"--image-dir: .*photos is not a directory"):
        load_index(Source(directory=masks_only, images=tmp_path / "photos"))
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match=r"no file in .*photos is named like an image of the data set, such as 0"):
        load_index(Source(directory=masks_only, images=tmp_path / "photos"))


def test_a_folder_of_two_looks_asks_for_the_layout(masks_only):
    (masks_only / "ISIC2018_Task1-2_Training_Input").mkdir()
    with pytest.raises(UserError, match="looks like dermxdb, isic2018; name one with --layout"):
        load_index(Source(directory=masks_only))
    assert load_index(Source(directory=masks_only, layout="dermxdb")).layout == "dermxdb"


READ = """
import sys
from pathlib import Path

from benchmark.config.presets import QUICK
from benchmark.data.dataset import prepare_dataset
from benchmark.data.load import Source, load_index

print(len(prepare_dataset(load_index(Source(directory=Path(sys.argv[1]))), QUICK).samples))
"""


def test_two_processes_that_read_the_same_data_at_once_share_one_cache(isic_tree, tmp_path):
    command = [sys.executable, "-c", READ, str(isic_tree)]
    environment = os.environ | {"LOUPE_RUNS": str(tmp_path / "runs")}
    both = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        assert out == "24\n"
    assert [path.name[0] != "." for path in (tmp_path / "runs" / "data").iterdir()] == [True]
