"""The command line."""

import io
import os
import sys
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from benchmark import __version__
from benchmark.cli import data
from benchmark.cli.baselines import baselines
from benchmark.cli.check import check
from benchmark.cli.compare import compare
from benchmark.cli.convert import convert
from benchmark.cli.export_maps import export_maps
from benchmark.cli.leaderboard import leaderboard
from benchmark.cli.list import list_entries
from benchmark.cli.new import new
from benchmark.cli.repeat import repeat
from benchmark.cli.run import run
from benchmark.cli.score import score
from benchmark.cli.status import status
from benchmark.cli.submit import submit
from benchmark.errors import UserError
from benchmark.escaping import escape_terminal
from datasets import printable

SPIN_COUNT, BUSY_SPIN_COUNT = "20000", "1000"
"""How often a thread of torch looks for new work before it sleeps, on an idle and on a busy machine."""


def choose_spin_count() -> str:
    """Chooses how long a waiting thread spins, by the load of the machine. It changes no number.

    A thread that spins takes the core from the one that it waits for. With six busy processes on two cores, a training
    step of MobileNet took 0.88 s of CPU at 20000, 0.36 s at 4000 and 0.27 s at 1000. On an idle machine, short waits
    are cheaper than sleep: the much higher default gains 3 % over 20000.
    """
    cores = os.cpu_count() or 1
    is_busy = hasattr(os, "getloadavg") and os.getloadavg()[0] > cores
    return BUSY_SPIN_COUNT if is_busy else SPIN_COUNT


os.environ.setdefault("GOMP_SPINCOUNT", choose_spin_count())  # before torch is loaded

PROGRAM = os.environ.get("LOUPE_PROGRAM", "python -m benchmark")
"""How the user calls the program. `.venv/bin/loupe` sets it, since shell completion needs a single word."""

app = typer.Typer(
    help="Loupe: which network explains itself well? A benchmark of saliency maps in medical imaging.",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog="Example: python -m benchmark run --preset quick --data ~/isic2018 --architecture resnet50")(run)
app.command(epilog="Example: python -m benchmark score ~/keras-maps --data ~/isic2018 --method grad-cam")(score)
app.command(epilog="Example: python -m benchmark convert model.pth --architecture resnet50 --output model.safetensors")(
    convert
)
app.command("export-maps", epilog="Example: python -m benchmark export-maps xception/standard --output maps")(
    export_maps
)
app.command("list", epilog="Example: python -m benchmark list metrics roc-auc")(list_entries)
app.add_typer(data.app, name="data")
app.command(epilog="Example: python -m benchmark baselines ~/dermxdb --json")(baselines)
app.command(epilog="Example: python -m benchmark leaderboard results/dermsynth/quick")(leaderboard)
app.command(epilog="Example: python -m benchmark compare xception/standard resnet50/adversarial --dataset dermsynth")(
    compare
)
app.command(epilog="Example: python -m benchmark repeat xception/standard --dry-run")(repeat)
app.command(epilog="Example: python -m benchmark status --json")(status)
app.command(epilog="Example: python -m benchmark new my_network")(new)
app.command(epilog="Example: python -m benchmark check entries/my_network.py --json")(check)
app.command(epilog="Example: python -m benchmark submit --timm regnety_002")(submit)


def _print_version(value: bool) -> None:  # noqa: FBT001 - the signature that typer calls
    """Prints the version and exits."""
    if value:
        sys.stdout.write(f"loupe {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    *,
    _debug: Annotated[
        bool, typer.Option("--debug", metavar="", help="Show the traceback of an error. May follow any command.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Loupe: which network explains itself well? A benchmark of saliency maps in medical imaging."""


def main() -> None:
    """Runs the command line. A user error prints one line and exits with code 2."""
    for stream in (sys.stdout, sys.stderr):  # names of files need not be text in the encoding of the terminal
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"] or ["--help"]
    try:
        sys.exit(app(arguments, prog_name=PROGRAM, standalone_mode=False))
    except (KeyboardInterrupt, Abort):
        sys.stderr.write("stopped; the same command goes on\n")
        sys.exit(130)
    except (UserError, TyperException) as error:
        if "--debug" in sys.argv:
            raise
        text = escape_terminal(error.format_message()) if isinstance(error, TyperException) else printable(str(error))
        sys.stderr.write(f"error: {text}\n")
        sys.exit(2)
    except OSError as error:
        if "--debug" in sys.argv:
            raise
        text = f"{error.filename}: {error.strerror}; free it, or choose another path" if error.filename else str(error)
        sys.stderr.write(f"error: {printable(text)}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
