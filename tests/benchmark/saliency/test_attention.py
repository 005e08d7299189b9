"""Attention methods equal the papers' formulas in literal loops over layers and heads of what timm computes itself."""

import copy

import pytest
import torch
from torch import nn

from architectures.network import Network
from benchmark.errors import UserError
from benchmark.registry import entries
from benchmark.saliency import Method, attention
from benchmark.saliency.attention import ExplicitAttention, find_transformer
from tests.architectures.transformers import ATTENDING, NARROW, build_narrow
from tests.benchmark.saliency.networks import Small, images

METHODS = {name: method for name, method in entries(Method).items() if method.needs_attention}
CLASSES = torch.tensor([1, 3])
plain = pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_small_patch16_dinov3", "beit_base_patch16_224"])


def cells(method, network, inputs, classes=CLASSES):
    """Maps of the grid, as they are before they are enlarged."""
    return METHODS[method].explain(network, "grid", inputs, classes, lambda maps, _: maps)


def attentions(network, inputs, classes):
    """Logits, outputs of blocks, and attention of each block by timm's own code, with the whole graph."""
    twin = copy.deepcopy(network)
    weights, outputs = [], []
    for block in twin.body.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda _module, _inputs, output: weights.append(output))
        block.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    logits = twin(inputs)
    return twin.body, logits[range(len(inputs)), classes].sum(), weights, outputs


def start(body, attention):
    """What the classifier reads: the first token, or the mean of the patches."""
    rows = torch.zeros(attention.shape[-1])
    prefix = body.num_prefix_tokens
    if body.global_pool == "token":
        rows[0] = 1
    else:
        rows[prefix:] = 1 / (len(rows) - prefix)
    return rows, prefix


def close(ours, expected):
    expected = expected.reshape(ours.shape)
    assert expected.abs().max() > 0
    torch.testing.assert_close(ours / expected.abs().max(), expected / expected.abs().max(), atol=1e-5, rtol=0)


@plain
def test_rollout_is_the_product_of_all_layers(name):
    _, network = build_narrow(name)
    inputs = images(2, 96, 96)
    body, _, weights, _ = attentions(network, inputs, CLASSES)
    expected = []
    for image in range(2):
        product = torch.eye(weights[0].shape[-1])
        for layer in weights:
            mean = sum(layer[image, head] for head in range(layer.shape[1])) / layer.shape[1]
            mixed = 0.5 * mean + 0.5 * torch.eye(len(mean))
            product = (mixed / mixed.sum(dim=1, keepdim=True)) @ product
        rows, prefix = start(body, weights[0])
        expected.append((rows @ product)[prefix:])
    close(cells("attention-rollout", network, inputs), torch.stack(expected).detach())


@plain
def test_relevance_grows_layer_by_layer(name):
    _, network = build_narrow(name)
    inputs = images(2, 96, 96)
    body, target, weights, _ = attentions(network, inputs, CLASSES)
    gradients = torch.autograd.grad(target, weights)
    expected = []
    for image in range(2):
        relevance = torch.eye(weights[0].shape[-1], dtype=torch.float64)
        for layer, gradient in zip(weights, gradients, strict=True):
            heads = [(gradient[image, head].double() * layer[image, head]).relu() for head in range(layer.shape[1])]
            relevance = relevance + sum(heads) / len(heads) @ relevance
        rows, prefix = start(body, weights[0])
        expected.append((rows.double() @ (relevance - torch.eye(len(relevance))))[prefix:])
    close(cells("attention-relevance", network, inputs), torch.stack(expected).detach().float())


@plain
def test_legrad_is_the_mean_gradient_of_the_logits_of_layers(name):
    _, network = build_narrow(name)
    inputs = images(2, 96, 96)
    body, _, weights, outputs = attentions(network, inputs, CLASSES)
    total = 0
    for layer, tokens in zip(weights, outputs, strict=True):
        logits = body.head(body.fc_norm(body.norm.forward(tokens.mean(dim=1))))
        target = logits[0, CLASSES[0]] + logits[1, CLASSES[1]]
        (gradient,) = torch.autograd.grad(target, layer, retain_graph=True)
        total = total + gradient.relu().mean(dim=1).mean(dim=1)
    prefix = body.num_prefix_tokens
    close(cells("legrad", network, inputs), total[:, prefix:] / len(weights))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ATTENDING)
