"""Bad files of maps: each is refused in one line that names the file, and nothing is written."""

import io
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from benchmark.errors import UserError
from benchmark.map_files.collect import collect_maps
from benchmark.map_files.store import store_maps

CLASSES = ("benign", "melanoma")
GOOD = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)


class Payload:
    """Unpickling it creates a file."""

    def __reduce__(self):
        return os.mknod, ("unpickled",)


def npy(array: np.ndarray, **options: bool) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npy_with_shape(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def image(pixels: np.ndarray, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def huge_png() -> bytes:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"0" * 99))


def pages() -> bytes:
    file = io.BytesIO()
    first = Image.fromarray(np.zeros((8, 8), dtype=np.uint8))
    first.save(file, "TIFF", save_all=True, append_images=[first])
    return file.getvalue()


RGB = np.zeros((8, 8, 3), dtype=np.uint8)
RGB[0, 0] = 255, 0, 0
BAD_FILES = {
    "empty.npy": b"",
    "text.npy": b"no array at all",
    "truncated.npy": npy(GOOD)[:-20],
    "header-only.npy": npy(GOOD)[:60],
    "pickle.npy": npy(np.array([Payload()], dtype=object), allow_pickle=True),
    "bare-pickle.npy": pickle.dumps(Payload()),
    "huge.npy": npy_with_shape("(1000000, 1000000)"),
    "negative-shape.npy": npy_with_shape("(-8, 8)"),
    "code-in-header.npy": npy_with_shape("__import__('os').mknod('unpickled')"),
    "one-axis.npy": npy(GOOD[0]),
    "channels.npy": npy(np.zeros((8, 8, 3), dtype=np.float32)),
    "batch.npy": npy(np.zeros((2, 8, 8), dtype=np.float32)),
    "four-axes.npy": npy(np.zeros((1, 1, 8, 8), dtype=np.float32)),
    "scalar.npy": npy(np.float32(1)),
    "an-archive.npy": npz({"a.npy": npy(GOOD)}),
    "no-values.npy": npy(np.zeros((0, 8), dtype=np.float32)),
    "int64.npy": npy(np.zeros((8, 8), dtype=np.int64)),
    "int8.npy": npy(np.zeros((8, 8), dtype=np.int8)),
    "complex.npy": npy(np.zeros((8, 8), dtype=np.complex64)),
    "words.npy": npy(np.full((8, 8), "high")),
    "dates.npy": npy(np.zeros((8, 8), dtype="datetime64[s]")),
    "record.npy": npy(np.zeros((8, 8), dtype=[("a", "f4"), ("b", "f4")])),
    "negative.npy": npy(GOOD - 0.5),
    "empty.npz": b"",
    "truncated.npz": npz({"a.npy": npy(GOOD)})[:-30],
    "no-arrays.npz": npz({"readme.txt": b"maps"}),
    "pickle.npz": npz({"a.npy": npy(np.array([Payload()], dtype=object), allow_pickle=True)}),
    "bomb.npz": npz({"a.npy": npy_with_shape("(100000, 100000)") + bytes(10_000_000)}),
    "declares-more.npz": npz({"a.npy": npy_with_shape("(4096, 4096)") + bytes(64)}),
    "two-arrays.npz": npz({"a.npy": npy(GOOD), "b.npy": npy(GOOD)}),
    "text-array.npz": npz({"a.npy": b"no array at all"}),
    "broken-member.npz": npz({"a.npy": npy(GOOD)}, zipfile.ZIP_STORED).replace(npy(GOOD)[-40:], bytes(40), 1),
    "a-png.npz": image(RGB),
    "empty.safetensors": b"",
    "text.safetensors": b"no tensors at all",
    "truncated.safetensors": safetensors.numpy.save({"a": GOOD})[:-9],
    "long-header.safetensors": struct.pack("<Q", 2**62) + b"{}",
    "two.safetensors": safetensors.numpy.save({"a": GOOD, "b": GOOD}),
    "none.safetensors": safetensors.numpy.save({}),
    "bfloat16.safetensors": struct.pack("<Q", 58)
    + b'{"a":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}'.ljust(58)
    + bytes(8),
    "int64.safetensors": safetensors.numpy.save({"a": np.zeros((8, 8), dtype=np.int64)}),
    "pickle.safetensors": pickle.dumps(Payload()),
    "empty.png": b"",
    "text.png": b"no picture at all",
    "truncated.png": image(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8))[:900],
    "huge.png": huge_png(),
    "colors.png": image(RGB),
    "transparent.png": image(np.dstack([RGB, RGB[..., 0]])),
    "gif.png": image(GOOD.astype(np.uint8), "GIF"),
    "negative.tif": image(GOOD - 0.5, "TIFF"),
    "int32.tif": image(np.full((8, 8), 70_000, dtype=np.int32), "TIFF"),
    "pages.tif": pages(),
    "truncated.tif": image(GOOD, "TIFF")[:90],
    "colors.jpg": image(np.repeat(np.repeat(RGB, 8, 0), 8, 1), "JPEG"),
    "truncated.jpg": image(np.zeros((64, 64), dtype=np.uint8), "JPEG")[:100],
    "a-npy.jpg": npy(GOOD),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / name).write_bytes(BAD_FILES[name])
    with pytest.raises(UserError) as refused:
        read_all(tmp_path / "maps", tmp_path / "stored.npy")
    text = str(refused.value)
    assert name in text
    assert "\n" not in text
    assert len(text) < 400
    assert not (tmp_path / "stored.npy").exists()
    assert not (tmp_path / "unpickled").exists()


