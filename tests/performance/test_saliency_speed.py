"""How fast Grad-CAM is, against two peers and the floor, a forward."""

import pytest
import torch
from captum.attr import LayerGradCam
from torch.nn import functional

from architectures import Architecture
from benchmark.registry import entries
from benchmark.saliency.grad_cam import grad_cam

RESNET50 = entries(Architecture)["resnet50"]
GROUP = pytest.mark.benchmark(group="grad-cam, ResNet50, 8 images of 224 x 224", min_rounds=5, warmup=True)


@pytest.fixture(scope="module")
def model(device):
    return RESNET50.build(6).eval().to(device, memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def layer(model):
    return model.get_submodule(RESNET50.target_layer)


@pytest.fixture(scope="module")
def images(device, measures):
    random = torch.Generator().manual_seed(0)
    number, side = (8, 224) if measures else (2, 64)
    return torch.rand(number, 3, side, side, generator=random).to(device, memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def classes(device, images):
    return torch.arange(len(images), device=device) % 6


@GROUP
def test_loupe(benchmark, timed, model, images, classes):
    benchmark(timed(grad_cam), model, RESNET50.target_layer, images, classes)


@GROUP
def test_captum(benchmark, timed, model, layer, images, classes):
    def draw():
        maps = LayerGradCam(model, layer).attribute(images, target=classes, relu_attributions=True)
        return functional.interpolate(maps, size=images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]

    benchmark(timed(draw))


@GROUP
def test_pytorch_grad_cam(benchmark, timed, model, layer, images, classes):
    package = pytest.importorskip(
        "pytorch_grad_cam", reason="the package grad-cam is no dependency; install it by hand"
    )
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")

    def draw():
        with package.GradCAM(model, [layer]) as cam:
            return cam(
                input_tensor=images, targets=[targets.ClassifierOutputTarget(label) for label in classes.tolist()]
            )

    benchmark(timed(draw))


@GROUP
def test_floor(benchmark, timed, model, images):
    """One forward pass."""

    @torch.inference_mode()
    def forward():
        return model(images)

    benchmark(timed(forward))
