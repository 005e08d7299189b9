"""How fast a data set is decoded into the cache, against what a user of torchvision would write; and opened again.

Where nothing is measured, a few of the images show that the code runs.
"""

import csv
import shutil
from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmark.config.presets import QUICK
from benchmark.data.dataset import prepare_dataset
from benchmark.data.load import Source, load_index

ALL = replace(QUICK, image_size=128, limit=None)
GROUP = "10,015 JPEGs of 128 x 128 into one array"


@pytest.fixture(scope="module")
def number(measures):
    return 10_015 if measures else 100


@pytest.fixture
def preset(measures, number):
    return ALL if measures else replace(ALL, limit=number)


@pytest.fixture
def by_class(real_data, tmp_path, number):
    """The images in a directory per class, as torchvision wants them."""
    directory = real_data / "ham10000-128"
    root = tmp_path / "ham10000"
    root.mkdir()
    with (directory / "HAM10000_metadata.csv").open(encoding="utf-8") as file:
        for row in islice(csv.DictReader(file), number):
            (root / row["dx"]).mkdir(exist_ok=True)
            shutil.copy(directory / "HAM10000_images" / f"{row['image_id']}.jpg", root / row["dx"])
    return root


@pytest.mark.benchmark(group=GROUP)
def test_torchvision(benchmark, by_class, number):
    transform = v2.Compose([v2.Resize((128, 128)), v2.PILToTensor()])

    def read():
        loader = DataLoader(ImageFolder(by_class, transform), batch_size=64, num_workers=2)
        return torch.cat([images for images, _ in loader])

    assert benchmark.pedantic(read, rounds=3).shape == (number, 3, 128, 128)


def assert_decoded(images, number):
    assert images.shape[1:] == (128, 128, 3)
    assert number <= len(images) < 1.1 * number  # of a few, each class has enough


@pytest.mark.benchmark(group=GROUP)
def test_loupe(benchmark, real_data, own_folders, preset, number):
    """With hashing and writing, but by a split that is there: torchvision draws none (ours takes a second, once)."""
    source = Source(directory=real_data / "ham10000-128")
    split = shutil.copy(prepare_dataset(load_index(source), preset).manifest, own_folders / "split.csv")

    def forget():
        shutil.rmtree(own_folders / "runs")

    def read():
        return prepare_dataset(load_index(source), preset, manifest=split).images

    assert_decoded(benchmark.pedantic(read, setup=forget, rounds=3), number)


@pytest.mark.benchmark(group="opening 10,015 images again")
@pytest.mark.usefixtures("own_folders")
def test_loupe_again(benchmark, real_data, preset, number):
    def read():
        return prepare_dataset(load_index(Source(directory=real_data / "ham10000-128")), preset).images

    read()
    assert_decoded(benchmark(read), number)
