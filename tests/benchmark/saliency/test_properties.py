"""What holds for every method that is registered."""

import pytest
import torch
from torch import nn

from architectures import Architecture
from benchmark.registry import entries
from benchmark.saliency import Method, integrated_gradients, occlusion, rise, score_cam, smooth_grad
from tests.benchmark.saliency.networks import PATCHES, Reader, Small, images

METHODS = entries(Method)
CLASSLESS = {"eigen-cam"}
# Softmax weights are never zero: where all classes score alike, the map is the mean activation.
NEVER_SILENT = CLASSLESS | {"score-cam"}


@pytest.fixture(params=METHODS)
def method(request):
    return METHODS[request.param]


def draw(method, model, inputs, classes):
    return method.draw(model, model.layer, inputs, torch.tensor(classes))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_maps_are_finite_and_not_negative(method, memory_format):
    inputs = images(2, 48, 72).contiguous(memory_format=memory_format)
    maps = draw(method, Small(), inputs, [0, 3])
    assert maps.shape == (2, 48, 72)
    assert maps.dtype == torch.float32
    assert maps.isfinite().all()
    assert maps.min() >= 0
    assert not maps.requires_grad
    maps += 1  # An inference tensor would refuse.


def test_a_map_depends_on_its_image_and_class_alone(method):
    model, inputs, classes = Small(), images(5), [0, 1, 2, 3, 0]
    together = draw(method, model, inputs, classes)
    alone = torch.cat([draw(method, model, inputs[i : i + 1], classes[i : i + 1]) for i in range(5)])
    reversed_ = draw(method, model, inputs.flip(0), classes[::-1]).flip(0)
    scale = together.amax(dim=(1, 2), keepdim=True)
    assert (scale > 0).any()
    for other in (alone, reversed_):
        assert (together - other).abs().le(1e-5 * scale).all()


def test_random_numbers_are_its_own(method):
    model, inputs = Small(), images()
    first = draw(method, model, inputs, [0, 1])
    torch.manual_seed(7)
    before = torch.get_rng_state()
    assert torch.equal(draw(method, model, inputs, [0, 1]), first)
    assert torch.equal(torch.get_rng_state(), before)


def hooks(model):
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [list(getattr(module, name)) for module in model.modules() for name in names]


def state(model):
    flags = [(p.requires_grad, p.grad, p.stride()) for p in model.parameters()]
    return flags, hooks(model), [module.training for module in model.modules()]


def test_drawing_leaves_no_trace(method):
    model, inputs = Small(), images()
    model.head.weight.requires_grad_(requires_grad=False)
    model.block.register_forward_hook(lambda *_: None)
    before, tensors = state(model), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kept = inputs.clone()
    draw(method, model, inputs, [0, 1])
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert torch.equal(inputs, kept)
    assert not inputs.requires_grad
    assert state(model) == before
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.state_dict().items())


def test_a_network_that_fails_is_left_as_it_was(method):
    model = Small()
    model.linear = nn.Linear(3, 4)
    before = state(model)
    with pytest.raises(RuntimeError):
        draw(method, model, images(), [0, 1])
    assert state(model) == before
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_the_map_is_zero_where_nothing_is_active(method):
    model = Small()
    with torch.no_grad():
        model.block[0].weight.zero_()
        model.block[0].bias.fill_(-1)
    assert not draw(method, model, images(), [0, 1]).any()


@pytest.mark.parametrize("name", sorted(METHODS.keys() - NEVER_SILENT))
def test_the_map_is_zero_where_nothing_speaks_for_the_class(name):
    model = Small()
    with torch.no_grad():
        model.linear.weight.zero_()
    assert not draw(METHODS[name], model, images(), [0, 1]).any()


def in_patch(saliency, patch):
    """Share of the map in a patch and the cells of eight pixels around it: a quarter of the image."""
    rows, columns = (slice(place.start - 8, place.stop + 8) for place in patch)
    return saliency[rows, columns].sum() / saliency.sum()


def highest(saliency, patch):
    return saliency.max() == saliency[patch].max()


def test_the_map_lies_where_the_network_looks(method):
    for saliency in draw(method, Reader(patches=1), images(), [0, 0]):
        assert in_patch(saliency, PATCHES[0]) > 0.75
        assert highest(saliency, PATCHES[0])


@pytest.mark.parametrize("name", sorted(METHODS.keys() - CLASSLESS))
def test_the_map_lies_where_the_class_is_seen(name):
    for saliency, patch in zip(draw(METHODS[name], Reader(), images(), [0, 1]), PATCHES, strict=True):
        assert in_patch(saliency, patch) > 0.6
        assert highest(saliency, patch)


@pytest.mark.slow
@pytest.mark.parametrize("name", entries(Architecture))
def test_every_method_draws_every_architecture(name, monkeypatch):
    """With few masks, windows, steps and channels: that they run is the question."""
    monkeypatch.setattr(rise, "MASKS", 2)
    monkeypatch.setattr(occlusion, "WINDOWS", 1)
    monkeypatch.setattr(smooth_grad, "SAMPLES", 1)
    monkeypatch.setattr(integrated_gradients, "STEPS", 1)
    get_activations = score_cam.get_activations
    monkeypatch.setattr(score_cam, "get_activations", lambda *arguments: get_activations(*arguments)[:, :2])
    architecture = entries(Architecture)[name]
    torch.manual_seed(0)
    model = architecture.build(6).eval()
    before, inputs = state(model), images(2, 96, 96)
    for method in METHODS.values():
        maps = method.draw(model, architecture.target_layer, inputs, torch.tensor([1, 4]))
        assert maps.shape == (2, 96, 96), method.name
        assert maps.isfinite().all(), method.name
        assert maps.min() >= 0, method.name
    assert state(model) == before
