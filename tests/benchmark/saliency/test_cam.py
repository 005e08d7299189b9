"""The CAM family equals Captum, closed forms and the papers' formulas, written out slowly with the whole graph."""

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn
from torch.nn import functional

from architectures import Architecture
from benchmark.registry import entries
from benchmark.saliency import score_cam as score_cam_module
from benchmark.saliency.activations import activations_and_gradient, get_activations
from benchmark.saliency.eigen_cam import eigen_cam
from benchmark.saliency.grad_cam import grad_cam
from benchmark.saliency.grad_cam_plus_plus import grad_cam_plus_plus
from benchmark.saliency.hires_cam import hires_cam
from benchmark.saliency.layer_cam import layer_cam
from benchmark.saliency.score_cam import score_cam
from tests.benchmark.saliency.networks import MEAN, Pooled, Small, images

CLASSES = torch.tensor([0, 3])


def whole_graph(model, inputs, classes):
    """Activations of the model's saliency layer and their gradient, by autograd through the whole network."""
    caught = []

    def catch(_module, _inputs, output):
        caught.append(output)
        return output.clone()

    handle = model.get_submodule(model.layer).register_forward_hook(catch)
    logits = model(inputs.clone().requires_grad_())
    handle.remove()
    (gradient,) = torch.autograd.grad(logits[range(len(inputs)), classes].sum(), caught[0])
    return caught[0].detach().double(), gradient.double()