def read_all(maps: Path, stored: Path, **options: Path) -> None:
    collection = collect_maps(maps, CLASSES, **options)
    locations = [location for by_class in collection.locations.values() for location in by_class.values()]
    store_maps(locations, stored, 16, "refuse")


def linked_file(maps: Path) -> None:
    (maps.parent / "secret.npy").write_bytes(npy(GOOD))
    (maps / "a.npy").symlink_to(maps.parent / "secret.npy")


def linked_directory(maps: Path) -> None:
    (maps.parent / "elsewhere").mkdir()
    (maps / "benign").symlink_to(maps.parent / "elsewhere", target_is_directory=True)


def broken_link(maps: Path) -> None:
    (maps / "a.npy").symlink_to(maps / "missing.npy")


def pipe(maps: Path) -> None:
    os.mkfifo(maps / "a.npy")


def two_of_one_image(maps: Path) -> None:
    (maps / "a.npy").write_bytes(npy(GOOD))
    (maps / "a.png").write_bytes(image(RGB[..., 1]))


def unknown_class(maps: Path) -> None:
    (maps / "malignant").mkdir()
    (maps / "malignant" / "a.npy").write_bytes(npy(GOOD))


def too_deep(maps: Path) -> None:
    (maps / "benign" / "more").mkdir(parents=True)
    (maps / "benign" / "more" / "a.npy").write_bytes(npy(GOOD))


def nothing(maps: Path) -> None:
    (maps / "notes.txt").write_text("maps will follow")


def a_directory_as_a_map(maps: Path) -> None:
    (maps / "a.npy").mkdir()


@pytest.mark.parametrize(
    "prepare",
    [
        linked_file,
        linked_directory,
        broken_link,
        pipe,
        two_of_one_image,
        unknown_class,
        too_deep,
        nothing,
        a_directory_as_a_map,
    ],
)
def test_a_bad_directory_is_refused_in_one_line(prepare, tmp_path):
    (tmp_path / "maps").mkdir()
    prepare(tmp_path / "maps")
    with pytest.raises(UserError, match=r"^[^\n]{10,400}$"):
        read_all(tmp_path / "maps", tmp_path / "stored.npy")
    assert not (tmp_path / "stored.npy").exists()


INDEXES = {
    "no-column.csv": "picture\na\nb\n",
    "too-short.csv": "image\na\n",
    "too-long.csv": "image\na\nb\nc\n",
    "twice.csv": "image\na\na\n",
    "row-too-large.csv": "image,row\na,0\nb,2\n",
    "row-negative.csv": "image,row\na,0\nb,-1\n",
    "unknown-class.csv": "image,class\na,benign\nb,malignant\n",
    "empty.csv": "",
}


@pytest.mark.parametrize("name", INDEXES)
def test_a_bad_index_is_refused_in_one_line(name, tmp_path):
    (tmp_path / "maps.npy").write_bytes(npy(np.stack([GOOD, GOOD])))
    (tmp_path / name).write_text(INDEXES[name])
    with pytest.raises(UserError, match=r"^[^\n]{10,400}$"):
        read_all(tmp_path / "maps.npy", tmp_path / "stored.npy", index=tmp_path / name)
