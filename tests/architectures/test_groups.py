"""Every network falls into five groups of layers, and the first ones can be held still."""

import copy
from functools import cache

import pytest
import torch
from torch import nn

from architectures import Architecture
from architectures.groups import freeze, layer_groups
from architectures.network import Network
from benchmark.registry import entries
from tests.architectures.paper import KNOWN

ENTRIES = entries(Architecture)
registered = pytest.mark.parametrize("name", ENTRIES)
known = pytest.mark.parametrize("name", KNOWN)


def make_meta(name):
    with torch.device("meta"):
        return ENTRIES[name].build(6).eval()


@cache
def groups_of(name):
    return layer_groups(make_meta(name), ENTRIES[name].input_size)


class Gate(nn.Module):
    """Squeezes and excites: a vector inside the grid."""

    def __init__(self, channels):
        super().__init__()
        self.dense = nn.Conv2d(channels, channels, 1)

    def forward(self, features):
        return features * self.dense(features.mean(dim=(2, 3), keepdim=True)).sigmoid()


class Small(nn.Module):
    """Strides 4, 8, 8, 16, 32, then a vector; ``spare`` is never called."""

    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(2, 2)
        self.grids = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 4, 3, stride=4, padding=1), nn.BatchNorm2d(4)),
            nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6)),
            Gate(6),
            nn.Conv2d(6, 6, 3, stride=2, padding=1),
            nn.Conv2d(6, 6, 3, stride=2, padding=1),
        )
        self.classifier = nn.Linear(6, 3)

    def forward(self, images):
        return self.classifier(self.grids(images).relu().mean(dim=(2, 3)))


SMALL_GROUPS = (
    ("grids.0.0", "grids.0.1"),
    ("grids.1.0", "grids.1.1", "grids.2.dense"),
    ("grids.3",),
    ("grids.4",),
    ("classifier", "spare"),
)


@registered
def test_every_parameter_and_buffer_is_in_exactly_one_group(name):
    network = make_meta(name)
    groups = groups_of(name)
    assert len(groups) == 5
    if name in KNOWN:
        assert groups[0]
        assert groups[4]
    own = [network.get_submodule(path) for group in groups for path in group]
    assert len(set(own)) == len(own)
    held = [tensor for module in own for tensor in (*module._parameters.values(), *module._buffers.values())]
    held = [id(tensor) for tensor in held if tensor is not None]
    assert len(set(held)) == len(held)
    wanted = {id(tensor) for tensor in (*network.parameters(), *network.buffers())}
    normalization = {id(network.mean), id(network.std)} if isinstance(network, Network) else set()
    assert set(held) == wanted - normalization


@registered
def test_names_stand_in_the_order_of_calls(name):
    """Groups too: no layer of a group is called before the last one of the group in front has been."""
    network = make_meta(name)
    # Rotary embeddings have no weights, and timm asks them for a table without a call.
    ordered = [path for group in groups_of(name) for path in group if not path.endswith(".rope")]
    calls = {}
    for path in ordered:
        network.get_submodule(path).register_forward_pre_hook(lambda *_, path=path: calls.setdefault(path))
    network(torch.empty(1, 3, 128, 128, device="meta"))
    assert list(calls) == ordered[: len(calls)]
    assert ENTRIES[name].predicts_masks or len(calls) == len(ordered)
    assert name not in KNOWN or all(path.startswith("mask_head.") for path in ordered[len(calls) :])


@known
def test_the_last_group_is_the_classifier_alone(name):
    last = [path for path in groups_of(name)[4] if not path.startswith("mask_head.")]
    classifiers = {"body.fc", "body.classifier", "body.classif", "body.head.fc"}
    dense = ["body.pre_logits.fc1", "body.pre_logits.fc2"] if name == "vgg16" else []
    assert last[:-1] == dense
    assert last[-1] in classifiers


@known
def test_saliency_layer_is_the_end_of_the_grid(name):
    """All that lies in or before it works on grids, and all that comes after it on vectors."""
    grids = [path for group in groups_of(name)[:4] for path in group]
    layer = ENTRIES[name].target_layer
    # The last two are activations without weights, right behind the last layer with some.
    behind = {"vgg16": "body.features.28", "nasnet_mobile": "body.cells.15", "xception": "body.bn4"}
    assert grids[-1].startswith(behind.get(name, layer))


