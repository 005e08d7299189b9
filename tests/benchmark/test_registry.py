"""Entries are found by lying in the right directory; wrong names suggest right ones."""

import re

import pytest

from architectures import Architecture
from benchmark import registry
from benchmark.errors import UserError
from benchmark.registry import entries, resolve_name, select
from benchmark.saliency import Method
from benchmark.storage.identity import identity
from benchmark.training.regimes import Regime
from datasets import DatasetReader
from metrics import Metric
from tests.architectures.paper import KERAS_PARAMETERS

KINDS = (Architecture, DatasetReader, Method, Metric, Regime)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_entry_has_a_fit_name_a_source_and_an_identity(kind):
    found = entries(kind)
    assert found
    for name, entry in found.items():
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name)
        assert entry.name == name
        assert entry.source
        assert re.fullmatch(r"[0-9a-f]{16}", identity(entry))


def test_the_eleven_are_there():
    assert KERAS_PARAMETERS.keys() <= entries(Architecture).keys()


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match=r"unknown architecture 'resnet5'; nearest: resnet50"):
        select(Architecture, ["resnet5"])
    with pytest.raises(UserError, match="nearest: a, b"):
        resolve_name("zzz", ["b", "a"], "thing")


def test_two_entries_of_one_name_are_refused(monkeypatch):
    module = registry._modules(Method)[0]
    twin = Method(name="gradient", explain=lambda *_: None, source="a twin")
    monkeypatch.setattr(module, "TWIN", twin, raising=False)
    entries.cache_clear()
    try:
        with pytest.raises(ValueError, match="two Method entries are named 'gradient'"):
            entries(Method)
    finally:
        monkeypatch.undo()
        entries.cache_clear()
