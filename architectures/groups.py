"""A network cut into five groups of layers, so that the first ones can stay as they are while the rest learns.

Margeloiu et al. cut ResNets in front of layer2, layer3, layer4 and the classifier: where the grid is halved, and where
it ends. That is how any network is cut here.

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

GROUPS = 5
FIRST_STRIDE = 4
BATCHNORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def layer_groups(network: nn.Module, side: int) -> tuple[tuple[str, ...], ...]:
    """Five groups of layers, cut by the stride of the grid that they work towards.

    The first group leads up to a grid of a fourth of the side that the body sees, the next two to an eighth and a
    sixteenth, the fourth to anything coarser; the last one works on vectors. A block counts as a whole, by what it
    puts out: the first convolution of ResNet's layer2 still sees layer1's grid and belongs to the second group.
    Strides are ratios of sides, rounded to powers of two, since convolutions without padding lose a few pixels. A
    vector inside a block (squeeze and excitation) does not end the grid. A group can be empty: VGG16 has no
    weights behind its last pooling but those of the dense layers, hence no fourth group.

    The network is run once without weights, on the meta device; the given one is neither run nor changed.

    Args:
        network: Takes images (N, 3, H, W).
        side: Side in pixels of the images, the architecture's native one: a side at which the last grid is a single
            pixel, or at which dense layers are moved over a grid, would be cut elsewhere.

    Returns:
        Dotted names of the modules that own parameters or buffers, the normalization of a
        :class:`architectures.network.Network` aside, in the order in which they are first called. Every one is in
        exactly one group. What is not called, such as a second head, is at the end of the last group.
    """
    twin = _without_weights(network)
    body = twin.body if isinstance(twin, Network) else twin
    blocks = list(_blocks(body))
    seen: list[int] = []
    called: dict[nn.Module, None] = {}
    grids: dict[nn.Module, int] = {}

    def note_call(module: nn.Module, _inputs: tuple[Tensor, ...]) -> None:
        called.setdefault(module)

    def note_grid(block: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        grids.setdefault(block, _side(output))

    body.register_forward_pre_hook(lambda _, inputs: seen.append(_side(inputs[0])))
    for block in blocks:
        block.register_forward_hook(note_grid)
    names = {module: name for name, module in twin.named_modules() if _owns(module)}
    for module in names:
        module.register_forward_pre_hook(note_call)
    with torch.no_grad():
        twin(torch.empty(1, 3, side, side, device="meta"))

    group, group_of = 0, dict.fromkeys(twin.modules(), GROUPS - 1)
    for block, grid in grids.items():
        group = max(group, _group(seen[0], grid))
        group_of.update(dict.fromkeys(block.modules(), group))
    ordered = {**called, **dict.fromkeys(names)}
    return tuple(tuple(names[module] for module in ordered if group_of[module] == number) for number in range(GROUPS))


def freeze(network: nn.Module, groups: Sequence[Sequence[str]], first: int) -> list[nn.Module]:
    """Keeps the parameters of the first groups from learning.

    That alone does not hold BatchNorm still: in training mode it normalizes by the batch and moves its running mean
    and variance. Whoever calls ``network.train()`` puts the layers returned back into evaluation mode afterwards.

    Args:
        network: The network; it is changed.
        groups: Its :func:`layer_groups`.
        first: How many groups to freeze, in [0, 4]; 0 changes nothing.

    Returns:
        The BatchNorm layers of the frozen groups.

    Raises:
        ValueError: ``first`` is out of range.
    """
    if not 0 <= first < GROUPS:
        raise ValueError(f"0 to {GROUPS - 1} groups of layers can be frozen, not {first}")
    frozen = [network.get_submodule(name) for name in chain.from_iterable(groups[:first])]
    for module in frozen:
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad = False
    return [module for module in frozen if isinstance(module, BATCHNORM)]


def _without_weights(network: nn.Module) -> nn.Module:
    """A copy on the meta device, in evaluation mode; the weights themselves are never copied."""
    # Deep copies look up here what they have copied already.
    memo: dict[int, Tensor] = {id(buffer): torch.empty_like(buffer, device="meta") for buffer in network.buffers()}
    for parameter in network.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
    return copy.deepcopy(network, memo).eval()


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost modules that are more than a list of others."""
    for child in module.children():
        # Not isinstance: a transition of DenseNet is a Sequential too, but a block with a name of its own.
        if type(child) in {nn.Sequential, nn.ModuleList}:
            yield from _blocks(child)
        else:
            yield child


def _owns(module: nn.Module) -> bool:
    """Whether the module itself holds tensors to be trained or saved. Of timm's BatchNorm, not every one is a leaf."""
    tensors = chain(module.parameters(recurse=False), module.buffers(recurse=False))
    return not isinstance(module, Network) and any(True for _ in tensors)


def _side(features: Tensor) -> int:
    """Shorter side of the grid; 1 for vectors."""
    return min(features.shape[2:]) if features.ndim == 4 else 1


def _group(seen: int, grid: int) -> int:
    if grid == 1:
        return GROUPS - 1
    halvings = round(math.log2(seen / grid))
    return min(max(halvings - round(math.log2(FIRST_STRIDE)), 0), GROUPS - 2)
