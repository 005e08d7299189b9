"""From files to arrays."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmark.errors import UserError
from benchmark.prepare import open_data, prepare
from benchmark.presets import QUICK
from datasets import Case, DataSet, Mask

SMALL = replace(QUICK, side=16, images=None)


def picture(path, pixels):
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def drawn(tmp_path, own_folders):  # noqa: ARG001 - its folders are used through the environment
    """Two classes of three images of 4 x 4; the first one has two raters and two characteristics."""
    squares = np.zeros((3, 4, 4), dtype=np.uint8)
    squares[0, :2], squares[1, :1], squares[2, :, 3] = 255, 255, 255
    names = [("ann", "Scale"), ("bob", "Scale"), ("bob", "Plaque")]
    masks = tuple(
        Mask(path=picture(tmp_path / f"m{number}.png", square), rater=rater, characteristic=what)
        for number, (square, (rater, what)) in enumerate(zip(squares, names, strict=True))
    )
    cases = [
        Case(
            id=f"c{number}",
            image=picture(tmp_path / f"c{number}.png", np.full((4, 4, 3), 40 * number)),
            diagnosis="ab"[number % 2],
            group=f"c{number}",
            masks=() if number else masks,
            split="train" if number > 1 else "test",
        )
        for number in range(6)
    ]
    return DataSet(name="drawn", layout="folder", root=tmp_path, cases=tuple(cases))


def plane(data, **wanted):
    rows = data.references
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return data.planes[rows.index[0]][::4, ::4]


def test_references_of_every_level(drawn):
    data = prepare(drawn, replace(SMALL, side=16))
    both = plane(data, level="image")
    assert both[0].tolist() == [170, 170, 170, 255]  # two of three, two of three, two of three, three of three
    assert both[1].tolist() == [85, 85, 85, 170]
    assert both[3].tolist() == [0, 0, 0, 85]
    assert plane(data, level="union")[3].tolist() == [0, 0, 0, 255]
    assert plane(data, level="characteristic", characteristic="Scale")[1].tolist() == [128] * 4
    assert plane(data, level="characteristic", characteristic="Plaque")[1].tolist() == [0, 0, 0, 255]
    assert plane(data, level="rater", rater="ann")[1].tolist() == [255] * 4
    assert plane(data, level="others", rater="bob")[1].tolist() == [255] * 4
    assert plane(data, level="others", rater="ann")[0].tolist() == [128, 128, 128, 255]


def test_images_labels_and_split(drawn):
    data = prepare(drawn, SMALL)
    assert data.images.shape == (6, 16, 16, 3)
    assert data.images[3].tolist() == np.full((16, 16, 3), 120).tolist()
    assert data.cases["label"].tolist() == [0, 1, 0, 1, 0, 1]
    assert data.test.tolist() == [0, 1]
    assert data.train.tolist() == [2, 3, 4, 5]


def test_a_sample_of_the_test_images_depends_on_their_names_alone(drawn):
    data = prepare(
        replace(drawn, cases=tuple(replace(case, split="test") for case in drawn.cases[:4]) + drawn.cases[4:]), SMALL
    )
    assert data.sample(None).tolist() == [0, 1, 2, 3]
    assert len(data.sample(2)) == 2
    assert set(data.sample(2)) <= set(data.sample(3))


def test_the_cache_is_found_again_and_a_changed_file_is_noticed(drawn, own_folders):
    first = prepare(drawn, SMALL)
    assert prepare(drawn, SMALL).key == first.key
    assert len(list((own_folders / "runs" / "data").iterdir())) == 1
    picture(drawn.cases[5].image, np.full((4, 4, 3), 7))
    assert prepare(drawn, SMALL).key != first.key
    assert prepare(drawn, replace(SMALL, side=8)).key != first.key


def test_a_mask_of_another_size_is_named(drawn, tmp_path):
    picture(tmp_path / "m1.png", np.full((4, 5), 255))
    with pytest.raises(UserError, match=r"m1\.png is 5 x 4, its image 4 x 4; .* mend or remove it"):
        prepare(drawn, SMALL)


def test_a_damaged_image_is_named_and_nothing_is_kept(drawn, own_folders):
    drawn.cases[2].image.write_bytes(drawn.cases[2].image.read_bytes()[:40])
    with pytest.raises(UserError, match=r"c2\.png cannot be read as an image"):
        prepare(drawn, SMALL)
    assert not list((own_folders / "runs" / "data").iterdir())


def test_a_folder_that_is_none_and_one_that_nobody_knows(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        open_data(tmp_path / "absent")
    with pytest.raises(UserError, match="has none of the layouts dermsynth, dermxdb, isic2018"):
        open_data(tmp_path)
    with pytest.raises(UserError, match="unknown layout 'isic2017'; nearest: isic2018"):
        open_data(tmp_path, "isic2017")
