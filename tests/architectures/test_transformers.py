"""Transformers of timm take any side, and their tokens are a grid at the positions of the patches."""

import copy

import pytest
import torch
from torch import nn

from architectures.geometry import grid_geometry
from architectures.network import Network
from architectures.sides import Sides
from architectures.target_layer import find_target_layer
from architectures.token_grid import TokenGrid
from benchmark.saliency.activations import activations_and_gradient
from benchmark.saliency.grad_cam import grad_cam
from benchmark.saliency.placement import Placement
from tests.architectures.transformers import CELLS, END, NARROW, PAGE, START, build_narrow, build_table

LAYERS = {
    "vit_tiny_patch16_224": "blocks.2.norm1",
    "deit_tiny_patch16_224": "blocks.2.norm1",
    "swin_tiny_patch4_window7_224": "norm",
    "vit_small_patch14_dinov2": "blocks.2.norm1",
    "vit_small_patch16_dinov3": "norm",
    "maxvit_nano_rw_256": "body.norm",
    "mobilevit_xxs": "body.final_conv",
    "convnext_atto": "body.stages",
    "beit_base_patch16_224": "blocks.2",
    "eva02_tiny_patch14_224": "blocks.2",
}
DISPLACED = {"mobilevit_xxs": lambda _: 15.5, "maxvit_nano_rw_256": lambda pixels: 8 * pixels / 256}
"""By convolutions of stride 2. MaxViT adds shortcuts that are not displaced, so half of 15 px and the stem's half."""


def photographs(number, height, width):
    return torch.rand(number, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=NARROW)
def name(request):
    return request.param


def test_the_target_layer_is_the_last_one_that_the_classifier_depends_on(name):
    entry, network = build_narrow(name)
    assert (network.grid.layer if network.grid else entry.target_layer) == LAYERS[name]
    assert entry.target_layer == ("grid" if network.grid else LAYERS[name])
    images = photographs(2, 96, 96)
    cells, gradient = activations_and_gradient(network, entry.target_layer, images, torch.tensor([1, 2]))
    assert cells.shape[2:] == gradient.shape[2:] == (CELLS.get(name, 6),) * 2
    # Nothing of the gradient reaches a cell that the classifier ignores.
    assert gradient.abs().amax(dim=1).gt(1e-6 * gradient.abs().amax()).all()
    maps, others = (
        grad_cam(network, entry.target_layer, images, torch.tensor(classes)) for classes in ([1, 2], [3, 0])
    )
    maps, others = (part / part.amax(dim=(1, 2), keepdim=True).clamp(min=1e-30) for part in (maps, others))
    assert maps.std(dim=(1, 2)).gt(1e-3).all()
    assert (maps - others).abs().amax() > 1e-3


def test_cells_lie_where_the_patches_are(name):
    entry, network = build_narrow(name)
    for size in ((96, 96), (96, 160)):
        grid = grid_geometry(network, entry.target_layer, size)
        for axis in (grid.rows, grid.columns):
            assert axis.displacement == pytest.approx(DISPLACED.get(name, lambda _: 0)(axis.pixels), abs=0.01)
            assert axis.cells * axis.spacing == pytest.approx(axis.pixels, abs=0.01)


@pytest.mark.parametrize("size", [(97, 131), (128, 112), (300, 224)])
def test_any_side_is_taken_and_a_grid_keeps_the_proportions_of_the_image(name, size):
    entry, network = build_narrow(name)
    grids = []
    with (
        network.get_submodule(entry.target_layer).register_forward_hook(lambda *passed: grids.append(passed[2].shape)),
        torch.inference_mode(),
    ):
        logits = network(photographs(1, *size))
    assert logits.shape == (1, 4)
    assert logits.isfinite().all()
    ((*_, rows, columns),) = grids
    height, width = network.sides.fit(*size)
    assert abs(rows / height - columns / width) < 0.6 / min(height, width) * max(rows / height, 1) * 32


