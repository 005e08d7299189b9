"""Profiles: what is made of events that are made up, that real ones are found, and that no training step waits."""

import json
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from architectures import Architecture
from benchmark.registry import entries
from benchmark.training import trainer as trainer_module
from benchmark.training.regimes import Regime
from tests.performance import profiling, resident
from tests.performance.profiling import STEP, WHOLE, Span, spans_of, summary, union, waits
from tests.performance.resident import CLASSES, exact_arithmetic, resident_batch, resident_training

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def mark(name, start, end):
    return Span(name=name, start=start, end=end, mark=True)


def operator(name, start, end, cost=None, *callers):
    return Span(name=name, start=start, end=end, cost=end - start if cost is None else cost, callers=callers)


def kernel(start, end):
    return Span(name="kernel", start=start, end=end, on_device=True)


POINT = {
    "images per second": 1.0,
    "computing": 0.5,
    "slowdown": 1.0,
    "wall": 1.0,
    "operators": [],
    "parts": {},
    "copies": {},
    "waits in a step": {},
    "waits around": {},
    "date": "",
    "commit": "",
    "torch": "",
    "threads": 1,
    "load": 0.0,
}
ON_CPU = [
    mark(WHOLE, 0, 100),
    operator("aten::random", 2, 4),
    operator("aten::_local_scalar_dense", 4, 6),
    mark("augmentation", 0, 10),
    mark(STEP, 10, 50),
    operator("aten::hardtanh_", 10, 30, 5),
    operator("aten::copy_", 12, 27, 15, "aten::clone", "aten::hardtanh_"),
    operator("aten::_fused_adamw_", 30, 40, 8),
    operator("aten::_local_scalar_dense", 31, 33, 2, "aten::item", "aten::_fused_adamw_"),
    mark(STEP, 50, 90),
    operator("aten::nonzero", 60, 70),
    operator("ReluBackward0", 70, 80),
    operator("aten::item", 200, 300),
]


def test_of_spans_that_overlap_each_moment_counts_once():
    assert union([kernel(0, 10), kernel(2, 5), kernel(8, 12), kernel(20, 21)]) == 13
    assert union([]) == 0


def test_a_profile_of_the_cpu_in_short():
    found = summary(ON_CPU, ["augmentation"], CPU, batches=2)
    assert found["computing"] == pytest.approx(0.44)  # 2 to 6, 10 to 40 and 60 to 70
    assert found["parts"] == {"augmentation": pytest.approx(0.04)}
    assert found["waits in a step"] == {"aten::nonzero": 0.5}
    assert found["waits around"] == {"aten::_local_scalar_dense": 0.5}
    assert found["copies"] == {"aten::hardtanh_": pytest.approx(0.15)}
    assert found["operators"][0] == {"name": "aten::copy_", "share": pytest.approx(0.15), "calls": 1}
    assert "aten::item" not in {each["name"] for each in found["operators"]}


def test_on_cuda_the_card_computes_while_its_kernels_run():
    spans = [
        mark(WHOLE, 0, 100),
        Span(name=WHOLE, start=0, end=100, on_device=True, mark=True),
        operator("aten::mul", 0, 90, 30),
        operator("cudaStreamSynchronize", 40, 50, 0),
        kernel(10, 30),
        kernel(20, 40),
        mark(STEP, 45, 50),
    ]
    found = summary(spans, [], CUDA, batches=1)
    assert found["computing"] == pytest.approx(0.3)
    assert found["waits around"] == {"cudaStreamSynchronize": 1}
    assert found["operators"][0] == {"name": "aten::mul", "share": pytest.approx(0.3), "calls": 1}


