"""Generated tables, HDF5 files, pictures and trees of files: python -m tests.benchmark.data.fuzzing 3000

`data check` and `run` judge each input in another process, which may take 30 s, and 2 GB more than at its start. An
input is a traceback if anything but a line of the product ends it, and unlike if the two do not agree.
"""

import argparse
import gc
import io
import logging
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from benchmark.data.load import Source, load_index, require_usable
from tests.benchmark.data.corpus import HEIGHT, WIDTH, exif, folder, ham, isic, rows
from tests.benchmark.data.test_agreement import check, dry_run
from tests.benchmark.storage.fuzzing import table

MAX_SECONDS = 30.0
MAX_BYTES = 2 * 10**9
MAX_JUDGED = 100
"""Number of data sets after which another process judges."""
NAME = "camelyonpatch_level_2_split_"
FORK = multiprocessing.get_context("fork")
"""A forked process has the libraries that take seconds to load."""


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

Change = tuple[str, str, str, bytes | None]


def apply(root: Path, change: Change) -> None:
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


def draw_frames(count: int, side: int, channels: int, kind: str) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 100, (count, side, side, channels)).astype(kind)


def draw_labels(values: Sequence[float], kind: str, axes: tuple[int, ...]) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.array(values).astype(kind).reshape(-1, *axes)


good_frames = st.builds(draw_frames, st.just(8), st.sampled_from([24, 96]), st.just(3), st.just("u1"))
frames = good_frames | st.builds(
    draw_frames,
    st.sampled_from([0, 1, 7, 8]),
    st.sampled_from([1, 96]),
    st.sampled_from([1, 3, 4]),
    st.sampled_from(["u1", "f4", "i8"]),
)
good_labels = st.builds(
    draw_labels,
    st.permutations([0, 1] * 4),
    st.sampled_from(["u1", "f8", "i8"]),
    st.sampled_from([(), (1, 1, 1), (1,)]),
)
labels = good_labels | st.builds(
    draw_labels,
    st.lists(st.sampled_from([0, 1, 7, -1, np.nan]), min_size=8, max_size=8),
    st.sampled_from(["f8", "f2", "u1", "i8", "?", "S3", "c16"]),
    st.sampled_from([(), (1, 1)]),
)
STORAGES = ("huge", "virtual", "external", "soft link", "external link", "group")
storages = st.sampled_from(["plain"]) | st.sampled_from(["plain", "compressed"]) | st.sampled_from(STORAGES)


