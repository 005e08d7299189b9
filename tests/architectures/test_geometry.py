"""Cells lie where the network looks: known displacements, hand-made networks, and receptive fields by autograd."""

import pytest
import timm
import torch
from timm.layers import BlurPool2d, create_conv2d
from timm.layers.std_conv import StdConv2dSame
from torch import nn
from torch.nn import functional

from architectures import Architecture
from architectures.geometry import Axis, Geometry, grid_geometry, stretched
from benchmark.registry import entries
from benchmark.saliency.placement import Placement

ENTRIES = entries(Architecture)
CENTERS = {
    "densenet121": (14.0, 32.0),
    "efficientnet_b0": (0.0, 32.0),
    "inception_resnet_v2": (37.0, 32.0),
    "inception_v3": (37.0, 32.0),
    "mobilenet": (0.0, 32.0),
    "mobilenet_v2": (0.0, 32.0),
    "nasnet_mobile": (4.6, 32.0),
    "resnet50": (0.0, 32.0),
    "resnet50_v2": (0.0, 32.0),
    "vgg16": (7.5, 16.0),
    "xception": (3.0, 32.0),
}
"""First center and spacing, measured outside of this code: means of what cells in the middle of 1024 px see of a ramp,
in the networks themselves with uniform kernels and mean pooling."""
SMALLEST = {"inception_v3": 139, "inception_resnet_v2": 139}
"""Images are enlarged to these sides."""
SIZES = [(96, 96), (128, 128), (224, 224), (299, 299), (160, 256)]


@pytest.fixture(scope="module", params=CENTERS)
def entry(request):
    return request.param, ENTRIES[request.param].build(2).eval()


def expected(name, size, along):
    """Center and spacing in pixels of an image, whose side may have been enlarged."""
    factor = max(1.0, SMALLEST.get(name, 0) / min(size))
    first, spacing = CENTERS[name]
    zoom = round(size[along] * factor) / size[along]
    return (first + 0.5) / zoom - 0.5, spacing / zoom


def test_known_displacements_and_one_hot_cell_at_its_center(entry):
    name, network = entry
    for size in SIZES:
        grid = grid_geometry(network, ENTRIES[name].target_layer, size)
        for along, axis in enumerate((grid.rows, grid.columns)):
            first, spacing = expected(name, size, along)
            assert axis.first == pytest.approx(first, abs=0.2)
            assert axis.spacing == pytest.approx(spacing, abs=0.01)
            one_hot_lies_at(axis, first, spacing)


def one_hot_lies_at(axis, first, spacing):
    """The enlarged map of each hot cell is symmetric around the cell's center, which is known from elsewhere."""
    other = stretched(2, 4)
    place = Placement(Geometry(rows=axis, columns=other))
    hot = torch.eye(axis.cells)[:, :, None].expand(-1, -1, 2)
    profiles = place(hot, (axis.pixels, 4))[:, :, 0]
    pixels = torch.arange(axis.pixels, dtype=torch.float32)
    torch.testing.assert_close(profiles.sum(0), torch.ones(axis.pixels))
    for cell in range(axis.cells):
        center = first + cell * spacing
        if 0 < cell < axis.cells - 1 and spacing <= center <= axis.pixels - 1 - spacing:
            mean = (profiles[cell] * pixels).sum() / profiles[cell].sum()
            assert mean.item() == pytest.approx(center, abs=0.5)
        if 0 <= center <= axis.pixels - 1:
            highest = pixels[profiles[cell] > 1 - 1e-6 - 0.5 / spacing]
            assert (highest - center).abs().min() <= 0.5


def test_the_network_is_not_changed(entry):
    name, network = entry
    before = {key: value.clone() for key, value in network.state_dict().items()}
    hooks = [len(module._forward_hooks) for module in network.modules()]
    random = torch.get_rng_state()
    grid_geometry(network, ENTRIES[name].target_layer, (96, 96))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert [len(module._forward_hooks) for module in network.modules()] == hooks
    assert torch.equal(torch.get_rng_state(), random)


class Branches(nn.Module):
    """Two branches of 1 and 3 channels, one of which looks 4 px further down and right."""

    def __init__(self):
        super().__init__()
        self.near = nn.Conv2d(3, 1, 3, stride=2, padding=1)
        self.far = nn.Conv2d(3, 3, 3, stride=2, padding=1)

    def forward(self, x):
        return torch.cat([self.near(x), self.far(functional.pad(x, (-4, 4, -4, 4)))], dim=1)


