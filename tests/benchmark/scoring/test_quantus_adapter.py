"""Metrics of Quantus by name: their own scores, one image at a time, quietly and without traces."""

import gc
import random
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.config.presets import QUICK
from benchmark.errors import UserError
from benchmark.experiments.grid import build_grid
from benchmark.experiments.job import Job
from benchmark.registry import entries
from benchmark.saliency.grad_cam import GRAD_CAM
from benchmark.saliency.gradient import GRADIENT
from benchmark.scoring.perturbation import build_perturbation_context
from benchmark.scoring.quantus_adapter import quantus_metric
from benchmark.scoring.quantus_calls import UndefinedScoresWarning, collect_reasons
from benchmark.scoring.selection import metric_identity, select_metrics
from benchmark.storage.record import MetricDefinition
from metrics import Metric
from metrics.localization import top_mask_f1
from metrics.sparsity import gini
from tests.metrics.maps import seeded

SIDE = 12
SETTINGS = {"mean": torch.full((3,), 0.5), "steps": 4, "layer": "0"}
OF_THE_MODEL = [
    "quantus:MaxSensitivity?nr_samples=3",
    "quantus:FaithfulnessCorrelation?nr_runs=6&subset_size=20",
    "quantus:RandomLogit",
    "quantus:PixelFlipping?features_in_step=48",
    "quantus:MPRT",
]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 3)]
    return nn.Sequential(*parts).eval()


def probe_with(network, method=GRADIENT, images=(0, 1, 2, 3)):
    rng = np.random.default_rng(0)
    pixels = torch.tensor(rng.integers(0, 255, (4, 3, SIDE, SIDE), dtype=np.uint8))[list(images)]
    classes = torch.tensor([0, 1, 2, 0])[list(images)]
    blank = np.zeros((len(images), SIDE, SIDE), dtype=np.float16)
    options = SETTINGS | {"ids": [f"case {i}" for i in images], "method": method}
    undrawn = build_perturbation_context(network, pixels, blank, classes, **options)
    maps = undrawn.explain_fn(network, undrawn.images, classes).numpy().astype(np.float16)
    return build_perturbation_context(network, pixels, maps, classes, **options)


def test_what_is_drawn_again_has_the_scale_of_what_was_kept(network):
    for method in (GRADIENT, GRAD_CAM):
        context = probe_with(network, method)
        again = context.explain_fn(network, context.images, context.classes)
        torch.testing.assert_close(again, context.saliency, rtol=1e-3, atol=1e-6)


def test_sparseness_is_our_gini():
    saliency = seeded(4).saliency.float()
    results = quantus_metric("quantus:Sparseness").compute(saliency=saliency)
    torch.testing.assert_close(results, gini(saliency), rtol=0, atol=1e-5)


def test_rank_accuracy_is_our_top_mask_f1_and_an_empty_mask_is_undefined():
    inputs = seeded(4)
    saliency = inputs.saliency + torch.rand(4, 12, 15, generator=torch.Generator().manual_seed(0)) * 1e-3  # no ties
    inputs.mask[2] = False
    results = quantus_metric("quantus:RelevanceRankAccuracy").compute(saliency=saliency, mask=inputs.mask)
    torch.testing.assert_close(results, top_mask_f1(saliency, inputs.mask), equal_nan=True, rtol=0, atol=1e-6)
    pointing = quantus_metric("quantus:PointingGame").compute(saliency=saliency, mask=inputs.mask)
    assert pointing.isnan().tolist() == [False, False, True, False]  # Quantus 0.6.0 alone calls that a hit


def test_max_sensitivity_and_faithfulness_correlation_are_what_quantus_says_of_one_image(network):
    import quantus  # noqa: PLC0415 - takes seconds

    context = probe_with(network)

    def explain(model, inputs, targets, **_):
        return context.explain_fn(model, torch.tensor(inputs), torch.tensor(targets)).numpy()[:, None]

    kinds = {
        OF_THE_MODEL[0]: quantus.MaxSensitivity(nr_samples=3, disable_warnings=True),
        OF_THE_MODEL[1]: quantus.FaithfulnessCorrelation(nr_runs=6, subset_size=20, disable_warnings=True),
    }
    for name, metric in kinds.items():
        results = quantus_metric(name).compute(context=context)
        for i in range(4):
            np.random.seed(int(context.seeds[i]) % 2**32)  # noqa: NPY002 - Quantus draws from it
            (expected,) = metric(
                model=network,
                x_batch=context.images[i : i + 1].numpy(),
                y_batch=context.classes[i : i + 1].numpy(),
                a_batch=context.saliency[i : i + 1, None].numpy(),
                explain_func=explain,
            )
            assert results[i].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", OF_THE_MODEL)
