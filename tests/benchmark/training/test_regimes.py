"""Every regime's loss is the formula of its paper, computed here once more by hand or in a slow loop."""

import gc
import math
import weakref
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmark.registry import entries
from benchmark.training.losses.divergence import divergence
from benchmark.training.losses.saliency_mask import label_gradient, lowest
from benchmark.training.regimes import (
    Batch,
    Regime,
    free,
    gaussian_noise,
    gradient_norm,
    multitask,
    norm_regularized,
    scaat,
    sgt,
    trades,
)

SIDE = 12
EPS = 2 / 255
SCAATS = {
    "scaat": scaat.SETTINGS,
    "scaat-inverted": scaat.INVERTED,
    "scaat-random": scaat.RANDOM,
    "scaat-whole": scaat.WHOLE,
}
# How often the model runs in evaluation mode with a backward pass to the image (two forward-equivalents), without one
# (one), and in training mode (three): that is also how often the BatchNorm statistics move.
PASSES = {
    "gaussian-noise": (0, 0, 1),
    "trades": (10, 1, 2),
    "fgsm-rs": (1, 0, 1),
    "free": (0, 0, 1),
    "sgt": (1, 0, 2),
    "scaat": (2, 0, 2),
    "scaat-inverted": (2, 0, 2),
    "scaat-random": (1, 1, 2),
    "scaat-whole": (1, 1, 2),
    "multitask": (0, 0, 1),
    "norm-l1": (1, 0, 1),
    "norm-elastic": (1, 0, 1),
    "norm-group": (1, 0, 1),
    "pgd-l2-tenth": (7, 0, 1),
    "pgd-l2-third": (7, 0, 1),
}
L2_BUDGETS = {"pgd-l2-tenth": 0.3, "pgd-l2-third": 1.0, "pgd-l2": 3.0}
NORMS = ["norm-l1", "norm-elastic", "norm-group"]
REGIMES = sorted(entries(Regime))


class Tiny(nn.Module):
    """Three classes and a mask of images of 12 pixels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.classifier = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(6 * 9, 3))
        self.mask = nn.Conv2d(6, 1, 1)

    def forward(self, images):
        return self.classifier(self.body(images))

    def with_mask(self, images):
        # Through the module's own call, so that hooks see this pass too.
        features = []
        handle = self.body.register_forward_hook(lambda _module, _inputs, output: features.append(output))
        try:
            return self(images), self.mask(features[0] if features else self.body(images))[:, 0]
        finally:
            handle.remove()


def network() -> Tiny:
    """In training mode, sure enough of itself that its predictions differ."""
    model = Tiny()
    with torch.no_grad():
        model.classifier[2].weight.mul_(8)
    return model.train()


def batch(size: int = 8, **changes) -> Batch:
    generator = torch.Generator().manual_seed(1)
    settings = {
        "images": 0.2 + 0.6 * torch.rand(size, 3, SIDE, SIDE, generator=generator),
        "labels": torch.arange(size) % 3,
        "class_weights": torch.tensor([0.5, 1.0, 2.0]),
        "progress": 0.5,
        "indices": 2 * torch.arange(size).flip(0),
        "num_images": 20,
        "masks": (torch.rand(size, SIDE, SIDE, generator=generator) > 0.6).float(),
    }
    return Batch(**(settings | changes))


class Watch:
    """What a model was given and what it answered, and whether it was training at the time."""

    def __init__(self, model: nn.Module) -> None:
        self.passes = []
        model.register_forward_hook(self._note)

    def _note(self, model, inputs, output):
        self.passes.append((model.training, inputs[0].detach(), output.detach()))

    def inputs(self, *, training: bool) -> list[torch.Tensor]:
        return [images for mode, images, _ in self.passes if mode == training]

    def outputs(self, *, training: bool) -> list[torch.Tensor]:
        return [logits for mode, _, logits in self.passes if mode == training]


def watched(name: str, now: Batch, seed: int = 0) -> tuple[torch.Tensor, Watch]:
    model = network()
    watch = Watch(model)
    torch.manual_seed(seed)
    return entries(Regime)[name].objective(model, now), watch


def cross_entropy_by_hand(logits: torch.Tensor, now: Batch) -> float:
    shares = logits.double().softmax(dim=1)
    weights = [float(now.class_weights[label]) for label in now.labels]
    losses = [-w * math.log(shares[i, now.labels[i]]) for i, w in enumerate(weights)]
    return sum(losses) / sum(weights)


def divergence_by_hand(logits: torch.Tensor, others: torch.Tensor) -> list[float]:
    before, after = logits.double().softmax(dim=1), others.double().softmax(dim=1)
    return [
        sum(float(p * (p / q).log()) for p, q in zip(*pair, strict=True)) for pair in zip(before, after, strict=True)
    ]


def consistency_by_hand(watch: Watch, now: Batch, weight: float) -> float:
    clean, moved = watch.outputs(training=True)
    apart = divergence_by_hand(clean, moved)
    return cross_entropy_by_hand(clean, now) + weight * sum(apart) / len(apart)


def saliency_by_hand(model: nn.Module, now: Batch) -> torch.Tensor:
    """Gradient of the label's logit, an image at a time."""
    model.eval()
    found = []
    for image, label in zip(now.images, now.labels, strict=True):
        inputs = image[None].clone().requires_grad_()
        found.append(torch.autograd.grad(model(inputs)[0, label], inputs)[0][0])
    model.train()
    return torch.stack(found)


