"""Approves changed code of entries: python -m tests.benchmark.identities carry, or: renew NAME ...

`carry` is for refactoring. It compares golden numbers and keeps the identities, so that stored results stand.
`renew` is for another formula or constant: the named entries become new ones, and their golden numbers are made anew.
Entries that are new or gone are listed and unlisted by either. NEW=OLD keeps the identity of
a renamed entry.
"""

import json
import sys

from architectures import Architecture
from benchmark.registry import entries, source_file
from benchmark.saliency import Method
from benchmark.storage.identity import IDENTITIES_FILE, file_code, label
from benchmark.training.regimes import Regime
from metrics import Metric
from tests.benchmark import golden

KINDS = (Architecture, Method, Metric, Regime)


def found():
    """Every entry by its label in the list."""
    return {label(entry): entry for kind in KINDS for entry in entries(kind).values()}


def codes():
    """Today's code of every entry by its label."""
    return {name: file_code(source_file(entry)) for name, entry in found().items()}


def relisted(listed, code, renewed=(), renamed=None):
    """The list for today's code: identities are kept but for those to be renewed."""
    before = {name: listed.get((renamed or {}).get(name, name), {}) for name in code}
    return {
        name: {
            "code": now,
            "identity": now if name in renewed else before[name].get("identity", now),
        }
        for name, now in sorted(code.items())
    }


def main(words):
    verb, names = words[0], words[1:]
    listed, code = json.loads(IDENTITIES_FILE.read_text(encoding="utf-8")), codes()
    if verb == "renew":
        unknown = set(names) - code.keys()
        if unknown or not names:
            sys.exit(f"renew which? unknown: {sorted(unknown)}")
        new = relisted(listed, code, renewed=names)
        golden.store(names)
    elif verb == "carry":
        if wrong := golden.differing(name for name in code if listed.get(name, {}).get("code") != code[name]):
            sys.exit(f"other numbers than before: {', '.join(wrong)}; raise ENGINE_VERSION or renew these entries")
        new = relisted(listed, code, renamed=dict(pair.split("=") for pair in names))
        golden.store(code.keys() - golden.stored().keys())
    else:
        sys.exit(__doc__)
    IDENTITIES_FILE.write_text(json.dumps(new, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or [""])
