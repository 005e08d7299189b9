"""The command line: words in, words out."""

import os
import sys

import typer
from typer.exceptions import TyperException

from benchmark.cli import data
from benchmark.cli.baselines import baselines
from benchmark.cli.check import check
from benchmark.cli.compare import compare
from benchmark.cli.leaderboard import leaderboard
from benchmark.cli.list import list_entries
from benchmark.cli.new import new
from benchmark.cli.run import run
from benchmark.cli.status import status
from benchmark.cli.submit import submit
from benchmark.errors import UserError

# Before torch is loaded: with its default, a thread that waits for another spins so long that a busy neighbor on
# one of two cores slows a training step tenfold; this costs 3 % on an idle machine.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

app = typer.Typer(
    help="Loupe: which network explains itself well? A benchmark of saliency maps in medical imaging. "
    "With --debug anywhere, an error shows its traceback.",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
)
app.command(epilog="Example: python -m benchmark run --preset quick --data ~/isic2018 --architecture resnet50")(run)
app.command("list", epilog="Example: python -m benchmark list metrics roc-auc")(list_entries)
app.add_typer(data.app, name="data")
app.command(epilog="Example: python -m benchmark baselines ~/dermxdb --json")(baselines)
app.command(epilog="Example: python -m benchmark leaderboard results/dermsynth/quick")(leaderboard)
app.command(epilog="Example: python -m benchmark compare xception/standard resnet50/adversarial --data dermsynth")(
    compare
)
app.command(epilog="Example: python -m benchmark status --json")(status)
app.command(epilog="Example: python -m benchmark new my_network")(new)
app.command(epilog="Example: python -m benchmark check entries/my_network.py --json")(check)
app.command(epilog="Example: python -m benchmark submit --timm regnety_002")(submit)


def main() -> None:
    """Runs the command line; a user's mistake is one line and exit code 2."""
    words = [word for word in sys.argv[1:] if word != "--debug"] or ["--help"]
    try:
        sys.exit(app(words, prog_name="python -m benchmark", standalone_mode=False))
    except (UserError, TyperException) as error:
        if "--debug" in sys.argv:
            raise
        text = error.format_message() if isinstance(error, TyperException) else str(error)
        sys.stderr.write(f"error: {text}\n")
        sys.exit(2)
    except OSError as error:
        if "--debug" in sys.argv:
            raise
        text = f"{error.filename}: {error.strerror}; free it or choose another place" if error.filename else str(error)
        sys.stderr.write(f"error: {text}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