def assert_lowest(mask: torch.Tensor, values: torch.Tensor) -> None:
    """Half of each map, and no value outside is lower, but for the last digit of near equals."""
    assert mask.sum(dim=(1, 2)).tolist() == [SIDE**2 // 2] * len(mask)
    inside, outside = values.where(mask, -torch.inf), values.where(~mask, torch.inf)
    assert (inside.amax(dim=(1, 2)) <= outside.amin(dim=(1, 2)) + 1e-6).all()


def lowest_by_hand(values: torch.Tensor, count: int) -> torch.Tensor:
    """The places of the so many lowest values of each map, by sorting them."""
    found = torch.zeros_like(values, dtype=torch.bool)
    for number, value in enumerate(values):
        order = sorted((float(value[y, x]), y, x) for y in range(SIDE) for x in range(SIDE))
        for _, y, x in order[:count]:
            found[number, y, x] = True
    return found


# What all regimes keep to


@pytest.mark.parametrize("name", PASSES)
def test_an_objective_costs_what_it_says_and_only_training_passes_move_the_statistics(name):
    to_image, target, training = PASSES[name]
    regime, now, model = entries(Regime)[name], batch(), network()
    watch = Watch(model)
    regime.objective(model, now)
    assert len(watch.inputs(training=False)) == to_image + target
    assert len(watch.inputs(training=True)) == training
    assert int(model.body[1].num_batches_tracked) == training
    assert regime.cost == 2 * to_image + target + 3 * training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("name", REGIMES)
def test_the_same_seed_gives_the_same_loss(name):
    losses = [watched(name, batch(), seed)[0] for seed in (3, 3)]
    assert torch.equal(*losses)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", REGIMES)
def test_in_bfloat16_the_loss_is_finite_and_in_float64_and_every_weight_learns(name, channels_last):
    model, now = network(), batch()
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        now = replace(now, images=now.images.contiguous(memory_format=torch.channels_last))
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        loss = entries(Regime)[name].objective(model, now)
    loss.backward()
    assert loss.dtype == torch.float64
    assert loss.isfinite()
    learning = {weight for weight, parameter in model.named_parameters() if parameter.grad is not None}
    assert learning == {weight for weight, _ in model.named_parameters() if name == "multitask" or "mask" not in weight}
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())
    # bfloat16 has two to three digits, and an attack may choose other pixels.
    assert float(loss.detach()) == pytest.approx(float(watched(name, batch())[0].detach()), rel=0.05)


