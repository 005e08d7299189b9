"""Where the time of training and scoring goes, by torch's profiler.

    python -m tests.performance.profiling [--architecture NAME ...] [--regime NAME ...] [--image-size PIXELS ...]
        [--batch-size IMAGES] [--steps STEPS] [--device DEVICE] [--page]

profiles some steps of the real training loop for each architecture, regime and side, and for each architecture and
side one scoring (predictions, attacks, Grad-CAM, cheap metrics and curves) of an untrained network. All images are
SYNTHETIC: noise. It writes results/performance/profile-<machine>.md, and the numbers into the JSON file beside; what is
not named stays as it was. What was learned from it is written by hand into profile-<machine>-findings.md. The page
repeats it. With --page, nothing is measured and only the page is written again.
"""

import argparse
import json
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from architectures import Architecture
from benchmark.config.presets import QUICK, STANDARD
from benchmark.experiments import cell as pipeline
from benchmark.experiments.grid import Cell
from benchmark.experiments.job import Job
from benchmark.experiments.trained_model import load_split
from benchmark.registry import entries
from benchmark.runtime.device import choose_device, prefers_bfloat16, retain_freed_memory
from benchmark.runtime.environment import environment
from benchmark.runtime.tensors import predict
from benchmark.saliency.compute import compute_maps
from benchmark.saliency.grad_cam import GRAD_CAM
from benchmark.storage.files import write_text
from benchmark.storage.results import results_dir
from benchmark.training import trainer as trainer_module
from benchmark.training.regimes import Regime
from benchmark.training.trainer import Trainer
from tests.performance.growth import made_data
from tests.performance.measuring import chosen_threads, load, until_done
from tests.performance.report import duration, file_stem
from tests.performance.resident import exact_arithmetic, images_per_epoch, resident_training

WAITS = frozenset(
    {
        "aten::_local_scalar_dense",
        "aten::nonzero",
        "cudaDeviceSynchronize",
        "cudaEventSynchronize",
        "cudaMemcpy",
        "cudaStreamSynchronize",
    }
)
"""What makes the program wait for the device: reading a value, a size that depends on values, or waiting itself."""
NO_WAITS_WITHIN = frozenset({"aten::_fused_adamw_"})
"""Its kernel for the CPU reads the number of steps; on CUDA that number stays on the card."""
COPIES = frozenset({"aten::copy_"})
STEP, WHOLE = "step", "whole"
TRAINING_PARTS = ("augmentation", "passes", "clipping", "Optimizer.step#AdamW.step")
SCORING_PARTS = ("predictions and attacks", "Grad-CAM", "scores and curves")
DEAREST = 10
TIMED = 2
"""Goes without the profiler, of which the best counts."""
TESTED, LEARNT = 16, 4
"""Images of a scoring, and those that its mean color comes from."""
LEGEND = """\
SYNTHETIC images throughout: noise, and untrained networks. Written by `python -m tests.performance.profiling`, never by
hand; the numbers lie in the JSON file beside. *computing* is the share of the wall time, profiler and all, in which the
device computes: the union of all kernels and copies on CUDA, of all operators of ATen on the CPU; the rest is Python,
the engine of autograd and the profiler. *images/s* were measured before without the profiler, which makes everything
slower: *slowdown* says how much. The shares of operators, of parts and of copies are of the wall time; an operator's is
without the operators that it calls.

*waits* are the times that the program waits for a value of the device: in each step of the training (attack, forward,
backward, clipping, update), and around it (the choice of the images, augmentation, the sum of the losses), for each
batch; of a scoring all are around. On the CPU they cost nothing and are counted since on CUDA they would, but for the
random numbers of the augmentation, which are drawn and read on the CPU everywhere: on CUDA, go by the waits whose names
begin with cuda.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Something that the profiler saw.

    Attributes:
        name: Of the operator, the kernel, the call of CUDA or the mark.
        start: Microseconds.
        end: Microseconds.
        cost: Microseconds that the device spent on it alone, without the operators that it calls.
        on_device: Whether it ran on the card, rather than on the CPU.
        mark: Whether it is no work of its own but somebody's remark.
        callers: Who called it, the nearest first.
    """

    name: str
    start: float
    end: float
    cost: float = 0.0
    on_device: bool = False
    mark: bool = False
    callers: tuple[str, ...] = ()


