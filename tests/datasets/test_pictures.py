"""Decoding images and masks, good and bad."""

import numpy as np
import pytest
from PIL import Image

from datasets import pictures
from datasets.merging import additive_max, shrink
from datasets.table import read_table


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P"])
def test_masks_of_every_mode_read_alike(tmp_path, mode):
    drawn = np.zeros((4, 6), dtype=np.uint8)
    drawn[1:3, 2:5] = 255
    Image.fromarray(drawn).convert(mode).save(tmp_path / "m.png")
    assert np.array_equal(pictures.read_mask(tmp_path / "m.png"), drawn > 0)


def test_grey_masks_are_cut_at_half(tmp_path):
    Image.fromarray(np.array([[0, 127, 128, 255]], dtype=np.uint8)).save(tmp_path / "m.png")
    assert pictures.read_mask(tmp_path / "m.png").tolist() == [[False, False, True, True]]


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", None])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    if content is None:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50), dtype=np.uint8)).save(path)
        content = path.read_bytes()[:900]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.png cannot be read as an image .* replace the file or remove it"):
        pictures.read_image(path, 8)


def test_a_mask_of_zeros_and_ones_is_refused_rather_than_taken_for_empty(tmp_path):
    Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"m\.png is a mask with no value above 1; scale it"):
        pictures.read_mask(tmp_path / "m.png")
    Image.fromarray(np.zeros((2, 2), dtype=np.uint8)).save(tmp_path / "empty.png")
    assert not pictures.read_mask(tmp_path / "empty.png").any()


def test_a_picture_bomb_is_refused_before_it_unfolds(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((40, 50), dtype=np.uint8)).save(tmp_path / "large.png")
    monkeypatch.setattr(pictures, "MOST_PIXELS", 1999)
    with pytest.raises(ValueError, match=r"large\.png has 50 x 40 pixels; make it smaller"):
        pictures.read_mask(tmp_path / "large.png")


def test_two_pictures_of_one_stem_are_refused(tmp_path):
    for name in ("a.png", "a.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"a\.png and a\.jpg have the same name"):
        pictures.by_stem(tmp_path)


def test_votes_are_shares_of_the_largest():
    assert additive_max(np.array([[0, 1, 2, 3]])).tolist() == [[0, 85, 170, 255]]
    assert additive_max(np.zeros((2, 2), dtype=np.int64)).tolist() == [[0, 0], [0, 0]]
    assert shrink(np.array([[0, 255], [0, 255]], dtype=np.uint8), 1).tolist() == [[128]]


def test_tables_are_read_however_they_were_saved(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("\ufeffname ; value \r\n a ; 1 \r\n\r\nb;2\r\n".encode())
    assert read_table(path, ["name"]) == [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]
    with pytest.raises(ValueError, match="has no column 'size'; it has name, value"):
        read_table(path, ["size"])
    path.write_text("name,size\na\n", encoding="utf-8")
    with pytest.raises(ValueError, match="row 1 has no size; fill it in or remove the row"):
        read_table(path, ["name", "size"])
    path.write_bytes(b"\n \n")
    with pytest.raises(ValueError, match="is empty"):
        read_table(path, ["name"])
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="is empty"):
        read_table(path, ["name"])
    path.write_bytes(b"\xff\xfe\x00n")
    with pytest.raises(ValueError, match="is not UTF-8 text"):
        read_table(path, ["name"])