def copied_values(work) -> set[str]:
    """What a piece of work did for which a GPU would have to wait: single values read, sizes that depend on values."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        work()
    return {event.key for event in seen.key_averages()} & {"aten::_local_scalar_dense", "aten::nonzero"}


@pytest.mark.parametrize("name", REGIMES)
def test_an_objective_looks_at_no_value(name):
    now = batch()
    assert not copied_values(lambda: entries(Regime)[name].objective(network(), now).backward())
    assert copied_values(lambda: bool(now.images.max() > 0)) == {"aten::_local_scalar_dense"}


@pytest.mark.parametrize("name", ["trades", "fgsm-rs", "free", *SCAATS])
def test_attacked_images_keep_to_the_budget_and_to_the_range(name):
    images = torch.rand(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    images[0], images[1] = 0.0, 1.0
    memory: dict[str, torch.Tensor] = {}
    for _ in range(3):
        loss, watch = watched(name, batch(6, images=images, memory=memory))
        loss.backward()
        moved = watch.inputs(training=True)[-1]
        assert (moved - images).abs().max() <= (4 / 255 if name in SCAATS else EPS) + 1e-7
        assert moved.min() >= 0
        assert moved.max() <= 1
    assert not torch.equal(moved, images)


@pytest.mark.parametrize("name", L2_BUDGETS)
def test_the_budget_in_l2_is_used_up_and_not_exceeded(name):
    """It is that of images of 224 px. Gray images leave room for all of it."""
    now = batch(images=torch.full((6, 3, SIDE, SIDE), 0.5), labels=torch.tensor([0, 1, 2, 0, 1, 2]))
    _, watch = watched(name, now)
    moved = (watch.inputs(training=True)[-1] - now.images).flatten(1).norm(dim=1)
    expected = L2_BUDGETS[name] * SIDE / 224
    assert moved.max() <= expected * (1 + 1e-5)
    assert moved.min() > 0.8 * expected


def test_those_that_train_on_attacked_images_say_so():
    attacking = {name for name, regime in entries(Regime).items() if regime.adversarial}
    assert attacking == {"adversarial", "pgd-linf", "trades", "fgsm-rs", "free", *SCAATS, *NORMS, *L2_BUDGETS}
    assert all(1 <= regime.cost <= 30 for regime in entries(Regime).values())


# Shared steps


def test_the_divergence_is_that_of_torch_and_computed_in_float64():
    logits, others = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)).mul(3)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=logits.double()), torch.distributions.Categorical(logits=others.double())
    )
    torch.testing.assert_close(divergence(logits, others), expected)
    torch.testing.assert_close(divergence(logits, logits), torch.zeros(5, dtype=torch.float64))
    rounded = logits.bfloat16(), others.bfloat16()
    assert torch.equal(divergence(*rounded), divergence(*(each.float() for each in rounded)))
    # The gradient lasts where float32 has none: both predictions are sure of a class by 30 logits.
    sure, surer = torch.tensor([[30.0, 0.0]]), torch.tensor([[32.0, 0.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(divergence(sure, surer).sum(), surer)
    assert (slope != 0).all()


def test_a_network_that_is_sure_still_learns():
    """In float32 the probability of a class that leads by 20 logits is one, and its loss and gradient are zero."""
    logits = torch.tensor([[20.0, 0.0]], requires_grad=True)
    now = replace(batch(1), labels=torch.tensor([0]), class_weights=torch.ones(2))
    loss = entries(Regime)["standard"].objective(lambda _: logits, now)
    loss.backward()
    torch.testing.assert_close(loss.item(), math.exp(-20), rtol=1e-6, atol=0)
    torch.testing.assert_close(logits.grad[0, 0].item(), -math.exp(-20), rtol=1e-6, atol=0)


def test_the_gradient_of_the_label_is_that_of_each_image_alone():
    model, now = network(), batch()
    logits, gradient = label_gradient(model, now.images, now.labels)
    torch.testing.assert_close(gradient, saliency_by_hand(model, now))
    torch.testing.assert_close(logits, model.eval()(now.images).detach())
    assert not now.images.requires_grad


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_lowest_are_the_first_after_sorting_and_all_maps_have_as_many(share):
    values = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    count = round(share * SIDE**2)
    assert torch.equal(lowest(values, share), lowest_by_hand(values, count))
    assert lowest(torch.zeros(3, SIDE, SIDE), share).sum(dim=(1, 2)).tolist() == [count] * 3
    with pytest.raises(ValueError, match="must be in"):
        lowest(values, share + 1.1)


# Gaussian noise


def test_the_noise_has_its_deviation_and_keeps_to_the_range():
    now = batch(64, images=torch.full((64, 3, SIDE, SIDE), 0.5))
    loss, watch = watched("gaussian-noise", now)
    (noisy,) = watch.inputs(training=True)
    # The quartiles of a normal distribution lie 1.349 deviations apart, and nothing is clamped there.
    low, middle, high = noisy.flatten().quantile(torch.tensor([0.25, 0.5, 0.75]))
    assert (high - low) / 1.349 == pytest.approx(gaussian_noise.SIGMA, rel=0.03)
    assert middle == pytest.approx(0.5, abs=0.01)
    assert noisy.min() == 0
    assert noisy.max() == 1
    (logits,) = watch.outputs(training=True)
    assert float(loss.detach()) == pytest.approx(cross_entropy_by_hand(logits, now), rel=1e-5)


# TRADES


def test_trades_is_its_formula():
    now = batch()
    loss, watch = watched("trades", now)
    clean, _ = watch.inputs(training=True)
    assert torch.equal(clean, now.images)
    assert float(loss.detach()) == pytest.approx(consistency_by_hand(watch, now, weight=6.0), rel=1e-5)


def test_the_attack_of_trades_is_ten_steps_away_from_the_models_own_prediction():
    now = batch()
    _, watch = watched("trades", now)
    model = network().eval()
    target = model(now.images).detach().double().softmax(dim=1)
    torch.manual_seed(0)
    moved = now.images + 0.001 * torch.randn_like(now.images)
    for _ in range(10):
        inputs = moved.clone().requires_grad_()
        apart = -(target * model(inputs).double().log_softmax(dim=1)).sum()
        moved = moved + EPS / 4 * torch.autograd.grad(apart, inputs)[0].sign()
        moved = now.images + (moved - now.images).clamp(-EPS, EPS)
    found = watch.inputs(training=True)[1]
    # A gradient near zero may have either sign.
    assert ((found - moved).abs() < 1e-6).float().mean() > 0.99
    before = divergence(target.log(), model(now.images + 0.001 * torch.randn_like(now.images)))
    assert divergence(target.log(), model(found)).sum() > 20 * before.sum()


def test_trades_starts_next_to_the_image():
    images = torch.full((4, 3, 50, 50), 0.5)
    delta = trades.ATTACK.random(images) - images
    assert delta.std() == pytest.approx(0.001, rel=0.05)


# FGSM with a random start


def test_fgsm_rs_is_one_step_from_a_random_start_put_back_into_the_ball():
    now = batch()
    loss, watch = watched("fgsm-rs", now)
    model = network().eval()
    torch.manual_seed(0)
    delta = torch.empty_like(now.images).uniform_(-EPS, EPS)
    inputs = (now.images + delta).requires_grad_()
    (slope,) = torch.autograd.grad(functional.cross_entropy(model(inputs), now.labels), inputs)
    (moved,) = watch.inputs(training=True)
    torch.testing.assert_close(moved, now.images + (delta + 1.25 * EPS * slope.sign()).clamp(-EPS, EPS))
    assert float(loss.detach()) == pytest.approx(cross_entropy_by_hand(watch.outputs(training=True)[0], now), rel=1e-5)


# Free


def free_by_hand(model: nn.Module, batches: list[Batch]) -> tuple[list[torch.Tensor], list[float]]:
    """Perturbations and losses, with the perturbation as one more weight."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    delta = torch.zeros_like(batches[0].images)
    deltas, losses = [], []
    for now in batches:
        delta = (now.images + delta).clamp(0, 1) - now.images
        delta.requires_grad_()
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(now.images + delta), now.labels, weight=now.class_weights)
        loss.backward()
        delta = (delta.detach() + EPS * delta.grad.sign()).clamp(-EPS, EPS)
        delta = (now.images + delta).clamp(0, 1) - now.images
        optimizer.step()
        deltas.append(delta)
        losses.append(float(loss.detach()))
    return deltas, losses


