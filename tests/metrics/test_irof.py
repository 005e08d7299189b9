from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.segmentation import slic

from metrics.irof import irof, segment_curve, segments
from tests.metrics.gray import HEIGHT, WIDTH, gray_context, run_quantus
from tests.metrics.maps import build_context, seeded


def test_equals_quantus_on_one_channel_and_a_given_fill():
    """Its area leaves out the untouched image and counts segments; its fill is the mean of the changed batch.

    Named faults of Quantus 0.6.0: color images crash, and the mean is taken over all images of the call.
    """
    context = gray_context(steps=HEIGHT * WIDTH, fill=0.4)
    areas = run_quantus("IROF", context, softmax=True, perturb_baseline=0.4, abs=False)
    curve = segment_curve(context)
    numbers = segments(context).flatten(1).amax(1) + 1
    for i in range(len(areas)):
        points = curve.fractions[i].unique(return_inverse=True)[1]  # as many steps as pixels: some remove nothing
        first = curve.probability[i][points == 1][0] / curve.probability[i, 0]
        n = numbers[i].item()
        ours = n - (n * (1 - irof(context)[i].item()) - (1 + first.item()) / 2)
        assert ours == pytest.approx(areas[i], rel=1e-5)


def test_equals_the_literal_loop_on_color_images():
    inputs = seeded(2, 24, 20)
    context = replace(build_context(inputs), steps=480)
    fill = context.fills["mean"]
    for i in range(2):
        labels = torch.tensor(slic(inputs.images[i].permute(1, 2, 0).numpy(), start_label=0))
        within = [labels == segment for segment in range(int(labels.max()) + 1)]
        keys = [[values[i][mask].mean().item() for mask in within] for values in (inputs.ties, -inputs.saliency)]
        order = np.lexsort(keys)
        image, curve = inputs.images[i].clone(), []
        for segment in [None, *order]:
            image = torch.where(labels == segment, fill, image) if segment is not None else image
            curve.append(context.model(image[None]).softmax(1)[0, inputs.classes[i]].item())
        expected = 1 - np.trapezoid(np.array(curve) / curve[0], dx=1 / len(order))
        assert irof(context)[i].item() == pytest.approx(expected, rel=1e-9)


def test_segments_are_cut_once():
    context = build_context(seeded(2))
    assert segments(context) is segments(context)


def test_a_class_without_probability_is_undefined():
    context = replace(
        build_context(seeded(1)), model=lambda images: torch.tensor([[-1e4, 0.0, -1e4]]).expand(len(images), 3)
    )
    assert irof(replace(context, classes=torch.tensor([0]))).isnan().all()
    assert irof(replace(context, classes=torch.tensor([1]))).tolist() == pytest.approx([0.0])