def test_the_time_of_an_operator_is_that_of_its_kernels_on_cuda():
    times = {"time_range": SimpleNamespace(start=1, end=5), "self_cpu_time_total": 4, "self_device_time_total": 9}
    call = SimpleNamespace(name="aten::item", device_type=DeviceType.CPU, cpu_parent=None)
    copy = SimpleNamespace(name="aten::copy_", device_type=DeviceType.CPU, is_user_annotation=False, **times)
    copy.cpu_parent = call
    ran = SimpleNamespace(name="Memcpy DtoH", device_type=DeviceType.CUDA, is_user_annotation=False, **times)
    recorded = SimpleNamespace(events=lambda: [copy, ran])
    assert spans_of(recorded, CUDA) == [
        Span(name="aten::copy_", start=1, end=5, cost=9, callers=("aten::item",)),
        Span(name="Memcpy DtoH", start=1, end=5, on_device=True),
    ]
    assert spans_of(recorded, CPU)[0].cost == 4


def steps_profiled(trainer):
    """Of the second of two steps: the first one makes what is made once, such as the optimizer's state."""
    trainer._set_train_mode()
    batch = resident_batch(trainer)
    trainer._step(batch)
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as recorded:
        trainer._step(batch)
    return waits(spans_of(recorded, CPU))


class Small(nn.Sequential):
    """A network that also predicts a mask."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.append(nn.Linear(4, CLASSES))

    def with_mask(self, images):
        return self(images), self[0](images).mean(dim=1)


@pytest.fixture
def small(monkeypatch):
    """The name of a network of three layers: what a regime asks of the device does not depend on the others."""
    entry = replace(entries(Architecture)["mobilenet"], build=lambda _: Small())
    monkeypatch.setattr(resident, "layer_groups", lambda *_: ((),) * 5)
    monkeypatch.setattr(resident, "entries", lambda kind: {"small": entry} if kind is Architecture else entries(kind))
    return "small"


@pytest.mark.parametrize("regime", entries(Regime))
def test_no_step_of_training_waits_for_the_device(regime, small):
    trainer = resident_training(small, regime, side=8, batch=2, steps=1, device=CPU)
    assert steps_profiled(trainer) == {}


@pytest.mark.parametrize(("name", "regime"), [("mobilenet", "adversarial"), ("resnet50_multitask", "multitask")])
def test_no_step_of_a_registered_network_waits(name, regime):
    trainer = resident_training(name, regime, side=32, batch=2, steps=1, device=CPU)
    assert steps_profiled(trainer) == {}


class Impatient(nn.Module):
    """A network that asks for a value of its activations."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, images):
        return self.body(images) * float(images.detach().max())


def test_a_step_that_waits_is_found_out(small):
    trainer = resident_training(small, "trades", side=8, batch=2, steps=1, device=CPU)
    trainer.network = Impatient(trainer.network)
    assert steps_profiled(trainer) == {"aten::_local_scalar_dense": 13}


@pytest.mark.parametrize("regime", entries(Regime))
def test_no_step_asks_a_device_without_values_for_one(regime, small, monkeypatch):
    """The device `meta` has shapes alone: whatever a step read, or brought along from the CPU, would fail."""
    adamw = torch.optim.AdamW
    monkeypatch.setattr(torch.optim, "AdamW", lambda *words, fused, **more: adamw(*words, foreach=fused, **more))
    monkeypatch.setattr(
        trainer_module, "class_weights", lambda labels, classes: torch.ones(classes, device=labels.device)
    )
    trainer = resident_training(small, regime, side=8, batch=2, steps=1, device=torch.device("meta"))
    monkeypatch.setattr(trainer, "_autocast", nullcontext)  # autocast does not know the device
    trainer._set_train_mode()
    assert trainer._step(resident_batch(trainer)).device.type == "meta"


def test_a_step_that_asks_is_refused_there():
    images = torch.rand(2, 3, 8, 8, device="meta")
    with pytest.raises(RuntimeError, match="meta"):
        Impatient(Small().to("meta"))(images)


def test_settling_batchnorm_waits_for_nothing():
    trainer = resident_training("mobilenet", "standard", side=32, batch=2, steps=2, device=CPU)
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as recorded:
        trainer.recalibrate_batchnorm()
    assert waits(spans_of(recorded, CPU)) == {}


