"""Maps equal those of Captum; drawing them leaves no trace in the model."""

import pytest
import torch
from captum.attr import LayerGradCam, Saliency
from torch import nn
from torch.nn import functional

from architectures import Architecture
from benchmark.registry import entries
from benchmark.saliency import Method
from benchmark.saliency.grad_cam import grad_cam
from benchmark.saliency.gradient import gradient


def images(number: int = 2) -> torch.Tensor:
    return torch.rand(number, 3, 96, 96, generator=torch.Generator().manual_seed(3))


class Pooled(nn.Module):
    """Global average pooling and a linear layer behind one convolution: Grad-CAM has a closed form."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 5, 3, stride=8)
        self.inplace = nn.ReLU(inplace=True)
        self.linear = nn.Linear(5, 4)

    def forward(self, x):
        return self.linear(self.inplace(self.convolution(x)).mean(dim=(2, 3)))


@pytest.mark.parametrize("name", entries(Architecture))
def test_grad_cam_equals_captum(name):
    architecture = entries(Architecture)[name]
    torch.manual_seed(0)
    model = architecture.build(6).eval()
    inputs, classes = images(), torch.tensor([1, 4])
    layer = model.get_submodule(architecture.saliency_layer)
    oracle = LayerGradCam(model, layer).attribute(inputs.clone().requires_grad_(), target=classes)
    oracle = functional.interpolate(functional.relu(oracle), size=96, mode="bilinear", align_corners=False)[:, 0]
    ours = grad_cam(model, architecture.saliency_layer, inputs, classes)
    scale = oracle.abs().amax().clamp(min=1e-30)
    torch.testing.assert_close(ours / scale, oracle.detach() / scale, atol=1e-5, rtol=0)


def test_grad_cam_of_a_pooled_linear_head_is_the_rectified_cam():
    model = Pooled().eval()
    inputs, classes = images(), torch.tensor([0, 3])
    activations = model.inplace(model.convolution(inputs))
    cells = activations.shape[-1] ** 2
    cam = torch.einsum("nk,nkhw->nhw", model.linear.weight[classes] / cells, activations).relu()
    cam = functional.interpolate(cam[:, None], size=96, mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(grad_cam(model, "inplace", inputs, classes), cam.detach(), atol=1e-7, rtol=1e-5)


def test_gradient_equals_captum():
    model, inputs, classes = Pooled().eval(), images(), torch.tensor([2, 1])
    oracle = Saliency(model).attribute(inputs.clone().requires_grad_(), target=classes, abs=True).sum(dim=1)
    torch.testing.assert_close(gradient(model, "", inputs, classes), oracle, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("name", entries(Method))
def test_drawing_leaves_no_trace(name):
    model, inputs = Pooled().eval(), images()
    before = inputs.clone()
    maps = entries(Method)[name].draw(model, "convolution", inputs, torch.tensor([0, 1]))
    assert torch.is_grad_enabled()
    assert maps.shape == (2, 96, 96)
    assert maps.min() >= 0
    assert torch.equal(inputs, before)
    assert not model.convolution._forward_hooks
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", entries(Method))
def test_a_map_does_not_depend_on_its_batch(name):
    model, inputs, classes = Pooled().eval(), images(5), torch.tensor([0, 1, 2, 3, 0])
    draw = entries(Method)[name].draw
    together = draw(model, "convolution", inputs, classes)
    alone = torch.cat([draw(model, "convolution", inputs[i : i + 1], classes[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, atol=1e-7, rtol=1e-5)
