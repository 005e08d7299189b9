"""How fast Grad-CAM is: `pytest tests/benchmarks --benchmark-enable`. Against two peers and the floor, a forward."""

import pytest
import torch
from captum.attr import LayerGradCam
from torch.nn import functional

from architectures import Architecture
from benchmark.registry import entries
from benchmark.saliency.grad_cam import grad_cam

RESNET50 = entries(Architecture)["resnet50"]
SIZE = (224, 224)
GROUP = pytest.mark.benchmark(group="grad-cam, ResNet50, 8 images of 224 x 224", min_rounds=5, warmup=True)


@pytest.fixture(scope="module")
def model():
    return RESNET50.build(6).eval().to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def layer(model):
    return model.get_submodule(RESNET50.saliency_layer)


@pytest.fixture(scope="module")
def images():
    random = torch.Generator().manual_seed(0)
    return torch.rand(8, 3, *SIZE, generator=random).contiguous(memory_format=torch.channels_last)


CLASSES = torch.arange(8) % 6


@GROUP
def test_grad_cam(benchmark, model, images):
    benchmark(grad_cam, model, RESNET50.saliency_layer, images, CLASSES)


@GROUP
def test_captum(benchmark, model, layer, images):
    def draw():
        maps = LayerGradCam(model, layer).attribute(images, target=CLASSES, relu_attributions=True)
        return functional.interpolate(maps, size=SIZE, mode="bilinear", align_corners=False)[:, 0]

    benchmark(draw)


@GROUP
def test_pytorch_grad_cam(benchmark, model, layer, images):
    package = pytest.importorskip(
        "pytorch_grad_cam", reason="the package grad-cam is no dependency; install it by hand"
    )
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")

    def draw():
        with package.GradCAM(model, [layer]) as cam:
            return cam(
                input_tensor=images, targets=[targets.ClassifierOutputTarget(label) for label in CLASSES.tolist()]
            )

    benchmark(draw)


@GROUP
def test_floor(benchmark, model, images):
    """One forward pass."""

    @torch.inference_mode()
    def forward():
        return model(images)

    benchmark(forward)
