"""What holds for every method that is registered."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from architectures import Architecture
from benchmark.registry import entries
from benchmark.saliency import Method, integrated_gradients, masked, occlusion, rise, score_cam, smooth_grad
from tests.architectures.narrow import narrow
from tests.benchmark.saliency.networks import PATCHES, Cancelling, Constant, Reader, Scaled, Small, images

METHODS = {name: method for name, method in entries(Method).items() if not method.needs_attention}
CLASSLESS = {"eigen-cam"}
COMPARING = {"occlusion", "rise", "score-cam"}
# Scores go through an exponential in ScoreCAM, gradients stand beside a constant in Grad-CAM++, as in their papers.
SCALED = COMPARING | {"grad-cam-plus-plus"}
CAMS = {"grad-cam", "grad-cam-plus-plus", "hires-cam", "layer-cam"}


@pytest.fixture(params=METHODS)
def method(request):
    return METHODS[request.param]


def draw(method, model, inputs, classes):
    return method.explain(model, model.layer, inputs, torch.tensor(classes))


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


@pytest.mark.every_kernel
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
    original = inputs.clone()
    draw(method, model, inputs, [0, 1])
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert torch.equal(inputs, original)
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


@pytest.mark.every_kernel
def test_the_map_is_zero_where_nothing_is_active(method):
    model = Small()
    with torch.no_grad():
        model.block[0].weight.zero_()
        model.block[0].bias.fill_(-1)
    assert not draw(method, model, images(), [0, 1]).any()


@pytest.mark.parametrize("name", sorted(METHODS.keys() - CLASSLESS))
def test_the_map_is_zero_where_nothing_speaks_for_the_class(name):
    model = Small()
    with torch.no_grad():
        model.linear.weight.zero_()
    assert not draw(METHODS[name], model, images(), [0, 1]).any()


def scale_to_max(maps):
    return maps / maps.amax(dim=(1, 2), keepdim=True)


@pytest.fixture(params=[1, 3, 64])
def chunk(request, monkeypatch):
    """Most images per forward pass, wherever a method splits its questions."""
    for module in (masked, occlusion, rise, score_cam):
        monkeypatch.setattr(module, "MAX_BATCH_SIZE", request.param)
    monkeypatch.setattr(rise, "NUM_MASKS", 96)
    return request.param


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("name", sorted(METHODS.keys() - CLASSLESS))
def test_a_constant_network_has_no_map(name, number, chunk):
    assert chunk
    classes = torch.tensor([0, 1, 3])[:number]
    model, inputs = Constant(0.0), images(number)
    assert not METHODS[name].explain(model, model.layer, inputs, classes).any()


@pytest.mark.parametrize("network", [Constant(1e-7), Constant(3e-8), Cancelling()])
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("name", sorted(COMPARING))
def test_a_network_that_is_constant_but_for_rounding_has_no_map_of_answers(name, number, network, chunk):
    assert chunk
    classes = torch.tensor([0, 1, 3])[:number]
    assert not METHODS[name].explain(network, network.layer, images(number), classes).any()


@pytest.mark.parametrize("name", sorted(CAMS))
def test_channels_that_cancel_but_for_rounding_make_no_map(name):
    """One channel twice, with opposite weights; LayerCAM sees but the positive half."""
    model = Cancelling()
    maps = draw(METHODS[name], model, images(), [0, 3])
    assert maps.any() == (name in {"layer-cam", "grad-cam-plus-plus"})


@pytest.mark.parametrize("name", sorted(METHODS.keys() - SCALED))
def test_a_faint_gradient_is_as_good_as_a_strong_one(name):
    inputs = images()
    strong, faint = (draw(METHODS[name], model, inputs, [0, 3]) for model in (Constant(1.0), Constant(1e-7)))
    torch.testing.assert_close(scale_to_max(faint), scale_to_max(strong), atol=1e-5, rtol=0)


@pytest.mark.parametrize("factor", [1e-3, 0.1, 10.0, 1e3])
@pytest.mark.parametrize("name", sorted(METHODS.keys() - SCALED))
def test_the_scale_of_the_logits_does_not_count(name, factor):
    inputs = images()
    maps, scaled = (draw(METHODS[name], model, inputs, [0, 3]) for model in (Scaled(1.0), Scaled(factor)))
    torch.testing.assert_close(scale_to_max(scaled), scale_to_max(maps), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", sorted(COMPARING))
@pytest.mark.parametrize("factor", [1e-3, 1.0, 10.0])
def test_answers_that_do_change_have_a_map_at_any_scale(name, factor, monkeypatch):
    monkeypatch.setattr(rise, "NUM_MASKS", 96)
    assert draw(METHODS[name], Scaled(factor), images(), [0, 3]).flatten(1).any(dim=1).all()


def in_patch(saliency, patch):
    """Share of the map in a patch and the cells of eight pixels around it: a quarter of the image."""
    rows, columns = (slice(part.start - 8, part.stop + 8) for part in patch)
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


@pytest.fixture
def few(monkeypatch):
    """Few masks, windows, steps and channels, where not the map is the question."""
    monkeypatch.setattr(rise, "NUM_MASKS", 2)
    monkeypatch.setattr(occlusion, "WINDOWS_PER_SIDE", 1)
    monkeypatch.setattr(smooth_grad, "NUM_SAMPLES", 1)
    monkeypatch.setattr(integrated_gradients, "NUM_STEPS", 1)
    get_activations = score_cam.get_activations
    monkeypatch.setattr(score_cam, "get_activations", lambda *arguments: get_activations(*arguments)[:, :2])


@pytest.fixture(scope="module", params=entries(Architecture))
def built(request):
    """A network with random weights, for six classes, and its architecture."""
    architecture = entries(Architecture)[request.param]
    torch.manual_seed(0)
    return narrow(architecture, classes=6).eval(), architecture


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_every_method_draws_every_architecture(built):
    model, architecture = built
    before, inputs = state(model), images(2, 64, 64)
    for method in METHODS.values():
        maps = method.explain(model, architecture.target_layer, inputs, torch.tensor([1, 4]))
        assert maps.shape == (2, 64, 64), method.name
        assert maps.isfinite().all(), method.name
        assert maps.min() >= 0, method.name
    assert state(model) == before


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_every_architecture_has_no_map_once_it_is_constant(built):
    """By a last layer of zeros; for methods that compare answers also by one that is faint beside its bias."""
    model, classes = deepcopy(built[0]), torch.tensor([4])
    inputs = images(1, 64, 64)  # several at once are tested above
    layers = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    last = next(layer for layer in reversed(layers) if len(layer.weight) == 6)  # one output per class
    with torch.inference_mode():  # networks with random weights differ in the size of their logits
        largest = float((model(inputs) - last.bias.flatten()).abs().max())
    for factor, methods in ((1e-7 / largest, COMPARING), (0.0, METHODS.keys() - CLASSLESS)):
        with torch.no_grad():
            last.weight.mul_(factor)
            last.bias.copy_(10 * torch.arange(1, 7))
        for method in sorted(methods):
            maps = METHODS[method].explain(model, built[1].target_layer, inputs, classes)
            assert not maps.any(), (method, factor)
