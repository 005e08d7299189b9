"""Maps with their network: an entry or an ONNX file answers from a box as the checkpoint does in this process."""

import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from onnx import TensorProto
from torch import nn

from benchmark.data.load import Source
from benchmark.errors import UserError
from benchmark.experiments.external_maps import ScoreRequest, score_external_maps
from benchmark.experiments.external_model import ExternalModel
from benchmark.leaderboard.analysis.provenance import repeat_command
from benchmark.storage.hashing import file_digest
from benchmark.submission import external_network, onnx_file
from benchmark.submission.entries import known_entry, read_toml
from benchmark.submission.external_network import NetworkOptions, score_with_network
from benchmark.submission.judge.onnx_network import OnnxNetwork, check_answers
from benchmark.submission.sandbox.client import worker
from benchmark.training.checkpoint import save_model
from tests.benchmark.submission.onnx_files import ENTRY, images, tiny, write_onnx
from tests.command import call, refused

SIDE = 24
TERMS = 27 + 11 * 11 + 6
"""Terms that are added for a logit of the tiny network at 24 px: a kernel, the mean of a grid, and the classifier."""


def rounding(network) -> float:
    """Largest difference of a logit between two orders of addition: a unit of float32 for each term."""
    kernels, classifier = (network.body[index].weight.detach().abs().flatten(1).sum(dim=1).max() for index in (0, -1))
    return float(TERMS * 2.0**-24 * kernels * classifier)


@pytest.mark.parametrize("shape", [("n", 3, "h", "w"), (1, 3, 16, 16), ("n", 16, 16, 3), (None, None, None, 3)])
def test_a_file_answers_as_the_network_for_every_layout(shape, tmp_path):
    network = tiny()
    file = OnnxNetwork(write_onnx(tmp_path / "a.onnx", network, shape=shape), 16, "signed", "logits")
    check_answers(file, 2, 16, "logits")
    with torch.inference_mode():
        torch.testing.assert_close(file(images()), network(images()), rtol=0, atol=rounding(network))