def upsampled(maps, size=64):
    return functional.interpolate(torch.stack(maps)[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def same_up_to_scale(ours, expected, atol=1e-5):
    assert (expected.amax(dim=(1, 2)) > 0).all()
    ours, expected = (item.double() / item.double().amax(dim=(1, 2), keepdim=True) for item in (ours, expected))
    torch.testing.assert_close(ours, expected, atol=atol, rtol=0)


@pytest.mark.parametrize("name", entries(Architecture))
def test_grad_cam_equals_captum(name):
    architecture = entries(Architecture)[name]
    torch.manual_seed(0)
    model = architecture.build(6).eval()
    inputs, classes = images(2, 96, 96), torch.tensor([1, 4])
    layer = model.get_submodule(architecture.target_layer)
    oracle = LayerGradCam(model, layer).attribute(inputs.clone().requires_grad_(), target=classes)
    oracle = functional.interpolate(functional.relu(oracle), size=96, mode="bilinear", align_corners=False)[:, 0]
    ours = grad_cam(model, architecture.target_layer, inputs, classes)
    scale = oracle.abs().amax().clamp(min=1e-30)
    torch.testing.assert_close(ours / scale, oracle.detach() / scale, atol=1e-5, rtol=0)


def test_grad_cam_of_a_pooled_linear_head_is_the_rectified_cam():
    model, inputs = Pooled(), images()
    activations = model.inplace(model.convolution(8 * (inputs - MEAN)))
    cells = activations.shape[-1] ** 2
    cam = torch.einsum("nk,nkhw->nhw", model.linear.weight[CLASSES] / cells, activations).relu()
    expected = upsampled(list(cam.detach()))
    # Channels speak for and against: the sum is as near as its largest values are rounded, 16 units in the last place.
    atol = 16 * torch.finfo(torch.float32).eps * float(expected.max())
    torch.testing.assert_close(grad_cam(model, model.layer, inputs, CLASSES), expected, atol=atol, rtol=1e-5)
    # Where the gradient is the same everywhere, so are the two methods.
    torch.testing.assert_close(hires_cam(model, model.layer, inputs, CLASSES), expected, atol=atol, rtol=1e-5)


@pytest.mark.parametrize("model", [Small(), Pooled()], ids=["small", "pooled"])
def test_the_gradient_of_the_head_alone_is_that_of_the_whole_network(model):
    inputs = images()
    activations, gradient = activations_and_gradient(model, model.layer, inputs, CLASSES)
    expected = whole_graph(model, inputs, CLASSES)
    torch.testing.assert_close(activations.double(), expected[0])
    torch.testing.assert_close(gradient.double(), expected[1])
    assert torch.equal(get_activations(model, model.layer, inputs), activations)
    assert not activations.requires_grad


def test_the_layer_in_front_of_one_that_works_in_place_is_seen_as_it_was():
    model, inputs = Pooled(), images()
    activations, gradient = activations_and_gradient(model, "convolution", inputs, CLASSES)
    assert torch.equal(activations, model.convolution(8 * (inputs - MEAN)))
    cells = activations.shape[-1] ** 2
    expected = model.linear.weight[CLASSES][..., None, None] / cells * (activations > 0)
    torch.testing.assert_close(gradient, expected.detach())


def literal_grad_cam(activation, gradient):
    weights = [channel.mean() for channel in gradient]
    return sum(weight * channel for weight, channel in zip(weights, activation, strict=True)).clamp(min=0)


def literal_hires_cam(activation, gradient):
    return sum(g * a for g, a in zip(gradient, activation, strict=True)).clamp(min=0)


def literal_layer_cam(activation, gradient):
    return sum(g.clamp(min=0) * a for g, a in zip(gradient, activation, strict=True)).clamp(min=0)


def literal_grad_cam_plus_plus(activation, gradient, score=0.3):
    """Position by position, with the derivatives of Y = exp(S) that the paper has."""
    y, total = np.exp(score), torch.zeros_like(activation[0])
    for a, g in zip(activation, gradient, strict=True):
        weight = 0.0
        for i in range(a.shape[0]):
            for j in range(a.shape[1]):
                first, second, third = y * g[i, j], y * g[i, j] ** 2, y * g[i, j] ** 3
                if first > 0:
                    weight += second / (2 * second + a.sum() * third) * first
        total += weight * a
    return total.clamp(min=0)


@pytest.mark.parametrize("model", [Small(), Pooled()], ids=["small", "pooled"])
@pytest.mark.parametrize(
    ("method", "literal"),
    [
        (grad_cam, literal_grad_cam),
        (hires_cam, literal_hires_cam),
        (layer_cam, literal_layer_cam),
        (grad_cam_plus_plus, literal_grad_cam_plus_plus),
    ],
)
def test_the_map_is_that_of_the_paper(model, method, literal):
    inputs = images()
    expected = [literal(a, g) for a, g in zip(*whole_graph(model, inputs, CLASSES), strict=True)]
    same_up_to_scale(method(model, model.layer, inputs, CLASSES), upsampled(expected))


def test_grad_cam_plus_plus_does_not_fade_with_the_gradient():
    """Squares of small gradients vanish in float32, and beside a constant such as 1e-6 in the denominator."""
    model, inputs = Pooled(), images()
    with torch.no_grad():
        model.linear.weight.mul_(1e-25)
    weights = model.linear.weight[CLASSES].clamp(min=0).double()
    expected = torch.einsum("nk,nkhw->nhw", weights, get_activations(model, model.layer, inputs).double())
    same_up_to_scale(grad_cam_plus_plus(model, model.layer, inputs, CLASSES), upsampled(list(expected.detach())))


@pytest.mark.parametrize("layer", ["block", "head"])  # The head's activations have both signs.
def test_eigen_cam_projects_on_the_first_singular_vector(layer):
    model, inputs = Small(), images()
    expected = []
    for activation in get_activations(model, layer, inputs).double():
        rows = activation.flatten(1).T
        direction = torch.linalg.svd(rows)[2][0]
        projection = (rows @ direction).view(activation.shape[1:])
        expected.append((projection * projection.sum().sign()).clamp(min=0))
    ours = eigen_cam(model, layer, inputs, CLASSES)
    torch.testing.assert_close(ours.double(), upsampled(expected), atol=1e-6, rtol=1e-5)


def test_eigen_cam_of_activations_that_are_not_negative_is_nowhere_turned_over():
    model, inputs = Small(), images()
    activations = get_activations(model, model.layer, inputs)
    assert activations.sum(dim=1).min() > 0
    assert eigen_cam(model, model.layer, inputs, CLASSES).min() > 0


class Spotted(nn.Module):
    """Six channels, of which one is dead and one the same everywhere; large logits, so that scores differ."""

    layer = "relu"

    def __init__(self):
        super().__init__()
        self.small = Small()
        self.relu = nn.Identity()
        self.eval()

    def forward(self, x):
        features = self.small.stem(8 * (x - MEAN))
        flat = torch.stack([features[:, 0] * 0, features[:, 1] * 0 + 1], dim=1)
        features = self.relu(torch.cat([flat, features[:, 2:]], dim=1))
        return 5 * self.small.linear(functional.relu(self.small.head(self.small.block(features))).mean(dim=(2, 3)))


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_score_cam_is_that_of_the_paper(chunk, monkeypatch):
    monkeypatch.setattr(score_cam_module, "MAX_BATCH_SIZE", chunk)
    model, inputs = Spotted(), images()
    expected = []
    for image, label, channels in zip(inputs, CLASSES, get_activations(model, "relu", inputs), strict=True):
        moving = [channel for channel in channels if channel.max() > channel.min()]
        assert len(moving) == 4
        scores = []
        for channel in moving:
            mask = functional.interpolate(channel[None, None], size=64, mode="bilinear", align_corners=False)
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            with torch.no_grad():
                scores.append((model(image * mask) - model(torch.zeros_like(image[None])))[0, label])
        weights = [score.double().exp() for score in scores]
        total = sum(weight * channel.double() for weight, channel in zip(weights, moving, strict=True))
        expected.append((total / sum(weights)).clamp(min=0))
    ours = score_cam(model, "relu", inputs, CLASSES)
    torch.testing.assert_close(ours.double(), upsampled(expected), atol=1e-6, rtol=1e-5)