def write_hdf5(path: Path, key: str, values: np.ndarray, storage: str) -> None:
    """Writes values in one of the ways that HDF5 has, some of which hold no values at all."""
    with h5py.File(path, "w") as file:
        if storage == "huge":
            file.create_dataset(key, (10**9, *values.shape[1:]), values.dtype, chunks=(1, *values.shape[1:]))
        elif storage == "virtual":
            layout = h5py.VirtualLayout(values.shape, values.dtype)
            layout[:] = h5py.VirtualSource(path.with_name("other.h5"), key, values.shape)
            file.create_virtual_dataset(key, layout)
        elif storage == "external":
            file.create_dataset(key, values.shape, values.dtype, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
        elif storage == "soft link":
            file[key] = h5py.SoftLink(f"/{key}")
        elif storage == "external link":
            file[key] = h5py.ExternalLink("/dev/zero", key)
        elif storage == "group":
            file.create_group(key)
        else:
            file.create_dataset(key, data=values, compression="gzip" if storage == "compressed" else None)


def damage(path: Path, harm: str, position: int) -> None:
    """Damages a file, or puts something else in its place."""
    content = bytearray(path.read_bytes()) if path.is_file() else bytearray(1)
    if harm == "bit":
        content[position % len(content)] ^= 1 << position % 8
        path.write_bytes(content)
    elif harm == "truncated":
        path.write_bytes(content[: position % len(content)])
    elif harm in {"removed", "compressed", "fifo", "directory"}:
        path.unlink(missing_ok=True)
    if harm == "compressed":
        path.with_name(f"{path.name}.gz").write_bytes(content)
    elif harm == "fifo":
        os.mkfifo(path)
    elif harm == "directory":
        path.mkdir()


parts = st.tuples(st.sampled_from(["train", "train", "valid", "test"]), frames, labels, storages, storages)
harms = st.tuples(
    st.sampled_from(["none", "none", "none", "bit", "bit", "truncated", "removed", "compressed", "fifo", "directory"]),
    st.sampled_from(["train_x.h5", "train_y.h5", "test_x.h5", "valid_y.h5"]),
    st.integers(0, 10**6),
)


def write_pcam(
    root: Path,
    written: Sequence[tuple[str, np.ndarray, np.ndarray, str, str]],
    harm: tuple[str, str, int],
    meta: bytes | None,
) -> None:
    """Writes HDF5 files in the layout of PCam."""
    root.mkdir(parents=True)
    for part, images, wanted, of_images, of_labels in written:
        for end, values, storage in (("x", images, of_images), ("y", wanted, of_labels)):
            try:
                write_hdf5(root / f"{NAME}{part}_{end}.h5", end, values, storage)
            except (ValueError, TypeError, OSError):  # what cannot be written so
                write_hdf5(root / f"{NAME}{part}_{end}.h5", end, values, "plain")
    if meta is not None:
        (root / f"{NAME}train_meta.csv").write_bytes(meta)
    way, name, position = harm
    if way != "none":
        damage(root / f"{NAME}{name}", way, position)


slides = st.none() | st.just("\n".join(["wsi", *"abcdefgh"]).encode()) | tables
Make = Callable[[Path], object]


def changed(make: Make, harm: Sequence[Change]) -> Make:
    """Makes a data set, and changes it."""

    def both(root: Path) -> None:
        make(root)
        for change in harm:
            apply(root, change)

    return both


def changed_by(change: st.SearchStrategy[Change]) -> st.SearchStrategy[Make]:
    """Data sets with one to five changes of a kind."""
    return st.builds(changed, st.sampled_from([folder, isic, ham]), st.lists(change, min_size=1, max_size=5))


table_names = st.sampled_from(["images.csv", "images.csv", "diagnosis.csv", "HAM10000_metadata.csv"])
picture_names = st.sampled_from(["a00.png", "a01.png", "a02.tif", "x.webp", "ISIC_0000000.jpg"])
picture_places = st.sampled_from(
    ["images/mole", "images/wart", "masks", "ISIC2018_Task1-2_Training_Input", "HAM10000_images"]
)
KINDS: dict[str, st.SearchStrategy[Make]] = {
    "table": changed_by(st.tuples(st.just("write"), st.just(""), table_names, tables | whole_tables)),
    "HDF5 file": st.builds(
        lambda written, harm, meta: lambda root: write_pcam(root, written, harm, meta),
        st.lists(parts, min_size=1, max_size=3),
        harms,
        slides,
    ),
    "picture": changed_by(st.tuples(st.just("write"), picture_places, picture_names, pictures | damaged)),
    "tree": changed_by(changes),
}
"""Generated data sets by what is changed in them."""


def judge(root: Path) -> str:
    """What `data check` and a dry run make of a data set.

    Raises:
        AssertionError: They do not agree, or an error has several lines.
    """
    refusals, _ = check(root)
    refusal, _ = dry_run(root)
    if refusal is not None:
        assert any(refusal.startswith(words) for words in refusals), (refusals, refusal)
        assert "\n" not in refusal, refusal
        return "refused in one line"
    # A run does not open the images that it leaves out, such as those without a class.
    used = {sample.id for sample in require_usable(load_index(Source(directory=root))).samples}
    assert [line for line in refusals for name in used if f"/{name}." in line] == []
    return "accepted"


class Judge:
    """Judges data sets in a process with limits, one after the other."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._num_judged = 0

    def judge(self, directory: Path) -> tuple[str, float, int]:
        """Judges the data set `data` in a directory.

        Returns:
            The outcome, the seconds, and the bytes that the process took more than at its start.
        """
        if self._process is None:
            self._start()
        begun = time.monotonic()
        self._connection.send(directory)
        if not self._connection.poll(MAX_SECONDS):
            self.close()
            return "hang", time.monotonic() - begun, 0
        try:
            outcome, num_bytes = self._connection.recv()
        except EOFError:
            outcome, num_bytes = "killed", 0
        self._num_judged += 1
        if outcome == "killed" or self._num_judged % MAX_JUDGED == 0:
            self.close()
        return outcome, time.monotonic() - begun, num_bytes

    def _start(self) -> None:
        self._connection, other = FORK.Pipe()
        self._process = FORK.Process(target=_judge_and_send, args=(other,))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of Arrow wait in this process
            self._process.start()
        other.close()

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
        self._process = None


def _judge_and_send(connection: Connection) -> None:
    before = _peak()
    virtual = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (virtual + MAX_BYTES, virtual + MAX_BYTES))
    while True:
        directory = connection.recv()
        with own_runs(directory):
            outcome = describe_outcome(directory / "data")
        connection.send((outcome, _peak() - before))


def describe_outcome(root: Path) -> str:
    """The outcome of a data set, with what is wrong behind a colon."""
    try:
        return judge(root)
    except AssertionError as error:
        return f"unlike: {error}"
    except MemoryError:
        return "above 2 GB"
    except BaseException:  # noqa: BLE001 - that is what is counted
        return f"traceback: {traceback.format_exc()}"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass
class Trial:
    """Counts what generated data sets cause.

    Attributes:
        process: Judges them.
        outcomes: Number of outcomes, by kind of data set.
        seconds: The longest time.
        num_bytes: The most memory.
    """

    process: Judge = field(default_factory=Judge)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: float = 0.0
    num_bytes: int = 0

    def judge(self, kind: str, make: Make) -> None:
        """Judges a data set."""
        with tempfile.TemporaryDirectory() as scratch:
            make(Path(scratch) / "data")
            outcome, seconds, num_bytes = self.process.judge(Path(scratch))
        name, _, details = outcome.partition(": ")
        if name not in {"accepted", "refused in one line"}:
            sys.stderr.write(f"{kind}: {name} {details}\n")
        self.outcomes[kind, name] += 1
        self.seconds, self.num_bytes = max(self.seconds, seconds), max(self.num_bytes, num_bytes)


@contextmanager
def own_runs(directory: Path) -> Iterator[None]:
    """What is stored of data sets is in a directory."""
    with mock.patch.dict(os.environ, {"LOUPE_RUNS": f"{directory}/runs"}):
        yield


def fuzz(count: int, first: int = 0) -> Trial:
    """Judges generated data sets.

    Args:
        count: Their number, a quarter of each kind.
        first: Seed of the generator.
    """
    trial = Trial()
    for index, (kind, makes) in enumerate(KINDS.items()):
        judge_each(makes, count // len(KINDS) + (index < count % len(KINDS)), first, partial(trial.judge, kind))
    trial.process.close()
    return trial


def judge_each(makes: st.SearchStrategy[Make], count: int, first: int, judge_one: Callable[[Make], None]) -> None:
    """Passes a number of generated data sets to a function."""

    @seed(first)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(make=makes)
    def run(make: Make) -> None:
        judge_one(make)

    run()


def warm_up() -> None:
    """Judges one data set, so that the processes have what each would load for itself."""
    with tempfile.TemporaryDirectory() as scratch, own_runs(Path(scratch)):
        folder(Path(scratch) / "data")
        judge(Path(scratch) / "data")
    gc.freeze()  # a collection in a forked process would copy the memory of this one


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, help="number of inputs")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # a forked process waits forever for the threads of OpenMP of this one
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore", UserWarning)
    warm_up()
    tried = fuzz(options.count, options.seed)
    sys.stdout.write(table(tried.outcomes, "input") + "\n\n")
    sys.stdout.write(f"at most {tried.seconds:.1f} s and {tried.num_bytes / 1e6:.0f} MB more\n")