def test_the_marks_of_a_training_are_found_and_taken_away():
    trainer = resident_training("mobilenet", "standard", side=32, batch=2, steps=2, device=CPU)
    before = trainer_module.augment_batch, nn.utils.clip_grad_norm_
    with profiling.training_marked(trainer):
        spans, _ = profiling.profiled(trainer.train_epoch, CPU)
    found = summary(spans, profiling.TRAINING_PARTS, CPU, batches=2)
    assert all(share > 0 for share in found["parts"].values())
    assert sum(found["parts"].values()) <= found["computing"] + 0.2
    assert len([span for span in spans if span.name == STEP]) == 2
    assert (trainer_module.augment_batch, nn.utils.clip_grad_norm_) == before


def test_what_is_profiled_again_takes_its_place_on_the_page_and_findings_stand_on_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LOUPE_RESULTS", str(tmp_path))
    monkeypatch.setattr(profiling, "TESTED", 2)
    monkeypatch.setattr(profiling, "file_stem", lambda _: "imagined")
    monkeypatch.setattr(profiling, "retain_freed_memory", lambda: None)  # no process could undo it
    directory = tmp_path / "performance"
    directory.mkdir()
    (directory / "profile-imagined-findings.md").write_text("## Findings\n\nNothing waits.\n")
    words = [
        "--architecture",
        "mobilenet",
        "--regime",
        "standard",
        "--image-size",
        "32",
        "--batch-size",
        "2",
        "--steps",
        "1",
    ]
    profiling.write(directory, "imagined", "a machine", {"scoring mobilenet, 2 images of 32 px": POINT})
    profiling.main([*words, "--device", "cpu"])
    profiling.main(["--device", "cpu", "--page"])
    points = json.loads((directory / "profile-imagined.json").read_text())
    assert set(points) == {
        "training mobilenet/standard, 2 images of 32 px at a time, float32",
        "scoring mobilenet, 2 images of 32 px",
    }
    assert set(points["scoring mobilenet, 2 images of 32 px"]["parts"]) == set(profiling.SCORING_PARTS)
    text = (directory / "profile-imagined.md").read_text()
    assert "Nothing waits." in text
    assert text.count("## scoring mobilenet") == 1


def test_the_defaults_suit_the_device(monkeypatch):
    here = profiling.asked(["--device", "cpu"])
    assert (here.architecture, here.regime, here.side) == (
        ["mobilenet", "resnet50"],
        ["standard", "adversarial"],
        [96, 224],
    )
    monkeypatch.setattr(profiling, "choose_device", torch.device)
    there = profiling.asked(["--device", "cuda"])
    assert (len(there.architecture), there.regime, there.side, there.batch) == (11, ["standard", "pgd-l2"], [224], 32)


def test_arithmetic_is_as_before_after_the_block():
    before = torch.backends.cudnn.deterministic, torch.get_float32_matmul_precision()
    with exact_arithmetic():
        assert torch.backends.cudnn.deterministic
    assert (torch.backends.cudnn.deterministic, torch.get_float32_matmul_precision()) == before


def asking_for_copies(model, images):
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as recorded:
        model(images)
    spans = spans_of(recorded, CPU)
    return {caller for span in spans if span.name == "aten::copy_" for caller in span.callers}, {s.name for s in spans}


@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v2", "efficientnet_b0"])
def test_no_activation_is_copied_to_be_overwritten(name):
    """Recorded by autograd they write beside their input, else over it."""
    model, images = entries(Architecture)[name].build(2).train(), torch.rand(2, 3, 32, 32)
    in_place = {"aten::hardtanh_", "aten::silu_"}
    asking, made = asking_for_copies(model, images)
    assert not asking & in_place
    assert not made & in_place
    with torch.no_grad():
        _, made = asking_for_copies(model, images)
    assert made & in_place
