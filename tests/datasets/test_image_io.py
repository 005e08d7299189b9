"""Decoding images and masks, good and bad."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import BadFileError, Mask, Sample, image_files, image_io
from datasets.aggregation import additive_max, majority, mean, shrink, union
from datasets.table import read_table


def read(name: str, directory: Path, marks: frozenset[int] | None = None) -> np.ndarray:
    return image_io.read_mask(Mask(path=directory / f"{name}.png", rater="r", marks=marks))


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P"])
def test_masks_of_every_mode_read_alike(tmp_path, mode):
    drawn = np.zeros((4, 6), dtype=np.uint8)
    drawn[1:3, 2:5] = 255
    Image.fromarray(drawn).convert(mode).save(tmp_path / "m.png")
    assert np.array_equal(read("m", tmp_path), drawn > 0)


def test_gray_masks_are_cut_at_half(tmp_path):
    Image.fromarray(np.array([[0, 127, 128, 255]], dtype=np.uint8)).save(tmp_path / "m.png")
    assert read("m", tmp_path).tolist() == [[False, False, True, True]]


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", None])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    if content is None:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50), dtype=np.uint8)).save(path)
        content = path.read_bytes()[:900]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.png cannot be read as an image .* replace the file or remove it"):
        image_io.read_image(Sample(id="broken", image=path, diagnosis="a", group="broken"), 8)


def test_a_mask_of_zeros_and_ones_is_refused_rather_than_taken_for_empty(tmp_path):
    Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"m\.png is a mask with no value above 1; scale it"):
        read("m", tmp_path)
    Image.fromarray(np.zeros((2, 2), dtype=np.uint8)).save(tmp_path / "empty.png")
    assert not read("empty", tmp_path).any()


def test_a_picture_bomb_is_refused_before_it_unfolds(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((40, 50), dtype=np.uint8)).save(tmp_path / "large.png")
    monkeypatch.setattr(image_files, "MAX_PIXELS", 1999)
    with pytest.raises(ValueError, match=r"large\.png has 50 x 40 pixels; make it smaller"):
        read("large", tmp_path)


@pytest.mark.parametrize("settings", [{"subsampling": 0}, {"subsampling": 2, "quality": 60}, {"progressive": True}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_photographs_have_the_pixels_that_pillow_sees(tmp_path, mode, settings):
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 255, (9, 7, 3), dtype=np.uint8)).resize((61, 83))
    smooth.convert(mode).save(tmp_path / "photo.jpg", **settings)
    with Image.open(tmp_path / "photo.jpg") as picture:
        expected = np.asarray(picture.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
    sample = Sample(id="photo", image=tmp_path / "photo.jpg", diagnosis="a", group="photo")
    assert np.array_equal(image_io.read_image(sample, 32), expected)


def test_masks_of_16_bits_are_refused(tmp_path):
    Image.fromarray(np.array([[0, 60000]], dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep\.png has pixels of I;16; save it with 8 bits a channel"):
        read("deep", tmp_path)


def test_values_rules_and_sizes_of_masks(tmp_path):
    labels = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    Image.fromarray(labels).save(tmp_path / "m.png")
    assert read("m", tmp_path, marks=frozenset({1, 3})).tolist() == [[False, True], [False, True]]
    Image.fromarray(np.stack([labels, labels * 0, labels * 0 + 1], axis=-1)).save(tmp_path / "rgb.png")
    assert read("rgb", tmp_path, marks=frozenset({65536 + 2})).tolist() == [[False, False], [True, False]]
    ruled = image_io.read_mask(Mask(path=tmp_path / "none.png", rater="r", box=(1, 0, 3, 1)), (4, 2))
    assert ruled.tolist() == [[False, True, True, False], [False] * 4]
    with pytest.raises(BadFileError, match=r"m\.png is 2 x 2, its image 3 x 2; a mask must fit its image"):
        image_io.read_mask(Mask(path=tmp_path / "m.png", rater="r"), (3, 2))


def test_merging_by_hand():
    both = np.array([[[0, 1, 2, 0]], [[0, 1, 0, 0]], [[0, 0, 1, 1]]])
    assert additive_max(both).tolist() == [[0, 170, 255, 85]]
    assert mean(both).tolist() == [[0, 170, 170, 85]]
    assert union(both).tolist() == [[0, 255, 255, 255]]
    assert majority(both).tolist() == [[0, 255, 255, 0]]
    for merge in (additive_max, mean, union, majority):
        assert merge(np.zeros((2, 1, 3), dtype=np.uint16)).tolist() == [[0, 0, 0]]
    assert shrink(np.array([[0, 255], [0, 255]], dtype=np.uint8), 1).tolist() == [[128]]


def test_additive_votes_are_those_of_the_published_formula():
    votes = np.random.default_rng(0).integers(0, 4, (3, 20, 30))
    total = votes.sum(axis=0)
    published = np.uint8(np.clip(total / total.max() * 256, 0, 255))
    assert np.array_equal(additive_max(votes), published)


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