def test_free_is_its_algorithm_for_two_replays_and_another_batch():
    memory: dict[str, torch.Tensor] = {}
    first = batch(memory=memory)
    # Dark images, so that the range holds the perturbation back.
    second = replace(first, images=first.images.flip(0) * 0.01, labels=first.labels.flip(0))
    batches = [first, first, second]
    deltas, losses = free_by_hand(network(), batches)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for now, delta, loss_by_hand in zip(batches, deltas, losses, strict=True):
        optimizer.zero_grad()
        loss = free.free(model, now)
        assert float(loss.detach()) == pytest.approx(loss_by_hand, rel=1e-4)
        loss.backward()
        optimizer.step()
        found = memory[free.PERTURBATION]
        assert ((found - delta).abs() < 1e-6).float().mean() > 0.99
        assert found.abs().max() <= EPS + 1e-7
        assert not found.requires_grad


def test_free_begins_on_the_images_themselves_and_moves_with_the_backward_pass_only():
    now = batch()
    loss, watch = watched("free", now)
    assert torch.equal(watch.inputs(training=True)[0], now.images)
    assert not now.memory
    loss.backward()
    best_weights = now.memory[free.PERTURBATION]
    assert best_weights.abs().max() == pytest.approx(EPS, rel=1e-4)
    _, watch = watched("free", now)
    torch.testing.assert_close(watch.inputs(training=True)[0], now.images + best_weights)
    assert now.memory[free.PERTURBATION] is best_weights
    _, watch = watched("free", batch(5, memory=now.memory))
    assert torch.equal(watch.inputs(training=True)[0], batch(5).images)


