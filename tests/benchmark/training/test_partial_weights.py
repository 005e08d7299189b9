"""Initial weights that are not whole: what is there is loaded, the rest stays random, and both are named."""

import pytest
import safetensors.torch
import torch

from architectures import Architecture
from benchmark.errors import UserError
from benchmark.registry import select
from benchmark.training.checkpoint import describe_initial_weights, initial_model


@pytest.fixture
def mobilenet() -> Architecture:
    return select(Architecture, ["mobilenet"])[0]


@pytest.fixture
def saved(mobilenet, tmp_path):
    """Saves some tensors of a network under timm's names, in half precision."""
    torch.manual_seed(1)
    tensors = mobilenet.build(3).state_dict()

    def save(chosen):
        path = tmp_path / "mobilenet.safetensors"
        names = {name: name.removeprefix("body.") for name in tensors if name.startswith("body.") and chosen(name)}
        halves = {ours: tensors[name].half().contiguous() for name, ours in names.items()}
        safetensors.torch.save_file(halves, path)
        return path, tensors

    return save


def test_a_trunk_without_its_classifier_is_loaded_and_the_classifier_is_random(mobilenet, saved):
    path, tensors = saved(lambda name: not name.startswith("body.classifier"))
    report = describe_initial_weights(mobilenet, 3, path)
    assert report.random_parts == ("body.classifier",)
    assert "random: body.classifier" in report.describe()
    model, _ = initial_model(mobilenet, 3, str(path))
    assert model.body.classifier.weight.shape[0] == 3
    assert model.body.classifier.weight.dtype == torch.float32
    name = "body.conv_stem.weight"
    torch.testing.assert_close(model.state_dict()[name], tensors[name].half().float(), rtol=0, atol=0)


def test_a_classifier_of_other_classes_is_replaced(mobilenet, saved):
    path, _ = saved(lambda _: True)
    assert describe_initial_weights(mobilenet, 5, path).random_parts == ("body.classifier",)
    assert initial_model(mobilenet, 5, str(path))[0].body.classifier.weight.shape[0] == 5


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (lambda name: name.endswith("num_batches_tracked"), "has no tensor of the network"),
        (lambda name: name != "body.bn1.running_mean", "lacks the tensor 'body.bn1.running_mean', but has"),
        (lambda name: name != "body.classifier.bias", "lacks the tensor 'body.classifier.bias'"),
    ],
)
def test_pieces_of_a_module_are_refused(mobilenet, saved, chosen, message):
    path, _ = saved(chosen)
    for load in (lambda: describe_initial_weights(mobilenet, 3, path), lambda: initial_model(mobilenet, 3, str(path))):
        with pytest.raises(UserError, match=message) as refused:
            load()
        assert "\n" not in str(refused.value)