def spans_of(recorded: profile, device: torch.device) -> list[Span]:
    """All events of a profile."""
    cuda = device.type == "cuda"
    found = []
    for event in recorded.events():
        on_device, mark = event.device_type != DeviceType.CPU, bool(event.is_user_annotation)
        cost = 0.0 if on_device or mark else event.self_device_time_total if cuda else event.self_cpu_time_total
        found.append(
            Span(
                name=event.name,
                start=event.time_range.start,
                end=event.time_range.end,
                cost=cost,
                on_device=on_device,
                mark=mark,
                callers=tuple(_callers(event)) if event.name in COPIES | WAITS else (),
            )
        )
    return found


def _callers(event: Any) -> Iterator[str]:
    while (event := event.cpu_parent) is not None:
        yield event.name


def union(spans: Iterable[Span]) -> float:
    """Microseconds in which at least one of them runs."""
    total, until = 0.0, float("-inf")
    for span in sorted(spans, key=lambda span: span.start):
        total += max(0.0, span.end - max(span.start, until))
        until = max(until, span.end)
    return total


def beginning_within(spans: Iterable[Span], marks: Sequence[Span]) -> Iterator[Span]:
    """Those that begin while one of the marks, which do not overlap, lasts; whatever their thread."""
    ordered = sorted(marks, key=lambda mark: mark.start)
    starts = [mark.start for mark in ordered]
    for span in spans:
        place = bisect_right(starts, span.start) - 1
        if place >= 0 and span.start < ordered[place].end:
            yield span


def waits(spans: Iterable[Span]) -> Counter[str]:
    """How often the program waits for the device, by the name of what waits."""
    return Counter(span.name for span in spans if span.name in WAITS and not NO_WAITS_WITHIN & set(span.callers))


def copies(spans: Iterable[Span]) -> Counter[str]:
    """Microseconds of copying, by who asked for it."""
    found: Counter[str] = Counter()
    for span in spans:
        if span.name in COPIES:
            asking = [name for name in span.callers if name not in {"aten::clone", "aten::to", "aten::_to_copy"}]
            found[asking[0] if asking else "the program"] += span.cost
    return found


def summary(spans: Sequence[Span], parts: Sequence[str], device: torch.device, batches: int) -> dict[str, Any]:
    """What the page tells of a profile whose mark :data:`WHOLE` spans what counts."""
    whole = [span for span in spans if span.name == WHOLE and not span.on_device]
    inside = [span for span in beginning_within(spans, whole) if not span.mark]
    wall = union(whole)
    computing = [s for s in inside if (s.on_device if device.type == "cuda" else s.name.startswith("aten::"))]
    operators: defaultdict[str, list[float]] = defaultdict(list)
    for span in inside:
        operators[span.name].append(span.cost)
    dearest = sorted(operators, key=lambda name: -sum(operators[name]))[:DEAREST]

    def marked(name: str) -> list[Span]:
        return list(beginning_within(inside, [s for s in spans if s.name == name and s.mark and not s.on_device]))

    steps = [span for span in spans if span.name == STEP and span.mark and not span.on_device]
    in_steps = waits(marked(STEP))
    return {
        "wall": wall / 1e6,
        "computing": union(computing) / wall,
        "operators": [
            {"name": name, "share": sum(operators[name]) / wall, "calls": len(operators[name])} for name in dearest
        ],
        "parts": {name: sum(span.cost for span in marked(name)) / wall for name in parts},
        "copies": {name: cost / wall for name, cost in copies(inside).most_common(5)},
        "waits in a step": {name: number / len(steps) for name, number in in_steps.items()},
        "waits around": {name: number / batches for name, number in (waits(inside) - in_steps).items()},
    }


def named(name: str, function: Callable) -> Callable:
    """The function, whose time the profiler marks with a name."""

    def marked(*args, **kwargs):
        with record_function(name):
            return function(*args, **kwargs)

    return marked


