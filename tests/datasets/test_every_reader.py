"""What holds for all readers: tagged images are turned, tables join however they write names, rows never contradict."""

import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from benchmark.registry import entries
from datasets import BadFileError, DatasetReader, Mask, Sample
from datasets.image_files import read_header
from datasets.image_io import find_readings, image_size, read_image, read_mask
from tests.benchmark.data.corpus import HEIGHT, WIDTH, draw, exif, levels, mark
from tests.datasets.trees import ALL, NAMES, WITH_TABLE


def load(name, root):
    return entries(DatasetReader)[name].load(root)


def tagged(path, orientation):
    """Replaces an image by a tagged JPEG of the same name, and returns what it shows."""
    draw(path, 7, exif=exif(orientation), format="JPEG", quality=95)
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.mark.parametrize("name", ALL)
def test_a_tagged_jpeg_is_turned_and_fits_the_mask_of_what_it_shows(tmp_path, name):
    ALL[name](tmp_path)
    shown = tagged(load(name, tmp_path).samples[0].image, 6)
    sample = load(name, tmp_path).samples[0]
    mark(sample.masks[0].path, np.full((WIDTH, HEIGHT), 255, np.uint8))
    assert image_size(sample) == (HEIGHT, WIDTH) == shown.shape[1::-1]
    assert np.array_equal(read_image(sample, 16), resized(shown))
    assert read_mask(sample.masks[0], image_size(sample)).shape == (WIDTH, HEIGHT)
    assert find_readings(sample) == ("turned",)


def resized(pixels, side=16):
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_every_orientation_is_turned_as_pillow_turns_it(tmp_path, orientation, suffix):
    path = draw(tmp_path / f"x.{suffix}", 3, exif=exif(orientation))
    with Image.open(path) as image:
        shown = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    sample = Sample(id="x", image=path, diagnosis="a", group="x")
    assert image_size(sample) == shown.shape[1::-1]
    assert np.array_equal(read_image(sample, 16), resized(shown))


def test_an_image_whose_mask_fits_only_as_stored_is_not_turned(tmp_path):
    path = tmp_path / "x.jpg"
    tagged(path, 6)
    mask = Mask(path=mark(tmp_path / "m.png"), rater="r")
    sample = Sample(id="x", image=path, diagnosis="a", group="x", masks=(mask,))
    assert image_size(sample) == (WIDTH, HEIGHT)
    with Image.open(path) as image:
        assert np.array_equal(read_image(sample, 16), resized(np.asarray(image)))
    assert find_readings(sample) == ("stored",)
    assert find_readings(replace(sample, masks=())) == ("turned",)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_a_damaged_tag_is_no_tag(tmp_path):
    path = draw(tmp_path / "x.jpg", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert read_header(path).turn is None


@pytest.mark.parametrize("name", WITH_TABLE)
@pytest.mark.parametrize("spelling", ["{}.jpg", "images/{}.JPG", "C:\\x\\{}.png", "{}"])
def test_a_table_joins_however_it_writes_names(tmp_path, name, spelling):
    table = WITH_TABLE[name](tmp_path)
    expected = load(name, tmp_path)
    text = table.read_text(encoding="utf-8")
    for image in NAMES:
        text = text.replace(image, spelling.format(image if spelling != "{}" else image.lower()))
    table.write_text(text, encoding="utf-8")
    found = load(name, tmp_path)
    assert found.problems == expected.problems == ()
    assert found.samples == expected.samples
    assert found.left_out == expected.left_out


@pytest.mark.parametrize("name", sorted(WITH_TABLE.keys() - {"oxford-pet", "dermxdb", "isic2016", "isic2017"}))
def test_a_table_of_other_names_is_a_problem(tmp_path, name):
    table = WITH_TABLE[name](tmp_path)
    text = table.read_text(encoding="utf-8").replace("ISIC_", "other")
    table.write_text(text, encoding="utf-8")
    (problem, *_) = load(name, tmp_path).problems
    assert problem.file == table
    assert problem.what.startswith("names 2 images, of which 0 are among the 2 images here ('other0000001' has none")


@pytest.mark.parametrize("name", ["folder", "glas", "ham10000", "isic2018"])
def test_two_groups_of_an_image_are_a_problem(tmp_path, name):
    table = WITH_TABLE[name](tmp_path)
    lines = table.read_text(encoding="utf-8").splitlines()
    again = lines[1].replace(",g", ",other").replace("p1", "other")
    table.write_text("\n".join([*lines, again]) + "\n", encoding="utf-8")
    assert any("two labels" in problem.what and "'other'" in problem.what for problem in load(name, tmp_path).problems)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("suffix", [".dcm", ".gif", ".npy"])
def test_files_that_are_not_read_are_counted(tmp_path, name, suffix):
    ALL[name](tmp_path)
    (load(name, tmp_path).samples[0].image.parent / f"x{suffix}").write_bytes(b"x")
    assert [problem.what for problem in load(name, tmp_path).problems] == [f"holds 1 file of type {suffix}, not read"]


@pytest.mark.parametrize("name", ALL)
def test_a_fifo_is_a_problem_and_does_not_hang(tmp_path, name):
    ALL[name](tmp_path)
    path = load(name, tmp_path).samples[0].image.parent / "x.png"
    os.mkfifo(path)
    assert [str(problem) for problem in load(name, tmp_path).problems] == [
        f"{path} is not a regular file; replace it with a file or remove it"
    ]


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (levels(0, 1, 255), "areas of the gray levels 0, 1, 255"),
        (levels(0, 100, 200), "areas of the gray levels 0, 100, 200"),
        (levels(0, 255), None),
        (levels(0), None),
        (levels(255), None),
    ],
)
def test_a_mask_has_one_boundary(tmp_path, values, what):
    mask = Mask(path=mark(tmp_path / "m.png", values), rater="r")
    if what is None:
        assert np.array_equal(read_mask(mask), values > 127)
    else:
        with pytest.raises(BadFileError, match=what):
            read_mask(mask)


