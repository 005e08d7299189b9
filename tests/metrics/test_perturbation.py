from dataclasses import replace

import pytest
import torch

from benchmark.registry import entries
from metrics import Metric
from metrics.batching import BatchRunner
from tests.metrics.maps import build_context, model, score, seeded

PROBED = [name for name, metric in entries(Metric).items() if metric.inputs & {"context", "curves"}]


class Small:
    """A model on a device that holds few images at once."""

    def __init__(self, room):
        self.room, self.seen = room, []

    def __call__(self, images):
        if len(images) > self.room:
            raise torch.OutOfMemoryError
        self.seen.append(len(images))
        return model(images)


@pytest.mark.parametrize("room", [1, 5])
def test_where_memory_runs_out_the_chunk_is_halved_and_stays_so(room):
    context = build_context(seeded(3), batch_size=32)
    small = Small(room)
    squeezed = replace(context, model=small)
    torch.testing.assert_close(
        squeezed.deletion_curve("minimum"), context.deletion_curve("minimum"), rtol=0, atol=1e-12
    )
    assert max(small.seen) == room
    small.seen.clear()
    squeezed.logits(lambda jobs: context.images[jobs % 3], 10)  # no attempt above what fitted
    assert small.seen == [room] * (10 // room)


def test_a_single_image_that_does_not_fit_is_an_error():
    with pytest.raises(torch.OutOfMemoryError):
        replace(build_context(seeded(2)), model=Small(0)).unperturbed()


def test_other_errors_are_not_swallowed():
    def broken(_):
        raise RuntimeError("other")

    with pytest.raises(RuntimeError, match="other"):
        BatchRunner(4).run(broken, 3, torch.device("cpu"))


def test_a_score_does_not_change_where_memory_runs_out(monkeypatch):
    inputs = seeded(3)
    faithful = [entries(Metric)[name] for name in PROBED]
    expected = [score(metric, inputs) for metric in faithful]
    work = BatchRunner.run

    def scarce(self, compute, number, device):
        def picky(jobs):
            if len(jobs) > 3:
                raise torch.OutOfMemoryError
            return compute(jobs)

        return work(self, picky, number, device)

    monkeypatch.setattr(BatchRunner, "run", scarce)
    for metric, scores in zip(faithful, expected, strict=True):
        torch.testing.assert_close(score(metric, inputs), scores, rtol=0, atol=1e-9)


def test_answers_are_kept():
    context = build_context(seeded(2))
    for query in (
        context.unperturbed,
        context.pixel_steps,
        lambda: context.deletion_probabilities("mean"),
        lambda: context.insertion_curve("mean"),
    ):
        assert query() is query()


def test_insertion_read_backwards_is_the_deletion_of_the_least_salient_first():
    """So insertion less deletion is the area between the LeRF and the MoRF curve."""
    inputs = seeded(3)
    backwards = inputs.replace(saliency=-inputs.saliency, ties=1 - inputs.ties)
    context = replace(build_context(inputs), steps=6)  # equal steps, which also end where they begin backwards
    least_first = replace(build_context(backwards), steps=6).deletion_curve("mean")
    torch.testing.assert_close(context.insertion_curve("mean").flip(1), least_first, rtol=0, atol=1e-12)


def test_mass_is_the_saliency_of_what_is_hidden():
    inputs = seeded(2)
    actual = build_context(inputs).query_hidden(lambda image, _: inputs.mask[image], 1)
    torch.testing.assert_close(actual.mass[:, 0], (inputs.saliency * inputs.mask).sum((1, 2)))


def test_the_model_runs_in_inference_mode_on_channels_last():
    seen = []

    def watching(images):
        seen.append((torch.is_inference_mode_enabled(), images.is_contiguous(memory_format=torch.channels_last)))
        return model(images)

    replace(build_context(seeded(3)), model=watching).curves("mean")
    assert set(seen) == {(True, True)}