@pytest.mark.parametrize("name", onnx_file.NORMALIZATIONS)
def test_each_normalization_is_that_of_its_name(name, tmp_path):
    network = tiny()
    file = OnnxNetwork(write_onnx(tmp_path / "a.onnx", network), 16, name, "logits")
    pixels = {
        "bytes": images() * 255,
        "imagenet": (images() - torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        / torch.tensor([0.229, 0.224, 0.225])[:, None, None],
        "signed": images() * 2 - 1,
        "unit": images(),
    }[name]
    with torch.inference_mode():
        expected = network.body(pixels)
    torch.testing.assert_close(file(images()), expected, rtol=0, atol=rounding(network) * float(pixels.abs().max()))


def test_probabilities_become_logits_of_the_same_probabilities(tmp_path):
    network = tiny()
    path = write_onnx(tmp_path / "a.onnx", network, probabilities=True)
    file = OnnxNetwork(path, 16, "signed", "probabilities")
    check_answers(file, 2, 16, "probabilities")
    with torch.inference_mode():
        torch.testing.assert_close(file(images()).softmax(1), network(images()).softmax(1), rtol=0, atol=1e-4)


def wide(**options):
    return lambda path: write_onnx(path, tiny(3), **options)


def narrow(**options):
    return lambda path: write_onnx(path, tiny(), **options)


MISFITS = {
    "gray": (narrow(shape=("n", 1, 16, 16)), r"shape \(any, 1, 16, 16\); export it for float32 images in color"),
    "flat": (narrow(shape=("n", 6)), r"shape \(any, 6\); export"),
    "half": (narrow(kind=TensorProto.FLOAT16), r"cannot be run|tensor\(float16\)"),
    "other side": (narrow(shape=("n", 3, 32, 32)), r"takes images of \(32, 32\), not of 16 px; .* --image-size"),
    "batches": (narrow(shape=(8, 3, 16, 16)), "takes 8 images at a time; export it for 1 or any number"),
    "two outputs": (narrow(more_outputs=("flat",)), "has 1 input and 2 outputs"),
    "classes": (wide(), r"answers torch.float32 of shape \(N, 3\), the data has 2 classes"),
    "a grid": (narrow(output="maps"), r"of shape \(N, 6, 7, 7\), the data has 2 classes"),
    "probabilities": (narrow(probabilities=True), "give --answers probabilities"),
    "at random": (narrow(random=True), "export it in evaluation mode"),
    "an unknown operator": (narrow(operator="Launder"), "cannot be run .*; export it with standard operators"),
    "other files": (narrow(external=True), "has weights in other files; export it as one file"),
    "text": (lambda path: path.write_text("hello"), "is damaged or no ONNX file"),
    "nothing": (lambda path: path.write_bytes(b""), "cannot be run"),
    "half of a file": (
        lambda path: path.write_bytes(write_onnx(path, tiny()).read_bytes()[:-40]),
        "is damaged or no ONNX file",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_file_that_does_not_fit_is_refused_in_one_line(name, tmp_path):
    write, message = MISFITS[name]
    write(tmp_path / "a.onnx")
    with pytest.raises(UserError, match=message) as error:
        check_answers(OnnxNetwork(tmp_path / "a.onnx", 16, "signed", "logits"), 2, 16, "logits")
    assert "\n" not in str(error.value)


def test_logits_are_no_probabilities(tmp_path):
    file = OnnxNetwork(write_onnx(tmp_path / "a.onnx", tiny()), 16, "signed", "probabilities")
    with pytest.raises(UserError, match="no probabilities; give --answers logits"):
        check_answers(file, 2, 16, "probabilities")


@pytest.fixture
def request_(own_folders, isic_tree) -> ScoreRequest:
    """Maps of all images, of which three are perturbed."""
    directory = own_folders / "corner"
    directory.mkdir()
    for number in range(24):
        np.save(directory / f"ISIC_{number:07d}.npy", np.arange(48.0).reshape(6, 8) * (number + 1))
    changes = {"image_size": SIDE, "limit": None, "num_perturbed": 3, "perturbation_steps": 3}
    return ScoreRequest(
        maps=directory, source=Source(directory=isic_tree), name="torch", method="lime", changes=changes
    )


def scored_by(request: ScoreRequest, name: str, score):
    """The record of a row, and its scores and predictions."""
    fields = {field: getattr(request, field) for field in ScoreRequest.__dataclass_fields__} | {"name": name}
    scored = score(ScoreRequest(**fields))
    (path,) = (scored.directory / "records").glob(f"{name}-*.json")
    return scored.record, *(pd.read_parquet(path.with_suffix(f".{kind}.parquet")) for kind in ("scores", "predictions"))


def in_this_process(request: ScoreRequest, network: nn.Module | None = None):
    device = torch.device("cpu")
    model = ExternalModel(name="tiny", sha256="0" * 64, network=network or tiny(), device=device)
    return score_external_maps(request, load_model=lambda *_: model)


@pytest.mark.slow
def test_entry_and_onnx_file_score_from_a_box_as_the_network_here(request_, tmp_path, monkeypatch):
    save_model(tiny(), tmp_path / "tiny.safetensors")
    (tmp_path / "tiny.py").write_text(ENTRY, encoding="utf-8")
    entry = {"architecture": str(tmp_path / "tiny.py"), "checkpoint": tmp_path / "tiny.safetensors"}
    file = write_onnx(tmp_path / "tiny.onnx", tiny())
    with worker() as running:  # one process for both
        monkeypatch.setattr(external_network, "worker", lambda: nullcontext(running))
        _, *expected = scored_by(request_, "torch", in_this_process)
        boxed = {
            "entry": NetworkOptions(**entry, trust=True),
            "onnx": NetworkOptions(onnx=file, normalization="signed", trust=True),
        }
        records = {}
        for name, options in boxed.items():
            records[name], *found = scored_by(
                request_, name, lambda order, chosen=options: score_with_network(order, chosen)
            )
            assert set(found[0]["metric"]) >= {"insertion", "deletion", "faithfulness"}
            # They are means of probabilities, or differences of two, and a probability moves less than its logit.
            for table, other in zip(found, expected, strict=True):
                pd.testing.assert_frame_equal(table, other, rtol=0, atol=2 * rounding(tiny()))
    other = OnnxNetwork(file, SIDE, "imagenet", "logits")
    _, scores, _ = scored_by(request_, "other", lambda order: in_this_process(order, other))
    moved = (scores["value"] - expected[0]["value"]).abs()[scores["metric"] == "insertion"]
    assert moved.min() > 4 * rounding(tiny())  # answers for another normalization would be seen
    onnx, by_entry = (records[name].external_maps for name in ("onnx", "entry"))
    assert (onnx.network, onnx.checkpoint) == ("tiny.onnx", file_digest(file))
    assert (onnx.normalization, onnx.answers) == ("signed", "logits")
    assert (by_entry.network, by_entry.checkpoint) == ("tiny.py", file_digest(entry["checkpoint"]))
    assert "--onnx tiny.onnx --normalization signed --answers logits" in repeat_command([records["onnx"]])
    assert "--architecture tiny.py --checkpoint FILE" in repeat_command([records["entry"]])


TOML = """name = "{name}"
timm = "test_resnet"
source = "this test"
authors = "its author"
license = "MIT"
[checkpoint]
file = "theirs.safetensors"
sha256 = "{digest}"
classes = ["melanoma", "benign"]
regime = "standard"
trained_on = "nothing"
source = "nowhere"
"""


def test_an_entry_without_code_needs_no_box_and_names_its_weights(request_, tmp_path, monkeypatch):
    path = tmp_path / "theirs.toml"
    path.write_text(TOML.format(name="theirs", digest="0" * 64), encoding="utf-8")
    with known_entry(path, read_toml(path), None, pretrained=False) as architecture:
        network = architecture.build(2).eval()
    digest = save_model(network, tmp_path / "theirs.safetensors")
    path.write_text(TOML.format(name="theirs", digest=digest), encoding="utf-8")
    monkeypatch.setattr(external_network, "worker", None)
    options = NetworkOptions(architecture=str(path))
    record, scores, predictions = scored_by(request_, "row", lambda order: score_with_network(order, options))
    assert (record.external_maps.network, record.external_maps.checkpoint) == ("theirs.toml", digest)
    assert (scores["metric"] == "faithfulness").sum() == 3
    _, _, expected = scored_by(request_, "here", lambda order: in_this_process(order, network))
    # Its logits are in another order than the classes of the data.
    np.testing.assert_allclose(predictions[["p0", "p1"]], expected[["p1", "p0"]], rtol=0, atol=1e-6)
    assert (expected["p1"] - expected["p0"]).abs().min() > 1e-3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--onnx", "none.onnx"], "none.onnx does not exist"),
        (["--onnx", "tiny.onnx"], "with --normalization: bytes, imagenet, signed, unit"),
        (["--onnx", "tiny.onnx", "--normalization", "image"], "unknown --normalization 'image'; nearest: imagenet"),
        (["--onnx", "tiny.onnx", "--normalization", "unit", "--answers", "logit"], "nearest: logits"),
        (["--onnx", "tiny.pb", "--normalization", "unit"], "no .onnx file"),
        (["--onnx", "a directory.onnx", "--normalization", "unit"], "is no regular file"),
        (["--onnx", "pipe.onnx", "--normalization", "unit"], "is no regular file"),
        (["--onnx", "large.onnx", "--normalization", "unit"], "is larger than 2 GB"),
        (["--onnx", "a b.onnx", "--normalization", "unit"], "rename the file"),
        (["--onnx", "tiny.onnx", "--normalization", "unit", "--architecture", "mobilenet"], "is a whole network"),
        (["--onnx", "tiny.onnx", "--normalization", "unit", "--predictions", "p.csv"], "leave out one of them"),
        (["--normalization", "unit"], "describe the network of --onnx"),
        (["--architecture", "none.toml"], "is no regular file"),
        (["--architecture", "none.py"], "is no regular file"),
        (["--architecture", "bare.toml"], "bare.toml: names no weights; give them with --checkpoint"),
        (["--architecture", "own.toml"], "theirs.safetensors does not exist"),
        (["--architecture", "own.toml", "--checkpoint", "tiny.safetensors"], "another SHA-256 than the entry names"),
        (["--architecture", "taken.toml", "--checkpoint", "tiny.safetensors"], "rename one of them"),
        (["--architecture", "broken.toml"], "broken.toml: timm"),
    ],
)
def test_a_network_that_cannot_be_used_is_one_line(words, message, tmp_path, isic_tree, monkeypatch):
    (tmp_path / "maps").mkdir()
    np.save(tmp_path / "maps" / "ISIC_0000000.npy", np.eye(4))
    for name in ("tiny.onnx", "tiny.pb", "a b.onnx", "tiny.safetensors"):
        (tmp_path / name).write_bytes(b"0")
    (tmp_path / "a directory.onnx").mkdir()
    os.mkfifo(tmp_path / "pipe.onnx")
    with (tmp_path / "large.onnx").open("wb") as file:
        file.truncate(2**31)  # takes no place on the disk
    text = TOML.format(name="own", digest="0" * 64)
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    (tmp_path / "bare.toml").write_text(text.partition("[")[0], encoding="utf-8")
    (tmp_path / "taken.toml").write_text(text.partition("[")[0].replace("own", "mobilenet"), encoding="utf-8")
    (tmp_path / "broken.toml").write_text('name = "broken"\nsource = "this test"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert message in refused(call(tmp_path, "score", "maps", "--data", isic_tree, *words))
    assert not (tmp_path / "results").exists()


def test_without_the_extra_one_line_names_it(tmp_path, monkeypatch):
    file = write_onnx(tmp_path / "a.onnx", tiny())
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(UserError, match=r"needs onnxruntime; install it with `pip install onnx onnxruntime`"):
        onnx_file.require_onnx(Path(file), "unit", None)
