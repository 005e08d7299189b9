"""Checkpoints of plain torch become safetensors: wrappers are removed, what fits is reported, and no pickle runs."""

import os
from contextlib import nullcontext

import pytest
import safetensors.torch
import torch

from architectures import Architecture
from benchmark.errors import UserError
from benchmark.registry import select
from benchmark.submission.checkpoint_task import convert_checkpoint, require_half
from benchmark.training.checkpoint import initial_model, load_weights


@pytest.fixture(scope="module")
def entry() -> Architecture:
    return select(Architecture, ["mobilenet"])[0]


@pytest.fixture(scope="module")
def trained(entry):
    """The state of a network of three classes, under timm's names."""
    torch.manual_seed(3)
    return entry.build(3).body.state_dict()


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


WRAPPERS = {
    "plain": (lambda state: state, ""),
    "DataParallel": (lambda state: prefixed(state, "module."), "module."),
    "compiled": (lambda state: prefixed(state, "_orig_mod."), "_orig_mod."),
    "Lightning": (
        lambda state: {"state_dict": prefixed(state, "model.") | {"loss.weight": torch.ones(3)}, "epoch": 3},
        "model.",
    ),
    "both": (lambda state: {"model_state_dict": prefixed(state, "module.net."), "optimizer": {}}, "module.net."),
    "half": (lambda state: {name: value.half() for name, value in state.items()}, ""),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapped_state_is_found(name, entry, trained, tmp_path):
    wrap, prefix = WRAPPERS[name]
    torch.save(wrap(trained), tmp_path / "model.pth")
    report = convert_checkpoint(str(tmp_path / "model.pth"), "mobilenet", str(tmp_path))
    assert (report["prefix"], report["num_classes"], report["missing"]) == (prefix, 3, [])
    assert report["matched"] == len(trained)
    assert report["surplus"] == (["loss.weight"] if name == "Lightning" else [])
    model = entry.build(3)
    load_weights(model, tmp_path / "model.safetensors", whole=True)
    for key, value in trained.items():
        expected = value.half().float() if name == "half" and value.is_floating_point() else value
        torch.testing.assert_close(model.body.state_dict()[key].float(), expected.float(), rtol=0, atol=0)


def test_a_trunk_is_converted_and_starts_a_training(entry, trained, tmp_path):
    trunk = {name: value for name, value in trained.items() if not name.startswith("classifier")}
    torch.save(trunk, tmp_path / "trunk.pt")
    report = convert_checkpoint(str(tmp_path / "trunk.pt"), "mobilenet", str(tmp_path))
    assert report["missing"] == ["body.classifier.weight", "body.classifier.bias"]
    assert report["num_classes"] is None
    model, _ = initial_model(entry, 5, str(tmp_path / "model.safetensors"))
    torch.testing.assert_close(model.body.conv_stem.weight.data, trained["conv_stem.weight"])


class Payload:
    def __reduce__(self):
        return os.mknod, ("unpickled",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Payload(), "holds Python objects other than tensors"),
        ({"state_dict": {"a": torch.ones(1)}, "hook": Payload()}, "holds Python objects other than tensors"),
        ({"epoch": 3}, "has no dictionary of tensors"),
        ([torch.ones(1)], "has no dictionary of tensors"),
        ({"other.weight": torch.ones(1)}, "has no tensor of mobilenet"),
        ({"classifier.bias": torch.ones(3)}, "has 0 of the [0-9]{3} tensors of mobilenet outside its classifier"),
    ],
)
def test_what_is_no_state_is_refused_and_nothing_runs(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(UserError, match=message) as refused:
        convert_checkpoint(str(tmp_path / "model.pth"), "mobilenet", str(tmp_path))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "unpickled").exists()
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x80\x04."])
def test_a_damaged_file_is_refused(content, tmp_path):
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"^[^\n]+$"):
        convert_checkpoint(str(tmp_path / "model.pth"), "mobilenet", str(tmp_path))


@pytest.mark.parametrize("length", [1000, -1])
def test_a_truncated_file_is_named_so_in_one_short_line(length, tmp_path):
    torch.save({"conv_stem.weight": torch.ones(100, 100)}, tmp_path / "model.pth")
    (tmp_path / "model.pth").write_bytes((tmp_path / "model.pth").read_bytes()[:length])
    with pytest.raises(UserError) as refused:
        convert_checkpoint(str(tmp_path / "model.pth"), "mobilenet", str(tmp_path))
    assert str(refused.value) == "is truncated or no file of torch; copy or save it again"


@pytest.mark.parametrize(("fraction", "is_accepted"), [(0.4, False), (0.6, True)])
def test_half_of_the_tensors_outside_the_classifier_decides(fraction, is_accepted, trained, tmp_path):
    names = [name for name in trained if not name.startswith("classifier") and not name.endswith("batches_tracked")]
    part = {name: trained[name] for name in names[: round(fraction * len(names))]}
    torch.save(part, tmp_path / "model.pth")
    with nullcontext() if is_accepted else pytest.raises(UserError, match=f"has {len(part)} of the {len(names)} tens"):
        report = convert_checkpoint(str(tmp_path / "model.pth"), "mobilenet", str(tmp_path))
        assert (report["matched"], report["added"]) == (len(part), 2)
    assert (tmp_path / "model.safetensors").exists() == is_accepted


def test_the_convolutions_of_vgg16_are_more_than_half_of_it_although_most_parameters_follow():
    with torch.device("meta"):
        names = list(select(Architecture, ["vgg16"])[0].build(2).state_dict())
    require_half("vgg16", [name for name in names if name.startswith("body.features.")], names)


def test_written_files_hold_the_normalization(trained, tmp_path):
    """So they load under our names, and a second conversion is not needed."""
    torch.save(trained, tmp_path / "model.pth")
    convert_checkpoint(str(tmp_path / "model.pth"), "mobilenet", str(tmp_path))
    assert {"mean", "std"} <= safetensors.torch.load_file(tmp_path / "model.safetensors").keys()