@pytest.mark.parametrize("factor", [0.2, 0.35, 3.0])
@pytest.mark.parametrize("how", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.BOX])
def test_resized_masks_have_one_boundary(tmp_path, factor, how):
    rows, columns = np.mgrid[:80, :100]
    drawn = Image.fromarray(((rows - 40) ** 2 + (columns - 50) ** 2 < 900).astype(np.uint8) * 255)
    drawn.resize((int(100 * factor), int(80 * factor)), how).save(tmp_path / "m.png")
    assert 0.1 < read_mask(Mask(path=tmp_path / "m.png", rater="r")).mean() < 0.6
    drawn.save(tmp_path / "m.jpg", quality=60)
    assert read_mask(Mask(path=tmp_path / "m.jpg", rater="r")).sum() == pytest.approx(2809, rel=0.02)


def test_the_hidden_color_of_a_cut_out_is_not_shown(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., 0] = 200
    pixels[:2, :, 3] = 255
    mark(tmp_path / "x.png", pixels)
    sample = Sample(id="x", image=tmp_path / "x.png", diagnosis="a", group="x")
    assert read_image(sample, 4)[0, 0].tolist() == [200, 0, 0]
    assert read_image(sample, 4)[3, 3].tolist() == [255, 255, 255]
    assert find_readings(sample) == ("background",)


def test_16_bit_images_use_their_own_range(tmp_path):
    values = np.array([[1000, 1100], [1200, 3000]], np.uint16)
    sample = Sample(id="x", image=mark(tmp_path / "x.png", values), diagnosis="a", group="x")
    assert read_image(sample, 2)[..., 0].tolist() == [[0, 13], [26, 255]]
    assert find_readings(sample) == ("window",)


def test_later_pages_are_mentioned(tmp_path):
    first, second = (Image.fromarray(np.full((4, 4, 3), value, np.uint8)) for value in (1, 2))
    first.save(tmp_path / "x.tif", save_all=True, append_images=[second])
    sample = Sample(id="x", image=tmp_path / "x.tif", diagnosis="a", group="x")
    assert read_image(sample, 4).max() == 1
    assert find_readings(sample) == ("first",)
