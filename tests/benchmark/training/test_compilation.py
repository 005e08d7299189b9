"""A compiled training is the same training, and its attacks compute no gradients of weights."""

import shutil
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters
from torch._functorch.aot_autograd import make_boxed_func

from benchmark.attacks.pgd import pgd
from benchmark.registry import entries
from benchmark.training import trainer as trainer_module
from benchmark.training.compilation import Compiled
from benchmark.training.regimes import Regime
from benchmark.training.regimes.pgd_l2 import ATTACK
from tests.benchmark.training.test_training import SETTINGS, network, same, trained

SHORT = replace(SETTINGS, epochs=1)


@pytest.fixture(autouse=True)
def forgetful():
    """Nothing compiled is kept from test to test."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize(
    "name", [n for n, regime in entries(Regime).items() if regime.init_from is None and not regime.second_order]
)
def test_every_regime_learns_the_same_from_a_compiled_network(name, monkeypatch):
    """Traced, split into passes and frozen as in earnest, but computed by the same kernels."""
    monkeypatch.setattr(trainer_module, "Compiled", partial(Compiled, backend="aot_eager"))
    regime = entries(Regime)[name]
    settings = replace(SHORT, epochs=regime.batch_replays)
    plain, told = trained(regime, settings)
    compiled, history = trained(regime, replace(settings, compile="default"))
    assert history.losses == pytest.approx(told.losses, rel=1e-4)
    for (weight_name, weight), other in zip(plain.named_parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(other, weight, rtol=1e-3, atol=1e-4, msg=weight_name)
        assert other.requires_grad


needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for the CPU by g++")
needs_vectors = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() == "DEFAULT",
    reason="torch's own compiler writes no code for kernels without vectors (ATEN_CPU_CAPABILITY=default)",
)


@needs_compiler
@needs_vectors
@pytest.mark.slow
def test_torchs_own_compiler_trains_and_repeats():
    runs = [trained(entries(Regime)["adversarial"], replace(SHORT, compile="default"))[0] for _ in range(2)]
    assert same(*runs)


@needs_compiler
@needs_vectors
@pytest.mark.slow
def test_code_that_was_compiled_for_other_vectors_is_not_used(monkeypatch, tmp_path):
    """In earnest the loss was not finite where the same training had been compiled for AVX-512, then ran with AVX2."""
    vectors = torch.backends.cpu.get_cpu_capability()
    assert [found_again(monkeypatch, of, str(tmp_path)) for of in ("OTHER", "OTHER", vectors)] == [False, True, False]


def found_again(monkeypatch, vectors: str, of_this_test: str) -> bool:
    """Whether a new process on such a processor takes its code from the cache."""
    torch.compiler.reset()
    counters.clear()
    with monkeypatch.context() as patch, torch.compiler.config.patch(cache_key_tag=of_this_test):
        patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: vectors)
        Compiled(nn.ReLU(), "default").eval()(torch.rand(1, 3, 4, 4))
    return bool(counters["inductor"]["fxgraph_cache_hit"])


def gradients_of_weights(run) -> int:
    """How many convolutions of the compiled backward passes are asked for the gradient of their weights."""
    asked = []

    def look(graph, _example):
        asked.extend(node.args[-1][1] for node in graph.graph.nodes if "convolution_backward" in str(node.target))
        return make_boxed_func(graph.forward)

    plain = aot_autograd(fw_compiler=lambda graph, _example: make_boxed_func(graph.forward), bw_compiler=look)
    run(Compiled(network(), "default", backend=plain))
    assert asked
    return sum(asked)


def test_an_attack_computes_the_gradients_of_the_images_alone():
    images, labels = torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 0, 1])
    assert gradients_of_weights(lambda model: pgd(model, images, labels, ATTACK)) == 0


def test_an_update_computes_those_of_the_weights():
    images = torch.rand(4, 3, 16, 16)
    assert gradients_of_weights(lambda model: model.train()(images).sum().backward()) == 1


def test_weights_are_free_again_after_an_error():
    model = Compiled(network(), "default", backend="eager").eval()
    with pytest.raises(Exception, match="channels"):
        model(torch.rand(1, 5, 16, 16))
    assert all(weight.requires_grad for weight in model.parameters())