class Gated(nn.Module):
    """Squeeze and excitation, written with functions."""

    def __init__(self):
        super().__init__()
        self.squeeze = nn.Conv2d(4, 4, 1)
        self.scale = nn.Parameter(torch.randn(4, 1, 1))

    def forward(self, x):
        gate = torch.sigmoid(self.squeeze(functional.silu(x.mean((2, 3), keepdim=True))))
        x = x * gate
        x += self.scale * functional.relu(x)
        return x


def stem(**settings):
    return nn.Conv2d(3, 4, **settings)


HAND_MADE = {
    "symmetric padding": (stem(kernel_size=3, stride=2, padding=1), (20, 27), (0.0, 2.0), (0.0, 2.0)),
    "no padding": (stem(kernel_size=3, stride=2), (20, 27), (1.0, 2.0), (1.0, 2.0)),
    "patches": (stem(kernel_size=16, stride=16), (48, 64), (7.5, 16.0), (7.5, 16.0)),
    "dilation": (stem(kernel_size=3, stride=3, dilation=4), (30, 30), (4.0, 3.0), (4.0, 3.0)),
    "kernel of two shapes": (stem(kernel_size=(1, 7), stride=(1, 4), padding=(0, 2)), (9, 30), (0.0, 1.0), (1.0, 4.0)),
    # As TensorFlow pads: of an even side, at the far end alone.
    "same padding": (create_conv2d(3, 4, 3, stride=2, padding="same"), (20, 21), (1.0, 2.0), (0.0, 2.0)),
    "same padding, standardized": (StdConv2dSame(3, 4, 3, stride=2), (20, 21), (1.0, 2.0), (0.0, 2.0)),
    "blurred pooling": (BlurPool2d(3, filt_size=4, stride=2), (20, 20), (-0.5, 2.0), (-0.5, 2.0)),
    "maximum": (nn.MaxPool2d(3, 2, padding=1), (20, 20), (0.0, 2.0), (0.0, 2.0)),
    "maximum, dilated": (nn.MaxPool2d(2, 1, dilation=3), (20, 20), (1.5, 1.0), (1.5, 1.0)),
    "mean, last window cut": (nn.AvgPool2d(2, 2, ceil_mode=True), (21, 20), (0.5, 2.0), (0.5, 2.0)),
    "enlarged": (nn.Upsample(scale_factor=2, mode="bilinear"), (10, 12), (-0.25, 0.5), (-0.25, 0.5)),
    "branches": (Branches(), (24, 24), (3.0, 2.0), (3.0, 2.0)),
    "gate": (nn.Sequential(stem(kernel_size=4, stride=4), Gated()), (24, 24), (1.5, 4.0), (1.5, 4.0)),
    "norm and activation": (
        nn.Sequential(stem(kernel_size=2, stride=2), nn.GroupNorm(2, 4), nn.PReLU(), nn.Dropout()),
        (24, 24),
        (0.5, 2.0),
        (0.5, 2.0),
    ),
    "groups": (nn.Sequential(Branches(), nn.Conv2d(4, 8, 1, groups=4)), (24, 24), (3.0, 2.0), (3.0, 2.0)),
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_centers_of_hand_made_networks(name):
    body, size, rows, columns = HAND_MADE[name]
    network = nn.Sequential(body, nn.Identity())
    with torch.no_grad():
        shape = network(torch.rand(1, 3, *size)).shape[2:]
    grid = grid_geometry(network, "1", size)
    for axis, (first, spacing), cells, pixels in zip(
        (grid.rows, grid.columns), (rows, columns), shape, size, strict=True
    ):
        assert (axis.first, axis.spacing) == pytest.approx((first, spacing), abs=1e-4)
        assert (axis.cells, axis.pixels) == (cells, pixels)


def positive(layers):
    for layer in layers:
        with torch.no_grad():
            layer.weight.fill_(1 / layer.weight[0].numel())
            layer.bias.zero_()
    return layers


class Linear(nn.Module):
    """Convolutions with uniform kernels in two branches of different depth, then a pooling."""

    def __init__(self, pad):
        super().__init__()
        self.pad = pad
        self.short, self.first, self.second = positive(
            nn.ModuleList(
                [
                    nn.Conv2d(3, 4, 4, stride=4),
                    nn.Conv2d(3, 4, 3, stride=2, padding=1),
                    nn.Conv2d(4, 12, 5, stride=2, padding=2),
                ]
            )
        )
        self.pool = nn.AvgPool2d(3, 2, padding=1)

    def forward(self, x):
        x = functional.pad(x, self.pad)
        return self.pool(torch.cat([self.short(x), self.second(self.first(x))], dim=1))


@pytest.mark.parametrize("pad", [(0, 0, 0, 0), (0, 4, 1, 3), (3, 1, 0, 4)])
def test_centers_are_the_centroids_of_the_gradient(pad):
    """By autograd through the network as it is, for a cell whose receptive field ends inside the image."""
    network, size, cell = Linear(pad), (96, 112), (5, 6)
    image = torch.ones(1, 3, *size, requires_grad=True)
    (slope,) = torch.autograd.grad(network(image)[0, :, *cell].sum(), image)
    weights = slope[0].sum(0).double()
    assert weights.min() == 0
    grid = grid_geometry(nn.Sequential(network, nn.Identity()), "1", size)
    for along, axis in enumerate((grid.rows, grid.columns)):
        profile = weights.sum(1 - along)
        centroid = (profile * torch.arange(size[along])).sum() / profile.sum()
        assert axis.centers[cell[along]].item() == pytest.approx(centroid.item(), abs=1e-3)


def random_convolutions(taps):
    """Three convolutions of stride 2 with independent random weights, more energetic at some taps than at others."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in ((3, 256), (256, 256), (256, 256))]
    with torch.no_grad():
        for layer in layers:
            layer.weight.normal_().mul_(taps[:, None] * torch.ones(3))
    return nn.Sequential(*layers, nn.Identity())


@pytest.mark.parametrize("taps", [(1.0, 1.0, 1.0), (0.5, 1.0, 2.0), (0.0, 0.0, 3.0)])
def test_effective_centers_are_the_centroids_of_the_energy_of_the_gradient(taps):
    """By autograd through the network as it is. Through independent weights, energy spreads by that of the kernels."""
    network, size, cell = random_convolutions(torch.tensor(taps)), (48, 48), 3
    image = torch.ones(1, 3, *size, requires_grad=True)
    output = network(image)
    rows = torch.arange(48.0)
    energy = torch.zeros(48)
    for channel in range(8):
        (slope,) = torch.autograd.grad(output[0, channel, cell, cell], image, retain_graph=True)
        energy += slope[0].square().sum((0, 2))
    grid = grid_geometry(network, "3", size, effective=True)
    assert grid.rows.centers[cell].item() == pytest.approx(((energy * rows).sum() / energy.sum()).item(), abs=0.15)
    assert grid.columns.centers[cell].item() == pytest.approx(8.0 * cell, abs=0.1)
    assert grid_geometry(network, "3", size).rows.centers[cell].item() == 8.0 * cell


def test_effective_centers_ignore_scale_and_count_every_channel_alike():
    layer = nn.Conv2d(3, 2, 3, stride=2, padding=1)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, :, 0, 0] = 1000.0
        layer.weight[1, :, 2, 0] = -0.001
    network = nn.Sequential(layer, nn.Identity())
    grid = grid_geometry(network, "1", (20, 20), effective=True)
    assert (grid.rows.first, grid.columns.first) == pytest.approx((0.0, -1.0))
    with torch.no_grad():
        layer.weight.zero_()
    assert grid_geometry(network, "1", (20, 20), effective=True) == grid_geometry(network, "1", (20, 20))


def test_a_transformer_has_its_patches_and_attention_moves_nothing():
    network = timm.create_model("vit_tiny_patch16_224", num_classes=2).eval()
    patches = Axis(first=7.5, spacing=16.0, cells=14, pixels=224)
    grid = grid_geometry(network, "patch_embed.proj", (224, 224))
    assert grid.rows == grid.columns == patches
    assert patches.displacement == 0

    class Grid(nn.Module):
        def __init__(self):
            super().__init__()
            self.network, self.grid = network, nn.Identity()

        def forward(self, x):
            return self.grid(self.network.forward_features(x)[:, 1:].transpose(1, 2).unflatten(2, (14, 14)))

    assert grid_geometry(Grid(), "grid", (224, 224)).rows == patches


class Squared(nn.Module):
    def forward(self, x):
        return x * x


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (nn.Sequential(nn.Conv2d(3, 2, 3), Squared()), "not linear"),
        (nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten()), "no grid"),
        (nn.Sequential(nn.Conv2d(4, 2, 3), nn.LSTM(3, 3)), "surrogate"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(7), nn.Conv2d(3, 2, 1)), "not evenly spaced"),
    ],
)
def test_what_is_not_understood_is_said(network, reason):
    with pytest.raises(ValueError, match=reason):
        grid_geometry(network, "1", (30, 30))
