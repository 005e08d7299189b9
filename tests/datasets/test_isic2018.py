"""The layout of ISIC 2018, traps included."""

import pytest

from datasets import isic2018


def test_images_masks_and_diagnoses_are_matched_by_stem(isic_tree):
    folder = isic_tree / "ISIC2018_Task1-2_Training_Input"
    (folder / "ATTRIBUTION.txt").write_text("who", encoding="utf-8")
    (folder / "ISIC_0000000.png").rename(folder / "ISIC_0000000.JPG")
    (folder / "ISIC_0000001_superpixels.png").write_bytes(b"not opened")
    truth = isic_tree / "ISIC2018_Task1_Training_GroundTruth"
    (truth / "ISIC_0000002_segmentation.png").rename(truth / "ISIC_0000002_Segmentation.png")
    (truth / "ISIC_0000004_segmentation.png").unlink()
    assert isic2018.recognise(isic_tree)
    data = isic2018.read(isic_tree)
    assert len(data.cases) == 24
    assert data.classes == ("benign", "melanoma")
    assert [len(case.masks) for case in data.cases[:6]] == [1, 1, 1, 1, 0, 1]
    assert data.cases[3].diagnosis == "melanoma"
    assert not data.synthetic


def test_an_image_without_diagnosis_is_left_out_by_name(isic_tree):
    table = isic_tree / "diagnosis.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("ISIC_0000005,melanoma\n", ""), encoding="utf-8")
    data = isic2018.read(isic_tree)
    assert len(data.cases) == 23
    assert data.left_out == (f"{isic_tree}/ISIC2018_Task1-2_Training_Input/ISIC_0000005.png: no row in diagnosis.csv",)


def test_no_images_no_table_and_a_lonely_mask_are_refused(isic_tree, tmp_path):
    (isic_tree / "diagnosis.csv").rename(tmp_path / "elsewhere.csv")
    with pytest.raises(ValueError, match=r"diagnosis\.csv is missing; it must have the columns image, diagnosis"):
        isic2018.read(isic_tree)
    (isic_tree / "ISIC2018_Task1-2_Training_Input" / "ISIC_0000000.png").unlink()
    with pytest.raises(ValueError, match=r"ISIC_0000000_segmentation\.png is a mask without an image"):
        isic2018.read(isic_tree)
    (tmp_path / "hollow" / "ISIC2018_Task1-2_Training_Input").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds no images"):
        isic2018.read(tmp_path / "hollow")


def test_real_images(real_data):
    data = isic2018.read(real_data / "isic2018-128")
    assert len(data.cases) == 2594
    assert sum(case.diagnosis == "melanoma" for case in data.cases) == 519
    assert all(len(case.masks) == 1 for case in data.cases)
    assert not data.left_out
