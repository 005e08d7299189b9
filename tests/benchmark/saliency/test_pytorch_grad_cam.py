"""The CAM family equals the package grad-cam where that follows the papers; it is no dependency.

Two of its maps differ for known reasons and are left out. Its Grad-CAM++ adds 1e-6 to a denominator of squared
gradients, which outweighs them in any but a small network; its EigenCAM centers the activations, which the paper does
not, and leaves the sign to chance.
"""

import pytest
import torch

from benchmark.saliency.grad_cam import grad_cam
from benchmark.saliency.hires_cam import hires_cam
from benchmark.saliency.layer_cam import layer_cam
from tests.benchmark.saliency.networks import Small, images

package = pytest.importorskip("pytorch_grad_cam", reason="the package grad-cam is no dependency; install it by hand")
CLASSES = torch.tensor([0, 2])


def stretched(maps):
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    assert (high > low).all()
    return (maps - low) / (high - low)


@pytest.mark.parametrize(("method", "peer"), [(grad_cam, "GradCAM"), (hires_cam, "HiResCAM"), (layer_cam, "LayerCAM")])
def test_the_map_is_that_of_the_package(method, peer):
    model, inputs = Small(), images()
    targets = [package.utils.model_targets.ClassifierOutputTarget(label) for label in CLASSES.tolist()]
    with getattr(package, peer)(model, [model.block]) as cam:
        theirs = torch.as_tensor(cam(input_tensor=inputs, targets=targets))
    ours = stretched(method(model, model.layer, inputs, CLASSES))
    # It stretches before it enlarges as well, with 1e-7 in the denominator.
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