def test_free_holds_no_batch_in_a_circle():
    seen = []
    model = network()
    model.register_forward_pre_hook(lambda _model, inputs: seen.append(weakref.ref(inputs[0])))
    gc.disable()
    try:
        free.free(model, batch()).backward()
        assert seen[0]() is None
    finally:
        gc.enable()


# Saliency guided training


def test_sgt_is_its_formula():
    now = batch()
    loss, watch = watched("sgt", now)
    assert torch.equal(watch.inputs(training=True)[0], now.images)
    assert float(loss.detach()) == pytest.approx(consistency_by_hand(watch, now, weight=1.0), rel=1e-5)


@pytest.mark.parametrize("ranking", ["signed", "absolute"])
def test_sgt_replaces_exactly_the_lower_half_by_values_of_the_image(ranking):
    now, model = batch(), network()
    # Each image with a range of its own.
    now = replace(now, images=now.images * torch.linspace(0.3, 1, 8).reshape(-1, 1, 1, 1))
    changed = sgt.replace_lowest(model, now, replace(sgt.SETTINGS, ranking=ranking))
    gradient = saliency_by_hand(model, now)
    mask = (changed != now.images).all(dim=1)
    assert torch.equal((changed != now.images).any(dim=1), mask)
    assert_lowest(mask, (gradient if ranking == "signed" else gradient.abs()).mean(dim=1))
    for number, image in enumerate(now.images):
        filled = changed[number][:, mask[number]]
        assert image.min() <= filled.min() < filled.max() <= image.max()
        middle = (image.min() + image.max()) / 2
        assert filled.mean() == pytest.approx(float(middle), abs=0.15 * float(image.max() - image.min()))


@pytest.mark.parametrize("wrong", [{"fraction": 1.5}, {"ranking": "both"}, {"weight": -1.0}, {"weight": math.nan}])
def test_sgt_refuses_settings_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="is invalid"):
        replace(sgt.SETTINGS, **wrong)


# SCAAT


def scaat_by_hand(model: nn.Module, now: Batch, eps: torch.Tensor, settings: scaat.SCAAT) -> torch.Tensor:
    """The formula, an image at a time, for the constraint "lowest"; the start is drawn as the code does."""
    start = 2 * torch.rand_like(now.images) - 1
    masks = lowest(label_gradient(model, now.images, now.labels)[1].abs().mean(dim=1), settings.k)
    model.eval()
    moved = []
    for x, mask, noise, budget in zip(now.images, masks, start, eps, strict=True):
        target = model(x[None]).detach()
        d = mask * noise * budget
        for _ in range(settings.steps):
            inputs = d.clone().requires_grad_()
            apart = divergence(target, model((x + inputs)[None])).sum()
            d = d + settings.step * budget * torch.autograd.grad(apart, inputs)[0].sign()
            d = torch.minimum(torch.maximum(d, -budget * mask), budget * mask)
            d = (x + d).clamp(0, 1) - x
        moved.append(x + d)
    model.train()
    return torch.stack(moved)


@pytest.mark.parametrize(("steps", "step"), [(1, 1.25), (4, 0.4)])
def test_scaat_moves_the_images_as_the_slow_formula_does(steps, step):
    now, model = batch(), network()
    settings = replace(scaat.SETTINGS, steps=steps, step=step)
    eps = torch.linspace(1 / 255, 4 / 255, 8)
    torch.manual_seed(0)
    found = scaat.attacked(model, now, eps, settings)
    torch.manual_seed(0)
    expected = scaat_by_hand(model, now, eps, settings)
    assert ((found - expected).abs() < 1e-6).float().mean() > 0.99


