"""Weights from a file are checked before they are used."""

from dataclasses import replace

import pytest
import safetensors.torch
import torch
from torch import nn

from architectures import Architecture
from benchmark.errors import UserError
from benchmark.registry import entries
from benchmark.storage.hashing import file_digest
from benchmark.training.checkpoint import initial_model, load_weights, save_model


def network(classes: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, classes))


def change_type(tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    tensors["0.weight"] = tensors["0.weight"].to(dtype)
    return tensors["0.weight"]


@pytest.fixture
def architecture() -> Architecture:
    return replace(entries(Architecture)["resnet50"], name="tiny", build=network, pretrained=None)


@pytest.fixture
def weights(tmp_path):
    """A file of good weights and what is in it."""
    model = network()
    digest = save_model(model, tmp_path / "tiny.safetensors")
    assert digest == file_digest(tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors", dict(model.state_dict())


def test_what_was_saved_is_loaded(architecture, weights, tmp_path):
    path, tensors = weights
    for given in (path, tmp_path):
        model, initial = initial_model(architecture, 3, str(given))
        assert (initial.loaded, initial.random) == (len(tensors), ())
        assert all(torch.equal(value, tensors[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("3.bias"), "lacks the tensor '3.bias'"),
        (lambda tensors: tensors.update(extra=torch.ones(1)), "has a tensor 'extra' that the network lacks"),
        (lambda tensors: tensors.update({"3.bias": torch.ones(7)}), r"tensor '3.bias' has shape \(7,\), not \(3,\)"),
        (lambda tensors: tensors["0.weight"].fill_(torch.nan), "tensor '0.weight' holds values that are not finite"),
        (lambda tensors: change_type(tensors, torch.int64), "'0.weight' holds integers where the network has floating"),
        (lambda tensors: change_type(tensors, torch.bool), "'0.weight' holds truth values where the network has"),
        (lambda tensors: change_type(tensors, torch.complex64), "'0.weight' holds complex numbers where the network"),
        (
            lambda tensors: change_type(tensors, torch.float64).fill_(1e300),
            "'0.weight' holds values that are not finite",
        ),
        (lambda tensors: tensors["1.running_var"].fill_(-1), "'1.running_var' holds negative variances"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_the_tensors_name(weights, change, message):
    path, tensors = weights
    tensors = {name: value.clone() for name, value in tensors.items()}
    change(tensors)
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(UserError, match=message):
        load_weights(network(), path)


def test_a_pickle_a_page_and_a_truncated_file_are_refused(weights):
    path, tensors = weights
    whole = path.read_bytes()
    torch.save(tensors, path)
    for content in (path.read_bytes(), b"<html>404</html>", whole[: len(whole) // 2], b""):
        path.write_bytes(content)
        with pytest.raises(UserError, match="is not a readable safetensors file"):
            load_weights(network(), path)


def test_published_weights_are_taken_and_the_classifier_stays_fresh(tmp_path):
    entry = entries(Architecture)["mobilenet"]
    published = entry.build(1000).body.state_dict()
    path = tmp_path / "mobilenet.safetensors"
    safetensors.torch.save_file({name: value.contiguous() for name, value in published.items()}, path)
    model, initial = initial_model(entry, 6, str(path))
    assert initial.random == ("body.classifier.bias", "body.classifier.weight")
    assert initial.loaded == len(published) - 2
    ours = model.body.state_dict()
    assert torch.equal(ours["conv_stem.weight"], published["conv_stem.weight"])
    assert ours["classifier.weight"].shape == (6, published["classifier.weight"].shape[1])
    assert torch.equal(model.mean, entry.build(6).mean)
    published.pop("conv_stem.weight")
    safetensors.torch.save_file({name: value.contiguous() for name, value in published.items()}, path)
    with pytest.raises(UserError, match=r"lacks the tensor .body\.conv_stem\.weight."):
        initial_model(entry, 6, str(path))


def test_a_classifier_of_other_classes_stays_fresh_where_a_training_begins_and_is_refused_elsewhere(
    architecture, weights
):
    path, tensors = weights
    torch.manual_seed(0)
    fresh = network(5)
    torch.manual_seed(0)
    model, initial = initial_model(architecture, 5, str(path))
    assert (initial.loaded, initial.random) == (len(tensors) - 2, ("3.bias", "3.weight"))
    assert torch.equal(model[0].weight, tensors["0.weight"])
    assert torch.equal(model[3].weight, fresh[3].weight)
    with pytest.raises(UserError, match="is it for another number of classes"):
        load_weights(network(5), path)
    tensors["0.bias"] = torch.ones(9)  # now a second layer differs, so it is another network
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(UserError, match="is it for another number of classes"):
        initial_model(architecture, 5, str(path))


def test_weights_that_nobody_has_say_what_to_do(architecture, tmp_path):
    with pytest.raises(UserError, match="no published weights"):
        initial_model(architecture, 3, "pretrained")
    with pytest.raises(UserError, match="does not exist; give a safetensors file or a directory of them"):
        initial_model(architecture, 3, str(tmp_path / "absent.safetensors"))

    def unreachable(classes: int) -> nn.Module:
        raise OSError(f"tiny: no weights for {classes} classes could be fetched; connect once")

    with pytest.raises(UserError, match="tiny: no weights for 3 classes could be fetched; connect once"):
        initial_model(replace(architecture, pretrained=unreachable), 3, "pretrained")