def test_an_image_scores_alike_alone_and_in_company(network, name):
    metric = quantus_metric(name)
    together = metric.compute(context=probe_with(network))
    assert together.isfinite().all()
    assert len(set(together.tolist())) > 1
    alone = torch.cat([metric.compute(context=probe_with(network, images=[i])) for i in (3, 1)])
    torch.testing.assert_close(alone, together[[3, 1]], rtol=1e-5, atol=1e-6)


def test_nothing_is_printed_and_random_numbers_go_on_as_they_were(network, capfd):
    def drawn():
        return np.random.rand(), random.random(), torch.rand(1).item()  # noqa: NPY002 - Quantus draws from it

    def seeded_alike():
        np.random.seed(5)  # noqa: NPY002 - Quantus draws from it
        random.seed(5)
        torch.manual_seed(5)

    seeded_alike()
    expected = drawn()
    seeded_alike()
    for name in OF_THE_MODEL:
        quantus_metric(name).compute(context=probe_with(network))
    assert drawn() == expected
    assert capfd.readouterr() == ("", "")


def test_an_error_of_quantus_is_told_once_and_leaves_the_image_without_a_score(network):
    context = probe_with(network)
    irof = quantus_metric("quantus:IROF")  # 0.6.0 cannot do images of three channels
    with collect_reasons() as reasons:
        assert irof.compute(context=context).isnan().all()
        irof.compute(context=context)
    assert reasons == {"quantus:IROF": {"AssertionError: The shape of arr must be the same as the mask shape": 8}}
    with pytest.warns(UndefinedScoresWarning, match="quantus:IROF has no score for 4 images: AssertionError"):
        irof.compute(context=context)


def test_a_map_that_quantus_refuses_costs_its_own_score_only(network):
    context = probe_with(network)
    context.saliency[1] = 0
    context.saliency[2, 0, 0] = torch.nan
    with pytest.warns(UndefinedScoresWarning, match="has no score for 1 image:"):
        results = quantus_metric("quantus:RandomLogit").compute(context=context)
    assert results.isnan().tolist() == [False, True, True, False]


def test_a_model_is_not_kept():
    network = nn.Sequential(nn.Conv2d(3, 3, SIDE), nn.Flatten()).eval()
    quantus_metric("quantus:FaithfulnessCorrelation?nr_runs=3&subset_size=20").compute(context=probe_with(network))
    watched = weakref.ref(network)
    del network
    gc.collect()
    assert watched() is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("quantus:MaxSensitivty", "unknown metric of Quantus 'MaxSensitivty'; nearest: MaxSensitivity"),
        ("quantus:MaxSensitivity?samples=3", "'samples=3' is none, nearest: nr_samples"),
        ("quantus:MaxSensitivity?nr_samples", "'nr_samples' is none"),
        ("quantus:Sufficiency", "no score for one image: it compares the images of a batch"),
        ("max-sensitivty", "unknown metric 'max-sensitivty'; nearest: max-sensitivity"),
    ],
)
def test_a_name_that_quantus_does_not_know_is_one_line(name, expected):
    with pytest.raises(UserError) as raised:
        select_metrics([name])
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


def test_direction_and_definition_are_those_of_quantus_but_where_it_is_wrong():
    assert not quantus_metric("quantus:MaxSensitivity").higher_is_better
    assert quantus_metric("quantus:Sparseness").higher_is_better
    assert quantus_metric("quantus:RegionPerturbation?patch_size=4").higher_is_better
    metric = quantus_metric("quantus:MaxSensitivity")
    assert "Quantus 0.6.0" in metric.definition
    definition = MetricDefinition(
        higher_is_better=False, bounds=metric.bounds, definition=metric.definition, source=metric.source
    )
    assert MetricDefinition.model_validate_json(definition.model_dump_json()) == definition


def test_all_are_ours_and_those_of_quantus_come_after_them():
    own = [metric.name for metric in select_metrics(["all"])]
    assert own == list(entries(Metric))
    cheap = [metric.name for metric in select_metrics([])]
    assert "max-sensitivity" not in cheap
    both = [metric.name for metric in select_metrics(["quantus:Sparseness", "max-sensitivity", "quantus:Sparseness"])]
    assert both == [name for name in own if name in [*cheap, "max-sensitivity"]] + ["quantus:Sparseness"]


def test_the_protocol_knows_the_metric_its_parameters_and_the_version_of_quantus(monkeypatch):
    def protocol(*names):
        job = Job(
            cell=build_grid(QUICK, ["mobilenet"], ["standard"], [])[0],
            data=SimpleNamespace(key="d"),
            preset=replace(QUICK, metrics=names),
            device=torch.device("cpu"),
        )
        return job.protocol

    named = [(), ("quantus:Sparseness",), ("quantus:Sparseness?abs=False",)]
    assert len({protocol(*names) for names in named}) == 3
    before = metric_identity(quantus_metric("quantus:Sparseness"))
    monkeypatch.setattr("benchmark.scoring.quantus_adapter.version", lambda: "0.7.0")
    assert metric_identity(quantus_metric("quantus:Sparseness")) != before