def test_scaat_is_its_formula():
    now = batch()
    loss, watch = watched("scaat", now)
    assert torch.equal(watch.inputs(training=True)[0], now.images)
    assert float(loss.detach()) == pytest.approx(consistency_by_hand(watch, now, weight=1.0), rel=1e-5)


@pytest.mark.parametrize("name", SCAATS)
def test_scaat_moves_the_pixels_of_its_mask_and_no_others(name):
    now, model, settings = batch(), network(), replace(SCAATS[name], steps=3)
    eps = torch.linspace(0.5 / 255, 4 / 255, 8)
    delta = scaat.attacked(model, now, eps, settings) - now.images
    moved = (delta != 0).any(dim=1)
    saliency = saliency_by_hand(model, now).abs().mean(dim=1)
    if name == "scaat":
        assert_lowest(moved, saliency)
    if name == "scaat-inverted":
        assert_lowest(~moved, saliency)
    if name == "scaat-random":
        assert moved.sum(dim=(1, 2)).tolist() == [SIDE**2 // 2] * 8
        # Half of the less salient ones are among them, give or take four deviations.
        assert (moved & (saliency < saliency.flatten(1).median(dim=1).values[:, None, None])).sum() == pytest.approx(
            8 * SIDE**2 / 4, abs=4 * (8 * SIDE**2 / 16) ** 0.5
        )
        assert not torch.equal(moved[0], moved[1])
    if name == "scaat-whole":
        assert moved.all()
    assert (delta.abs().amax(dim=(1, 2, 3)) <= eps + 1e-7).all()


@pytest.mark.parametrize("name", SCAATS)
def test_a_budget_grows_when_the_label_survives_and_shrinks_when_it_does_not(name):
    now = batch()
    _, watch = watched(name, now)
    predicted = watch.outputs(training=True)[1].argmax(dim=1)
    survived = torch.arange(8) % 2 == 0
    # The same seed, so that the same images are attacked, but other labels: those of the even ones are right.
    labels = torch.where(survived, predicted, (predicted + 1) % 3)
    now = batch(labels=labels)
    _, watch = watched(name, now)
    survived = watch.outputs(training=True)[1].argmax(dim=1) == labels
    assert 0 < survived.sum() < 8
    expected = torch.full((20,), EPS)
    for place, good in zip(now.indices, survived, strict=True):
        expected[place] = EPS * 1.1 if good else EPS / 1.1
    torch.testing.assert_close(now.memory[scaat.BUDGETS], expected)


def test_budgets_stay_within_their_bounds_and_are_those_of_the_next_attack():
    now = batch()
    for _ in range(30):
        _, watch = watched("scaat", now)
    budgets = now.memory[scaat.BUDGETS]
    assert budgets.min() == pytest.approx(0.5 / 255)
    assert budgets.max() == pytest.approx(4 / 255)
    used = (watch.inputs(training=True)[1] - now.images).abs().amax(dim=(1, 2, 3))
    assert (used <= budgets[now.indices] * 1.1 + 1e-7).all()
    assert used.max() > 3 / 255
    assert torch.equal(budgets[1::2], torch.full((10,), EPS))


def test_budgets_may_stay_as_they_are():
    now = batch()
    scaat.scaat_objective(replace(scaat.SETTINGS, adapt=1.0))(network(), now)
    assert torch.equal(now.memory[scaat.BUDGETS], torch.full((20,), EPS))


def test_every_entry_of_scaat_says_that_it_is_a_reconstruction():
    for name in SCAATS:
        regime = entries(Regime)[name]
        assert all("reconstruction" in text for text in (regime.title, regime.description.lower(), regime.source))
    assert entries(Regime)["scaat"].title == "SCAAT-like (own reconstruction)"
    assert len({entries(Regime)[name].title for name in SCAATS}) == len(SCAATS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"constraint": "soft"},
        {"k": 0.0},
        {"k": 1.1},
        {"steps": 0},
        {"step": 0.0},
        {"eps": 5 / 255},
        {"bounds": (0.0, 4 / 255)},
        {"bounds": (4 / 255, 2 / 255)},
        {"adapt": 0.9},
        {"lam": -1.0},
        {"lam": math.nan},
    ],
)
def test_scaat_refuses_settings_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="is invalid"):
        replace(scaat.SETTINGS, **wrong)


# From a robust model


