"""The sheet of images with and without the lesion."""

import numpy as np
import pytest
from PIL import Image

from benchmark.leaderboard.figures.reliance import MAX_ROWS, ReliancePanel, reliance_sheet


def panels(number):
    rng = np.random.default_rng(0)
    image, filled = rng.integers(0, 255, (2, 16, 16, 3), dtype=np.uint8)
    mask = np.zeros((16, 16), dtype=bool)
    mask[4:9, 5:9] = True
    maps = {"grad-cam": rng.random((16, 16)), "gradient": rng.random((16, 16))}
    panel = ReliancePanel(image=image, mask=mask, filled=filled, before="a 0.90", after="filled: 0.20", maps=maps)
    return [panel] * number


@pytest.mark.parametrize("number", [1, 2 * MAX_ROWS])
def test_it_has_a_block_of_columns_for_every_six_images(number, tmp_path):
    reliance_sheet(panels(number), "made: with and without", tmp_path / "sheet.webp")
    with Image.open(tmp_path / "sheet.webp") as sheet:
        width, height = sheet.size
    assert width == pytest.approx(660 * (1 if number == 1 else 2), abs=2)
    assert height > 200 if number == 1 else height > 1000


def test_equal_panels_give_equal_bytes(tmp_path):
    for name in ("one.webp", "two.webp"):
        reliance_sheet(panels(2), "made", tmp_path / name)
    assert (tmp_path / "one.webp").read_bytes() == (tmp_path / "two.webp").read_bytes()
