from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from metrics.normalize import as_stored
from metrics.rank_correlation import rank_correlation
from metrics.sanity import other_classes, parameter_randomization, random_logit, randomized_models
from tests.metrics import maps as drawn
from tests.metrics import quantus_oracle
from tests.metrics.maps import build_context, model, seeded

CPU = torch.device("cpu")


def explain_fn(changed, images, classes):
    """Returns maps in the precision of stored maps, so that oracles rank the same values."""
    return as_stored(drawn.explain_fn(changed, images, classes)).double()


class Scripted(nn.Conv2d):
    """A layer that is always initialized to the same weights, so that two programs randomize alike."""

    def reset_parameters(self):
        generator = torch.Generator().manual_seed(self.in_channels * 100 + self.out_channels)
        for weights in self.parameters():
            with torch.no_grad():
                weights.copy_(torch.randn(weights.shape, generator=generator, dtype=weights.dtype) / 3)


def network(*, layer=nn.Conv2d, seed=0):
    """Three layers, in float64, with other weights than the layers are initialized to."""
    torch.manual_seed(seed)
    parts = [
        layer(3, 6, 3),
        nn.ReLU(),
        layer(6, 5, 3),
        nn.ReLU(),
        layer(5, 3, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    built = nn.Sequential(*parts).double().eval()
    for weights in built.parameters():
        nn.init.normal_(weights, std=0.3)
        weights.requires_grad_(requires_grad=False)
    return built


def gradient_context(classifier, inputs):
    """Returns a context of a classifier with its own gradient maps."""
    maps = explain_fn(classifier, inputs.images, inputs.classes)
    return replace(build_context(inputs), model=classifier, saliency=maps, explain_fn=explain_fn)


def drawn_by(method, inputs):
    context = gradient_context(network(), inputs)
    return replace(context, explain_fn=method, saliency=method(context.model, context.images, context.classes))


def edges(_model, images, _classes):
    gray = images.mean(1)
    return (gray - gray.roll(1, 1)).abs() + (gray - gray.roll(1, 2)).abs()


def test_parameter_randomization_equals_quantus_with_the_same_weights():
    context = gradient_context(network(layer=Scripted), seeded(4))
    expected = quantus_oracle.parameter_randomization(context, stages=3)
    assert parameter_randomization(context).tolist() == pytest.approx(expected, rel=1e-5)
    assert min(expected) > 0.01


def test_parameter_randomization_equals_a_literal_loop():
    context = gradient_context(network(), seeded(4))
    states = [deepcopy(one) for one in randomized_models(context.model, CPU)]
    for i, actual in enumerate(parameter_randomization(context).tolist()):
        own = context.saliency[i].flatten()
        maps = [explain_fn(one, context.images[[i]], context.classes[[i]]).flatten() for one in states]
        assert actual == pytest.approx(1 - sum(spearmanr(own, one).statistic for one in maps) / 3, abs=1e-9)


def test_random_logit_equals_quantus_for_the_same_class():
    context = gradient_context(network(), seeded(6))
    expected = quantus_oracle.random_logit(context, other_classes(context, 3))
    assert random_logit(context).tolist() == pytest.approx(expected, rel=1e-5)


def test_rank_correlation_equals_scipy_with_ties():
    one, other = seeded(5).saliency.round(decimals=1), seeded(5, seed=1).saliency.round(decimals=1)
    expected = [spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(one, other, strict=True)]
    assert rank_correlation(one, other).tolist() == pytest.approx(expected, abs=1e-12)


def reader_of_a_patch():
    """A classifier whose decision is known: it reads the brightness of one patch and nothing else."""
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, 2, dtype=torch.float64)).eval()
    patch = torch.zeros(3, 24, 24, dtype=torch.float64)
    patch[:, 5:12, 8:15] = torch.rand(7, 7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        classifier[1].weight.copy_(torch.stack([patch, -patch.flip(1)]).flatten(1))
    return classifier.requires_grad_(requires_grad=False)


def test_randomization_destroys_the_map_that_follows_the_model_and_no_edge_map():
    inputs = seeded(8, 24, 24)
    inputs = inputs.replace(classes=inputs.classes % 2)
    following = gradient_context(reader_of_a_patch(), inputs)
    looking = replace(following, explain_fn=edges, saliency=edges(None, inputs.images, inputs.classes))
    assert parameter_randomization(following).tolist() == pytest.approx([1] * 8, abs=0.15)
    assert random_logit(following).max() < 0.5
    assert parameter_randomization(looking).tolist() == pytest.approx([0] * 8, abs=1e-12)
    assert random_logit(looking).tolist() == pytest.approx([1] * 8, abs=1e-12)
    assert parameter_randomization(gradient_context(network(), inputs)).min() > 0.2  # its lowest layer goes last


def test_stages_cascade_from_the_top_and_leave_the_rest():
    classifier = network()
    layers = [classifier[0], classifier[2], classifier[4]]
    changed = [
        [not torch.equal(random[index].weight, layer.weight) for index, layer in zip((0, 2, 4), layers, strict=True)]
        for random in randomized_models(classifier, CPU)
    ]
    assert changed == [[False, False, True], [False, True, True], [True, True, True]]


def test_layers_are_grouped_into_five_stages_and_all_are_reached():
    deep = nn.Sequential(*(nn.Linear(2, 2) for _ in range(13))).eval()
    stages = list(randomized_models(deep, CPU))
    changed = [
        sum(not torch.equal(one.weight, two.weight) for one, two in zip(random, deep, strict=True)) for random in stages
    ]
    assert changed == [3, 6, 9, 11, 13]
    last = [layer.weight for layer in stages[-1]]
    assert len({tuple(weights.flatten().tolist()) for weights in last}) == 13  # no two layers alike


def test_statistics_and_parameters_without_a_rule_of_their_own_are_randomized_too():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.linspace(2, 4, 100))

    norm = nn.BatchNorm2d(3)
    norm.running_mean.fill_(5)
    (*_, random) = randomized_models(nn.Sequential(norm, Scale()).eval(), CPU)
    assert random[0].running_mean.tolist() == [0, 0, 0]
    assert not torch.equal(random[1].scale, torch.linspace(2, 4, 100))
    assert random[1].scale.mean().item() == pytest.approx(3, abs=0.3)
    assert norm.running_mean.tolist() == [5, 5, 5]