@pytest.mark.parametrize(
    ("name", "frozen"),
    [
        ("robust-finetune", 0),
        ("robust-stem-1", 0),
        ("robust-stem", 1),
        ("robust-stem-3", 2),
        ("robust-stem-4", 3),
        ("robust-stem-5", 4),
    ],
)
def test_refitting_begins_with_a_robust_model_at_a_small_pace(name, frozen):
    regime, now = entries(Regime)[name], batch()
    assert (regime.init_from, regime.frozen, regime.lr_scale) == ("pgd-l2", frozen, 1 / 30)
    assert regime.cost == [3, 2.6, 2.1, 1.4, 1][frozen]
    loss, watch = watched(name, now)
    assert torch.equal(watch.inputs(training=True)[0], now.images)
    assert float(loss.detach()) == pytest.approx(cross_entropy_by_hand(watch.outputs(training=True)[0], now), rel=1e-5)


# Classes and masks


def mask_loss_by_hand(logits: torch.Tensor, mask: torch.Tensor) -> float:
    entropy = both = either = 0.0
    for logit, truth in zip(logits.flatten().tolist(), mask.flatten().tolist(), strict=True):
        share = 1 / (1 + math.exp(-logit))
        entropy -= truth * math.log(share) + (1 - truth) * math.log(1 - share)
        both += share * truth
        either += share + truth
    return entropy / mask.numel() + 1 - (2 * both + 1) / (either + 1)


def masks_with_gaps() -> torch.Tensor:
    """Of eight, one empty, one soft, one missing, and one missing that was turned, with zeros in the corner."""
    masks = batch().masks.clone()
    masks[1] = 0
    masks[2] = masks[2] * 0.5
    masks[3] = torch.nan
    masks[5] = torch.nan
    masks[5, :3, :3] = 0
    return masks


def test_multitask_is_the_class_and_the_known_masks_by_hand():
    now, model = batch(masks=masks_with_gaps()), network()
    loss = multitask.multitask(model, now)
    logits, predicted = network().with_mask(now.images)
    known = [number for number in range(8) if number not in {3, 5}]
    by_hand = [mask_loss_by_hand(predicted[number].detach(), now.masks[number]) for number in known]
    expected = cross_entropy_by_hand(logits.detach(), now) + sum(by_hand) / len(by_hand)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_without_any_mask_multitask_learns_the_class_alone():
    now, model = batch(masks=torch.full((8, SIDE, SIDE), torch.nan)), network()
    loss = multitask.multitask(model, now)
    logits, weights = network()(now.images).double(), now.class_weights.double()
    assert torch.equal(loss, functional.cross_entropy(logits, now.labels, weight=weights))
    loss.backward()
    assert not model.mask.weight.grad.any()
    assert model.body[0].weight.grad.isfinite().all()


def test_the_right_mask_costs_nothing_even_if_it_is_empty():
    masks = torch.zeros(2, SIDE, SIDE)
    masks[1, 3:8, 3:8] = 1
    sure = 60 * (masks - 0.5)
    torch.testing.assert_close(multitask.mask_loss(sure, masks), torch.zeros(2, dtype=torch.float64), atol=1e-5, rtol=0)
    assert (multitask.mask_loss(-sure, masks) > 30).all()
    # Of an empty mask the smoothed Dice falls with what is predicted.
    many, few = (multitask.mask_loss(torch.full((1, SIDE, SIDE), value), masks[:1]) for value in (-5.0, -9.0))
    assert few < many - 0.3


def test_multitask_refuses_networks_and_batches_without_masks():
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 3))
    with pytest.raises(ValueError, match=r"^multitask trains on masks, but Sequential predicts none$"):
        multitask.multitask(plain, batch())
    with pytest.raises(ValueError, match=r"^multitask trains on masks, but the batch has none$"):
        multitask.multitask(network(), batch(masks=None))
    assert entries(Regime)["multitask"].needs_masks


# Norm-regularized adversarial training


def loss_gradients(now: Batch) -> torch.Tensor:
    """Gradient of the loss of each image alone, in evaluation mode."""
    model, found = network().eval(), []
    for image, label in zip(now.images, now.labels, strict=True):
        inputs = image[None].clone().requires_grad_()
        loss = functional.cross_entropy(model(inputs).double(), label[None])
        found.append(torch.autograd.grad(loss, inputs)[0][0])
    return torch.stack(found)


