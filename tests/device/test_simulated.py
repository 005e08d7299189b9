"""The simulated card refuses what a GPU refuses, and records what makes the host wait."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import json
from unittest import mock

import torch

from tests.device.simulated import MixedDevicesError, register_card, simulated_card, to_card

register_card()


def refused(work):
    try:
        work()
    except MixedDevicesError:
        return True
    return False


def kinds(card, work):
    seen = []
    with mock.patch.object(card, "note", seen.append):
        work()
    return seen


with simulated_card() as card:
    on, off = torch.ones(3, 4, device=card.device), torch.ones(3, 4)
    rows = torch.tensor([0, 2])
    layer = torch.nn.Linear(4, 2).to(card.device)
    print(json.dumps({
        "sum": refused(lambda: on + off),
        "concatenation": refused(lambda: torch.cat([on, off])),
        "layer": refused(lambda: layer(off)),
        "result of the CPU": refused(lambda: torch.add(on, 1, out=off)),
        "indices of the card": refused(lambda: off[to_card(rows)]),
        "values of the CPU": refused(lambda: on.index_put_((to_card(rows),), off[:2])),
        "0-dim index": refused(lambda: on.index_select(0, torch.tensor(1))),
        "number": refused(lambda: on + torch.tensor(1.0)),
        "indices": refused(lambda: on[rows]),
        "copy": refused(lambda: on.copy_(off)),
        "waits": {
            "item": kinds(card, lambda: on.sum().item()),
            "bool": kinds(card, lambda: bool(on.all())),
            "tolist": kinds(card, lambda: on.tolist()),
            "cpu": kinds(card, lambda: on.cpu()),
            "nonzero": kinds(card, lambda: on.nonzero()),
            "mask": kinds(card, lambda: on[on > 0]),
            "masked assignment": kinds(card, lambda: on.index_put((on > 0,), torch.tensor(1.0))),
            "equal": kinds(card, lambda: torch.equal(on, on)),
            "copy": kinds(card, lambda: off.to(card.device)),
            "tensor": kinds(card, lambda: torch.tensor([1.0], device=card.device)),
            "host index": kinds(card, lambda: on[rows]),
            "asynchronous copy": kinds(card, lambda: off.to(card.device, non_blocking=True)),
            "arithmetic": kinds(card, lambda: (on * 2).where(on > 0, 0.0).softmax(dim=1)),
            "to itself": kinds(card, lambda: on.to(card.device)),
        },
    }))
"""


@pytest.fixture(scope="module")
def observed():
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_tensors_of_two_devices_do_not_mix(observed):
    mixed = "sum", "concatenation", "layer", "result of the CPU", "indices of the card", "values of the CPU"
    assert all(observed[name] for name in (*mixed, "0-dim index"))
    assert not any(observed[name] for name in ("number", "indices", "copy"))


def test_waits_are_recorded(observed):
    waits = observed["waits"]
    for name in ("item", "bool", "tolist", "cpu", "nonzero", "mask", "masked assignment", "equal"):
        assert waits[name] == ["read"], name
    for name in ("copy", "tensor", "host index"):
        assert waits[name] == ["write"], name
    for name in ("asynchronous copy", "arithmetic", "to itself"):
        assert waits[name] == [], name
