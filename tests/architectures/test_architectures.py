"""Every registered network keeps the contract of ``architectures.Architecture``."""

import runpy
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

import architectures
from architectures import Architecture
from architectures.network import Network, parameter_count
from benchmark.registry import entries, source_file
from tests.architectures.narrow import narrow
from tests.architectures.paper import KERAS_PARAMETERS, KNOWN

ROOT = Path(architectures.__file__).parents[1]
ENTRIES = entries(Architecture)
PUBLISHED = [name for name in KNOWN if ENTRIES[name].pretrained]
CLASSIFIERS = ("classifier.", "fc.", "head.fc.", "classif.")

registered = pytest.mark.parametrize("name", ENTRIES)


def make(name):
    torch.manual_seed(0)
    return narrow(ENTRIES[name], classes=6).eval()


def make_meta(name, classes):
    with torch.device("meta"):
        return ENTRIES[name].build(classes)


def photographs(*shape):
    """Smooth colors with noise, so that neither a mean nor an edge is missing."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(shape[0], 3, 4, 4, generator=generator)
    smooth = nn.functional.interpolate(coarse, shape[1:], mode="bilinear")
    return (smooth + 0.1 * torch.rand(smooth.shape, generator=generator)).clamp(0, 1)


@pytest.fixture(scope="module", params=ENTRIES)
def model(request):
    """An entry and its network in evaluation mode; pytest keeps one at a time."""
    return ENTRIES[request.param], make(request.param)


def test_the_eleven_are_among_those_that_only_classify():
    assert KERAS_PARAMETERS.keys() <= {name for name, entry in ENTRIES.items() if not entry.predicts_masks}
    assert len(KERAS_PARAMETERS) == 11


@pytest.mark.parametrize("name", KERAS_PARAMETERS)
def test_parameter_count_is_the_published_one(name):
    assert parameter_count(make_meta(name, 1000)) == pytest.approx(KERAS_PARAMETERS[name], rel=0.01)


@pytest.mark.parametrize(("classes", "side"), [(2, 97), (6, 131), (7, 299)])
@registered
def test_one_logit_per_class_whatever_the_side(name, classes, side):
    images = torch.empty(2, 3, side, side + 1, device="meta")
    assert make_meta(name, classes)(images).shape == (2, classes)


@pytest.mark.parametrize("size", [(96, 96), (112, 128)])
def test_logits_are_finite_and_differ_between_images(model, size):
    with torch.inference_mode():
        logits = model[1](photographs(2, *size))
    assert logits.shape == (2, 6)
    assert logits.isfinite().all()
    assert not torch.equal(logits[0], logits[1])


def test_evaluation_is_deterministic_and_sees_one_image_at_a_time(model):
    images = photographs(3, 96, 96)
    with torch.inference_mode():
        together, again = model[1](images), model[1](images)
        alone = torch.cat([model[1](image[None]) for image in images])
    assert torch.equal(together, again)
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3 * together.abs().max().item())


def test_body_receives_normalized_images(model):
    entry, network = model
    if not isinstance(network, Network):
        pytest.skip("it normalizes in a way of its own")
    if entry.name in KNOWN:
        published = getattr(network.body, "pretrained_cfg", {"mean": (0.5,) * 3, "std": (0.5,) * 3})
    else:
        published = dict(network.named_buffers(recurse=False))
    received = []
    hook = network.body.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    with hook, torch.inference_mode():
        for gray in (0.0, 0.25, 1.0):
            network(torch.full((1, 3, 96, 96), gray))
    mean, std = (torch.as_tensor(published[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    for gray, normalized in zip((0.0, 0.25, 1.0), received, strict=True):
        torch.testing.assert_close(normalized, ((gray - mean) / std).expand_as(normalized))


def test_checkpoint_holds_the_normalization(model):
    entry, network = model
    assert not isinstance(network, Network) or {"mean", "std"} <= network.state_dict().keys()
    assert entry.name not in KNOWN or isinstance(network, Network)


@registered
def test_gradient_reaches_every_parameter(name):
    network = make(name).train()
    for parameter in network.parameters():
        if not parameter.any():  # Some blocks start as an identity: a factor of zero hides what is behind it.
            nn.init.constant_(parameter, 0.1)
    if ENTRIES[name].predicts_masks:
        logits, masks = network.with_mask(photographs(4, 96, 96))
        nn.functional.binary_cross_entropy_with_logits(masks, torch.ones_like(masks)).backward(retain_graph=True)
    else:
        logits = network(photographs(4, 96, 96))
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any() or name not in KNOWN, key


def test_saliency_layer_fires_once_and_nothing_overwrites_it(model):
    entry, network = model
    seen = []
    hook = network.get_submodule(entry.target_layer).register_forward_hook(
        lambda _, __, output: seen.append((output, output.clone()))
    )
    with hook, torch.no_grad():
        network(photographs(2, 96, 96))
    ((output, copy),) = seen
    assert torch.equal(output, copy)
    assert copy.ndim == 4
    assert min(copy.shape[-2:]) > 1


def test_saliency_layer_is_the_last_word_on_the_image(model):
    """Grad-CAM through the head alone: everything the head knows passes through the layer."""
    entry, network = model
    leaves = []

    def cut(_, __, output):
        leaves.append(output.detach().clone().requires_grad_())
        return leaves[0]

    images = photographs(1, 96, 96).requires_grad_()
    with network.get_submodule(entry.target_layer).register_forward_hook(cut):
        logits = network(images)
    activation, gradient = leaves[0], torch.autograd.grad(logits[0, 1], leaves[0], retain_graph=True)[0]
    assert gradient.any()
    if entry.target_layer != "grid":  # the class token passes by the grid, see test_transformers.py
        assert torch.autograd.grad(logits[0, 1], images, allow_unused=True) == (None,)
    assert torch.equal(logits, network(images))
    saliency = (gradient.mean(dim=(2, 3), keepdim=True) * activation).sum(dim=1)
    assert saliency.std() > 1e-3 * saliency.abs().max() > 0


def test_same_seed_gives_the_same_weights(model):
    first, second = model[1].state_dict(), make(model[0].name).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@registered
def test_import_builds_nothing(name, monkeypatch):
    def refuse(*_, **__):
        pytest.fail("a module was built at import")

    monkeypatch.setattr(nn.Module, "__init__", refuse)
    made = runpy.run_path(str(source_file(ENTRIES[name]))).values()
    assert name in [value.name for value in made if isinstance(value, Architecture)]


def test_listing_the_entries_does_not_import_timm():
    code = "import sys; from benchmark.registry import entries; from architectures import Architecture; "
    code += "assert entries(Architecture); assert 'timm' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


class Unreachable(Exception):  # noqa: N818
    """Stands for the exception of an HTTP library, which need not be an OSError."""


@pytest.fixture
def offline(monkeypatch):
    """Nothing is cached, and both ways to the weights fail as they do without a network."""

    def no_hub(*_, **__):
        raise Unreachable("[Errno -2] Name or service not known\nsecond line")

    def no_url(*_, **__):
        raise URLError("[Errno -2] Name or service not known")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", no_hub)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_: pytest.fail("it would try for a minute"))
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", no_url)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_out_of_reach(name):
    remedy = "connect once, so that they are cached, or give a local safetensors file with --weights FILE"
    with pytest.raises(OSError, match="could not be fetched") as caught, torch.device("meta"):
        ENTRIES[name].pretrained(6)
    assert str(caught.value) == f"{name}: the published weights could not be fetched; {remedy}"


def published_file(directory, timm_name, **changes):
    """A file as timm publishes it, with random weights."""
    weights = timm.create_model(timm_name).state_dict()
    save_file({**weights, **changes}, directory / "model.safetensors")
    return directory / "model.safetensors", weights


@pytest.mark.parametrize("classes", [6, 1000])
def test_published_weights_arrive_under_a_fresh_classifier(classes, tmp_path, monkeypatch):
    file, published = published_file(tmp_path, "mobilenetv2_100")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: str(file))
    network = ENTRIES["mobilenet_v2"].pretrained(classes)
    loaded = network.body.state_dict()
    for key, weights in published.items():
        assert key.startswith(CLASSIFIERS) or torch.equal(loaded[key], weights), key
    assert loaded["classifier.weight"].shape == (classes, 1280)
    assert not torch.equal(loaded["classifier.weight"], published["classifier.weight"][:classes])
    random = ENTRIES["mobilenet_v2"].build(classes)
    assert random.state_dict().keys() == network.state_dict().keys()
    assert torch.equal(random.mean, network.mean)
    assert torch.equal(random.std, network.std)


@pytest.mark.usefixtures("offline")
def test_published_weights_are_downloaded_once_the_hub_answers(tmp_path, monkeypatch):
    file, published = published_file(tmp_path, "mobilenetv1_100")
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_: str(file))
    loaded = ENTRIES["mobilenet"].pretrained(6).body.state_dict()
    assert torch.equal(loaded["conv_stem.weight"], published["conv_stem.weight"])


@pytest.mark.usefixtures("offline")
def test_published_weights_outside_the_hub(monkeypatch):
    published = timm.create_model("legacy_xception").state_dict()
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", lambda *_, **__: dict(published))
    loaded = ENTRIES["xception"].pretrained(6).body.state_dict()
    assert torch.equal(loaded["conv4.pointwise.weight"], published["conv4.pointwise.weight"])
    assert loaded["fc.weight"].shape == (6, 2048)


def test_published_weights_that_do_not_fit_are_no_network_failure(tmp_path, monkeypatch):
    file, _ = published_file(tmp_path, "mobilenetv2_100", surplus=torch.zeros(1))
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: str(file))
    with pytest.raises(RuntimeError, match="surplus"):
        ENTRIES["mobilenet_v2"].pretrained(6)


def test_parameter_count_leaves_out_what_keras_does_not_count():
    assert parameter_count(nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8))) == 32 + 32
