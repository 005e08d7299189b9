"""Division of a network into five groups of layers, so that training can freeze the first ones.

Margeloiu et al. divide ResNets before layer2, layer3, layer4 and the classifier: where the grid is halved, and where
it ends. The same rule divides any network here.

Reference:
    Margeloiu et al., Improving interpretability in medical imaging diagnosis using adversarial training, 2020,
    arXiv 2012.01166.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from architectures.network import Network

NUM_GROUPS = 5
FIRST_STRIDE = 4
BATCHNORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def layer_groups(network: nn.Module, side: int) -> tuple[tuple[str, ...], ...]:
    """Divides a network into five groups of layers, by the stride of their output grid.

    The first group ends at a grid of a fourth of the input side, the next two at an eighth and a sixteenth. The fourth
    group contains all coarser grids, and the last one works on vectors. The output of a block decides for all its
    layers: the first convolution of ResNet's layer2 reads the grid of layer1, but belongs to the second group.
    Strides are ratios of sides, rounded to powers of two, because convolutions without padding lose a few pixels. A
    vector inside a block (squeeze and excitation) does not end the grid. A group can be empty. After its last pooling,
    VGG16 has weights only in the dense layers, so its fourth group is empty. A transformer whose blocks all work on one
    grid is divided by depth instead: its blocks are divided evenly between the first four groups, the embedding of the
    patches is in the first, and everything behind the blocks is in the last.

    A copy of the network without weights runs once, on the meta device. The network itself is neither run nor changed.

    Args:
        network: Takes images (N, 3, H, W).
        side: Side in pixels of the images, the `input_size` of the architecture. The division differs for sides at
            which the last grid is a single cell, or at which dense layers slide over a grid.

    Returns:
        Dotted names of the modules that own parameters or buffers, in the order of their first call. The normalization
        of a :class:`architectures.network.Network` is left out. Every module is in exactly one group. Modules that are
        not called, such as a second head, are at the end of the last group.
    """
    twin = copy_without_weights(network)
    body = twin.body if isinstance(twin, Network) else twin
    blocks = list(outer_blocks(body))
    input_sides: list[int] = []
    called: dict[nn.Module, None] = {}
    grids: dict[nn.Module, int] = {}

    def record_call(module: nn.Module, _inputs: tuple[Tensor, ...]) -> None:
        called.setdefault(module)

    def record_grid(block: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        grids.setdefault(block, _side(output))

    body.register_forward_pre_hook(lambda _, inputs: input_sides.append(_side(inputs[0])))
    for block in blocks:
        block.register_forward_hook(record_grid)
    names = {module: name for name, module in twin.named_modules() if _owns(module)}
    for module in names:
        module.register_forward_pre_hook(record_call)
    with torch.no_grad():
        twin(torch.empty(1, 3, side, side, device="meta"))

    group, group_by_module = 0, dict.fromkeys(twin.modules(), NUM_GROUPS - 1)
    for block, grid in grids.items():
        group = max(group, _group_index(input_sides[0], grid))
        group_by_module.update(dict.fromkeys(block.modules(), group))
    if isinstance(twin, Network) and twin.grid is not None and hasattr(body, "blocks"):
        group_by_module |= _depth_groups(body)
    ordered = {**called, **dict.fromkeys(names)}
    return tuple(
        tuple(names[module] for module in ordered if group_by_module[module] == index) for index in range(NUM_GROUPS)
    )


def freeze(network: nn.Module, groups: Sequence[Sequence[str]], first: int) -> list[nn.Module]:
    """Freezes the parameters of the first groups.

    That alone does not freeze BatchNorm. In training mode it normalizes by the batch and updates its running mean and
    variance. After every call of ``network.train()``, put the returned layers back into evaluation mode.

    Args:
        network: The network, which is changed in place.
        groups: Its :func:`layer_groups`.
        first: Number of groups to freeze, in [0, 4]. 0 changes nothing.

    Returns:
        The BatchNorm layers of the frozen groups.

    Raises:
        ValueError: ``first`` is out of range.
    """
    if not 0 <= first < NUM_GROUPS:
        raise ValueError(f"0 to {NUM_GROUPS - 1} groups of layers can be frozen, not {first}")
    frozen = [network.get_submodule(name) for name in chain.from_iterable(groups[:first])]
    for module in frozen:
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad = False
    return [module for module in frozen if isinstance(module, BATCHNORM)]


def copy_without_weights(network: nn.Module) -> nn.Module:
    """Returns a copy on the meta device, in evaluation mode. The weights are never copied."""
    # deepcopy takes objects in the memo as already copied.
    memo: dict[int, Tensor] = {id(buffer): torch.empty_like(buffer, device="meta") for buffer in network.buffers()}
    for parameter in network.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
    return copy.deepcopy(network, memo).eval()


def _depth_groups(body: nn.Module) -> dict[nn.Module, int]:
    """Divides the modules of a transformer by depth. The body itself owns the class token and the positions."""
    group_by_module, group = {body: 0}, 0
    for name, child in body.named_children():
        if name == "blocks":
            blocks = list(child.children())
            for index, block in enumerate(blocks):
                group_by_module |= dict.fromkeys(block.modules(), index * (NUM_GROUPS - 1) // len(blocks))
            group = NUM_GROUPS - 1
        else:
            group_by_module |= dict.fromkeys(child.modules(), group)
    return group_by_module


def outer_blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yields the outermost modules that are not just lists of modules."""
    for child in module.children():
        # Not isinstance: a transition of DenseNet is a subclass of Sequential, but counts as a block.
        if type(child) in {nn.Sequential, nn.ModuleList}:
            yield from outer_blocks(child)
        else:
            yield child


def _owns(module: nn.Module) -> bool:
    """Returns whether a module itself owns parameters or buffers. Some BatchNorm layers of timm have children."""
    tensors = chain(module.parameters(recurse=False), module.buffers(recurse=False))
    return not isinstance(module, Network) and any(True for _ in tensors)


def _side(features: Tensor) -> int:
    """Returns the shorter side of the grid, 1 for vectors."""
    return min(features.shape[2:]) if features.ndim == 4 else 1


def _group_index(input_side: int, grid: int) -> int:
    if grid == 1:
        return NUM_GROUPS - 1
    halvings = round(math.log2(input_side / grid))
    return min(max(halvings - round(math.log2(FIRST_STRIDE)), 0), NUM_GROUPS - 2)
