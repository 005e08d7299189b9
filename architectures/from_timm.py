"""Entries from a name in timm, without code."""

import difflib
from functools import partial
from importlib import import_module
from typing import Any

import torch

from architectures import Architecture
from architectures.network import HUB, load_config, pretrained_network, random_network
from architectures.target_layer import TargetLayer, find_target_layer


def from_timm(architecture: Architecture, timm_name: str, *, smallest_side: int = 0) -> Architecture:
    """Completes an entry with the functions that build it with timm.

    Args:
        architecture: The entry without these functions. An empty target layer becomes the last one with a spatial grid
            or with tokens that form one. An input size of 0 becomes that of timm's configuration.
        timm_name: timm's name, with or without the tag of the published weights, or "hf-hub:" with a repository.
        smallest_side: Minimum side in pixels of the input of the body.

    Raises:
        ValueError: timm has no such network, or none of its modules has a spatial grid.
        OSError: The configuration of a repository on the hub is not cached and cannot be downloaded.
    """
    name = resolve_timm_name(timm_name)
    config = load_config(name)
    target = TargetLayer(name=architecture.target_layer)
    if not architecture.target_layer:
        with torch.device("meta"):
            target = find_target_layer(random_network(name, 2, smallest_side=smallest_side))
    options: dict[str, Any] = {"smallest_side": smallest_side, "tokens": target.tokens}
    published = bool(config.hf_hub_id or config.url)
    fields = {field: getattr(architecture, field) for field in architecture.__slots__}
    fields["build"] = partial(random_network, name, **options)
    fields["pretrained"] = partial(pretrained_network, architecture.name, name, **options) if published else None
    fields["input_size"] = architecture.input_size or config.input_size[-1]
    fields["target_layer"] = target.name
    return Architecture(**fields)


def resolve_timm_name(name: str) -> str:
    """Adds the tag of timm's default weights to a name without one, so that later defaults do not change its meaning.

    Raises:
        ValueError: timm has no such network. The message lists the nearest names.

    Example:
        >>> resolve_timm_name("resnet18")
        'resnet18.a1_in1k'
    """
    if name.startswith(HUB):
        return name
    timm = import_module("timm")
    plain, _, tag = name.partition(".")
    models = timm.list_models()
    if plain not in models:
        near = difflib.get_close_matches(plain, models, n=3, cutoff=0.4)
        raise ValueError(
            f"timm {timm.__version__} has no network {name!r}" + (f"; nearest: {', '.join(near)}" * bool(near))
        )
    tags = {model.partition(".")[2] for model in timm.list_pretrained(plain)}
    if tag and tag not in tags:
        raise ValueError(
            f"timm {timm.__version__} has no weights {name!r}; available: {', '.join(sorted(tags)) or 'none'}"
        )
    default = tag or timm.get_pretrained_cfg(plain).tag
    return f"{plain}.{default}" if default else plain
