"""``falsewitness run``: one experiment."""

from pathlib import Path
from typing import Annotated

import typer

from falsewitness.cli._options import Changes, Device, Out


def run(
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE|FILE", help="A recipe's name (see `falsewitness list recipes`) or a YAML file."),
    ],
    changes: Changes = None,
    out: Out = Path("runs"),
    device: Device = "auto",
) -> None:
    """Train what a spec asks for, measure it and write a report.

    Every model gets a run folder. The clean model and the control are trained with the attack, or used again where they
    are there. An interrupted run goes on from its last finished epoch.

    Examples:
        falsewitness run digits/full-disguise
        falsewitness run digits/badnets --set attack.poison.rate=0.01 --set seed=1
        falsewitness run mine.yaml --out results --device cuda
    """
    from falsewitness.cli._console import ConsoleReporter
    from falsewitness.cli._summary import show_report
    from falsewitness.experiment import choose_device, find_spec
    from falsewitness.experiment import run as run_spec

    spec, reporter = find_spec(recipe, changes or []), ConsoleReporter()
    folders = list(run_spec(spec, out, device=choose_device(device), reporter=reporter).values())
    with folders[-1].locked(reporter.notice):
        show_report([folder.path for folder in folders], folders[-1].path / "report.html")