def test_neither_the_model_nor_the_random_numbers_of_others_are_touched():
    context = gradient_context(network(), seeded(2))
    before = deepcopy(context.model.state_dict())
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = parameter_randomization(context)
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(value, before[name]) for name, value in context.model.state_dict().items())
    torch.manual_seed(4)
    assert torch.equal(parameter_randomization(context), first)


def test_a_model_that_is_no_module_cannot_be_randomized():
    for plain in (model.forward, nn.Flatten()):
        with pytest.raises(TypeError, match="needs a torch module with parameters"):
            parameter_randomization(replace(build_context(seeded(2)), model=plain))


def test_the_other_class_is_never_the_own_and_any_other_comes_up():
    inputs = seeded(64)
    context = build_context(inputs)
    actual = other_classes(context, 3)
    assert (actual != context.classes).all()
    steps = (actual - context.classes) % 3
    assert 20 < (steps == 1).sum() < 44
    assert (
        other_classes(replace(context, classes=context.classes % 2), 2).tolist() == (1 - context.classes % 2).tolist()
    )


def test_the_other_class_is_what_the_second_map_explains():
    inputs = seeded(8)
    by_class = drawn_by(lambda _model, images, classes: images[torch.arange(len(images)), classes], inputs)
    others = other_classes(by_class, 3)
    expected = rank_correlation(as_stored(by_class.saliency), as_stored(inputs.images[torch.arange(8), others]))
    torch.testing.assert_close(random_logit(by_class), expected)


def test_degenerate_maps_score_as_documented():
    inputs = seeded(3)
    blank = drawn_by(lambda _model, images, _classes: torch.zeros(len(images), 12, 15), inputs)
    assert parameter_randomization(blank).isnan().all()
    assert random_logit(blank).isnan().all()
    vanishing = replace(blank, saliency=inputs.saliency)
    assert parameter_randomization(vanishing).tolist() == [1, 1, 1]
    assert random_logit(vanishing).tolist() == [0, 0, 0]
    one_class = nn.Sequential(nn.Conv2d(3, 1, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double().eval()
    assert random_logit(replace(build_context(inputs), model=one_class)).isnan().all()


@pytest.mark.parametrize("metric", [random_logit, parameter_randomization])
def test_the_order_of_pixels_that_are_equal_but_for_rounding_does_not_count(metric):
    """A map of five levels, whose pixels differ within a level by an ulp; on another processor by another."""
    inputs = seeded(6)
    plain = (5 * torch.rand(12, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).ceil() / 5

    def levels(ulp, seed):
        def drawn_with_noise(_model, _images, classes):
            noise = torch.randn(12, 15, generator=torch.Generator().manual_seed(seed))
            return torch.stack([plain.roll(int(label), 1) * (1 + ulp * noise) for label in classes])

        return replace(
            build_context(inputs), explain_fn=drawn_with_noise, model=network(), saliency=plain.expand(6, -1, -1)
        )

    exact = metric(levels(0, 0))
    for seed in range(3):
        torch.testing.assert_close(metric(levels(1e-7, seed)), exact, atol=1e-12, rtol=0)