def test_the_grid_changes_nothing_and_a_copy_has_a_grid_of_its_own():
    _, network = build_narrow("vit_small_patch16_dinov3")
    images = photographs(2, 96, 128)
    twin = copy.deepcopy(network)
    seen = []
    twin.grid.register_forward_hook(lambda *passed: seen.append(passed[2]))
    with torch.inference_mode():
        logits = twin(images)
        assert torch.equal(network(images), logits)
        assert torch.equal(network.body(network.sides.resize((images - network.mean) / network.std)), logits)
        del twin.body.norm._forward_hooks[next(iter(twin.body.norm._forward_hooks))]
        torch.testing.assert_close(twin(images), logits, rtol=0, atol=1e-6)
    assert network.grid.num_prefix == 5
    assert [grid.shape for grid in seen] == [(2, 24, 6, 8)]


def test_tokens_in_the_grid_are_those_of_the_layer():
    grid = TokenGrid("norm", num_prefix=1)
    grid.image_size = (32, 48)
    tokens = torch.arange(7.0).view(1, 7, 1)
    assert grid.to_grid(tokens).tolist() == [[[[1, 2, 3], [4, 5, 6]]]]
    with pytest.raises(ValueError, match="8 tokens of 'norm' are no grid on an image of 32 x 48 px"):
        grid.shape(8)


@pytest.mark.parametrize(
    ("sides", "size", "expected"),
    [
        (Sides(), (97, 131), (97, 131)),
        (Sides(step=16), (97, 131), (96, 128)),
        (Sides(step=32), (15, 80), (32, 64)),
        (Sides(step=14, smallest=98), (49, 98), (98, 196)),
        (Sides(fixed=224), (96, 300), (224, 224)),
    ],
)
def test_images_are_resized_to_the_nearest_size(sides, size, expected):
    assert sides.fit(*size) == expected
    images = photographs(1, *size)
    assert sides.resize(images).shape[2:] == expected
    assert (sides.resize(images) is images) == (size == expected)


class Patches(nn.Module):
    """The brightness of patches as tokens behind a class token; the classifier reads their mean."""

    def __init__(self, patch):
        super().__init__()
        self.embed = nn.Conv2d(3, 1, patch, stride=patch, bias=False)
        self.norm, self.head = nn.Linear(1, 1), nn.Linear(1, 2)
        for parameter in self.parameters():
            nn.init.constant_(parameter, 1 / parameter[0].numel() if parameter.ndim > 1 else 0.0)

    def forward(self, images):
        tokens = self.embed(images).flatten(2).transpose(1, 2)
        return self.head(self.norm(torch.cat([tokens.new_zeros(len(tokens), 1, 1), tokens], dim=1))[:, 1:].mean(1))


@pytest.mark.parametrize("sides", [Sides(step=16), Sides(step=14), Sides(fixed=224), Sides(fixed=112), Sides(step=32)])
@pytest.mark.parametrize("size", [(96, 96), (150, 201)])
def test_a_blob_is_shown_where_it_is(sides, size):
    """In a resized image too, to half a pixel: the blob is wider than a patch, so its cells have its centroid."""
    patch = 14 if sides.step == 14 else 16
    network = Network(Patches(patch), [0.0] * 3, [1.0] * 3, sides=sides, grid=TokenGrid("norm", 1)).eval()
    rows, columns = (torch.arange(float(side)) for side in size)
    center = 0.45 * size[0], 0.55 * size[1]
    width = 0.1 * min(size)
    blob = torch.exp(-((rows[:, None] - center[0]) ** 2 + (columns - center[1]) ** 2) / (2 * width**2))
    image = blob.expand(1, 3, *size).clone()
    place = Placement(grid_geometry(network, "grid", size))
    saliency = grad_cam(network, "grid", image, torch.tensor([0]), place)[0]
    for dim, positions in ((1, rows), (0, columns)):
        shown, true = (float((part.sum(dim) * positions).sum() / part.sum()) for part in (saliency, blob))
        assert shown == pytest.approx(true, abs=0.5)


def test_a_network_without_positions_is_refused():
    network = Network(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)), [0.5] * 3, [0.5] * 3)
    with pytest.raises(ValueError, match="no module has a spatial grid or tokens"):
        find_target_layer(network)


def test_the_table_of_the_documentation_is_what_the_tests_run():
    shown = PAGE.read_text(encoding="utf-8").split(START)[1].split(END)[0].strip()
    assert shown == build_table().strip(), "run python -m tests.architectures.transformers"
