"""A network behind a connection gives the scores, maps and attacks of the same network in this process."""

import socket
from contextlib import contextmanager
from threading import Thread

import pytest
import torch
from torch import nn

from benchmark.attacks.apgd import APGD, apgd
from benchmark.attacks.maps import MapAttack, attack_maps
from benchmark.attacks.pgd import PGD, pgd
from benchmark.errors import UserError
from benchmark.registry import entries
from benchmark.saliency import Method
from benchmark.submission.judge import service
from benchmark.submission.judge.network import RemoteNetwork
from benchmark.submission.judge.wire import Operation, receive, send


class Skipping(nn.Module):
    """A smooth network whose logits depend on the image past its target layer, too."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.SiLU(), nn.Conv2d(6, 8, 3), nn.SiLU())
        self.head = nn.Linear(8, 3)
        self.past = nn.Linear(3, 3)
        for parameter in self.parameters():
            parameter.data.mul_(3)

    def forward(self, images):
        return self.head(self.trunk(images).square().mean((2, 3))) + self.past(images.pow(2).mean((2, 3)))


@contextmanager
def connected(network: nn.Module, layer: str, classes: int = 3):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        answering = Thread(target=lambda: service._Service(theirs, network, layer, torch.device("cpu")).serve())
        answering.start()
        yield RemoteNetwork(ours, layer, classes)
        ours.shutdown(socket.SHUT_RDWR)
        answering.join()


@pytest.fixture(scope="module")
def pair():
    torch.manual_seed(0)
    network = Skipping().eval()
    with connected(network, "trunk.3") as remote:
        yield network, remote


IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)).contiguous(
    memory_format=torch.channels_last
)
CLASSES = torch.tensor([0, 1, 2, 0])
INNER = {"guided-backprop"}
METHODS = [m for m in entries(Method).values() if not m.needs_attention and m.name not in INNER]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_maps_of_each_method_are_the_same(pair, method):
    ours, theirs = (method.explain(network, "trunk.3", IMAGES[:2], CLASSES[:2]) for network in pair)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-6)


ATTACKS = {
    "pgd": lambda network: pgd(
        network, IMAGES, CLASSES, PGD(norm="l2", eps=2.0, steps=3, step=0.3, random_start=False)
    ),
    "apgd": lambda network: apgd(network, IMAGES, CLASSES, APGD(norm="l2", eps=2.0, steps=4, loss="ce")),
    "maps": lambda network: attack_maps(
        network,
        "trunk.3",
        IMAGES,
        CLASSES,
        MapAttack(norm="l2", eps=2.0, steps=3, step=0.3, aim="away", keep_class=True),
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_find_the_same_images(pair, attack):
    ours, theirs = (ATTACKS[attack](network) for network in pair)
    assert (ours - IMAGES).abs().max() > 1e-2
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-6)


def test_a_hook_may_change_the_activations(pair):
    for changed in (torch.zeros_like, lambda output: 2 * output):
        logits = []
        for network in pair:
            with network.get_submodule("trunk.3").register_forward_hook(lambda *call, f=changed: f(call[-1])):
                logits.append(network(IMAGES).detach())
        torch.testing.assert_close(logits[1], logits[0])
        assert (logits[0] - pair[0](IMAGES)).abs().max() > 1e-2


def test_only_the_number_of_parameters_is_here(pair):
    network, remote = pair
    assert sum(p.numel() for p in remote.parameters()) == sum(p.numel() for p in network.parameters())
    assert all(p.is_meta for p in remote.parameters())


def test_the_box_forgets_what_no_gradient_needs():
    torch.manual_seed(0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        answering = service._Service(theirs, Skipping().eval(), "trunk.3", torch.device("cpu"))
        thread = Thread(target=answering.serve)
        thread.start()
        remote = RemoteNetwork(ours, "trunk.3", 3)
        outputs = [remote(IMAGES.clone().requires_grad_()) for _ in range(2)]
        assert len(answering._passes) == 2
        del outputs
        remote(IMAGES)
        assert not answering._passes
        ours.shutdown(socket.SHUT_RDWR)
        thread.join()


class Failing(nn.Module):
    """A network that raises on its second image."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 3)

    def forward(self, images):
        if len(images) > 1:
            raise ValueError("two\x1b[31m images\nat once")
        return self.layer(images).mean((2, 3))


def test_an_error_in_the_box_is_one_printable_line_and_the_box_goes_on():
    with connected(Failing().eval(), "layer", 2) as remote:
        with pytest.raises(UserError, match=r"^the network failed in its box: ValueError: two\[31m images$"):
            remote(IMAGES)
        assert remote(IMAGES[:1]).shape == (1, 2)


FORGED = {
    "logits of another shape": lambda channel: send(channel, Operation.ANSWER, torch.zeros(4, 9)),
    "two tensors for one": lambda channel: send(channel, Operation.ANSWER, torch.zeros(4, 3), torch.zeros(1)),
    "a request": lambda channel: send(channel, Operation.RUN, torch.zeros(4, 3)),
    "a petabyte": lambda channel: channel.sendall(bytes([8, 1, 0, 2, 0]) + b"\xff" * 16),
    "five dimensions": lambda channel: channel.sendall(bytes([8, 1, 0, 5, 0]) + bytes(16)),
    "an unknown type": lambda channel: channel.sendall(bytes([8, 1, 77, 1, 0]) + bytes(16)),
    "noise": lambda channel: channel.sendall(b"\x99" * 64),
    "nothing": lambda channel: channel.shutdown(socket.SHUT_RDWR),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_answer_ends_the_evaluation_in_one_line(what):
    def answer(channel: socket.socket) -> None:
        send(channel, Operation.ANSWER, torch.tensor([7]))
        receive(channel)
        FORGED[what](channel)

    ours, theirs = socket.socketpair()
    with ours, theirs:
        thread = Thread(target=answer, args=(theirs,))
        thread.start()
        remote = RemoteNetwork(ours, "layer", 3)
        with pytest.raises(UserError, match=r"^the box of the network answered: .*; its evaluation ends here$"):
            remote(IMAGES)
        thread.join()


def test_a_box_that_ended_says_why():
    ours, theirs = socket.socketpair()
    send(theirs, Operation.ANSWER, torch.tensor([7]))
    with ours:
        remote = RemoteNetwork(ours, "layer", 3, lambda: "needs more memory than allowed")
        theirs.close()
        with pytest.raises(UserError, match=r"^the box of the network: needs more memory than allowed$"):
            remote(IMAGES)
