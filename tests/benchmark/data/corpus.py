"""Small data sets as people have them, most of them with one fault, each made by a function of a directory."""

import io
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

WIDTH, HEIGHT = 24, 20
CLASSES = ("mole", "wart")
Make = Callable[[Path], None]


def draw(path: Path, number: int = 0, **settings) -> Path:
    """Writes a picture of large random blocks, so that no two look alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(number).integers(0, 255, (5, 6, 3))
    pixels = np.kron(blocks, np.ones((4, 4, 1))).astype(np.uint8)
    Image.fromarray(pixels).save(path, **settings)
    return path


def mark(path: Path, values: np.ndarray | None = None) -> Path:
    """Writes a mask, by default of a rectangle off the center."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if values is None:
        values = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        values[3:11, 5:17] = 255
    Image.fromarray(values).save(path)
    return path


def exif(orientation: int) -> Image.Exif:
    tag = Image.Exif()
    tag[0x0112] = orientation
    return tag


def folder(root: Path, count: int = 12, *, masks: bool = True) -> Path:
    """Two classes, `count` images and a mask each."""
    for number in range(count):
        draw(root / "images" / CLASSES[number % 2] / f"a{number:02d}.png", number)
        if masks:
            mark(root / "masks" / f"a{number:02d}.png")
    return root


