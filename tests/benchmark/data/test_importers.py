"""DICOM, NIfTI and COCO become a data set that is read, masks included, and no name of a patient is in it."""

import json

import nibabel
import numpy as np
import pydicom
import pytest
from pycocotools import mask as coding
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from benchmark.data.importers import require_package
from benchmark.data.importers.convert import convert_dataset, parse_window
from benchmark.data.load import Source, load_index
from benchmark.errors import UserError
from datasets.image_io import image_size, read_mask, read_pixels
from tests.benchmark.data.corpus import CLASSES, draw

PATIENT = "MUELLER^ANNA"


def scan(path, values, **fields):
    """Writes a gray image as DICOM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = pydicom.Dataset()
    content.SOPClassUID, content.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    content.PatientName, content.PatientID, content.PatientSex = PATIENT, "19500102", "F"
    content.Rows, content.Columns = values.shape[-2:]
    content.SamplesPerPixel, content.PhotometricInterpretation = 1, "MONOCHROME2"
    content.BitsAllocated = content.BitsStored = 16
    content.HighBit, content.PixelRepresentation = 15, 0
    content.PixelData = values.astype(np.uint16).tobytes()
    for name, value in fields.items():
        setattr(content, name, value)
    content.file_meta = pydicom.dataset.FileMetaDataset()
    content.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content.save_as(path, enforce_file_format=True)


def convert(source, tmp_path, window=None, slices=1):
    counts, text = convert_dataset(source, tmp_path / "converted", window, slices)
    return counts, text, load_index(Source(directory=tmp_path / "converted"))


@pytest.fixture
def scans(tmp_path, own_folders):  # noqa: ARG001 - its directories are used through the environment
    source = tmp_path / "scans"
    ramp = np.arange(20 * 24).reshape(20, 24)
    scan(source / "mole" / f"{PATIENT} 1.dcm", ramp)
    scan(source / "mole" / "without suffix 1.2.840.10008", ramp, WindowCenter=100, WindowWidth=100)
    scan(source / "wart" / "b.dcm", ramp, PatientID="other", PhotometricInterpretation="MONOCHROME1")
    scan(source / "wart" / "c.dcm", np.stack([ramp, ramp + 5]), NumberOfFrames=2)
    return source


def test_dicom_becomes_images_in_classes_and_groups_without_names(scans, tmp_path):
    counts, text, data = convert(scans, tmp_path)
    assert counts == {"mole": 2, "wart": 3}
    assert text == "Window: that of each file, or the range of the image"
    assert data.problems == ()
    assert sorted(sample.diagnosis for sample in data.samples) == ["mole"] * 2 + ["wart"] * 3
    assert len({sample.group for sample in data.samples}) == 2
    assert {sample.attributes["sex"] for sample in data.samples} == {"F"}
    written = [path for path in (tmp_path / "converted").rglob("*") if path.is_file()]
    for secret in (b"MUELLER", b"19500102", b"without suffix"):
        assert not any(secret in path.read_bytes() or secret in bytes(path) for path in written)


def test_dicom_windows_are_those_of_the_file_or_of_the_user(scans, tmp_path):
    ramp = np.arange(480)
    expected = {
        tuple(np.round(ramp / 479 * 255).astype(int)),
        tuple(255 - np.round(ramp / 479 * 255).astype(int)),
        tuple(np.clip(np.round((ramp - 99.5) / 99 * 255 + 127.5 + 1e-9), 0, 255).astype(int)),
    }
    found = {tuple(read_pixels(sample)[..., 0].ravel().tolist()) for sample in convert(scans, tmp_path)[2].samples}
    assert len(found) == 3
    exact = found & expected
    assert len(exact) >= 2
    (other,) = found - exact or {next(iter(expected))}
    assert min(np.abs(np.array(other) - np.array(each)).max() for each in expected) <= 1
    _, text = convert_dataset(scans, tmp_path / "again", (100.0, 50.0), 1)
    assert text == "Window: center 100, width 50"
    sample = next(s for s in load_index(Source(directory=tmp_path / "again")).samples if s.diagnosis == "mole")
    assert read_pixels(sample)[..., 0].ravel()[[75, 100, 125]].tolist() == [0, 128, 255]


def test_the_same_source_gives_the_same_names(scans, tmp_path):
    first = convert(scans, tmp_path)[2]
    convert_dataset(scans, tmp_path / "again", None, 1)
    again = load_index(Source(directory=tmp_path / "again"))
    assert [(s.id, s.group) for s in first.samples] == [(s.id, s.group) for s in again.samples]


def test_slices_of_volumes_carry_their_masks(tmp_path, own_folders):  # noqa: ARG001
    source = tmp_path / "volumes"
    for number in range(4):
        volume = np.random.default_rng(number).normal(size=(10, 12, 6))
        mask = np.zeros(volume.shape, dtype=np.uint8)
        mask[2:5, 3:7, 4] = 2
        mask[2:4, 3:5, 1] = 1
        for kind, values in (("images/" + CLASSES[number % 2], volume), ("masks", mask)):
            (source / kind).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), source / kind / f"v{number}.nii.gz")
    counts, _, data = convert(source, tmp_path, slices=2)
    assert counts == {"mole": 4, "wart": 4}
    assert data.problems == ()
    assert len({sample.group for sample in data.samples}) == 4
    assert {image_size(sample) for sample in data.samples} == {(10, 12)}
    marked = sorted(read_mask(sample.masks[0], (10, 12)).sum() for sample in data.samples)
    assert marked == [4] * 4 + [12] * 4


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["images/mole/other.nii"], "is the mask of 0 volumes"),
        (["images/mole/v.nii", "images/wart/v.nii"], "is the mask of 2 volumes"),
        (["images/mole/v.nii", "masks/more/v.nii"], "are masks of one volume"),
    ],
)
def test_a_mask_without_one_volume_of_its_name_is_refused(tmp_path, names, fault):
    for name in ("masks/v.nii", *names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 2)), np.eye(4)), tmp_path / name)
    with pytest.raises(UserError, match=rf"v\.nii .*{fault}; "):
        convert_dataset(tmp_path, tmp_path / "converted", None, 1)


@pytest.mark.parametrize(
    "fields",
    [{"PhotometricInterpretation": "PALETTE COLOR"}, {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}],
)
def test_colors_that_would_become_other_ones_are_refused(tmp_path, fields):
    if "SamplesPerPixel" in fields:
        fields = {**fields, "PlanarConfiguration": 0, "PixelData": bytes(2 * 3 * 20)}
    scan(tmp_path / "mole" / "a.dcm", np.zeros((4, 5)), **fields)
    with pytest.raises(UserError, match="its colors are not RGB of 8 bits"):
        convert_dataset(tmp_path, tmp_path / "converted", None, 1)


def test_coco_categories_are_classes_and_characteristics(tmp_path, own_folders):  # noqa: ARG001
    source = tmp_path / "coco"
    drawn = np.zeros((20, 24), dtype=np.uint8, order="F")
    drawn[2:6, 3:9] = 1
    encoded = coding.encode(drawn)
    run_length = {"size": [20, 24], "counts": encoded["counts"].decode()}
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[2, 2, 12, 2, 12, 10, 2, 10]]},
        {"id": 2, "image_id": 1, "category_id": 2, "segmentation": run_length},
        {"id": 3, "image_id": 2, "category_id": 2, "segmentation": run_length},
    ]
    for name in ("one", "two", "three"):
        draw(source / f"{name}.png", len(name))
    images = [{"id": number, "file_name": f"x/{name}.png"} for number, name in enumerate(("one", "two", "three"), 1)]
    categories = [{"id": 1, "name": "mole"}, {"id": 2, "name": "scale"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (source / "instances.json").write_text(json.dumps(content), encoding="utf-8")
    counts, _, data = convert(source, tmp_path)
    assert counts == {"mole": 1, "scale": 1, "unmarked": 1}
    mole = next(sample for sample in data.samples if sample.diagnosis == "mole")
    areas = {mask.characteristic: read_mask(mask, (24, 20)).sum() for mask in mole.masks}
    assert areas == {"category mole": 80, "category scale": 24}


@pytest.mark.parametrize("content", ["[]", "{}", '{"images": 3, "annotations": [], "categories": []}', "[" * 100_000])
def test_other_json_is_refused(tmp_path, content):
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="is no file of COCO"):
        convert_dataset(tmp_path / "x.json", tmp_path / "converted", None, 1)
    assert not (tmp_path / "converted").exists()


@pytest.mark.parametrize("name", ["mole/x.dcm", "mole/x.nii", "x.dcm", "mole/x.txt"])
def test_damaged_sources_are_refused_and_leave_nothing(tmp_path, name):
    path = tmp_path / "source" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"; "):
        convert_dataset(tmp_path / "source", tmp_path / "converted", None, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_targets_packages_and_windows_are_checked(tmp_path, scans):
    with pytest.raises(UserError, match="exists; name a new directory"):
        convert_dataset(scans, tmp_path, None, 1)
    with pytest.raises(UserError, match=r"^nothing_here is not installed; install it with `pip install nothing_here` "):
        require_package("nothing_here.part")
    for text in ("40", "40,0", "a,b", "1,2,3", "nan,4", "4,inf"):
        with pytest.raises(UserError, match="--window"):
            parse_window(text)
