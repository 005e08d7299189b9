"""The package is called as its class counts allow; a stand-in notes how."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.attacks.apgd import APGD, apgd
from benchmark.attacks.autoattack import autoattack, recipe
from benchmark.scoring.predictions import build_attacks, predict_and_attack


@pytest.fixture
def package(monkeypatch) -> SimpleNamespace:
    """A stand-in for the package: leaves the images as they are, and misbehaves as the real one does."""
    seen = SimpleNamespace()

    class AutoAttack:
        def __init__(self, model: nn.Module, **settings):
            seen.model, seen.settings, seen.attack = model, settings, self
            self.apgd = SimpleNamespace(n_restarts=5)
            self.apgd_targeted = SimpleNamespace(n_target_classes=9)
            self.fab = SimpleNamespace(n_target_classes=9)

        def run_standard_evaluation(self, images, labels, bs):
            assert images.is_contiguous()
            assert not any(module.training for module in seen.model.modules())
            torch.manual_seed(0)
            inputs = images.clone().requires_grad_()
            # FAB calls backward, which reaches every parameter that wants gradients.
            seen.model(inputs).sum().backward()
            seen.batch, seen.images, seen.labels = bs, images, labels
            return images.clone()

    module = ModuleType("autoattack")
    module.AutoAttack = AutoAttack
    monkeypatch.setitem(sys.modules, "autoattack", module)
    return seen


@pytest.mark.parametrize(
    ("classes", "version", "attacks", "name"),
    [
        (2, "custom", ["apgd-ce", "fab-t", "square"], "apgd-ce, fab-t, square, apgd-margin (2 classes)"),
        (3, "custom", ["apgd-ce", "apgd-dlr", "fab-t", "square"], "apgd-ce, apgd-dlr, fab-t, square (3 classes)"),
        (4, "standard", [], "apgd-ce, apgd-t, fab-t, square (4 classes)"),
        (7, "standard", [], "apgd-ce, apgd-t, fab-t, square (7 classes)"),
        (9, "standard", [], "apgd-ce, apgd-t, fab-t, square (9 classes)"),
        (10, "standard", [], "AutoAttack standard"),
        (12, "standard", [], "AutoAttack standard"),
    ],
)
def test_each_number_of_classes_has_its_variant(problem, package, classes, version, attacks, name):
    model, images, labels = problem(classes, 6)
    moved, variant = autoattack(model, images, labels, "linf", 1e-6)
    assert variant == name
    assert moved.shape == images.shape
    assert package.settings["version"] == version
    assert package.settings["attacks_to_run"] == attacks
    assert package.attack.fab.n_target_classes == min(9, classes - 1)
    assert package.attack.apgd_targeted.n_target_classes == min(9, classes - 1)
    assert package.attack.apgd.n_restarts == 1
    assert package.batch == 6
    assert torch.equal(package.labels, labels)


def test_budgets_are_handed_on_in_the_package_s_terms(problem, package):
    model, images, labels = problem(4, 6)
    autoattack(model, images, labels, "l2", 7.0)
    assert package.settings["norm"] == "L2"
    assert package.settings["eps"] == 1.0
    autoattack(model, images, labels, "linf", 0.1)
    assert package.settings["norm"] == "Linf"
    assert package.settings["eps"] == 0.1
    assert package.settings["device"] == images.device


def test_images_that_are_channels_last_arrive_contiguous(problem, package):
    model, images, labels = problem(4, 6)
    moved, _ = autoattack(model, images.contiguous(memory_format=torch.channels_last), labels, "l2", 1.0)
    assert torch.equal(package.images, images)
    assert torch.equal(moved, images)


@pytest.mark.usefixtures("package")
def test_with_two_classes_our_margin_attack_takes_what_is_left(problem):
    model, images, labels = problem(2)
    labels[0] = 1 - labels[0]
    moved, _ = autoattack(model, images, labels, "linf", 4 / 255)
    ours = apgd(model, images, labels, APGD(norm="linf", eps=4 / 255, steps=100, loss="margin"))
    turned = model(ours).argmax(dim=1) != labels
    assert 0 < turned.sum() < len(turned)
    assert torch.equal(moved[1:][turned[1:]], ours[1:][turned[1:]])
    assert torch.equal(moved[~turned], images[~turned])
    # Wrong from the outset: there was nothing left to do.
    assert torch.equal(moved[0], images[0])


@pytest.mark.usefixtures("package")
def test_the_model_is_left_as_it_was(problem, untouched):
    model, images, labels = problem(2, 6)
    with untouched(model):
        moved, _ = autoattack(model, images, labels, "linf", 4 / 255)
    assert not moved.requires_grad


def test_without_the_package_a_remedy_is_named(problem, monkeypatch):
    monkeypatch.setitem(sys.modules, "autoattack", None)
    with pytest.raises(ValueError, match=r"^autoattack is not installed; install it from .*, or leave it out$"):
        autoattack(*problem(2, 4), "l2", 1.0)


@pytest.mark.usefixtures("package")
def test_one_class_is_none(problem):
    with pytest.raises(ValueError, match="2 classes or more, the model has 1"):
        autoattack(*problem(1, 4), "l2", 1.0)


def test_a_diagnosis_runs_it_on_the_images_that_are_right(problem, package):
    model, images, _labels = problem(3, 6)
    whole = (images * 255).round().to(torch.uint8)
    with torch.no_grad():
        right = model(whole.float() / 255).argmax(dim=1)
    attacks = build_attacks("l2", (0.5,), 0, 0, recipe(3))
    assert list(attacks)[1] == "apgd-ce, apgd-dlr, fab-t, square (3 classes)-l2-0.5"
    results = predict_and_attack(model, whole, right, attacks=attacks, attacked=np.arange(4))
    assert package.settings["norm"] == "L2"
    assert package.batch == 4
    assert results[f"withstood:{list(attacks)[1]}"].tolist()[:4] == [1.0] * 4  # the stand-in changes nothing
