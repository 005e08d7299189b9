"""A tiny network, as a module of torch, as an entry, and as ONNX files of many kinds, some of which do not fit."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from architectures.network import Network

CHANNELS = 6
HALF = (0.5, 0.5, 0.5)
ENTRY = '''"""A tiny network."""

from torch import nn

from architectures import Architecture
from architectures.network import Network


def build(classes: int) -> Network:
    """Returns the network with random weights."""
    pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    body = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), *pooled, nn.Linear(6, classes))
    return Network(body, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


TINY = Architecture(
    name="tiny",
    build=build,
    pretrained=None,
    target_layer="body.1",
    input_size=96,
    learning_rate=1e-3,
    quick_epochs=1,
    source="this test",
)
'''


def tiny(classes: int = 2) -> Network:
    """The same network. It sees texture, which a blur removes, so that its answers move when pixels are deleted."""
    torch.manual_seed(0)
    convolution, classifier = nn.Conv2d(3, CHANNELS, 3, stride=2), nn.Linear(CHANNELS, classes)
    convolution.weight.data -= convolution.weight.data.mean(dim=(1, 2, 3), keepdim=True)
    classifier.weight.data.mul_(20)
    pooled = nn.AdaptiveAvgPool2d(1)
    return Network(nn.Sequential(convolution, nn.ReLU(), pooled, nn.Flatten(), classifier), HALF, HALF).eval()


def write_onnx(
    path: Path,
    network: Network,
    *,
    shape=("n", 3, "h", "w"),
    kind=TensorProto.FLOAT,
    output: str = "logits",
    probabilities: bool = False,
    more_outputs: tuple[str, ...] = (),
    random: bool = False,
    external: bool = False,
    operator: str = "Relu",
) -> Path:
    """Writes the body of a network by hand: the exporter of torch needs seconds, and packages of its own."""
    first, last = network.body[0], network.body[-1]
    weights = {"a": first.weight, "b": first.bias, "c": last.weight, "d": last.bias}
    tensors = [numpy_helper.from_array(value.detach().numpy(), name) for name, value in weights.items()]
    nodes = [] if shape[1] == 3 else [helper.make_node("Transpose", ["x"], ["nchw"], perm=[0, 3, 1, 2])]
    nodes += [
        helper.make_node("Conv", ["x" if shape[1] == 3 else "nchw", "a", "b"], ["maps"], strides=[2, 2]),
        helper.make_node(operator, ["maps"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "c", "d"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("RandomNormalLike", ["logits"], ["random"]),
    ]
    nodes = nodes if len(shape) == 4 else [helper.make_node("Gemm", ["x", "c", "d"], ["logits"], transB=1)]
    names = ("random" if random else "probabilities" if probabilities else output, *more_outputs)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if external:
        onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    else:
        path.write_bytes(model.SerializeToString())
    return path


def images(side: int = 16, count: int = 5) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((count, 3, side, side), dtype=np.float32))
