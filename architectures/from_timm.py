"""A network of timm's by its name alone, without a file of code."""

import difflib
from functools import partial
from importlib import import_module

import torch

from architectures import Architecture
from architectures.network import pretrained_network, random_network
from architectures.target_layer import last_grid


def from_timm(architecture: Architecture, timm_name: str, *, smallest_side: int = 0) -> Architecture:
    """An entry that timm builds.

    Args:
        architecture: The entry but for the functions that build it; where its saliency layer is empty, it is the last
            module with a spatial grid, and where its native size is 0, that of timm's configuration.
        timm_name: timm's name, with the tag of the published weights or without.
        smallest_side: Shortest side in pixels that the body may see.

    Raises:
        ValueError: timm knows no such network, or none of its modules has a spatial grid.
    """
    name = resolve_timm_name(timm_name)
    config = import_module("timm").get_pretrained_cfg(name)
    build = partial(random_network, name, smallest_side=smallest_side)
    published = bool(config.hf_hub_id or config.url)
    fields = {field: getattr(architecture, field) for field in architecture.__slots__}
    fields["build"] = build
    fields["pretrained"] = (
        partial(pretrained_network, architecture.name, name, smallest_side=smallest_side) if published else None
    )
    fields["input_size"] = architecture.input_size or config.input_size[-1]
    if not architecture.target_layer:
        with torch.device("meta"):
            fields["target_layer"] = last_grid(build(2))
    return Architecture(**fields)


def resolve_timm_name(name: str) -> str:
    """The name with the tag of timm's default weights, so that it means the same when timm changes its default.

    Raises:
        ValueError: timm knows no such network; the message has the nearest names.

    Example:
        >>> is_timm_name("resnet18")
        'resnet18.a1_in1k'
    """
    timm = import_module("timm")
    plain, _, tag = name.partition(".")
    known = timm.list_models()
    if plain not in known:
        near = difflib.get_close_matches(plain, known, n=3, cutoff=0.4)
        raise ValueError(
            f"timm {timm.__version__} has no network {name!r}" + (f"; nearest: {', '.join(near)}" * bool(near))
        )
    tags = {each.partition(".")[2] for each in timm.list_pretrained(plain)}
    if tag and tag not in tags:
        raise ValueError(f"timm {timm.__version__} has no weights {name!r}; known: {', '.join(sorted(tags)) or 'none'}")
    default = tag or timm.get_pretrained_cfg(plain).tag
    return f"{plain}.{default}" if default else plain
