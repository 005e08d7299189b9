"""Runs the checks on the simulated card, or on a real one, and prints what failed and where the host waits."""

import argparse
import fnmatch
import json
import sys
import time
import traceback
from collections import Counter
from contextlib import nullcontext

import torch

from tests.device.simulated import register_card, simulated_card


def main() -> None:
    """Prints a JSON object by name of the check: the error or null, the waits, and the seconds of CPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["*"], help="patterns of names of checks, such as method/*")
    parser.add_argument("--images", type=int, default=2, help="images of methods and metrics")
    parser.add_argument("--device", help="a real device, such as cuda; it records no waits")
    words = parser.parse_args()
    real = words.device and torch.device(words.device)
    # Before the first backward pass of the process: torch counts devices then.
    if not real:
        register_card()
    torch.set_num_threads(1)
    from tests.device.checks import checks  # noqa: PLC0415 - after the registration
    from tests.device.real import RealCard  # noqa: PLC0415 - after the registration

    results = {}
    for name, check in checks(words.images).items():
        if not any(fnmatch.fnmatch(name, pattern) for pattern in words.names):
            continue
        start, error = time.process_time(), None
        torch.manual_seed(0)
        with nullcontext(RealCard(real)) if real else simulated_card() as card:
            try:
                check(card)
            except Exception as failure:  # noqa: BLE001 - reported by name
                error = "".join(traceback.format_exception(failure)[-6:])
        waits = Counter((wait.file, wait.function, wait.kind) for wait in card.waits)
        results[name] = {
            "error": error,
            "waits": [[*place, count] for place, count in sorted(waits.items())],
            "seconds": round(time.process_time() - start, 2),
        }
    sys.stdout.write(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