@contextmanager
def training_marked(trainer: Trainer) -> Iterator[None]:
    """Marks the parts of each step for the time of the block."""
    with ExitStack() as stack:
        for owner, attribute, name in (
            (trainer, "_step", STEP),
            (trainer, "_gradients", "passes"),
            (trainer_module, "augment_batch", "augmentation"),
            (nn.utils, "clip_grad_norm_", "clipping"),
        ):
            stack.enter_context(patch.object(owner, attribute, named(name, getattr(owner, attribute))))
        yield


def profiled(work: Callable[[], object], device: torch.device) -> tuple[list[Span], float]:
    """Events of the work, under the mark of the whole; and its seconds without the profiler.

    The work ends with a result on the CPU, so that none of it is left to be done: to wait here would count as its own.
    """
    work()
    seconds = min(_seconds(until_done(work, device)) for _ in range(TIMED))
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities, acc_events=True) as recorded, record_function(WHOLE):
        work()
    return spans_of(recorded, device), seconds


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def training(architecture: str, regime: str, *, side: int, batch: int, steps: int, device: torch.device) -> dict:
    """An epoch of so many steps, its attacks begun."""
    trainer = resident_training(architecture, regime, side=side, batch=batch, steps=steps, device=device)
    with training_marked(trainer):
        spans, seconds = profiled(trainer.train_epoch, device)
    found = summary(spans, TRAINING_PARTS, device, batches=steps)
    return {"images per second": images_per_epoch(trainer) / seconds, "slowdown": found["wall"] / seconds} | found


def scoring(architecture: str, *, side: int, images: int, device: torch.device) -> dict:
    """Predictions, attacks, Grad-CAM, metrics and curves, as a cell makes them after the training."""
    torch.manual_seed(0)
    preset = replace(STANDARD if device.type == "cuda" else QUICK, image_size=side, methods=("grad-cam",))
    cell = Cell(architecture=entries(Architecture)[architecture], regime=entries(Regime)["standard"], seed=0)
    job = Job(cell=cell, data=made_data(LEARNT + images, side, LEARNT), preset=preset, device=device)
    model = cell.architecture.build(2).to(memory_format=torch.channels_last).to(device).eval()
    lesson = load_split(job, "test")
    # Only what is right is attacked, so whatever the network says is right.
    lesson = replace(lesson, labels=predict(model, lesson.images).argmax(dim=1).to(device))

    def score() -> None:
        predictions = named(SCORING_PARTS[0], pipeline.compute_predictions)(job, model, lesson)
        predicted = torch.tensor(predictions["predicted"].to_numpy(), device=device)
        maps = named(SCORING_PARTS[1], compute_maps)(
            model, cell.architecture.target_layer, lesson.images, predicted, GRAD_CAM
        )
        named(SCORING_PARTS[2], pipeline.score_method_maps)(
            job, model, lesson.images, predictions, maps=maps, method=GRAD_CAM
        )

    spans, seconds = profiled(score, device)
    found = summary(spans, SCORING_PARTS, device, batches=1)
    return {"images per second": images / seconds, "slowdown": found["wall"] / seconds} | found


def conditions(device: torch.device) -> dict[str, Any]:
    """When, by which code and how undisturbed."""
    made_with = environment(device)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": made_with["commit"][:8] + (" with uncommitted changes" if made_with["uncommitted_changes"] else ""),
        "torch": made_with["packages"]["torch"],
        "threads": torch.get_num_threads(),
        "load": round(load(), 1),
    }


def page(machine: str, points: dict[str, Any], findings: str = "") -> str:
    """The findings, a table of all points, and what each one's time went to, in Markdown."""
    lines = [f"# Profiles on {machine}", "", LEGEND]
    lines += [findings.strip(), ""] if findings else []
    lines += [
        "## All",
        "",
        "| | images/s | computing | slowdown | waits in a step | around |",
        "|:--|--:|--:|--:|--:|--:|",
    ]
    for name, point in points.items():
        numbers = [f"{point['images per second']:.3g}", f"{point['computing']:.1%}", f"{point['slowdown']:.2f}"]
        stops = [f"{sum(point[key].values()):.3g}" for key in ("waits in a step", "waits around")]
        lines.append(f"| {name} | {' | '.join([*numbers, *stops])} |")
    for name, point in points.items():
        lines += ["", f"## {name}", "", *_section(point)]
    return "\n".join(lines) + "\n"


