"""Controls that a score of sharpness has to survive, and the scores that were tried on them.

    python -m tests.metrics.sharpness_controls

writes results/performance/sharpness-controls.md. With LOUPE_REAL_DATA set it trains a small network, plainly
and adversarially, to draw real maps (ten minutes on a CPU core; the weights are stored under LOUPE_RUNS).
"""

import os
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from math import pi, sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy.ndimage import gaussian_filter, zoom
from skimage.measure import blur_effect
from torch import nn
from torch.nn.functional import cross_entropy, normalize, pad

from benchmark.saliency.gradient import gradient
from benchmark.storage.paths import ROOT
from benchmark.storage.runs import runs_dir
from metrics import sharpness as module
from metrics.sharpness import sharpness, tv_ratio
from metrics.smoothing import gaussian_blur
from metrics.sorting import distribution

PAGE = ROOT / "results" / "performance" / "sharpness-controls.md"
SIDE = 224
BLURS = (0, 1, 2, 4, 8)
NOISES = (0, 5, 10, 20, 40)
CELLS = (7, 14, 28)
SHARP = ("ring", "disk")
CLEAN = (*SHARP, "blob 20", "blob 40")
SEEDS = range(2)
DEMANDS = ("blur, clean", "blur, noisy", "noise", "bottom", "grids", "grid over shape")
CACHE_DIR = runs_dir() / "sharpness-controls"


# The controls. Lengths are pixels at a side of 224, and scale with it; the steps of blur are pixels at any side.


def ellipse(half_width, half_height, side=SIDE):
    line = (np.arange(side) - (side - 1) / 2) * SIDE / side
    return ((line / half_width) ** 2 + (line[:, None] / half_height) ** 2 <= 1).astype(float)


def blob(sigma, side=SIDE):
    line = (np.arange(side) - (side - 1) / 2) * SIDE / side
    return np.exp(-(line**2 + line[:, None] ** 2) / (2 * sigma**2))


def noise(seed, side=SIDE):
    return np.abs(np.random.default_rng(seed).normal(size=(side, side)))


def structured(seed, side=SIDE):
    ring = ellipse(60, 45, side) - ellipse(54, 39, side)
    return {
        "ring": ring,
        "disk": ellipse(60, 45, side),
        "blob 20": blob(20, side),
        "blob 40": blob(40, side),
        "ring + 10 % noise": ring + 0.1 * noise(seed, side),
        "noise in an ellipse": noise(seed, side) * ellipse(60, 45, side),
        "noise under an envelope": noise(seed, side) * blob(40, side),
    }


def blurred(pixels):
    return [pixels] + [gaussian_filter(pixels, blur, mode="nearest") for blur in BLURS[1:]]


def noisy(pixels, seed):
    haze = pixels.max() * noise(1000 + seed, len(pixels))
    return [pixels + percent / 100 * haze for percent in NOISES]


def shuffled(pixels, seed):
    return np.random.default_rng(seed).permutation(pixels.ravel()).reshape(pixels.shape)


def coarse(cells, seed, side=SIDE):
    """A grid of random values with zeros, as a ReLU leaves them, enlarged bilinearly."""
    grid = np.maximum(np.random.default_rng(seed).normal(size=(cells, cells)), 0)
    return zoom(grid, side / cells, order=1, mode="nearest", grid_mode=True)


def as_coarse(pixels, cells):
    """Blurred as much as an enlarged grid: the bilinear kernel is a triangle of that standard deviation."""
    return gaussian_filter(pixels, len(pixels) / cells / sqrt(6), mode="nearest")


def scores(metric, maps):
    return metric(torch.tensor(np.stack(maps))).tolist()


def falls(values):
    return all(before > after for before, after in pairwise(values))


def speck(share, seed, side=SIDE):
    return (np.random.default_rng(seed).random((side, side)) < share).astype(float)


# The scores that were tried; higher is sharper.


def _relative(maps):
    return maps / maps.amax((1, 2), keepdim=True)


