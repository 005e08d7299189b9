"""What `data check` counts, finds and sets aside."""

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.checks import check_dataset
from benchmark.data.classes import match_classes
from benchmark.data.exclusion import exclude
from benchmark.data.load import Source, load_index, require_usable
from benchmark.errors import UserError
from tests.command import call

SILENT = lambda *_: None  # noqa: E731


def picture(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture
def tree(tmp_path, own_folders) -> Path:  # noqa: ARG001 - its directories are used through the environment
    """Two classes of four images, each with a mask, in the plain layout."""
    root = tmp_path / "mine"
    rng = np.random.default_rng(0)
    for number in range(8):
        blocks = rng.integers(0, 255, (5, 6, 3))
        picture(root / "images" / "ab"[number % 2] / f"i{number}.png", np.kron(blocks, np.ones((8, 8, 1))))
        mask = np.zeros((40, 48))
        mask[5:20, 10:30] = 255
        picture(root / "masks" / f"i{number}.png", mask)
    return root


def huge_png(path: Path, side: int) -> None:
    """A picture that claims to be large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def problems(root: Path) -> list[str]:
    return [str(each) for each in check_dataset(load_index(Source(directory=root)), SILENT).problems]


def test_good_data_has_counts_and_no_problems(tree):
    found = check_dataset(load_index(Source(directory=tree)), SILENT)
    assert found.problems == ()
    expected = {
        "layout": "folder",
        "images": 8,
        "masks": 8,
        "empty_masks": 0,
        "images_with_masks": 8,
        "classes": {"a": 4, "b": 4},
        "raters": {"expert": 8},
        "characteristics": {"(outline)": 8},
        "groups": 8,
        "sizes": {"48x40": 8},
        "identical_images": 0,
        "near_duplicates": 0,
    }
    assert {name: found.facts[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda root: cut(root / "images/a/i0.png"), "i0.png cannot be read as an image"),
        (lambda root: picture(root / "masks/i1.png", np.full((40, 47), 255)), "i1.png is 47 x 40, its image 48 x 40;"),
        (lambda root: (root / "images/a/i2.png").unlink(), "i2.png is a mask without an image; add the image i2"),
        (lambda root: huge_png(root / "images/b/i3.png", 40_000), "i3.png has more than 100,000,000 pixels; make it"),
        (lambda root: huge_png(root / "masks/i3.png", 12_000), "i3.png has"),
        (lambda root: picture(root / "masks/i4.png", np.ones((40, 48))), "i4.png is a mask with no value above 1"),
        (lambda root: copy(root / "images/a/i4.png", root / "images/b/i4.png"), "i4.png"),
        (lambda root: (root / "images/a/i9.png").symlink_to("i9.png"), "i9.png is a link that leads nowhere"),
    ],
    ids=["cut", "size", "mask alone", "huge image", "huge mask", "zeros and ones", "two labels", "link loop"],
)
def test_every_fault_is_one_line_stops_a_run_and_can_be_quarantined(tree, harm, message):
    harm(tree)
    data = load_index(Source(directory=tree))
    found = check_dataset(data, SILENT)
    lines = [str(each) for each in found.problems]
    assert any(message in line for line in lines), lines
    assert all("\n" not in line and "; " in line for line in lines)
    exclude(data, found.problems)
    assert problems(tree) == []
    after = load_index(Source(directory=tree))
    assert require_usable(after).samples
    assert any("quarantined" in line for line in after.left_out)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def copy(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def test_a_truncated_jpeg_is_named(tree):
    path = tree / "images" / "a" / "photo.jpg"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 48, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    (line,) = problems(tree)
    assert "photo.jpg cannot be read as an image (image file is truncated" in line
    assert line.endswith("replace the file or remove it")


def test_an_image_without_a_mask_is_no_problem_but_counted(tree):
    (tree / "masks" / "i5.png").unlink()
    found = check_dataset(load_index(Source(directory=tree)), SILENT)
    assert found.problems == ()
    assert found.facts["images_without_masks"] == 1


def test_a_mended_file_comes_out_of_quarantine(tree):
    path = tree / "images" / "a" / "i0.png"
    whole = path.read_bytes()
    cut(path)
    data = load_index(Source(directory=tree))
    exclude(data, check_dataset(data, SILENT).problems)
    assert len(load_index(Source(directory=tree)).samples) == 7
    path.write_bytes(whole)
    assert len(load_index(Source(directory=tree)).samples) == 8


def test_copies_and_lookalikes_are_counted(tree):
    copy(tree / "images" / "a" / "i0.png", tree / "images" / "b" / "same.png")
    with Image.open(tree / "images" / "a" / "i2.png") as image:
        image.save(tree / "images" / "a" / "similar.jpg", quality=80)
    found = check_dataset(load_index(Source(directory=tree)), SILENT)
    assert found.facts["identical_images"] == 1
    assert sorted(found.alike) == [("i0", "same"), ("i2", "similar")]
    assert found.facts["near_duplicates_of_two_classes"] == 1


def test_made_up_names_of_synthetic_data_are_no_warning(tree):
    data = load_index(Source(directory=tree))
    samples = tuple(replace(sample, group="patient0001") for sample in data.samples)
    named = [
        bool(check_dataset(replace(data, samples=samples, synthetic=synthetic), SILENT).facts["privacy"])
        for synthetic in (False, True)
    ]
    assert named == [True, False]


def test_a_group_on_two_sides_of_an_official_split_is_a_problem(tree):
    rows = [f"i{number},p{number // 4},{'train' if number < 6 else 'test'}" for number in range(8)]
    (tree / "images.csv").write_text("image,group,split\n" + "\n".join(rows) + "\n", encoding="utf-8")
    assert "has 1 group on several sides of its official split, such as p1" in problems(tree)[0]


def test_the_command_counts_in_json_and_sets_aside(tree, tmp_path):
    cut(tree / "images" / "a" / "i0.png")

    def loupe(*words):
        return call(tmp_path, "data", "check", tree, *words)

    told = loupe("--json")
    assert told.returncode == 1
    report = json.loads(told.stdout)
    assert report["images"] == 8
    assert [sorted(each) for each in report["problems"]] == [["file", "problem", "remedy"]]
    assert report["problems"][0]["file"].endswith("i0.png")
    shown = loupe()
    assert "i0.png cannot be read as an image" in shown.stdout
    assert "--quarantine" in shown.stdout
    assert loupe("--quarantine").returncode == 0
    again = loupe("--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["images"] == 7


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(
            "isic2018-128",
            {"images": 2594, "masks": 2594, "empty_masks": 0, "classes": {"benign": 2075, "melanoma": 519}},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "ham10000-128",
            {
                "images": 10015,
                "masks": 0,
                "groups": 7470,
                "classes": {"nv": 6705, "mel": 1113, "bkl": 1099, "bcc": 514, "akiec": 327, "vasc": 142, "df": 115},
            },
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "dermxdb-v1",
            {"images": 0, "cases": 566, "images_with_masks": 553, "masks": 3562},
            marks=pytest.mark.slow,
        ),
        ("busi-sample", {"images": 43, "masks": 45, "classes": {"benign": 15, "malignant": 14, "normal": 14}}),
    ],
)
@pytest.mark.usefixtures("own_folders")
def test_real_data_is_counted_as_published(real_data, name, expected):
    found = check_dataset(load_index(Source(directory=real_data / name)), SILENT)
    assert {key: found.facts[key] for key in expected} == expected
    misfits = [each.file.name for each in found.problems]
    assert misfits == (["benign (4)_mask_1.png"] if name == "busi-sample" else [])


def test_classes_match_by_name_whatever_their_order(tree):
    data = load_index(Source(directory=tree))
    found = match_classes(data, ("B", "A"), None)
    assert {sample.diagnosis for sample in found.samples} == {"A", "B"}
    assert found.samples[0].diagnosis == "A"


def test_a_class_without_a_match_is_named_and_a_table_matches_it(tree, tmp_path):
    data = load_index(Source(directory=tree))
    with pytest.raises(UserError, match=r"class 'b' of .* matches none of A, Wart"):
        match_classes(data, ("A", "Wart"), None)
    table = tmp_path / "map.csv"
    table.write_text("from,to\nb,wart\n", encoding="utf-8")
    assert {sample.diagnosis for sample in match_classes(data, ("A", "Wart"), table).samples} == {"A", "Wart"}
    table.write_text("from,to\nb,\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"class 'Wart' has no match in .* which has a, b"):
        match_classes(data, ("A", "Wart"), table)
    table.write_text("from,to\nb,\n,Wart\n", encoding="utf-8")
    assert {sample.diagnosis for sample in match_classes(data, ("A", "Wart"), table).samples} == {"A"}
    table.write_text("from,to\nb,warts\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"class 'b' of .* matches none of"):
        match_classes(data, ("A", "Wart"), table)
    table.write_text("old,new\nb,warts\n", encoding="utf-8")
    with pytest.raises(UserError, match="lacks the columns from and to; it has old, new"):
        match_classes(data, ("A", "Wart"), table)
