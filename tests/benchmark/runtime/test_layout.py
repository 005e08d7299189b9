"""Networks that torch would write out of bounds for stay in the default layout on the CPU. Others do not change."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from architectures import Architecture
from benchmark.registry import entries
from benchmark.runtime.layout import find_endangered_layers, place

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")
TRAIN = """
import sys, torch
from torch import nn
from benchmark.runtime.layout import place
torch.set_num_threads(1)
for channels in (3, 4, 8):
    network = nn.Sequential(nn.Conv2d(channels, 48, 1, stride=2), nn.BatchNorm2d(48), nn.Conv2d(48, 8, 3))
    network = place(network, torch.device("cpu")) if {safe} else network.to(memory_format=torch.channels_last)
    for _ in range(5):
        images = torch.rand(4, channels, 96, 96).contiguous(memory_format=torch.channels_last).requires_grad_()
        network(images).square().sum().backward()
print("survived")
"""


def train(*, safe):
    """Trains under a malloc that checks its heap, in a process of its own."""
    checked = {"LD_PRELOAD": "libc_malloc_debug.so.0", "MALLOC_CHECK_": "3"}
    command = [sys.executable, "-c", TRAIN.format(safe=safe)]
    return subprocess.run(command, cwd=ROOT, env=os.environ | checked, capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc alone has the check")
def test_the_heap_is_whole_after_the_backward_pass_of_narrow_pointwise_convolutions():
    """Without `place` the same process dies with torch 2.14.1; later versions may not."""
    done = train(safe=True)
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr


def conv(channels, stride=2, kernel=1, **options):
    return nn.Conv2d(channels, 16, kernel, stride=stride, **options)


@pytest.mark.parametrize(
    ("layer", "endangered"),
    [
        (conv(3), True),
        (conv(15, stride=(1, 2)), True),
        (conv(16, groups=2), True),
        (conv(16), False),
        (conv(3, stride=1), False),
        (conv(3, kernel=3), False),
    ],
)
def test_layers_are_found_by_what_they_are(layer, endangered):
    assert bool(find_endangered_layers(nn.Sequential(layer))) == endangered
    placed = place(nn.Sequential(nn.Conv2d(layer.in_channels, layer.in_channels, 3), layer), CPU)
    assert placed[0].weight.is_contiguous(memory_format=torch.channels_last) != endangered


def test_a_network_in_the_default_layout_computes_the_same():
    network = nn.Sequential(conv(3), nn.Conv2d(16, 4, 3))
    images = torch.rand(2, 3, 20, 20).contiguous(memory_format=torch.channels_last)
    expected, seen = network(images), []
    place(network, CPU)
    network[0].register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    torch.testing.assert_close(network(images), expected)
    assert seen[0].is_contiguous()


@pytest.mark.parametrize("name", entries(Architecture))
def test_no_registered_network_has_such_a_layer(name):
    with torch.device("meta"):
        assert not find_endangered_layers(entries(Architecture)[name].build(2))