def table(root: Path, text: str | bytes, name: str = "images.csv") -> None:
    (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def rows(header: str, line: Callable[[int], str], count: int = 12) -> str:
    return "\n".join([header, *(line(number) for number in range(count))]) + "\n"


def isic(root: Path, name: Callable[[int], str] = "ISIC_{:07d}".format) -> Path:
    for number in range(12):
        draw(root / "ISIC2018_Task1-2_Training_Input" / f"ISIC_{number:07d}.jpg", number)
        mark(root / "ISIC2018_Task1_Training_GroundTruth" / f"ISIC_{number:07d}_segmentation.png")
    table(root, rows("image,diagnosis", lambda number: f"{name(number)},{CLASSES[number % 2]}"), "diagnosis.csv")
    return root


def ham(root: Path, line: Callable[[int], str] | None = None, more: str = "") -> Path:
    for number in range(12):
        draw(root / "HAM10000_images" / f"ISIC_{number:07d}.jpg", number)
    usual = lambda number: f"HAM_{number},ISIC_{number:07d},{('mel', 'nv')[number % 2]},histo,5{number},male,back"  # noqa: E731
    text = rows("lesion_id,image_id,dx,dx_type,age,sex,localization", line or usual) + more
    table(root, text, "HAM10000_metadata.csv")
    return root


def dermxdb(root: Path) -> Path:
    for number in range(4):
        mark(root / "masks" / "masks" / f"derm1_x{number}_00000.png")
    lines = rows("current_filename;diagnosis", lambda number: f"x{number}.jpeg;{('Acne', 'Warts')[number % 2]}", 4)
    table(root, lines, "metadata.csv")
    masks = rows("image_id,mask_id,class_name", lambda number: f"derm1_x{number},derm1_x{number}_00000,Scale", 4)
    table(root / "masks", masks, "instance_mask_annotations.csv")
    return root


def pcam(root: Path, labels: np.ndarray) -> Path:
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        with h5py.File(root / f"camelyonpatch_level_2_split_{part}_x.h5", "w") as file:
            blocks = rng.integers(0, 255, (len(labels), 6, 6, 3), dtype=np.uint8)
            file["x"] = blocks.repeat(16, axis=1).repeat(16, axis=2)
        with h5py.File(root / f"camelyonpatch_level_2_split_{part}_y.h5", "w") as file:
            file["y"] = labels.reshape(-1, 1, 1, 1)
    return root


def scans(path: Path, count: int) -> None:
    """A progressive JPEG whose last scan is repeated."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    last = content.rindex(b"\xff\xda")
    path.write_bytes(content[:last] + content[last:-2] * count + content[-2:])


def levels(*values: int) -> np.ndarray:
    """A mask with one band for each level."""
    return np.repeat(np.array(values, np.uint8), -(-HEIGHT // len(values)))[:HEIGHT, None].repeat(WIDTH, axis=1)


def with_alpha(path: Path) -> None:
    shape = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    shape[..., :3] = 255
    shape[3:11, 5:17, 3] = 255
    mark(path, shape)


def tree(root: Path, *parts: str, repeated: bool = False) -> None:
    for index, part in enumerate(parts):
        for number in range(6):
            stem = f"{number // 2}" if repeated else f"{part.strip('.')}{number}"
            draw(root / part / CLASSES[number % 2] / f"{stem}.png", 10 * index + number)


def _at(make: Callable[[Path], object], harm: Callable[[Path], object]) -> Make:
    def both(root: Path) -> None:
        make(root)
        harm(root)

    return both


def _in_folder(harm: Callable[[Path], object]) -> Make:
    return _at(folder, harm)


def _with_table(text: str | bytes) -> Make:
    return _in_folder(lambda root: table(root, text))


def _image(name: str) -> Callable[[Path], Path]:
    return lambda root: root / "images" / "mole" / name


def _tagged(orientation: int, mask: np.ndarray) -> Make:
    def harm(root: Path) -> None:
        draw(root / "images/mole/photo.jpg", 50, exif=exif(orientation))
        mark(root / "masks/photo.png", mask)

    return _in_folder(harm)


def _many_masks(values: np.ndarray) -> Callable[[Path], None]:
    def harm(root: Path) -> None:
        for number in range(12):
            mark(root / "masks" / f"a{number:02d}.png", values)

    return harm


GOOD: dict[str, Make] = {
    "plain": lambda root: folder(root) and None,
    "no masks": lambda root: folder(root, masks=False) and None,
    "empty mask": _in_folder(lambda root: mark(root / "masks/a00.png", levels(0))),
    "inverted masks": _in_folder(_many_masks(255 - np.pad(np.full((4, 4), 255, np.uint8), ((8, 8), (10, 10))))),
    "16-bit image": _in_folder(
        lambda root: mark(root / "images/mole/deep.png", np.arange(480, dtype=np.uint16).reshape(20, 24))
    ),
    "cut-out": _in_folder(lambda root: with_alpha(root / "images/mole/cut.png")),
    "turned as displayed": _tagged(6, np.full((WIDTH, HEIGHT), 255, np.uint8)),
    "turned as stored": _tagged(6, np.full((HEIGHT, WIDTH), 255, np.uint8)),
    "webp": _in_folder(lambda root: draw(root / "images/mole/x.webp", 51)),
    "ppm": _in_folder(lambda root: draw(root / "images/mole/x.ppm", 51)),
    "jfif": _in_folder(lambda root: draw(root / "images/mole/x.jfif", 51, format="JPEG")),
    "link to a directory": _in_folder(lambda root: (root / "images/mole/loop").symlink_to(root / "images")),
    "table with suffixes": _with_table(rows("image,group", lambda number: f"a{number:02d}.png,g{number}")),
    "table with directories": _with_table(
        rows("image,group", lambda number: f"images\\x\\a{number:02d}.PNG,g{number}")
    ),
    "table in another case": _with_table(rows("image,group", lambda number: f"A{number:02d},g{number}")),
    "patient_id": _with_table(rows("image,patient_id,age", lambda number: f"a{number:02d},p{number},50")),
    "group of markup": _with_table(rows("image,group", lambda number: f"a{number:02d},[/x]{number}")),
    "note with a line separator": _with_table(rows("image,note", lambda number: f"a{number:02d},\u2028{number}")),
    "only test images": _with_table(rows("image,split", lambda number: f"a{number:02d},test")),
    "official split": _with_table(
        rows("image,split", lambda number: f"a{number:02d},{'train' if number < 8 else 'test'}")
    ),
    "torchvision": lambda root: tree(root, "train", "val", "test"),
    "torchvision with repeated names": lambda root: tree(root, "train", "test", repeated=True),
    "classes at the top": lambda root: tree(root, "."),
    "masks by suffix": _in_folder(
        lambda root: [path.rename(path.with_stem(f"{path.stem}_mask")) for path in (root / "masks").iterdir()]
    ),
    "masks next to images": _in_folder(
        lambda root: [mark(path.with_name(f"{path.stem}_mask.png")) for path in sorted((root / "images").glob("*/*"))]
    ),
    "class of mathematics": _in_folder(lambda root: (root / "images/mole").rename(root / "images/$\\input{x}$")),
    "isic": lambda root: isic(root) and None,
    "isic with suffixes": lambda root: isic(root, "ISIC_{:07d}.jpg".format) and None,
    "ham": lambda root: ham(root) and None,
    "pcam": lambda root: pcam(root, np.arange(8) % 2) and None,
}
"""Data sets that can be used as they are, or after a note."""

BAD: dict[str, Make] = {
    "truncated": _in_folder(
        lambda root: (root / "images/mole/a00.png").write_bytes((root / "images/mole/a00.png").read_bytes()[:60])
    ),
    "no bytes": _in_folder(lambda root: (root / "images/mole/a00.png").write_bytes(b"")),
    "a web page": _in_folder(lambda root: (root / "images/mole/a00.png").write_bytes(b"<html>")),
    "mask of another size": _in_folder(lambda root: mark(root / "masks/a00.png", np.full((9, 9), 255, np.uint8))),
    "mask of 0 and 1": _in_folder(lambda root: mark(root / "masks/a00.png", levels(0, 1))),
    "mask of 0, 1 and 255": _in_folder(lambda root: mark(root / "masks/a00.png", levels(0, 1, 255))),
    "mask of two levels": _in_folder(lambda root: mark(root / "masks/a00.png", levels(0, 100, 200))),
    "mask in alpha": _in_folder(lambda root: with_alpha(root / "masks/a00.png")),
    "mask of 16 bits": _in_folder(lambda root: mark(root / "masks/a00.png", levels(0, 255).astype(np.uint16))),
    "mask without image": _in_folder(lambda root: mark(root / "masks/zz.png")),
    "float image": _in_folder(lambda root: mark(root / "images/mole/x.tif", np.zeros((20, 24), np.float32))),
    "gif": _in_folder(lambda root: draw(root / "images/mole/x.gif", 51)),
    "dicom as a class": _in_folder(
        lambda root: [(root / "images/mel").mkdir(), (root / "images/mel/1.dcm").write_bytes(b"DICM")]
    ),
    "nifti masks": _in_folder(lambda root: (root / "masks/x.nii.gz").write_bytes(b"x")),
    "npy masks": _in_folder(lambda root: np.save(root / "masks/a00.npy", np.zeros((20, 24)))),
    "coco": _in_folder(lambda root: table(root, '{"images": [], "annotations": []}', "instances.json")),
    "fifo image": _in_folder(lambda root: os.mkfifo(root / "images/mole/x.png")),
    "fifo mask": _in_folder(lambda root: os.mkfifo(root / "masks/x.png")),
    "device": _in_folder(lambda root: (root / "images/mole/x.png").symlink_to("/dev/zero")),
    "dangling link": _in_folder(lambda root: (root / "images/mole/x.png").symlink_to("nowhere")),
    "name that is not UTF-8": _in_folder(
        lambda root: (root / "images/mole/a00.png").rename(root / "images/mole" / os.fsdecode(b"\xff.png"))
    ),
    "accents composed twice": _in_folder(
        lambda root: [
            draw(root / "images/mole" / f"{unicodedata.normalize(form, 'é')}.png", 51 + len(form))
            for form in ("NFC", "NFKD")
        ]
    ),
    "blank at the end": _in_folder(lambda root: draw(root / "images/mole/x .png", 51)),
    "blank before a class": _in_folder(lambda root: (root / "images/mole").rename(root / "images/ mole")),
    "line break": _in_folder(lambda root: draw(root / "images/mole/x\ny.png", 51)),
    "line separator": _in_folder(lambda root: draw(root / "images/mole/x\u2028y.png", 51)),
    "invisible character": _in_folder(lambda root: (root / "images/mole").rename(root / "images/mo\u200ble")),
    "classes that differ in case": _in_folder(
        lambda root: [draw(root / "images/Mole" / f"c{number}.png", 60 + number) for number in range(6)]
    ),
    "classes that differ in zeros": _in_folder(
        lambda root: [
            (root / "images/mole").rename(root / "images/01"),
            (root / "images/wart").rename(root / "images/1"),
        ]
    ),
    "one class": lambda root: draw(root / "images/mole/a.png") and None,
    "a class of one": _in_folder(lambda root: draw(root / "images/rare/x.png", 51)),
    "a class of two": _in_folder(
        lambda root: [draw(root / "images/rare" / f"x{number}.png", 51 + number) for number in range(2)]
    ),
    "a class of one group": _with_table(
        rows("image,group", lambda number: f"a{number:02d},{'p' if number % 2 else number}")
    ),
    "one group": _with_table(rows("image,group", lambda number: f"a{number:02d},p")),
    "no images": lambda root: (root / "images").mkdir(parents=True),
    "nothing": lambda root: root.mkdir(parents=True),
    "one name in two classes": _in_folder(lambda root: draw(root / "images/wart/a00.png", 51)),
    "one name with two suffixes": _in_folder(lambda root: draw(root / "images/mole/a00.jpg", 51)),
    "table that matches nothing": _with_table(rows("image,group", lambda number: f"b{number},g{number}")),
    "table that matches a third": _with_table(
        rows("image,group", lambda number: f"{'a' if number < 4 else 'b'}{number:02d},g")
    ),
    "two group columns": _with_table(
        rows("image,patient_id,lesion_id", lambda number: f"a{number:02d},p{number},l{number}")
    ),
    "two groups of an image": _with_table("image,group\na00,p1\na00.png,p2\n"),
    "unknown split": _with_table("image,split\na00,dev\na01,train\n"),
    "divided group": _with_table(
        rows("image,group,split", lambda number: f"a{number:02d},p{number // 3},{'train' if number < 8 else 'test'}")
    ),
    "official split without a class": _with_table(
        rows("image,split", lambda number: f"a{number:02d},{'train' if number % 2 else 'test'}")
    ),
    "open quote": _with_table('image,group\na00,"p1\na01,p2\n'),
    "two headers": _with_table("image,group,group\na00,p1,p2\n"),
    "long row": _with_table("image,group\na00,p1,p2\n"),
    "short row": _with_table("image,group,age\na00,p1\n"),
    "line break in a cell": _with_table('image,group\na00,"p1\np2"\n'),
    "table that is not UTF-8": _with_table(b"image,group\na00,\xff\n"),
    "empty table": _with_table(""),
    "table without images": _with_table("file,group\na00,p1\n"),
    "fifo table": _in_folder(
        lambda root: (
            os.mkfifo(root / "images.csv")
            or (root / "images.csv").unlink()
            or (root / "images.csv").symlink_to("/dev/zero")
        )
    ),
    "many scans": _in_folder(lambda root: scans(root / "images/mole/x.jpg", 200)),
    "isic with other names": lambda root: isic(root, "lesion{}".format) and None,
    "isic without labels": _at(isic, lambda root: (root / "diagnosis.csv").unlink()),
    "ham with an unknown class": lambda root: ham(root, more="HAM_1,ISIC_0000000,scc,histo,5,male,back\n") and None,
    "ham with two lesions of an image": lambda root: (
        ham(root, more="HAM_9,ISIC_0000000,mel,histo,5,male,back\n") and None
    ),
    "masks without images": lambda root: dermxdb(root) and None,
    "pcam with a label of 7": lambda root: pcam(root, np.array([0, 1, 7, 0, 1, 0])) and None,
    "pcam with NaN": lambda root: pcam(root, np.array([0, 1, np.nan, 0, 1, 0])) and None,
    "directory with a line break": lambda root: folder(root / "a\nb") and None,
}
"""Data sets that are refused."""