@pytest.mark.parametrize("name", ["resnet50", "resnet50_multitask"])
def test_resnet_is_cut_as_in_the_paper(name):
    heads = [{path.removeprefix("body.").split(".")[0] for path in group} for group in groups_of(name)]
    last = {"fc", "mask_head"} if name == "resnet50_multitask" else {"fc"}
    assert heads == [{"conv1", "bn1", "layer1"}, {"layer2"}, {"layer3"}, {"layer4"}, last]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("densenet121", ["conv0", "transition1.norm", "transition2.norm", "transition3.norm"]),
        ("efficientnet_b0", ["conv_stem", "blocks.2.0.conv_pw", "blocks.3.0.conv_pw", "blocks.5.0.conv_pw"]),
        ("inception_v3", ["Conv2d_1a", "Mixed_5b", "Mixed_6a", "Mixed_7a"]),
        ("inception_resnet_v2", ["conv2d_1a", "mixed_5b", "mixed_6a", "mixed_7a"]),
        ("nasnet_mobile", ["stem.0", "cells.1.", "cells.6.", "cells.11."]),
        ("vgg16", ["0", "17", "24"]),
        ("xception", ["conv1", "block2.", "block3.", "block12."]),
    ],
)
def test_groups_begin_where_the_grid_is_halved(name, first):
    begins = [group[0].removeprefix("body.").removeprefix("features.") for group in groups_of(name)[:4] if group]
    assert all(path.startswith(start) for path, start in zip(begins, first, strict=True)), begins


@pytest.mark.parametrize(("name", "empty"), [("vgg16", {3})])
def test_only_vgg_has_an_empty_group(name, empty):
    assert {number for number, group in enumerate(groups_of(name)) if not group} == empty
    assert all(all(groups_of(other)) for other in KNOWN if other != name)


@pytest.mark.parametrize("name", ["inception_v3", "resnet50", "mobilenet_v2"])
def test_the_side_hardly_matters(name):
    assert layer_groups(make_meta(name), 160) == groups_of(name)
    if name == "inception_v3":  # Enlarged to 139 before the body sees it.
        assert layer_groups(make_meta(name), 96) == groups_of(name)


def test_blocks_count_by_what_they_put_out_and_gates_by_the_grid_around_them():
    assert layer_groups(Small(), 96) == SMALL_GROUPS
    wrapped = layer_groups(Network(Small(), [0.5] * 3, [0.5] * 3, smallest_side=96), 32)
    assert wrapped == tuple(tuple(f"body.{path}" for path in group) for group in SMALL_GROUPS)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_neither_run_nor_changed(training):
    torch.manual_seed(0)
    network = Network(Small(), [0.5] * 3, [0.5] * 3).train(training)
    network.body.grids[0].eval()
    network.body.classifier.bias.requires_grad_(requires_grad=False)
    before = copy.deepcopy(network.state_dict())
    modes = [module.training for module in network.modules()]
    trained = [parameter.requires_grad for parameter in network.parameters()]
    layer_groups(network, 96)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert [module.training for module in network.modules()] == modes
    assert [parameter.requires_grad for parameter in network.parameters()] == trained
    for module in network.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"cpu"}


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0", "vgg16"])
def test_freezing_takes_exactly_the_parameters_of_the_first_groups(name, first):
    network, groups = make_meta(name), groups_of(name)
    frozen = freeze(network, groups, first)
    cold = {path for group in groups[:first] for path in group}
    for key, parameter in network.named_parameters():
        assert parameter.requires_grad == (key.rpartition(".")[0] not in cold), key
    norms = {path for path in cold if isinstance(network.get_submodule(path), nn.BatchNorm2d)}
    assert {id(layer) for layer in frozen} == {id(network.get_submodule(path)) for path in norms}
    assert bool(frozen) == (first > 0 and name != "vgg16")


def trained_a_step(network, frozen):
    """As the loop does it."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    network.train()
    for layer in frozen:
        layer.eval()
    images = torch.rand(4, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    nn.functional.cross_entropy(network(images), torch.arange(4) % 3).backward()
    optimizer.step()


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("build", [Small, lambda: ENTRIES["mobilenet_v2"].build(3)], ids=["small", "mobilenet_v2"])
def test_a_step_of_training_leaves_the_frozen_groups_as_they_were(build, first):
    torch.manual_seed(0)
    network = build()
    groups = layer_groups(network, 96 if isinstance(network, Small) else 224)
    frozen = freeze(network, groups, first)
    before = copy.deepcopy(network.state_dict())
    trained_a_step(network, frozen)
    for number, group in enumerate(groups):
        called = [path for path in group if path != "spare"]
        states = {f"{path}.{key}" for path in called for key in network.get_submodule(path).state_dict()}
        changed = {key for key in states if not torch.equal(before[key], network.state_dict()[key])}
        assert changed == (set() if number < first else states)


def test_without_care_for_batchnorm_its_statistics_would_move():
    """What the returned layers are for."""
    network = Small()
    freeze(network, SMALL_GROUPS, 1)
    before = network.grids[0][1].running_mean.clone()
    trained_a_step(network, frozen=[])
    assert not torch.equal(before, network.grids[0][1].running_mean)


@pytest.mark.parametrize("first", [-1, 5])
def test_only_the_first_four_groups_can_be_frozen(first):
    with pytest.raises(ValueError, match=rf"^0 to 4 groups of layers can be frozen, not {first}$"):
        freeze(Small(), SMALL_GROUPS, first)
