"""Maps of a grid lie where its cells look, for all methods that enlarge one; stretching is what torch does."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from architectures.geometry import Axis, Geometry, grid_geometry, stretched
from benchmark.attacks.maps import _explain
from benchmark.config.presets import QUICK
from benchmark.experiments import cell as pipeline
from benchmark.experiments.grid import build_grid
from benchmark.experiments.job import Job
from benchmark.registry import entries
from benchmark.saliency import Method, alignment
from benchmark.saliency.activations import upsample
from benchmark.saliency.alignment import describe_alignment, get_grid, get_placement, load_geometry
from benchmark.saliency.compute import compute_maps
from benchmark.saliency.grad_cam import grad_cam
from benchmark.saliency.placement import Placement, interpolation_weights
from tests.benchmark.saliency.networks import Small, images

METHODS = {name: method for name, method in entries(Method).items() if not method.needs_attention}
ON_GRID = sorted(name for name, method in METHODS.items() if method.uses_grid)


def axis(first, spacing, cells, pixels):
    return Axis(first=first, spacing=spacing, cells=cells, pixels=pixels)


@pytest.mark.parametrize(("cells", "size"), [((3, 3), (96, 96)), ((7, 5), (224, 100)), ((1, 4), (33, 131))])
def test_cells_side_by_side_are_stretched_as_torch_does(cells, size):
    maps = torch.rand(3, *cells, generator=torch.Generator().manual_seed(0))
    grid = Geometry(rows=stretched(cells[0], size[0]), columns=stretched(cells[1], size[1]))
    torch.testing.assert_close(Placement(grid)(maps, size), upsample(maps, size), atol=1e-6, rtol=0)


def test_a_map_is_straight_between_centers_and_keeps_its_value_beyond_them():
    results = interpolation_weights(axis(2.5, 4.0, 3, 12)) @ torch.tensor([0.0, 8.0, 4.0], dtype=torch.float64)
    assert results.tolist() == [0, 0, 0, 1, 3, 5, 7, 7.5, 6.5, 5.5, 4.5, 4]
    outside = interpolation_weights(axis(-2.0, 4.0, 3, 4)) @ torch.tensor([0.0, 8.0, 4.0], dtype=torch.float64)
    assert outside.tolist() == [4, 6, 8, 7]


def test_other_sizes_than_those_of_the_geometry_are_refused():
    placement = Placement(Geometry(rows=axis(0, 4, 3, 12), columns=axis(0, 4, 3, 12)))
    for cells, size in (((2, 3), (12, 12)), ((3, 3), (12, 13))):
        with pytest.raises(ValueError, match="cannot place"):
            placement(torch.zeros(1, *cells), size)


class Symmetric(nn.Module):
    """Convolutions that do not change when they are turned over, on sides at which their padding is the same twice."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU())
        self.linear = nn.Linear(8, 4)
        with torch.no_grad():
            for convolution in self.layer[::2]:
                convolution.weight.copy_((convolution.weight + convolution.weight.flip(3)) / 2)
        self.eval()

    def forward(self, x):
        return self.linear(self.layer(x).mean((2, 3)))


@pytest.mark.parametrize("name", sorted(set(ON_GRID) - {"score-cam"}))
def test_the_flipped_image_has_the_flipped_map(name):
    model, inputs, classes = Symmetric(), images(2, 49, 65), torch.tensor([0, 1])
    placement = Placement(grid_geometry(model, "layer", (49, 65)))
    explain = METHODS[name].with_upsampling(placement)
    maps, flipped = explain(model, "layer", inputs, classes), explain(model, "layer", inputs.flip(3), classes)
    torch.testing.assert_close(flipped.flip(2), maps, atol=1e-5 * float(maps.max()), rtol=0)


def test_a_spot_is_shown_where_it_is_and_was_not_before():
    """A network of stride 32 that sees brightness alone."""
    layers = [nn.Conv2d(3 if not number else 1, 1, 3, 2, 1) for number in range(5)]
    for layer in layers:
        nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
        nn.init.zeros_(layer.bias)
    trunk = nn.Sequential(*layers)
    model = nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2)).eval()
    nn.init.ones_(model[3].weight)
    image = torch.zeros(1, 3, 224, 224)
    image[..., 92:101, 124:133] = 1
    positions = torch.arange(224.0)

    def centroid(upsample_fn):
        saliency = grad_cam(model, "0", image, torch.tensor([0]), upsample_fn)[0]
        return [float((saliency.sum(dim) * positions).sum() / saliency.sum()) for dim in (1, 0)]

    assert centroid(Placement(grid_geometry(model, "0", (224, 224)))) == pytest.approx([96, 128], abs=0.5)
    assert centroid(upsample) == pytest.approx([111.5, 143.5], abs=0.5)


@pytest.mark.parametrize("name", ON_GRID)
def test_a_placed_map_depends_on_its_image_alone(name):
    model, inputs, classes = Small(), images(5), torch.tensor([0, 1, 2, 3, 0])
    explain = METHODS[name].with_upsampling(Placement(grid_geometry(model, model.layer, (64, 64))))
    together = explain(model, model.layer, inputs, classes)
    alone = torch.cat([explain(model, model.layer, inputs[i : i + 1], classes[i : i + 1]) for i in range(5)])
    assert together.amax() > 0
    assert (together - alone).abs().le(1e-5 * together.amax(dim=(1, 2), keepdim=True)).all()
    assert not torch.allclose(together, METHODS[name].explain(model, model.layer, inputs, classes))


