"""The options of `run` that a record names: those of its settings, and those of its data, entries and device."""

from collections.abc import Sequence

from benchmark.config.presets import PRESETS, Preset

OPTIONS = {
    "limit": "--limit",
    "aggregation": "--aggregation",
    "methods": "--method",
    "metrics": "--metric",
    "weights": "--weights",
    "epochs": "--epochs",
    "image_size": "--image-size",
    "batch_size": "--batch-size",
    "attack_eps": "--eps",
    "compile": "--compile",
    "autoattack": "--autoattack",
    "alignment": "--alignment",
    "grid_stride": "--grid-stride",
}
"""The option that changes a field of a preset."""
ENTRIES_OPTION = "--entries"
"""The option that runs code of a directory."""
SOURCE_OPTIONS = frozenset(
    {
        *("--data", "--layout", "--image-dir", "--attributes", "--pseudonyms", "--split", "--pretrain", "--class-map"),
        *(ENTRIES_OPTION, "--device"),
    }
)
"""Options with a value that a record stores as they were given."""
SOURCE_FLAGS = frozenset({"--allow-split-groups"})
"""Options without a value that a record stores."""


def changed_options(settings: Preset) -> list[str]:
    """Returns the options that change the preset of this name into these settings.

    Fields without an option are left out, since `run` cannot change them. A limit of 0 means all images.

    Example:
        >>> from dataclasses import replace
        >>> from benchmark.config.presets import QUICK
        >>> changed_options(replace(QUICK, limit=None, attack_eps=(0.5, 1.0)))
        ['--limit', '0', '--eps', '0.5', '--eps', '1.0']
    """
    base = PRESETS.get(settings.name)
    if base is None:
        return []
    parts: list[str] = []
    for name, option in OPTIONS.items():
        value = getattr(settings, name)
        if value == getattr(base, name):
            continue
        if isinstance(value, bool):
            parts += [option] if value else []
            continue
        values = value if isinstance(value, tuple) else (0 if value is None else value,)
        parts += [part for item in values for part in (option, str(item))]
    return parts


def are_source_options(words: Sequence[str]) -> bool:
    """Returns whether words are only options of data, split, entries and device, each with its value.

    Example:
        >>> are_source_options(["--data", "images", "--allow-split-groups"]), are_source_options(["--trust"])
        (True, False)
    """
    remaining = iter(words)
    for word in remaining:
        if word in SOURCE_FLAGS:
            continue
        value = next(remaining, "")
        if word not in SOURCE_OPTIONS or not value or value.startswith("-"):
            return False
    return True
