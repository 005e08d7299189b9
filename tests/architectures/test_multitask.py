"""ResNet50 with a mask head classifies as ResNet50 does, and predicts a mask of any size along the way."""

import pytest
import torch
from torch import nn

from architectures.resnet50 import RESNET50
from architectures.resnet50_multitask import RESNET50_MULTITASK, MaskHead
from benchmark.saliency.grad_cam import grad_cam


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = RESNET50_MULTITASK.build(6)
    with torch.no_grad():  # Statistics of some images, so that evaluation mode is no rare state.
        for _ in range(3):
            made.train().with_mask(photographs(8, 96, 96))
    return made.eval()


def photographs(*shape):
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(shape[0], 3, 6, 6, generator=generator)
    return nn.functional.interpolate(coarse, shape[1:], mode="bilinear")


def make_meta(classes=6):
    with torch.device("meta"):
        return RESNET50_MULTITASK.build(classes)


@pytest.mark.parametrize("size", [(96, 96), (128, 128), (224, 224), (97, 97), (131, 205), (299, 448)])
def test_class_and_mask_of_any_size(size):
    logits, masks = make_meta().with_mask(torch.empty(2, 3, *size, device="meta"))
    assert logits.shape == (2, 6)
    assert masks.shape == (2, *size)


@pytest.mark.parametrize(
    ("side", "grids"),
    [(448, (14, 16, 112)), (224, (7, 8, 56)), (128, (4, 5, 32)), (97, (4, 4, 25)), (96, (3, 4, 24))],
)
def test_sides_of_the_stages_are_those_of_the_reimplementation_at_448(side, grids):
    network = make_meta()
    seen = []
    for convolution in network.mask_head.convolutions:
        convolution.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[1:])))
    network.with_mask(torch.empty(1, 3, side, side, device="meta"))
    assert seen == [(channels, grid, grid) for channels, grid in zip((2048, 256, 64), grids, strict=True)]


def test_one_pass_through_the_trunk(network):
    calls = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
        for name, module in (("trunk", network.body.layer4), ("classes", network.body.fc), ("mask", network.mask_head))
    ]
    with torch.inference_mode():
        network.with_mask(photographs(2, 96, 96))
        assert sorted(calls) == ["classes", "mask", "trunk"]
        calls.clear()
        network(photographs(2, 96, 96))
        assert calls == ["trunk", "classes"]
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("size", [(96, 96), (101, 128)])
def test_logits_equal_those_without_the_mask(network, size):
    images = photographs(3, *size)
    with torch.inference_mode():
        assert torch.equal(network.with_mask(images)[0], network(images))


def test_it_classifies_as_resnet50_does():
    torch.manual_seed(0)
    plain, multitask = RESNET50.build(4).eval(), RESNET50_MULTITASK.build(4).eval()
    assert multitask.load_state_dict(plain.state_dict(), strict=False).unexpected_keys == []
    images = photographs(2, 96, 96)
    with torch.inference_mode():
        assert torch.equal(multitask(images), plain(images))


def test_masks_of_an_image_do_not_depend_on_the_batch(network):
    images = photographs(3, 96, 96)
    with torch.inference_mode():
        masks = network.with_mask(images)[1]
        alone = network.with_mask(images[1:2])[1]
    assert masks.isfinite().all()
    torch.testing.assert_close(masks[1:2], alone, rtol=1e-3, atol=1e-4)
    assert not torch.equal(masks[0], masks[1])


def test_mask_logits_take_either_sign_and_any_size():
    """Neither ReLU6 nor BatchNorm bounds them."""
    torch.manual_seed(0)
    head = MaskHead().eval()
    features = torch.randn(2, 2048, 3, 3)
    with torch.inference_mode():
        plain = head(features, (96, 96))
        head.convolutions[-1].weight.mul_(1000)
        large = head(features, (96, 96))
    assert plain.min() < 0 < plain.max()
    assert large.max() > 6
    assert large.min() < -6


def test_corners_are_aligned():
    head = MaskHead().eval()
    seen = []
    head.convolutions[-1].register_forward_hook(lambda _, __, output: seen.append(output[:, 0]))
    masks = head(torch.randn(1, 2048, 3, 3), (96, 96))
    torch.testing.assert_close(masks[:, ::95, ::95], seen[0][:, ::23, ::23])


@pytest.mark.parametrize("mask", [True, False])
def test_either_loss_teaches_its_head_and_the_trunk(network, mask):
    network.zero_grad(set_to_none=True)
    logits, masks = network.with_mask(photographs(2, 96, 96))
    if mask:
        nn.functional.binary_cross_entropy_with_logits(masks, torch.ones_like(masks)).backward()
    else:
        nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    assert network.body.conv1.weight.grad.any()
    assert all((parameter.grad is not None) == mask for parameter in network.mask_head.parameters())
    assert (network.body.fc.weight.grad is not None) != mask
    network.zero_grad(set_to_none=True)


def test_grad_cam_reads_the_class_head(network):
    images, classes = photographs(2, 96, 96), torch.tensor([1, 4])
    maps = grad_cam(network, RESNET50_MULTITASK.target_layer, images, classes)
    # Behind global average pooling and one linear layer, Grad-CAM has a closed form.
    seen = []
    with network.body.layer4.register_forward_hook(lambda _, __, output: seen.append(output)), torch.no_grad():
        network(images)
    cam = torch.einsum("nk,nkhw->nhw", network.body.fc.weight[classes].detach() / 9, seen[0]).relu()
    cam = nn.functional.interpolate(cam[:, None], size=96, mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(maps, cam, rtol=1e-4, atol=1e-6)
    assert maps.any()