def _section(point: dict[str, Any]) -> list[str]:
    threads = f"{point['threads']} thread{'' if point['threads'] == 1 else 's'}"
    measured = f"{point['date']}, commit {point['commit']}, torch {point['torch']}, {threads}, load {point['load']}"
    lines = [f"{measured}; {duration(point['wall'])} of wall time under the profiler.", ""]
    lines += [f"- parts: {_shares(point['parts'])}"]
    lines += [f"- copies, by who asks for them: {_shares(point['copies'])}"]
    for key in ("waits in a step", "waits around"):
        told = ", ".join(f"{name} {number:.3g}" for name, number in sorted(point[key].items())) or "none"
        lines.append(f"- {key}: {told}")
    lines += ["", "| operator | share | calls |", "|:--|--:|--:|"]
    return lines + [f"| {each['name']} | {each['share']:.1%} | {each['calls']} |" for each in point["operators"]]


def _shares(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in shares.items()) or "none"


def write(directory: Path, stem: str, machine: str, measured: dict[str, dict[str, Any]]) -> Path:
    """Puts points into the JSON file and the page of a machine, in the place of earlier ones of their names."""
    kept = directory / f"profile-{stem}.json"
    points = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    write_text(kept, json.dumps(points | measured, indent=1) + "\n")
    findings = directory / f"profile-{stem}-findings.md"
    told = findings.read_text(encoding="utf-8") if findings.is_file() else ""
    write_text(kept.with_suffix(".md"), page(machine, points | measured, told))
    return kept.with_suffix(".md")


def asked(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line, with what suits the device where nothing is said."""
    parser = argparse.ArgumentParser(prog="python -m tests.performance.profiling", description="Where the time goes.")
    parser.add_argument("--architecture", action="append", choices=list(entries(Architecture)))
    parser.add_argument("--regime", action="append", choices=list(entries(Regime)))
    parser.add_argument("--image-size", dest="side", action="append", type=int)
    parser.add_argument("--batch-size", dest="batch", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", default=None, help="the GPU if there is one, else the CPU")
    parser.add_argument("--page", action="store_true", help="write the page anew from the numbers and the findings")
    wanted = parser.parse_args(words)
    wanted.device = choose_device(wanted.device)
    cuda = wanted.device.type == "cuda"
    eleven = [
        name for name, entry in entries(Architecture).items() if entry.in_default_grid and not entry.predicts_masks
    ]
    wanted.architecture = wanted.architecture or (eleven if cuda else ["mobilenet", "resnet50"])
    wanted.regime = wanted.regime or ["standard", "pgd-l2" if cuda else "adversarial"]
    wanted.side = wanted.side or ([224] if cuda else [96, 224])
    wanted.batch = wanted.batch or (STANDARD.batch_size if cuda else QUICK.batch_size)
    wanted.steps = wanted.steps or (10 if cuda else 2)
    return wanted


def works(wanted: argparse.Namespace) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Names of the points, and what measures each."""
    precision = "bfloat16" if prefers_bfloat16(wanted.device) else "float32"
    size = {"batch": wanted.batch, "steps": wanted.steps, "device": wanted.device}
    for side in wanted.side:
        for architecture in wanted.architecture:
            for regime in wanted.regime:
                name = f"training {architecture}/{regime}, {wanted.batch} images of {side} px at a time, {precision}"
                yield name, lambda a=architecture, r=regime, s=side: training(a, r, side=s, **size)
            name = f"scoring {architecture}, {TESTED} images of {side} px"
            yield name, lambda a=architecture, s=side: scoring(a, side=s, images=TESTED, device=wanted.device)


def main(words: Sequence[str] | None = None) -> None:
    """Profiles what is named, writing after each point."""
    wanted = asked(words)
    torch.set_num_threads(chosen_threads())
    retain_freed_memory()
    made_with = environment(wanted.device)
    machine = made_with["accelerator"] or f"{made_with['processor']}, {made_with['cores']} cores"
    where = results_dir() / "performance", file_stem(made_with), machine
    write(*where, {})
    with exact_arithmetic():
        for name, measure in () if wanted.page else works(wanted):
            path = write(*where, {name: measure() | conditions(wanted.device)})
            print(f"{path.name}: {name}", flush=True)  # noqa: T201 - progress of a program


if __name__ == "__main__":
    main()