def test_methods_without_a_grid_are_left_alone_and_those_with_one_are_the_cam_family():
    assert ON_GRID == ["eigen-cam", "grad-cam", "grad-cam-plus-plus", "hires-cam", "layer-cam", "score-cam"]
    model, inputs, classes = Small(), images(), torch.tensor([0, 3])
    placement = Placement(grid_geometry(model, model.layer, (64, 64)))
    drawn = METHODS["gradient"].with_upsampling(placement)(model, "", inputs, classes)
    assert torch.equal(drawn, METHODS["gradient"].explain(model, "", inputs, classes))


def test_the_attacked_map_is_the_placed_one():
    model, inputs, classes = Small(), images(), torch.tensor([0, 3])
    placement = Placement(grid_geometry(model, model.layer, (64, 64)))
    drawn, _ = _explain(model, model.layer, classes, inputs.clone().requires_grad_(), placement)
    torch.testing.assert_close(drawn.detach(), grad_cam(model, model.layer, inputs, classes, placement))


@pytest.fixture
def model():
    """A network whose weights do not matter."""
    return nn.Identity()


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setenv("LOUPE_RUNS", str(tmp_path))
    cell = build_grid(QUICK, ["mobilenet"], ["standard"], [])[0]
    return Job(cell=cell, data=SimpleNamespace(key="d"), preset=QUICK, device=torch.device("cpu"), bfloat16=False)


def test_the_choice_is_part_of_the_protocol_and_of_the_key_of_maps_of_a_grid(job):
    other = replace(job, preset=replace(QUICK, alignment="none"))
    assert QUICK.alignment == "receptive-field"
    assert other.protocol != job.protocol
    assert other.model_key == job.model_key
    assert pipeline._maps_file(other, METHODS["grad-cam"]) != pipeline._maps_file(job, METHODS["grad-cam"])
    assert pipeline._maps_file(other, METHODS["gradient"]) == pipeline._maps_file(job, METHODS["gradient"])
    with pytest.raises(ValueError, match="alignment left: must be receptive-field or effective"):
        replace(QUICK, alignment="left")


def test_the_geometry_is_computed_once_and_stated_in_the_record(job, model, monkeypatch):
    entry = job.cell.architecture
    record = describe_alignment(entry, job.size, "receptive-field", model)
    assert (record.method, record.grid, record.first) == ("receptive-field", (3, 3), (0.0, 0.0))
    assert (record.spacing, record.displacement) == ((32.0, 32.0), (15.5, 15.5))
    monkeypatch.setattr(alignment, "compute_geometry", lambda *_: pytest.fail("computed again"))
    assert describe_alignment(entry, job.size, "none", model).displacement == (15.5, 15.5)
    assert get_placement(entry, job.size, "none", model) is None
    assert get_placement(entry, job.size, "receptive-field", model).geometry == load_geometry(entry, job.size).geometry
    assert get_grid(entry, job.size, "none").rows == stretched(3, 96)


def test_a_grid_that_is_not_understood_is_stretched_and_said_so(job, model, monkeypatch):
    monkeypatch.setattr(alignment, "grid_geometry", lambda *_: (_ for _ in ()).throw(ValueError("it is odd")))
    record = describe_alignment(job.cell.architecture, job.size, "receptive-field", model)
    assert (record.method, record.reason, record.displacement) == ("none", "it is odd", None)
    assert get_placement(job.cell.architecture, job.size, "receptive-field", model) is None


def test_maps_of_a_run_are_placed_and_alignment_none_stretches_them_as_others_do(job):
    entry = job.cell.architecture
    torch.manual_seed(0)
    model = entry.build(2).eval()
    pixels = (images(2, 96, 96) * 255).to(torch.uint8)
    cells = grad_cam(model, entry.target_layer, pixels.float() / 255, torch.tensor([0, 1]), lambda maps, _: maps)

    def drawn(how):
        upsample_fn = get_placement(entry, job.size, how, model)
        return compute_maps(model, entry.target_layer, pixels, torch.tensor([0, 1]), METHODS["grad-cam"], upsample_fn)

    placed = torch.tensor(drawn("receptive-field")).float()
    at_centers = placed[:, 0:65:32, 0:65:32]
    torch.testing.assert_close(at_centers, cells / cells.amax((1, 2), keepdim=True), atol=1e-3, rtol=0)
    plain = functional.interpolate(cells[:, None], (96, 96), mode="bilinear", align_corners=False)[:, 0]
    plain = plain / plain.amax((1, 2), keepdim=True)
    torch.testing.assert_close(torch.tensor(drawn("none")).float(), plain, atol=1e-3, rtol=0)


def test_the_effective_receptive_field_is_that_of_the_model(job, monkeypatch):
    entry = job.cell.architecture
    torch.manual_seed(0)
    model = entry.build(2).eval()
    grid = grid_geometry(model, entry.target_layer, job.size, effective=True)
    assert get_placement(entry, job.size, "effective-receptive-field", model).geometry == grid
    record = describe_alignment(entry, job.size, "effective-receptive-field", model)
    assert (record.method, record.first) == ("effective-receptive-field", (grid.rows.first, grid.columns.first))
    assert get_grid(entry, job.size, "effective-receptive-field") == load_geometry(entry, job.size).geometry
    monkeypatch.setattr(alignment, "grid_geometry", lambda *_, **__: (_ for _ in ()).throw(ValueError("it is odd")))
    assert get_placement(entry, job.size, "effective-receptive-field", model).geometry == grid  # cached
    with torch.no_grad():
        next(model.parameters())[0, 0, 0, 0] += 1
    record = describe_alignment(entry, job.size, "effective-receptive-field", model)
    assert (record.method, record.reason, record.displacement) == ("none", "it is odd", None)
