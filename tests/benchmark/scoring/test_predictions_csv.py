"""A table of predictions may write the names of images as tables do: with a directory, a suffix or in another case."""

import pytest

from benchmark.errors import UserError
from benchmark.scoring.predictions_csv import read_predictions_csv

CLASSES = ("mole", "wart")


@pytest.fixture
def read(tmp_path):
    def read_rows(*rows, images=("a1", "a2")):
        path = tmp_path / "predictions.csv"
        path.write_text("\n".join(("image,predicted", *rows)) + "\n", encoding="utf-8")
        return list(read_predictions_csv(path, images, CLASSES)["predicted"])

    return read_rows


@pytest.mark.parametrize("first", ["a1", "a1.png", "images/a1.JPG", "A1", r"C:\scans\a1.tif"])
def test_a_name_may_have_a_directory_a_suffix_or_another_case(read, first):
    assert read("b7.png,mole", "a2.png,mole", f"{first},wart") == [1, 0]


def test_escaped_names_of_exported_tables_are_found(read):
    assert read("'=a1,wart", "a2,mole", images=("=a1", "a2")) == [1, 0]


def test_two_spellings_of_an_image_are_two_rows_of_it(read):
    with pytest.raises(UserError, match="two rows of one image"):
        read("a1,mole", "a1.png,wart", "a2,mole")
