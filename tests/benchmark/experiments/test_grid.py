"""A plan pairs networks with the regimes that fit them, in an order in which nothing waits for what comes later."""

from dataclasses import replace

import pytest

from architectures import Architecture
from benchmark import registry
from benchmark.config.presets import QUICK
from benchmark.errors import UserError
from benchmark.experiments import grid as plan_module
from benchmark.experiments.grid import build_grid
from benchmark.registry import entries
from benchmark.training.regimes import Regime
from tests.architectures.paper import KERAS_PARAMETERS

WHOLE = [name for name, entry in entries(Architecture).items() if entry.in_default_grid and not entry.predicts_masks]
MATCHING = [name for name, entry in entries(Architecture).items() if not entry.predicts_masks]
MASKED = [name for name, entry in entries(Architecture).items() if entry.predicts_masks]
STANDARD = entries(Regime)["standard"]


@pytest.fixture(autouse=True)
def known_regimes(monkeypatch):
    """They are those of the default preset, one that needs masks, and a chain of stages."""
    known = [
        *(entries(Regime)[name] for name in QUICK.regimes),
        replace(STANDARD, name="masked", needs_masks=True),
        replace(STANDARD, name="second", init_from="standard"),
        replace(STANDARD, name="first", init_from="second"),
    ]
    real = registry.entries

    def fake(kind):
        return (
            {entry.name: entry for entry in sorted(known, key=lambda entry: entry.name)}
            if kind is Regime
            else real(kind)
        )

    monkeypatch.setattr(registry, "entries", fake)
    monkeypatch.setattr(plan_module, "entries", fake)


def names(architectures=(), regimes=(), seeds=()):
    return [cell.name for cell in build_grid(QUICK, architectures, regimes, seeds)]


def test_the_default_is_all_that_only_classify_in_the_regimes_of_the_preset():
    found = names()
    assert found == [f"{name}/{regime}/0" for name in WHOLE for regime in ("standard", "adversarial")]
    assert {f"{name}/{regime}/0" for name in KERAS_PARAMETERS for regime in ("standard", "adversarial")} <= set(found)


def test_those_outside_of_the_default_grid_run_once_they_are_named():
    assert {"vit_tiny", "swin_tiny", "deit_tiny", "dinov3_small", "convnext_tiny", "mobilenet_smoothed"} == set(
        MATCHING
    ) - set(WHOLE)
    assert names(["vit_tiny"]) == ["vit_tiny/standard/0", "vit_tiny/adversarial/0"]


def test_a_regime_that_needs_masks_takes_the_networks_that_predict_them():
    assert "resnet50_multitask" in MASKED
    assert names(regimes=["masked"]) == [f"{name}/masked/0" for name in MASKED]


def test_mixed_regimes_each_take_what_fits():
    assert sorted(names(regimes=["masked", "standard"])) == sorted(
        [*(f"{name}/masked/0" for name in MASKED), *(f"{name}/standard/0" for name in WHOLE)]
    )
    both = names(["resnet50", "resnet50_multitask"], ["masked", "standard"])
    assert both == ["resnet50/standard/0", "resnet50_multitask/masked/0"]


def test_of_the_preset_s_regimes_an_architecture_takes_what_fits():
    preset = replace(QUICK, regimes=("standard", "masked"))
    assert [cell.name for cell in build_grid(preset, ["vgg16"], [], [])] == ["vgg16/standard/0"]
    assert [cell.name for cell in build_grid(preset, ["resnet50_multitask"], [], [])] == ["resnet50_multitask/masked/0"]


@pytest.mark.parametrize(
    ("architectures", "regimes", "expected"),
    [
        (
            ["resnet50_multitask"],
            ["standard"],
            "architecture resnet50_multitask does not go with standard; give --regime one of: masked",
        ),
        (
            ["resnet50", "resnet50_multitask"],
            [],
            "architecture resnet50_multitask does not go with standard, adversarial; give --regime one of: masked",
        ),
        (
            ["resnet50"],
            ["masked"],
            "architecture resnet50 does not go with masked; give --regime one of: adversarial, first, second, standard",
        ),
        (
            ["resnet50"],
            ["standard", "masked"],
            f"regime masked does not go with resnet50; give --architecture one of: {', '.join(MASKED)}",
        ),
        (
            ["resnet50_multitask"],
            ["standard", "masked"],
            f"regime standard does not go with resnet50_multitask; give --architecture one of: {', '.join(MATCHING)}",
        ),
    ],
)
def test_nothing_that_was_named_is_left_out_in_silence(architectures, regimes, expected):
    with pytest.raises(UserError) as caught:
        build_grid(QUICK, architectures, regimes, [])
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["second", "standard"], ["standard", "second"]),
        (["first", "standard"], ["standard", "first"]),
        (["first", "second", "adversarial"], ["adversarial", "second", "first"]),
        (["adversarial", "standard"], ["adversarial", "standard"]),
        (["second"], ["second"]),
    ],
)
def test_a_regime_comes_after_the_one_it_starts_from(asked, expected):
    assert names(["vgg16"], asked) == [f"vgg16/{regime}/0" for regime in expected]
    assert names(["vgg16"], asked, [1, 0]) == [f"vgg16/{regime}/{seed}" for regime in expected for seed in (1, 0)]


def test_what_is_named_twice_is_done_once():
    assert names(["vgg16", "vgg16"], ["standard", "standard"], [3, 3]) == ["vgg16/standard/3"]


def test_every_registered_regime_has_networks_and_comes_after_its_start(monkeypatch):
    monkeypatch.undo()
    known = entries(Regime)
    for name in known:
        assert names(regimes=[name])
    order = list(dict.fromkeys(cell.regime.name for cell in build_grid(QUICK, [], list(known), [])))
    for place, name in enumerate(order):
        assert known[name].init_from is None or known[name].init_from in order[:place]
