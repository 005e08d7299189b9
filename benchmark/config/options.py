"""The options of `run` that turn a preset into other settings."""

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
