"""Generated trees and tables: `data check` never fails otherwise than with one line, and `run` agrees with it.

LOUPE_FUZZ=2000 generates more of them.
"""

import io
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmark.data.load import Source, load_index, require_usable
from benchmark.storage.runs import runs_dir
from tests.benchmark.data.corpus import HEIGHT, WIDTH, exif, folder, ham, isic, rows
from tests.benchmark.data.test_agreement import check, dry_run

EXAMPLES = int(os.environ.get("LOUPE_FUZZ", "25"))


def encode(file_format: str, mode: str, number: int) -> bytes:
    shape = (HEIGHT, WIDTH, len(mode)) if len(mode) > 1 and mode != "I;16" else (HEIGHT, WIDTH)
    kind = np.uint16 if mode == "I;16" else np.uint8
    values = np.random.default_rng(number).integers(0, 256, shape).astype(kind)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, file_format, exif=exif(number % 9))
    return buffer.getvalue()


stems = st.sampled_from(
    ["a00", "a01", "A00", "zz", "a00_mask", "é", "e\u0301", " x", "x\ny", "\u2028", "[/x]", "$\\x$", "0"]
)
names = st.builds(
    "".join, st.tuples(stems, st.sampled_from([".png", ".jpg", ".JPEG", ".webp", ".tif", ".dcm", ".csv", ".json", ""]))
)
directories = st.sampled_from(
    [
        *("", "images", "images/mole", "images/wart", "images/new", "images/train/x", "masks", "masks/ann"),
        *("masks/ann/scale", "train/mole", "test/wart", "annotations", "HAM10000_images"),
        "ISIC2018_Task1_Training_GroundTruth",
    ]
)
pictures = st.builds(
    encode, st.sampled_from(["PNG", "TIFF", "WEBP"]), st.sampled_from(["L", "RGB", "RGBA"]), st.integers(0, 30)
) | st.builds(encode, st.just("PNG"), st.sampled_from(["LA", "I;16"]), st.integers(0, 30))
damaged = st.builds(
    lambda content, cut, value: content[:cut] + bytes([value]) + content[cut + 1 :],
    pictures,
    st.integers(0, 400),
    st.integers(0, 255),
)
cells = st.sampled_from(
    ["a00", "a01.png", "x/a02", "A03", "p1", "train", "test", "", '"', "=1", "\u2028", "nan", "1e9"]
)
cells |= st.text(max_size=4)
tables = st.builds(
    lambda header, lines: "\n".join([",".join(header), *(",".join(line) for line in lines)]).encode("utf-8", "replace"),
    st.lists(st.sampled_from(["image", "group", "split", "patient_id", "age", "fold", ""]), min_size=1, max_size=4),
    st.lists(st.lists(cells, max_size=4), max_size=14),
)
whole_tables = st.builds(
    lambda column, values: rows(f"image,{column}", lambda number: f"a{number:02d},{values[number]}").encode(),
    st.sampled_from(["group", "split", "patient_id", "fold", "age"]),
    st.lists(st.sampled_from(["train", "test", "val", "p1", "p2", ""]), min_size=12, max_size=12),
)
contents = st.one_of(pictures, damaged, tables, st.binary(max_size=60), st.just(b"[" * 3_000), st.just(b"{}"))
changes = st.one_of(
    st.tuples(st.just("write"), directories, names, contents),
    st.tuples(st.just("write"), st.just(""), st.just("images.csv"), tables | whole_tables),
    st.tuples(st.just("write"), st.just(""), st.sampled_from(["diagnosis.csv", "HAM10000_metadata.csv"]), tables),
    st.tuples(st.sampled_from(["fifo", "link", "directory", "remove"]), directories, names, st.none()),
)


def apply(root: Path, change) -> None:
    """Makes one change, unless what is there forbids it."""
    action, directory, name, content = change
    path = root / directory / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_fifo():  # writing would wait for a reader
            return
        if action == "write":
            path.write_bytes(content)
        elif action == "fifo":
            os.mkfifo(path)
        elif action == "link":
            path.symlink_to(root / "images")
        elif action == "directory":
            path.mkdir()
        else:
            path.unlink()
    except OSError:
        return


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.usefixtures("own_folders")
@pytest.mark.timeout(7200)
@settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(make=st.sampled_from([folder, isic, ham]), harm=st.lists(changes, min_size=1, max_size=5))
def test_no_tree_ends_in_a_traceback_and_both_agree(make, harm):
    root = Path(tempfile.mkdtemp()) / "data"
    try:
        make(root)
        for change in harm:
            apply(root, change)
        refusals, _ = check(root)
        refusal, _ = dry_run(root)
        if refusal is not None:
            assert any(refusal.startswith(words) for words in refusals), (refusals, refusal)
        else:  # a run does not open the images that it leaves out, such as those without a class
            used = {sample.id for sample in require_usable(load_index(Source(directory=root))).samples}
            assert [line for line in refusals for name in used if f"/{name}." in line] == []
    finally:
        shutil.rmtree(root.parent)
        shutil.rmtree(runs_dir(), ignore_errors=True)