def test_a_map_depends_on_its_image_and_class_alone(name, method):
    _, network = build_narrow(name)
    inputs, classes = images(3, 48, 64), torch.tensor([0, 1, 2])
    together = METHODS[method].explain(network, "grid", inputs, classes)
    alone = torch.cat([METHODS[method].explain(network, "grid", inputs[[i]], classes[[i]]) for i in range(3)])
    assert together.shape == (3, 48, 64)
    assert together.isfinite().all()
    assert together.min() >= 0
    assert not together.requires_grad
    assert (together.amax(dim=(1, 2)) > 0).all()
    assert (together - alone).abs().le(1e-5 * together.amax(dim=(1, 2), keepdim=True)).all()
    other = METHODS[method].explain(network, "grid", inputs, classes + 1)
    assert torch.equal(together, other) == (method == "attention-rollout")


@pytest.mark.parametrize("method", METHODS)
def test_few_images_at_a_time_are_in_memory(method, monkeypatch):
    _, network = build_narrow("vit_tiny_patch16_224")
    inputs, classes = images(3, 64, 64), torch.tensor([0, 1, 2])
    whole = cells(method, network, inputs, classes)
    sizes = []
    handle = network.register_forward_hook(lambda _module, passed, _output: sizes.append(len(passed[0])))
    layers = 3 if method == "attention-relevance" else 1
    monkeypatch.setattr(attention, "MAX_WEIGHTS", 2 * layers * 2 * 17**2)
    with handle:
        torch.testing.assert_close(cells(method, network, inputs, classes), whole, rtol=1e-5, atol=0)
    assert sizes == [2, 1]


@pytest.mark.parametrize("method", METHODS)
def test_drawing_leaves_no_trace_and_a_failure_neither(method):
    _, network = build_narrow("vit_tiny_patch16_224")
    network = copy.deepcopy(network)
    hooks = [list(module._forward_hooks) for module in network.modules()]
    METHODS[method].explain(network, "grid", images(1, 32, 32), CLASSES[:1])
    network.body.head = nn.Linear(3, 4)
    with pytest.raises(RuntimeError):
        METHODS[method].explain(network, "grid", images(1, 32, 32), CLASSES[:1])
    assert torch.is_grad_enabled()
    assert [list(module._forward_hooks) for module in network.modules()] == hooks
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"attention-rollout"}))
def test_the_map_is_zero_where_nothing_speaks_for_the_class(method):
    _, network = build_narrow("vit_small_patch16_dinov3")
    network = copy.deepcopy(network)
    nn.init.zeros_(network.body.head.weight)
    assert not METHODS[method].explain(network, "grid", images(2, 32, 32), CLASSES).any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", sorted(NARROW.keys() - set(ATTENDING)))
def test_networks_without_attention_over_one_grid_are_refused(name, method):
    entry, network = build_narrow(name)
    with pytest.raises(UserError, match=r"^\w+ has no attention over one grid of tokens, .*; use a CAM method such as"):
        METHODS[method].explain(network, entry.target_layer, images(1, 96, 96), CLASSES[:1])


def test_convolutional_networks_and_unknown_classifiers_are_refused():
    with pytest.raises(UserError, match="Small has no attention"):
        find_transformer(Small(), Small.layer)
    _, network = build_narrow("vit_tiny_patch16_224")
    network = copy.deepcopy(network)
    network.body.global_pool = "map"
    with pytest.raises(UserError, match="reads its tokens by 'map'"):
        find_transformer(network, "grid")
    assert isinstance(network, Network)


@pytest.mark.parametrize("mask", [None, "added", "boolean"])
def test_explicit_attention_is_the_fused_one(mask):
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 9, 8, generator=generator).unbind()
    masks = {
        None: None,
        "added": torch.rand(9, 9, generator=generator),
        "boolean": torch.eye(9, dtype=torch.bool).roll(1, dims=0),
    }
    expected = nn.functional.scaled_dot_product_attention(query, key, value, masks[mask], scale=0.5)
    seen = []
    with ExplicitAttention(lambda weights: seen.append(weights) or weights):
        found = nn.functional.scaled_dot_product_attention(query, key, value, masks[mask], scale=0.5)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(seen[0].sum(dim=-1), torch.ones(2, 4, 9))