def _differences(maps):
    padded = pad(maps[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    return (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2, (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2


def _tensor(maps, fine, window):
    """Trace and difference of the eigenvalues of the structure tensor at each pixel."""
    down, right = _differences(gaussian_blur(maps, fine))
    yy, xy, xx = (gaussian_blur(product, window) for product in (down * down, down * right, right * right))
    return yy + xx, ((yy - xx).square() + 4 * xy.square()).sqrt()


def gradient_energy(maps):
    down, right = _differences(_relative(maps))
    return (down.square() + right.square()).mean((1, 2))


def laplacian_variance(maps):
    padded = pad(_relative(maps)[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    around = padded[:, 2:, 1:-1] + padded[:, :-2, 1:-1] + padded[:, 1:-1, 2:] + padded[:, 1:-1, :-2]
    return (around - 4 * _relative(maps)).var((1, 2))


def high_frequencies(maps):
    power = torch.fft.fft2(maps - maps.mean((1, 2), keepdim=True)).abs().square()
    rows, columns = (torch.fft.fftfreq(side, dtype=torch.float64) for side in maps.shape[1:])
    return (power * (rows[:, None].hypot(columns) > 0.25)).sum((1, 2)) / power.sum((1, 2))


def perceptual_blur(maps):
    return torch.tensor([1 - blur_effect(pixels.numpy()) for pixels in _relative(maps)], dtype=torch.float64)


def edge_slope(maps):
    magnitude = module._magnitude(maps)
    down, right = _differences(gaussian_blur(magnitude, 1.5))
    contrast = 1 - magnitude.flatten(1).amin(1)
    return distribution(down.hypot(right)).percentile(0.995) / contrast * 1.5 * sqrt(2 * pi)


def first_version(maps):
    return edge_slope(maps) * coherence(maps)


def coherence(maps):
    return (1 - tv_ratio(maps)).clamp(min=0)


def morans_i(maps):
    z = maps - maps.mean((1, 2), keepdim=True)
    pairs = torch.cat([(z[:, 1:] * z[:, :-1]).flatten(1), (z[:, :, 1:] * z[:, :, :-1]).flatten(1)], 1)
    return pairs.mean(1) / z.square().mean((1, 2))


def sharpness_index_ratio(maps):
    n = maps[0].numel()
    around = [maps.roll(-1, axis) - maps for axis in (1, 2)]
    variation = sum(step.abs().sum((1, 2)) for step in around)
    expected = sum(step.square().sum((1, 2)).sqrt() for step in around) * sqrt(2 * n / pi)
    return 1 - variation / expected


def survival(maps):
    fine, wide = (sum(step.abs().sum((1, 2)) for step in _differences(gaussian_blur(maps, s))) for s in (1.0, 3.0))
    return wide / fine


def scale_ratio(maps):
    """Coherent gradient energy at 1 pixel over gradient energy at 3 pixels: edges 3, blurred ones 1."""
    trace, difference = _tensor(maps, 1.0, 6.0)
    wide = sum(step.square().sum((1, 2)) for step in _differences(gaussian_blur(maps, 3.0)))
    return (difference.square() / trace.clamp(min=1e-300)).sum((1, 2)) / wide / 3


def tensor_coherence(maps):
    trace, difference = _tensor(maps, 1.0, 4.0)
    return difference.sum((1, 2)) / trace.sum((1, 2))


def coherent_frequency(maps):
    """Root of the gradient energy, less that of windows without a direction, per energy of the map, at 4 pixels."""
    relative = _relative(maps)
    trace, difference = _tensor(relative, 4.0, 12.0)
    coherent = (difference - 0.35 * trace).clamp(min=0).sum((1, 2)) / 0.65
    return (coherent / gaussian_blur(relative, 4.0).square().sum((1, 2))).sqrt() * 4 * sqrt(np.e)


def slope_alone(maps):
    return module._slope(gaussian_blur(_relative(maps), module.BLUR_SIGMA))


def coherent_slope(maps):
    """The winner, each pixel's gradient energy weighed by the root of the structure tensor's coherence around it."""
    relative = _relative(maps)
    trace, difference = _tensor(relative, module.BLUR_SIGMA, 3 * module.BLUR_SIGMA)
    share = (trace * difference).sqrt().sum((1, 2)) / trace.sum((1, 2))
    return sharpness(maps) * share


CANDIDATES: dict[str, Callable] = {
    "gradient energy (Tenengrad)": gradient_energy,
    "variance of the Laplacian": laplacian_variance,
    "share of high frequencies": high_frequencies,
    "1 - perceptual blur (Crete 2007, scikit-image)": perceptual_blur,
    "edge slope, 99.5th percentile": edge_slope,
    "coherence, 1 - tv-ratio": coherence,
    "edge slope x coherence (first version)": first_version,
    "Moran's I": morans_i,
    "1 - TV / mu (sharpness index as a ratio)": sharpness_index_ratio,
    "total variation at 3 px over 1 px": survival,
    "coherent energy at 1 px over 3 px": scale_ratio,
    "coherence of the structure tensor": tensor_coherence,
    "root mean square coherent frequency": coherent_frequency,
    "relative slope, without chance": slope_alone,
    "relative slope x root of the tensor's coherence, beyond chance": coherent_slope,
    "**sharpness** (relative slope, beyond chance)": sharpness,
}


# What a score does on the controls.


def _share(passed):
    passed = list(passed)
    return f"{sum(passed)}/{len(passed)}"


@cache
def controls(seed, side):
    """Steps of blur and of noise by shape, what is at the bottom, and grids with shapes blurred alike."""
    shapes = structured(seed, side)
    soft = {name: blurred(pixels) for name, pixels in shapes.items()}
    dusty = {name: noisy(pixels, seed) for name, pixels in shapes.items()}
    chance = [shuffled(steps[place], seed) for steps in soft.values() for place in (0, BLURS.index(4))]
    grids = [[coarse(cells, seed, side), *(as_coarse(shapes[name], cells) for name in SHARP)] for cells in CELLS]
    return soft, dusty, [*chance, noise(seed, side)], grids


def synthetic_verdict(metric, side=SIDE, seeds=SEEDS):
    """Cells of a row: how often each demand is met."""
    blur = {True: [], False: []}
    added, bottom, sharp, alike = [], [], [], []
    for seed in seeds:
        soft, dusty, chance, grids = controls(seed, side)
        steps = {name: scores(metric, maps) for name, maps in soft.items()}
        for name, values in steps.items():
            if name not in CLEAN or seed == seeds[0]:
                blur[name in CLEAN].append(falls(values))
        added += [falls(scores(metric, maps)) for maps in dusty.values()]
        lowest = min([values[0] for values in steps.values()] + [value for name in SHARP for value in steps[name]])
        bottom += [value < lowest for value in scores(metric, chance)]
        for maps in grids:
            grid, *same = scores(metric, maps)
            sharp.append(grid < min(steps[name][0] for name in SHARP))
            alike.append(grid / min(same))
    return [_share(blur[True]), _share(blur[False]), _share(added), _share(bottom), _share(sharp), f"{max(alike):.2f}"]


def real_verdict(metric, maps):
    """How many of the maps fall with each step of blur and of noise and lie above their own shuffle; mean score."""
    found = [
        (
            falls(scores(metric, blurred(pixels))),
            falls(scores(metric, noisy(pixels, number))),
            np.greater(*scores(metric, [pixels, shuffled(pixels, number)])),
        )
        for number, pixels in enumerate(maps)
    ]
    return [_share(column) for column in zip(*found, strict=True)] + [f"{np.mean(scores(metric, maps)):.3f}"]


# Maps of networks.


class Network(nn.Module):
    """A small ResNet for two classes; normalizes its own input."""

    def __init__(self, mean, deviation):
        super().__init__()
        self.body = timm.create_model("resnet10t", num_classes=2)
        self.mean, self.deviation = mean, deviation

    def forward(self, images):
        return self.body((images - self.mean) / self.deviation)


def pictures(directory):
    """ISIC images of 128 pixels: 300 melanomas and 300 benign ones to learn from, 50 and 50 to look at."""
    table = pd.read_csv(next(directory.rglob("diagnosis.csv")))
    paths = {path.stem: path for path in directory.rglob("*.jpg")}
    random = np.random.default_rng(0)
    names = [
        random.permutation(table[table.diagnosis.str.lower() == kind].image.to_numpy())
        for kind in ("melanoma", "benign")
    ]
    parts = [[paths[name] for kind in names for name in kind[part]] for part in (slice(300), slice(300, 350))]
    pixels = [np.stack([np.asarray(Image.open(path).convert("RGB")) for path in part]) for part in parts]
    return [torch.tensor(part).permute(0, 3, 1, 2).float() / 255 for part in pixels]


def labels_of(images):
    return torch.tensor([1, 0]).repeat_interleave(len(images) // 2)


def attacked(model, images, labels, steps, eps=1.0):
    """Projected gradient ascent in an L2 ball (Madry 2018), from the image itself."""
    model.eval()
    moved = torch.zeros_like(images)
    for _ in range(steps):
        moved.requires_grad_()
        (slope,) = torch.autograd.grad(cross_entropy(model(images + moved), labels), moved)
        moved = (moved + 0.75 * eps * normalize(slope.flatten(1)).view_as(slope)).detach()
        length = moved.flatten(1).norm(dim=1)[:, None, None, None]
        moved = moved * (eps / length.clamp_min(1e-12)).clamp(max=1)
    return (images + moved).clamp(0, 1)


def train(model, images, epochs, steps=0):
    """AdamW with one cycle, batches of 20, flips; adversarial where there are steps of attack."""
    labels = labels_of(images)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, epochs * (len(images) // 20))
    random = torch.Generator().manual_seed(1)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=random).split(20):
            batch = images[rows]
            for axis in (3, 2):
                batch = batch.flip(axis) if torch.rand((), generator=random) < 0.5 else batch
            batch = attacked(model, batch, labels[rows], steps) if steps else batch
            model.train()
            optimizer.zero_grad()
            cross_entropy(model(batch), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def trained(images):
    """An untrained network, the same after six epochs, and that after four adversarial ones more. Cached."""
    torch.manual_seed(0)
    channels = (0, 2, 3)
    model = Network(images.mean(channels, keepdim=True), images.std(channels, keepdim=True)).eval()
    for state, lesson in {
        "untrained": None,
        "standard": {"epochs": 6},
        "adversarial": {"epochs": 4, "steps": 2},
    }.items():
        file = CACHE_DIR / f"{state}.safetensors"
        if lesson and file.is_file():
            model.load_state_dict(load_file(file))
        elif lesson:
            train(model, images, **lesson)
            CACHE_DIR.mkdir(parents=True, exist_ok=True)
            save_file(model.state_dict(), file)
        yield state, model.eval()


def drawn(model, images, draws=12, spread=0.1):
    """The gradient of the predicted class, and its mean over noisy copies (SmoothGrad, Smilkov 2017)."""
    with torch.no_grad():
        classes = model(images).argmax(1)
    random = torch.Generator().manual_seed(0)
    copies = (images + spread * torch.randn(images.shape, generator=random) for _ in range(draws))
    smooth = sum(gradient(model, "", copy, classes) for copy in copies) / draws
    return {"gradient": gradient(model, "", images, classes).double().numpy(), "SmoothGrad": smooth.double().numpy()}


def real_maps(directory, each=8):
    """Maps (2 each, 128, 128) by state and method, and the share of 100 images that each network gets right."""
    learned, held_out = pictures(directory)
    seen = torch.cat([held_out[:each], held_out[50 : 50 + each]])
    maps, right = {}, {}
    for state, model in trained(learned):
        with torch.no_grad():
            right[state] = (model(held_out).argmax(1) == labels_of(held_out)).double().mean().item()
        maps |= {(state, method): found for method, found in drawn(model, seen).items()}
    return maps, right


# The page.

INTRODUCTION = f"""# Scores of sharpness on controls

Written by `python -m tests.metrics.sharpness_controls`; never edited by hand. What the scores are stands in that file,
what the chosen one is in `metrics/sharpness.py`. Read it as: which scores may be trusted to say "sharper"?

## SYNTHETIC controls, {SIDE} x {SIDE}

How often a demand is met, over {len(SEEDS)} seeds of noise.

- **blur, clean**: falls with every step of blur (sigma {", ".join(map(str, BLURS[1:]))} pixels): ring, disk, blobs of
  20 and 40 pixels.
- **blur, noisy**: the same for a ring with noise, noise in an ellipse, noise under a Gaussian envelope.
- **noise**: falls with every step of added noise (half-normal, {", ".join(map(str, NOISES[1:]))} % of the maximum): all
  seven.
- **bottom**: pure noise and the shuffles of all seven, sharp and blurred by 4 pixels, lie below every structured map,
  the ring and the disk blurred by 8 pixels included.
- **grids**: random grids of {", ".join(map(str, CELLS))} cells, with a ReLU's zeros, enlarged bilinearly, lie below the
  sharp ring and disk.
- **grid over shape**: the worst ratio of such a grid to a ring or disk blurred as much as the enlarging blurs
  (side / cells / sqrt 6). About 1 is right: interpolation blurs whatever is interpolated. Below 0 means that the sign
  differs.

"""
READING = """
## How to read it

No score can have all it might be wished to have. Noise under an envelope, blurred, becomes the envelope, blurred. A
score that falls with every blur must therefore put noise under an envelope **above** the blurred envelope, and cannot
punish noise that multiplies the structure, only noise that is added to it. The coherent slope punishes both, and rises
when blur takes the noise away. The chosen score falls with blur and is blind to the noise; `tv-ratio`, kept beside it,
is the witness of noise.
"""
REAL = """
## Real maps: ISIC 2018, 128 x 128

{count} images, 8 melanomas and 8 benign, the predicted class; ResNet-10-T from random weights, after 6 epochs on 600
images, and after 4 adversarial epochs more (PGD-2, L2 1.0). The networks have learned next to nothing (right on 100
held-out images: {right}), so the maps are real, but their ranking says nothing of adversarial training. Four figures:
how many fall with every step of blur, how many with every step of noise, how many lie above their own shuffle; the
mean score.

"""
UNREAL = """
## Real maps

Not measured: LOUPE_REAL_DATA named no directory.
"""


def row(cells):
    return "| " + " | ".join(cells) + " |\n"


def write_page(directory):
    """The tables; `directory` holds isic2018-128, or is None."""
    text = INTRODUCTION + row(["score", *DEMANDS]) + "|---" * 7 + "|\n"
    text += "".join(row([name, *synthetic_verdict(metric)]) for name, metric in CANDIDATES.items())
    others = {side: synthetic_verdict(sharpness, side) for side in (128, 96)}
    text += "\nThe chosen score at other resolutions, the shapes scaled, the steps of blur the same in pixels:\n\n"
    text += row(["side", *DEMANDS]) + "|---" * 7 + "|\n"
    text += "".join(row([str(side), *cells]) for side, cells in others.items()) + READING
    if directory is None:
        return text + UNREAL
    maps, right = real_maps(Path(directory) / "isic2018-128")
    told = ", ".join(f"{state} {share:.2f}" for state, share in right.items())
    text += REAL.format(count=len(next(iter(maps.values()))), right=told)
    text += row(["score", *(" ".join(key) for key in maps)]) + "|---" * (len(maps) + 1) + "|\n"
    for name, metric in CANDIDATES.items():
        text += row([name, *("  ".join(real_verdict(metric, pixels)) for pixels in maps.values())])
    return text


if __name__ == "__main__":
    torch.set_num_threads(1)
    page = write_page(os.environ.get("LOUPE_REAL_DATA"))
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page, encoding="utf-8")