def unit_patches_by_hand(gradient: torch.Tensor) -> torch.Tensor:
    found = torch.zeros_like(gradient)
    height, width = gradient.shape[-2:]
    for image, channel in [(i, c) for i in range(len(gradient)) for c in range(gradient.shape[1])]:
        patches: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for y, x in [(y, x) for y in range(height) for x in range(width)]:
            patches.setdefault((y * 16 // height, x * 16 // width), []).append((y, x))
        for pixels in patches.values():
            values = [float(gradient[image, channel, y, x]) for y, x in pixels]
            root = math.sqrt(sum(value * value for value in values) / len(values))
            for (y, x), value in zip(pixels, values, strict=True):
                found[image, channel, y, x] = value / root if root else 0.0
    return found


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_regularized_step_is_its_formula(name):
    now = batch()
    gradient = loss_gradients(now)
    step = 0.01 * (unit_patches_by_hand(gradient) if name == "norm-group" else gradient.sign())
    if name == "norm-elastic":
        step += 0.1 * gradient
    loss, watch = watched(name, now)
    (found,) = watch.inputs(training=True)
    # A gradient near zero may have either sign.
    assert ((found - (now.images + step).clamp(0, 1)).abs() < 1e-6).float().mean() > 0.99
    assert float(loss.detach()) == pytest.approx(cross_entropy_by_hand(watch.outputs(training=True)[0], now), rel=1e-5)


def test_the_elastic_step_adds_the_gradient_itself_and_not_its_direction():
    now = batch()
    sure = replace(now, labels=network().eval()(now.images).argmax(dim=1))
    settings = norm_regularized.NormRegularized(norm="elastic", eps=0.0, eps2=0.5)
    step = norm_regularized.moved(network(), sure, settings) - sure.images
    torch.testing.assert_close(step, loss_gradients(sure), atol=2e-7, rtol=1e-4)
    assert 0 < step.abs().max() < 0.2


@pytest.mark.parametrize(("height", "width"), [(32, 32), (37, 44), (12, 50)])
def test_patches_have_the_root_mean_square_one(height, width):
    gradient = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(4))
    gradient[0, 1, : height // 2] = 0.0
    torch.testing.assert_close(norm_regularized.unit_patches(gradient), unit_patches_by_hand(gradient))
    torch.testing.assert_close(norm_regularized.unit_patches(1e-30 * gradient), unit_patches_by_hand(gradient))
    assert not norm_regularized.unit_patches(torch.zeros(1, 3, height, width)).any()


@pytest.mark.parametrize("name", NORMS)
def test_norm_regularized_images_stay_in_the_range(name):
    images = torch.rand(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)).round()
    _, watch = watched(name, batch(6, images=images))
    (found,) = watch.inputs(training=True)
    assert found.min() == 0
    assert found.max() == 1
    assert not torch.equal(found, images)


@pytest.mark.parametrize("changes", [{"norm": "l2"}, {"eps": -0.1}, {"eps": 1.1}, {"eps2": -1.0}, {"eps2": math.inf}])
def test_invalid_settings_of_norm_regularized_training_are_refused(changes):
    with pytest.raises(ValueError, match="is invalid"):
        norm_regularized.NormRegularized(**({"norm": "l1", "eps": 0.1} | changes))


# Gradient norm


def test_the_gradient_norm_is_its_formula():
    now, model = batch(), network()
    loss = gradient_norm.gradient_norm(model, now)
    inputs = now.images.clone().requires_grad_()
    logits = network()(inputs)
    (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, now.labels, reduction="sum"), inputs)
    norms = [sum(abs(value) for value in image.flatten().tolist()) for image in gradient]
    weights = [float(now.class_weights[label]) for label in now.labels]
    penalty = sum(weight * norm for weight, norm in zip(weights, norms, strict=True)) / sum(weights)
    expected = cross_entropy_by_hand(logits.detach(), now) + 2 / 255 * penalty
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert int(model.body[1].num_batches_tracked) == 1


def test_the_weights_learn_from_the_gradient_norm_too():
    """The derivative of the whole loss by a weight equals the quotient of differences."""
    now = batch()
    now = replace(now, images=now.images.double())
    model = network().double()
    weight = model.classifier[2].weight
    gradient_norm.gradient_norm(model, now).backward()
    losses = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            weight[1, 7] += step
        losses.append(float(gradient_norm.gradient_norm(model, now).detach()))
        with torch.no_grad():
            weight[1, 7] -= step
    assert float(weight.grad[1, 7]) == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4)
